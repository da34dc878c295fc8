#pragma once

#include <cstdint>

#include "core/macros.hpp"

namespace modelwatch {

/// How many rows of a column are special, and the range of the finite values as keys of the column's domain.
/// Exact: merging is by sums and extremes.
struct ValueKinds {
  std::uint64_t null = 0;
  std::uint64_t nan = 0;
  std::uint64_t positive_infinity = 0;
  std::uint64_t negative_infinity = 0;
  std::uint64_t zero = 0;  // -0.0 as well
  std::uint64_t low = ~std::uint64_t{0};
  std::uint64_t high = 0;

  MW_HD void merge(ValueKinds const& b) {
    null += b.null;
    nan += b.nan;
    positive_infinity += b.positive_infinity;
    negative_infinity += b.negative_infinity;
    zero += b.zero;
    low = b.low < low ? b.low : low;
    high = b.high > high ? b.high : high;
  }
};

}  // namespace modelwatch
