#pragma once
// Shared by the binding files: Arrow capsules in, NumPy arrays out, Ctrl-C while the GIL is released.

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>
#include <string>
#include <vector>

#include "engine/arrow_view.hpp"
#include "engine/counter.hpp"  // Poll
#include "core/error.hpp"

namespace modelwatch::binding {

namespace py = pybind11;

/// Takes over what an object's __arrow_c_array__() exports.
inline std::shared_ptr<ArrowOwner const> import_array(py::object const& source) {
  if (!py::hasattr(source, "__arrow_c_array__"))
    throw InvalidInput("expected an Arrow array or record batch (an object with __arrow_c_array__).");
  py::tuple const capsules = source.attr("__arrow_c_array__")();
  auto* const schema = static_cast<ArrowSchema*>(PyCapsule_GetPointer(capsules[0].ptr(), "arrow_schema"));
  if (schema == nullptr) throw py::error_already_set();
  auto* const array = static_cast<ArrowArray*>(PyCapsule_GetPointer(capsules[1].ptr(), "arrow_array"));
  if (array == nullptr) throw py::error_already_set();
  if (schema->release == nullptr || array->release == nullptr) throw InvalidInput("the Arrow array was already consumed.");
  return std::make_shared<ArrowOwner const>(schema, array);
}

/// A single array (not a batch) as a column.
inline ArrowColumn single_column(ArrowOwner const& owner) {
  if (owner.schema().format == nullptr || owner.array().length < 0) throw InvalidInput("the Arrow array is malformed.");
  return {&owner.schema(), &owner.array(), owner.array().length, 0, owner.schema().name != nullptr ? owner.schema().name : ""};
}

/// Called while a long call runs without the GIL: lets Python see Ctrl-C.
inline Poll signal_poll() {
  return [] {
    py::gil_scoped_acquire const gil;
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
  };
}

/// Moves a vector into a NumPy array without a copy.
template <class Number>
py::array_t<Number> to_numpy(std::vector<Number>&& values) {
  auto owner = std::make_unique<std::vector<Number>>(std::move(values));
  auto const size = static_cast<py::ssize_t>(owner->size());
  Number* const data = owner->data();
  py::capsule const free(owner.release(), [](void* p) { delete static_cast<std::vector<Number>*>(p); });
  return py::array_t<Number>(size, data, free);
}

template <class Number>
std::vector<Number> to_vector(py::array_t<Number, py::array::c_style | py::array::forcecast> const& values) {
  if (values.ndim() != 1) throw InvalidInput("expected a one-dimensional array.");
  return std::vector<Number>(values.data(), values.data() + values.size());
}

inline Domain domain_of(int value) {
  if (value < 0 || value > 3) throw InvalidInput("unknown domain.");
  return static_cast<Domain>(value);
}

void bind_grid(py::module_& m);
void bind_counter(py::module_& m);
void bind_column(py::module_& m);
void bind_fit(py::module_& m);
void bind_tables(py::module_& m);
void bind_distances(py::module_& m);
void bind_vectors(py::module_& m);

}  // namespace modelwatch::binding
