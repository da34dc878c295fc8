#include "cuda/backend/probe.hpp"
#include "cuda/binding/support.hpp"

namespace modelwatch::cuda::binding {

void bind_probe(py::class_<Backend>& backend) {
  backend.def(
      "bandwidth",
      [](Backend const& self, std::size_t bytes, int turns) {
        Bandwidth found{};
        {
          py::gil_scoped_release const release;
          Use const session(self.device);
          found = measure_bandwidth(*session, bytes, turns);
        }
        py::dict out;
        out["read"] = found.read;
        out["copy"] = found.copy;
        out["stage"] = found.stage;
        return out;
      },
      py::arg("bytes") = std::size_t{1} << 30, py::arg("turns") = 5);
}

}  // namespace modelwatch::cuda::binding
