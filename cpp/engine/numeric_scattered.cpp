// Sets of which a tile has rows in many groups, as of a log that is cut by customer.

#include <algorithm>
#include <bit>
#include <cstring>  // memcpy, memset
#include <optional>
#include <utility>

#include "core/key.hpp"
#include "engine/numeric_tile.hpp"

namespace modelwatch {
namespace {

/// Rows ahead whose values are asked for, since they are read in the order of groups, and groups ahead whose counters are.
constexpr std::ptrdiff_t kRowsAhead = 24;
constexpr std::size_t kGroupsAhead = 4;

// What is to know of a row beside its slot.
constexpr std::uint32_t kUnranked = cpu::RowBlock::kUnranked << cpu::RowBlock::kSlotBits;
constexpr std::uint32_t kUnusable = cpu::RowBlock::kUnusable << cpu::RowBlock::kSlotBits;
constexpr std::uint32_t kSlotMask = kUnusable - 1;
constexpr std::uint32_t kShortSlot = (std::uint32_t{1} << cpu::RowBlock::kSlotBits) - 1;

/// What is kept of a row until its stretch of tiles is counted group by group.
struct WideRow {
  std::uint64_t key;
  double value;            // without the pivot
  std::uint32_t slots[2];  // on the fine and the coarse grid
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
/// The same of values whose keys have 32 bits, in a third of the memory, where all sets are on one grid.
struct ShortRows {
  cpu::ShortRow const* all;
  cpu::ShortKeys keys;

  void prefetch(BatchGroups::Row row) const { __builtin_prefetch(&all[row]); }
  std::uint32_t slot(BatchGroups::Row row) const { return all[row].slot; }
  std::uint64_t key(BatchGroups::Row row) const { return keys.whole(all[row].key); }
  double value(BatchGroups::Row row) const { return keys.value(all[row].key); }
};

void put(Moments const& own, MomentRow& into, int g) {
  into.count[g] = static_cast<double>(own.count);
  into.mean[g] = own.mean;
  into.m2[g] = own.m2;
  into.m3[g] = own.m3;
  into.m4[g] = own.m4;
}
Moments moments_at(MomentRow const& row, int g) { return {static_cast<std::uint64_t>(row.count[g]), row.mean[g], row.m2[g], row.m3[g], row.m4[g]}; }

/// Puts the rows of a stretch in the order of their groups, each with what is known of it in its tile: as one number, since
/// the compiler takes two apart.
void gather(cpu::ShortRow const* all, BatchGroups::Scattered const& by, cpu::ShortRow* out) {
  static_assert(std::endian::native == std::endian::little && sizeof(cpu::ShortRow) == sizeof(std::uint64_t));
  std::uint32_t const rows = by.begin[by.count];
  for (std::uint32_t i = 0; i < rows; ++i) {
    std::uint64_t row;
    std::memcpy(&row, all + by.rows[i], sizeof row);
    row |= std::uint64_t{by.tile_mates[i]} << (32 + cpu::RowBlock::kSlotBits);
    std::memcpy(out + i, &row, sizeof row);
  }
}

/// What is kept of a group beside its counts.
struct Summary {
  std::uint64_t* low;
  std::uint64_t* high;
  Moments* moments;
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
    for (std::size_t g = 0; g < groups_; ++g) put(*into_[g], sums, static_cast<int>(g));
    cpu::kernels().fold_moments(steps_, static_cast<int>(most_), &sums);
    for (std::size_t g = 0; g < groups_; ++g) *into_[g] = moments_at(sums, static_cast<int>(g));
    std::memset(steps_, 0, most_ * sizeof(MomentRow));  // 0.0 is all zeros
    groups_ = most_ = 0;
  }

 private:
  /// The rows that a group has in one tile; whether any is usable.
  template <class Rows>
  bool add_several(std::size_t g, std::size_t step, BatchGroups::Row const* begin, BatchGroups::Row const* end, Rows const& rows) {
    Moments const own = moments_of_some(
        static_cast<int>(end - begin), [&](int i) { return rows.value(begin[i]); }, [&](int i) { return (rows.slot(begin[i]) & kUnusable) == 0; },
        [&](int i) { return begin[i] % kLanes; });
    if (own.count == 0) return false;
    put(own, steps_[step], static_cast<int>(g));
    return true;
  }

  Moments* into_[MomentRow::kGroups] = {};
  MomentRow steps_[BatchGroups::kStretchTiles] = {};  // all 0 where no group has a tile
  std::size_t groups_ = 0;
  std::size_t most_ = 0;  // steps of the group with the most
};

}  // namespace

/// Counts a tile that is loaded into the sets that are scattered, or notes what they need of it.
void NumericState::add_scattered(BatchGroups const& groups, std::int64_t at, Storage storage, Tile& tile) {
  bool in_stretch = false;
  for (std::size_t s = 0; s < sets_.size(); ++s) {
    if (!groups.scattered(s)) continue;
    if (in_tiles(groups, s))
      count_in_tile(s, groups, at, tile);
    else
      in_stretch = true;
  }
  if (in_stretch) count_in_stretch(groups, at, storage, tile);
}

/// Notes what sets need of a tile, and counts the stretch that it ends.
void NumericState::count_in_stretch(BatchGroups const& groups, std::int64_t at, Storage storage, Tile& tile) {
  auto const is_own = [&](std::size_t s) { return groups.scattered(s) && !in_tiles(groups, s); };
  std::int64_t const first = at % BatchGroups::kStretchTiles * kTileRows;
  std::uint32_t const end_cell = plan_.grid->slots() - 2;
  bool const all_usable = !moments_ || tile.usable_rows == tile.rows;
  bool on_grid[2] = {false, false};
  for (std::size_t s = 0; s < sets_.size(); ++s)
    if (is_own(s)) on_grid[sets_[s].plan.coarse ? 1 : 0] = true;
  std::optional<cpu::ShortKeys> const keys = on_grid[0] != on_grid[1] ? short_keys(storage) : std::nullopt;
  WideRow* const wide_rows = keys ? nullptr : stretch_of<WideRow>().data() + first;
  cpu::ShortRow* const short_rows = keys ? stretch_of<cpu::ShortRow>().data() + first : nullptr;
  for (int i = 0; !keys && i < tile.rows; ++i) wide_rows[i].key = tile.keys[i];
  for (int i = 0; !keys && moments_ && i < tile.rows; ++i) wide_rows[i].value = tile.values[i];
  bool noted[2] = {false, false};
  for (std::size_t s = 0; s < sets_.size(); ++s) {
    if (!is_own(s)) continue;
    Set& set = sets_[s];
    std::size_t const grid = set.plan.coarse ? 1 : 0;
    if (!std::exchange(noted[grid], true)) {
      std::uint32_t const* const slots = slots_of(set.plan, tile);
      auto const noted_slot = [&, end_cell](int i, bool all) {
        std::uint32_t const unusable = all || tile.usable[i] != 0 ? 0u : kUnusable;
        return slots[i] | unusable | (tile.ranked[i] >= end_cell ? kUnranked : 0u);
      };
      if (keys) {
        cpu::ShortKeys const own_keys = *keys;  // nothing that is written can be taken to change it, nor all_usable below
        for (int i = 0; all_usable && i < tile.rows; ++i) short_rows[i] = {own_keys.of(tile.keys[i]), noted_slot(i, true)};
        for (int i = 0; !all_usable && i < tile.rows; ++i) short_rows[i] = {own_keys.of(tile.keys[i]), noted_slot(i, false)};
      } else {
        for (int i = 0; i < tile.rows; ++i) wide_rows[i].slots[grid] = noted_slot(i, all_usable);
      }
    }
    std::int32_t const* const own = groups.from_tile(s, at);
    for (int i = 0; !set.plan.coarse && i < tile.gap_count; ++i)
      if (std::int32_t const id = own[tile.gaps.row[i]]; id >= 0) add_gap(set.plan, group_of(set, id), tile, i, 1);
  }
  if (!groups.ends_stretch(at)) return;
  for (std::size_t s = 0; s < sets_.size(); ++s) {
    if (!is_own(s)) continue;
    auto const by = groups.of_scattered(s, at / BatchGroups::kStretchTiles);
    if (keys)
      count_in_blocks(sets_[s], by, stretch_of<cpu::ShortRow>().data(), *keys);
    else
      count_stretch(sets_[s], by, WideRows{stretch_of<WideRow>().data(), sets_[s].plan.coarse ? 1u : 0u});
  }
}

/// How values stored so have keys of 32 bits, where they do.
std::optional<cpu::ShortKeys> NumericState::short_keys(Storage storage) const {
  if (std::max(plan_.fine_slots, plan_.coarse_slots) > kShortSlot) return std::nullopt;
  if (domain() == Domain::float32) return cpu::ShortKeys{true, 0.0};
  constexpr std::int64_t kMostPivot = std::int64_t{1} << 52;  // its distance from such integers is exact
  std::int64_t const pivot = KeyOf<std::int64_t>::value(plan_.pivot);
  bool const small = storage <= Storage::int32 || storage == Storage::uint8 || storage == Storage::uint16;
  if (domain() != Domain::int64 || !small || pivot < -kMostPivot || pivot > kMostPivot) return std::nullopt;
  return cpu::ShortKeys{false, static_cast<double>(pivot)};
}

/// Counts the rows of a stretch, group by group.
template <class Rows>
void NumericState::count_stretch(Set& set, BatchGroups::Scattered const& by, Rows const& all) {
  Folds folds;
  for (std::size_t k = 0; k < by.count; ++k) count_group(set, by, k, all, folds);
  folds.fold();
}

/// The same, some groups of few rows at a time.
void NumericState::count_in_blocks(Set& set, BatchGroups::Scattered const& by, cpu::ShortRow const* all, cpu::ShortKeys keys) {
  using Block = cpu::RowBlock;
  // All of them first: they and what is kept of the groups do not fit the second-level cache together.
  static thread_local std::vector<cpu::ShortRow> in_order(static_cast<std::size_t>(BatchGroups::kStretchTiles) * kTileRows);
  gather(all, by, in_order.data());
  bool const can_be_few = is_narrow(set);
  std::optional<Folds> folds;  // of groups with more rows
  Summary summaries[Block::kGroups];
  Block block;
  block.keys = keys;
  block.rows = in_order.data();
  block.groups = 0;
  auto const count_block = [&] {
    for (int g = block.groups; g < Block::kGroups; ++g) block.begin[g] = block.end[g] = 0;
    for (int g = 0; set.plan.moments && g < block.groups; ++g) put(*summaries[g].moments, block.moments, g);
    cpu::kernels().count_block(&block, set.plan.moments);
    for (int g = 0; g < block.groups; ++g) {
      if (set.plan.moments) *summaries[g].moments = moments_at(block.moments, g);
      if (block.low[g] > block.high[g]) continue;
      *summaries[g].low = std::min(*summaries[g].low, keys.whole(block.low[g]));
      *summaries[g].high = std::max(*summaries[g].high, keys.whole(block.high[g]));
    }
    block.groups = 0;
  };
  for (std::size_t visit = 0; visit < by.count; ++visit) {
    std::size_t const k = by.visits[visit];
    int const begin = static_cast<int>(by.begin[k]);
    int const end = static_cast<int>(by.begin[k + 1]);
    auto const count = static_cast<std::size_t>(end - begin);
    // A block ahead, since what is done for each group before its block is full takes no time.
    if (can_be_few && visit + 2 * Block::kGroups < by.count) set.few.prefetch_facts(static_cast<std::size_t>(by.ids[by.visits[visit + 2 * Block::kGroups]]));
    if (can_be_few && visit + Block::kGroups < by.count) set.few.prefetch_counts(static_cast<std::size_t>(by.ids[by.visits[visit + Block::kGroups]]));
    if (count > Block::kMostRows) {
      if (!folds) folds.emplace();
      count_group(set, by, k, ShortRows{all, keys}, *folds);
      continue;
    }
    int const g = block.groups++;
    block.begin[g] = begin;
    block.end[g] = end;
    block.list[g] = nullptr;
    if (can_be_few) {
      auto const place = few_of(set, by.ids[k], count);
      block.list[g] = set.few.list(place, count);
      if (block.list[g] == nullptr)
        for (auto [i, counts] = std::pair{begin, set.few.counters(place)}; i < end; ++i) ++counts[block.rows[i].slot & kShortSlot];
      place.facts->rows += static_cast<std::uint32_t>(count);
      summaries[g] = {&place.facts->low, &place.facts->high, &place.facts->moments};
    } else {
      Group& group = group_of(set, by.ids[k]);
      for (int i = begin; i < end; ++i) group.count(block.rows[i].slot & kShortSlot);
      summaries[g] = {&group.low, &group.high, &group.moments};
    }
    if (block.groups == Block::kGroups) count_block();
  }
  if (block.groups != 0) count_block();
  if (folds) folds->fold();
}

/// Counts the rows of one group.
template <class Rows, class Folds>
void NumericState::count_group(Set& set, BatchGroups::Scattered const& by, std::size_t k, Rows const& all, Folds& folds) {
  BatchGroups::Row const* const rows = by.rows + by.begin[k];
  BatchGroups::Row const* const end = by.rows + by.begin[k + 1];
  BatchGroups::Row const* const rows_end = by.rows + by.begin[by.count];
  auto const count = static_cast<std::size_t>(end - rows);
  std::int32_t const id = by.ids[k];
  std::uint64_t low = ~std::uint64_t{0};
  std::uint64_t high = 0;
  auto const each_row = [&, all](auto count_slot) {  // a copy, which no counter of 8 bits can be taken to change
    for (BatchGroups::Row const* row = rows; row != end; ++row) {
      if (rows_end - row > kRowsAhead) all.prefetch(row[kRowsAhead]);
      std::uint32_t const slot = all.slot(*row);
      std::uint64_t const key = all.key(*row);
      count_slot(slot & kSlotMask);
      bool const ranked = (slot & kUnranked) == 0;
      low = std::min(low, ranked ? key : ~std::uint64_t{0});
      high = std::max(high, ranked ? key : std::uint64_t{0});
    }
  };
  Moments* moments = nullptr;
  if (is_narrow(set) && count <= FewRows<FewFacts>::kMostInStretch) {
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
    each_row([&group](std::uint32_t slot) { group.count(slot); });
    group.low = std::min(group.low, low);
    group.high = std::max(group.high, high);
    moments = &group.moments;
  }
  if (set.plan.moments) folds.add(moments, rows, end, all);
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
