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

/// A group of every row, on the device: numbers below `count`, or -1 for none.
struct DeviceGroups {
  std::shared_ptr<DeviceArray<std::int32_t> const> of_row;
  std::int64_t rows;
  std::int32_t count;
  int device;
};

/// Throws InvalidInput unless they are those of so many rows, on the session's device.
void check_groups(Session const& session, DeviceGroups const& groups, std::int64_t rows);

/// The knot that every row lies on; of none where it lies between them or has no value.
DeviceGroups knot_numbers(Session& session, ColumnInput const& column, std::shared_ptr<Grid const> const& grid, Poll const& poll);

}  // namespace modelwatch::cuda
