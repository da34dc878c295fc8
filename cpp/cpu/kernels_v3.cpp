#define MW_KERNEL_TABLE kernels_x86_64_v3
#define MW_KERNEL_NAME "x86-64-v3"
#include "cpu/kernels.inl.hpp"
