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
  using Doubles = py::array_t<double, py::array::c_style | py::array::forcecast>;
  backend.def(
      "centered_sums",
      [](Backend const& self, py::list const& matrices, Doubles const& center) {
        auto const inputs = matrices_of(matrices);
        auto const about = to_vector(center);
        auto found = with_session(self, [&](Session& session) { return centered_sums(session, inputs, about, signal_poll()); });
        auto const d = static_cast<py::ssize_t>(found.total.size());
        return py::make_tuple(to_numpy(std::move(found.products)).reshape({d, d}), to_numpy(std::move(found.total)));
      },
      py::arg("matrices"), py::arg("center"));
  backend.def(
      "projected",
      [](Backend const& self, py::object const& rows, Doubles const& directions) {
        if (directions.ndim() != 2) throw InvalidInput("directions are a matrix, a row for each element.");
        auto const matrix = matrix_of(rows);
        std::vector<double> const axes(directions.data(), directions.data() + directions.size());
        auto const count = static_cast<int>(directions.shape(1));
        auto const values = with_session(self, [&](Session& session) { return projected(session, matrix, axes, count); });
        py::list out;
        for (int at = 0; at < count; ++at)
          out.append(DeviceMemory{{values->data() + static_cast<std::size_t>(matrix.rows * at) * sizeof(double), {nullptr, 0}, matrix.rows, Storage::float64},
                                  self.device, py::none(), nullptr, values, nullptr});
        return out;
      },
      py::arg("rows"), py::arg("directions"));
}

}  // namespace modelwatch::cuda::binding
