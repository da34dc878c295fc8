#include "core/near_counters.hpp"
#include "core/sketch_rule.hpp"
#include "core/team.hpp"
#include "core/tile_moments.hpp"
#include "core/tile_rank.hpp"
#include "core/tile_survey.hpp"
#include "cuda/kernels/column.hpp"
#include "cuda/kernels/device_grid.hpp"  // with_domain
#include "cuda/kernels/tiling.hpp"
#include "cuda/runtime/error.hpp"

namespace modelwatch::cuda {
namespace {

using Tuning = ColumnTuning;

template <class Value>
__global__ void __launch_bounds__(Tuning::kThreads, 3)
    column_moments_kernel(NumericView column, std::uint64_t pivot, Moments* moments, ValueKinds* kinds) {
  __shared__ RankTile<Value> tile;
  __shared__ MomentLanes lanes;
  __shared__ Moments own_moments;
  __shared__ std::uint64_t of_block[sizeof(ValueKinds) / sizeof(std::uint64_t)];
  CudaTeam const team;
  auto* const block_kinds = reinterpret_cast<ValueKinds*>(of_block);
  if (team.rank() == 0) *block_kinds = ValueKinds{};
  RowKinds own;
  for (std::int64_t begin = std::int64_t{blockIdx.x} * kTileRows; begin < column.rows; begin += std::int64_t{gridDim.x} * kTileRows) {
    int const rows = rows_of_tile(begin, column.rows);
    load_values(team, column, begin, rows, tile.values);
    load_validity(team, column.validity, begin, rows, tile.valid);
    team.sync();
    for (int i = team.rank(); i < rows; i += team.size()) survey_row(tile.values[i], is_valid(tile.valid, i), own);
    tile_moments(team, tile, rows, pivot, nullptr, nullptr, nullptr, 1, &lanes, &own_moments, moments + begin / kTileRows);
  }
  team.sync();
  merge_kinds(team, own, block_kinds);
  team.sync();
  if (team.rank() == 0) merge_kinds(team, *block_kinds, kinds);
}

__global__ void __launch_bounds__(Tuning::kThreads) first_valid_kernel(Validity validity, std::int64_t rows, std::uint64_t* first) {
  // One block goes through the bitmap and stops where it has found a row, which is nearly always at once.
  __shared__ std::uint64_t found;
  CudaTeam const team;
  if (team.rank() == 0) found = static_cast<std::uint64_t>(rows);
  team.sync();
  constexpr std::int64_t kStep = std::int64_t{Tuning::kThreads} * kRowsPerWord;
  for (std::int64_t begin = 0; begin < rows; begin += kStep) {
    std::int64_t const row = begin + std::int64_t{team.rank()} * kRowsPerWord;
    std::uint32_t const word = row < rows ? valid_word(validity, row, rows) : 0;
    if (word != 0) team.lower(&found, static_cast<std::uint64_t>(row) + static_cast<std::uint64_t>(__ffs(static_cast<int>(word)) - 1));
    team.sync();
    bool const done = found != static_cast<std::uint64_t>(rows);
    team.sync();
    if (done) break;
  }
  if (team.rank() == 0) *first = found;
}

/// Calls f(value) for every row that has one, and adds the others up.
template <class Value, class F>
__device__ void each_value(CudaTeam const& team, NumericView const& column, std::int64_t begin, RankTile<Value>& tile,
                           std::uint64_t& nans, std::uint64_t& nulls, F f) {
  int const rows = rows_of_tile(begin, column.rows);
  load_values(team, column, begin, rows, tile.values);
  load_validity(team, column.validity, begin, rows, tile.valid);
  team.sync();
  for (int i = team.rank(); i < rows; i += team.size()) {
    if (!is_valid(tile.valid, i))
      ++nulls;
    else if (KeyOf<Value>::missing(tile.values[i]))
      ++nans;
    else
      f(tile.values[i]);
  }
  team.sync();
}

template <class Value>
__global__ void __launch_bounds__(Tuning::kThreads) log_linear_kernel(NumericView column, std::uint64_t* counts) {
  __shared__ RankTile<Value> tile;
  __shared__ NearCounters<Tuning::kNearBuckets> near;
  CudaTeam const team;
  near.clear(team);
  team.sync();
  std::uint64_t nans = 0;
  std::uint64_t nulls = 0;
  twice_first(column.rows, true, [&](std::int64_t begin, bool naming) {
    std::uint64_t more_nans = 0;
    std::uint64_t more_nulls = 0;
    each_value(team, column, begin, tile, more_nans, more_nulls, [&](Value x) {
      std::uint32_t const bucket = bucket_of(static_cast<double>(x));
      if (naming)
        near.name(team, bucket);
      else
        near.add_one(team, bucket, counts);
    });
    nans += naming ? 0 : more_nans;
    nulls += naming ? 0 : more_nulls;
  });
  near.flush(team, counts);
  if (nans != 0) team.add(&counts[kBuckets], nans);
  if (nulls != 0) team.add(&counts[kBuckets + 1], nulls);
}

template <class Value>
__global__ void __launch_bounds__(Tuning::kThreads) registers_kernel(NumericView column, std::uint32_t* ranks, std::uint64_t* values) {
  __shared__ RankTile<Value> tile;
  __shared__ std::uint32_t own_ranks[kRegisters];
  CudaTeam const team;
  for (std::uint32_t i = threadIdx.x; i < kRegisters; i += blockDim.x) own_ranks[i] = 0;
  team.sync();
  std::uint64_t none = 0;
  std::uint64_t found = 0;
  for (std::int64_t begin = std::int64_t{blockIdx.x} * kTileRows; begin < column.rows; begin += std::int64_t{gridDim.x} * kTileRows)
    each_value(team, column, begin, tile, none, none, [&](Value x) {
      Register const at = register_of(hash_number(x));
      team.raise(&own_ranks[at.index], std::uint32_t{at.rank});
      ++found;
    });
  for (std::uint32_t i = threadIdx.x; i < kRegisters; i += blockDim.x)
    if (own_ranks[i] != 0) team.raise(&ranks[i], own_ranks[i]);
  if (found != 0) team.add(values, found);
}

unsigned blocks(NumericView const& column, int multiprocessors) {
  return blocks_for(column.rows, std::int64_t{multiprocessors} * Tuning::kBlocksPerMultiprocessor);
}

}  // namespace

void launch_column_moments(NumericView const& column, Domain domain, std::uint64_t pivot, Moments* moments, ValueKinds* kinds,
                           int multiprocessors, cudaStream_t stream) {
  if (column.rows == 0) return;
  with_domain(domain, [&]<class Value>(Value) {
    column_moments_kernel<Value><<<blocks(column, multiprocessors), Tuning::kThreads, 0, stream>>>(column, pivot, moments, kinds);
  });
  check_launch("column_moments");
}

void launch_first_valid(Validity const& validity, std::int64_t rows, std::uint64_t* first, cudaStream_t stream) {
  first_valid_kernel<<<1, Tuning::kThreads, 0, stream>>>(validity, rows, first);
  check_launch("first_valid");
}

void launch_log_linear(NumericView const& column, Domain domain, std::uint64_t* counts, int multiprocessors, cudaStream_t stream) {
  if (column.rows == 0) return;
  with_domain(domain, [&]<class Value>(Value) {
    log_linear_kernel<Value><<<blocks(column, multiprocessors), Tuning::kThreads, 0, stream>>>(column, counts);
  });
  check_launch("log_linear");
}

void launch_registers(NumericView const& column, Domain domain, std::uint32_t* ranks, std::uint64_t* values, int multiprocessors,
                      cudaStream_t stream) {
  if (column.rows == 0) return;
  with_domain(domain, [&]<class Value>(Value) {
    registers_kernel<Value><<<blocks(column, multiprocessors), Tuning::kThreads, 0, stream>>>(column, ranks, values);
  });
  check_launch("registers");
}

}  // namespace modelwatch::cuda
