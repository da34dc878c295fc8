#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "core/moments.hpp"
#include "core/value_kinds.hpp"
#include "core/views.hpp"

namespace modelwatch::cuda {

/// How the kernels of a column by itself use the machine.
struct ColumnTuning {
  static constexpr int kThreads = 256;
  /// Moments wait for chains of additions, so several tiles are at work on a multiprocessor.
  static constexpr int kBlocksPerMultiprocessor = 8;
  /// Log-linear buckets that a block counts in shared memory (32 KiB with their names): those of its first tile.
  static constexpr std::uint32_t kNearBuckets = 4096;
};

/// moments[tile] of every tile of a column (device memory), and *kinds, which must begin as ValueKinds{}, of all its rows.
/// Values are compared in `domain`, the one that the storage has of its own; pivot: a key of it.
void launch_column_moments(NumericView const& column, Domain domain, std::uint64_t pivot, Moments* moments, ValueKinds* kinds,
                           int multiprocessors, cudaStream_t stream);

/// The first row that is valid; `rows` where none is.
void launch_first_valid(Validity const& validity, std::int64_t rows, std::uint64_t* first, cudaStream_t stream);

/// counts[bucket] += rows of it; counts[kBuckets] are NaN, counts[kBuckets + 1] null.
void launch_log_linear(NumericView const& column, Domain domain, std::uint64_t* counts, int multiprocessors, cudaStream_t stream);

/// Raises kRegisters ranks; *values += rows that have one.
void launch_registers(NumericView const& column, Domain domain, std::uint32_t* ranks, std::uint64_t* values, int multiprocessors,
                      cudaStream_t stream);

}  // namespace modelwatch::cuda
