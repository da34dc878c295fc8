#pragma once

namespace modelwatch::cuda {

#if defined(__CUDACC__)

/// a b + c, rounded once.  For sums with a stated tolerance; everything else is compiled without fusing.
__device__ __forceinline__ float fused(float a, float b, float c) { return __fmaf_rn(a, b, c); }
__device__ __forceinline__ double fused(double a, double b, double c) { return __fma_rn(a, b, c); }

#endif

}  // namespace modelwatch::cuda
