#pragma once

#include <cstdint>

#include "core/macros.hpp"

namespace modelwatch {

/// Order-preserving integer keys: a < b as values exactly when key(a) < key(b) as integers.
/// -0.0 has the key of 0.0.  Only integer operations, so a host that flushes subnormals changes nothing.
/// NaN has no key: ask `missing` first.
template <class Value>
struct KeyOf;

/// Floats: the sign bit is set for positive numbers, and all bits are inverted for negative ones.
template <class Value, class Bits, Bits kInfinityBits>
struct FloatKey {
  using Key = Bits;
  static constexpr Key kSign = Key{1} << (8 * sizeof(Key) - 1);
  static constexpr Key kInfinity = kInfinityBits;
  /// A grid of floats begins with -inf, so no key is below all its knots.
  static constexpr bool kLowestIsKnot = true;
  static constexpr Key kLowest = static_cast<Key>(~(kInfinityBits | kSign));  // of -inf
  static MW_HD Key bits(Value x) { return __builtin_bit_cast(Key, x); }
  static MW_HD bool missing(Value x) { return (bits(x) & ~kSign) > kInfinity; }
  static MW_HD bool finite(Value x) { return (bits(x) & ~kSign) < kInfinity; }
  static MW_HD Key key(Value x) {
    Key b = bits(x);
    b = b == kSign ? 0 : b;
    Key const negative = Key{0} - (b >> (8 * sizeof(Key) - 1));  // all ones or none
    return b ^ (negative | kSign);
  }
  static MW_HD Value value(Key k) {
    // Without a branch: signs come in no order that could be foretold.
    Key const negative = (k >> (8 * sizeof(Key) - 1)) - 1;  // all ones or none
    return __builtin_bit_cast(Value, static_cast<Key>(k ^ (negative | kSign)));
  }
};

template <>
struct KeyOf<float> : FloatKey<float, std::uint32_t, 0x7f800000u> {};

template <>
struct KeyOf<double> : FloatKey<double, std::uint64_t, 0x7ff0000000000000u> {};

template <>
struct KeyOf<std::int64_t> {
  using Key = std::uint64_t;
  static constexpr Key kSign = 0x8000000000000000u;
  static constexpr bool kLowestIsKnot = false;
  static constexpr Key kLowest = 0;
  static MW_HD bool missing(std::int64_t) { return false; }
  static MW_HD bool finite(std::int64_t) { return true; }
  static MW_HD Key key(std::int64_t x) { return static_cast<Key>(x) ^ kSign; }
  static MW_HD std::int64_t value(Key k) { return static_cast<std::int64_t>(k ^ kSign); }
};

template <>
struct KeyOf<std::uint64_t> {
  using Key = std::uint64_t;
  static constexpr bool kLowestIsKnot = false;
  static constexpr Key kLowest = 0;
  static MW_HD bool missing(std::uint64_t) { return false; }
  static MW_HD bool finite(std::uint64_t) { return true; }
  static MW_HD Key key(std::uint64_t x) { return x; }
  static MW_HD std::uint64_t value(Key k) { return k; }
};

}  // namespace modelwatch
