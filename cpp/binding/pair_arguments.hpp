#pragma once
// What pair_sums takes and returns, wherever it is computed.

#include <cmath>

#include "binding/support.hpp"
#include "reference/pair_sums.hpp"

namespace modelwatch::binding {

using Matrix = py::array;
using Scales = py::array_t<double, py::array::c_style | py::array::forcecast>;

/// Rows of a matrix: n x dimensions numbers, one row behind the other.
template <class Value>
struct MatrixView {
  Value const* values;
  std::int64_t rows;
  std::int64_t dimensions;
};

template <class Value>
MatrixView<Value> matrix_view(Matrix const& matrix) {
  return {static_cast<Value const*>(matrix.data()), matrix.shape(0), matrix.shape(1)};
}

/// Calls f(x, y) with views of both sides in their type.  Throws InvalidInput unless they are contiguous matrices of one
/// float type with as many, and at least one, columns, and scales are finite and not negative.
template <class F>
auto with_matrices(Matrix const& x, Matrix const& y, std::vector<double> const& scales, F f) {
  for (auto const* side : {&x, &y})
    if (side->ndim() != 2 || (side->flags() & py::array::c_style) == 0) throw InvalidInput("expected contiguous matrices, one row a sample.");
  if (x.shape(1) != y.shape(1) || x.shape(1) == 0) throw InvalidInput("both sides must have the same columns.");
  for (double const scale : scales)
    if (!std::isfinite(scale) || scale < 0) throw InvalidInput("scales must be finite and not negative.");
  auto const is = [&]<class Value>(Value) { return x.dtype().is(py::dtype::of<Value>()) && y.dtype().is(py::dtype::of<Value>()); };
  if (is(float{})) return f(matrix_view<float>(x), matrix_view<float>(y));
  if (is(double{})) return f(matrix_view<double>(x), matrix_view<double>(y));
  throw InvalidInput("both sides must be float32, or both float64.");
}

inline py::dict pair_result(PairSums&& sums) {
  py::dict out;
  out["distance"] = sums.distance;
  out["gaussian"] = to_numpy(std::move(sums.gaussian));
  return out;
}

}  // namespace modelwatch::binding
