#pragma once

#include <cstdint>
#include <vector>

#include "cpu/kernel_table.hpp"

namespace modelwatch {

/// Rows of a batch in some hundred groups, of which a tile has several rows each: too many groups to be counted together, too
/// few for their rows to be brought together stretch by stretch.  What the columns of a batch need to know is found out once:
/// in what order the rows of a tile are added up, group by group (core/moments.hpp: tree_fold).
class TileGroups {
 public:
  /// A batch has so many rows for each group on average, more than 8-bit counters hold, or it is counted stretch by stretch.
  static constexpr std::int64_t kLeastRows = 256;
  static bool fits(std::size_t groups, std::int64_t rows) {
    return groups <= static_cast<std::size_t>(cpu::GroupedTile::kMostGroups) && rows >= kLeastRows * static_cast<std::int64_t>(groups);
  }

  /// ids: the groups that rows are in, increasing; of_row: each row's, or -1.
  TileGroups(std::vector<std::int32_t> ids, std::int32_t const* of_row, std::int64_t rows);

  std::vector<std::int32_t> const& ids() const { return ids_; }
  /// Of every row from a tile's first on: the place of its group in ids, or their number where it is in none.
  std::uint16_t const* from_tile(std::int64_t tile) const { return place_.data() + tile * kTileRows; }
  cpu::GroupedTile of_tile(std::int64_t tile) const {
    auto const at = static_cast<std::size_t>(tile);
    std::size_t const first = at * kTileRows;
    return {static_cast<int>(ids_.size()),
            order_.data() + first,
            group_.data() + first,
            begin_.data() + at * (ids_.size() + 1),
            adds_.data() + 2 * first_add_[at],
            static_cast<int>(first_add_[at + 1] - first_add_[at])};
  }

 private:
  void put_in_order(std::uint16_t const* place, int rows);
  void add_up(std::uint16_t const* order, std::uint16_t const* begin);

  std::vector<std::int32_t> ids_;
  std::vector<std::uint16_t> place_;
  // Of all tiles, one after the other.
  std::vector<std::uint16_t> order_;
  std::vector<std::uint16_t> group_;
  std::vector<std::uint16_t> begin_;
  std::vector<std::uint16_t> adds_;  // pairs
  std::vector<std::size_t> first_add_;
};

}  // namespace modelwatch
