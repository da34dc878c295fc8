#pragma once

#include <cstdint>

#include "core/macros.hpp"

namespace modelwatch {

/// Where in its gap (lower, upper) does x lie?  The fraction (x - lower) / (upper - lower) in units of 2^-32, rounded to
/// nearest.  One subtraction and one multiplication, by a factor that each gap has once: the same bits everywhere, and
/// within 2^-20 units of the exact quotient before it is rounded.
struct GapRule {
  std::uint64_t lower;     // the lower end: the bits of a double, times gap_scale; or the integer, since integers are
                           // subtracted as integers, so values beyond 2^53 keep every bit of the distance
  double units_per_width;  // 2^32 / width; 0 in a tail, where every fraction is 0
};

MW_HD GapRule tail_rule() { return {0, 0.0}; }

/// The power of two that keeps the width of a gap between doubles, and the factor, finite.
MW_HD double gap_scale(double lower, double upper) {
  double const width = upper - lower;
  if (width > 1.7976931348623157e308) return 0.5;
  return width < 0x1p-900 ? 0x1p200 : 1.0;  // exact: what lies in so narrow a gap is below 2^-800
}
MW_HD GapRule rule_of_gap(double lower, double upper) {
  double const scale = gap_scale(lower, upper);
  return {__builtin_bit_cast(std::uint64_t, lower * scale), 4294967296.0 / (upper * scale - lower * scale)};
}
/// Between floats no width is that extreme.
MW_HD GapRule rule_of_gap(float lower, float upper) { return rule_of_gap(static_cast<double>(lower), static_cast<double>(upper)); }
MW_HD GapRule rule_of_gap(std::uint64_t lower, std::uint64_t upper) { return {lower, 4294967296.0 / static_cast<double>(upper - lower)}; }
MW_HD GapRule rule_of_gap(std::int64_t lower, std::int64_t upper) {
  return rule_of_gap(static_cast<std::uint64_t>(lower), static_cast<std::uint64_t>(upper));
}

/// x is a double times gap_scale.
MW_HD double distance_in(double x, GapRule const& gap) { return x - __builtin_bit_cast(double, gap.lower); }
MW_HD double distance_in(float x, GapRule const& gap) { return distance_in(static_cast<double>(x), gap); }
MW_HD double distance_in(std::uint64_t x, GapRule const& gap) { return static_cast<double>(x - gap.lower); }
MW_HD double distance_in(std::int64_t x, GapRule const& gap) { return distance_in(static_cast<std::uint64_t>(x), gap); }

template <class Value>
MW_HD std::uint64_t gap_offset(Value x, GapRule const& gap) {
  return static_cast<std::uint64_t>(static_cast<std::int64_t>(distance_in(x, gap) * gap.units_per_width + 0.5));
}
MW_HD std::uint64_t gap_offset(double x, double lower, double upper) {
  return gap_offset(x * gap_scale(lower, upper), rule_of_gap(lower, upper));
}
template <class Value>
MW_HD std::uint64_t gap_offset(Value x, Value lower, Value upper) {
  return gap_offset(x, rule_of_gap(lower, upper));
}

}  // namespace modelwatch
