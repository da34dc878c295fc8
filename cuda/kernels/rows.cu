#include "core/hash.hpp"
#include "core/interval_rule.hpp"
#include "core/near_counters.hpp"
#include "core/row_hash_rule.hpp"
#include "core/team.hpp"
#include "core/tile_rank.hpp"
#include "cuda/kernels/device_grid.hpp"  // with_domain
#include "cuda/kernels/rows.hpp"
#include "cuda/kernels/tiling.hpp"
#include "cuda/runtime/error.hpp"

namespace modelwatch::cuda {
namespace {

using Tuning = RowsTuning;

unsigned blocks(std::int64_t rows, int multiprocessors) {
  return blocks_for(rows, std::int64_t{multiprocessors} * Tuning::kBlocksPerMultiprocessor);
}

/// Calls f(row, value, valid) for the rows of a tile.
template <class Value, class F>
__device__ void each_row(CudaTeam const& team, NumericView const& column, std::int64_t begin, RankTile<Value>& tile, F f) {
  int const rows = rows_of_tile(begin, column.rows);
  load_values(team, column, begin, rows, tile.values);
  load_validity(team, column.validity, begin, rows, tile.valid);
  team.sync();
  for (int i = team.rank(); i < rows; i += team.size()) f(begin + i, tile.values[i], is_valid(tile.valid, i));
  team.sync();
}

__global__ void __launch_bounds__(Tuning::kThreads)
    interval_of_kernel(NumericView values, std::int64_t const* boundaries, std::uint32_t count, std::int32_t* of_row, std::uint64_t* rows) {
  __shared__ RankTile<std::int64_t> tile;
  __shared__ NearCounters<Tuning::kNearIntervals> near;
  CudaTeam const team;
  near.clear(team);
  team.sync();
  std::uint32_t const outside = count == 0 ? 0 : count - 1;
  twice_first(values.rows, true, [&](std::int64_t begin, bool naming) {
    each_row(team, values, begin, tile, [&](std::int64_t row, std::int64_t x, bool valid) {
      std::uint32_t const upto = valid ? count_upto(boundaries, count, x) : 0;
      std::uint32_t const interval = upto == 0 || upto == count ? outside : upto - 1;
      if (naming) {
        near.name(team, interval);
        return;
      }
      of_row[row] = static_cast<std::int32_t>(interval);
      near.add_one(team, interval, rows);
    });
  });
  near.flush(team, rows);
}

template <class Value>
__global__ void __launch_bounds__(Tuning::kThreads, 4) hash_numbers_kernel(NumericView column, std::uint64_t* rows) {
  __shared__ RankTile<Value> tile;
  CudaTeam const team;
  for (std::int64_t begin = std::int64_t{blockIdx.x} * kTileRows; begin < column.rows; begin += std::int64_t{gridDim.x} * kTileRows)
    each_row(team, column, begin, tile, [&](std::int64_t row, Value x, bool valid) { rows[row] = row_hash_with(rows[row], hash_of_number(x, valid)); });
}

__device__ std::uint64_t hash_of(DeviceStrings const& strings, std::int64_t i) {
  if (strings.valid[i] == 0) return kNullHash;
  return hash_bytes(strings.bytes + strings.begins[i], strings.begins[i + 1] - strings.begins[i]);
}

/// kRows: into the hashes of rows, instead of by themselves.
template <bool kRows>
__global__ void __launch_bounds__(Tuning::kThreads) hash_strings_kernel(DeviceStrings strings, std::uint64_t* hashes) {
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < strings.count; i += std::int64_t{gridDim.x} * blockDim.x) {
    std::uint64_t const hash = hash_of(strings, i);
    hashes[i] = kRows ? row_hash_with(hashes[i], hash) : hash;
  }
}

__global__ void __launch_bounds__(Tuning::kThreads) hash_codes_kernel(NumericView codes, std::uint64_t const* hashes, std::uint64_t* rows) {
  __shared__ RankTile<std::int64_t> tile;
  CudaTeam const team;
  for (std::int64_t begin = std::int64_t{blockIdx.x} * kTileRows; begin < codes.rows; begin += std::int64_t{gridDim.x} * kTileRows)
    each_row(team, codes, begin, tile, [&](std::int64_t row, std::int64_t code, bool valid) {
      rows[row] = row_hash_with(rows[row], valid ? hashes[code] : kNullHash);
    });
}

Domain hashed_domain(Storage storage) {
  switch (storage) {
    case Storage::float32: return Domain::float32;
    case Storage::float64: return Domain::float64;
    case Storage::uint64: return Domain::uint64;
    default: return Domain::int64;
  }
}

/// Unsigned numbers of 64 bits as signed ones, which no code and no time is too large for.
NumericView as_signed(NumericView view) {
  if (view.storage == Storage::uint64) view.storage = Storage::int64;
  return view;
}

}  // namespace

void launch_interval_of(NumericView const& values, std::int64_t const* boundaries, std::uint32_t count, std::int32_t* of_row,
                        std::uint64_t* rows, int multiprocessors, cudaStream_t stream) {
  if (values.rows == 0) return;
  interval_of_kernel<<<blocks(values.rows, multiprocessors), Tuning::kThreads, 0, stream>>>(as_signed(values), boundaries, count, of_row, rows);
  check_launch("interval_of");
}

void launch_hash_numbers(NumericView const& column, std::uint64_t* rows, int multiprocessors, cudaStream_t stream) {
  if (column.rows == 0) return;
  with_domain(hashed_domain(column.storage), [&]<class Value>(Value) {
    hash_numbers_kernel<Value><<<blocks(column.rows, multiprocessors), Tuning::kThreads, 0, stream>>>(column, rows);
  });
  check_launch("hash_numbers");
}

void launch_hash_strings(DeviceStrings const& strings, std::uint64_t* hashes, int multiprocessors, cudaStream_t stream) {
  if (strings.count == 0) return;
  hash_strings_kernel<false><<<blocks(strings.count, multiprocessors), Tuning::kThreads, 0, stream>>>(strings, hashes);
  check_launch("hash_strings");
}

void launch_hash_text(DeviceStrings const& strings, std::uint64_t* rows, int multiprocessors, cudaStream_t stream) {
  if (strings.count == 0) return;
  hash_strings_kernel<true><<<blocks(strings.count, multiprocessors), Tuning::kThreads, 0, stream>>>(strings, rows);
  check_launch("hash_text");
}

void launch_hash_codes(NumericView const& codes, std::uint64_t const* hashes, std::uint64_t* rows, int multiprocessors, cudaStream_t stream) {
  if (codes.rows == 0) return;
  hash_codes_kernel<<<blocks(codes.rows, multiprocessors), Tuning::kThreads, 0, stream>>>(as_signed(codes), hashes, rows);
  check_launch("hash_codes");
}

}  // namespace modelwatch::cuda
