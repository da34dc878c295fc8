#include "binding/bins_arguments.hpp"
#include "cuda/backend/bins.hpp"
#include "cuda/binding/support.hpp"

namespace modelwatch::cuda::binding {

using namespace modelwatch::binding;

void bind_bins(py::class_<Backend>& backend) {
  backend.def(
      "count_bins",
      [](Backend const& self, py::object const& values, int domain, Keys const& cuts, int) {
        auto const keys = to_vector(cuts);
        auto counts = of_column(self, values, [&](Session& session, ColumnInput const& column) {
          return count_bins_of(session, {column}, domain_of(domain), {keys}, {nullptr, 0, 1}, signal_poll());
        });
        return to_numpy(std::move(counts.front()));
      },
      py::arg("values"), py::arg("domain"), py::arg("cuts"), py::arg("threads") = 0);
  backend.def(
      "count_bins_of",
      [](Backend const& self, py::list const& columns, int domain, std::vector<Keys> const& cuts, py::object const& groups,
         std::int32_t group_count, int) {
        std::vector<ImportedColumn> imported;
        std::vector<ColumnInput> inputs;
        for (auto const& column : columns) {
          imported.push_back(import_column(py::reinterpret_borrow<py::object>(column)));
          inputs.push_back(imported.back().input);
        }
        auto const keys = cuts_of(cuts);
        auto const* const there = py::isinstance<DeviceGroups>(groups) ? &groups.cast<DeviceGroups const&>() : nullptr;
        Groups const here = there == nullptr ? groups.cast<Groups>() : std::nullopt;
        auto const of_row = row_groups(here, group_count);
        if (there != nullptr && there->count > group_count) throw InvalidInput("a row's group is not among the groups.");
        std::vector<std::vector<std::uint64_t>> counts;
        {
          py::gil_scoped_release const release;
          Use const session(self.device);
          counts = count_bins_of(*session, inputs, domain_of(domain), keys, of_row, signal_poll(), there, there == nullptr ? 1 : group_count);
        }
        return bins_result(std::move(counts), there != nullptr || here.has_value(), group_count);
      },
      py::arg("columns"), py::arg("domain"), py::arg("cuts"), py::arg("groups") = py::none(), py::arg("group_count") = 1,
      py::arg("threads") = 0);
}

}  // namespace modelwatch::cuda::binding
