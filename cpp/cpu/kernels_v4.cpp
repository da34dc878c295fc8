#define MW_KERNEL_TABLE kernels_x86_64_v4
#define MW_KERNEL_NAME "x86-64-v4"
#include "cpu/kernels.inl.hpp"
