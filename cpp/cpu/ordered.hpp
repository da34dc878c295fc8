#pragma once

#include <cstdint>

#include "core/macros.hpp"
#include "cpu/bin_data.hpp"

namespace modelwatch::cpu {

/// What the histogram kernels see of a stored value: a signed key, a < b exactly when key(a) < key(b), and a guess in the
/// type whose difference from an origin is taken before it is rounded to float.
/// Keys are cheaper than those of core/key.hpp: -0.0 has -1, just below the 0 of 0.0, so a cut at 0 is put at -1.
template <class Stored, class KeyType, class WideType>
struct OrderedInteger {
  using Key = KeyType;
  using Wide = WideType;
  static MW_HD Key key(Stored x) { return static_cast<Key>(x); }
  template <Guess>
  static MW_HD Wide guess(Stored x) {
    return static_cast<Wide>(x);
  }
};

template <class Stored>
struct Ordered;
template <>
struct Ordered<std::int8_t> : OrderedInteger<std::int8_t, std::int32_t, float> {};
template <>
struct Ordered<std::int16_t> : OrderedInteger<std::int16_t, std::int32_t, float> {};
template <>
struct Ordered<std::int32_t> : OrderedInteger<std::int32_t, std::int32_t, float> {};
template <>
struct Ordered<std::int64_t> : OrderedInteger<std::int64_t, std::int64_t, double> {};
template <>
struct Ordered<std::uint8_t> : OrderedInteger<std::uint8_t, std::int32_t, float> {};
template <>
struct Ordered<std::uint16_t> : OrderedInteger<std::uint16_t, std::int32_t, float> {};
template <>
struct Ordered<std::uint32_t> : OrderedInteger<std::uint32_t, std::int64_t, double> {};
template <>
struct Ordered<std::uint64_t> {
  using Key = std::int64_t;
  using Wide = double;
  static MW_HD Key key(std::uint64_t x) { return static_cast<Key>(x ^ (std::uint64_t{1} << 63)); }
  template <Guess>
  static MW_HD Wide guess(std::uint64_t x) {
    return static_cast<Wide>(x);
  }
};
template <>
struct Ordered<float> {
  using Key = std::int32_t;
  using Wide = float;
  static MW_HD Key key(float x) {
    auto const b = __builtin_bit_cast(std::int32_t, x);
    return b ^ static_cast<std::int32_t>(static_cast<std::uint32_t>(b >> 31) >> 1);
  }
  template <Guess kGuess>
  static MW_HD Wide guess(float x) {
    return kGuess == Guess::bits ? static_cast<float>(key(x)) : x;
  }
};
template <>
struct Ordered<double> {
  using Key = std::int64_t;
  using Wide = double;
  static MW_HD Key key(double x) {
    auto const b = __builtin_bit_cast(std::int64_t, x);
    return b ^ static_cast<std::int64_t>(static_cast<std::uint64_t>(b >> 63) >> 1);
  }
  template <Guess kGuess>
  static MW_HD Wide guess(double x) {
    // The upper half says enough, and becomes a double in one instruction.
    return kGuess == Guess::bits ? static_cast<double>(static_cast<std::int32_t>(key(x) >> 32)) : x;
  }
};

/// (guess - origin) * scale: in the arithmetic that every instruction set and the builder of the tables share.
template <class Stored, Guess kGuess>
MW_HD float placed(Stored x, typename Ordered<Stored>::Wide origin, float scale) {
  return static_cast<float>(Ordered<Stored>::template guess<kGuess>(x) - origin) * scale;
}

/// guess * scale + shift, rounded once in the wide type, and then to float.  Never decreases where scale > 0.
template <class Stored, Guess kGuess>
MW_HD float looked_up(Stored x, typename Ordered<Stored>::Wide scale, typename Ordered<Stored>::Wide shift) {
  auto const guess = Ordered<Stored>::template guess<kGuess>(x);
  if constexpr (sizeof(guess) == sizeof(float))
    return __builtin_fmaf(guess, scale, shift);
  else
    return static_cast<float>(__builtin_fma(guess, scale, shift));
}

}  // namespace modelwatch::cpu
