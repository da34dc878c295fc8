#pragma once

#include <cstddef>

#include "cuda/backend/session.hpp"

namespace modelwatch::cuda {

/// Bytes a second, each the median of `turns`; `bytes` should be much more than the second-level cache holds.
struct Bandwidth {
  double read;   // of device memory, by a kernel that does nothing else
  double copy;   // from pinned host memory to the device
  double stage;  // from pageable host memory into pinned memory, by one thread of the host
};

Bandwidth measure_bandwidth(Session& session, std::size_t bytes, int turns);

}  // namespace modelwatch::cuda
