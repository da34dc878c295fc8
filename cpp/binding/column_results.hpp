#pragma once
// What functions of a column by itself return to Python: one shape, whichever device answered.

#include "binding/support.hpp"
#include "engine/column_moments.hpp"
#include "engine/column_sketch.hpp"

namespace modelwatch::binding {

inline py::dict moments_result(ColumnMoments const& found) {
  py::dict out;
  out["count"] = found.moments.count;
  out["mean"] = found.moments.mean;
  out["m2"] = found.moments.m2;
  out["m3"] = found.moments.m3;
  out["m4"] = found.moments.m4;
  out["pivot"] = found.pivot;
  out["null"] = found.kinds.null;
  out["nan"] = found.kinds.nan;
  out["positive_infinity"] = found.kinds.positive_infinity;
  out["negative_infinity"] = found.kinds.negative_infinity;
  out["zero"] = found.kinds.zero;
  out["low"] = found.kinds.low;
  out["high"] = found.kinds.high;
  return out;
}

inline py::dict log_linear_result(LogLinearCounts const& found) {
  std::vector<std::uint32_t> buckets;
  std::vector<std::uint64_t> counts;
  found.buckets.each([&](std::uint32_t bucket, std::uint64_t count) {
    buckets.push_back(bucket);
    counts.push_back(count);
  });
  py::dict out;
  out["bucket"] = to_numpy(std::move(buckets));
  out["count"] = to_numpy(std::move(counts));
  out["nan"] = found.nan;
  out["null"] = found.null;
  return out;
}

inline py::dict registers_result(ColumnRegisters const& found) {
  auto const& ranks = found.registers.ranks();
  py::dict out;
  out["registers"] = to_numpy(std::vector<std::uint8_t>(ranks.begin(), ranks.end()));
  out["values"] = found.values;
  return out;
}

}  // namespace modelwatch::binding
