#pragma once
// What is done with CUB: one translation unit of few instances, since they take long to compile.

#include <cstdint>

#include "cuda/runtime/memory.hpp"

namespace modelwatch::cuda {

/// Rows that are sorted or counted through at a time: positions are 32 bits wide.
inline constexpr std::int64_t kMostSorted = 0xffffffff;

/// Sorts the first `count` keys; `spare` is as long, and what it holds afterwards is of no use.
void sort_keys(DeviceArray<std::uint32_t>& keys, DeviceArray<std::uint32_t>& spare, std::int64_t count, cudaStream_t stream);
void sort_keys(DeviceArray<std::uint64_t>& keys, DeviceArray<std::uint64_t>& spare, std::int64_t count, cudaStream_t stream);

/// Sorts the first `count` keys by their lowest `bits`, equal ones in the order they have, each with its number.
void sort_pairs(DeviceArray<std::uint64_t>& keys, DeviceArray<std::uint64_t>& spare, DeviceArray<std::uint32_t>& numbers,
                DeviceArray<std::uint32_t>& spare_numbers, std::int64_t count, int bits, cudaStream_t stream);

/// before[i] = flags[0] + ... + flags[i - 1].
void sum_before(std::uint32_t const* flags, std::uint32_t* before, std::int64_t count, cudaStream_t stream);

}  // namespace modelwatch::cuda
