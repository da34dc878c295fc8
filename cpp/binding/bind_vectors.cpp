#include <algorithm>
#include <vector>

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

/// Rows by their hands, those of one hand as they lie; throws where a row has a hand that there is none of.
std::vector<std::int32_t> by_hand(std::int32_t const* hand, int rows, std::int64_t hands) {
  std::vector<std::int32_t> place(static_cast<std::size_t>(hands) + 1);
  for (int i = 0; i < rows; ++i) {
    if (hand[i] < 0 || hand[i] >= hands) throw InvalidInput("a row has a hand that there are no sums of.");
    ++place[static_cast<std::size_t>(hand[i]) + 1];
  }
  for (std::size_t h = 1; h < place.size(); ++h) place[h] += place[h - 1];
  std::vector<std::int32_t> order(static_cast<std::size_t>(rows));
  for (int i = 0; i < rows; ++i) order[static_cast<std::size_t>(place[static_cast<std::size_t>(hand[i])]++)] = i;
  return order;
}

using Numbers = py::array_t<double, py::array::c_style>;

/// Whether all three are contiguous arrays of this type, and then their centred rows.
template <class Value, class Chosen>
bool center_rows_of(py::array const& values, py::array const& center, py::array const& centered, Numbers& squares, Numbers& lengths,
                    Chosen kernel) {
  using Rows = py::array_t<Value, py::array::c_style>;
  for (py::array const* const array : {&values, &center, &centered})
    if (!py::isinstance<Rows>(*array)) return false;
  auto out = py::reinterpret_borrow<Rows>(centered);
  centered_rows<Value>(py::reinterpret_borrow<Rows>(values), py::reinterpret_borrow<Rows>(center), out, squares, lengths, kernel());
  return true;
}

/// As many whole numbers as there are rows, each from 0 on and below `end`; nullptr for None.
std::int64_t const* of_rows(py::object const& given, std::int64_t rows, std::int64_t end) {
  if (given.is_none()) return nullptr;
  using Whole = py::array_t<std::int64_t, py::array::c_style>;
  if (!py::isinstance<Whole>(given)) throw py::type_error("groups and orders are contiguous arrays of int64.");
  auto const own = py::reinterpret_borrow<Whole>(given);
  if (own.ndim() != 1 || own.shape(0) != rows) throw InvalidInput("there is a group, and a place in the order, for every row.");
  if (std::any_of(own.data(), own.data() + rows, [end](std::int64_t x) { return x < 0 || x >= end; }))
    throw InvalidInput("a row is in a group that there is no total of, or an order names a row that is not there.");
  return own.data();
}

/// Whether vectors and centre are contiguous arrays of this type, and then adds them up.
template <class Value, class Chosen>
bool add_rows_of(py::array const& values, py::array const& center, py::object const& order, py::object const& group, Numbers& totals, Chosen kernel) {
  using Rows = py::array_t<Value, py::array::c_style>;
  if (!py::isinstance<Rows>(values) || !py::isinstance<Rows>(center)) return false;
  if (values.ndim() != 2 || center.ndim() != 1 || center.shape(0) != values.shape(1) || totals.ndim() != 2 || totals.shape(1) != values.shape(1))
    throw InvalidInput("vectors and totals are matrices whose rows are as long as the centre.");
  std::int64_t const rows = values.shape(0);
  std::int64_t const* const own = of_rows(group, rows, totals.shape(0));
  std::int64_t const* const in_order = of_rows(order, rows, rows);
  if (own == nullptr) throw py::type_error("every row needs a group.");
  auto const* const from = static_cast<Value const*>(values.data());
  auto const* const middle = static_cast<Value const*>(center.data());
  double* const out = totals.mutable_data();
  py::gil_scoped_release const release;
  kernel()(from, rows, values.shape(1), middle, in_order, own, out);
  return true;
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
        double* const out = sums.mutable_data();
        std::int64_t const there = sums.shape(0);
        py::gil_scoped_release const release;
        auto const order = by_hand(hands, rows, there);
        cpu::kernels().add_features(angles.data(), rows, static_cast<int>(angles.shape(1)), order.data(), hands, out);
      },
      py::arg("angles").noconvert(), py::arg("hand").noconvert(), py::arg("sums").noconvert());
  m.def(
      "center_rows",
      [](py::array const& values, py::array const& center, py::array const& centered, Numbers squares, Numbers lengths) {
        bool const known = center_rows_of<float>(values, center, centered, squares, lengths, [] { return cpu::kernels().center_rows_f32; }) ||
                           center_rows_of<double>(values, center, centered, squares, lengths, [] { return cpu::kernels().center_rows_f64; });
        if (!known) throw py::type_error("vectors, centre and what comes out are contiguous arrays of float32, or of float64.");
      },
      py::arg("values").noconvert(), py::arg("center").noconvert(), py::arg("centered").noconvert(), py::arg("squares").noconvert(),
      py::arg("lengths").noconvert());
  m.def(
      "add_rows",
      [](py::array const& values, py::array const& center, py::object const& order, py::object const& group, Numbers totals) {
        bool const known = add_rows_of<float>(values, center, order, group, totals, [] { return cpu::kernels().add_rows_f32; }) ||
                           add_rows_of<double>(values, center, order, group, totals, [] { return cpu::kernels().add_rows_f64; });
        if (!known) throw py::type_error("vectors and centre are contiguous arrays of float32, or of float64.");
      },
      py::arg("values").noconvert(), py::arg("center").noconvert(), py::arg("order").none(true), py::arg("group"), py::arg("totals").noconvert());
}

}  // namespace modelwatch::binding
