#include "cpu/isa.hpp"

#include <cstdlib>

#include "cpu/kernel_table.hpp"
#include "core/error.hpp"

namespace modelwatch::cpu {

#if defined(__x86_64__)
extern KernelTable const kernels_baseline;
extern KernelTable const kernels_x86_64_v3;
extern KernelTable const kernels_x86_64_v4;
#else
extern KernelTable const kernels_baseline;
#endif

namespace {

std::vector<KernelTable const*> runnable() {
  std::vector<KernelTable const*> tables{&kernels_baseline};
#if defined(__x86_64__)
  __builtin_cpu_init();
  bool const v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
                  __builtin_cpu_supports("fma") && __builtin_cpu_supports("popcnt");
  bool const v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512cd");
  if (v3) tables.push_back(&kernels_x86_64_v3);
  if (v4) tables.push_back(&kernels_x86_64_v4);
#endif
  return tables;
}

KernelTable const* choose() {
  auto const tables = runnable();
  char const* const wanted = std::getenv("MODELWATCH_ISA");
  if (wanted == nullptr || *wanted == '\0') return tables.back();
  std::string names;
  for (auto const* table : tables) {
    if (std::string(wanted) == table->name) return table;
    names += (names.empty() ? "" : ", ") + std::string(table->name);
  }
  throw InvalidInput("MODELWATCH_ISA=" + std::string(wanted) + " is not one this machine and build have; use one of: " + names + ".");
}

}  // namespace

std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  for (auto const* table : runnable()) names.emplace_back(table->name);
  return names;
}

KernelTable const& kernels() {
  static KernelTable const* const table = choose();
  return *table;
}

std::string chosen_isa() { return kernels().name; }

}  // namespace modelwatch::cpu
