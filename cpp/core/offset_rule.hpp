#pragma once

#include <cstdint>

#include "core/macros.hpp"

namespace modelwatch {

/// Where in its gap (lower, upper) does x lie?  The fraction (x - lower) / (upper - lower) in units of 2^-32,
/// rounded to nearest.  One subtraction, one division, one multiplication by a power of two: the same bits everywhere.
MW_HD std::uint64_t fixed_fraction(double distance, double width) {
  double const fraction = distance / width;
  return static_cast<std::uint64_t>(fraction * 4294967296.0 + 0.5);
}

/// Halved first where the width of the gap itself would overflow to infinity.
MW_HD std::uint64_t gap_offset(double x, double lower, double upper) {
  double const width = upper - lower;
  return width <= 1.7976931348623157e308 ? fixed_fraction(x - lower, width)
                                         : fixed_fraction(x * 0.5 - lower * 0.5, upper * 0.5 - lower * 0.5);
}
MW_HD std::uint64_t gap_offset(float x, float lower, float upper) {
  return gap_offset(static_cast<double>(x), static_cast<double>(lower), static_cast<double>(upper));
}
/// Integers are subtracted as integers, so values beyond 2^53 keep every bit of the distance.
MW_HD std::uint64_t gap_offset(std::uint64_t x, std::uint64_t lower, std::uint64_t upper) {
  return fixed_fraction(static_cast<double>(x - lower), static_cast<double>(upper - lower));
}
MW_HD std::uint64_t gap_offset(std::int64_t x, std::int64_t lower, std::int64_t upper) {
  return gap_offset(static_cast<std::uint64_t>(x), static_cast<std::uint64_t>(lower), static_cast<std::uint64_t>(upper));
}

}  // namespace modelwatch
