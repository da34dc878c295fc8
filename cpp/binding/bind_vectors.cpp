#include "binding/support.hpp"
#include "cpu/kernel_table.hpp"

namespace modelwatch::binding {
namespace {

template <class Value, class Kernel>
void centered_rows(py::array_t<Value, py::array::c_style> const& values, py::array_t<Value, py::array::c_style> const& center,
                   py::array_t<Value, py::array::c_style>& centered, py::array_t<double, py::array::c_style>& squares,
                   py::array_t<double, py::array::c_style>& lengths, Kernel kernel) {
  if (values.ndim() != 2 || center.ndim() != 1 || center.shape(0) != values.shape(1) || centered.ndim() != 2 ||
      centered.shape(0) != values.shape(0) || centered.shape(1) != values.shape(1) || squares.ndim() != 1 || squares.shape(0) != values.shape(0) ||
      lengths.ndim() != 1 || lengths.shape(0) != values.shape(0))
    throw InvalidInput("vectors are a matrix whose rows are as long as the centre, and what comes out has as many rows.");
  Value* const out = centered.mutable_data();
  double* const about = squares.mutable_data();
  double* const origin = lengths.mutable_data();
  py::gil_scoped_release const release;
  kernel(values.data(), values.shape(0), values.shape(1), center.data(), out, about, origin);
}

/// center_rows of one type.
template <class Value, class Kernel>
void bind_center_rows(py::module_& m, Kernel kernel) {
  using Rows = py::array_t<Value, py::array::c_style>;
  using Numbers = py::array_t<double, py::array::c_style>;
  m.def(
      "center_rows",
      [kernel](Rows const& values, Rows const& center, Rows centered, Numbers squares, Numbers lengths) {
        centered_rows<Value>(values, center, centered, squares, lengths, kernel);
      },
      py::arg("values").noconvert(), py::arg("center").noconvert(), py::arg("centered").noconvert(), py::arg("squares").noconvert(),
      py::arg("lengths").noconvert());
}

}  // namespace

void bind_vectors(py::module_& m) {
  m.attr("FEATURE_SCALES") = cpu::kFeatureScales;
  m.def(
      "add_features",
      [](py::array_t<float, py::array::c_style> const& angles, py::array_t<std::int32_t, py::array::c_style> const& hand,
         py::array_t<double, py::array::c_style> sums) {
        if (angles.ndim() != 2 || hand.ndim() != 1 || hand.shape(0) != angles.shape(0) || sums.ndim() != 2 ||
            sums.shape(1) != 2 * cpu::kFeatureScales * angles.shape(1) || angles.size() > std::int64_t{1} << 30)
          throw InvalidInput("angles, the hand of every row and the sums of the hands must fit each other.");
        auto const rows = static_cast<int>(angles.shape(0));
        std::int32_t const* const hands = hand.data();
        for (int i = 0; i < rows; ++i)
          if (hands[i] < 0 || hands[i] >= sums.shape(0)) throw InvalidInput("a row has a hand that there are no sums of.");
        double* const out = sums.mutable_data();
        py::gil_scoped_release const release;
        cpu::kernels().add_features(angles.data(), rows, static_cast<int>(angles.shape(1)), hands, out);
      },
      py::arg("angles").noconvert(), py::arg("hand").noconvert(), py::arg("sums").noconvert());
  bind_center_rows<float>(m, cpu::kernels().center_rows_f32);
  bind_center_rows<double>(m, cpu::kernels().center_rows_f64);
}

}  // namespace modelwatch::binding
