#include <cmath>

#include "cuda/binding/matrices.hpp"

namespace modelwatch::cuda::binding {

using namespace modelwatch::binding;

void bind_pairs(py::class_<Backend>& backend) {
  backend.def(
      "pair_sums",
      [](Backend const& self, py::list const& matrices, py::array_t<std::uint8_t, py::array::c_style | py::array::forcecast> const& marks,
         py::array_t<double, py::array::c_style | py::array::forcecast> const& scales, double closest) {
        auto const inputs = matrices_of(matrices);
        if (marks.ndim() != 2) throw InvalidInput("marks are one row for each row, a column each.");
        auto const functions = to_vector(scales);
        for (double const scale : functions)
          if (!std::isfinite(scale)) throw InvalidInput("scales must be finite.");
        auto const columns = static_cast<std::size_t>(marks.shape(1));
        std::vector<std::uint8_t> const bits(marks.data(), marks.data() + marks.size());
        auto found = with_session(self, [&](Session& session) { return pair_sums(session, inputs, bits, columns, functions, closest, signal_poll()); });
        py::dict out;
        out["total"] = to_numpy(std::move(found.total));
        auto const shape = std::vector<py::ssize_t>{static_cast<py::ssize_t>(functions.size()), static_cast<py::ssize_t>(columns)};
        out["within"] = to_numpy(std::move(found.within)).reshape(shape);
        out["touching"] = to_numpy(std::move(found.touching)).reshape(shape);
        return out;
      },
      py::arg("matrices"), py::arg("marks"), py::arg("scales"), py::arg("closest") = 0.0);
  backend.def(
      "nearest",
      [](Backend const& self, py::list const& rows, std::optional<py::list> const& among, int k) {
        auto const own = matrices_of(rows);
        auto const others = among ? matrices_of(*among) : own;
        auto found = with_session(self, [&](Session& session) { return nearest(session, own, others, !among, k, signal_poll()); });
        auto const shape = std::vector<py::ssize_t>{static_cast<py::ssize_t>(found.index.size()) / k, k};
        return py::make_tuple(to_numpy(std::move(found.squared)).reshape(shape), to_numpy(std::move(found.index)).reshape(shape));
      },
      py::arg("rows"), py::arg("among"), py::arg("k"));
  backend.def(
      "balls",
      [](Backend const& self, py::object const& rows, py::object const& among, py::array_t<double, py::array::c_style | py::array::forcecast> const& squared_radii) {
        auto const own = matrix_of(rows);
        auto const theirs = matrix_of(among);
        auto const radii = to_vector(squared_radii);
        auto found = with_session(self, [&](Session& session) { return balls(session, own, theirs, radii); });
        return py::make_tuple(to_numpy(std::move(found.inside)), to_numpy(std::move(found.closest)));
      },
      py::arg("rows"), py::arg("among"), py::arg("squared_radii"));
}

}  // namespace modelwatch::cuda::binding
