#include "binding/support.hpp"
#include "core/hash.hpp"
#include "cpu/isa.hpp"
#include "cpu/thread_pool.hpp"

PYBIND11_MODULE(_core, m) {
  namespace py = pybind11;
  using namespace modelwatch;
  m.doc() = "The compiled engine of modelwatch_gpu. Use the package, not this module.";

  py::register_local_exception_translator([](std::exception_ptr error) {
    try {
      if (error) std::rethrow_exception(error);
    } catch (InvalidInput const& invalid) {
      py::set_error(py::module_::import("modelwatch_gpu.errors").attr("InputError"), invalid.what());
    }
  });

  m.def("isa", &cpu::chosen_isa);
  m.def("available_isas", &cpu::available_isas);
  m.def("default_threads", &cpu::default_threads);
  m.def("hash_bytes", [](py::bytes const& bytes) {
    auto const view = static_cast<std::string_view>(bytes);
    return hash_bytes(reinterpret_cast<std::uint8_t const*>(view.data()), static_cast<std::int64_t>(view.size()));
  });
  m.def("build_info", [] {
    py::dict info;
    info["version"] = MODELWATCH_VERSION;
    info["compiler"] = std::string("g++-compatible ") + __VERSION__;
    info["cxx_standard"] = static_cast<long>(__cplusplus);
    info["cuda"] = false;  // no CUDA backend in this version
    return info;
  });

  binding::bind_grid(m);
  binding::bind_counter(m);
  binding::bind_column(m);
  binding::bind_fit(m);
  binding::bind_tables(m);
  binding::bind_distances(m);
  binding::bind_vectors(m);
}
