#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "core/views.hpp"
#include "cuda/kernels/device_grid.hpp"

namespace modelwatch::cuda {

/// How the rank kernels use the machine.
struct RankTuning {
  static constexpr int kThreads = 256;
  /// Grids of at most this many slots are counted in a block's shared memory (32 KiB), larger ones in global memory.
  static constexpr std::uint32_t kMostPrivateSlots = 8192;
  /// Blocks that a multiprocessor is given; more only repeat the clearing and adding of private counters.
  static constexpr int kBlocksPerMultiprocessor = 4;
};

/// counts[slot] += rows of a column (device memory) in that slot; `counts` has grid.slots() entries.
void launch_count_cells(NumericView const& column, DeviceGrid const& grid, std::uint64_t* counts, int multiprocessors, cudaStream_t stream);

/// The slot of every row.
void launch_rank_cells(NumericView const& column, DeviceGrid const& grid, std::uint32_t* cells, int multiprocessors, cudaStream_t stream);

/// The number of the knot that every row lies on; -1 where it lies on none or has no value.
void launch_knot_numbers(NumericView const& column, DeviceGrid const& grid, std::int32_t* numbers, int multiprocessors, cudaStream_t stream);

}  // namespace modelwatch::cuda
