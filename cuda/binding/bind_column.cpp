#include <optional>

#include "binding/column_results.hpp"
#include "cuda/backend/column.hpp"
#include "cuda/binding/support.hpp"

namespace modelwatch::cuda::binding {

using namespace modelwatch::binding;

void bind_column(py::class_<Backend>& backend) {
  backend.def(
      "column_moments",
      [](Backend const& self, py::object const& values, std::optional<std::uint64_t> pivot, int) {
        return moments_result(of_column(self, values, [&](Session& session, ColumnInput const& column) {
          return column_moments(session, column, pivot, signal_poll());
        }));
      },
      py::arg("values"), py::arg("pivot") = py::none(), py::arg("threads") = 0);
  backend.def(
      "log_linear_counts",
      [](Backend const& self, py::object const& values, int) {
        return log_linear_result(of_column(
            self, values, [&](Session& session, ColumnInput const& column) { return log_linear_counts(session, column, signal_poll()); }));
      },
      py::arg("values"), py::arg("threads") = 0);
  backend.def(
      "column_registers",
      [](Backend const& self, py::object const& values, int) {
        return registers_result(of_column(
            self, values, [&](Session& session, ColumnInput const& column) { return column_registers(session, column, signal_poll()); }));
      },
      py::arg("values"), py::arg("threads") = 0);
}

}  // namespace modelwatch::cuda::binding
