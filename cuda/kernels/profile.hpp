#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "core/moments.hpp"
#include "core/tile_profile.hpp"

namespace modelwatch::cuda {

/// How the profile kernels use the machine.
struct ProfileTuning {
  static constexpr int kThreads = 256;
  /// Blocks a multiprocessor should hold: bounds the registers of a thread.
  static constexpr int kLeastBlocks = 2;
  /// Stripes of tiles that a chunk is cut into, for each multiprocessor.
  static constexpr int kBlocksPerMultiprocessor = 6;
  /// But a stripe has so many tiles at least: counters are cleared and added up once a stripe.
  static constexpr int kLeastTiles = 4;
  /// Counters of a run of tiles may take so much shared memory even where only one block fits beside them; all else only
  /// what leaves room for kLeastBlocks.
  static constexpr std::size_t kMostRunBytes = 48 << 10;
  static constexpr int kFoldThreads = 128;
};

/// A chunk as the profile kernel is given it; arrays in device memory.
struct ProfileLaunch {
  ProfileColumn const* columns;
  ProfileChunk chunk;
  std::uint32_t column_count;
  std::uint32_t stripes;       // of each column
  std::uint32_t memory_bytes;  // shared: the most that a column wants
  bool mixed_moments;          // some set with moments has a tile of several groups
};

/// Bytes of shared memory a block takes beside the `memory_bytes` of its launch.
std::size_t profile_overhead(bool mixed_moments, std::size_t sets);

/// Counts a chunk into all sets of all columns.  Every value is read once.
void launch_profile(ProfileLaunch const& launch, cudaStream_t stream);

/// Moments of a group, and which of a column's go into them: those that refs[begin], ... refs[end - 1] name, in this order.
struct FoldRow {
  std::uint32_t set;
  std::int32_t group;
  std::uint32_t begin;
  std::uint32_t end;
};

struct FoldLaunch {
  FoldRow const* rows;
  std::uint32_t const* refs;
  Moments const* tiles;       // of the first column
  Moments* const* groups;     // of each set; group by group those of all columns
  std::uint32_t row_count;
  std::uint32_t column_count;
  std::uint32_t column_stride;  // Moments of one column in `tiles`
};

/// Merges the moments of a chunk's tiles into those of their groups, tile by tile.
void launch_fold_moments(FoldLaunch const& launch, cudaStream_t stream);

}  // namespace modelwatch::cuda
