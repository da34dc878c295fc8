#pragma once

#include <cstdint>

#include "core/macros.hpp"

namespace modelwatch {

inline constexpr int kWideLimbs = 36;
/// Bit of the accumulator that is worth one: the smallest subnormal double is bit 0.
inline constexpr int kWideUnitBit = 1074;

/// An exact sum of doubles or 64-bit integers: a two's complement fixed-point number of 2304 bits whose last bit is
/// 2^-1074.  2^200 terms fit, so it never rounds and never depends on the order of addition.
struct WideSum {
  std::uint64_t limbs[kWideLimbs];

  MW_HD void add_shifted(std::uint64_t magnitude, int bit, bool negative) {
    int const limb = bit / 64;
    int const shift = bit % 64;
    std::uint64_t const low = magnitude << shift;
    std::uint64_t const high = shift != 0 ? magnitude >> (64 - shift) : 0;
    if (negative) {
      std::uint64_t borrow = limbs[limb] < low;
      limbs[limb] -= low;
      std::uint64_t part = high;
      for (int i = limb + 1; i < kWideLimbs && (part != 0 || borrow != 0); ++i) {
        std::uint64_t const before = limbs[i];
        limbs[i] = before - part - borrow;
        borrow = before < part || (before == part && borrow != 0);
        part = 0;
      }
    } else {
      limbs[limb] += low;
      std::uint64_t carry = limbs[limb] < low;
      std::uint64_t part = high;
      for (int i = limb + 1; i < kWideLimbs && (part != 0 || carry != 0); ++i) {
        std::uint64_t const before = limbs[i];
        limbs[i] = before + part + carry;
        carry = limbs[i] < before || (carry != 0 && limbs[i] == before);
        part = 0;
      }
    }
  }
  MW_HD void add(double x) {
    std::uint64_t const bits = __builtin_bit_cast(std::uint64_t, x);
    int const exponent = static_cast<int>((bits >> 52) & 0x7ff);
    std::uint64_t const fraction = bits & 0xfffffffffffffu;
    std::uint64_t const magnitude = exponent != 0 ? fraction | (std::uint64_t{1} << 52) : fraction;
    if (magnitude != 0) add_shifted(magnitude, exponent != 0 ? exponent - 1 : 0, (bits >> 63) != 0);
  }
  /// `times` times x: the magnitude of at most 53 bits times 32 bits, in two halves of 64.
  MW_HD void add(double x, std::uint32_t times) {
    std::uint64_t const bits = __builtin_bit_cast(std::uint64_t, x);
    int const exponent = static_cast<int>((bits >> 52) & 0x7ff);
    std::uint64_t const fraction = bits & 0xfffffffffffffu;
    add_product(exponent != 0 ? fraction | (std::uint64_t{1} << 52) : fraction, times, exponent != 0 ? exponent - 1 : 0, (bits >> 63) != 0);
  }
  MW_HD void add(float x, std::uint32_t times) { add(static_cast<double>(x), times); }
  MW_HD void add(std::int64_t x, std::uint32_t times) {
    add_product(x < 0 ? std::uint64_t{0} - static_cast<std::uint64_t>(x) : static_cast<std::uint64_t>(x), times, kWideUnitBit, x < 0);
  }
  MW_HD void add(std::uint64_t x, std::uint32_t times) { add_product(x, times, kWideUnitBit, false); }
  MW_HD void add_product(std::uint64_t magnitude, std::uint32_t times, int bit, bool negative) {
    std::uint64_t const low = (magnitude & 0xffffffffu) * times;
    std::uint64_t const high = (magnitude >> 32) * times;
    if (low != 0) add_shifted(low, bit, negative);
    if (high != 0) add_shifted(high, bit + 32, negative);
  }
  MW_HD void add(float x) { add(static_cast<double>(x)); }
  MW_HD void add(std::int64_t x) {
    std::uint64_t const magnitude = x < 0 ? std::uint64_t{0} - static_cast<std::uint64_t>(x) : static_cast<std::uint64_t>(x);
    if (magnitude != 0) add_shifted(magnitude, kWideUnitBit, x < 0);
  }
  MW_HD void add(std::uint64_t x) {
    if (x != 0) add_shifted(x, kWideUnitBit, false);
  }
};

}  // namespace modelwatch
