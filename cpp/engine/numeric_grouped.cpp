// Scattered sets of some hundred groups: counted tile by tile, since a tile has several rows of each.

#include <algorithm>

#include "core/key.hpp"
#include "engine/numeric_tile.hpp"

namespace modelwatch {

/// Whether a set is counted so; groups on larger grids have no plain array of counters.
bool NumericState::in_tiles(BatchGroups const& groups, std::size_t s) const {
  return groups.in_tiles(s) != nullptr && sets_[s].plan.coarse && plan_.coarse_slots <= SparseArray<std::uint32_t>::kAlwaysDense;
}

/// What the rows of a tile change of each group, side by side from the first tile of a batch to its last.
void NumericState::open_groups(Set& set, TileGroups const& by, GroupsOfTiles& out) {
  constexpr std::size_t kSide = MomentRow::kGroups;
  std::size_t const count = by.ids().size();
  out.low.assign(count + 1, 0);  // of the rows in no group: nothing is wider
  out.high.assign(count + 1, ~std::uint64_t{0});
  out.moments.assign((count + kSide - 1) / kSide, MomentRow{});
  for (std::size_t k = 0; k < count; ++k) {
    Group const& group = group_of(set, by.ids()[k]);
    out.low[k] = group.low;
    out.high[k] = group.high;
    MomentRow& row = out.moments[k / kSide];
    row.count[k % kSide] = static_cast<double>(group.moments.count);
    row.mean[k % kSide] = group.moments.mean;
    row.m2[k % kSide] = group.moments.m2;
    row.m3[k % kSide] = group.moments.m3;
    row.m4[k % kSide] = group.moments.m4;
  }
  out.spills = ~std::uint64_t{0};  // counters are not looked up yet
}

void NumericState::close_groups(Set& set, TileGroups const& by, GroupsOfTiles const& from) {
  constexpr std::size_t kSide = MomentRow::kGroups;
  for (std::size_t k = 0; k < by.ids().size(); ++k) {
    Group& group = group_of(set, by.ids()[k]);
    group.low = from.low[k];
    group.high = from.high[k];
    MomentRow const& row = from.moments[k / kSide];
    group.moments = {static_cast<std::uint64_t>(row.count[k % kSide]), row.mean[k % kSide], row.m2[k % kSide], row.m3[k % kSide], row.m4[k % kSide]};
  }
}

/// Counts a tile that is loaded.
void NumericState::count_in_tile(std::size_t s, BatchGroups const& groups, std::int64_t at, Tile& tile) {
  Set& set = sets_[s];
  TileGroups const& by = *groups.in_tiles(s);
  std::size_t const count = by.ids().size();
  if (tile.groups.size() < sets_.size()) tile.groups.resize(sets_.size());
  GroupsOfTiles& all = tile.groups[s];
  if (at == 0) open_groups(set, by, all);
  if (all.spills != spills_) {
    all.spills = spills_;
    unused_counts_.resize(std::max<std::size_t>(unused_counts_.size(), plan_.coarse_slots));
    all.counters.assign(count + 1, unused_counts_.data());
    for (std::size_t k = 0; k < count; ++k) all.counters[k] = group_of(set, by.ids()[k]).counts;
  }
  std::uint16_t const* const place = by.from_tile(at);
  std::uint32_t const* const slots = slots_of(set.plan, tile);
  std::uint32_t* const* const counters = all.counters.data();
  for (int i = 0; i < tile.rows; ++i) ++counters[place[i]][slots[i]];
  widen(tile, place, static_cast<std::uint16_t>(count), all);
  if (set.plan.moments)
    cpu::kernels().moments_grouped(tile.values, tile.usable_rows == tile.rows ? nullptr : tile.usable, by.of_tile(at), all.moments.data());
  if (at + 1 == groups.tiles()) close_groups(set, by, all);
}

/// Smallest and largest keys: after the first tiles seldom any row changes one.
void NumericState::widen(Tile const& tile, std::uint16_t const* place, std::uint16_t none, GroupsOfTiles& all) const {
  constexpr int kStrip = 32;
  std::uint32_t const end_cell = plan_.grid->slots() - 2;
  std::uint64_t* const low = all.low.data();
  std::uint64_t* const high = all.high.data();
  for (int first = 0; first < tile.rows; first += kStrip) {
    int const end = std::min(tile.rows, first + kStrip);
    bool wider = false;
    for (int i = first; i < end; ++i) wider |= (tile.keys[i] < low[place[i]]) | (tile.keys[i] > high[place[i]]);
    if (!wider) continue;
    for (int i = first; i < end; ++i) {
      if (tile.ranked[i] >= end_cell || place[i] == none) continue;
      low[place[i]] = std::min(low[place[i]], tile.keys[i]);
      high[place[i]] = std::max(high[place[i]], tile.keys[i]);
    }
  }
}

}  // namespace modelwatch
