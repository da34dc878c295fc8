#pragma once
// What a device keeps of one group of one column and set: a slab of 64-bit words that begin as zero and only grow.

#include <cstdint>

#include "core/key.hpp"
#include "core/macros.hpp"
#include "core/sketch_rule.hpp"
#include "core/tail_digits.hpp"
#include "core/views.hpp"

namespace modelwatch {

/// The log-linear buckets that values of a domain can fall into, close together: a table of all of them has 4 MiB.
/// Magnitudes below the smallest of the domain are zero's.
struct BucketSpan {
  std::uint32_t least;  // bucket of the smallest magnitude above zero, without its sign
  std::uint32_t size;   // of one sign, with zero's

  static constexpr std::uint32_t kMagnitudes = kBuckets / 2;

  MW_HD std::uint32_t slots() const { return 2 * size; }
  MW_HD std::uint32_t place(std::uint32_t bucket) const {
    bool const positive = bucket >= kMagnitudes;
    std::uint32_t const magnitude = positive ? bucket - kMagnitudes : kMagnitudes - 1 - bucket;
    std::uint32_t const at = magnitude < least ? 0 : magnitude - least + 1;
    return (positive ? size : 0) + at;
  }
  MW_HD std::uint32_t bucket(std::uint32_t place) const {
    bool const positive = place >= size;
    std::uint32_t const at = positive ? place - size : place;
    std::uint32_t const magnitude = at == 0 ? 0 : least + at - 1;
    return positive ? kMagnitudes + magnitude : kMagnitudes - 1 - magnitude;
  }
};

/// Exponents run from that of the smallest subnormal float32, and from that of 1, to where the domain ends; a double has all.
MW_HD BucketSpan bucket_span(Domain domain) {
  constexpr std::uint32_t kPerExponent = 1u << (kBucketBits - 12);
  switch (domain) {
    case Domain::float32: return {874 * kPerExponent, (1150 - 874 + 1) * kPerExponent + 1};
    case Domain::int64:
    case Domain::uint64: return {1023 * kPerExponent, (1087 - 1023 + 1) * kPerExponent + 1};
    default: return {0, 2048 * kPerExponent + 1};
  }
}

/// Where the words of a slab are; 0: the set keeps no such thing.
struct SlabLayout {
  std::uint32_t slots;      // counts of the set's grid, from word 0 on
  std::uint32_t range;      // all bits of the smallest key inverted, and the largest key
  std::uint32_t gaps;       // SUM of gap_offset
  std::uint32_t tails;      // whether there is a row, then kTailDigits of the lower and of the upper tail
  std::uint32_t buckets;    // BucketSpan::slots()
  std::uint32_t registers;  // kRegisters of 32 bits
  std::uint32_t words;
};

inline constexpr std::uint32_t kTailWords = 1 + 2 * kTailDigits;

MW_HD SlabLayout slab_layout(Domain domain, std::uint32_t slots, bool fine, bool sketches) {
  SlabLayout out{slots, slots, 0, 0, 0, 0, slots + 2};
  if (fine) {
    out.gaps = out.words;
    out.tails = out.gaps + slots / 2;
    out.words = out.tails + kTailWords;
  }
  if (sketches) {
    out.buckets = out.words;
    out.registers = out.buckets + bucket_span(domain).slots();
    out.words = out.registers + kRegisters / 2;
  }
  return out;
}

}  // namespace modelwatch
