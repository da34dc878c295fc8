#include <optional>

#include "binding/column_results.hpp"
#include "binding/support.hpp"

namespace modelwatch::binding {
namespace {

/// Runs `measure` on a column by itself, without the GIL.
template <class Measure>
auto of_column(py::object const& values, Measure measure) {
  auto const owner = import_array(values);
  auto const view = numeric_view(single_column(*owner));
  py::gil_scoped_release const release;
  return measure(view);
}

}  // namespace

void bind_column(py::module_& m) {
  m.def(
      "column_moments",
      [](py::object const& values, std::optional<std::uint64_t> pivot, int threads) {
        return moments_result(of_column(values, [&](NumericView const& view) { return column_moments(view, pivot, threads, signal_poll()); }));
      },
      py::arg("values"), py::arg("pivot") = py::none(), py::arg("threads") = 0);
  m.def(
      "log_linear_counts",
      [](py::object const& values, int threads) {
        return log_linear_result(of_column(values, [&](NumericView const& view) { return log_linear_counts(view, threads, signal_poll()); }));
      },
      py::arg("values"), py::arg("threads") = 0);
  m.def(
      "column_registers",
      [](py::object const& values, int threads) {
        return registers_result(of_column(values, [&](NumericView const& view) { return column_registers(view, threads, signal_poll()); }));
      },
      py::arg("values"), py::arg("threads") = 0);
}

}  // namespace modelwatch::binding
