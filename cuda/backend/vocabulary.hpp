#pragma once

#include <cstdint>
#include <deque>
#include <string_view>
#include <vector>

#include "core/text_table.hpp"
#include "cuda/runtime/memory.hpp"

namespace modelwatch::cuda {

/// The values that a categorical column has had so far, in places from 1 on: what the device counts by, whichever dictionaries
/// the batches bring, and where it looks up text.
class Vocabulary {
 public:
  explicit Vocabulary(cudaStream_t stream) : stream_(stream) { clear(); }

  /// The place of a value, which it gets if it has none.
  std::uint32_t place_of(std::string_view value);
  /// Values, without place 0.
  std::size_t size() const { return ends_.size() - 1; }
  std::string_view value(std::size_t i) const {
    return {reinterpret_cast<char const*>(bytes_.data()) + ends_[i], static_cast<std::size_t>(ends_[i + 1] - ends_[i])};
  }
  std::size_t bytes() const { return bytes_.capacity() + 8 * ends_.capacity() + 12 * places_.capacity(); }
  void clear();
  /// The table in device memory.
  TextTable on_device();

 private:
  void rebuild(std::size_t slots);
  TextTable view() const;

  cudaStream_t stream_;
  std::vector<std::uint8_t> bytes_;
  std::vector<std::uint64_t> ends_;  // of each place
  std::vector<std::uint64_t> hashes_;
  std::vector<std::uint32_t> places_;
  std::size_t uploaded_ = ~std::size_t{0};  // how many values the device knows
  DeviceArray<std::uint8_t> device_bytes_;
  DeviceArray<std::uint64_t> device_ends_;
  DeviceArray<std::uint64_t> device_hashes_;
  DeviceArray<std::uint32_t> device_places_;
};

}  // namespace modelwatch::cuda
