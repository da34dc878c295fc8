#include "binding/support.hpp"
#include "binding/unsigned_view.hpp"
#include "engine/merge.hpp"
#include "engine/row_sum.hpp"

namespace modelwatch::binding {
namespace {

using Begins = py::array_t<std::int64_t, py::array::c_style | py::array::forcecast>;
using Targets = py::array_t<std::uint32_t, py::array::c_style | py::array::forcecast>;
using Table = std::tuple<Begins, py::array, py::array>;

SparseView view_of(Table const& table, Targets const& to) {
  auto const& [begin, index, value] = table;
  if (begin.ndim() != 1 || to.ndim() != 1 || begin.size() != to.size() + 1)
    throw InvalidInput("every group of a table needs a beginning and a group it is added to.");
  if (index.size() != value.size()) throw InvalidInput("the groups of a table do not fit its entries.");
  check_begins(begin.data(), static_cast<std::size_t>(to.size()), index.size());
  return {begin.data(), unsigned_view(index), unsigned_view(value), static_cast<std::size_t>(to.size()), to.data()};
}

template <class F>
auto without_interpreter(F f) {
  py::gil_scoped_release const release;
  return f();
}

}  // namespace

void bind_tables(py::module_& m) {
  m.def(
      "merge_rows",
      [](std::vector<Table> const& tables, std::vector<Targets> const& to, std::size_t groups) -> py::tuple {
        if (tables.size() != to.size()) throw InvalidInput("every table needs the groups it is added to.");
        std::vector<SparseView> views;
        for (std::size_t i = 0; i < tables.size(); ++i) views.push_back(view_of(tables[i], to[i]));
        auto const result = [](auto sum) -> py::tuple {
          return py::make_tuple(to_numpy(std::move(sum.begin)), to_numpy(std::move(sum.index)), to_numpy(std::move(sum.value)));
        };
        if (small(views)) return result(without_interpreter([&] { return merge_small(views, groups); }));
        return result(without_interpreter([&] { return merge_sparse(views, groups); }));
      },
      py::arg("tables"), py::arg("to"), py::arg("groups"));

  py::class_<RowSum> sum(m, "RowSum");
  sum.attr("MOST_WIDTH") = RowSum::kMostWidth;
  sum
      .def(py::init<std::size_t>(), py::arg("groups"))
      .def_property_readonly("groups", &RowSum::groups)
      .def_property_readonly("bytes", &RowSum::bytes)
      .def("add",
           [](RowSum& self, Table const& table, Targets const& to) {
             SparseView const view = view_of(table, to);
             without_interpreter([&] { self.add(view); });
           },
           py::arg("table"), py::arg("to"))
      .def("add_sum",
           [](RowSum& self, RowSum const& other, Targets const& to) {
             if (to.ndim() != 1 || static_cast<std::size_t>(to.size()) != other.groups() || &other == &self)
               throw InvalidInput("every group of a sum needs a group of another that it is added to.");
             without_interpreter([&] { self.add(other, to.data()); });
           },
           py::arg("other"), py::arg("to"))
      .def("take", [](RowSum& self) {
        auto rows = without_interpreter([&] { return self.take(); });
        auto const array = [](auto& any) { return std::visit([](auto& own) { return py::array(to_numpy(std::move(own))); }, any); };
        return py::make_tuple(to_numpy(std::move(rows.begin)), array(rows.index), array(rows.value));
      });
}

}  // namespace modelwatch::binding
