#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/views.hpp"

namespace modelwatch {

/// The groups that the rows of a batch belong to, in every counter set.  Logs are nearly sorted by time, so most tiles
/// lie in one window and one day: what the columns of a batch need to know about that is found out once.
class BatchGroups {
 public:
  /// A tile of rows with more combinations of groups than this is counted row by row.
  static constexpr int kMostTogether = 64;

  /// The combinations of groups that the rows of a tile are in: each is one group of every set.
  struct Together {
    std::uint8_t const* of_row;  // from the tile's first row on; nullptr where there are too many
    int count;
    std::int32_t const* ids;  // ids[set * count + combination], -1: in no group of the set

    std::int32_t id(std::size_t set, int combination) const { return ids[set * static_cast<std::size_t>(count) + static_cast<std::size_t>(combination)]; }
  };

  /// rows[s][row] is the row's group in set s, or -1; nullptr puts every row into group 0.  weighted: tiles will be
  /// counted row by row in any case.
  BatchGroups(std::vector<std::int32_t const*> rows, std::int64_t count, bool weighted = false);

  std::size_t sets() const { return rows_.size(); }
  std::int64_t rows() const { return count_; }
  std::int64_t tiles() const { return tiles_; }
  /// Rows of tiles [from, to).
  std::int64_t rows_of(std::int64_t from, std::int64_t to) const { return std::min(count_, to * kTileRows) - from * kTileRows; }
  /// Groups of set s from the first row of a tile on, or nullptr.
  std::int32_t const* from_tile(std::size_t s, std::int64_t tile) const { return rows_[s] == nullptr ? nullptr : rows_[s] + tile * kTileRows; }
  /// The group in set s that a tile's first row belongs to.
  std::int32_t first(std::size_t s, std::int64_t tile) const { return rows_[s] == nullptr ? 0 : rows_[s][tile * kTileRows]; }
  /// Tiles [tile, run_end(tile)) belong to one group in every set; empty where a tile has rows of several.
  std::int64_t run_end(std::int64_t tile) const { return run_end_[static_cast<std::size_t>(tile)]; }

  /// The combinations of a tile for which run_end is empty.
  Together together(std::int64_t tile) const {
    Tile const& own = of_tile(tile);
    if (own.count == 0) return {nullptr, 0, nullptr};
    return {places_.data() + tile * kTileRows, own.count, ids_.data() + own.ids};
  }
  /// Tiles [tile, end) have the same combinations.
  std::int64_t together_end(std::int64_t tile) const;

 private:
  struct Tile {
    int count = 0;        // of combinations; 0: one, or too many
    std::size_t ids = 0;  // where they begin in ids_
  };

  std::int64_t end_of(std::int64_t tile) const { return std::min(count_, (tile + 1) * kTileRows); }
  Tile const& of_tile(std::int64_t tile) const { return of_tile_[static_cast<std::size_t>(tile)]; }
  bool same(std::int64_t a, std::int64_t b) const;
  void find_together(std::int64_t tile);

  std::vector<std::int32_t const*> rows_;
  std::int64_t count_;
  std::int64_t tiles_;
  std::vector<std::int64_t> run_end_;
  std::vector<Tile> of_tile_;         // empty where no tile has rows of several groups
  std::vector<std::uint8_t> places_;  // of every row among the combinations of its tile
  std::vector<std::int32_t> ids_;
};

}  // namespace modelwatch
