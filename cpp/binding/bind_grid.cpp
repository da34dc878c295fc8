#include "binding/bins_arguments.hpp"
#include "binding/pair_arguments.hpp"
#include "binding/support.hpp"
#include "engine/bins.hpp"
#include "engine/grid.hpp"
#include "reference/reference.hpp"

namespace modelwatch::binding {
namespace {

/// A column as the reference wants it.
template <class Stored, class Value>
reference::Rows<Value> rows_of_view(NumericView const& view) {
  reference::Rows<Value> rows(static_cast<std::size_t>(view.rows));
  for (std::int64_t i = 0; i < view.rows; ++i)
    if (view.validity.valid(i)) rows[static_cast<std::size_t>(i)] = static_cast<Value>(static_cast<Stored const*>(view.values)[i]);
  return rows;
}

template <class F>
auto with_rows(NumericView const& view, F f) {
  switch (view.storage) {
    case Storage::float32: return f(rows_of_view<float, float>(view));
    case Storage::float64: return f(rows_of_view<double, double>(view));
    case Storage::int64: return f(rows_of_view<std::int64_t, std::int64_t>(view));
    case Storage::uint64: return f(rows_of_view<std::uint64_t, std::uint64_t>(view));
    default: throw InvalidInput("the reference takes float32, float64, int64 and uint64.");
  }
}

template <class Value>
std::vector<Value> knots_as(NumericView const& knots) {
  return {static_cast<Value const*>(knots.values), static_cast<Value const*>(knots.values) + knots.rows};
}

py::dict moments_dict(Moments const& m) {
  py::dict out;
  out["count"] = m.count;
  out["mean"] = m.mean;
  out["m2"] = m.m2;
  out["m3"] = m.m3;
  out["m4"] = m.m4;
  return out;
}

void bind_reference(py::module_& m) {
  py::module_ reference = m.def_submodule("reference", "The obvious loops the engine is tested against.");
  reference.def("count_cells", [](py::object const& values, py::object const& knots) {
    auto const owner = import_array(values);
    auto const knot_owner = import_array(knots);
    auto const knot_view = numeric_view(single_column(*knot_owner));
    auto const view = numeric_view(single_column(*owner));
    if (view.storage != knot_view.storage) throw InvalidInput("values and knots must have one type.");
    return to_numpy(with_rows(view, [&]<class Value>(reference::Rows<Value> const& rows) {
      return reference::count_cells(rows, knots_as<Value>(knot_view));
    }));
  });
  reference.def("moments", [](py::object const& values) {
    auto const owner = import_array(values);
    return moments_dict(with_rows(numeric_view(single_column(*owner)), []<class Value>(reference::Rows<Value> const& rows) {
      return reference::moments(rows, Value{0});
    }));
  });
  reference.def(
      "pair_sums",
      [](Matrix const& x, Matrix const& y, Scales const& scales) {
        auto const all = to_vector(scales);
        return pair_result(with_matrices(x, y, all, [&]<class Value>(MatrixView<Value> const& a, MatrixView<Value> const& b) {
          auto const rows_of = [](MatrixView<Value> const& side) {
            return std::vector<Value>(side.values, side.values + side.rows * side.dimensions);
          };
          py::gil_scoped_release const release;
          return reference::pair_sums(rows_of(a), rows_of(b), static_cast<std::size_t>(a.dimensions), all);
        }));
      },
      py::arg("x"), py::arg("y"), py::arg("scales"));
}

}  // namespace

void bind_grid(py::module_& m) {
  py::class_<Grid, std::shared_ptr<Grid>>(m, "Grid")
      .def(py::init([](int domain, Keys const& knots) { return std::make_shared<Grid>(domain_of(domain), to_vector(knots)); }),
           py::arg("domain"), py::arg("knots"))
      .def_property_readonly("domain", [](Grid const& g) { return static_cast<int>(g.domain()); })
      .def_property_readonly("count", &Grid::count)
      .def_property_readonly("slots", &Grid::slots)
      .def_property_readonly("lower_tail", &Grid::lower_tail)
      .def_property_readonly("upper_tail", &Grid::upper_tail)
      .def_property_readonly("knots", [](Grid const& g) { return to_numpy(std::vector<std::uint64_t>(g.knots())); });

  m.def(
      "count_cells",
      [](py::object const& values, Grid const& grid, int threads) {
        auto const owner = import_array(values);
        auto const view = numeric_view(single_column(*owner));
        std::vector<std::uint64_t> counts;
        {
          py::gil_scoped_release const release;
          counts = count_cells(view, grid, threads, signal_poll());
        }
        return to_numpy(std::move(counts));
      },
      py::arg("values"), py::arg("grid"), py::arg("threads") = 0);
  m.def(
      "count_bins",
      [](py::object const& values, int domain, Keys const& cuts, int threads) {
        auto const owner = import_array(values);
        auto const view = numeric_view(single_column(*owner));
        auto const keys = to_vector(cuts);
        std::vector<std::uint64_t> counts;
        {
          py::gil_scoped_release const release;
          counts = count_bins(view, domain_of(domain), keys, threads, signal_poll());
        }
        return to_numpy(std::move(counts));
      },
      py::arg("values"), py::arg("domain"), py::arg("cuts"), py::arg("threads") = 0);
  m.def(
      "count_bins_of",
      [](py::list const& columns, int domain, std::vector<Keys> const& cuts, Groups const& groups, std::int32_t group_count, int threads) {
        std::vector<std::shared_ptr<ArrowOwner const>> owners;
        std::vector<NumericView> views;
        for (auto const& column : columns) {
          owners.push_back(import_array(py::reinterpret_borrow<py::object>(column)));
          views.push_back(numeric_view(single_column(*owners.back())));
        }
        auto const keys = cuts_of(cuts);
        auto const of_row = row_groups(groups, group_count);
        std::vector<std::vector<std::uint64_t>> counts;
        {
          py::gil_scoped_release const release;
          counts = count_bins_of(views, domain_of(domain), keys, of_row, threads, signal_poll());
        }
        return bins_result(std::move(counts), groups.has_value(), group_count);
      },
      py::arg("columns"), py::arg("domain"), py::arg("cuts"), py::arg("groups") = py::none(), py::arg("group_count") = 1,
      py::arg("threads") = 0);
  m.def(
      "rank_cells",
      [](py::object const& values, Grid const& grid) {
        auto const owner = import_array(values);
        auto const view = numeric_view(single_column(*owner));
        std::vector<std::uint32_t> cells;
        {
          py::gil_scoped_release const release;
          cells = rank_cells(view, grid);
        }
        return to_numpy(std::move(cells));
      },
      py::arg("values"), py::arg("grid"));
  m.def(
      "sup_distance",
      [](py::object const& a, py::object const& b) {
        auto const owner_a = import_array(a);
        auto const owner_b = import_array(b);
        auto const one = numeric_view(single_column(*owner_a));
        auto const other = numeric_view(single_column(*owner_b));
        check_sorted_sides(one, other);
        auto const of = [&]<class Value>(Value) {
          py::gil_scoped_release const release;
          auto const* const left = static_cast<Value const*>(one.values);
          auto const* const right = static_cast<Value const*>(other.values);
          check_no_nan(left, one.rows);
          check_no_nan(right, other.rows);
          return sup_distance(left, one.rows, right, other.rows);
        };
        switch (one.storage) {
          case Storage::float32: return of(float{});
          case Storage::float64: return of(double{});
          case Storage::int64: return of(std::int64_t{});
          case Storage::uint64: return of(std::uint64_t{});
          default: return std::int64_t{0};  // refused above
        }
      },
      py::arg("a"), py::arg("b"));
  m.def(
      "interval_of",
      [](py::object const& values, py::array_t<std::int64_t, py::array::c_style | py::array::forcecast> const& boundaries) {
        auto const owner = import_array(values);
        auto const view = numeric_view(single_column(*owner));
        auto const edges = to_vector(boundaries);
        Intervals out;
        {
          py::gil_scoped_release const release;
          out = interval_of(view, edges);
        }
        return py::make_tuple(to_numpy(std::move(out.of_row)), to_numpy(std::move(out.rows)));
      },
      py::arg("values"), py::arg("boundaries"));
  m.def(
      "unknown_pairs",
      [](py::array_t<std::int32_t, py::array::c_style> const& a, py::array_t<std::int32_t, py::array::c_style> const& b, std::int64_t many,
         py::array_t<std::int32_t, py::array::c_style> const& numbers) {
        if (a.ndim() != 1 || b.ndim() != 1 || a.size() != b.size()) throw InvalidInput("every row needs both numbers.");
        if (numbers.ndim() != 1) throw InvalidInput("numbers are one after the other.");
        std::vector<std::int64_t> out;
        {
          py::gil_scoped_release const release;
          out = unknown_pairs(a.data(), b.data(), many, a.size(), numbers.data(), numbers.size());
        }
        return to_numpy(std::move(out));
      },
      py::arg("a"), py::arg("b"), py::arg("many"), py::arg("numbers"));
  m.def(
      "known_groups",
      [](py::array_t<std::int32_t, py::array::c_style> const& a, py::array_t<std::int32_t, py::array::c_style> const& b, std::int64_t many,
         py::array_t<std::int32_t, py::array::c_style> const& numbers, py::array_t<std::int64_t, py::array::c_style>& counts) {
        if (a.ndim() != 1 || b.ndim() != 1 || a.size() != b.size()) throw InvalidInput("every row needs both numbers.");
        if (numbers.ndim() != 1 || counts.ndim() != 1) throw InvalidInput("numbers are one after the other.");
        std::vector<std::int32_t> out(static_cast<std::size_t>(a.size()));
        std::int64_t* const own = counts.mutable_data();
        bool known = false;
        {
          py::gil_scoped_release const release;
          known = known_groups(a.data(), b.data(), many, a.size(), numbers.data(), numbers.size(), own, counts.size(), out.data());
        }
        return py::make_tuple(to_numpy(std::move(out)), known);
      },
      py::arg("a"), py::arg("b"), py::arg("many"), py::arg("numbers"), py::arg("counts").noconvert());
  m.def(
      "renumber",
      [](py::array_t<std::int32_t, py::array::c_style>& numbers, py::array_t<std::int32_t, py::array::c_style> const& to) {
        if (numbers.ndim() != 1 || to.ndim() != 1) throw InvalidInput("numbers are one after the other.");
        std::int32_t* const own = numbers.mutable_data();
        py::gil_scoped_release const release;
        renumber(own, numbers.size(), to.data(), to.size());
      },
      py::arg("numbers").noconvert(), py::arg("to"));
  bind_reference(m);
}

}  // namespace modelwatch::binding
