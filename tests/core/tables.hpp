#pragma once
// The kernel tables of this build, whether or not this machine can run them.

#include "cpu/kernel_table.hpp"

namespace modelwatch::cpu {
extern KernelTable const kernels_baseline;
#if defined(__x86_64__)
extern KernelTable const kernels_x86_64_v3;
extern KernelTable const kernels_x86_64_v4;
#endif
}  // namespace modelwatch::cpu
