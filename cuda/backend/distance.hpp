#pragma once

#include <cstdint>

#include "cuda/backend/feed.hpp"

namespace modelwatch::cuda {

struct SortedDistance {
  std::int64_t most;  // engine/rank.hpp: sup_distance
  std::int64_t n;     // values of either side: rows that are neither null nor NaN
  std::int64_t m;
};

/// sup_distance of two columns in any order, which are sorted on the device.  Throws InvalidInput where one cannot be
/// compared in the domain, or n m >= 2^62.
SortedDistance sorted_distance(Session& session, ColumnInput const& a, ColumnInput const& b, Domain domain, Poll const& poll);

}  // namespace modelwatch::cuda
