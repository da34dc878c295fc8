#include "cuda/kernels/fused.hpp"
#include "cuda/kernels/vectors.hpp"
#include "cuda/runtime/error.hpp"

namespace modelwatch::cuda {
namespace {

using Tuning = VectorsTuning;
constexpr int kTile = Tuning::kTile;
constexpr int kThreads = Tuning::kSide * Tuning::kSide;

/// [row or element][element, row or frequency]; one more keeps threads that write across out of each other's banks.
template <class Value>
using Slab = Value[Tuning::kSlab][kTile + 1];

/// Elements from `element` on of rows from `row` on, rows down; 0 beyond the ends.
template <class Value>
__device__ __forceinline__ void load_rows(Slab<Value>& slab, VectorRows<Value> const& rows, std::int64_t row, std::int64_t end, std::int64_t element) {
  for (int i = static_cast<int>(threadIdx.x); i < Tuning::kSlab * kTile; i += kThreads) {
    int const k = i / kTile;
    int const c = i % kTile;
    bool const inside = row + k < end && element + c < rows.dimensions;
    slab[k][c] = inside ? rows.values[(row + k) * rows.dimensions + element + c] : Value{0};
  }
}

/// Which pair of tiles is the p-th.
__device__ __forceinline__ void find_pair(std::int64_t p, std::int64_t tiles, std::int64_t& i, std::int64_t& j) {
  i = 0;
  while (p >= tiles - i) p -= tiles - i++;
  j = i + p;
}

template <class Value>
__global__ void __launch_bounds__(kThreads, 2) products_kernel(VectorRows<Value> rows, double* partial, double* partial_total) {
  __shared__ Slab<Value> a;
  __shared__ Slab<Value> b;
  int const across = static_cast<int>(threadIdx.x) % Tuning::kSide;
  int const down = static_cast<int>(threadIdx.x) / Tuning::kSide;
  std::int64_t const tiles = (rows.dimensions + kTile - 1) / kTile;
  std::int64_t i_tile = 0;
  std::int64_t j_tile = 0;
  find_pair(blockIdx.x, tiles, i_tile, j_tile);
  std::int64_t const begin = std::int64_t{blockIdx.y} * Tuning::kStripRows;
  std::int64_t const end = begin + Tuning::kStripRows < rows.rows ? begin + Tuning::kStripRows : rows.rows;
  double sums[Tuning::kEach][Tuning::kEach] = {};
  double total = 0;
  for (std::int64_t tile = begin; tile < end; tile += Tuning::kFloatRows) {
    std::int64_t const tile_end = tile + Tuning::kFloatRows < end ? tile + Tuning::kFloatRows : end;
    Value part[Tuning::kEach][Tuning::kEach] = {};
    for (std::int64_t row = tile; row < tile_end; row += Tuning::kSlab) {
      __syncthreads();  // nobody reads what was there
      load_rows(a, rows, row, tile_end, i_tile * kTile);
      load_rows(b, rows, row, tile_end, j_tile * kTile);
      __syncthreads();
#pragma unroll 4
      for (int k = 0; k < Tuning::kSlab; ++k)
#pragma unroll
        for (int i = 0; i < Tuning::kEach; ++i)
#pragma unroll
          for (int j = 0; j < Tuning::kEach; ++j)
            part[i][j] = fused(a[k][down + i * Tuning::kSide], b[k][across + j * Tuning::kSide], part[i][j]);
      if (i_tile == j_tile && static_cast<int>(threadIdx.x) < kTile)
        for (int k = 0; k < Tuning::kSlab; ++k) total += static_cast<double>(a[k][threadIdx.x]);
    }
#pragma unroll
    for (int i = 0; i < Tuning::kEach; ++i)
#pragma unroll
      for (int j = 0; j < Tuning::kEach; ++j) sums[i][j] += static_cast<double>(part[i][j]);
  }
  double* const out = partial + (std::int64_t{blockIdx.y} * gridDim.x + blockIdx.x) * kTile * kTile;
#pragma unroll
  for (int i = 0; i < Tuning::kEach; ++i)
#pragma unroll
    for (int j = 0; j < Tuning::kEach; ++j) out[(down + i * Tuning::kSide) * kTile + across + j * Tuning::kSide] = sums[i][j];
  std::int64_t const element = i_tile * kTile + threadIdx.x;
  if (i_tile == j_tile && static_cast<int>(threadIdx.x) < kTile && element < rows.dimensions)
    partial_total[std::int64_t{blockIdx.y} * rows.dimensions + element] = total;
}

/// sums[i] += partial[0][i] + partial[1][i] + ..., in this order.
__global__ void __launch_bounds__(kThreads) add_strips_kernel(double const* partial, std::int64_t strips, std::int64_t count, double* sums) {
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += std::int64_t{gridDim.x} * blockDim.x) {
    double sum = sums[i];
    for (std::int64_t s = 0; s < strips; ++s) sum += partial[s * count + i];
    sums[i] = sum;
  }
}

__device__ __forceinline__ void turn(float halves, float& sine, float& cosine) { sincospif(halves, &sine, &cosine); }
__device__ __forceinline__ void turn(double halves, double& sine, double& cosine) { sincospi(halves, &sine, &cosine); }

template <class Value>
union FeatureSpace {
  struct {
    Slab<Value> x;
    Slab<Value> w;
  } slabs;
  Value down[Tuning::kSide][kTile];  // of each row of threads its sum
  double quarters[kThreads];
};

template <class Value>
__global__ void __launch_bounds__(kThreads, sizeof(Value) == sizeof(float) ? 2 : 1)
    features_kernel(VectorRows<Value> rows, Frequencies<Value> frequencies, std::int32_t const* order, std::int32_t const* begins, double* features) {
  __shared__ FeatureSpace<Value> space;
  constexpr int kKinds = 2 * Tuning::kBandwidths;
  constexpr double kHalfTurns = 0.31830988618379067154;  // 1 / pi
  int const across = static_cast<int>(threadIdx.x) % Tuning::kSide;
  int const down = static_cast<int>(threadIdx.x) / Tuning::kSide;
  int const hand = static_cast<int>(blockIdx.y);
  int const first = static_cast<int>(blockIdx.x) * kTile;  // frequency
  int const begin = begins[hand];
  int const end = begins[hand + 1];
  auto const scale = static_cast<Value>(kHalfTurns / frequencies.widest);
  double sums[kKinds] = {};  // of one frequency, over a quarter of the rows of threads
  for (int tile = begin; tile < end; tile += kTile) {
    Value angle[Tuning::kEach][Tuning::kEach] = {};
    for (std::int64_t from = 0; from < rows.dimensions; from += Tuning::kSlab) {
      __syncthreads();  // nobody reads what was there
      for (int i = static_cast<int>(threadIdx.x); i < Tuning::kSlab * kTile; i += kThreads) {
        int const k = i % Tuning::kSlab;
        int const r = i / Tuning::kSlab;
        bool const inside = tile + r < end && from + k < rows.dimensions;
        space.slabs.x[k][r] = inside ? rows.values[std::int64_t{order[tile + r]} * rows.dimensions + from + k] : Value{0};
      }
      for (int i = static_cast<int>(threadIdx.x); i < Tuning::kSlab * kTile; i += kThreads) {
        int const k = i / kTile;
        int const c = i % kTile;
        bool const inside = first + c < frequencies.count && from + k < rows.dimensions;
        space.slabs.w[k][c] = inside ? frequencies.values[(from + k) * frequencies.count + first + c] : Value{0};
      }
      __syncthreads();
#pragma unroll 4
      for (int k = 0; k < Tuning::kSlab; ++k)
#pragma unroll
        for (int i = 0; i < Tuning::kEach; ++i)
#pragma unroll
          for (int j = 0; j < Tuning::kEach; ++j)
            angle[i][j] = fused(space.slabs.x[k][down + i * Tuning::kSide], space.slabs.w[k][across + j * Tuning::kSide], angle[i][j]);
    }
    Value sine[Tuning::kEach][Tuning::kEach];
    Value cosine[Tuning::kEach][Tuning::kEach];
#pragma unroll
    for (int i = 0; i < Tuning::kEach; ++i)
#pragma unroll
      for (int j = 0; j < Tuning::kEach; ++j) turn(angle[i][j] * scale, sine[i][j], cosine[i][j]);
#pragma unroll
    for (int kind = 0; kind < kKinds; ++kind) {
      if (kind != 0 && kind % 2 == 0) {
#pragma unroll
        for (int i = 0; i < Tuning::kEach; ++i)
#pragma unroll
          for (int j = 0; j < Tuning::kEach; ++j) {
            // sin 2a = 2 sin a cos a, cos 2a = 1 - 2 sin^2 a
            Value const s = sine[i][j];
            sine[i][j] = 2 * s * cosine[i][j];
            cosine[i][j] = fused(-2 * s, s, Value{1});
          }
      }
      __syncthreads();  // nobody reads the slabs, or the kind before
#pragma unroll
      for (int j = 0; j < Tuning::kEach; ++j) {
        Value sum = 0;
#pragma unroll
        for (int i = 0; i < Tuning::kEach; ++i)
          if (tile + down + i * Tuning::kSide < end) sum += kind % 2 == 0 ? cosine[i][j] : sine[i][j];
        space.down[down][across + j * Tuning::kSide] = sum;
      }
      __syncthreads();
      int const quarter = static_cast<int>(threadIdx.x) / kTile * (Tuning::kSide / 4);
#pragma unroll
      for (int d = 0; d < Tuning::kSide / 4; ++d) sums[kind] += static_cast<double>(space.down[quarter + d][threadIdx.x % kTile]);
    }
  }
  double* const out = features + std::int64_t{hand} * kKinds * frequencies.count;
#pragma unroll
  for (int kind = 0; kind < kKinds; ++kind) {
    __syncthreads();
    space.quarters[threadIdx.x] = sums[kind];
    __syncthreads();
    if (static_cast<int>(threadIdx.x) < kTile && first + static_cast<int>(threadIdx.x) < frequencies.count) {
      double sum = 0;
      for (int q = 0; q < kThreads / kTile; ++q) sum += space.quarters[q * kTile + threadIdx.x];
      out[kind * frequencies.count + first + static_cast<int>(threadIdx.x)] += sum;
    }
  }
}

template <class Value>
__global__ void __launch_bounds__(kThreads) center_kernel(VectorRows<Value> rows, double const* center, std::int64_t stride, double* out) {
  for (std::int64_t row = blockIdx.x; row < rows.rows; row += gridDim.x)
    for (std::int64_t element = threadIdx.x; element < rows.dimensions; element += kThreads)
      out[row * stride + element] = static_cast<double>(rows.values[row * rows.dimensions + element]) - center[element];
}

template <class Value>
__global__ void __launch_bounds__(kThreads, 2) project_kernel(VectorRows<Value> rows, double const* directions, int count, double* out) {
  __shared__ Slab<double> x;
  __shared__ Slab<double> w;
  int const across = static_cast<int>(threadIdx.x) % Tuning::kSide;
  int const down = static_cast<int>(threadIdx.x) / Tuning::kSide;
  std::int64_t const row = std::int64_t{blockIdx.x} * kTile;
  int const first = static_cast<int>(blockIdx.y) * kTile;
  double sums[Tuning::kEach][Tuning::kEach] = {};  // [direction][row]
  for (std::int64_t from = 0; from < rows.dimensions; from += Tuning::kSlab) {
    __syncthreads();  // nobody reads what was there
    for (int i = static_cast<int>(threadIdx.x); i < Tuning::kSlab * kTile; i += kThreads) {
      int const k = i % Tuning::kSlab;
      int const r = i / Tuning::kSlab;
      bool const inside = row + r < rows.rows && from + k < rows.dimensions;
      x[k][r] = inside ? static_cast<double>(rows.values[(row + r) * rows.dimensions + from + k]) : 0.0;
    }
    for (int i = static_cast<int>(threadIdx.x); i < Tuning::kSlab * kTile; i += kThreads) {
      int const k = i / kTile;
      int const c = i % kTile;
      bool const inside = first + c < count && from + k < rows.dimensions;
      w[k][c] = inside ? directions[(from + k) * count + first + c] : 0.0;
    }
    __syncthreads();
#pragma unroll 4
    for (int k = 0; k < Tuning::kSlab; ++k)
#pragma unroll
      for (int i = 0; i < Tuning::kEach; ++i)
#pragma unroll
        for (int j = 0; j < Tuning::kEach; ++j) sums[i][j] = fused(w[k][down + i * Tuning::kSide], x[k][across + j * Tuning::kSide], sums[i][j]);
  }
#pragma unroll
  for (int i = 0; i < Tuning::kEach; ++i)
#pragma unroll
    for (int j = 0; j < Tuning::kEach; ++j) {
      int const direction = first + down + i * Tuning::kSide;
      std::int64_t const own = row + across + j * Tuning::kSide;
      if (direction < count && own < rows.rows) out[direction * rows.rows + own] = sums[i][j];
    }
}

void add_strips(double const* partial, std::int64_t strips, std::int64_t count, double* sums, cudaStream_t stream) {
  std::int64_t const blocks = (count + kThreads - 1) / kThreads;
  add_strips_kernel<<<static_cast<unsigned>(blocks < 4096 ? blocks : 4096), kThreads, 0, stream>>>(partial, strips, count, sums);
  check_launch("add_strips");
}

}  // namespace

template <class Value>
void launch_add_products(VectorRows<Value> const& rows, double* partial, double* partial_total, double* products, double* total, cudaStream_t stream) {
  if (rows.rows == 0) return;
  std::int64_t const pairs = TilePairs(rows.dimensions).count();
  std::int64_t const strips = (rows.rows + Tuning::kStripRows - 1) / Tuning::kStripRows;
  products_kernel<<<dim3(static_cast<unsigned>(pairs), static_cast<unsigned>(strips)), kThreads, 0, stream>>>(rows, partial, partial_total);
  check_launch("products");
  add_strips(partial, strips, pairs * kTile * kTile, products, stream);
  add_strips(partial_total, strips, rows.dimensions, total, stream);
}
template void launch_add_products(VectorRows<float> const&, double*, double*, double*, double*, cudaStream_t);
template void launch_add_products(VectorRows<double> const&, double*, double*, double*, double*, cudaStream_t);

template <class Value>
void launch_add_features(VectorRows<Value> const& rows, Frequencies<Value> const& frequencies, std::int32_t const* order, std::int32_t const* begins,
                         int hands, double* features, cudaStream_t stream) {
  if (rows.rows == 0 || frequencies.count == 0) return;
  dim3 const blocks(static_cast<unsigned>((frequencies.count + kTile - 1) / kTile), static_cast<unsigned>(hands));
  features_kernel<<<blocks, kThreads, 0, stream>>>(rows, frequencies, order, begins, features);
  check_launch("features");
}
template void launch_add_features(VectorRows<float> const&, Frequencies<float> const&, std::int32_t const*, std::int32_t const*, int, double*, cudaStream_t);
template void launch_add_features(VectorRows<double> const&, Frequencies<double> const&, std::int32_t const*, std::int32_t const*, int, double*, cudaStream_t);

template <class Value>
void launch_center(VectorRows<Value> const& rows, double const* center, std::int64_t stride, double* out, cudaStream_t stream) {
  if (rows.rows == 0) return;
  center_kernel<<<static_cast<unsigned>(rows.rows < 4096 ? rows.rows : 4096), kThreads, 0, stream>>>(rows, center, stride, out);
  check_launch("center");
}
template void launch_center(VectorRows<float> const&, double const*, std::int64_t, double*, cudaStream_t);
template void launch_center(VectorRows<double> const&, double const*, std::int64_t, double*, cudaStream_t);

template <class Value>
void launch_project(VectorRows<Value> const& rows, double const* directions, int count, double* out, cudaStream_t stream) {
  if (rows.rows == 0 || count == 0) return;
  dim3 const blocks(static_cast<unsigned>((rows.rows + kTile - 1) / kTile), static_cast<unsigned>((count + kTile - 1) / kTile));
  project_kernel<<<blocks, kThreads, 0, stream>>>(rows, directions, count, out);
  check_launch("project");
}
template void launch_project(VectorRows<float> const&, double const*, int, double*, cudaStream_t);
template void launch_project(VectorRows<double> const&, double const*, int, double*, cudaStream_t);

}  // namespace modelwatch::cuda
