#pragma once
// What the passes of a fit take and return, the same of every device.

#include <tuple>

#include "binding/support.hpp"
#include "engine/fit.hpp"

namespace modelwatch::binding {

/// Domain, lows, width, split.
using SplitArguments = std::tuple<int, py::array_t<std::uint64_t>, int, int>;
/// Domain, lows, widths.
using KeepArguments = std::tuple<int, py::array_t<std::uint64_t>, std::vector<int>>;

/// Column is DistinctValues, or what counts as it does.
template <class Column>
py::dict distinct_result(Column const& column) {
  std::vector<std::uint64_t> keys;
  std::vector<std::uint64_t> counts;
  column.sorted(keys, counts);
  py::dict out;
  out["rows"] = column.rows();
  out["nulls"] = column.nulls();
  out["nans"] = column.nans();
  out["overflowed"] = column.overflowed();
  out["top"] = to_numpy(std::vector<std::uint64_t>(column.top()));
  out["keys"] = to_numpy(std::move(keys));
  out["counts"] = to_numpy(std::move(counts));
  return out;
}

}  // namespace modelwatch::binding
