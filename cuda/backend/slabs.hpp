#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "cuda/runtime/memory.hpp"

namespace modelwatch::cuda {

/// The counters of one counter set: for each of its groups a slab with those of all columns.
class Slabs {
 public:
  Slabs(std::size_t words, cudaStream_t stream) : words_(words), stream_(stream) {}

  /// Device memory that slabs for these groups would take beside what is there.
  std::size_t bytes_for(std::vector<std::int32_t> const& groups) const;
  /// Makes slabs of zeros for those that have none.  Throws DeviceError, and has made none, where memory does not suffice.
  void make(std::vector<std::int32_t> const& groups);
  /// In device memory: the slab of every group that has one.
  std::uint64_t* const* table() const { return table_.data(); }
  std::size_t bytes() const;
  /// Calls f(group, its words) for every slab, and gives all of them up.
  void drain(std::function<void(std::int32_t, std::uint64_t const*)> const& f);

 private:
  struct Block {
    DeviceArray<std::uint64_t> memory;
    std::vector<std::int32_t> groups;
  };

  bool has(std::int32_t group) const {
    auto const at = static_cast<std::size_t>(group);
    return at < of_group_.size() && of_group_[at] != nullptr;
  }

  std::size_t words_;
  cudaStream_t stream_;
  std::vector<Block> blocks_;
  std::vector<std::uint64_t*> of_group_;
  DeviceArray<std::uint64_t*> table_;
};

}  // namespace modelwatch::cuda
