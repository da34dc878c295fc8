#include <climits>

#include "cuda/kernels/pairs.hpp"
#include "cuda/runtime/error.hpp"

namespace modelwatch::cuda {
namespace {

constexpr int kThreads = PairsTuning::kNearestThreads;
constexpr int kWarps = kThreads / 32;
constexpr unsigned kAllLanes = 0xffffffffu;

/// A row by its distance; of equal ones the earlier row is nearer.
struct Near {
  double squared;
  std::int64_t index;

  __device__ bool before(Near const& other) const { return squared < other.squared || (squared == other.squared && index < other.index); }
};

__device__ __forceinline__ Near nearer(Near const& a, Near const& b) { return b.before(a) ? b : a; }

__device__ __forceinline__ Near nearest_of_warp(Near own) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2)
    own = nearer(own, {__shfl_xor_sync(kAllLanes, own.squared, step), __shfl_xor_sync(kAllLanes, own.index, step)});
  return own;
}

/// SUM (x - y)^2, by the lanes of a warp.
template <class Value>
__device__ __forceinline__ double squared_distance(Value const* x, Value const* y, std::int64_t dimensions, int lane) {
  double sum = 0;
  for (std::int64_t d = lane; d < dimensions; d += 32) {
    double const difference = static_cast<double>(x[d]) - static_cast<double>(y[d]);
    sum += difference * difference;
  }
#pragma unroll
  for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(kAllLanes, sum, step);
  return sum;
}

/// A block a row: its warps go through the others, then k times the nearest that is farther than the one before is taken.
template <class Value>
__global__ void __launch_bounds__(kThreads)
    nearest_kernel(PairRows<Value> rows, std::int64_t first, PairRows<Value> among, bool same, int k, double* distances, double* squared,
                   std::int64_t* index) {
  __shared__ Near of_warp[kWarps];
  int const lane = static_cast<int>(threadIdx.x) % 32;
  int const warp = static_cast<int>(threadIdx.x) / 32;
  std::int64_t const row = first + blockIdx.x;
  Value const* const x = rows.values + row * rows.dimensions;
  double* const own = distances + std::int64_t{blockIdx.x} * among.rows;
  for (std::int64_t j = warp; j < among.rows; j += kWarps) {
    double const sum = squared_distance(x, among.values + j * among.dimensions, rows.dimensions, lane);
    if (lane == 0) own[j] = sum;
  }
  __syncthreads();
  Near last{-1.0, -1};
  for (int place = 0; place < k; ++place) {
    Near best{__longlong_as_double(0x7ff0000000000000), LLONG_MAX};
    for (std::int64_t j = threadIdx.x; j < among.rows; j += kThreads) {
      Near const found{own[j], j};
      if (last.before(found) && !(same && j == row)) best = nearer(best, found);
    }
    best = nearest_of_warp(best);
    __syncthreads();  // nobody reads those of the place before
    if (lane == 0) of_warp[warp] = best;
    __syncthreads();
    last = of_warp[0];
#pragma unroll
    for (int w = 1; w < kWarps; ++w) last = nearer(last, of_warp[w]);
    if (threadIdx.x == 0) {
      squared[std::int64_t{blockIdx.x} * k + place] = last.squared;
      index[std::int64_t{blockIdx.x} * k + place] = last.index;
    }
  }
}

/// A block a row: its warps go through the balls.
template <class Value>
__global__ void __launch_bounds__(kThreads)
    balls_kernel(PairRows<Value> rows, PairRows<Value> among, double const* squared_radii, std::uint32_t* inside, double* closest) {
  __shared__ std::uint32_t counts[kWarps];
  __shared__ double least[kWarps];
  int const lane = static_cast<int>(threadIdx.x) % 32;
  int const warp = static_cast<int>(threadIdx.x) / 32;
  std::int64_t const row = blockIdx.x;
  std::uint32_t count = 0;
  double own = __longlong_as_double(0x7ff0000000000000);
  for (std::int64_t j = warp; j < among.rows; j += kWarps) {
    double const squared = squared_distance(rows.values + row * rows.dimensions, among.values + j * among.dimensions, rows.dimensions, lane);
    count += squared < squared_radii[j] ? 1 : 0;
    own = squared < own ? squared : own;
  }
  if (lane == 0) {
    counts[warp] = count;
    least[warp] = own;
  }
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (int w = 1; w < kWarps; ++w) {
    count += counts[w];
    own = least[w] < own ? least[w] : own;
  }
  inside[row] = count;
  closest[row] = own;
}

}  // namespace

template <class Value>
void launch_balls(PairRows<Value> const& rows, PairRows<Value> const& among, double const* squared_radii, std::uint32_t* inside,
                  double* closest, cudaStream_t stream) {
  if (rows.rows == 0) return;
  balls_kernel<<<static_cast<unsigned>(rows.rows), kThreads, 0, stream>>>(rows, among, squared_radii, inside, closest);
  check_launch("balls");
}
template void launch_balls(PairRows<float> const&, PairRows<float> const&, double const*, std::uint32_t*, double*, cudaStream_t);
template void launch_balls(PairRows<double> const&, PairRows<double> const&, double const*, std::uint32_t*, double*, cudaStream_t);

template <class Value>
void launch_nearest(PairRows<Value> const& rows, std::int64_t first, std::int64_t count, PairRows<Value> const& among, bool same, int k,
                    double* distances, double* squared, std::int64_t* index, cudaStream_t stream) {
  if (count == 0) return;
  nearest_kernel<<<static_cast<unsigned>(count), kThreads, 0, stream>>>(rows, first, among, same, k, distances, squared, index);
  check_launch("nearest");
}
template void launch_nearest(PairRows<float> const&, std::int64_t, std::int64_t, PairRows<float> const&, bool, int, double*, double*, std::int64_t*, cudaStream_t);
template void launch_nearest(PairRows<double> const&, std::int64_t, std::int64_t, PairRows<double> const&, bool, int, double*, double*, std::int64_t*, cudaStream_t);

}  // namespace modelwatch::cuda
