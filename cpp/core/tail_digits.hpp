#pragma once

#include <cstdint>
#include <type_traits>

#include "core/key.hpp"
#include "core/macros.hpp"
#include "core/wide_sum.hpp"

namespace modelwatch {

/// An exact sum that many threads add to: a WideSum in digits of 32 bits, each a counter of 64 bits in two's complement.
/// A row changes four of them by less than 2^32, so 2^31 rows fit before the digits must be put together.
inline constexpr int kTailDigits = 2 * kWideLimbs;

/// Calls add(digit, by) for the digits that `times` times x changes, of which there are at most four; x is finite.
template <class Value, class F>
MW_HD void each_tail_digit(Value x, std::uint32_t times, F add) {
  std::uint64_t magnitude;
  int bit = kWideUnitBit;
  bool negative;
  if constexpr (KeyOf<Value>::kLowestIsKnot) {
    std::uint64_t const bits = KeyOf<double>::bits(static_cast<double>(x));
    auto const exponent = static_cast<int>((bits >> 52) & 0x7ff);
    // Subnormals have the exponent of the smallest normal numbers, and no hidden bit.
    magnitude = (bits & 0xfffffffffffffu) | (exponent != 0 ? std::uint64_t{1} << 52 : 0);
    bit = exponent != 0 ? exponent - 1 : 0;
    negative = (bits >> 63) != 0;
  } else {
    negative = std::is_signed_v<Value> && (static_cast<std::uint64_t>(x) >> 63) != 0;
    magnitude = negative ? std::uint64_t{0} - static_cast<std::uint64_t>(x) : static_cast<std::uint64_t>(x);
  }
  // The product has at most 96 bits, and 127 where its digit begins.
  std::uint64_t const low = (magnitude & 0xffffffffu) * times;
  std::uint64_t const high = (magnitude >> 32) * times + (low >> 32);
  int const shift = bit % 32;
  int const first = bit / 32;
  std::uint64_t part = low & 0xffffffffu;
  std::uint64_t rest = high;
  std::uint64_t carry = 0;
  for (int i = 0; i < 4; ++i) {
    std::uint64_t const shifted = (part << shift) + carry;
    part = rest & 0xffffffffu;
    rest >>= 32;
    std::uint64_t const digit = shifted & 0xffffffffu;
    carry = shifted >> 32;
    if (digit != 0) add(first + i, negative ? std::uint64_t{0} - digit : digit);
  }
}

/// Adds the digits up.
MW_HD void add_digits(WideSum& sum, std::uint64_t const* digits) {
  for (int i = 0; i < kTailDigits; ++i) {
    bool const negative = (digits[i] >> 63) != 0;
    std::uint64_t const magnitude = negative ? std::uint64_t{0} - digits[i] : digits[i];
    if (magnitude != 0) sum.add_shifted(magnitude, 32 * i, negative);
  }
}

}  // namespace modelwatch
