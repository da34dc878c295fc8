#include <cmath>

#include "cuda/binding/matrices.hpp"

namespace modelwatch::cuda::binding {

using namespace modelwatch::binding;

void bind_pairs(py::class_<Backend>& backend) {
  backend.def(
      "pair_sums",
      [](Backend const& self, py::list const& matrices, py::array_t<std::uint8_t, py::array::c_style | py::array::forcecast> const& marks,
         py::array_t<double, py::array::c_style | py::array::forcecast> const& scales) {
        std::vector<MatrixInput> inputs;
        for (auto const& matrix : matrices) inputs.push_back(matrix_of(py::reinterpret_borrow<py::object>(matrix)));
        if (marks.ndim() != 2) throw InvalidInput("marks are one row for each row, a column each.");
        auto const functions = to_vector(scales);
        for (double const scale : functions)
          if (!std::isfinite(scale)) throw InvalidInput("scales must be finite.");
        auto const columns = static_cast<std::size_t>(marks.shape(1));
        std::vector<std::uint8_t> const bits(marks.data(), marks.data() + marks.size());
        auto found = with_session(self, [&](Session& session) { return pair_sums(session, inputs, bits, columns, functions, signal_poll()); });
        py::dict out;
        out["total"] = to_numpy(std::move(found.total));
        auto const shape = std::vector<py::ssize_t>{static_cast<py::ssize_t>(functions.size()), static_cast<py::ssize_t>(columns)};
        out["within"] = to_numpy(std::move(found.within)).reshape(shape);
        out["touching"] = to_numpy(std::move(found.touching)).reshape(shape);
        return out;
      },
      py::arg("matrices"), py::arg("marks"), py::arg("scales"));
}

}  // namespace modelwatch::cuda::binding
