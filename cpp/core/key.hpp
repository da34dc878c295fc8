#pragma once

#include <cstdint>

#include "core/macros.hpp"

namespace modelwatch {

/// Order-preserving integer keys: a < b as values exactly when key(a) < key(b) as integers.
/// -0.0 has the key of 0.0.  Only integer operations, so a host that flushes subnormals changes nothing.
/// NaN has no key: ask `missing` first.
template <class Value>
struct KeyOf;

template <>
struct KeyOf<float> {
  using Key = std::uint32_t;
  static constexpr Key kSign = 0x80000000u;
  static constexpr Key kInfinity = 0x7f800000u;
  static MW_HD Key bits(float x) { return __builtin_bit_cast(Key, x); }
  static MW_HD bool missing(float x) { return (bits(x) & ~kSign) > kInfinity; }
  static MW_HD bool finite(float x) { return (bits(x) & ~kSign) < kInfinity; }
  static MW_HD Key key(float x) {
    Key b = bits(x);
    b = b == kSign ? 0 : b;
    return b ^ (static_cast<Key>(-static_cast<std::int32_t>(b >> 31)) | kSign);
  }
  static MW_HD float value(Key k) {
    Key const b = (k & kSign) != 0 ? k ^ kSign : ~k;
    return __builtin_bit_cast(float, b);
  }
};

template <>
struct KeyOf<double> {
  using Key = std::uint64_t;
  static constexpr Key kSign = 0x8000000000000000u;
  static constexpr Key kInfinity = 0x7ff0000000000000u;
  static MW_HD Key bits(double x) { return __builtin_bit_cast(Key, x); }
  static MW_HD bool missing(double x) { return (bits(x) & ~kSign) > kInfinity; }
  static MW_HD bool finite(double x) { return (bits(x) & ~kSign) < kInfinity; }
  static MW_HD Key key(double x) {
    Key b = bits(x);
    b = b == kSign ? 0 : b;
    return b ^ (static_cast<Key>(-static_cast<std::int64_t>(b >> 63)) | kSign);
  }
  static MW_HD double value(Key k) {
    Key const b = (k & kSign) != 0 ? k ^ kSign : ~k;
    return __builtin_bit_cast(double, b);
  }
};

template <>
struct KeyOf<std::int64_t> {
  using Key = std::uint64_t;
  static constexpr Key kSign = 0x8000000000000000u;
  static MW_HD bool missing(std::int64_t) { return false; }
  static MW_HD bool finite(std::int64_t) { return true; }
  static MW_HD Key key(std::int64_t x) { return static_cast<Key>(x) ^ kSign; }
  static MW_HD std::int64_t value(Key k) { return static_cast<std::int64_t>(k ^ kSign); }
};

template <>
struct KeyOf<std::uint64_t> {
  using Key = std::uint64_t;
  static MW_HD bool missing(std::uint64_t) { return false; }
  static MW_HD bool finite(std::uint64_t) { return true; }
  static MW_HD Key key(std::uint64_t x) { return x; }
  static MW_HD std::uint64_t value(Key k) { return k; }
};

}  // namespace modelwatch
