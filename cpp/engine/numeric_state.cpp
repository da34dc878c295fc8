#include "engine/numeric_state.hpp"

#include <algorithm>
#include <cstring>  // memchr
#include <limits>
#include <numeric>
#include <type_traits>
#include <utility>

#include "core/key.hpp"
#include "core/error.hpp"
#include "engine/numeric_tile.hpp"
#include "engine/rank.hpp"

namespace modelwatch {

namespace {

/// Integers get a table of cells once this many rows have come: it takes up to 2^16 searches to make.
constexpr std::uint64_t kTableRows = std::uint64_t{1} << 16;
/// A slot with more than this part of a run's rows makes the next run count skewed.
constexpr std::uint64_t kSkewedPart = 16;

/// Buckets are counted with gaps where a run has so many rows for each counter, which is looked at in the end.
constexpr std::int64_t kRunRowsPerCell = 2;
bool worth_cells(std::int64_t rows, Grid const& grid) { return rows >= kRunRowsPerCell * static_cast<std::int64_t>(grid.bucket_cells().size()); }

bool is_float(Domain domain) { return domain == Domain::float32 || domain == Domain::float64; }

/// The integers whose cells a table needs: those from the first knot to the last and one more at each end, if the type
/// has them.  first > last where there is nothing to look up, or too much.
std::pair<std::int64_t, std::int64_t> span_of_table(Storage storage, Grid const& grid) {
  constexpr std::int64_t kMost = std::int64_t{1} << 16;
  using Keys = KeyOf<std::int64_t>;
  std::pair<std::int64_t, std::int64_t> constexpr kNone{1, 0};
  if (grid.domain() != Domain::int64 || grid.count() == 0) return kNone;
  auto const [least, most] = [&]() -> std::pair<std::int64_t, std::int64_t> {
    switch (storage) {
      case Storage::int8: return {-128, 127};
      case Storage::int16: return {-32'768, 32'767};
      case Storage::uint8: return {0, 255};
      case Storage::uint16: return {0, 65'535};
      default: return {std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max()};
    }
  }();
  std::int64_t const low = Keys::value(grid.knots().front());
  std::int64_t const high = Keys::value(grid.knots().back());
  std::int64_t const first = std::clamp(low == least ? low : low - 1, least, most);
  std::int64_t const last = std::clamp(high == most ? high : high + 1, least, most);
  bool const narrow = static_cast<std::uint64_t>(last) - static_cast<std::uint64_t>(first) < static_cast<std::uint64_t>(kMost);
  return narrow ? std::pair{first, last} : kNone;
}

/// Where a map leads, and where each stretch of it ends that leads there.
std::vector<std::pair<std::uint32_t, std::uint32_t>> stretches_of(std::vector<std::uint32_t> const& map) {
  std::vector<std::pair<std::uint32_t, std::uint32_t>> out;
  for (std::uint32_t slot = 0; slot < map.size(); ++slot)
    if (out.empty() || out.back().second != map[slot])
      out.emplace_back(slot + 1, map[slot]);
    else
      ++out.back().first;
  return out;
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
  same_fine_ = stretches_of(plan_.to_fine);
  same_coarse_ = stretches_of(plan_.to_coarse);
  // Inner gaps of the counting grid land in the fine grid's own gaps.
  std::uint32_t const first = plan_.grid->lower_tail() + 1;
  std::uint32_t const end = plan_.grid->upper_tail();
  if (first < end && (plan_.gap_shift > first || end - 1 - plan_.gap_shift >= plan_.fine_slots / 2))
    throw InvalidInput("a gap shift leads out of its grid.");
  for (auto const& set : sets) {
    // A value on a knot that only the fine grid has would be in neither.
    if (set.coarse && set.sketches) throw InvalidInput("a counter set on the coarse grid cannot keep sketches.");
    sets_.push_back({set, {}, {}, {}});
    moments_ = moments_ || set.moments;
  }
}

/// Where a group is counted whose rows do not come among those of many others.
NumericState::Group& NumericState::group_of(Set& set, std::int32_t group) {
  auto const at = static_cast<std::size_t>(group);
  if (set.few.has(at)) settle(set, at);
  return made(set, at);
}

NumericState::Group& NumericState::made(Set& set, std::size_t at) const {
  if (at >= set.groups.size()) set.groups.resize(at + 1);
  if (!set.groups[at]) {
    auto fresh = std::make_unique<Group>();
    std::uint32_t const slots = set.plan.coarse ? plan_.coarse_slots : plan_.fine_slots;
    fresh->cells = SparseArray<std::uint32_t>(slots);
    fresh->counts = fresh->cells.dense();
    if (!set.plan.coarse) fresh->gaps = SparseArray<std::uint64_t>(slots / 2);
    set.groups[at] = std::move(fresh);
  }
  return *set.groups[at];
}

/// Everything about the rows of a tile that no group changes.  values: also what moments need.
void NumericState::load(NumericView const& column, std::int64_t begin, std::uint8_t const* valid, bool values, Tile& tile) const {
  auto const& kernel = cpu::kernels();
  auto const grid = plan_.grid->data();
  if (valid != nullptr && std::memchr(valid, 1, static_cast<std::size_t>(tile.rows)) == nullptr) {
    // Nothing but nulls: their keys and values are not looked at.
    std::fill_n(tile.ranked, tile.rows, plan_.grid->slots() - 1);
    std::fill_n(tile.keys, tile.rows, std::uint64_t{0});
    std::fill_n(tile.values, tile.rows, 0.0);
    std::fill_n(tile.usable, tile.rows, std::uint64_t{0});
    tile.gap_count = tile.usable_rows = 0;
    return;
  }
  if (table_cells_.empty() || column.storage != table_storage_)
    kernel.rank_tile(column, begin, tile.rows, grid, valid, tile.ranked, tile.keys);
  else
    kernel.rank_by_table(column, begin, tile.rows, table_, plan_.grid->slots() - 1, valid, tile.ranked, tile.keys);
  tile.gap_count = kernel.gap_rows(tile.ranked, tile.keys, tile.rows, plan_.grid->slots() - 2, &tile.gaps);
  if (values && moments_)
    tile.usable_rows = kernel.load_tile(column, begin, tile.rows, grid.domain, plan_.pivot, valid, tile.values, tile.usable);
}

/// The slots of a set's grid that a tile's rows fall into.
std::uint32_t const* NumericState::slots_of(SetPlan const& plan, Tile& tile) const {
  auto const& map = plan.coarse ? plan_.to_coarse : plan_.to_fine;
  if (map.empty()) return tile.ranked;
  cpu::kernels().map_cells(tile.ranked, tile.rows, map.data(), tile.cells);
  return tile.cells;
}

/// Adds the values of a tile that lie beyond the finite knots to the run's sums.
void NumericState::add_tails(Tile const& tile) {
  // Picked out first, without branches: in a drifted column nobody could foretell them.
  std::uint64_t keys[2][kTileRows];
  int count[2] = {0, 0};
  for (int i = 0; i < tile.gap_count; ++i) {
    std::uint32_t const gap = tile.gaps.gap[i];
    keys[0][count[0]] = keys[1][count[1]] = tile.gaps.key[i];
    count[0] += gap <= plan_.grid->lower_tail() ? 1 : 0;
    count[1] += gap > plan_.grid->lower_tail() && gap >= plan_.grid->upper_tail() ? 1 : 0;
  }
  with_domain(domain(), [&]<class Value>(Value) {
    for (std::size_t end = 0; end < 2; ++end) run_tails_[end].add<Value>(keys[end], count[end]);
  });
}

void NumericState::add_run(NumericView const& column, BatchGroups const& groups, std::int64_t from, std::int64_t to, Tile& tile) {
  auto const& kernel = cpu::kernels();
  std::vector<Target> targets;
  for (std::size_t s = 0; s < sets_.size(); ++s)
    if (std::int32_t const id = groups.scattered(s) ? -1 : groups.first(s, from); id >= 0) targets.push_back({sets_[s].plan, &group_of(sets_[s], id)});
  if (targets.empty() && !groups.any_scattered()) return;
  std::uint32_t const slots = plan_.grid->slots();
  bool const apart = kRunSlotsPerRow * groups.rows_of(from, to) >= static_cast<std::int64_t>(slots);
  if (apart) {
    run_counts_.resize((skewed_ ? 4u : 1u) * std::size_t{slots}, 0);
    run_gaps_.resize(slots / 2, 0);
  }
  bool const one_go = apart && in_one_go(column, groups, targets);
  bool const together = one_go && worth_cells(groups.rows_of(from, to), *plan_.grid);
  for (std::int64_t t = from; t < to; ++t) {
    tile.rows = static_cast<int>(groups.rows_of(t, t + 1));
    if (apart && rows_since_spill_ + static_cast<std::uint64_t>(tile.rows) > spill_rows_) flush_run(targets);
    make_room(tile.rows);
    std::uint8_t const* const valid = valid_rows(column, t * kTileRows, tile.rows, tile.valid);
    Moments moments;
    bool const told = moments_ && valid == nullptr && !groups.any_scattered() && kernel.moments_floats(column, t * kTileRows, tile.rows, &moments) != 0;
    if (one_go && !on_knots_) {
      add_in_one_go(column, t * kTileRows, valid, targets, together, tile);
      if (moments_ && !told) tile.usable_rows = kernel.load_tile(column, t * kTileRows, tile.rows, domain(), plan_.pivot, valid, tile.values, tile.usable);
    } else {
      load(column, t * kTileRows, valid, !told, tile);
      if (groups.any_scattered()) add_scattered(groups, t, column.storage, tile);
      if (!apart)
        add_directly(targets, tile);
      else if (run_counts_.size() > slots)
        kernel.count_four(tile.ranked, tile.rows, run_counts_.data(), slots);
      else
        kernel.count_one(tile.ranked, tile.rows, run_counts_.data());
      if (tile.gap_count > 0) add_run_gaps(targets, tile, apart);
      on_knots_ = tile.gap_count < tile.rows - tile.rows / kFewOnKnots;
    }
    if (moments_) {
      if (!told) kernel.moments_one(tile.values, tile.usable, tile.rows, tile.usable_rows, &moments);
      for (auto const& target : targets)
        if (target.plan.moments) target.group->moments.merge(moments);
    }
  }
  if (apart) flush_run(targets);
}

/// What a run needs of the rows in gaps, beside their counts.
void NumericState::add_run_gaps(std::vector<Target> const& targets, Tile& tile, bool apart) {
  if (!apart) {
    for (auto const& target : targets)
      for (int i = 0; !target.plan.coarse && i < tile.gap_count; ++i) add_gap(target.plan, *target.group, tile, i, 1);
    return;
  }
  auto const& kernel = cpu::kernels();
  cpu::GapSums sums{run_gaps_.data(), ~std::uint64_t{0}, 0};
  kernel.add_gaps(tile.gaps, tile.gap_count, plan_.grid->data(), &sums);
  run_low_ = std::min(run_low_, sums.low);
  run_high_ = std::max(run_high_, sums.high);
  if (plan_.grid->beyond(sums.low, sums.high)) add_tails(tile);
  bool sketched = false;
  for (auto const& target : targets) {
    if (!target.plan.sketches) continue;
    if (!sketched) kernel.sketch_gaps(tile.gaps, tile.gap_count, domain(), hashes_whole(), tile.buckets, tile.hashes);
    sketched = true;
    target.group->add_to_sketch(tile.buckets, tile.hashes, tile.gap_count);
  }
}

/// Counts the tiles of a short run where they belong.
void NumericState::add_directly(std::vector<Target> const& targets, Tile& tile) const {
  auto const& kernel = cpu::kernels();
  for (auto const& target : targets) {
    std::uint32_t const* const slots = slots_of(target.plan, tile);
    if (std::uint32_t* const dense = target.group->cells.dense())
      kernel.count_one(slots, tile.rows, dense);
    else
      for (int i = 0; i < tile.rows; ++i) target.group->cells.add(slots[i], 1);
    kernel.key_range(tile.ranked, tile.keys, tile.rows, plan_.grid->slots() - 2, &target.group->low, &target.group->high);
  }
}

/// Adds what a run has counted to its groups, and empties it.
void NumericState::flush_run(std::vector<Target> const& targets) {
  std::uint32_t const slots = plan_.grid->slots();
  unpack_gaps(targets);
  std::uint32_t* const counts = run_counts_.data();
  for (std::size_t more = slots; more < run_counts_.size(); more += slots)
    for (std::uint32_t slot = 0; slot < slots; ++slot) counts[slot] += counts[more + slot];
  std::uint64_t total = 0;
  std::uint32_t most = 0;
  for (std::uint32_t slot = 0; slot < slots; ++slot) {
    total += counts[slot];
    most = std::max(most, counts[slot]);
  }
  skewed_ = most > total / kSkewedPart;
  add_counted(targets, {counts, run_gaps_.data(), run_low_, run_high_});
  for (auto const& target : targets)
    for (std::size_t end = 0; end < 2; ++end)
      if (!target.plan.coarse && !run_tails_[end].empty()) run_tails_[end].move_to(target.group->tail(end), !is_float(domain()));
  empty_run();
  for (auto& tail : run_tails_) tail.clear();
  run_low_ = ~std::uint64_t{0};
  run_high_ = 0;
}

void NumericState::empty_run() {
  std::fill(run_counts_.begin(), run_counts_.end(), 0u);
  std::fill(run_gaps_.begin(), run_gaps_.end(), std::uint64_t{0});
}

/// Adds counts and sums of gaps to groups, all of them in order: fewer steps than picking out those that are not 0.
void NumericState::add_counted(std::vector<Target> const& targets, Counted own) const {
  note_knots(own);
  // Of those between finite knots: no other gap has a sum.
  std::uint32_t const first = plan_.grid->lower_tail() + 1;
  std::uint32_t const inner = std::max(plan_.grid->upper_tail(), first) - first;
  std::uint32_t const to = first - plan_.gap_shift;
  std::uint64_t const* const sums = own.gaps + first;
  for (auto const& target : targets) {
    add_counts(target, own.counts);
    target.group->low = std::min(target.group->low, own.low);
    target.group->high = std::max(target.group->high, own.high);
    if (target.plan.coarse) continue;
    auto& gaps = target.group->gaps;
    auto const used = static_cast<std::uint32_t>(inner - static_cast<std::uint32_t>(std::count(sums, sums + inner, std::uint64_t{0})));
    if (std::uint64_t* const dense = gaps.dense_with(used))
      for (std::uint32_t gap = 0; gap < inner; ++gap) dense[to + gap] += sums[gap];
    else
      each_counted(sums, inner, [&](std::uint32_t gap, std::uint64_t sum) { gaps.add(to + gap, sum); });
  }
}

/// Takes rows on knots into the smallest and largest key: there is one key only on each.
void NumericState::note_knots(Counted& own) const {
  std::uint32_t const end = plan_.grid->slots() - 2;  // the number of cells, which is odd
  auto const& knots = plan_.grid->knots();
  for (std::uint32_t slot = 1; slot < end; slot += 2) {
    if (own.counts[slot] == 0) continue;
    own.low = std::min(own.low, knots[slot / 2]);
    break;
  }
  for (std::uint32_t slot = end; slot > 1; slot -= 2) {
    if (own.counts[slot - 2] == 0) continue;
    own.high = std::max(own.high, knots[slot / 2 - 1]);
    break;
  }
}

void NumericState::add_counts(Target const& target, std::uint32_t const* counts) const {
  auto& cells = target.group->cells;
  auto const& same = target.plan.coarse ? same_coarse_ : same_fine_;
  std::uint32_t const slots = plan_.grid->slots();
  if (!same.empty()) {
    std::uint32_t slot = 0;
    for (auto const& [end, to] : same) {
      std::uint32_t sum = 0;
      for (; slot < end; ++slot) sum += counts[slot];
      if (sum != 0) cells.add(to, sum);
    }
  } else if (std::uint32_t* const dense = cells.dense_with(slots - static_cast<std::uint32_t>(std::count(counts, counts + slots, 0u)))) {
    for (std::uint32_t slot = 0; slot < slots; ++slot) dense[slot] += counts[slot];
  } else {
    each_counted(counts, slots, [&](std::uint32_t slot, std::uint32_t count) { cells.add(slot, count); });
  }
}

/// Spills before the 32-bit counters could overflow.
void NumericState::make_room(int rows) {
  if (rows_since_spill_ + static_cast<std::uint64_t>(rows) > spill_rows_) spill();
  rows_since_spill_ += static_cast<std::uint64_t>(rows);
}

void NumericState::spill() {
  for (auto& set : sets_)
    for (std::size_t g = 0; g < set.groups.size(); ++g) {
      if (!set.groups[g]) continue;
      Group& group = *set.groups[g];
      if (group.spilled.size() == 0) group.spilled = SparseArray<std::uint64_t>(group.cells.size());
      group.cells.each([&](std::uint32_t cell, std::uint32_t count) { group.spilled.add(cell, count); });
      group.cells = SparseArray<std::uint32_t>(group.cells.size());
      group.counts = group.cells.dense();
    }
  rows_since_spill_ = 0;
  ++spills_;
}

/// Looks up the cells of integers from now on, where their grid spans few enough.
void NumericState::make_table(Storage storage) {
  auto const [first, last] = span_of_table(storage, *plan_.grid);
  if (first > last) return;
  std::vector<std::int64_t> values(static_cast<std::size_t>(last - first) + 1);
  std::iota(values.begin(), values.end(), first);
  table_cells_ = rank_cells({values.data(), {nullptr, 0}, static_cast<std::int64_t>(values.size()), Storage::int64}, *plan_.grid);
  table_ = {table_cells_.data(), first, last};
  table_storage_ = storage;
}

void NumericState::add(NumericView const& column, BatchGroups const& groups, std::uint32_t const* weights) {
  if (groups.sets() != sets_.size()) throw InvalidInput("a batch needs the groups of every counter set.");
  rows_ += static_cast<std::uint64_t>(column.rows);
  if (rows_ > kTableRows && table_cells_.empty()) make_table(column.storage);
  auto const tile = std::make_unique_for_overwrite<Tile>();
  for (std::int64_t t = 0; t < groups.tiles();) {
    std::int64_t const end = weights == nullptr ? groups.near_end(t) : t;
    if (end > t) {
      add_run(column, groups, t, end, *tile);
      t = end;
    } else if (std::int64_t const same = weights == nullptr ? add_together(column, groups, t, *tile) : t; same > t) {
      t = same;
    } else {
      add_mixed(column, groups, t++, *tile, weights);
    }
  }
}

namespace {

/// Groups up to which the first one's entries say how many there will be.
constexpr std::size_t kFewGroups = 256;

/// Windows of a log are much alike, and a table that grows by doubling is written three times.
void make_room_like_first(NumericResult& out, std::size_t groups) {
  if (groups > kFewGroups) return;
  auto const reserve = [&](auto& entries) { entries.reserve(entries.size() * groups + entries.size() * groups / 16); };
  reserve(out.cell);
  reserve(out.count);
  reserve(out.gap);
  reserve(out.gap_sum);
  reserve(out.bucket);
  reserve(out.bucket_count);
  reserve(out.registers);
}

}  // namespace

NumericResult NumericState::finish(std::size_t set_index, bool narrow, std::span<std::uint32_t const> order) {
  Set& set = sets_.at(set_index);
  NumericResult out;
  out.cell_begin.push_back(0);
  out.gap_begin.push_back(0);
  out.bucket_begin.push_back(0);
  auto const push = [&](std::uint32_t cell, std::uint64_t count) {
    out.cell.push_back(cell);
    out.count.push_back(count);
  };
  std::size_t const end = std::max(set.groups.size(), set.few.end());
  std::uint8_t room[FewRows<FewFacts>::kMostSlots];
  auto const whole = [](auto const& group) { return group != nullptr; };
  narrow = narrow && std::none_of(set.groups.begin(), set.groups.end(), whole);
  if (narrow) out.narrow.reserve(set.few.most_entries());
  std::size_t const many = order.empty() ? end : order.size();
  out.group.reserve(many);
  out.cell_begin.reserve(many + 1);
  out.gap_begin.reserve(many + 1);
  out.bucket_begin.reserve(many + 1);
  out.low.reserve(many);
  out.high.reserve(many);
  if (set.plan.moments) out.moments.reserve(many);
  for (std::size_t k = 0; k < many; ++k) {
    std::size_t const g = order.empty() ? k : order[k];
    auto const name = static_cast<std::uint32_t>(k);
    bool const there = g < set.groups.size() && set.groups[g];
    bool const few = set.few.has(g);
    if (!there && !few) continue;
    out.group.push_back(name);
    if (few && !there) {
      auto const place = set.few.at(g, plan_.coarse_slots);
      std::uint8_t const* const counts = set.few.counted(place, room);
      if (narrow)
        out.narrow.add(counts, plan_.coarse_slots);
      else
        each_counted(counts, plan_.coarse_slots, push);
      out.cell_begin.push_back(narrow ? out.narrow.size() : out.cell.size());
      out.gap_begin.push_back(out.gap.size());
      out.low.push_back(place.facts->low);
      out.high.push_back(place.facts->high);
      if (set.plan.moments) out.moments.push_back(place.facts->moments);
      out.bucket_begin.push_back(out.bucket.size());
      continue;
    }
    Group const& group = group_of(set, static_cast<std::int32_t>(g));
    if (group.spilled.size() == 0) {
      group.cells.append_to(out.cell, out.count);
    } else {
      auto totals = group.spilled;
      group.cells.each([&](std::uint32_t cell, std::uint32_t count) { totals.add(cell, count); });
      totals.each(push);
    }
    out.cell_begin.push_back(out.cell.size());
    group.gaps.append_to(out.gap, out.gap_sum);
    out.gap_begin.push_back(out.gap.size());
    out.low.push_back(group.low);
    out.high.push_back(group.high);
    if (set.plan.moments) out.moments.push_back(group.moments);
    if (group.sketch) {
      group.sketch->buckets.append_to(out.bucket, out.bucket_count);
      auto const& ranks = group.sketch->registers.ranks();
      out.register_group.push_back(name);
      out.registers.insert(out.registers.end(), ranks.begin(), ranks.end());
    }
    out.bucket_begin.push_back(out.bucket.size());
    if (out.group.size() == 1) make_room_like_first(out, end);
    if (group.tails) {
      out.tail_group.push_back(name);
      out.tail_lower.push_back(group.tails[0]);
      out.tail_upper.push_back(group.tails[1]);
    }
  }
  return out;
}

std::size_t NumericState::bytes() const {
  std::size_t total = 0;
  for (auto const& set : sets_) {
    total += set.few.bytes();
    for (auto const& group : set.groups)
      if (group)
        total += sizeof(Group) + group->cells.bytes() + group->gaps.bytes() + group->spilled.bytes() +
                 (group->sketch ? group->sketch->buckets.bytes() + kRegisters : 0);
  }
  return total;
}

}  // namespace modelwatch
