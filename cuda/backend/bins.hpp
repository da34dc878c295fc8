#pragma once

#include <cstdint>
#include <vector>

#include "cuda/backend/feed.hpp"
#include "cuda/backend/rank.hpp"  // DeviceGroups
#include "engine/bins.hpp"

namespace modelwatch::cuda {

/// What engine/bins.hpp's count_bins_of gives, in one launch a chunk for all columns.  there: groups that lie on the device
/// instead, of `group_count`, or nullptr.
std::vector<std::vector<std::uint64_t>> count_bins_of(Session& session, std::vector<ColumnInput> const& columns, Domain domain,
                                                      std::vector<std::vector<std::uint64_t>> const& cuts, RowGroups const& groups,
                                                      Poll const& poll, DeviceGroups const* there = nullptr, std::int32_t group_count = 1);

}  // namespace modelwatch::cuda
