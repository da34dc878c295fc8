#include "binding/pair_arguments.hpp"
#include "cuda/backend/pairs.hpp"
#include "cuda/binding/support.hpp"

namespace modelwatch::cuda::binding {

using namespace modelwatch::binding;

void bind_pairs(py::class_<Backend>& backend) {
  backend.def(
      "pair_sums",
      [](Backend const& self, Matrix const& x, Matrix const& y, Scales const& scales) {
        auto const all = to_vector(scales);
        return pair_result(with_matrices(x, y, all, [&](auto const& a, auto const& b) {
          py::gil_scoped_release const release;
          Use const session(self.device);
          return pair_sums(*session, a.values, a.rows, b.values, b.rows, a.dimensions, all, signal_poll());
        }));
      },
      py::arg("x"), py::arg("y"), py::arg("scales"));
}

}  // namespace modelwatch::cuda::binding
