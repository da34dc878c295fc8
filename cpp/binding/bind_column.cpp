#include <optional>

#include "binding/support.hpp"
#include "engine/column_moments.hpp"
#include "engine/column_sketch.hpp"

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

py::dict moments_of(py::object const& values, std::optional<std::uint64_t> pivot, int threads) {
  auto const found = of_column(values, [&](NumericView const& view) { return column_moments(view, pivot, threads, signal_poll()); });
  py::dict out;
  out["count"] = found.moments.count;
  out["mean"] = found.moments.mean;
  out["m2"] = found.moments.m2;
  out["m3"] = found.moments.m3;
  out["m4"] = found.moments.m4;
  out["pivot"] = found.pivot;
  out["null"] = found.kinds.null;
  out["nan"] = found.kinds.nan;
  out["positive_infinity"] = found.kinds.positive_infinity;
  out["negative_infinity"] = found.kinds.negative_infinity;
  out["zero"] = found.kinds.zero;
  out["low"] = found.kinds.low;
  out["high"] = found.kinds.high;
  return out;
}

py::dict log_linear_of(py::object const& values, int threads) {
  auto const found = of_column(values, [&](NumericView const& view) { return log_linear_counts(view, threads, signal_poll()); });
  std::vector<std::uint32_t> buckets;
  std::vector<std::uint64_t> counts;
  found.buckets.each([&](std::uint32_t bucket, std::uint64_t count) {
    buckets.push_back(bucket);
    counts.push_back(count);
  });
  py::dict out;
  out["bucket"] = to_numpy(std::move(buckets));
  out["count"] = to_numpy(std::move(counts));
  out["nan"] = found.nan;
  out["null"] = found.null;
  return out;
}

py::dict registers_of(py::object const& values, int threads) {
  auto const found = of_column(values, [&](NumericView const& view) { return column_registers(view, threads, signal_poll()); });
  auto const& ranks = found.registers.ranks();
  py::dict out;
  out["registers"] = to_numpy(std::vector<std::uint8_t>(ranks.begin(), ranks.end()));
  out["values"] = found.values;
  return out;
}

}  // namespace

void bind_column(py::module_& m) {
  m.def("column_moments", &moments_of, py::arg("values"), py::arg("pivot") = py::none(), py::arg("threads") = 0);
  m.def("log_linear_counts", &log_linear_of, py::arg("values"), py::arg("threads") = 0);
  m.def("column_registers", &registers_of, py::arg("values"), py::arg("threads") = 0);
}

}  // namespace modelwatch::binding
