// Tiles whose rows belong to several groups, or have weights.

#include <algorithm>
#include <type_traits>

#include "core/key.hpp"
#include "engine/numeric_tile.hpp"
#include "engine/rank.hpp"

namespace modelwatch {

/// Row `at` of those in gaps, counted `times` times, on a fine grid.
void NumericState::add_gap(SetPlan const& plan, Group& group, Tile const& tile, int at, std::uint32_t times) const {
  std::uint32_t const gap = tile.gaps.gap[at];
  bool const lower = gap <= plan_.grid->lower_tail();
  bool const inner = !lower && gap < plan_.grid->upper_tail();
  auto const grid = plan_.grid->data();
  with_domain(domain(), [&]<class Value>(Value) {
    Value x = KeyOf<Value>::value(static_cast<typename KeyOf<Value>::Key>(tile.gaps.key[at]));
    if (plan.sketches) group.add_to_sketch(bucket_of(static_cast<double>(x)), hashes_whole() ? hash_whole(static_cast<double>(x)) : hash_number(x), times);
    if (!inner) return group.tail(lower ? 0 : 1).add(x, times);
    if constexpr (std::is_same_v<Value, double>)
      if (grid.gap_scales != nullptr) x *= grid.gap_scales[gap];
    std::uint64_t const fraction = gap_offset(x, grid.gaps[gap]);
    if (fraction != 0) group.gaps.add(gap - plan_.gap_shift, fraction * times);
  });
}

void NumericState::add_mixed(NumericView const& column, BatchGroups const& groups, std::int64_t at, Tile& tile,
                             std::uint32_t const* weights) {
  tile.rows = static_cast<int>(groups.rows_of(at, at + 1));
  make_room(tile.rows);
  load(column, at * kTileRows, valid_rows(column, at * kTileRows, tile.rows, tile.valid), true, tile);
  if (moments_ && tile.usable_rows == tile.rows) std::fill_n(tile.usable, tile.rows, ~std::uint64_t{0});
  std::uint32_t const* const times = weights == nullptr ? nullptr : weights + at * kTileRows;
  auto const together = times == nullptr ? groups.together(at) : BatchGroups::Together{};
  if (together.of_row != nullptr) look_between(tile);
  if (groups.any_scattered()) add_scattered(groups, at, column.storage, tile);
  for (std::size_t s = 0; s < sets_.size(); ++s) {
    if (groups.scattered(s)) continue;
    Set& set = sets_[s];
    std::int32_t const* const own = groups.from_tile(s, at);
    std::uint32_t const* const slots = slots_of(set.plan, tile);
    if (together.of_row != nullptr) {
      count_together(set, s, tile, slots, together);
    } else {
      if (times != nullptr)
        count_weighted(set, tile, slots, own, times);
      else
        count_mixed(set, tile, slots, own);
      for (int i = 0; !set.plan.coarse && i < tile.gap_count; ++i) {
        std::uint32_t const row = tile.gaps.row[i];
        std::int32_t const id = own == nullptr ? 0 : own[row];
        if (id >= 0) add_gap(set.plan, group_of(set, id), tile, i, times == nullptr ? 1 : times[row]);
      }
    }
    if (set.plan.moments) add_mixed_moments(set, tile, own, times);
  }
}

/// What all sets need of a tile's rows in gaps, and of its smallest and largest key.
void NumericState::look_between(Tile& tile) const {
  auto const& kernel = cpu::kernels();
  std::uint32_t const lower = plan_.grid->lower_tail();
  std::uint32_t const upper = plan_.grid->upper_tail();
  tile.low = ~std::uint64_t{0};
  tile.high = 0;
  kernel.key_range(tile.ranked, tile.keys, tile.rows, plan_.grid->slots() - 2, &tile.low, &tile.high);
  bool const fine = std::any_of(sets_.begin(), sets_.end(), [](Set const& s) { return !s.plan.coarse; });
  if (!fine || tile.gap_count == 0) return;
  kernel.gap_fractions(tile.gaps, tile.gap_count, plan_.grid->data(), tile.fractions);
  tile.tail_rows = 0;
  for (int i = 0; i < tile.gap_count; ++i) {
    std::uint32_t const gap = tile.gaps.gap[i];
    tile.tail_rows += gap <= lower || gap >= upper ? 1 : 0;
  }
  if (std::any_of(sets_.begin(), sets_.end(), [](Set const& s) { return s.plan.sketches; }))
    kernel.sketch_gaps(tile.gaps, tile.gap_count, domain(), hashes_whole(), tile.buckets, tile.hashes);
}

/// Counts a tile of few combinations of groups: which of them a row is in picks its counters, and decides nothing.
void NumericState::count_together(Set& set, std::size_t at, Tile& tile, std::uint32_t const* slots, BatchGroups::Together const& together) {
  Group* into[BatchGroups::kMostTogether];
  std::uint32_t* counters[BatchGroups::kMostTogether];
  bool sparse = false;
  bool wider = false;
  std::uint32_t const count = set.plan.coarse ? plan_.coarse_slots : plan_.fine_slots;
  if (unused_counts_.size() < count) unused_counts_.resize(count);
  for (int c = 0; c < together.count; ++c) {
    std::int32_t const id = together.id(at, c);
    into[c] = id < 0 ? nullptr : &group_of(set, id);
    counters[c] = into[c] == nullptr ? nullptr : into[c]->cells.dense();
    sparse = sparse || (into[c] != nullptr && counters[c] == nullptr);
    wider = wider || (into[c] != nullptr && (tile.low < into[c]->low || tile.high > into[c]->high));
    if (counters[c] == nullptr) counters[c] = unused_counts_.data();
  }
  std::uint8_t const* const of_row = together.of_row;
  for (int i = 0; i < tile.rows; ++i) ++counters[of_row[i]][slots[i]];
  for (int i = 0; sparse && i < tile.rows; ++i) {
    Group* const group = into[of_row[i]];
    if (group != nullptr && counters[of_row[i]] == unused_counts_.data()) group->cells.add(slots[i], 1);
  }
  std::uint32_t const end_cell = plan_.grid->slots() - 2;
  for (int i = 0; wider && i < tile.rows; ++i) {
    Group* const group = into[of_row[i]];
    if (group == nullptr || tile.ranked[i] >= end_cell) continue;
    group->low = std::min(group->low, tile.keys[i]);
    group->high = std::max(group->high, tile.keys[i]);
  }
  if (!set.plan.coarse && tile.gap_count > 0) add_gaps_together(set, tile, of_row, into, together.count);
}

void NumericState::add_gaps_together(Set& set, Tile& tile, std::uint8_t const* of_row, Group* const* into, int count) {
  std::uint32_t const lower = plan_.grid->lower_tail();
  std::uint32_t const upper = plan_.grid->upper_tail();
  std::uint64_t* sums[BatchGroups::kMostTogether];
  bool sparse = false;
  if (unused_sums_.size() < plan_.fine_slots / 2) unused_sums_.resize(plan_.fine_slots / 2);
  for (int c = 0; c < count; ++c) {
    sums[c] = into[c] == nullptr ? nullptr : into[c]->gaps.dense();
    sparse = sparse || (into[c] != nullptr && sums[c] == nullptr);
    if (sums[c] == nullptr) sums[c] = unused_sums_.data();
  }
  // Rows in a tail have no sum here: they add 0 to one that is there.
  if (tile.tail_rows < tile.gap_count)
    for (int i = 0; i < tile.gap_count; ++i) {
      std::uint32_t const gap = tile.gaps.gap[i];
      std::uint32_t const to = gap <= lower || gap >= upper ? 0 : gap - plan_.gap_shift;
      sums[of_row[tile.gaps.row[i]]][to] += tile.fractions[i];
    }
  for (int i = 0; sparse && i < tile.gap_count; ++i) {
    int const c = of_row[tile.gaps.row[i]];
    std::uint32_t const gap = tile.gaps.gap[i];
    if (into[c] != nullptr && sums[c] == unused_sums_.data() && tile.fractions[i] != 0) into[c]->gaps.add(gap - plan_.gap_shift, tile.fractions[i]);
  }
  for (int i = 0; set.plan.sketches && i < tile.gap_count; ++i)
    if (Group* const group = into[of_row[tile.gaps.row[i]]]) group->add_to_sketch(tile.buckets[i], tile.hashes[i], 1);
  if (tile.tail_rows > 0) add_tails_together(tile, of_row, into);
}

/// Adds the values of a tile that lie beyond the finite knots to the groups of their combinations.
void NumericState::add_tails_together(Tile const& tile, std::uint8_t const* of_row, Group* const* into) const {
  std::uint32_t const lower = plan_.grid->lower_tail();
  std::uint32_t const upper = plan_.grid->upper_tail();
  with_domain(domain(), [&]<class Value>(Value) {
    for (int i = 0; i < tile.gap_count; ++i) {
      std::uint32_t const gap = tile.gaps.gap[i];
      if (gap > lower && gap < upper) continue;
      if (Group* const group = into[of_row[tile.gaps.row[i]]])
        group->tail(gap <= lower ? 0 : 1).add(KeyOf<Value>::value(static_cast<typename KeyOf<Value>::Key>(tile.gaps.key[i])), 1);
    }
  });
}

void NumericState::count_mixed(Set& set, Tile const& tile, std::uint32_t const* slots, std::int32_t const* groups) {
  std::uint32_t const end_cell = plan_.grid->slots() - 2;
  // Rows of one group mostly follow each other, as in a log that is nearly sorted.
  for (int i = 0; i < tile.rows;) {
    std::int32_t const id = groups == nullptr ? 0 : groups[i];
    int end = i + 1;
    while (end < tile.rows && (groups == nullptr || groups[end] == id)) ++end;
    if (id < 0) {
      i = end;
      continue;
    }
    Group& group = group_of(set, id);
    for (; i < end; ++i) {
      if (std::uint32_t* const dense = group.cells.dense())
        ++dense[slots[i]];
      else
        group.cells.add(slots[i], 1);
      if (tile.ranked[i] >= end_cell) continue;
      group.low = std::min(group.low, tile.keys[i]);
      group.high = std::max(group.high, tile.keys[i]);
    }
  }
}

/// Weighted counters are 64-bit ones from the start: those that `spill` fills.
void NumericState::count_weighted(Set& set, Tile const& tile, std::uint32_t const* slots, std::int32_t const* groups,
                                  std::uint32_t const* weights) {
  std::uint32_t const end_cell = plan_.grid->slots() - 2;
  for (int i = 0; i < tile.rows; ++i) {
    std::int32_t const id = groups == nullptr ? 0 : groups[i];
    if (id < 0) continue;
    Group& group = group_of(set, id);
    if (group.spilled.size() == 0) group.spilled = SparseArray<std::uint64_t>(group.cells.size());
    group.spilled.add(slots[i], weights[i]);
    if (tile.ranked[i] < end_cell) {
      group.low = std::min(group.low, tile.keys[i]);
      group.high = std::max(group.high, tile.keys[i]);
    }
  }
}

void NumericState::add_mixed_moments(Set& set, Tile& tile, std::int32_t const* groups, std::uint32_t const* weights) {
  // Where a group's slot is, for groups of this tile; rows of one group mostly follow each other.
  set.slot_of.resize(set.groups.size(), -1);
  tile.slot_group.clear();
  std::int32_t last = -1;
  std::int32_t slot = -1;
  for (int i = 0; i < tile.rows; ++i) {
    std::int32_t const group = groups == nullptr ? 0 : groups[i];
    if (group != last) {
      last = group;
      slot = group < 0 ? -1 : set.slot_of[static_cast<std::size_t>(group)];
      if (group >= 0 && slot < 0) {
        slot = set.slot_of[static_cast<std::size_t>(group)] = static_cast<std::int32_t>(tile.slot_group.size());
        tile.slot_group.push_back(group);
      }
    }
    tile.slots[i] = slot;
  }
  std::size_t const slots = tile.slot_group.size();
  tile.lanes.resize(std::max(slots, tile.lanes.size()));
  tile.moments.resize(std::max(slots, tile.moments.size()));
  cpu::kernels().moments_slots(tile.values, tile.usable, tile.slots, weights, tile.rows, static_cast<int>(slots), tile.lanes.data(),
                               tile.moments.data());
  for (std::size_t s = 0; s < slots; ++s) {
    set.slot_of[static_cast<std::size_t>(tile.slot_group[s])] = -1;
    group_of(set, tile.slot_group[s]).moments.merge(tile.moments[s]);
  }
}

}  // namespace modelwatch
