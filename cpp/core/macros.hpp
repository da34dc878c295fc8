#pragma once
// The only place that knows which compiler reads the shared code.

#if defined(__CUDACC__)
#define MW_HD __host__ __device__ __forceinline__
#else
// Always inlined: the shared code is compiled once per instruction set, and a copy that the linker may
// pick from another object would run instructions the machine might not have.
#define MW_HD inline __attribute__((always_inline))
#endif
