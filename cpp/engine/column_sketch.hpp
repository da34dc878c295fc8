#pragma once

#include <cstdint>

#include "core/views.hpp"
#include "cpu/kernel_table.hpp"
#include "engine/rank.hpp"  // Poll
#include "engine/sketch.hpp"

namespace modelwatch {

/// The log-linear histogram of a whole column; rows without a value are counted apart.
struct LogLinearCounts {
  BucketCounts buckets;
  std::uint64_t nan = 0;
  std::uint64_t null = 0;
};

/// Exact: the same counts for any number of threads and any instruction set.
LogLinearCounts log_linear_counts(NumericView const& column, int threads, Poll const& poll,
                                  cpu::KernelTable const& kernel = cpu::kernels());

struct ColumnRegisters {
  Registers registers;
  std::uint64_t values = 0;  // rows that are neither null nor NaN
};

/// The registers of a column's values.
ColumnRegisters column_registers(NumericView const& column, int threads, Poll const& poll,
                                 cpu::KernelTable const& kernel = cpu::kernels());

}  // namespace modelwatch
