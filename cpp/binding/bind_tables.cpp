#include "binding/support.hpp"
#include "binding/unsigned_view.hpp"
#include "engine/merge.hpp"

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
}

}  // namespace modelwatch::binding
