#include <algorithm>

#include "core/team.hpp"
#include "core/tile_rank.hpp"
#include "cuda/kernels/bins.hpp"
#include "cuda/kernels/tiling.hpp"
#include "cuda/runtime/error.hpp"

namespace modelwatch::cuda {
namespace {

using Tuning = BinsTuning;

/// Knots with the padding that a search may read.
MW_HD std::uint32_t padded_knots(DeviceGrid const& grid) { return grid.count + (std::uint32_t{1} << grid.steps); }
MW_HD std::uint32_t bins_of(DeviceGrid const& grid) { return grid.count + 3; }

/// kNear: knots, guide and counters of the block's column lie in shared memory.
template <class Value, bool kNear>
__global__ void __launch_bounds__(Tuning::kThreads, Tuning::kBlocksPerMultiprocessor)
    count_bins_kernel(BinColumn const* columns, std::int32_t const* groups, std::uint32_t group_count) {
  using Key = typename KeyOf<Value>::Key;
  extern __shared__ std::uint64_t near[];
  __shared__ RankTile<Value> tile;
  CudaTeam const team;
  BinColumn const& mine = columns[blockIdx.y];
  NumericView const column = mine.column;
  auto rule = mine.grid.template rule<Value>();
  std::uint32_t const bins = bins_of(mine.grid);
  std::uint32_t const counted = bins * group_count;
  auto* const near_knots = reinterpret_cast<Key*>(near);
  std::uint32_t const padded = padded_knots(mine.grid);
  auto* const near_guide = reinterpret_cast<std::uint32_t*>(near_knots + padded);
  std::uint32_t* const counters = near_guide + rule.buckets;
  std::uint32_t* const far = mine.far.at == nullptr ? nullptr : mine.far.copy(blockIdx.x);
  if constexpr (kNear) {
    for (std::uint32_t i = threadIdx.x; i < padded; i += blockDim.x) near_knots[i] = rule.knots[i];
    for (std::uint32_t i = threadIdx.x; i < rule.buckets; i += blockDim.x) near_guide[i] = rule.guide[i];
    for (std::uint32_t i = threadIdx.x; i < counted; i += blockDim.x) counters[i] = 0;
    rule.knots = near_knots;
    rule.guide = near_guide;
    team.sync();
  }
  for (std::int64_t begin = std::int64_t{blockIdx.x} * kTileRows; begin < column.rows; begin += std::int64_t{gridDim.x} * kTileRows)
    rank_tile(team, column, begin, rows_of_tile(begin, column.rows), rule, tile, [&](int row, std::uint32_t slot) {
      std::int32_t const group = groups == nullptr ? 0 : groups[begin + row];
      if (group < 0) return;
      std::uint32_t const at = static_cast<std::uint32_t>(group) * bins + bin_of_grid_slot(slot, rule.count);
      if constexpr (kNear)
        team.add_one(&counters[at]);
      else if (far != nullptr)
        team.add_one(&far[at]);
      else
        team.add_one(&mine.counts[at]);
    });
  if constexpr (kNear)
    for (std::uint32_t i = threadIdx.x; i < counted; i += blockDim.x)
      if (counters[i] != 0) team.add(&mine.counts[i], std::uint64_t{counters[i]});
}

}  // namespace

std::size_t near_bytes(DeviceGrid const& grid, std::uint32_t groups) {
  std::size_t const key = grid.domain == Domain::float32 ? sizeof(std::uint32_t) : sizeof(std::uint64_t);
  return padded_knots(grid) * key + (std::size_t{grid.buckets} + std::size_t{bins_of(grid)} * groups) * sizeof(std::uint32_t);
}

void launch_count_bins(BinColumn const* columns, std::size_t column_count, std::int64_t most_rows, Domain domain,
                       std::int32_t const* groups, std::uint32_t group_count, std::size_t near, int multiprocessors,
                       cudaStream_t stream) {
  if (most_rows == 0) return;
  for (std::size_t first = 0; first < column_count; first += Tuning::kMostColumns) {
    auto const together = std::min(Tuning::kMostColumns, column_count - first);
    std::int64_t const most = std::int64_t{multiprocessors} * Tuning::kBlocksPerMultiprocessor / static_cast<std::int64_t>(together);
    dim3 const blocks(blocks_for(most_rows, most), static_cast<unsigned>(together));
    with_domain(domain, [&]<class Value>(Value) {
      if (near != 0)
        count_bins_kernel<Value, true><<<blocks, Tuning::kThreads, near, stream>>>(columns + first, groups, group_count);
      else
        count_bins_kernel<Value, false><<<blocks, Tuning::kThreads, 0, stream>>>(columns + first, groups, group_count);
    });
    check_launch("count_bins");
  }
}

}  // namespace modelwatch::cuda
