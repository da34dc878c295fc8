#include "cuda/kernels/fused.hpp"
#include "cuda/kernels/pairs.hpp"
#include "cuda/kernels/tiling.hpp"
#include "cuda/runtime/error.hpp"

namespace modelwatch::cuda {
namespace {

using Tuning = PairsTuning;
constexpr int kTile = Tuning::kTile;
constexpr int kThreads = Tuning::kSide * Tuning::kSide;

/// Coordinates of the rows of two tiles, [coordinate][row]; one more row than there is keeps the threads that write one
/// row's coordinates out of each other's banks.
template <class Value>
struct Slabs {
  Value x[Tuning::kSlab][kTile + 1];
  Value y[Tuning::kSlab][kTile + 1];
};

/// What a block keeps near by: coordinates until all distances are there, then a function of them.
template <class Value>
union Near {
  Slabs<Value> slabs;
  Value of_pair[kTile][kTile + 1];
};

/// Rows from `row` on and coordinates from `from` on; 0 beyond the ends.
template <class Value>
__device__ __forceinline__ void load(Value (&slab)[Tuning::kSlab][kTile + 1], PairRows<Value> const& rows, std::int64_t row, std::int64_t from) {
  for (int i = static_cast<int>(threadIdx.x); i < Tuning::kSlab * kTile; i += kThreads) {
    int const k = i % Tuning::kSlab;
    int const r = i / Tuning::kSlab;
    bool const inside = row + r < rows.rows && from + k < rows.dimensions;
    slab[k][r] = inside ? rows.values[(row + r) * rows.dimensions + from + k] : Value{0};
  }
}

__device__ __forceinline__ double value_of(double squared, double scale, double closest) {
  return scale < 0 ? sqrt(squared) : exp(-scale * (squared - closest));
}
/// Rows of floats have squared distances of single precision; so has what comes of them.
__device__ __forceinline__ float value_of(float squared, double scale, double closest) {
  return scale < 0 ? sqrtf(squared) : expf(static_cast<float>(-scale * (static_cast<double>(squared) - closest)));
}

template <class Value>
__global__ void __launch_bounds__(kThreads, 2)
    pair_sums_kernel(PairRows<Value> rows, PairMarks marks, PairFunctions functions, std::int64_t first, double* partials) {
  __shared__ Near<Value> near;
  __shared__ double of_row[kTile];
  __shared__ double of_column[kTile];
  __shared__ double scales[Tuning::kFunctions];
  if (threadIdx.x == 0)
#pragma unroll
    for (int f = 0; f < Tuning::kFunctions; ++f) scales[f] = functions.scales[f];
  int const across = static_cast<int>(threadIdx.x) % Tuning::kSide;
  int const down = static_cast<int>(threadIdx.x) / Tuning::kSide;
  std::int64_t const tiles = (rows.rows + kTile - 1) / kTile;
  std::int64_t const x_tile = first + blockIdx.x;
  int const sums = 1 + 2 * marks.count * marks.parts;
  double* const own = partials + (std::int64_t{blockIdx.y} * gridDim.x + blockIdx.x) * functions.count * sums;
  for (std::int64_t y_tile = x_tile + blockIdx.y; y_tile < tiles; y_tile += gridDim.y) {
    std::int64_t const x_row = x_tile * kTile;
    std::int64_t const y_row = y_tile * kTile;
    bool const apart = x_tile != y_tile;  // of one tile's pairs both orders are there
    Value squared[Tuning::kEach][Tuning::kEach] = {};
    for (std::int64_t from = 0; from < rows.dimensions; from += Tuning::kSlab) {
      __syncthreads();  // nobody reads what was there
      load(near.slabs.x, rows, x_row, from);
      load(near.slabs.y, rows, y_row, from);
      __syncthreads();
      // Slab by slab, so that rounding grows with the number of slabs and not of dimensions.
      Value part[Tuning::kEach][Tuning::kEach] = {};
#pragma unroll 4
      for (int k = 0; k < Tuning::kSlab; ++k)
#pragma unroll
        for (int i = 0; i < Tuning::kEach; ++i)
#pragma unroll
          for (int j = 0; j < Tuning::kEach; ++j) {
            Value const difference = near.slabs.x[k][down + i * Tuning::kSide] - near.slabs.y[k][across + j * Tuning::kSide];
            part[i][j] = fused(difference, difference, part[i][j]);
          }
#pragma unroll
      for (int i = 0; i < Tuning::kEach; ++i)
#pragma unroll
        for (int j = 0; j < Tuning::kEach; ++j) squared[i][j] += part[i][j];
    }
    for (int f = 0; f < functions.count; ++f) {
      double* const out = own + f * sums;
      __syncthreads();  // nobody reads the slabs, or the function before
#pragma unroll
      for (int i = 0; i < Tuning::kEach; ++i)
#pragma unroll
        for (int j = 0; j < Tuning::kEach; ++j) {
          int const r = down + i * Tuning::kSide;
          int const c = across + j * Tuning::kSide;
          bool const pair = x_row + r < rows.rows && y_row + c < rows.rows && x_row + r != y_row + c;
          near.of_pair[r][c] = pair ? value_of(squared[i][j], scales[f], functions.closest) : Value{0};
        }
      __syncthreads();
      if (static_cast<int>(threadIdx.x) < 2 * kTile) {
        int const at = static_cast<int>(threadIdx.x) % kTile;
        bool const row = static_cast<int>(threadIdx.x) < kTile;
        double sum = 0;
#pragma unroll 4
        for (int i = 0; i < kTile; ++i) sum += static_cast<double>(row ? near.of_pair[at][i] : near.of_pair[i][at]);
        (row ? of_row : of_column)[at] = sum;
      }
      __syncthreads();
      if (threadIdx.x == 0) {
        double sum = 0;
#pragma unroll 4
        for (int i = 0; i < kTile; ++i) sum += of_row[i];
        out[0] += apart ? 2 * sum : sum;
      }
      int const each = kTile / marks.parts;
      for (int item = static_cast<int>(threadIdx.x); item < marks.count * marks.parts; item += kThreads) {
        int const column = item % marks.count;
        int const begin = item / marks.count * each;
        std::uint64_t const x = marks.words[x_tile * marks.count + column];
        std::uint64_t const y = marks.words[y_tile * marks.count + column];
        double within = 0;
        double touching = 0;
        for (int r = begin; r < begin + each; ++r) {
          Value sum = 0;
#pragma unroll 4
          for (int c = 0; c < kTile; ++c) sum += ((y >> c) & 1) != 0 ? near.of_pair[r][c] : Value{0};
          within += ((x >> r) & 1) != 0 ? static_cast<double>(sum) : 0.0;
          touching += ((x >> r) & 1) != 0 ? of_row[r] : 0.0;
          if (apart) touching += ((y >> r) & 1) != 0 ? of_column[r] : 0.0;
        }
        out[1 + item] += apart ? 2 * within : within;
        out[1 + marks.count * marks.parts + item] += touching;
      }
    }
  }
}

template <class Value>
__global__ void __launch_bounds__(kThreads) find_not_finite_kernel(Value const* values, std::int64_t count, std::uint32_t* found) {
  bool bad = false;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += std::int64_t{gridDim.x} * blockDim.x)
    bad |= !(values[i] - values[i] == Value{0});
  if (bad) atomicOr(found, 1u);
}

}  // namespace

template <class Value>
void launch_pair_sums(PairRows<Value> const& rows, PairMarks const& marks, PairFunctions const& functions, std::int64_t first,
                      std::int64_t tiles, int stripes, double* partials, cudaStream_t stream) {
  if (tiles == 0) return;
  dim3 const blocks(static_cast<unsigned>(tiles), static_cast<unsigned>(stripes));
  pair_sums_kernel<<<blocks, kThreads, 0, stream>>>(rows, marks, functions, first, partials);
  check_launch("pair_sums");
}
template void launch_pair_sums(PairRows<float> const&, PairMarks const&, PairFunctions const&, std::int64_t, std::int64_t, int, double*, cudaStream_t);
template void launch_pair_sums(PairRows<double> const&, PairMarks const&, PairFunctions const&, std::int64_t, std::int64_t, int, double*, cudaStream_t);

template <class Value>
void launch_find_not_finite(Value const* values, std::int64_t count, std::uint32_t* found, int multiprocessors, cudaStream_t stream) {
  if (count == 0) return;
  find_not_finite_kernel<<<blocks_for(count, std::int64_t{multiprocessors} * 8), kThreads, 0, stream>>>(values, count, found);
  check_launch("find_not_finite");
}
template void launch_find_not_finite(float const*, std::int64_t, std::uint32_t*, int, cudaStream_t);
template void launch_find_not_finite(double const*, std::int64_t, std::uint32_t*, int, cudaStream_t);

}  // namespace modelwatch::cuda
