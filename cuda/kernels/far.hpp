#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "core/tile_profile.hpp"

namespace modelwatch::cuda {

/// How counters that do not fit a block's memory use the machine.
struct FarTuning {
  static constexpr int kThreads = 256;
  static constexpr std::uint32_t kMostCopies = 8;
  /// Rows of a chunk for each counter of each copy, at least: with fewer, clearing and adding up takes longer than blocks
  /// wait for each other.
  static constexpr std::uint32_t kRowsPerCounter = 4;
  /// All copies together take at most this part of the second-level cache.
  static constexpr std::size_t kPartOfCache = 2;
  /// Sums of one launch: what the second dimension of a grid of blocks takes.
  static constexpr std::size_t kMostSums = 65535;
};

/// Far counters of one column and set, and the slabs that they are added to.
struct FarSum {
  FarCounters from;
  std::uint64_t* const* slabs;
  std::uint64_t first;        // word of a slab at which the column's counts begin
  std::uint32_t first_group;
  std::uint32_t slots;
  std::uint32_t words;        // of one copy
};

/// Adds the counters of all copies to the slabs.  sums: `count` of them in device memory; most_words: of the largest.
void launch_add_far(FarSum const* sums, std::uint32_t count, std::uint32_t most_words, cudaStream_t stream);

}  // namespace modelwatch::cuda
