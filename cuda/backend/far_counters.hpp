#pragma once

#include <cstdint>
#include <vector>

#include "cuda/backend/session.hpp"
#include "cuda/kernels/far.hpp"

namespace modelwatch::cuda {

/// The counters of a chunk that do not fit the memory of a block: copies in the second-level cache, where that pays.
class FarChunk {
 public:
  explicit FarChunk(Session& session) : session_(session) {}

  /// Forgets the chunk before, whose launches must be queued.
  void begin(std::int64_t rows);
  /// Copies of zeros for all slots of `groups` groups from `first_group` on; none where there are too many counters for so few
  /// rows, or for the cache.  Throws DeviceError where memory does not suffice.
  FarCounters take(std::uint64_t* const* slabs, std::uint64_t first, std::uint32_t first_group, std::uint32_t groups, std::uint32_t slots);
  /// Queues the addition to the slabs, behind what counts.
  void add();

 private:
  Session& session_;
  std::int64_t rows_ = 0;
  std::size_t left_ = 0;  // bytes of the cache
  std::vector<DeviceArray<std::uint32_t>> memory_;
  std::vector<FarSum> sums_;
  DeviceArray<FarSum> device_sums_;
};

}  // namespace modelwatch::cuda
