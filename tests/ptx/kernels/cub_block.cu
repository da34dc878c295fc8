#include <cooperative_groups.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cub/cub.cuh>
namespace cg = cooperative_groups;
extern "C" __global__ void k_cub(int const* in, int* sorted, int* scan, int* total, float const* fin, float* fsum,
                                 int n) {
  using Sort = cub::BlockRadixSort<int, 128, 4>;
  using Scan = cub::BlockScan<int, 128>;
  using Red = cub::BlockReduce<float, 128>;
  __shared__ union {
    Sort::TempStorage a;
    Scan::TempStorage b;
    Red::TempStorage c;
  } t;
  int k[4];
  int base = threadIdx.x * 4;
  for (int j = 0; j < 4; ++j) k[j] = in[base + j];
  int v = k[0];
  Sort(t.a).Sort(k);
  __syncthreads();
  for (int j = 0; j < 4; ++j) sorted[base + j] = k[j];
  int s, agg;
  Scan(t.b).ExclusiveSum(v, s, agg);
  __syncthreads();
  scan[threadIdx.x] = s;
  if (threadIdx.x == 0) *total = agg;
  float f = Red(t.c).Sum(fin[threadIdx.x]);
  if (threadIdx.x == 0) *fsum = f;
}
extern "C" __global__ void k_half(__half const* x, __nv_bfloat16 const* y, int n, float* o, __half* oh) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  float a = __half2float(x[i]), b = __bfloat162float(y[i]);
  o[i] = a * b;
  oh[i] = __float2half(a + b);
}
extern "C" __global__ void k_cg(float const* x, int n, float* o) {
  auto b = cg::this_thread_block();
  auto w = cg::tiled_partition<16>(b);
  float s = 0;
  for (int i = b.thread_rank(); i < n; i += b.size()) s += x[i];
  for (int q = w.size() / 2; q; q /= 2) s += w.shfl_down(s, q);
  if (w.thread_rank() == 0) atomicAdd(o, s);
}
__device__ __noinline__ double poly(double x, int d) {
  double r = 0;
  for (int i = 0; i < d; ++i) r = r * x + i;
  return r;
}
__constant__ float tab[5] = {1.f, 2.f, 4.f, 8.f, 16.f};
extern "C" __global__ void k_call(double const* x, int n, double* o, unsigned long long* ull) {
  int i = threadIdx.x;
  if (i < n) {
    double r = poly(x[i], 3 + (i & 3)) + tab[i % 5];
    switch (i % 7) {
      case 0:
        r += 1;
        break;
      case 1:
        r *= 2;
        break;
      case 2:
        r -= 3;
        break;
      case 3:
        r = -r;
        break;
      case 4:
        r = r / 3;
        break;
      case 5:
        r = pow(fabs(r), 0.3);
        break;
      default:
        r = sin(r * 1e6);
    }
    o[i] = r;
    unsigned __int128 p = (unsigned __int128)ull[i] * 0x9E3779B97F4A7C15ull + 12345;
    ull[i] = (unsigned long long)(p >> 64) ^ (unsigned long long)p % 1000003;
  }
}
// decoupled look-back style inter-block wait
extern "C" __global__ void k_lookback(int const* in, int volatile* flag, int volatile* pre, int* out) {
  __shared__ int base;
  int b = blockIdx.x;
  if (threadIdx.x == 0) {
    int p = 0;
    if (b > 0) {
      while (flag[b - 1] == 0) {
      }
      __threadfence();
      p = pre[b - 1];
    }
    base = p;
    pre[b] = p + in[b];
    __threadfence();
    flag[b] = 1;
  }
  __syncthreads();
  out[b * blockDim.x + threadIdx.x] = base + threadIdx.x;
}
