#pragma once

#include <cstdint>

#include "core/golden_ratio.hpp"
#include "core/key.hpp"
#include "core/macros.hpp"

namespace modelwatch {

/// Buckets of the log-linear histogram: the first 19 bits of a value's float64 key (sign, exponent, 7 bits of fraction),
/// so a bucket spans at most 2^-7 of the values in it and order is kept.  One rule for every type: integers are
/// rounded to double first, which never decreases.
inline constexpr int kBucketBits = 19;
inline constexpr std::uint32_t kBuckets = std::uint32_t{1} << kBucketBits;
/// A key of 32 bits, moved so far, numbers the buckets of normal floats too, from another number on: its exponent has fewer
/// bits.
inline constexpr int kNarrowBucketShift = 16;

MW_HD std::uint32_t bucket_of(double x) { return static_cast<std::uint32_t>(KeyOf<double>::key(x) >> (64 - kBucketBits)); }

/// HyperLogLog (Flajolet, Fusy, Gandouet, Meunier 2007) with 2^12 registers: 1.6% standard error.
inline constexpr int kRegisterBits = 12;
inline constexpr std::uint32_t kRegisters = std::uint32_t{1} << kRegisterBits;

/// Which register a hash belongs to, and the 1-based place of the first set bit in the rest of it.
struct Register {
  std::uint32_t index;
  std::uint8_t rank;
};

MW_HD Register register_of(std::uint64_t hash) {
  // The added bit ends the search where all others are 0.
  std::uint64_t const rest = (hash << kRegisterBits) | (std::uint64_t{1} << (kRegisterBits - 1));
  return {static_cast<std::uint32_t>(hash >> (64 - kRegisterBits)), static_cast<std::uint8_t>(__builtin_clzll(rest) + 1)};
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014; public domain constants): every bit of the input moves every
/// bit of the hash.  Part of the file format, like hash_bytes.
inline constexpr std::uint64_t kMixStep = kGoldenRatio;
inline constexpr std::uint64_t kMixFirst = 0xbf58476d1ce4e5b9u;
inline constexpr std::uint64_t kMixSecond = 0x94d049bb133111ebu;

MW_HD std::uint64_t mixed_bits(std::uint64_t bits) {
  bits += kMixStep;
  bits = (bits ^ (bits >> 30)) * kMixFirst;
  bits = (bits ^ (bits >> 27)) * kMixSecond;
  return bits ^ (bits >> 31);
}

/// What of a number is hashed: equal numbers of one column alike, whichever of its types they come in.  -0.0 is 0.0.
MW_HD std::uint64_t hashed_bits(double x) { return KeyOf<double>::key(x); }
MW_HD std::uint64_t hashed_bits(float x) { return hashed_bits(static_cast<double>(x)); }
MW_HD std::uint64_t hashed_bits(std::int64_t x) { return static_cast<std::uint64_t>(x); }
MW_HD std::uint64_t hashed_bits(std::uint64_t x) { return x; }

MW_HD std::uint64_t hash_number(double x) { return mixed_bits(hashed_bits(x)); }
MW_HD std::uint64_t hash_number(float x) { return mixed_bits(hashed_bits(x)); }
MW_HD std::uint64_t hash_number(std::int64_t x) { return mixed_bits(hashed_bits(x)); }
MW_HD std::uint64_t hash_number(std::uint64_t x) { return mixed_bits(hashed_bits(x)); }

/// Whole numbers that come as doubles, for a column whose own type is an integer.
MW_HD std::uint64_t hash_whole(double x) {
  bool const whole = x >= -9223372036854775808.0 && x < 9223372036854775808.0 && static_cast<double>(static_cast<std::int64_t>(x)) == x;
  return whole ? hash_number(static_cast<std::int64_t>(x)) : hash_number(x);
}

}  // namespace modelwatch
