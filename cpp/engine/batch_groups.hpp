#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/views.hpp"
#include "engine/tile_groups.hpp"

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

  /// Tiles whose rows are put in the order of their groups together: a group of a log with thousands has some rows in them,
  /// where it has one in a tile at most.  The counters of all groups are read and written once for every stretch, and do not
  /// fit the second-level cache, while what a column of 32-bit floats keeps of the rows meanwhile does.
  static constexpr std::int64_t kStretchTiles = 128;
  using Row = std::uint32_t;  // of a stretch

  /// The rows of a stretch of tiles in one set, group by group; those in no group are left out.
  struct Scattered {
    std::size_t count;           // of groups
    std::int32_t const* ids;     // increasing
    std::uint32_t const* begin;  // count + 1 places in rows
    Row const* rows;             // from the stretch's first row on, in order within a group
    std::uint8_t const* tile_mates;  // of each of rows what cpu::RowBlock keeps of it above the slot
    std::uint32_t const* visits;     // all groups, by place in ids: neighbours have about as many rows
  };

  /// rows[s][row] is the row's group in set s, or -1; nullptr puts every row into group 0.  weighted: tiles will be
  /// counted row by row in any case.
  BatchGroups(std::vector<std::int32_t const*> rows, std::int64_t count, bool weighted = false);

  /// The same of the first so many sets alone.
  BatchGroups of_first(std::size_t sets) const;

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

  /// Whether a tile of the batch has rows of so many groups of a set that they are counted group by group, stretch by
  /// stretch: then the set is left out of near_end and of the combinations.
  bool scattered(std::size_t s) const { return by_group_[s].many; }
  bool any_scattered() const { return any_scattered_; }
  /// How the rows of a scattered set are added up tile by tile, where the batch has few enough groups for that.
  TileGroups const* in_tiles(std::size_t s) const { return by_group_[s].in_tiles.get(); }
  /// As run_end, of the sets that are not scattered.
  std::int64_t near_end(std::int64_t tile) const { return (any_scattered_ ? near_end_ : run_end_)[static_cast<std::size_t>(tile)]; }
  std::int64_t stretches() const { return (tiles_ + kStretchTiles - 1) / kStretchTiles; }
  bool ends_stretch(std::int64_t tile) const { return tile + 1 == tiles_ || (tile + 1) % kStretchTiles == 0; }
  Scattered of_scattered(std::size_t s, std::int64_t stretch) const {
    ByGroup const& own = by_group_[s];
    auto const at = static_cast<std::size_t>(stretch);
    std::size_t const first = own.first[at];
    std::int64_t const row = stretch * kStretchTiles * kTileRows;
    return {own.first[at + 1] - first, own.ids.data() + first, own.begin.data() + first + at, own.rows.data() + row, own.tile_mates.data() + row,
            own.visits.data() + first};
  }

  /// The combinations of a tile for which near_end is empty.
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

  /// Of one set: the groups of all stretches, one after the other, and the rows of each.
  struct ByGroup {
    bool many = false;
    std::vector<std::size_t> first;    // of each stretch in ids, and the end
    std::vector<std::int32_t> ids;
    std::vector<std::uint32_t> begin;  // one more than ids for each stretch
    std::vector<Row> rows;
    std::vector<std::uint8_t> tile_mates;
    std::vector<std::uint32_t> visits;
    std::unique_ptr<TileGroups> in_tiles;
  };

  std::int64_t end_of(std::int64_t tile) const { return std::min(count_, (tile + 1) * kTileRows); }
  Tile const& of_tile(std::int64_t tile) const { return of_tile_[static_cast<std::size_t>(tile)]; }
  bool same(std::int64_t a, std::int64_t b, bool near) const;
  BatchGroups(std::vector<std::int32_t const*> rows, std::int64_t count, bool weighted, std::vector<std::uint8_t> several);
  void find_several();
  bool several(std::size_t s, std::int64_t tile) const { return several_[s * static_cast<std::size_t>(tiles_) + static_cast<std::size_t>(tile)] != 0; }
  void find_runs();
  std::vector<std::int64_t> run_ends(bool near) const;
  bool as_before(std::int64_t tile);
  void keep(std::int64_t tile, std::size_t first);
  std::size_t find_together(std::int64_t tile);
  void find_all_together();
  void scatter(std::size_t set);
  static void find_visits(ByGroup& out, std::size_t first_id);
  static void find_tile_mates(ByGroup& out, std::size_t first_id, Row const* order, std::uint8_t* mates);

  /// The combinations that were found last, where the groups of one set alone tell them.
  struct Before {
    static constexpr std::uint32_t kGroups = 256;
    static constexpr std::uint8_t kNone = 255;
    std::int64_t tile = -1;  // -1: none
    std::size_t set = 0;
    std::int32_t low = 0;
    std::uint8_t place[kGroups];  // of each group of the set from low on
  };

  std::vector<std::int32_t const*> rows_;
  std::int64_t count_;
  std::int64_t tiles_;
  bool weighted_;
  std::vector<std::uint8_t> several_;  // of every set and tile: whether its rows are in several groups
  Before before_;
  std::vector<std::int64_t> run_end_;
  std::vector<std::int64_t> near_end_;  // empty where no set is scattered
  std::vector<ByGroup> by_group_;       // of every set
  bool any_scattered_ = false;
  std::vector<Tile> of_tile_;         // empty where no tile has rows of several groups
  std::vector<std::uint8_t> places_;  // of every row among the combinations of its tile
  std::vector<std::int32_t> ids_;
};

}  // namespace modelwatch
