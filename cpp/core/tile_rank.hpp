#pragma once

#include <cstdint>

#include "core/grid_rule.hpp"
#include "core/key.hpp"
#include "core/macros.hpp"
#include "core/tile_load.hpp"

namespace modelwatch {

/// The slot of one row: its cell, or those of NaN and null.
template <class Value>
MW_HD std::uint32_t slot_of_row(GridRule<Value> const& rule, Value x, bool valid) {
  if (!valid) return rule.null_slot();
  if (KeyOf<Value>::missing(x)) return rule.nan_slot();
  auto const key = KeyOf<Value>::key(x);
  return rule.cell(rule.guide[rule.bucket_of(x, key)], key);
}

/// Memory of a tile while it is ranked.
template <class Value>
struct RankTile {
  alignas(16) Value values[kTileRows];
  std::uint32_t valid[kTileWords];
};

/// Calls f(row, slot) for every row of a tile, in no order; each row by one thread.
template <class Value, class Team, class F>
MW_HD void rank_tile(Team const& team, NumericView const& column, std::int64_t begin, int rows, GridRule<Value> const& rule,
                     RankTile<Value>& tile, F f) {
  load_values(team, column, begin, rows, tile.values);
  load_validity(team, column.validity, begin, rows, tile.valid);
  team.sync();
  for (int i = team.rank(); i < rows; i += team.size()) f(i, slot_of_row(rule, tile.values[i], is_valid(tile.valid, i)));
  team.sync();  // before the tile is loaded again
}

}  // namespace modelwatch
