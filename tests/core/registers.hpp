#pragma once
// Registers of a HyperLogLog, bit by bit.

#include <algorithm>
#include <array>
#include <cstdint>

#include "core/sketch_rule.hpp"  // kRegisters

namespace modelwatch::test {

using Ranks = std::array<std::uint8_t, kRegisters>;

inline void raise(Ranks& ranks, std::uint64_t hash) {
  std::uint8_t rank = 1;
  for (int bit = 63 - kRegisterBits; bit >= 0 && ((hash >> bit) & 1) == 0; --bit) ++rank;
  auto& own = ranks[hash >> (64 - kRegisterBits)];
  own = std::max(own, rank);
}

}  // namespace modelwatch::test
