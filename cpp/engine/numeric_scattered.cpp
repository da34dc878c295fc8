// Sets of which a tile has rows in many groups, as of a log that is cut by customer.

#include <algorithm>

#include "engine/numeric_tile.hpp"

namespace modelwatch {
namespace {

/// Groups ahead whose first line, and whose counters, are asked for: what they count in lies all over the memory.
constexpr int kGroupsAhead = 16;
constexpr int kCountersAhead = 8;

}  // namespace

/// Counts a tile that is loaded into the sets that are scattered, group by group.
void NumericState::add_scattered(BatchGroups const& groups, std::int64_t at, Tile& tile) {
  std::uint32_t const end_cell = plan_.grid->slots() - 2;
  if (moments_ && tile.usable_rows == tile.rows) std::fill_n(tile.usable, tile.rows, ~std::uint64_t{0});
  for (std::size_t s = 0; s < sets_.size(); ++s) {
    if (!groups.scattered(s)) continue;
    Set& set = sets_[s];
    auto const by = groups.of_scattered(s, at);
    std::uint32_t const* const slots = slots_of(set.plan, tile);
    tile.targets.resize(static_cast<std::size_t>(by.count));
    for (int k = 0; k < by.count; ++k) tile.targets[static_cast<std::size_t>(k)] = &group_of(set, by.ids[k]);
    Group* const* const targets = tile.targets.data();
    for (int k = 0; k < by.count; ++k) {
      if (k + kGroupsAhead < by.count) __builtin_prefetch(targets[k + kGroupsAhead], 1);
      if (k + kCountersAhead < by.count) {
        Group const& soon = *targets[k + kCountersAhead];
        if (soon.counts != nullptr) __builtin_prefetch(soon.counts + slots[by.rows[by.begin[k + kCountersAhead]]], 1);
      }
      Group& group = *targets[k];
      std::uint16_t const* const rows = by.rows + by.begin[k];
      int const count = by.begin[k + 1] - by.begin[k];
      for (int i = 0; i < count; ++i) {
        std::uint16_t const row = rows[i];
        if (group.counts != nullptr) {
          ++group.counts[slots[row]];
        } else {
          group.cells.add(slots[row], 1);
          group.counts = group.cells.dense();
        }
        if (tile.ranked[row] >= end_cell) continue;
        group.low = std::min(group.low, tile.keys[row]);
        group.high = std::max(group.high, tile.keys[row]);
      }
      if (set.plan.moments) add_scattered_moments(group, tile, rows, count);
    }
    std::int32_t const* const own = groups.from_tile(s, at);
    for (int i = 0; !set.plan.coarse && i < tile.gap_count; ++i)
      if (std::int32_t const id = own[tile.gaps.row[i]]; id >= 0) add_gap(set.plan, group_of(set, id), tile, i, 1);
  }
}

/// Moments of some rows of a tile, with the bits of moments_slots: one or two values need no lanes, since the sums of lanes
/// that are 0 but for two are their sum in any order.
void NumericState::add_scattered_moments(Group& group, Tile const& tile, std::uint16_t const* rows, int count) const {
  std::uint16_t some[2];
  int usable = 0;
  for (int i = 0; i < count; ++i) {
    if (tile.usable[rows[i]] == 0) continue;
    if (usable < 2) some[usable] = rows[i];
    ++usable;
  }
  if (usable == 0) return;
  Moments own{};
  own.count = static_cast<std::uint64_t>(usable);
  if (usable == 1) {
    own.mean = tile.values[some[0]] + 0.0;  // no -0.0, as a sum that begins at 0.0
    return group.moments.merge(own);
  }
  if (usable == 2) {
    double const a = tile.values[some[0]];
    double const b = tile.values[some[1]];
    own.mean = (a + b + 0.0) / 2.0;
    double d1 = 0.0, d2 = 0.0, d3 = 0.0, d4 = 0.0;
    add_powers(a - own.mean, d1, d2, d3, d4);
    add_powers(b - own.mean, d1, d2, d3, d4);
    own.m2 = d2 - d1 * d1 / 2.0;
    own.m3 = d3;
    own.m4 = d4;
    return group.moments.merge(own);
  }
  MomentLanes lanes{};
  for (int i = 0; i < count; ++i) {
    lanes.count[rows[i] % kLanes] += tile.usable[rows[i]] & 1;
    lanes.sum[rows[i] % kLanes] += tile.values[rows[i]];
  }
  own = tile_mean(lanes);
  for (int i = 0; i < count; ++i)
    if (tile.usable[rows[i]] != 0) add_deviation(lanes, rows[i] % kLanes, tile.values[rows[i]] - own.mean);
  tile_finish(lanes, own);
  group.moments.merge(own);
}

}  // namespace modelwatch
