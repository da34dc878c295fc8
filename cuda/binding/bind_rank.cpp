#include "cuda/backend/rank.hpp"
#include "cuda/binding/support.hpp"

namespace modelwatch::cuda::binding {

void bind_rank(py::module_& m, py::class_<Backend>& backend) {
  py::class_<DeviceGroups>(m, "DeviceGroups")
      .def_readonly("rows", &DeviceGroups::rows)
      .def_readonly("count", &DeviceGroups::count)
      .def_readonly("device", &DeviceGroups::device);
  backend.def(
      "knot_numbers",
      [](Backend const& self, py::object const& values, std::shared_ptr<Grid> const& grid) {
        return of_column(self, values, [&](Session& session, ColumnInput const& column) { return knot_numbers(session, column, grid, signal_poll()); });
      },
      py::arg("values"), py::arg("grid"));
  backend.def(
      "count_cells",
      [](Backend const& self, py::object const& values, std::shared_ptr<Grid> const& grid, int) {
        auto const column = import_column(values);
        std::vector<std::uint64_t> counts;
        {
          py::gil_scoped_release const release;
          Use const session(self.device);
          counts = count_cells(*session, column.input, grid, signal_poll());
        }
        return to_numpy(std::move(counts));
      },
      py::arg("values"), py::arg("grid"), py::arg("threads") = 0);
  backend.def(
      "rank_cells",
      [](Backend const& self, py::object const& values, std::shared_ptr<Grid> const& grid) {
        auto const column = import_column(values);
        std::vector<std::uint32_t> cells;
        {
          py::gil_scoped_release const release;
          Use const session(self.device);
          cells = rank_cells(*session, column.input, grid);
        }
        return to_numpy(std::move(cells));
      },
      py::arg("values"), py::arg("grid"));
}

}  // namespace modelwatch::cuda::binding
