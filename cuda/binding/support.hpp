#pragma once
// Shared by the binding files of the CUDA module.

#include <optional>
#include <variant>

#include "binding/support.hpp"
#include "cuda/backend/arrays.hpp"
#include "cuda/backend/feed.hpp"
#include "cuda/backend/session.hpp"

namespace modelwatch::cuda::binding {

namespace py = pybind11;
using modelwatch::binding::import_array;
using modelwatch::binding::signal_poll;
using modelwatch::binding::single_column;
using modelwatch::binding::to_numpy;

/// A column in device memory, with whatever keeps it there: an object of another library, an Arrow array, memory of ours.
struct DeviceMemory {
  NumericView view;
  int device;
  py::object owner;
  std::shared_ptr<ArrowOwner const> arrow;
  SharedBytes values;
  SharedBytes bits;
};

/// A column with whatever keeps its memory.
struct ImportedColumn {
  std::shared_ptr<ArrowOwner const> owner;
  ColumnInput input;
  py::object device_owner;
};

/// An Arrow array of the host, or a column that lies on a device (python/modelwatch_gpu/device_arrays.py).
inline ImportedColumn import_column(py::object const& source) {
  if (py::hasattr(source, "device_memory")) {
    py::object memory = source.attr("device_memory");
    auto const& found = memory.cast<DeviceMemory const&>();
    return {nullptr, {found.view, true, found.device}, std::move(memory)};
  }
  auto owner = import_array(source);
  auto const view = numeric_view(single_column(*owner));
  return {std::move(owner), {view, false}, {}};
}

/// One device, with the functions of the CPU's engine under the same names.
struct Backend {
  int device;
};

/// Runs measure(session, column) on a column by itself, without the GIL.
template <class Measure>
auto of_column(Backend const& self, py::object const& values, Measure measure) {
  auto const column = import_column(values);
  py::gil_scoped_release const release;
  Use const session(self.device);
  return measure(*session, column.input);
}

/// Runs f(session) without the GIL, which whoever has the session may need before it is free.
template <class F>
auto with_session(Backend const& self, F f) {
  py::gil_scoped_release const release;
  Use const session(self.device);
  return f(*session);
}

void bind_counter(py::module_& m, py::class_<Backend>& backend);
void bind_probe(py::class_<Backend>& backend);
void bind_arrays(py::module_& m, py::class_<Backend>& backend);
void bind_rank(py::module_& m, py::class_<Backend>& backend);
void bind_column(py::class_<Backend>& backend);
void bind_bins(py::class_<Backend>& backend);
void bind_fit(py::module_& m, py::class_<Backend>& backend);
void bind_rows(py::class_<Backend>& backend);
void bind_pairs(py::class_<Backend>& backend);
void bind_vectors(py::module_& m, py::class_<Backend>& backend);
void bind_labelled(py::module_& m, py::class_<Backend>& backend);
void bind_text(py::module_& m, py::class_<Backend>& backend);

/// An Arrow array that lies on this device, taken over from its producer, whose event is waited for by what the session
/// does next.
std::shared_ptr<ArrowOwner const> take_arrow(Backend const& self, py::object const& schema_capsule, py::object const& array_capsule);

}  // namespace modelwatch::cuda::binding
