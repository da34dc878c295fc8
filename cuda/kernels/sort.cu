#include "cuda/kernels/sort.hpp"

#include <algorithm>
#include <cub/device/device_radix_sort.cuh>
#include <cub/device/device_scan.cuh>

namespace modelwatch::cuda {
namespace {

/// Calls f(scratch, bytes) for how much it needs, and again with that.
template <class F>
void with_scratch(cudaStream_t stream, char const* what, F f) {
  std::size_t bytes = 0;
  check(f(nullptr, bytes), what);
  DeviceArray<std::uint8_t> scratch(std::max<std::size_t>(bytes, 1), stream);  // nullptr would ask again
  check(f(scratch.data(), bytes), what);
}

template <class Key>
void sort(DeviceArray<Key>& keys, DeviceArray<Key>& spare, std::int64_t count, cudaStream_t stream) {
  if (count < 2) return;
  cub::DoubleBuffer<Key> buffers(keys.data(), spare.data());
  with_scratch(stream, "sort", [&](void* scratch, std::size_t& bytes) {
    return cub::DeviceRadixSort::SortKeys(scratch, bytes, buffers, static_cast<std::uint32_t>(count), 0, static_cast<int>(8 * sizeof(Key)), stream);
  });
  if (buffers.Current() != keys.data()) std::swap(keys, spare);
}

}  // namespace

void sort_keys(DeviceArray<std::uint32_t>& keys, DeviceArray<std::uint32_t>& spare, std::int64_t count, cudaStream_t stream) {
  sort(keys, spare, count, stream);
}

void sort_keys(DeviceArray<std::uint64_t>& keys, DeviceArray<std::uint64_t>& spare, std::int64_t count, cudaStream_t stream) {
  sort(keys, spare, count, stream);
}

void sort_pairs(DeviceArray<std::uint64_t>& keys, DeviceArray<std::uint64_t>& spare, DeviceArray<std::uint32_t>& numbers,
                DeviceArray<std::uint32_t>& spare_numbers, std::int64_t count, int bits, cudaStream_t stream) {
  if (count < 2) return;
  cub::DoubleBuffer<std::uint64_t> key_buffers(keys.data(), spare.data());
  cub::DoubleBuffer<std::uint32_t> number_buffers(numbers.data(), spare_numbers.data());
  with_scratch(stream, "sort", [&](void* scratch, std::size_t& bytes) {
    return cub::DeviceRadixSort::SortPairs(scratch, bytes, key_buffers, number_buffers, static_cast<std::uint32_t>(count), 0, bits, stream);
  });
  if (key_buffers.Current() != keys.data()) std::swap(keys, spare);
  if (number_buffers.Current() != numbers.data()) std::swap(numbers, spare_numbers);
}

void sum_before(std::uint32_t const* flags, std::uint32_t* before, std::int64_t count, cudaStream_t stream) {
  if (count == 0) return;
  with_scratch(stream, "add up", [&](void* scratch, std::size_t& bytes) {
    return cub::DeviceScan::ExclusiveSum(scratch, bytes, flags, before, static_cast<std::uint32_t>(count), stream);
  });
}

}  // namespace modelwatch::cuda
