#include "cuda/kernels/pairs.hpp"
#include "cuda/runtime/error.hpp"

namespace modelwatch::cuda {
namespace {

using Tuning = PairsTuning;
constexpr int kThreads = Tuning::kSide * Tuning::kSide;

/// Coordinates of the rows of a tile, [coordinate][row]; one more row than there is keeps the threads that write one row's
/// coordinates out of each other's banks.
template <class Value>
struct Slab {
  Value at[Tuning::kSlab][Tuning::kTile + 1];
};

/// Rows from `row` on and coordinates from `from` on; 0 beyond the ends.
template <class Value>
__device__ __forceinline__ void load(Slab<Value>& slab, Value const* values, std::int64_t row, std::int64_t rows, std::int64_t from,
                                     std::int64_t dimensions) {
  for (int i = static_cast<int>(threadIdx.x); i < Tuning::kSlab * Tuning::kTile; i += kThreads) {
    int const k = i % Tuning::kSlab;
    int const r = i / Tuning::kSlab;
    bool const inside = row + r < rows && from + k < dimensions;
    slab.at[k][r] = inside ? values[(row + r) * dimensions + from + k] : Value{0};
  }
}

__device__ __forceinline__ double kernel_of(double squared, double scale, double) { return exp(-scale * squared); }
/// Rows of floats have squared distances of single precision; so has what comes of them.
__device__ __forceinline__ double kernel_of(double squared, double scale, float) {
  return static_cast<double>(expf(static_cast<float>(-scale * squared)));
}

template <class Value>
__global__ void __launch_bounds__(kThreads, 2) pair_sums_kernel(PairRows<Value> rows, PairScales scales, double* partials, std::int64_t stride) {
  __shared__ Slab<Value> x;
  __shared__ Slab<Value> y;
  __shared__ double folded[kThreads];
  int const across = static_cast<int>(threadIdx.x) % Tuning::kSide;
  int const down = static_cast<int>(threadIdx.x) / Tuning::kSide;
  std::int64_t const x_row = std::int64_t{blockIdx.x} * Tuning::kTile;
  std::int64_t const y_end = (std::int64_t{blockIdx.y} + 1) * Tuning::kSegment < rows.m ? (std::int64_t{blockIdx.y} + 1) * Tuning::kSegment : rows.m;
  double sums[Tuning::kSums] = {};
  for (std::int64_t y_row = std::int64_t{blockIdx.y} * Tuning::kSegment; y_row < y_end; y_row += Tuning::kTile) {
    double squared[Tuning::kEach][Tuning::kEach] = {};
    for (std::int64_t from = 0; from < rows.dimensions; from += Tuning::kSlab) {
      __syncthreads();  // nobody reads what was there
      load(x, rows.x, x_row, rows.n, from, rows.dimensions);
      load(y, rows.y, y_row, rows.m, from, rows.dimensions);
      __syncthreads();
      // A slab in the rows' own type, slabs in double: rounding does not grow with the dimensions.
      Value part[Tuning::kEach][Tuning::kEach] = {};
#pragma unroll 4
      for (int k = 0; k < Tuning::kSlab; ++k)
#pragma unroll
        for (int i = 0; i < Tuning::kEach; ++i)
#pragma unroll
          for (int j = 0; j < Tuning::kEach; ++j) {
            Value const apart = x.at[k][down + i * Tuning::kSide] - y.at[k][across + j * Tuning::kSide];
            part[i][j] += apart * apart;
          }
#pragma unroll
      for (int i = 0; i < Tuning::kEach; ++i)
#pragma unroll
        for (int j = 0; j < Tuning::kEach; ++j) squared[i][j] += static_cast<double>(part[i][j]);
    }
#pragma unroll
    for (int i = 0; i < Tuning::kEach; ++i)
#pragma unroll
      for (int j = 0; j < Tuning::kEach; ++j) {
        if (x_row + down + i * Tuning::kSide >= rows.n || y_row + across + j * Tuning::kSide >= rows.m) continue;
        sums[0] += sqrt(squared[i][j]);
#pragma unroll
        for (int s = 0; s < Tuning::kScales; ++s)
          if (s < scales.count) sums[s + 1] += kernel_of(squared[i][j], scales.values[s], Value{});
      }
  }
  double* const out = partials + (std::int64_t{blockIdx.y} * stride + blockIdx.x) * Tuning::kSums;
#pragma unroll
  for (int s = 0; s < Tuning::kSums; ++s) {
    folded[threadIdx.x] = sums[s];
    __syncthreads();
    for (int half = kThreads / 2; half != 0; half /= 2) {
      if (static_cast<int>(threadIdx.x) < half) folded[threadIdx.x] += folded[threadIdx.x + half];
      __syncthreads();
    }
    if (threadIdx.x == 0) out[s] = folded[0];
    __syncthreads();
  }
}

}  // namespace

template <class Value>
void launch_pair_sums(PairRows<Value> const& rows, PairScales const& scales, double* partials, std::int64_t stride, cudaStream_t stream) {
  if (rows.n == 0 || rows.m == 0) return;
  dim3 const blocks(static_cast<unsigned>((rows.n + Tuning::kTile - 1) / Tuning::kTile),
                    static_cast<unsigned>((rows.m + Tuning::kSegment - 1) / Tuning::kSegment));
  pair_sums_kernel<<<blocks, kThreads, 0, stream>>>(rows, scales, partials, stride);
  check_launch("pair_sums");
}
template void launch_pair_sums(PairRows<float> const&, PairScales const&, double*, std::int64_t, cudaStream_t);
template void launch_pair_sums(PairRows<double> const&, PairScales const&, double*, std::int64_t, cudaStream_t);

}  // namespace modelwatch::cuda
