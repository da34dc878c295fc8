#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "core/views.hpp"

namespace modelwatch::cuda {

/// How the kernels that answer for every row use the machine.
struct RowsTuning {
  static constexpr int kThreads = 256;
  static constexpr int kBlocksPerMultiprocessor = 8;
  /// Intervals that a block counts in shared memory (16 KiB with their names).
  static constexpr std::uint32_t kNearIntervals = 2048;
};

/// engine/rank.hpp's interval_of: the interval of every row, and how many rows each has; `count` boundaries.
void launch_interval_of(NumericView const& values, std::int64_t const* boundaries, std::uint32_t count, std::int32_t* of_row,
                        std::uint64_t* rows, int multiprocessors, cudaStream_t stream);

/// Takes a column of numbers into the hashes of its rows (core/row_hash_rule.hpp).
void launch_hash_numbers(NumericView const& column, std::uint64_t* rows, int multiprocessors, cudaStream_t stream);

/// Text in device memory: value i is bytes [begins[i], begins[i + 1]).
struct DeviceStrings {
  std::uint8_t const* bytes;
  std::int64_t const* begins;
  std::uint8_t const* valid;  // a byte a row
  std::int64_t count;
};

/// The hash of every value, one thread each.
void launch_hash_strings(DeviceStrings const& strings, std::uint64_t* hashes, int multiprocessors, cudaStream_t stream);
/// Takes them into the hashes of their rows.
void launch_hash_text(DeviceStrings const& strings, std::uint64_t* rows, int multiprocessors, cudaStream_t stream);
/// Takes the hashes of the values that codes stand for into those of their rows.
void launch_hash_codes(NumericView const& codes, std::uint64_t const* hashes, std::uint64_t* rows, int multiprocessors, cudaStream_t stream);

}  // namespace modelwatch::cuda
