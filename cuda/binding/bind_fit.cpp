#include "binding/fit_arguments.hpp"
#include "cuda/backend/fit.hpp"
#include "cuda/backend/rank.hpp"  // DeviceGroups
#include "cuda/binding/support.hpp"

namespace modelwatch::cuda::binding {
namespace {

using namespace modelwatch::binding;

template <class Column>
py::class_<FitPass<Column>> bind_pass(py::module_& m, char const* name) {
  return py::class_<FitPass<Column>>(m, name).def(
      "add",
      [](FitPass<Column>& pass, py::object const& batch, int) {
        auto const owner = import_array(batch);
        py::gil_scoped_release const release;
        pass.add(owner, signal_poll());
      },
      py::arg("batch"), py::arg("threads") = 0);
}

}  // namespace

void bind_fit(py::module_& m, py::class_<Backend>& backend) {
  bind_pass<DistinctColumn>(m, "DistinctPass").def("column", [](FitPass<DistinctColumn> const& pass, std::size_t i) {
    return distinct_result(pass.column(i));
  });
  bind_pass<SplitColumn>(m, "SplitPass").def("column", [](FitPass<SplitColumn> const& pass, std::size_t i) {
    return to_numpy(pass.column(i).counts());
  });
  bind_pass<KeepColumn>(m, "KeepPass").def("column", [](FitPass<KeepColumn> const& pass, std::size_t i) {
    return to_numpy(std::vector<std::uint64_t>(pass.column(i).keys()));
  });
  backend.def(
      "DistinctPass",
      [](Backend const& self, std::vector<int> const& domains, std::uint64_t cap) {
        std::vector<DistinctColumn> columns;
        for (int const domain : domains) columns.emplace_back(domain_of(domain), cap);
        return std::make_unique<FitPass<DistinctColumn>>(self.device, std::move(columns));
      },
      py::arg("domains"), py::arg("cap"));
  backend.def(
      "distinct_keys",
      [](Backend const& self, py::object const& values, int domain, DeviceGroups const* groups, std::int32_t group) {
        return distinct_result(of_column(self, values, [&](Session& session, ColumnInput const& column) {
          if (groups != nullptr) check_groups(session, *groups, column.view.rows);
          DistinctColumn found(domain_of(domain), ~std::uint64_t{0});
          found.add(session, column, signal_poll(), {groups == nullptr ? nullptr : groups->of_row->data(), group});
          return found;
        }));
      },
      py::arg("values"), py::arg("domain"), py::arg("groups") = py::none(), py::arg("group") = 0);
  backend.def(
      "SplitPass",
      [](Backend const& self, std::vector<SplitArguments> const& columns) {
        std::vector<SplitColumn> typed;
        for (auto const& [domain, lows, width, split] : columns)
          typed.emplace_back(self.device, domain_of(domain), to_vector<std::uint64_t>(lows), width, split);
        return std::make_unique<FitPass<SplitColumn>>(self.device, std::move(typed));
      },
      py::arg("columns"));
  backend.def(
      "KeepPass",
      [](Backend const& self, std::vector<KeepArguments> const& columns) {
        std::vector<KeepColumn> typed;
        for (auto const& [domain, lows, widths] : columns) typed.emplace_back(domain_of(domain), to_vector<std::uint64_t>(lows), widths);
        return std::make_unique<FitPass<KeepColumn>>(self.device, std::move(typed));
      },
      py::arg("columns"));
}

}  // namespace modelwatch::cuda::binding
