#pragma once

#include <cstdint>
#include <vector>

#include "core/views.hpp"
#include "cpu/kernel_table.hpp"
#include "engine/counter.hpp"  // Poll

namespace modelwatch {

/// How many values have b cuts at or below them, for b = 0 ... cuts; then NaN, then null.
///
/// Cuts are keys of the domain, in any order and not necessarily distinct; comparisons with them decide, so the counts
/// are the same on every instruction set.  Throws InvalidInput where the column cannot be compared in the domain.
std::vector<std::uint64_t> count_bins(NumericView const& column, Domain domain, std::vector<std::uint64_t> cuts, int threads,
                                      Poll const& poll, cpu::KernelTable const& kernel = cpu::kernels());

}  // namespace modelwatch
