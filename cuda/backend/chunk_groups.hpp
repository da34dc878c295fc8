#pragma once

#include <cstdint>
#include <vector>

#include "core/tile_profile.hpp"
#include "cuda/kernels/profile.hpp"

namespace modelwatch::cuda {

/// What a chunk needs to know about the groups of its rows in one counter set.
struct SetGroups {
  std::vector<std::int32_t> of_tile;  // or kNoGroup, kMixedTile
  bool mixed = false;                 // some tile is
  std::vector<std::int32_t> present;  // groups that a row is in, in the order of their first tiles
  std::int32_t least = 0;             // of them; and how many numbers there are from there to the largest
  std::uint32_t span = 0;
  // Sets with moments only:
  std::vector<std::uint32_t> entry_begin;  // of each tile and the end
  std::vector<std::int32_t> entry_group;
};

/// The groups of all sets, found out once for all columns.
struct ChunkGroups {
  std::vector<SetGroups> sets;
  // How the moments of tiles are put together; refs: a tile, or behind the tiles an entry of a set.
  std::vector<FoldRow> folds;
  std::vector<std::uint32_t> refs;
  std::vector<std::uint32_t> first_entry;  // of each set
  std::uint32_t moments_of_column = 0;     // tiles and entries
  bool mixed_moments = false;
};

/// Finds them, with scratch that lasts: a group has one place in it, however many chunks there are.
class GroupFinder {
 public:
  explicit GroupFinder(std::vector<bool> moments) : moments_(std::move(moments)), seen_(moments_.size()) {}

  /// groups[s] has one entry per row of the chunk, negative for none, or is nullptr (all in group 0).
  ChunkGroups find(std::vector<std::int32_t const*> const& groups, std::int64_t rows);

 private:
  /// When a group was last met: in which chunk, and in which tile of all; and where it is among the chunk's.
  struct Seen {
    std::uint64_t chunk = 0;
    std::uint64_t tile = 0;
    std::uint32_t place = 0;
  };

  SetGroups find_set(std::size_t s, std::int32_t const* of_row, std::int64_t rows);
  void add_folds(std::size_t s, SetGroups const& set, ChunkGroups& out);
  bool meet(std::size_t s, std::int32_t group, std::uint64_t tile, SetGroups& out);

  std::vector<bool> moments_;
  std::vector<std::vector<Seen>> seen_;
  std::uint64_t chunks_ = 0;
  std::uint64_t tiles_ = 0;
};

}  // namespace modelwatch::cuda
