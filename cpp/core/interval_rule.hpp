#pragma once
// Intervals [low, low + 2^width) of key space, sorted, that do not overlap (engine/fit.hpp).

#include <cstdint>

#include "core/macros.hpp"

namespace modelwatch {

inline constexpr std::uint32_t kNoInterval = 0xffffffffu;

/// The last key of an interval of so many bits that begins at 0.
MW_HD std::uint64_t last_of_width(int width) { return width == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << width) - 1; }

/// How many of some sorted numbers are at or below x.
template <class Number, class Count>
MW_HD Count count_upto(Number const* sorted, Count count, Number x) {
  Count below = 0;
  while (count != 0) {
    Count const half = count / 2;
    bool const take = sorted[below + half] <= x;
    below += take ? half + 1 : 0;
    count = take ? count - half - 1 : half;
  }
  return below;
}

/// A view of intervals.
struct IntervalsView {
  std::uint64_t const* lows;
  std::int32_t const* widths;
  std::uint32_t count;

  /// The interval that holds a key, or kNoInterval.
  MW_HD std::uint32_t find(std::uint64_t key) const {
    std::uint32_t const upto = count_upto(lows, count, key);
    if (upto == 0) return kNoInterval;
    return key - lows[upto - 1] <= last_of_width(widths[upto - 1]) ? upto - 1 : kNoInterval;
  }
};

}  // namespace modelwatch
