// Batched shared-memory histogram of gradient/hessian per (feature, bin): typical boosting kernel.
#include <cstdint>
struct GH {
  float g, h;
};
extern "C" __global__ void hist_f32(uint8_t const* __restrict__ bins, const GH* __restrict__ gh,
                                    int const* __restrict__ rows, int nrows, int nfeat, int nbins,
                                    double* __restrict__ out, unsigned* __restrict__ cnt) {
  extern __shared__ float sh[];  // [nbins][2] + counts
  unsigned* shc = reinterpret_cast<unsigned*>(sh + 2 * nbins);
  int const f = blockIdx.y;
  for (int i = threadIdx.x; i < nbins; i += blockDim.x) {
    sh[2 * i] = 0.f;
    sh[2 * i + 1] = 0.f;
    shc[i] = 0u;
  }
  __syncthreads();
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < nrows; i += gridDim.x * blockDim.x) {
    int r = rows[i];
    unsigned b = bins[(size_t)f * nrows + r];
    GH v = gh[r];
    atomicAdd(&sh[2 * b], v.g);
    atomicAdd(&sh[2 * b + 1], v.h);
    atomicAdd(&shc[b], 1u);
  }
  __syncthreads();
  for (int i = threadIdx.x; i < nbins; i += blockDim.x) {
    if (shc[i]) {
      atomicAdd(&out[((size_t)f * nbins + i) * 2], (double)sh[2 * i]);
      atomicAdd(&out[((size_t)f * nbins + i) * 2 + 1], (double)sh[2 * i + 1]);
      atomicAdd(&cnt[(size_t)f * nbins + i], shc[i]);
    }
  }
}
// packed 64-bit fixed point variant, max/min/CAS atomics, float4 loads
extern "C" __global__ void hist_fix(float4 const* __restrict__ x, int n4, float lo, float inv, int nbins,
                                    unsigned long long* __restrict__ out, int* __restrict__ mx,
                                    float* __restrict__ fmx) {
  __shared__ unsigned long long sh[256];
  __shared__ int smax;
  for (int i = threadIdx.x; i < nbins; i += blockDim.x) sh[i] = 0ull;
  if (threadIdx.x == 0) smax = -1;
  __syncthreads();
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n4; i += gridDim.x * blockDim.x) {
    float4 v = x[i];
    float a[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      int b = __float2int_rd((a[k] - lo) * inv);
      b = min(max(b, 0), nbins - 1);
      long long q = __float2ll_rn(a[k] * 65536.f);
      atomicAdd(&sh[b], ((unsigned long long)q << 16) + 1ull);
      atomicMax(&smax, b);
      // float max via CAS
      int volatile* p = reinterpret_cast<int volatile*>(fmx);
      int old = *p, assumed;
      do {
        assumed = old;
        if (__int_as_float(assumed) >= a[k]) break;
        old = atomicCAS(const_cast<int*>(p), assumed, __float_as_int(a[k]));
      } while (old != assumed);
    }
  }
  __syncthreads();
  for (int i = threadIdx.x; i < nbins; i += blockDim.x) atomicAdd(&out[i], sh[i]);
  if (threadIdx.x == 0) atomicMax(mx, smax);
}
