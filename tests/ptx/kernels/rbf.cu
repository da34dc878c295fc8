// Tiled pairwise RBF kernel sum (kernel density / SVM decision): out[i] = sum_j a[j] exp(-gamma ||x_i - y_j||^2)
#include <math.h>
#define T 16
template <bool FAST>
__device__ void body(float const* X, float const* Y, float const* a, int n, int m, int d, float gamma, float* out) {
  __shared__ float sx[T][T + 1], sy[T][T + 1], red[T][T + 1];
  int tx = threadIdx.x, ty = threadIdx.y, i = blockIdx.x * T + ty;
  float acc = 0.f;
  for (int j0 = 0; j0 < m; j0 += T) {
    float d2 = 0.f;
    for (int k0 = 0; k0 < d; k0 += T) {
      int k = k0 + tx;
      sx[ty][tx] = (i < n && k < d) ? X[(size_t)i * d + k] : 0.f;
      sy[ty][tx] = (j0 + ty < m && k < d) ? Y[(size_t)(j0 + ty) * d + k] : 0.f;
      __syncthreads();
#pragma unroll
      for (int q = 0; q < T; ++q) {
        float u = sx[ty][q] - sy[tx][q];
        d2 = fmaf(u, u, d2);
      }
      __syncthreads();
    }
    if (j0 + tx < m) acc += a[j0 + tx] * (FAST ? __expf(-gamma * d2) : expf(-gamma * d2));
  }
  red[ty][tx] = acc;
  __syncthreads();
  if (tx == 0 && i < n) {
    float s = 0.f;
    for (int q = 0; q < T; ++q) s += red[ty][q];
    out[i] = s;
  }
}
extern "C" __global__ void rbf_sum(float const* X, float const* Y, float const* a, int n, int m, int d, float gamma,
                                   float* out) {
  body<false>(X, Y, a, n, m, d, gamma, out);
}
extern "C" __global__ void rbf_sum_fast(float const* X, float const* Y, float const* a, int n, int m, int d,
                                        float gamma, float* out) {
  body<true>(X, Y, a, n, m, d, gamma, out);
}
// misc math: sqrt, rsqrt, div, log, tanh, sigmoid, double exp (calls), local array, int div/mod, printf-free
extern "C" __global__ void misc(float const* x, double const* y, int n, float* o, double* od, int* oi) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  float v = x[i];
  double w = y[i];
  o[i] = sqrtf(fabsf(v)) + 1.f / (1.f + expf(-v)) + logf(1.f + v * v) + tanhf(v) + rsqrtf(1.f + v * v) + sinf(v) +
         powf(fabsf(v), 1.7f);
  od[i] = exp(w) + log(1.0 + w * w) + sqrt(fabs(w)) / (2.0 + w * w) + rint(w) + floor(w);
  int loc[8];
  for (int k = 0; k < 8; ++k) loc[k] = (i * 7 + k * 13) % (k + 3);
  int s = 0;
  for (int k = 0; k < 8; ++k) s += loc[(i + k * oi[i]) & 7] * (k + 1);
  oi[i] =
      s + __clz(i + 1) + __brev(i) % 97 + (int)__umulhi(i * 2654435761u, 12345u) + __ffsll((long long)i << 3) + i / 7;
}
