#include "cuda/backend/vectors.hpp"
#include "cuda/binding/matrices.hpp"

namespace modelwatch::cuda::binding {

using namespace modelwatch::binding;

void bind_vectors(py::module_& m, py::class_<Backend>& backend) {
  py::class_<VectorAdder>(m, "VectorAdder")
      .def(
          "add",
          [](VectorAdder& self, std::int64_t group, py::object const& rows, py::array_t<std::int32_t, py::array::c_style | py::array::forcecast> const& hand) {
            auto const matrix = matrix_of(rows);
            auto const hands = to_vector(hand);
            py::gil_scoped_release const release;
            self.add(group, matrix, hands, signal_poll());
          },
          py::arg("group"), py::arg("rows"), py::arg("hand"))
      .def(
          "sums",
          [](VectorAdder& self, std::int64_t group) {
            VectorSums found;
            {
              py::gil_scoped_release const release;
              found = self.sums(group);
            }
            py::dict out;
            out["products"] = to_numpy(std::move(found.products));
            out["total"] = to_numpy(std::move(found.total));
            out["features"] = to_numpy(std::move(found.features));
            return out;
          },
          py::arg("group"));
  backend.def(
      "VectorAdder",
      [](Backend const& self, py::array_t<double, py::array::c_style | py::array::forcecast> const& frequencies, double widest, int hands) {
        if (frequencies.ndim() != 2) throw InvalidInput("frequencies are a matrix, a row for each element.");
        return std::make_unique<VectorAdder>(self.device, frequencies.shape(0), std::vector<double>(frequencies.data(), frequencies.data() + frequencies.size()), widest, hands);
      },
      py::arg("frequencies"), py::arg("widest"), py::arg("hands"));
}

}  // namespace modelwatch::cuda::binding
