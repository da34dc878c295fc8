#include "core/team.hpp"
#include "core/tile_rank.hpp"
#include "cuda/kernels/device_grid.hpp"  // with_domain
#include "cuda/kernels/labelled.hpp"
#include "cuda/kernels/tiling.hpp"
#include "cuda/runtime/error.hpp"

namespace modelwatch::cuda {
namespace {

using Tuning = LabelledTuning;

__device__ __forceinline__ std::int64_t first_row() { return std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; }
__device__ __forceinline__ std::int64_t row_step() { return std::int64_t{gridDim.x} * blockDim.x; }

/// Calls f(value) with a row's value in the type of its storage's own domain.
template <class F>
__device__ __forceinline__ auto with_value(NumericView const& column, std::int64_t row, F f) {
  switch (column.storage) {
    case Storage::int8: return f(std::int64_t{static_cast<std::int8_t const*>(column.values)[row]});
    case Storage::int16: return f(std::int64_t{static_cast<std::int16_t const*>(column.values)[row]});
    case Storage::int32: return f(std::int64_t{static_cast<std::int32_t const*>(column.values)[row]});
    case Storage::int64: return f(static_cast<std::int64_t const*>(column.values)[row]);
    case Storage::uint8: return f(std::int64_t{static_cast<std::uint8_t const*>(column.values)[row]});
    case Storage::uint16: return f(std::int64_t{static_cast<std::uint16_t const*>(column.values)[row]});
    case Storage::uint32: return f(std::int64_t{static_cast<std::uint32_t const*>(column.values)[row]});
    case Storage::uint64: return f(static_cast<std::uint64_t const*>(column.values)[row]);
    case Storage::float32: return f(static_cast<float const*>(column.values)[row]);
    default: return f(static_cast<double const*>(column.values)[row]);
  }
}

__device__ __forceinline__ bool has_value(NumericView const& column, std::int64_t row) {
  if (!column.validity.valid(row)) return false;
  return with_value(column, row, []<class Value>(Value x) { return !KeyOf<Value>::missing(x); });
}

/// A row's key, in the domain of its storage.
__device__ __forceinline__ std::uint64_t key_of_row(NumericView const& column, std::int64_t row) {
  return with_value(column, row, []<class Value>(Value x) { return std::uint64_t{KeyOf<Value>::key(x)}; });
}

__device__ __forceinline__ bool all_have(Beside const& beside, std::int64_t row) {
  for (std::uint32_t c = 0; c < beside.count; ++c)
    if (!has_value(beside.columns[c], row)) return false;
  return true;
}

__global__ void __launch_bounds__(Tuning::kThreads)
    there_kernel(Beside beside, std::int32_t const* groups, std::int32_t group, std::uint32_t* flags) {
  for (std::int64_t i = first_row(); i < beside.rows; i += row_step()) {
    bool const chosen = groups == nullptr || (group < 0 ? groups[i] >= 0 : groups[i] == group);
    flags[i] = chosen && all_have(beside, i) ? 1 : 0;
  }
}

__global__ void __launch_bounds__(Tuning::kThreads) only_rows_kernel(Beside beside, std::int32_t const* groups, std::int32_t* out) {
  for (std::int64_t i = first_row(); i < beside.rows; i += row_step()) {
    std::int32_t const group = groups == nullptr ? 0 : groups[i];
    out[i] = group >= 0 && all_have(beside, i) ? group : -1;
  }
}

__global__ void __launch_bounds__(Tuning::kThreads)
    cross_kernel(std::int32_t const* a, std::int32_t const* b, std::int32_t b_count, std::int64_t rows, std::int32_t* out) {
  for (std::int64_t i = first_row(); i < rows; i += row_step()) out[i] = a[i] < 0 || b[i] < 0 ? -1 : a[i] * b_count + b[i];
}

__global__ void __launch_bounds__(Tuning::kThreads)
    renumber_kernel(std::int32_t const* groups, std::int32_t const* to, std::int64_t rows, std::int32_t* out) {
  for (std::int64_t i = first_row(); i < rows; i += row_step()) out[i] = groups[i] < 0 ? -1 : to[groups[i]];
}

template <class Value>
__global__ void __launch_bounds__(Tuning::kThreads) least_key_kernel(NumericView column, std::uint32_t const* flags, std::uint64_t* least) {
  __shared__ RankTile<Value> tile;
  CudaTeam const team;
  std::uint64_t own = ~std::uint64_t{0};
  for (std::int64_t begin = std::int64_t{blockIdx.x} * kTileRows; begin < column.rows; begin += std::int64_t{gridDim.x} * kTileRows) {
    int const rows = rows_of_tile(begin, column.rows);
    load_values(team, column, begin, rows, tile.values);
    team.sync();
    for (int i = team.rank(); i < rows; i += team.size()) {
      std::uint64_t const key = KeyOf<Value>::key(tile.values[i]);
      if (flags[begin + i] != 0 && key < own) own = key;
    }
    team.sync();
  }
  // Most threads find none below what is there already.
  if (own < team.peek(least)) team.lower(least, own);
}

template <class Value>
__global__ void __launch_bounds__(Tuning::kThreads, 3)
    errors_kernel(Beside sides, Value pivot, std::uint32_t const* flags, std::uint32_t const* before, ErrorRows out) {
  __shared__ alignas(16) Value y[kTileRows];
  __shared__ alignas(16) Value z[kTileRows];
  CudaTeam const team;
  for (std::int64_t begin = std::int64_t{blockIdx.x} * kTileRows; begin < sides.rows; begin += std::int64_t{gridDim.x} * kTileRows) {
    int const rows = rows_of_tile(begin, sides.rows);
    // One call in the code: two would be compiled for every storage twice, and take more registers than there are.
#pragma unroll 1
    for (int side = 0; side < 2; ++side) load_values(team, sides.columns[side], begin, rows, side == 0 ? y : z);
    team.sync();
    for (int i = team.rank(); i < rows; i += team.size()) {
      if (flags[begin + i] == 0) continue;
      std::uint32_t const to = before[begin + i];
      out.errors[to] = difference_of(z[i], y[i]);
      out.labels[to] = difference_of(y[i], pivot);
      out.predictions[to] = static_cast<double>(z[i]);
    }
    team.sync();
  }
}

__global__ void __launch_bounds__(Tuning::kThreads)
    error_terms_kernel(ErrorRows rows, std::int64_t count, ErrorTerm term, double pivot, double q, double* out) {
  for (std::int64_t i = first_row(); i < count; i += row_step())
    out[i] = error_term(term, rows.errors[i], rows.labels[i] + pivot, rows.predictions[i], q);
}

/// How many classes are ahead of the row's label.
__device__ __forceinline__ std::uint32_t place_of(Beside const& scores, std::int64_t row, std::uint32_t label) {
  std::uint64_t const own = key_of_row(scores.columns[label], row);
  std::uint32_t before = 0;
  for (std::uint32_t k = 0; k < scores.count; ++k) {
    std::uint64_t const other = key_of_row(scores.columns[k], row);
    before += other > own || (other == own && k > label) ? 1 : 0;
  }
  return before;
}

__global__ void __launch_bounds__(Tuning::kThreads)
    places_kernel(Beside scores, std::int32_t const* groups, std::uint32_t const* class_of_group, std::uint64_t* counts) {
  __shared__ std::uint32_t near[Tuning::kNearPlaces];
  CudaTeam const team;
  std::uint32_t const nearby = scores.count < Tuning::kNearPlaces ? scores.count : Tuning::kNearPlaces;
  for (std::uint32_t i = threadIdx.x; i < nearby; i += blockDim.x) near[i] = 0;
  team.sync();
  for (std::int64_t row = first_row(); row < scores.rows; row += row_step()) {
    if (groups[row] < 0) continue;
    std::uint32_t const before = place_of(scores, row, class_of_group[groups[row]]);
    if (before < nearby)
      team.add_one(&near[before]);
    else
      team.add_one(&counts[before]);
  }
  team.sync();
  for (std::uint32_t i = threadIdx.x; i < nearby; i += blockDim.x)
    if (near[i] != 0) team.add(&counts[i], std::uint64_t{near[i]});
}

__global__ void __launch_bounds__(Tuning::kThreads)
    place_numbers_kernel(Beside scores, std::int32_t const* groups, std::uint32_t const* class_of_group, std::int32_t* out) {
  for (std::int64_t row = first_row(); row < scores.rows; row += row_step())
    out[row] = groups[row] < 0 ? -1 : static_cast<std::int32_t>(place_of(scores, row, class_of_group[groups[row]]));
}

__global__ void __launch_bounds__(Tuning::kThreads)
    ranking_rows_kernel(NumericView labels, NumericView scores, NumericView queries, std::uint32_t const* flags, std::uint32_t const* before,
                        std::uint32_t first, RankingRows out) {
  // Of 32 bits, keys of floats stay below this.
  std::uint64_t const last = scores.storage == Storage::float32 ? 0xffffffffu : ~std::uint64_t{0};
  for (std::int64_t i = first_row(); i < labels.rows; i += row_step()) {
    if (flags[i] == 0) continue;
    std::uint32_t const to = before[i];
    out.scores[to] = last - key_of_row(scores, i);
    out.queries[to] = key_of_row(queries, i);
    out.relevance[to] = with_value(labels, i, [](auto x) { return static_cast<double>(x); });
    out.numbers[to] = first + to;
  }
}

__global__ void __launch_bounds__(Tuning::kThreads)
    pick_kernel(std::uint64_t const* from, std::uint32_t const* numbers, std::int64_t count, std::uint64_t* to) {
  for (std::int64_t i = first_row(); i < count; i += row_step()) to[i] = from[numbers[i]];
}

__global__ void __launch_bounds__(Tuning::kThreads)
    ranked_kernel(RankingRows rows, std::uint32_t const* numbers, std::int64_t count, double* relevance, std::uint8_t* heads) {
  for (std::int64_t i = first_row(); i < count; i += row_step()) {
    std::uint32_t const own = numbers[i];
    relevance[i] = rows.relevance[own];
    std::uint32_t const before = i == 0 ? own : numbers[i - 1];
    bool const query = i == 0 || rows.queries[own] != rows.queries[before];
    heads[i] = query ? 2 : rows.scores[own] != rows.scores[before] ? 1 : 0;
  }
}

__global__ void __launch_bounds__(Tuning::kThreads)
    weighted_rows_kernel(NumericView column, NumericView weights, std::uint32_t const* flags, std::uint32_t const* before, std::uint32_t first,
                         WeightedRows out) {
  for (std::int64_t i = first_row(); i < column.rows; i += row_step()) {
    if (flags[i] == 0) continue;
    std::uint32_t const to = before[i];
    out.keys[to] = key_of_row(column, i);
    out.weights[to] = with_value(weights, i, [](auto x) { return static_cast<double>(x); });
    out.numbers[to] = first + to;
  }
}

__global__ void __launch_bounds__(Tuning::kThreads) heads_kernel(std::uint64_t const* keys, std::int64_t count, std::uint32_t* heads) {
  for (std::int64_t i = first_row(); i < count; i += row_step()) heads[i] = i == 0 || keys[i] != keys[i - 1] ? 1 : 0;
}

/// A thread a run: one order of additions for every device.
__global__ void __launch_bounds__(Tuning::kThreads)
    run_sums_kernel(WeightedRows sorted, std::uint32_t const* heads, std::uint32_t const* before, std::int64_t count, std::uint64_t* keys,
                    double* sums) {
  for (std::int64_t i = first_row(); i < count; i += row_step()) {
    if (heads[i] == 0) continue;
    double sum = 0;
    for (std::int64_t j = i; j < count && (j == i || heads[j] == 0); ++j) sum += sorted.weights[sorted.numbers[j]];
    keys[before[i]] = sorted.keys[i];
    sums[before[i]] = sum;
  }
}

unsigned blocks(std::int64_t rows, int multiprocessors) {
  return blocks_for(rows, std::int64_t{multiprocessors} * Tuning::kBlocksPerMultiprocessor);
}

}  // namespace

void launch_there(Beside const& beside, std::int32_t const* groups, std::int32_t group, std::uint32_t* flags, int multiprocessors,
                  cudaStream_t stream) {
  if (beside.rows == 0) return;
  there_kernel<<<blocks(beside.rows, multiprocessors), Tuning::kThreads, 0, stream>>>(beside, groups, group, flags);
  check_launch("there");
}

void launch_only_rows(Beside const& beside, std::int32_t const* groups, std::int32_t* out, int multiprocessors, cudaStream_t stream) {
  if (beside.rows == 0) return;
  only_rows_kernel<<<blocks(beside.rows, multiprocessors), Tuning::kThreads, 0, stream>>>(beside, groups, out);
  check_launch("only_rows");
}

void launch_cross(std::int32_t const* a, std::int32_t const* b, std::int32_t b_count, std::int64_t rows, std::int32_t* out,
                  int multiprocessors, cudaStream_t stream) {
  if (rows == 0) return;
  cross_kernel<<<blocks(rows, multiprocessors), Tuning::kThreads, 0, stream>>>(a, b, b_count, rows, out);
  check_launch("cross");
}

void launch_renumber(std::int32_t const* groups, std::int32_t const* to, std::int64_t rows, std::int32_t* out, int multiprocessors,
                     cudaStream_t stream) {
  if (rows == 0) return;
  renumber_kernel<<<blocks(rows, multiprocessors), Tuning::kThreads, 0, stream>>>(groups, to, rows, out);
  check_launch("renumber");
}

void launch_least_key(NumericView const& column, Domain domain, std::uint32_t const* flags, std::uint64_t* least, int multiprocessors,
                      cudaStream_t stream) {
  if (column.rows == 0) return;
  if (domain == Domain::uint64)
    least_key_kernel<std::uint64_t><<<blocks(column.rows, multiprocessors), Tuning::kThreads, 0, stream>>>(column, flags, least);
  else
    least_key_kernel<std::int64_t><<<blocks(column.rows, multiprocessors), Tuning::kThreads, 0, stream>>>(column, flags, least);
  check_launch("least_key");
}

void launch_errors(Beside const& sides, Domain domain, std::uint64_t pivot, std::uint32_t const* flags, std::uint32_t const* before,
                   ErrorRows const& out, int multiprocessors, cudaStream_t stream) {
  if (sides.rows == 0) return;
  with_domain(domain, [&]<class Value>(Value) {
    using Key = typename KeyOf<Value>::Key;
    errors_kernel<Value><<<blocks(sides.rows, multiprocessors), Tuning::kThreads, 0, stream>>>(
        sides, KeyOf<Value>::value(static_cast<Key>(pivot)), flags, before, out);
  });
  check_launch("errors");
}

void launch_error_terms(ErrorRows const& rows, std::int64_t count, ErrorTerm term, double pivot, double q, double* out,
                        int multiprocessors, cudaStream_t stream) {
  if (count == 0) return;
  error_terms_kernel<<<blocks(count, multiprocessors), Tuning::kThreads, 0, stream>>>(rows, count, term, pivot, q, out);
  check_launch("error_terms");
}

void launch_places(Beside const& scores, std::int32_t const* groups, std::uint32_t const* class_of_group, std::uint64_t* counts,
                   int multiprocessors, cudaStream_t stream) {
  if (scores.rows == 0) return;
  places_kernel<<<blocks(scores.rows, multiprocessors), Tuning::kThreads, 0, stream>>>(scores, groups, class_of_group, counts);
  check_launch("places");
}

void launch_place_numbers(Beside const& scores, std::int32_t const* groups, std::uint32_t const* class_of_group, std::int32_t* out,
                          int multiprocessors, cudaStream_t stream) {
  if (scores.rows == 0) return;
  place_numbers_kernel<<<blocks(scores.rows, multiprocessors), Tuning::kThreads, 0, stream>>>(scores, groups, class_of_group, out);
  check_launch("place_numbers");
}

void launch_ranking_rows(NumericView const& labels, NumericView const& scores, NumericView const& queries, std::uint32_t const* flags,
                         std::uint32_t const* before, std::uint32_t first, RankingRows const& out, int multiprocessors,
                         cudaStream_t stream) {
  if (labels.rows == 0) return;
  ranking_rows_kernel<<<blocks(labels.rows, multiprocessors), Tuning::kThreads, 0, stream>>>(labels, scores, queries, flags, before, first, out);
  check_launch("ranking_rows");
}

void launch_pick(std::uint64_t const* from, std::uint32_t const* numbers, std::int64_t count, std::uint64_t* to, int multiprocessors,
                 cudaStream_t stream) {
  if (count == 0) return;
  pick_kernel<<<blocks(count, multiprocessors), Tuning::kThreads, 0, stream>>>(from, numbers, count, to);
  check_launch("pick");
}

void launch_ranked(RankingRows const& rows, std::uint32_t const* numbers, std::int64_t count, double* relevance, std::uint8_t* heads,
                   int multiprocessors, cudaStream_t stream) {
  if (count == 0) return;
  ranked_kernel<<<blocks(count, multiprocessors), Tuning::kThreads, 0, stream>>>(rows, numbers, count, relevance, heads);
  check_launch("ranked");
}

void launch_weighted_rows(NumericView const& column, NumericView const& weights, std::uint32_t const* flags, std::uint32_t const* before,
                          std::uint32_t first, WeightedRows const& out, int multiprocessors, cudaStream_t stream) {
  if (column.rows == 0) return;
  weighted_rows_kernel<<<blocks(column.rows, multiprocessors), Tuning::kThreads, 0, stream>>>(column, weights, flags, before, first, out);
  check_launch("weighted_rows");
}

void launch_heads(std::uint64_t const* keys, std::int64_t count, std::uint32_t* heads, int multiprocessors, cudaStream_t stream) {
  if (count == 0) return;
  heads_kernel<<<blocks(count, multiprocessors), Tuning::kThreads, 0, stream>>>(keys, count, heads);
  check_launch("heads");
}

void launch_run_sums(WeightedRows const& sorted, std::uint32_t const* heads, std::uint32_t const* before, std::int64_t count, std::uint64_t* keys,
                     double* sums, int multiprocessors, cudaStream_t stream) {
  if (count == 0) return;
  run_sums_kernel<<<blocks(count, multiprocessors), Tuning::kThreads, 0, stream>>>(sorted, heads, before, count, keys, sums);
  check_launch("run_sums");
}

}  // namespace modelwatch::cuda
