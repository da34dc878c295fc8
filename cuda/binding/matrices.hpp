#pragma once
// Matrices that come from Python: of the host, or of the device (python/modelwatch_gpu/device_arrays.py).

#include "cuda/backend/pairs.hpp"
#include "cuda/binding/support.hpp"

namespace modelwatch::cuda::binding {

/// As long as the object lives.  Throws InvalidInput unless it is a contiguous matrix of float32 or float64.
inline MatrixInput matrix_of(py::object const& source) {
  if (py::hasattr(source, "device_pointer")) {
    auto const element = source.attr("element").cast<std::string>();
    if (element != "float32" && element != "float64") throw InvalidInput("both sides must be float32, or both float64.");
    return {reinterpret_cast<void const*>(source.attr("device_pointer").cast<std::uintptr_t>()), source.attr("rows").cast<std::int64_t>(),
            source.attr("dimensions").cast<std::int64_t>(), element == "float64", true, source.attr("device_number").cast<int>()};
  }
  auto const array = source.cast<py::array>();
  if (array.ndim() != 2 || (array.flags() & py::array::c_style) == 0) throw InvalidInput("expected contiguous matrices, one row a sample.");
  bool const wide = array.dtype().is(py::dtype::of<double>());
  if (!wide && !array.dtype().is(py::dtype::of<float>())) throw InvalidInput("both sides must be float32, or both float64.");
  return {array.data(), array.shape(0), array.shape(1), wide, false, 0};
}

inline std::vector<MatrixInput> matrices_of(py::list const& sources) {
  std::vector<MatrixInput> out;
  for (auto const& source : sources) out.push_back(matrix_of(py::reinterpret_borrow<py::object>(source)));
  return out;
}

}  // namespace modelwatch::cuda::binding
