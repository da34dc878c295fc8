#pragma once
// The kernel tables of this build, whether or not this machine can run them.

#include <algorithm>
#include <string>
#include <vector>

#include "cpu/isa.hpp"
#include "cpu/kernel_table.hpp"

namespace modelwatch::cpu {
extern KernelTable const kernels_baseline;
#if defined(__x86_64__)
extern KernelTable const kernels_x86_64_v3;
extern KernelTable const kernels_x86_64_v4;
#endif
}  // namespace modelwatch::cpu

namespace modelwatch::test {

/// Those that this machine can run.
inline std::vector<cpu::KernelTable const*> runnable() {
  std::vector<cpu::KernelTable const*> tables{&cpu::kernels_baseline};
#if defined(__x86_64__)
  tables.insert(tables.end(), {&cpu::kernels_x86_64_v3, &cpu::kernels_x86_64_v4});
#endif
  auto const names = cpu::available_isas();
  std::erase_if(tables, [&](cpu::KernelTable const* t) { return std::find(names.begin(), names.end(), t->name) == names.end(); });
  return tables;
}

}  // namespace modelwatch::test
