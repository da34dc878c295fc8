#include "core/near_counters.hpp"
#include "core/team.hpp"
#include "core/tile_rank.hpp"
#include "cuda/kernels/device_grid.hpp"  // with_domain
#include "cuda/kernels/fit.hpp"
#include "cuda/kernels/tiling.hpp"
#include "cuda/runtime/error.hpp"

namespace modelwatch::cuda {
namespace {

using Tuning = FitTuning;
constexpr int kTopBits = 16;

std::int64_t most_blocks(int multiprocessors) { return std::int64_t{multiprocessors} * Tuning::kBlocksPerMultiprocessor; }

/// Calls f(row, key, valid, nan) for the rows of a tile; the key only counts where a row is neither null nor NaN.
template <class Value, class F>
__device__ void each_key(CudaTeam const& team, NumericView const& column, std::int64_t begin, RankTile<Value>& tile, F f) {
  int const rows = rows_of_tile(begin, column.rows);
  load_values(team, column, begin, rows, tile.values);
  load_validity(team, column.validity, begin, rows, tile.valid);
  team.sync();
  for (int i = team.rank(); i < rows; i += team.size())
    f(begin + i, KeyOf<Value>::key(tile.values[i]), is_valid(tile.valid, i), KeyOf<Value>::missing(tile.values[i]));
  team.sync();
}

template <class Value>
__global__ void __launch_bounds__(Tuning::kThreads, Tuning::kBlocksPerMultiprocessor)
    keys_kernel(NumericView column, GroupRows rows, typename KeyOf<Value>::Key* keys, Missing* missing, std::uint64_t* top) {
  using Key = typename KeyOf<Value>::Key;
  constexpr int kShift = 8 * static_cast<int>(sizeof(Key)) - kTopBits;
  __shared__ RankTile<Value> tile;
  __shared__ NearCounters<Tuning::kNearCounters> near;
  CudaTeam const team;
  near.clear(team);
  team.sync();
  std::uint64_t nulls = 0;
  std::uint64_t nans = 0;
  twice_first(column.rows, top != nullptr, [&](std::int64_t begin, bool naming) {
    each_key(team, column, begin, tile, [&](std::int64_t row, Key key, bool valid, bool nan) {
      valid = valid && rows.takes(row);
      bool const there = valid && !nan;
      auto const counter = static_cast<std::uint32_t>(key >> kShift);
      if (naming) {
        if (there) near.name(team, counter);
        return;
      }
      nulls += valid ? 0 : 1;
      nans += valid && nan ? 1 : 0;
      keys[row] = there ? key : static_cast<Key>(~Key{0});
      if (there && top != nullptr) near.add_one(team, counter, top);
    });
  });
  if (top != nullptr) near.flush(team, top);
  if (nulls != 0) team.add(&missing->nulls, nulls);
  if (nans != 0) team.add(&missing->nans, nans);
}

template <class Key>
__global__ void __launch_bounds__(Tuning::kThreads) run_heads_kernel(Key const* keys, std::int64_t count, std::uint32_t* flags) {
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += std::int64_t{gridDim.x} * blockDim.x)
    flags[i] = i == 0 || keys[i] != keys[i - 1] ? 1 : 0;
}

template <class Key>
__global__ void __launch_bounds__(Tuning::kThreads) runs_kernel(Key const* keys, std::int64_t count, std::uint32_t const* flags,
                                                               std::uint32_t const* before, std::uint64_t* run_keys,
                                                               std::uint32_t* run_begins) {
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += std::int64_t{gridDim.x} * blockDim.x)
    if (flags[i] != 0) {
      run_keys[before[i]] = keys[i];
      run_begins[before[i]] = static_cast<std::uint32_t>(i);
    }
}

template <class Value>
__global__ void __launch_bounds__(Tuning::kThreads, Tuning::kBlocksPerMultiprocessor)
    split_kernel(NumericView column, IntervalsView intervals, int split, int piece, std::uint64_t* counts) {
  using Key = typename KeyOf<Value>::Key;
  __shared__ RankTile<Value> tile;
  __shared__ NearCounters<Tuning::kNearCounters> near;
  CudaTeam const team;
  near.clear(team);
  team.sync();
  twice_first(column.rows, true, [&](std::int64_t begin, bool naming) {
    each_key(team, column, begin, tile, [&](std::int64_t, Key key, bool valid, bool nan) {
      std::uint32_t const at = valid && !nan ? intervals.find(key) : kNoInterval;
      if (at == kNoInterval) return;
      std::uint32_t const counter = (at << split) + static_cast<std::uint32_t>((key - intervals.lows[at]) >> piece);
      if (naming)
        near.name(team, counter);
      else
        near.add_one(team, counter, counts);
    });
  });
  near.flush(team, counts);
}

template <class Value>
__global__ void __launch_bounds__(Tuning::kThreads)
    keep_flags_kernel(NumericView column, IntervalsView intervals, std::uint64_t* keys, std::uint32_t* flags) {
  using Key = typename KeyOf<Value>::Key;
  __shared__ RankTile<Value> tile;
  CudaTeam const team;
  for (std::int64_t begin = std::int64_t{blockIdx.x} * kTileRows; begin < column.rows; begin += std::int64_t{gridDim.x} * kTileRows)
    each_key(team, column, begin, tile, [&](std::int64_t row, Key key, bool valid, bool nan) {
      keys[row] = key;
      flags[row] = valid && !nan && intervals.find(key) != kNoInterval ? 1 : 0;
    });
}

__global__ void __launch_bounds__(Tuning::kThreads) keep_kernel(std::uint64_t const* keys, std::uint32_t const* flags,
                                                               std::uint32_t const* before, std::int64_t count, std::uint64_t* kept) {
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += std::int64_t{gridDim.x} * blockDim.x)
    if (flags[i] != 0) kept[before[i]] = keys[i];
}

template <class Key>
__global__ void __launch_bounds__(Tuning::kThreads)
    sup_distance_kernel(Key const* a, std::int64_t n, Key const* b, std::int64_t m, std::uint64_t* most) {
  CudaTeam const team;
  std::uint64_t own = 0;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n; i += std::int64_t{gridDim.x} * blockDim.x) {
    // Equal values are passed together: only at the last of them have both sides reached their count.
    if (i + 1 < n && a[i + 1] == a[i]) continue;
    std::int64_t const apart = (i + 1) * m - count_upto(b, m, a[i]) * n;
    std::uint64_t const size = static_cast<std::uint64_t>(apart < 0 ? -apart : apart);
    own = size > own ? size : own;
  }
  // Most threads find less than one before them did.
  if (team.peek(most) < own) team.raise(most, own);
}

}  // namespace

void launch_keys(NumericView const& column, Domain domain, GroupRows const& rows, void* keys, Missing* missing, std::uint64_t* top,
                 int multiprocessors, cudaStream_t stream) {
  if (column.rows == 0) return;
  with_domain(domain, [&]<class Value>(Value) {
    keys_kernel<Value><<<blocks_for(column.rows, most_blocks(multiprocessors)), Tuning::kThreads, 0, stream>>>(
        column, rows, static_cast<typename KeyOf<Value>::Key*>(keys), missing, top);
  });
  check_launch("keys");
}

template <class Key>
void launch_run_heads(Key const* keys, std::int64_t count, std::uint32_t* flags, int multiprocessors, cudaStream_t stream) {
  if (count == 0) return;
  run_heads_kernel<<<blocks_for(count, most_blocks(multiprocessors)), Tuning::kThreads, 0, stream>>>(keys, count, flags);
  check_launch("run_heads");
}
template void launch_run_heads(std::uint32_t const*, std::int64_t, std::uint32_t*, int, cudaStream_t);
template void launch_run_heads(std::uint64_t const*, std::int64_t, std::uint32_t*, int, cudaStream_t);

template <class Key>
void launch_runs(Key const* keys, std::int64_t count, std::uint32_t const* flags, std::uint32_t const* before, std::uint64_t* run_keys,
                 std::uint32_t* run_begins, int multiprocessors, cudaStream_t stream) {
  if (count == 0) return;
  runs_kernel<<<blocks_for(count, most_blocks(multiprocessors)), Tuning::kThreads, 0, stream>>>(keys, count, flags, before, run_keys, run_begins);
  check_launch("runs");
}
template void launch_runs(std::uint32_t const*, std::int64_t, std::uint32_t const*, std::uint32_t const*, std::uint64_t*, std::uint32_t*, int,
                          cudaStream_t);
template void launch_runs(std::uint64_t const*, std::int64_t, std::uint32_t const*, std::uint32_t const*, std::uint64_t*, std::uint32_t*, int,
                          cudaStream_t);

void launch_split(NumericView const& column, Domain domain, IntervalsView const& intervals, int split, int piece, std::uint64_t* counts,
                  int multiprocessors, cudaStream_t stream) {
  if (column.rows == 0) return;
  with_domain(domain, [&]<class Value>(Value) {
    split_kernel<Value><<<blocks_for(column.rows, most_blocks(multiprocessors)), Tuning::kThreads, 0, stream>>>(column, intervals, split, piece, counts);
  });
  check_launch("split");
}

void launch_keep_flags(NumericView const& column, Domain domain, IntervalsView const& intervals, std::uint64_t* keys,
                       std::uint32_t* flags, int multiprocessors, cudaStream_t stream) {
  if (column.rows == 0) return;
  with_domain(domain, [&]<class Value>(Value) {
    keep_flags_kernel<Value><<<blocks_for(column.rows, most_blocks(multiprocessors)), Tuning::kThreads, 0, stream>>>(column, intervals, keys, flags);
  });
  check_launch("keep_flags");
}

void launch_keep(std::uint64_t const* keys, std::uint32_t const* flags, std::uint32_t const* before, std::int64_t count,
                 std::uint64_t* kept, int multiprocessors, cudaStream_t stream) {
  if (count == 0) return;
  keep_kernel<<<blocks_for(count, most_blocks(multiprocessors)), Tuning::kThreads, 0, stream>>>(keys, flags, before, count, kept);
  check_launch("keep");
}

template <class Key>
void launch_sup_distance(Key const* a, std::int64_t n, Key const* b, std::int64_t m, std::uint64_t* most, int multiprocessors,
                         cudaStream_t stream) {
  if (n == 0) return;
  sup_distance_kernel<<<blocks_for(n, most_blocks(multiprocessors)), Tuning::kThreads, 0, stream>>>(a, n, b, m, most);
  check_launch("sup_distance");
}
template void launch_sup_distance(std::uint32_t const*, std::int64_t, std::uint32_t const*, std::int64_t, std::uint64_t*, int, cudaStream_t);
template void launch_sup_distance(std::uint64_t const*, std::int64_t, std::uint64_t const*, std::int64_t, std::uint64_t*, int, cudaStream_t);

}  // namespace modelwatch::cuda
