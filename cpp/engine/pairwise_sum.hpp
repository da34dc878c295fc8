#pragma once

#include <cstddef>

namespace modelwatch {

/// Sums of doubles in a fixed order whose rounding error grows with the logarithm of their number: up to 128 of them in
/// eight lanes, more of them by halves.  It is the order of `numpy.add.reduce` today, so that tables that were added up
/// there before keep their bits.
inline double pairwise_sum(double const* values, std::size_t count) {
  constexpr std::size_t kLanesOfSum = 8;
  constexpr std::size_t kBlock = 128;
  if (count < kLanesOfSum) {
    double total = -0.0;  // which adds to nothing, not even to the sign of a zero
    for (std::size_t i = 0; i < count; ++i) total += values[i];
    return total;
  }
  if (count <= kBlock) {
    double lane[kLanesOfSum];
    for (std::size_t j = 0; j < kLanesOfSum; ++j) lane[j] = values[j];
    std::size_t i = kLanesOfSum;
    for (; i + kLanesOfSum <= count; i += kLanesOfSum)
      for (std::size_t j = 0; j < kLanesOfSum; ++j) lane[j] += values[i + j];
    double total = ((lane[0] + lane[1]) + (lane[2] + lane[3])) + ((lane[4] + lane[5]) + (lane[6] + lane[7]));
    for (; i < count; ++i) total += values[i];
    return total;
  }
  std::size_t half = count / 2;
  half -= half % kLanesOfSum;
  return pairwise_sum(values, half) + pairwise_sum(values + half, count - half);
}

/// The same with the first value apart, as `numpy.add.reduceat` adds up a group; 0 for none.
inline double group_sum(double const* values, std::size_t count) {
  if (count == 0) return 0.0;
  return count == 1 ? values[0] : values[0] + pairwise_sum(values + 1, count - 1);
}

}  // namespace modelwatch
