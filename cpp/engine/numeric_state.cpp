#include "engine/numeric_state.hpp"

#include <algorithm>

#include "core/key.hpp"
#include "core/error.hpp"

namespace modelwatch {

/// Scratch of one tile: everything below is read again while it is in the first-level cache.
struct NumericState::Tile {
  int rows = 0;
  std::uint32_t ranked[kTileRows];  // cells of the counting grid
  std::uint32_t cells[kTileRows];   // slots of the set being counted
  std::uint64_t keys[kTileRows];
  double values[kTileRows];
  std::uint8_t usable[kTileRows];
  std::int32_t slots[kTileRows];
  cpu::GapRow gaps[kTileRows];
  int gap_count = 0;
  std::uint32_t buckets[kTileRows];  // of the rows in gaps
  std::uint64_t hashes[kTileRows];
  std::vector<MomentLanes> lanes;
  std::vector<Moments> moments;
  std::vector<std::int32_t> slot_group;
};

namespace {

bool all_equal(std::int32_t const* groups, int rows) {
  std::int32_t different = 0;
  for (int i = 1; i < rows; ++i) different |= groups[i] ^ groups[0];
  return different == 0;
}

/// Calls f with the value of a key in its own type.
template <class F>
auto with_value(std::uint64_t key, Domain domain, F f) {
  switch (domain) {
    case Domain::float32: return f(KeyOf<float>::value(static_cast<std::uint32_t>(key)));
    case Domain::float64: return f(KeyOf<double>::value(key));
    case Domain::int64: return f(KeyOf<std::int64_t>::value(key));
    case Domain::uint64: break;
  }
  return f(KeyOf<std::uint64_t>::value(key));
}

/// A finite value of any domain, added exactly as often as its row counts.
void add_value(WideSum& sum, std::uint64_t key, Domain domain, std::uint32_t times) {
  with_value(key, domain, [&](auto x) { sum.add(x, times); });
}

}  // namespace

NumericState::NumericState(NumericPlan plan, std::vector<SetPlan> sets, std::uint64_t spill_rows)
    : plan_(std::move(plan)), spill_rows_(spill_rows) {
  if (!plan_.grid) throw InvalidInput("a numeric column needs a grid.");
  std::uint32_t const slots = plan_.grid->slots();
  auto const check = [&](std::vector<std::uint32_t> const& map, std::uint32_t to, bool needed) {
    if (map.empty() ? (needed || to != slots) : map.size() != slots) throw InvalidInput("a grid map has the wrong length.");
    for (auto const slot : map)
      if (slot >= to) throw InvalidInput("a grid map leads out of its grid.");
  };
  check(plan_.to_fine, plan_.fine_slots, false);
  bool const coarse = std::any_of(sets.begin(), sets.end(), [](SetPlan const& s) { return s.coarse; });
  if (coarse) check(plan_.to_coarse, plan_.coarse_slots, true);
  // Inner gaps of the counting grid land in the fine grid's own gaps.
  std::uint32_t const first = plan_.grid->lower_tail() + 1;
  std::uint32_t const end = plan_.grid->upper_tail();
  if (first < end && (plan_.gap_shift > first || end - 1 - plan_.gap_shift >= plan_.fine_slots / 2))
    throw InvalidInput("a gap shift leads out of its grid.");
  for (auto const& set : sets) {
    // A value on a knot that only the fine grid has would be in neither.
    if (set.coarse && set.sketches) throw InvalidInput("a counter set on the coarse grid cannot keep sketches.");
    sets_.push_back({set, {}, {}});
  }
}

NumericState::Group& NumericState::group_of(Set& set, std::int32_t group) {
  auto const at = static_cast<std::size_t>(group);
  if (at >= set.groups.size()) {
    set.groups.resize(at + 1);
    set.dense.resize(at + 1, nullptr);
  }
  if (!set.groups[at]) {
    auto fresh = std::make_unique<Group>();
    std::uint32_t const slots = set.plan.coarse ? plan_.coarse_slots : plan_.fine_slots;
    fresh->cells = SparseArray<std::uint32_t>(slots);
    if (!set.plan.coarse) fresh->gaps = SparseArray<std::uint64_t>(slots / 2);
    set.dense[at] = fresh->cells.dense();
    set.groups[at] = std::move(fresh);
  }
  return *set.groups[at];
}

void NumericState::count_tile(Set& set, Tile& tile, std::int32_t const* groups, std::uint32_t const* weights) {
  auto const& kernel = cpu::kernels();
  auto const& map = set.plan.coarse ? plan_.to_coarse : plan_.to_fine;
  std::uint32_t const* cells = tile.ranked;
  if (!map.empty()) {
    kernel.map_cells(tile.ranked, tile.rows, map.data(), tile.cells);
    cells = tile.cells;
  }
  std::uint32_t const end_cell = plan_.grid->slots() - 2;
  bool const uniform = groups == nullptr || all_equal(groups, tile.rows);
  if (uniform && groups != nullptr && groups[0] < 0) return;
  if (weights != nullptr) {
    count_weighted(set, tile, cells, groups, weights);
  } else if (uniform) {
    std::int32_t const id = groups == nullptr ? 0 : groups[0];
    Group& group = group_of(set, id);
    kernel.key_range(tile.ranked, tile.keys, tile.rows, end_cell, &group.low, &group.high);
    if (std::uint32_t* const dense = group.cells.dense()) {
      kernel.count_one(cells, tile.rows, dense);
    } else {
      for (int i = 0; i < tile.rows; ++i) group.cells.add(cells[i], 1);
      set.dense[static_cast<std::size_t>(id)] = group.cells.dense();
    }
  } else {
    bool dense = true;
    for (int i = 0; i < tile.rows; ++i) {
      if (groups[i] < 0) {
        dense = false;
        continue;
      }
      Group& group = group_of(set, groups[i]);
      dense = dense && group.cells.dense() != nullptr;
      if (tile.ranked[i] < end_cell) {
        group.low = std::min(group.low, tile.keys[i]);
        group.high = std::max(group.high, tile.keys[i]);
      }
    }
    if (dense) {
      kernel.count_groups(cells, groups, tile.rows, set.dense.data());
    } else {
      for (int i = 0; i < tile.rows; ++i) {
        if (groups[i] < 0) continue;
        Group& group = group_of(set, groups[i]);
        group.cells.add(cells[i], 1);
        set.dense[static_cast<std::size_t>(groups[i])] = group.cells.dense();
      }
    }
  }
  if (tile.gap_count > 0 && !set.plan.coarse) add_tile_gaps(set, tile, groups, weights);
  if (set.plan.moments) add_tile_moments(set, tile, groups, weights, uniform);
}

/// Weighted counters are 64-bit ones from the start: those that `spill` fills.
void NumericState::count_weighted(Set& set, Tile const& tile, std::uint32_t const* cells, std::int32_t const* groups,
                                  std::uint32_t const* weights) {
  std::uint32_t const end_cell = plan_.grid->slots() - 2;
  for (int i = 0; i < tile.rows; ++i) {
    std::int32_t const id = groups == nullptr ? 0 : groups[i];
    if (id < 0) continue;
    Group& group = group_of(set, id);
    if (group.spilled.size() == 0) group.spilled = SparseArray<std::uint64_t>(group.cells.size());
    group.spilled.add(cells[i], weights[i]);
    if (tile.ranked[i] < end_cell) {
      group.low = std::min(group.low, tile.keys[i]);
      group.high = std::max(group.high, tile.keys[i]);
    }
  }
}

/// Bucket and hash of the rows in gaps.  A float grid lifted from integers hashes whole numbers as integers.
void NumericState::sketch_gaps(Tile& tile) const {
  Domain const domain = plan_.grid->domain();
  bool const whole = plan_.gap_shift != 0;
  for (int i = 0; i < tile.gap_count; ++i)
    with_value(tile.keys[tile.gaps[i].row], domain, [&](auto x) {
      tile.buckets[i] = bucket_of(static_cast<double>(x));
      tile.hashes[i] = whole ? hash_whole(static_cast<double>(x)) : hash_number(x);
    });
}

void NumericState::add_tile_gaps(Set& set, Tile const& tile, std::int32_t const* groups, std::uint32_t const* weights) {
  Domain const domain = plan_.grid->domain();
  for (int i = 0; i < tile.gap_count; ++i) {
    cpu::GapRow const& row = tile.gaps[i];
    std::int32_t const id = groups == nullptr ? 0 : groups[row.row];
    if (id < 0) continue;
    Group& group = group_of(set, id);
    std::uint32_t const times = weights == nullptr ? 1 : weights[row.row];
    if (set.plan.sketches) {
      if (!group.sketch) group.sketch = std::make_unique<Sketch>();
      group.sketch->buckets.add(tile.buckets[i], times);
      group.sketch->registers.add(tile.hashes[i]);
    }
    bool const lower = row.gap <= plan_.grid->lower_tail();
    if (!lower && row.gap < plan_.grid->upper_tail()) {
      group.gaps.add(row.gap - plan_.gap_shift, row.fraction * times);
      continue;
    }
    if (!group.tails) group.tails = std::make_unique<WideSum[]>(2);  // zeroed
    add_value(group.tails[lower ? 0 : 1], tile.keys[row.row], domain, times);
  }
}

void NumericState::add_tile_moments(Set& set, Tile& tile, std::int32_t const* groups, std::uint32_t const* weights, bool uniform) {
  auto const& kernel = cpu::kernels();
  if (uniform && weights == nullptr) {
    tile.lanes.resize(std::max<std::size_t>(1, tile.lanes.size()));
    Moments moments;
    kernel.moments_one(tile.values, tile.usable, tile.rows, tile.lanes.data(), &moments);
    group_of(set, groups == nullptr ? 0 : groups[0]).moments.merge(moments);
    return;
  }
  tile.slot_group.clear();
  auto const group_at = [&](int i) { return groups == nullptr ? 0 : groups[i]; };
  for (int i = 0; i < tile.rows; ++i) {
    tile.slots[i] = -1;
    if (group_at(i) >= 0) tile.slot_group.push_back(group_at(i));
  }
  std::sort(tile.slot_group.begin(), tile.slot_group.end());
  tile.slot_group.erase(std::unique(tile.slot_group.begin(), tile.slot_group.end()), tile.slot_group.end());
  for (int i = 0; i < tile.rows; ++i)
    if (group_at(i) >= 0)
      tile.slots[i] = static_cast<std::int32_t>(
          std::lower_bound(tile.slot_group.begin(), tile.slot_group.end(), group_at(i)) - tile.slot_group.begin());
  std::size_t const slots = tile.slot_group.size();
  tile.lanes.resize(std::max(slots, tile.lanes.size()));
  tile.moments.resize(std::max(slots, tile.moments.size()));
  kernel.moments_slots(tile.values, tile.usable, tile.slots, weights, tile.rows, static_cast<int>(slots), tile.lanes.data(),
                       tile.moments.data());
  for (std::size_t s = 0; s < slots; ++s) group_of(set, tile.slot_group[s]).moments.merge(tile.moments[s]);
}

void NumericState::spill() {
  for (auto& set : sets_)
    for (std::size_t g = 0; g < set.groups.size(); ++g) {
      if (!set.groups[g]) continue;
      Group& group = *set.groups[g];
      if (group.spilled.size() == 0) group.spilled = SparseArray<std::uint64_t>(group.cells.size());
      group.cells.each([&](std::uint32_t cell, std::uint32_t count) { group.spilled.add(cell, count); });
      group.cells = SparseArray<std::uint32_t>(group.cells.size());
      set.dense[g] = group.cells.dense();
    }
  rows_since_spill_ = 0;
}

void NumericState::add(NumericView const& column, std::vector<std::int32_t const*> const& groups, std::uint32_t const* weights) {
  if (groups.size() != sets_.size()) throw InvalidInput("a batch needs the groups of every counter set.");
  auto const& kernel = cpu::kernels();
  auto const tile = std::make_unique<Tile>();
  auto const grid = plan_.grid->data();
  bool const moments = std::any_of(sets_.begin(), sets_.end(), [](Set const& s) { return s.plan.moments; });
  bool const sketches = std::any_of(sets_.begin(), sets_.end(), [](Set const& s) { return s.plan.sketches; });
  for (std::int64_t begin = 0; begin < column.rows; begin += kTileRows) {
    tile->rows = static_cast<int>(std::min<std::int64_t>(kTileRows, column.rows - begin));
    if (rows_since_spill_ + static_cast<std::uint64_t>(tile->rows) > spill_rows_) spill();
    rows_since_spill_ += static_cast<std::uint64_t>(tile->rows);
    kernel.rank_tile(column, begin, tile->rows, grid, tile->ranked, tile->keys);
    tile->gap_count = kernel.gap_rows(tile->ranked, tile->keys, tile->rows, grid, plan_.grid->lower_tail(),
                                      plan_.grid->upper_tail(), tile->gaps);
    if (sketches) sketch_gaps(*tile);
    if (moments) kernel.load_tile(column, begin, tile->rows, grid.domain, plan_.pivot, tile->values, tile->usable);
    for (std::size_t s = 0; s < sets_.size(); ++s)
      count_tile(sets_[s], *tile, groups[s] == nullptr ? nullptr : groups[s] + begin, weights == nullptr ? nullptr : weights + begin);
  }
}

NumericResult NumericState::finish(std::size_t set_index) const {
  Set const& set = sets_.at(set_index);
  NumericResult out;
  out.cell_begin.push_back(0);
  out.gap_begin.push_back(0);
  out.bucket_begin.push_back(0);
  for (std::size_t g = 0; g < set.groups.size(); ++g) {
    if (!set.groups[g]) continue;
    Group const& group = *set.groups[g];
    out.group.push_back(static_cast<std::uint32_t>(g));
    auto const push = [&](std::uint32_t cell, std::uint64_t count) {
      out.cell.push_back(cell);
      out.count.push_back(count);
    };
    if (group.spilled.size() == 0) {
      group.cells.each(push);
    } else {
      auto totals = group.spilled;
      group.cells.each([&](std::uint32_t cell, std::uint32_t count) { totals.add(cell, count); });
      totals.each(push);
    }
    out.cell_begin.push_back(out.cell.size());
    group.gaps.each([&](std::uint32_t gap, std::uint64_t sum) {
      out.gap.push_back(gap);
      out.gap_sum.push_back(sum);
    });
    out.gap_begin.push_back(out.gap.size());
    out.low.push_back(group.low);
    out.high.push_back(group.high);
    if (set.plan.moments) out.moments.push_back(group.moments);
    if (group.sketch) {
      group.sketch->buckets.each([&](std::uint32_t bucket, std::uint64_t count) {
        out.bucket.push_back(bucket);
        out.bucket_count.push_back(count);
      });
      auto const& ranks = group.sketch->registers.ranks();
      out.register_group.push_back(static_cast<std::uint32_t>(g));
      out.registers.insert(out.registers.end(), ranks.begin(), ranks.end());
    }
    out.bucket_begin.push_back(out.bucket.size());
    if (group.tails) {
      out.tail_group.push_back(static_cast<std::uint32_t>(g));
      out.tail_lower.push_back(group.tails[0]);
      out.tail_upper.push_back(group.tails[1]);
    }
  }
  return out;
}

std::size_t NumericState::bytes() const {
  std::size_t total = 0;
  for (auto const& set : sets_)
    for (auto const& group : set.groups)
      if (group)
        total += sizeof(Group) + group->cells.bytes() + group->gaps.bytes() + group->spilled.bytes() +
                 (group->sketch ? group->sketch->buckets.bytes() + kRegisters : 0);
  return total;
}

}  // namespace modelwatch
