#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "core/tile_profile.hpp"  // FarCounters
#include "core/views.hpp"
#include "cuda/kernels/device_grid.hpp"

namespace modelwatch::cuda {

/// How the histogram kernels use the machine.
struct BinsTuning {
  static constexpr int kThreads = 256;
  static constexpr int kBlocksPerMultiprocessor = 3;
  /// Bytes of shared memory for knots, guide and counters of a column; more are left in global memory.
  static constexpr std::size_t kMostNear = 32 << 10;
  /// Columns of one launch: what the second dimension of a grid of blocks takes.
  static constexpr std::size_t kMostColumns = 65535;
};

/// One column of a batch, whose cuts are the knots of a grid.
struct BinColumn {
  NumericView column;
  DeviceGrid grid;
  std::uint64_t* counts;  // of every group its bins (bin_of_grid_slot), one group after the other
  FarCounters far;        // of as many counters, where they do not fit a block's memory
};

/// Bytes of shared memory that a column's tables and counters take.
std::size_t near_bytes(DeviceGrid const& grid, std::uint32_t groups);

/// Adds the rows of several columns (an array in device memory), which have one domain, to their counts.
/// groups: of every row, the same for all columns; < 0 counts nowhere; or nullptr, and there is one group.
/// near: the largest near_bytes of the columns, or 0 where tables and counters stay in global memory.
void launch_count_bins(BinColumn const* columns, std::size_t column_count, std::int64_t most_rows, Domain domain,
                       std::int32_t const* groups, std::uint32_t group_count, std::size_t near, int multiprocessors,
                       cudaStream_t stream);

}  // namespace modelwatch::cuda
