// Sets of which a tile has rows in many groups, as of a log that is cut by customer.

#include <algorithm>
#include <utility>

#include "engine/numeric_tile.hpp"

namespace modelwatch {
namespace {

/// Rows ahead whose values are asked for, since they are read in the order of groups, and groups ahead whose counters are.
constexpr std::ptrdiff_t kRowsAhead = 24;
constexpr std::size_t kGroupsAhead = 4;
/// Groups whose moments are folded side by side.
constexpr std::size_t kFoldedTogether = MomentRow::kGroups;

constexpr std::uint32_t kUnranked = std::uint32_t{1} << 31;
constexpr std::uint32_t kUnusable = std::uint32_t{1} << 30;
constexpr std::uint32_t kSlotBits = kUnusable - 1;

}  // namespace

std::vector<NumericState::StretchRow>& NumericState::stretch() {
  // Of a thread, since all its columns use it in turn, and the memory would be new to each of them.
  static thread_local std::vector<StretchRow> of_thread(static_cast<std::size_t>(BatchGroups::kStretchTiles) * kTileRows);
  return of_thread;
}

/// Notes what the sets that are scattered need of a tile that is loaded, and counts the stretch that it ends.
void NumericState::add_scattered(BatchGroups const& groups, std::int64_t at, Tile& tile) {
  StretchRow* const all = stretch().data();
  StretchRow* const own_rows = all + at % BatchGroups::kStretchTiles * kTileRows;
  std::uint32_t const end_cell = plan_.grid->slots() - 2;
  for (int i = 0; i < tile.rows; ++i) own_rows[i].key = tile.keys[i];
  for (int i = 0; moments_ && i < tile.rows; ++i) own_rows[i].value = tile.values[i];
  bool const all_usable = !moments_ || tile.usable_rows == tile.rows;
  bool noted[2] = {false, false};
  for (std::size_t s = 0; s < sets_.size(); ++s) {
    if (!groups.scattered(s)) continue;
    Set& set = sets_[s];
    std::size_t const grid = set.plan.coarse ? 1 : 0;
    if (!std::exchange(noted[grid], true)) {
      std::uint32_t const* const slots = slots_of(set.plan, tile);
      for (int i = 0; i < tile.rows; ++i) {
        std::uint32_t const unusable = all_usable || tile.usable[i] != 0 ? 0u : kUnusable;
        own_rows[i].slots[grid] = slots[i] | unusable | (tile.ranked[i] >= end_cell ? kUnranked : 0u);
      }
    }
    std::int32_t const* const own = groups.from_tile(s, at);
    for (int i = 0; !set.plan.coarse && i < tile.gap_count; ++i)
      if (std::int32_t const id = own[tile.gaps.row[i]]; id >= 0) add_gap(set.plan, group_of(set, id), tile, i, 1);
  }
  if (!groups.ends_stretch(at)) return;
  for (std::size_t s = 0; s < sets_.size(); ++s)
    if (groups.scattered(s)) count_stretch(sets_[s], groups.of_scattered(s, at / BatchGroups::kStretchTiles), all);
}

/// Counts the rows of a stretch, group by group.
void NumericState::count_stretch(Set& set, BatchGroups::Scattered const& by, StretchRow const* all) {
  std::size_t const grid = set.plan.coarse ? 1 : 0;
  std::uint32_t const width = set.plan.coarse ? plan_.coarse_slots : plan_.fine_slots;
  bool const can_be_few = set.plan.coarse && width <= FewRows<FewFacts>::kMostSlots;
  std::uint16_t const* const rows_end = by.rows + by.begin[by.count];
  Folding folding[kFoldedTogether];
  std::size_t foldings = 0;
  for (std::size_t k = 0; k < by.count; ++k) {
    std::uint16_t const* const rows = by.rows + by.begin[k];
    std::uint16_t const* const end = by.rows + by.begin[k + 1];
    auto const count = static_cast<std::size_t>(end - rows);
    std::int32_t const id = by.ids[k];
    std::uint64_t low = ~std::uint64_t{0};
    std::uint64_t high = 0;
    auto const each_row = [&](auto count_slot) {
      for (std::uint16_t const* row = rows; row != end; ++row) {
        if (rows_end - row > kRowsAhead) __builtin_prefetch(&all[row[kRowsAhead]]);
        std::uint32_t const slot = all[*row].slots[grid];
        count_slot(slot & kSlotBits);
        std::uint64_t const key = all[*row].key;
        bool const ranked = (slot & kUnranked) == 0;
        low = std::min(low, ranked ? key : ~std::uint64_t{0});
        high = std::max(high, ranked ? key : std::uint64_t{0});
      }
    };
    Moments* moments = nullptr;
    if (can_be_few && count <= FewRows<FewFacts>::kMostInStretch) {
      if (k + kGroupsAhead < by.count) set.few.prefetch(static_cast<std::size_t>(by.ids[k + kGroupsAhead]), width);
      auto const [counts, facts] = few_of(set, id, static_cast<std::uint32_t>(count));
      each_row([counts = counts](std::uint32_t slot) { ++counts[slot]; });
      facts->low = std::min(facts->low, low);
      facts->high = std::max(facts->high, high);
      moments = &facts->moments;
    } else {
      Group& group = group_of(set, id);
      each_row([&group](std::uint32_t slot) {
        if (group.counts != nullptr) {
          ++group.counts[slot];
        } else {
          group.cells.add(slot, 1);
          group.counts = group.cells.dense();
        }
      });
      group.low = std::min(group.low, low);
      group.high = std::max(group.high, high);
      moments = &group.moments;
    }
    if (!set.plan.moments) continue;
    folding[foldings++] = {moments, rows, end};
    if (foldings == kFoldedTogether) fold_moments(folding, std::exchange(foldings, 0), all, grid);
  }
  fold_moments(folding, foldings, all, grid);
}

/// Where so many more rows of a group are counted in 8 bits.
FewRows<NumericState::FewFacts>::Place NumericState::few_of(Set& set, std::int32_t id, std::uint32_t more) {
  auto const group = static_cast<std::size_t>(id);
  auto const place = set.few.at(group, plan_.coarse_slots);
  if (place.facts->rows + more > FewRows<FewFacts>::kMost) settle(set, group);
  if (place.facts->rows == 0) {
    *place.facts = {};
    // Moments go on where they were: they are folded in the order of rows.
    if (group < set.groups.size() && set.groups[group]) place.facts->moments = std::exchange(set.groups[group]->moments, Moments{});
  }
  place.facts->rows += more;
  return place;
}

/// Moves what a group has counted in 8 bits to its other counters.
void NumericState::settle(Set& set, std::size_t group) {
  auto const [counts, facts] = set.few.at(group, plan_.coarse_slots);
  Group& into = made(set, group);
  each_counted(counts, plan_.coarse_slots, [&into](std::uint32_t slot, std::uint8_t count) { into.cells.add(slot, count); });
  std::fill_n(counts, plan_.coarse_slots, std::uint8_t{0});
  into.low = std::min(into.low, facts->low);
  into.high = std::max(into.high, facts->high);
  into.moments = facts->moments;
  *facts = {};
}

/// Moments of the rows of some groups: each tile's with the bits of moments_slots, folded in their order.  A fold waits for
/// the one before it, so the groups take theirs side by side.
void NumericState::fold_moments(Folding* foldings, std::size_t count, StretchRow const* all, std::size_t grid) {
  auto const& kernel = cpu::kernels();
  MomentRow sums{};
  for (std::size_t f = 0; f < count; ++f) {
    Moments const& own = *foldings[f].into;
    sums.count[f] = static_cast<double>(own.count);
    sums.mean[f] = own.mean;
    sums.m2[f] = own.m2;
    sums.m3[f] = own.m3;
    sums.m4[f] = own.m4;
  }
  for (bool more = true; more;) {
    more = false;
    MomentRow tiles{};
    for (std::size_t f = 0; f < count; ++f) {
      if (foldings[f].next == foldings[f].end) continue;
      more = true;
      take_tile(foldings[f], all, grid, f, tiles);
    }
    if (more) kernel.merge_moments(tiles, &sums);
  }
  for (std::size_t f = 0; f < count; ++f)
    *foldings[f].into = {static_cast<std::uint64_t>(sums.count[f]), sums.mean[f], sums.m2[f], sums.m3[f], sums.m4[f]};
}

/// Moments of the rows of the next tile that a group has rows in, as number f of `tiles`.  One or two values need no lanes,
/// since the sums of lanes that are 0 but for two are their sum in any order.
void NumericState::take_tile(Folding& folding, StretchRow const* all, std::size_t grid, std::size_t f, MomentRow& tiles) {
  auto const is_usable = [&](std::uint16_t row) { return (all[row].slots[grid] & kUnusable) == 0; };
  std::uint16_t const* const begin = folding.next;
  std::uint16_t const* end = begin + 1;
  if (end == folding.end || *end / kTileRows != *begin / kTileRows) {
    folding.next = end;
    if (!is_usable(*begin)) return;
    tiles.count[f] = 1.0;
    tiles.mean[f] = all[*begin].value + 0.0;  // no -0.0, as a sum that begins at 0.0
    return;
  }
  double some[2] = {0.0, 0.0};
  int used = 0;
  for (end = begin; end != folding.end && *end / kTileRows == *begin / kTileRows; ++end) {
    if (!is_usable(*end)) continue;
    if (used < 2) some[used] = all[*end].value;
    ++used;
  }
  folding.next = end;
  if (used == 0) return;
  Moments own{};
  own.count = static_cast<std::uint64_t>(used);
  if (used == 1) {
    own.mean = some[0] + 0.0;
  } else if (used == 2) {
    own.mean = (some[0] + some[1] + 0.0) / 2.0;
    double d1 = 0.0, d2 = 0.0, d3 = 0.0, d4 = 0.0;
    add_powers(some[0] - own.mean, d1, d2, d3, d4);
    add_powers(some[1] - own.mean, d1, d2, d3, d4);
    own.m2 = d2 - d1 * d1 / 2.0;
    own.m3 = d3;
    own.m4 = d4;
  } else {
    MomentLanes lanes{};
    for (std::uint16_t const* row = begin; row != end; ++row) {
      if (!is_usable(*row)) continue;
      ++lanes.count[*row % kLanes];
      lanes.sum[*row % kLanes] += all[*row].value;
    }
    own = tile_mean(lanes);
    for (std::uint16_t const* row = begin; row != end; ++row)
      if (is_usable(*row)) add_deviation(lanes, *row % kLanes, all[*row].value - own.mean);
    tile_finish(lanes, own);
  }
  tiles.count[f] = static_cast<double>(used);
  tiles.mean[f] = own.mean;
  tiles.m2[f] = own.m2;
  tiles.m3[f] = own.m3;
  tiles.m4[f] = own.m4;
}

}  // namespace modelwatch
