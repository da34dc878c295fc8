#include "core/team.hpp"
#include "core/tile_rank.hpp"
#include "cuda/kernels/rank.hpp"
#include "cuda/kernels/tiling.hpp"
#include "cuda/runtime/error.hpp"

namespace modelwatch::cuda {
namespace {

/// kPrivate: the block counts in shared memory and adds up at its end.
template <class Value, bool kPrivate>
__global__ void __launch_bounds__(RankTuning::kThreads, RankTuning::kBlocksPerMultiprocessor) count_cells_kernel(NumericView column, DeviceGrid grid, std::uint64_t* counts) {
  extern __shared__ std::uint32_t counters[];
  __shared__ RankTile<Value> tile;
  CudaTeam const team;
  std::uint32_t const slots = 2 * grid.count + 3;
  if constexpr (kPrivate) {
    for (std::uint32_t s = threadIdx.x; s < slots; s += blockDim.x) counters[s] = 0;
    team.sync();
  }
  auto const rule = grid.rule<Value>();
  for (std::int64_t begin = std::int64_t{blockIdx.x} * kTileRows; begin < column.rows; begin += std::int64_t{gridDim.x} * kTileRows)
    rank_tile(team, column, begin, rows_of_tile(begin, column.rows), rule, tile, [&](int, std::uint32_t slot) {
      if constexpr (kPrivate)
        team.add_one(&counters[slot]);
      else
        team.add_one(&counts[slot]);
    });
  if constexpr (kPrivate)
    for (std::uint32_t s = threadIdx.x; s < slots; s += blockDim.x)
      if (counters[s] != 0) team.add(&counts[s], std::uint64_t{counters[s]});
}

template <class Value>
__global__ void __launch_bounds__(RankTuning::kThreads, RankTuning::kBlocksPerMultiprocessor) rank_cells_kernel(NumericView column, DeviceGrid grid, std::uint32_t* cells) {
  __shared__ RankTile<Value> tile;
  CudaTeam const team;
  auto const rule = grid.rule<Value>();
  for (std::int64_t begin = std::int64_t{blockIdx.x} * kTileRows; begin < column.rows; begin += std::int64_t{gridDim.x} * kTileRows)
    rank_tile(team, column, begin, rows_of_tile(begin, column.rows), rule, tile, [&](int row, std::uint32_t slot) { cells[begin + row] = slot; });
}

template <class Value>
__global__ void __launch_bounds__(RankTuning::kThreads, RankTuning::kBlocksPerMultiprocessor) knot_numbers_kernel(NumericView column, DeviceGrid grid, std::int32_t* numbers) {
  __shared__ RankTile<Value> tile;
  CudaTeam const team;
  auto const rule = grid.rule<Value>();
  for (std::int64_t begin = std::int64_t{blockIdx.x} * kTileRows; begin < column.rows; begin += std::int64_t{gridDim.x} * kTileRows)
    rank_tile(team, column, begin, rows_of_tile(begin, column.rows), rule, tile, [&](int row, std::uint32_t slot) {
      bool const on_knot = slot % 2 != 0 && slot < 2 * grid.count + 1;
      numbers[begin + row] = on_knot ? static_cast<std::int32_t>(slot / 2) : -1;
    });
}

}  // namespace

void launch_count_cells(NumericView const& column, DeviceGrid const& grid, std::uint64_t* counts, int multiprocessors, cudaStream_t stream) {
  if (column.rows == 0) return;
  unsigned const blocks = blocks_for(column.rows, std::int64_t{multiprocessors} * RankTuning::kBlocksPerMultiprocessor);
  with_domain(grid.domain, [&]<class Value>(Value) {
    if (grid.slots() <= RankTuning::kMostPrivateSlots)
      count_cells_kernel<Value, true><<<blocks, RankTuning::kThreads, grid.slots() * sizeof(std::uint32_t), stream>>>(column, grid, counts);
    else
      count_cells_kernel<Value, false><<<blocks, RankTuning::kThreads, 0, stream>>>(column, grid, counts);
  });
  check_launch("count_cells");
}

void launch_rank_cells(NumericView const& column, DeviceGrid const& grid, std::uint32_t* cells, int multiprocessors, cudaStream_t stream) {
  if (column.rows == 0) return;
  unsigned const blocks = blocks_for(column.rows, std::int64_t{multiprocessors} * RankTuning::kBlocksPerMultiprocessor);
  with_domain(grid.domain, [&]<class Value>(Value) {
    rank_cells_kernel<Value><<<blocks, RankTuning::kThreads, 0, stream>>>(column, grid, cells);
  });
  check_launch("rank_cells");
}

void launch_knot_numbers(NumericView const& column, DeviceGrid const& grid, std::int32_t* numbers, int multiprocessors, cudaStream_t stream) {
  if (column.rows == 0) return;
  unsigned const blocks = blocks_for(column.rows, std::int64_t{multiprocessors} * RankTuning::kBlocksPerMultiprocessor);
  with_domain(grid.domain, [&]<class Value>(Value) {
    knot_numbers_kernel<Value><<<blocks, RankTuning::kThreads, 0, stream>>>(column, grid, numbers);
  });
  check_launch("knot_numbers");
}

}  // namespace modelwatch::cuda
