#define MW_KERNEL_TABLE kernels_baseline
#if defined(__x86_64__)
#define MW_KERNEL_NAME "baseline"
#else
#define MW_KERNEL_NAME "neon"
#endif
#include "cpu/kernels.inl.hpp"
