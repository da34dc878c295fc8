#include <pybind11/numpy.h>

#include <algorithm>
#include <optional>

#include "binding/support.hpp"
#include "binding/unsigned_view.hpp"
#include "engine/beta_fraction.hpp"
#include "engine/distances.hpp"
#include "engine/read_cells.hpp"

namespace modelwatch::binding {
namespace {

template <class Number>
using Numbers = py::array_t<Number, py::array::c_style | py::array::forcecast>;
using Cells = std::tuple<Numbers<std::int64_t>, Numbers<std::int64_t>, Numbers<std::int64_t>, std::optional<Numbers<std::uint64_t>>>;

/// Refuses what would be read beyond its end.
OccupiedCells view_of(Cells const& cells) {
  auto const& [begin, cell, count, offset] = cells;
  if (begin.ndim() != 1 || begin.size() < 1 || cell.ndim() != 1 || count.ndim() != 1 || cell.size() != count.size() ||
      (offset && (offset->ndim() != 1 || offset->size() != cell.size())))
    throw InvalidInput("cells, their counts and their sums must be arrays of one length.");
  std::int64_t const* const begins = begin.data();
  for (py::ssize_t g = 0; g + 1 < begin.size(); ++g)
    if (begins[g] > begins[g + 1]) throw InvalidInput("a group of cells ends before it begins.");
  if (begins[0] < 0 || begins[begin.size() - 1] > cell.size()) throw InvalidInput("the groups do not fit their cells.");
  return {static_cast<std::size_t>(begin.size() - 1), begins, cell.data(), count.data(), offset ? offset->data() : nullptr};
}

/// Entries of a table: where the groups begin, indices, and values.
using Rows = std::tuple<Numbers<std::int64_t>, py::array, py::array>;

KeptRows rows_of(Rows const& rows, std::size_t groups) {
  auto const& [begin, index, value] = rows;
  if (begin.ndim() != 1 || static_cast<std::size_t>(begin.size()) != groups + 1 || index.size() != value.size())
    throw InvalidInput("the groups of a table do not fit its entries.");
  check_begins(begin.data(), groups, index.size());
  return {begin.data(), unsigned_view(index), unsigned_view(value)};
}

py::tuple cells_of(Rows const& cells, std::optional<Rows> const& gaps, std::int64_t size) {
  std::size_t const groups = static_cast<std::size_t>(std::max<py::ssize_t>(std::get<0>(cells).size(), 1)) - 1;
  std::optional<KeptRows> const sums = gaps ? std::optional(rows_of(*gaps, groups)) : std::nullopt;
  KeptCells const kept{groups, size, rows_of(cells, groups), sums ? &*sums : nullptr};
  auto const many = static_cast<py::ssize_t>(cells_among(kept));
  auto const every = static_cast<py::ssize_t>(groups);
  Numbers<std::int64_t> begin(every + 1), cell(many), count(many), nan(every), null(every);
  Numbers<std::uint64_t> offset(gaps ? many : 0);
  ReadCells const out{begin.mutable_data(), cell.mutable_data(),  count.mutable_data(), offset.mutable_data(),
                      nan.mutable_data(),   null.mutable_data()};
  {
    py::gil_scoped_release const release;
    read_cells(kept, out);
  }
  return py::make_tuple(begin, cell, count, gaps ? py::object(offset) : py::none(), nan, null);
}

Numbers<std::int64_t> places_of(Cells const& cells, Numbers<std::int64_t> const& group, Numbers<std::int64_t> const& wanted) {
  OccupiedCells const view = view_of(cells);
  if (group.ndim() != 1 || wanted.ndim() != 1 || group.size() != wanted.size())
    throw InvalidInput("every cell that is looked for needs a group.");
  Numbers<std::int64_t> place(group.size());
  find_cells(view, group.data(), wanted.data(), static_cast<std::size_t>(group.size()), place.mutable_data());
  return place;
}

py::tuple knots_of(Cells const& cells) {
  OccupiedCells const view = view_of(cells);
  py::ssize_t const entries = std::get<1>(cells).size();
  if (view.begin[0] != 0 || view.begin[view.groups] != entries) throw InvalidInput("the groups do not fit their cells.");
  Numbers<std::int64_t> occupied(static_cast<py::ssize_t>(view.groups)), upto(entries + 1);
  rows_on_knots(view, occupied.mutable_data(), upto.mutable_data());
  return py::make_tuple(occupied, upto);
}

Numbers<std::int64_t> register_counts(Numbers<std::uint8_t> const& registers, std::size_t size) {
  if (registers.ndim() != 2) throw InvalidInput("registers must be an array of a row for each group.");
  Numbers<std::int64_t> counts({registers.shape(0), static_cast<py::ssize_t>(size)});
  count_registers(registers.data(), static_cast<std::size_t>(registers.shape(0)),
                  static_cast<std::size_t>(registers.shape(1)), size, counts.mutable_data());
  return counts;
}

py::tuple bounds_to_numpy(Bounds&& bounds) { return py::make_tuple(to_numpy(std::move(bounds.lower)), to_numpy(std::move(bounds.upper))); }

}  // namespace

void bind_distances(py::module_& m) {
  m.def("beta_fraction", py::vectorize(beta_fraction), py::arg("a"), py::arg("b"), py::arg("x"));
  m.def(
      "rank_distances",
      [](Cells const& baseline, Cells const& current) {
        auto const views = std::pair{view_of(baseline), view_of(current)};
        RankDistances found;
        {
          py::gil_scoped_release const release;
          found = rank_distances(views.first, views.second);
        }
        py::dict out;
        out["ks_least"] = py::make_tuple(to_numpy(std::move(found.ks_least.high)), to_numpy(std::move(found.ks_least.low)));
        out["ks_most"] = py::make_tuple(to_numpy(std::move(found.ks_most.high)), to_numpy(std::move(found.ks_most.low)));
        out["current_least"] = to_numpy(std::move(found.current_least));
        out["current_most"] = to_numpy(std::move(found.current_most));
        out["baseline_least"] = to_numpy(std::move(found.baseline_least));
        out["baseline_most"] = to_numpy(std::move(found.baseline_most));
        return out;
      },
      py::arg("baseline"), py::arg("current"));
  m.def(
      "rank_ties",
      [](Cells const& groups) {
        OccupiedCells const view = view_of(groups);
        Ties found = [&] {
          py::gil_scoped_release const release;
          return ties_of(view);
        }();
        return py::make_tuple(to_numpy(std::move(found.on_knots)), to_numpy(std::move(found.everywhere)));
      },
      py::arg("groups"));
  m.def("read_cells", &cells_of, py::arg("cells"), py::arg("gaps"), py::arg("size"));
  m.def("find_cells", &places_of, py::arg("cells"), py::arg("group"), py::arg("wanted"));
  m.def("rows_on_knots", &knots_of, py::arg("cells"));
  m.def("register_counts", &register_counts, py::arg("registers"), py::arg("size"));
  m.def(
      "transport_between_knots",
      [](Cells const& baseline, Cells const& current, py::array const& position, std::int64_t first, std::int64_t last) {
        auto const views = std::pair{view_of(baseline), view_of(current)};
        bool const floats = position.dtype().kind() == 'f';
        if (position.ndim() != 1 || position.itemsize() != 8 || (!floats && position.dtype().kind() != 'u') ||
            (position.size() > 1 && position.strides(0) != position.itemsize()))
          throw InvalidInput("the positions of knots must be a contiguous array of float64 or uint64.");
        if (first < 0 || last > position.size()) throw InvalidInput("a grid has fewer knots than its finite ones.");
        KnotAxis const axis{floats ? static_cast<double const*>(position.data()) : nullptr,
                            floats ? nullptr : static_cast<std::uint64_t const*>(position.data()), first, last};
        Bounds found;
        {
          py::gil_scoped_release const release;
          found = transport_between_knots(views.first, views.second, axis);
        }
        return bounds_to_numpy(std::move(found));
      },
      py::arg("baseline"), py::arg("current"), py::arg("position"), py::arg("first"), py::arg("last"));
}

}  // namespace modelwatch::binding
