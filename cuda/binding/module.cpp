#include "cuda/binding/support.hpp"
#include "cuda/runtime/device.hpp"
#include "cuda/runtime/error.hpp"

PYBIND11_MODULE(_cuda, m) {
  namespace py = pybind11;
  using namespace modelwatch;
  m.doc() = "The CUDA backend of modelwatch_gpu. Use the package, not this module.";
  // Grids and plans are classes of the engine's module; this one takes them as arguments.
  py::module_::import("modelwatch_gpu._core");

  py::register_local_exception_translator([](std::exception_ptr error) {
    auto const set = [](char const* name, char const* text) { py::set_error(py::module_::import("modelwatch_gpu.errors").attr(name), text); };
    try {
      if (error) std::rethrow_exception(error);
    } catch (InvalidInput const& invalid) {
      set("InputError", invalid.what());
    } catch (cuda::DeviceError const& failed) {
      set("DeviceError", failed.what());
    }
  });

  cuda::on_halving([](std::int64_t rows) {
    py::gil_scoped_acquire const gil;
    auto const text = "The device's memory does not suffice for chunks of that many rows; they have " + std::to_string(rows) + " from now on.";
    // The caller's warning filters may turn it into an exception, which ends the call like any other.
    if (PyErr_WarnEx(py::module_::import("modelwatch_gpu.errors").attr("DeviceMemoryWarning").ptr(), text.c_str(), 2) != 0)
      throw py::error_already_set();
  });
  m.def("unavailable_reason", &cuda::unavailable_reason);
  m.def("device_count", &cuda::device_count);
  m.def("device_info", [](int index) {
    auto const found = cuda::device_info(index);
    py::dict info;
    info["index"] = found.index;
    info["name"] = found.name;
    info["compute_capability"] = std::to_string(found.major) + "." + std::to_string(found.minor);
    info["multiprocessors"] = found.multiprocessors;
    info["memory"] = found.memory;
    return info;
  });
  m.def("build_info", [] {
    py::dict info;
    info["cuda"] = MODELWATCH_CUDA_VERSION;
    info["architectures"] = MODELWATCH_CUDA_TARGETS;
    return info;
  });

  using cuda::binding::Backend;
  auto backend = py::class_<Backend>(m, "Backend")
                     .def(py::init([](int device) { return Backend{device}; }), py::arg("device"))
                     .def_readonly("device", &Backend::device)
                     .def_property(
                         "chunk_rows", [](Backend const& self) { return cuda::Use(self.device)->chunk_rows(); },
                         [](Backend const& self, std::int64_t rows) {
                           // Ordered moments go by tiles from the start of a column.
                           if (rows < kTileRows || rows % kTileRows != 0) throw InvalidInput("a chunk is a number of whole tiles.");
                           cuda::Use(self.device)->set_chunk_rows(rows);
                         });
  cuda::binding::bind_counter(m, backend);
  cuda::binding::bind_probe(backend);
  cuda::binding::bind_arrays(m, backend);
  cuda::binding::bind_rank(m, backend);
  cuda::binding::bind_column(backend);
  cuda::binding::bind_bins(backend);
  cuda::binding::bind_fit(m, backend);
  cuda::binding::bind_rows(backend);
  cuda::binding::bind_pairs(backend);
  cuda::binding::bind_vectors(m, backend);
  cuda::binding::bind_labelled(m, backend);
  cuda::binding::bind_text(m, backend);
}
