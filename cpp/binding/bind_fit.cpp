#include "binding/fit_arguments.hpp"
#include "engine/fit.hpp"
#include "engine/intervals.hpp"

namespace modelwatch::binding {
namespace {

template <class Number>
using Numbers = py::array_t<Number, py::array::c_style | py::array::forcecast>;
using Intervals = std::tuple<Numbers<std::uint64_t>, Numbers<std::int64_t>, Numbers<std::uint64_t>>;

KeyIntervals view_of(Intervals const& intervals) {
  auto const& [low, width, rows] = intervals;
  if (low.ndim() != 1 || width.ndim() != 1 || rows.ndim() != 1 || low.size() != width.size() || low.size() != rows.size())
    throw InvalidInput("every interval needs a low key, a width and its rows.");
  return {low.data(), width.data(), rows.data(), static_cast<std::size_t>(low.size())};
}

py::tuple intervals_to_numpy(KeyIntervalArrays&& found) {
  return py::make_tuple(to_numpy(std::move(found.low)), to_numpy(std::move(found.width)), to_numpy(std::move(found.rows)));
}

}  // namespace

void bind_fit(py::module_& m) {
  m.def(
      "knot_places",
      [](py::array_t<std::int64_t, py::array::c_style | py::array::forcecast> const& ends, py::array_t<std::int64_t, py::array::c_style | py::array::forcecast> const& heavy, std::int64_t most) {
        return to_numpy(knot_places(to_vector<std::int64_t>(ends), to_vector<std::int64_t>(heavy), most));
      },
      py::arg("ends"), py::arg("heavy"), py::arg("most"));
  m.def(
      "pieces_with_rows",
      [](Numbers<std::uint64_t> const& low, int width, int split, Numbers<std::uint64_t> const& rows) {
        checked_split(width, split);
        if (low.ndim() != 1 || rows.ndim() != 1 || rows.size() != low.size() << split)
          throw InvalidInput("every piece of every interval needs its rows.");
        return intervals_to_numpy(pieces_with_rows(low.data(), static_cast<std::size_t>(low.size()), width, split, rows.data()));
      },
      py::arg("low"), py::arg("width"), py::arg("split"), py::arg("rows"));
  m.def(
      "replaced_intervals",
      [](Intervals const& intervals, Numbers<std::int64_t> const& open, Intervals const& pieces) {
        if (open.ndim() != 1) throw InvalidInput("expected a one-dimensional array.");
        return intervals_to_numpy(replaced(view_of(intervals), open.data(), static_cast<std::size_t>(open.size()), view_of(pieces)));
      },
      py::arg("intervals"), py::arg("open"), py::arg("pieces"));
  py::class_<DistinctPass>(m, "DistinctPass")
      .def(py::init([](std::vector<int> const& domains, std::uint64_t cap) {
             std::vector<Domain> typed;
             for (int const d : domains) typed.push_back(domain_of(d));
             return DistinctPass(typed, cap);
           }),
           py::arg("domains"), py::arg("cap"))
      .def(
          "add",
          [](DistinctPass& pass, py::object const& batch, int threads) {
            auto const owner = import_array(batch);
            py::gil_scoped_release const release;
            pass.add(owner, threads, signal_poll());
          },
          py::arg("batch"), py::arg("threads") = 0)
      .def("column", [](DistinctPass& pass, std::size_t i) {
        return distinct_result(pass.column(i));
      });
  py::class_<SplitPass>(m, "SplitPass")
      .def(py::init([](std::vector<SplitArguments> const& columns) {
             std::vector<IntervalSplitter> typed;
             for (auto const& [domain, lows, width, split] : columns)
               typed.emplace_back(domain_of(domain), to_vector<std::uint64_t>(lows), width, split);
             return SplitPass(std::move(typed));
           }),
           py::arg("columns"))
      .def(
          "add",
          [](SplitPass& pass, py::object const& batch, int threads) {
            auto const owner = import_array(batch);
            py::gil_scoped_release const release;
            pass.add(owner, threads, signal_poll());
          },
          py::arg("batch"), py::arg("threads") = 0)
      .def("column", [](SplitPass const& pass, std::size_t i) {
        return to_numpy(pass.column(i).counts());
      });
  py::class_<KeepPass>(m, "KeepPass")
      .def(py::init([](std::vector<KeepArguments> const& columns) {
             std::vector<IntervalKeeper> typed;
             for (auto const& [domain, lows, widths] : columns)
               typed.emplace_back(domain_of(domain), to_vector<std::uint64_t>(lows), widths);
             return KeepPass(std::move(typed));
           }),
           py::arg("columns"))
      .def(
          "add",
          [](KeepPass& pass, py::object const& batch, int threads) {
            auto const owner = import_array(batch);
            py::gil_scoped_release const release;
            pass.add(owner, threads, signal_poll());
          },
          py::arg("batch"), py::arg("threads") = 0)
      .def("column", [](KeepPass const& pass, std::size_t i) {
        return to_numpy(std::vector<std::uint64_t>(pass.column(i).keys()));
      });
}

}  // namespace modelwatch::binding
