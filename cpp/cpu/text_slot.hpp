#pragma once
// A table of values of text as the kernels read it.  Plain data only, as in kernel_table.hpp.

#include <cstdint>

#include "core/macros.hpp"
#include "core/sketch_rule.hpp"

namespace modelwatch {

/// Half a cache line: one look decides nearly always.  Zeros are a free one.
struct TextSlot {
  static constexpr std::uint32_t kPrefix = 12;
  static constexpr std::uint32_t kAbsent = 0xffffffffu;

  // The first twelve bytes of the value, zero beyond its end, and its size in the last four of `rest`: all of a value of at
  // most twelve bytes.
  std::uint64_t head = 0;
  std::uint64_t rest = 0;
  char const* bytes = nullptr;
  std::uint32_t hash = 0;  // its first 32 bits
  std::uint32_t name = 0;  // the value's number and one

  MW_HD std::uint32_t number() const { return name - 1; }  // kAbsent of a free slot
};

struct TextSlots {
  TextSlot const* slots;  // 2^(64 - shift), one at least is free
  int shift;              // the first bits of a hash tell where a value is looked for first

  MW_HD void prefetch(std::uint64_t hash) const { __builtin_prefetch(slots + (hash >> shift)); }
  /// The next slot too, which may lie in another line.
  MW_HD void prefetch_two(std::uint64_t hash) const {
    prefetch(hash);
    __builtin_prefetch(reinterpret_cast<char const*>(slots + (hash >> shift)) + sizeof(TextSlot));
  }
};

/// The last steps of a hash.  The multipliers are those of SplitMix64 (public domain constants).
MW_HD std::uint64_t mixed_text(std::uint64_t word) {
  word *= kMixFirst;
  return (word ^ word >> 32) * kMixSecond;
}

}  // namespace modelwatch
