#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "cuda/backend/feed.hpp"
#include "engine/arrow_view.hpp"
#include "engine/rank.hpp"

namespace modelwatch::cuda {

/// What engine/rank.hpp's interval_of gives.
Intervals interval_of(Session& session, ColumnInput const& values, std::vector<std::int64_t> const& boundaries, Poll const& poll);

/// What engine/row_hash.hpp's hash_rows gives.
std::vector<std::uint64_t> hash_rows(Session& session, std::shared_ptr<ArrowOwner const> const& batch, Poll const& poll);

}  // namespace modelwatch::cuda
