#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "cuda/backend/feed.hpp"

namespace modelwatch::cuda {

/// The counts that engine/rank.hpp's count_cells gives, counted on a device.
std::vector<std::uint64_t> count_cells(Session& session, ColumnInput const& column, std::shared_ptr<Grid const> const& grid,
                                       Poll const& poll);

/// The cell of every row.
std::vector<std::uint32_t> rank_cells(Session& session, ColumnInput const& column, std::shared_ptr<Grid const> const& grid);

}  // namespace modelwatch::cuda
