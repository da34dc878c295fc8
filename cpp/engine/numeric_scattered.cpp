// Sets of which a tile has rows in many groups, as of a log that is cut by customer.

#include <algorithm>
#include <cstring>  // memset
#include <utility>

#include "core/key.hpp"
#include "engine/numeric_tile.hpp"

namespace modelwatch {
namespace {

/// Rows ahead whose values are asked for, since they are read in the order of groups, and groups ahead whose counters are.
constexpr std::ptrdiff_t kRowsAhead = 24;
constexpr std::size_t kGroupsAhead = 4;

// What is to know of a row beside its slot.
constexpr std::uint32_t kUnranked = std::uint32_t{1} << 31;
constexpr std::uint32_t kUnusable = std::uint32_t{1} << 30;
constexpr std::uint32_t kSlotBits = kUnusable - 1;

/// What is kept of a row until its stretch of tiles is counted group by group.
struct WideRow {
  std::uint64_t key;
  double value;            // without the pivot
  std::uint32_t slots[2];  // on the fine and the coarse grid
};
/// The same of a 32-bit float in a third of the memory, where all sets are on one grid.  The key of -0.0 gives 0.0, which
/// changes no sum.
struct NarrowRow {
  std::uint32_t key;
  std::uint32_t slot;
};

template <class Row>
std::vector<Row>& stretch_of() {
  // Of a thread, since all its columns use it in turn, and the memory would be new to each of them.
  static thread_local std::vector<Row> of_thread(static_cast<std::size_t>(BatchGroups::kStretchTiles) * kTileRows);
  return of_thread;
}

struct WideRows {
  WideRow const* all;
  std::size_t grid;

  void prefetch(BatchGroups::Row row) const { __builtin_prefetch(&all[row]); }
  std::uint32_t slot(BatchGroups::Row row) const { return all[row].slots[grid]; }
  std::uint64_t key(BatchGroups::Row row) const { return all[row].key; }
  double value(BatchGroups::Row row) const { return all[row].value; }
};
struct NarrowRows {
  NarrowRow const* all;

  void prefetch(BatchGroups::Row row) const { __builtin_prefetch(&all[row]); }
  std::uint32_t slot(BatchGroups::Row row) const { return all[row].slot; }
  std::uint64_t key(BatchGroups::Row row) const { return all[row].key; }
  double value(BatchGroups::Row row) const { return static_cast<double>(KeyOf<float>::value(all[row].key)); }
};

/// Moments of groups whose tiles are folded side by side: a fold waits for the one before it, those of other groups do not.
class Folds {
 public:
  /// Takes the rows of a group: the moments of each tile with the bits of moments_slots.
  template <class Rows>
  void add(Moments* into, BatchGroups::Row const* row, BatchGroups::Row const* end, Rows const& rows) {
    std::size_t const g = groups_;
    into_[groups_++] = into;
    std::size_t step = 0;
    while (row != end) {
      BatchGroups::Row const* next = row + 1;
      if (next != end && *next / kTileRows == *row / kTileRows) {
        while (next != end && *next / kTileRows == *row / kTileRows) ++next;
        step += add_several(g, step, row, next, rows) ? 1 : 0;
      } else {
        bool const usable = (rows.slot(*row) & kUnusable) == 0;
        steps_[step].count[g] = usable ? 1.0 : 0.0;
        steps_[step].mean[g] = usable ? rows.value(*row) + 0.0 : 0.0;  // no -0.0, as a sum that begins at 0.0
        step += usable ? 1 : 0;
      }
      row = next;
    }
    most_ = std::max(most_, step);
    if (groups_ == MomentRow::kGroups) fold();
  }

  /// Folds what was taken.
  void fold() {
    MomentRow sums{};
    for (std::size_t g = 0; g < groups_; ++g) {
      Moments const& own = *into_[g];
      sums.count[g] = static_cast<double>(own.count);
      sums.mean[g] = own.mean;
      sums.m2[g] = own.m2;
      sums.m3[g] = own.m3;
      sums.m4[g] = own.m4;
    }
    cpu::kernels().fold_moments(steps_, static_cast<int>(most_), &sums);
    for (std::size_t g = 0; g < groups_; ++g)
      *into_[g] = {static_cast<std::uint64_t>(sums.count[g]), sums.mean[g], sums.m2[g], sums.m3[g], sums.m4[g]};
    std::memset(steps_, 0, most_ * sizeof(MomentRow));  // 0.0 is all zeros
    groups_ = most_ = 0;
  }

 private:
  /// The rows that a group has in one tile; whether any is usable.  Two values need no lanes, since the sums of lanes that
  /// are 0 but for two are their sum in any order.
  template <class Rows>
  bool add_several(std::size_t g, std::size_t step, BatchGroups::Row const* begin, BatchGroups::Row const* end, Rows const& rows) {
    double some[2] = {0.0, 0.0};
    int used = 0;
    for (BatchGroups::Row const* row = begin; row != end; ++row) {
      if ((rows.slot(*row) & kUnusable) != 0) continue;
      if (used < 2) some[used] = rows.value(*row);
      ++used;
    }
    if (used == 0) return false;
    Moments own{};
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
      for (BatchGroups::Row const* row = begin; row != end; ++row) {
        if ((rows.slot(*row) & kUnusable) != 0) continue;
        ++lanes.count[*row % kLanes];
        lanes.sum[*row % kLanes] += rows.value(*row);
      }
      own = tile_mean(lanes);
      for (BatchGroups::Row const* row = begin; row != end; ++row)
        if ((rows.slot(*row) & kUnusable) == 0) add_deviation(lanes, *row % kLanes, rows.value(*row) - own.mean);
      tile_finish(lanes, own);
    }
    steps_[step].count[g] = static_cast<double>(used);
    steps_[step].mean[g] = own.mean;
    steps_[step].m2[g] = own.m2;
    steps_[step].m3[g] = own.m3;
    steps_[step].m4[g] = own.m4;
    return true;
  }

  Moments* into_[MomentRow::kGroups] = {};
  MomentRow steps_[BatchGroups::kStretchTiles] = {};  // all 0 where no group has a tile
  std::size_t groups_ = 0;
  std::size_t most_ = 0;  // steps of the group with the most
};

}  // namespace

/// Counts a tile that is loaded into the sets that are scattered, or notes what they need of it.
void NumericState::add_scattered(BatchGroups const& groups, std::int64_t at, Tile& tile) {
  bool in_stretch = false;
  for (std::size_t s = 0; s < sets_.size(); ++s) {
    if (!groups.scattered(s)) continue;
    if (in_tiles(groups, s))
      count_in_tile(s, groups, at, tile);
    else
      in_stretch = true;
  }
  if (in_stretch) count_in_stretch(groups, at, tile);
}

/// Notes what sets need of a tile, and counts the stretch that it ends.
void NumericState::count_in_stretch(BatchGroups const& groups, std::int64_t at, Tile& tile) {
  auto const is_own = [&](std::size_t s) { return groups.scattered(s) && !in_tiles(groups, s); };
  std::int64_t const first = at % BatchGroups::kStretchTiles * kTileRows;
  std::uint32_t const end_cell = plan_.grid->slots() - 2;
  bool const all_usable = !moments_ || tile.usable_rows == tile.rows;
  bool on_grid[2] = {false, false};
  for (std::size_t s = 0; s < sets_.size(); ++s)
    if (is_own(s)) on_grid[sets_[s].plan.coarse ? 1 : 0] = true;
  bool const narrow = domain() == Domain::float32 && on_grid[0] != on_grid[1];
  WideRow* const wide_rows = narrow ? nullptr : stretch_of<WideRow>().data() + first;
  NarrowRow* const narrow_rows = narrow ? stretch_of<NarrowRow>().data() + first : nullptr;
  for (int i = 0; !narrow && i < tile.rows; ++i) wide_rows[i].key = tile.keys[i];
  for (int i = 0; !narrow && moments_ && i < tile.rows; ++i) wide_rows[i].value = tile.values[i];
  bool noted[2] = {false, false};
  for (std::size_t s = 0; s < sets_.size(); ++s) {
    if (!is_own(s)) continue;
    Set& set = sets_[s];
    std::size_t const grid = set.plan.coarse ? 1 : 0;
    if (!std::exchange(noted[grid], true)) {
      std::uint32_t const* const slots = slots_of(set.plan, tile);
      auto const noted_slot = [&](int i) {
        std::uint32_t const unusable = all_usable || tile.usable[i] != 0 ? 0u : kUnusable;
        return slots[i] | unusable | (tile.ranked[i] >= end_cell ? kUnranked : 0u);
      };
      if (narrow)
        for (int i = 0; i < tile.rows; ++i) narrow_rows[i] = {static_cast<std::uint32_t>(tile.keys[i]), noted_slot(i)};
      else
        for (int i = 0; i < tile.rows; ++i) wide_rows[i].slots[grid] = noted_slot(i);
    }
    std::int32_t const* const own = groups.from_tile(s, at);
    for (int i = 0; !set.plan.coarse && i < tile.gap_count; ++i)
      if (std::int32_t const id = own[tile.gaps.row[i]]; id >= 0) add_gap(set.plan, group_of(set, id), tile, i, 1);
  }
  if (!groups.ends_stretch(at)) return;
  for (std::size_t s = 0; s < sets_.size(); ++s) {
    if (!is_own(s)) continue;
    auto const by = groups.of_scattered(s, at / BatchGroups::kStretchTiles);
    if (narrow)
      count_stretch(sets_[s], by, NarrowRows{stretch_of<NarrowRow>().data()});
    else
      count_stretch(sets_[s], by, WideRows{stretch_of<WideRow>().data(), sets_[s].plan.coarse ? 1u : 0u});
  }
}

/// Counts the rows of a stretch, group by group.
template <class Rows>
void NumericState::count_stretch(Set& set, BatchGroups::Scattered const& by, Rows const& all) {
  std::uint32_t const width = set.plan.coarse ? plan_.coarse_slots : plan_.fine_slots;
  bool const can_be_few = set.plan.coarse && width <= FewRows<FewFacts>::kMostSlots;
  BatchGroups::Row const* const rows_end = by.rows + by.begin[by.count];
  Folds folds;
  for (std::size_t k = 0; k < by.count; ++k) {
    BatchGroups::Row const* const rows = by.rows + by.begin[k];
    BatchGroups::Row const* const end = by.rows + by.begin[k + 1];
    auto const count = static_cast<std::size_t>(end - rows);
    std::int32_t const id = by.ids[k];
    std::uint64_t low = ~std::uint64_t{0};
    std::uint64_t high = 0;
    auto const each_row = [&, all](auto count_slot) {  // a copy, which no counter of 8 bits can be taken to change
      for (BatchGroups::Row const* row = rows; row != end; ++row) {
        if (rows_end - row > kRowsAhead) all.prefetch(row[kRowsAhead]);
        std::uint32_t const slot = all.slot(*row);
        std::uint64_t const key = all.key(*row);
        count_slot(slot & kSlotBits);
        bool const ranked = (slot & kUnranked) == 0;
        low = std::min(low, ranked ? key : ~std::uint64_t{0});
        high = std::max(high, ranked ? key : std::uint64_t{0});
      }
    };
    Moments* moments = nullptr;
    if (can_be_few && count <= FewRows<FewFacts>::kMostInStretch) {
      if (k + 2 * kGroupsAhead < by.count) set.few.prefetch_facts(static_cast<std::size_t>(by.ids[k + 2 * kGroupsAhead]));
      if (k + kGroupsAhead < by.count) set.few.prefetch_counts(static_cast<std::size_t>(by.ids[k + kGroupsAhead]));
      auto const place = few_of(set, id, count);
      if (std::uint8_t* list = set.few.list(place, count))
        each_row([&list](std::uint32_t slot) { list = FewRows<FewFacts>::put_slot(list, slot); });
      else
        each_row([counts = set.few.counters(place)](std::uint32_t slot) { ++counts[slot]; });
      place.facts->rows += static_cast<std::uint32_t>(count);
      place.facts->low = std::min(place.facts->low, low);
      place.facts->high = std::max(place.facts->high, high);
      moments = &place.facts->moments;
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
    if (set.plan.moments) folds.add(moments, rows, end, all);
  }
  folds.fold();
}

/// Where so many more rows of a group are counted in 8 bits.
FewRows<NumericState::FewFacts>::Place NumericState::few_of(Set& set, std::int32_t id, std::size_t more) {
  auto const group = static_cast<std::size_t>(id);
  auto const place = set.few.at(group, plan_.coarse_slots);
  if (place.facts->rows + more > FewRows<FewFacts>::kMost) settle(set, group);
  if (place.facts->rows == 0) {
    *place.facts = {};
    // Moments go on where they were: they are folded in the order of rows.
    if (group < set.groups.size() && set.groups[group]) place.facts->moments = std::exchange(set.groups[group]->moments, Moments{});
  }
  return place;
}

/// Moves what a group has counted in 8 bits to its other counters.
void NumericState::settle(Set& set, std::size_t group) {
  auto const place = set.few.at(group, plan_.coarse_slots);
  Group& into = made(set, group);
  each_counted(set.few.counters(place), plan_.coarse_slots, [&into](std::uint32_t slot, std::uint8_t count) { into.cells.add(slot, count); });
  into.low = std::min(into.low, place.facts->low);
  into.high = std::max(into.high, place.facts->high);
  into.moments = place.facts->moments;
  *place.facts = {};
}

}  // namespace modelwatch
