// Runs of tiles whose rows belong to the same few combinations of groups, as where answers are counted apart for each label:
// every row is counted once, for its combination, and added to the groups of all sets where the run ends.

#include <algorithm>

#include "core/key.hpp"
#include "engine/numeric_tile.hpp"
#include "engine/rank.hpp"

namespace modelwatch {
namespace {

/// Counters of all combinations stay in the second-level cache.
constexpr std::int64_t kMostCounters = std::int64_t{1} << 16;

}  // namespace

/// What a run counts into: groups of every set for each combination, or nullptr.
struct NumericState::Together {
  int count;
  std::vector<Group*> groups;  // groups[set * count + combination]
  std::vector<bool> whole;     // of each set: all combinations are of one group
  std::vector<std::uint64_t> low;  // of each combination, of rows in gaps
  std::vector<std::uint64_t> high;

  Group* group(std::size_t set, int combination) const {
    return groups[set * static_cast<std::size_t>(count) + static_cast<std::size_t>(combination)];
  }
};

/// Counts the tiles from `from` on that have the same combinations of groups, and returns where it stopped: at `from` where
/// they have too many counters.
std::int64_t NumericState::add_together(NumericView const& column, BatchGroups const& groups, std::int64_t from, Tile& tile) {
  auto const& kernel = cpu::kernels();
  auto const together = groups.together(from);
  if (together.of_row == nullptr || groups.any_scattered()) return from;
  std::uint32_t const slots = plan_.grid->slots();
  std::uint32_t const gaps = slots / 2;
  std::int64_t const counters = std::int64_t{together.count} * slots;
  std::int64_t const to = groups.together_end(from);
  std::int64_t const rows = groups.rows_of(from, to);
  if (counters > kMostCounters || counters > kRunSlotsPerRow * rows) return from;
  if (rows_since_spill_ + static_cast<std::uint64_t>(rows) > spill_rows_) return from;
  auto const combinations = static_cast<std::size_t>(together.count);
  Together run{together.count, {}, {}, std::vector<std::uint64_t>(combinations, ~std::uint64_t{0}), std::vector<std::uint64_t>(combinations, 0)};
  bool any_whole = false;
  bool any_mixed = false;
  for (std::size_t s = 0; s < sets_.size(); ++s) {
    for (int c = 0; c < together.count; ++c) {
      std::int32_t const id = together.id(s, c);
      run.groups.push_back(id < 0 ? nullptr : &group_of(sets_[s], id));
    }
    bool whole = run.group(s, 0) != nullptr;
    for (int c = 1; c < together.count; ++c) whole = whole && run.group(s, c) == run.group(s, 0);
    run.whole.push_back(whole);
    if (sets_[s].plan.moments) (whole ? any_whole : any_mixed) = true;
  }
  run_counts_.resize(static_cast<std::size_t>(counters), 0);
  run_gaps_.resize(combinations * gaps, 0);
  for (std::int64_t t = from; t < to; ++t) {
    std::int64_t const begin = t * kTileRows;
    tile.rows = static_cast<int>(groups.rows_of(t, t + 1));
    make_room(tile.rows);
    std::uint8_t const* const valid = valid_rows(column, begin, tile.rows, tile.valid);
    Moments moments;
    bool const told = any_whole && valid == nullptr && kernel.moments_floats(column, begin, tile.rows, &moments) != 0;
    load(column, begin, valid, any_mixed || (any_whole && !told), tile);
    std::uint8_t const* const of_row = groups.together(t).of_row;
    for (int i = 0; i < tile.rows; ++i) tile.cells[i] = of_row[i] * slots + tile.ranked[i];
    kernel.count_one(tile.cells, tile.rows, run_counts_.data());
    if (tile.gap_count > 0) count_gaps(run, of_row, tile);
    if (any_whole && !told) kernel.moments_one(tile.values, tile.usable, tile.rows, tile.usable_rows, &moments);
    add_tile_moments(groups, run, t, moments, tile);
  }
  for (int c = 0; c < together.count; ++c) {
    std::vector<Target> targets;
    for (std::size_t s = 0; s < sets_.size(); ++s)
      if (Group* const group = run.group(s, c)) targets.push_back({sets_[s].plan, group});
    auto const at = static_cast<std::size_t>(c);
    add_counted(targets, {run_counts_.data() + at * slots, run_gaps_.data() + at * gaps, run.low[at], run.high[at]});
  }
  empty_run();
  return to;
}

/// What is asked of the rows of a tile in gaps, beside their counts.
void NumericState::count_gaps(Together& run, std::uint8_t const* of_row, Tile& tile) {
  auto const& kernel = cpu::kernels();
  std::uint32_t const gaps = plan_.grid->slots() / 2;
  kernel.gap_fractions(tile.gaps, tile.gap_count, plan_.grid->data(), tile.fractions);
  std::uint64_t low = ~std::uint64_t{0};
  std::uint64_t high = 0;
  for (int i = 0; i < tile.gap_count; ++i) {
    std::uint64_t const key = tile.gaps.key[i];
    std::size_t const c = of_row[tile.gaps.row[i]];
    run_gaps_[c * gaps + tile.gaps.gap[i]] += tile.fractions[i];  // 0 in a tail
    low = std::min(low, key);
    high = std::max(high, key);
    if (key < run.low[c]) run.low[c] = key;  // seldom: branches are foretold
    if (key > run.high[c]) run.high[c] = key;
  }
  bool const beyond = plan_.grid->beyond(low, high);
  bool hashed = false;
  for (std::size_t s = 0; s < sets_.size(); ++s) {
    Set& set = sets_[s];
    if (set.plan.sketches) {
      if (!hashed) kernel.sketch_gaps(tile.gaps, tile.gap_count, domain(), hashes_whole(), tile.buckets, tile.hashes);
      hashed = true;
      if (run.whole[s]) {
        run.group(s, 0)->add_to_sketch(tile.buckets, tile.hashes, tile.gap_count);
      } else {
        for (int i = 0; i < tile.gap_count; ++i)
          if (Group* const group = run.group(s, of_row[tile.gaps.row[i]])) group->add_to_sketch(tile.buckets[i], tile.hashes[i], 1);
      }
    }
    if (!beyond || set.plan.coarse) continue;
    add_tails_together(tile, of_row, run.groups.data() + s * static_cast<std::size_t>(run.count));
  }
}

/// moments: of all rows of the tile.
void NumericState::add_tile_moments(BatchGroups const& groups, Together const& run, std::int64_t at, Moments const& moments, Tile& tile) {
  bool filled = false;
  for (std::size_t s = 0; s < sets_.size(); ++s) {
    if (!sets_[s].plan.moments) continue;
    if (run.whole[s]) {
      run.group(s, 0)->moments.merge(moments);
      continue;
    }
    if (!filled && tile.usable_rows == tile.rows) std::fill_n(tile.usable, tile.rows, ~std::uint64_t{0});
    filled = true;
    add_mixed_moments(sets_[s], tile, groups.from_tile(s, at), nullptr);
  }
}

}  // namespace modelwatch
