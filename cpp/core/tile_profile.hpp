#pragma once
// Counts the tiles of one column into every counter set of a profile: values are ranked once, and a tile that lies in one
// group of a set is counted in the team's own memory.  The same state as engine/numeric_state.hpp, in slabs.

#include <cstdint>
#include <type_traits>

#include "core/grid_rule.hpp"
#include "core/macros.hpp"
#include "core/offset_rule.hpp"
#include "core/profile_slab.hpp"
#include "core/sketch_rule.hpp"
#include "core/tile_moments.hpp"
#include "core/tile_rank.hpp"

namespace modelwatch {

/// A tile's group where its rows are of none, and where they are not all of one.
inline constexpr std::int32_t kNoGroup = -1;
inline constexpr std::int32_t kMixedTile = -2;
/// A place in the team's memory that is not there.
inline constexpr std::uint32_t kNotThere = 0xffffffffu;

/// The groups of a chunk's rows in one counter set; all columns share them.
struct ProfileGroups {
  std::int32_t const* of_tile;      // or kNoGroup, kMixedTile
  std::int32_t const* of_row;       // of the rows of mixed tiles; nullptr where there is no such tile
  std::uint32_t const* entry_begin; // of each tile and the end, in entry_group; sets with moments only
  std::int32_t const* entry_group;  // the groups of mixed tiles, each once a tile
  std::uint32_t first_entry;        // of this set, in the moments of a column
  std::uint32_t first_group;        // the smallest number of a group of the chunk
  std::uint32_t groups;             // numbers from there to the largest
  bool moments;
};

struct ProfileChunk {
  ProfileGroups const* sets;
  std::uint32_t const* weights;  // of the rows, or nullptr
  std::int64_t rows;
  std::int32_t set_count;
};

/// Counters of 32 bits for all slots of all groups of a chunk, group by group, in memory that all teams share: several
/// copies, so that teams that count at once seldom meet at one counter.  Added to the slabs when the chunk is counted.
struct FarCounters {
  std::uint32_t* at;     // of the first copy; nullptr: there are none
  std::uint32_t stride;  // words from one copy to the next
  std::uint32_t copies;  // a power of two

  MW_HD std::uint32_t* copy(std::uint32_t team) const { return at + std::size_t{team & (copies - 1)} * stride; }
};

/// One counter set of one column.
struct ProfileSet {
  std::uint64_t* const* slabs;  // of each group that a row of the chunk is in: of all columns
  std::uint64_t first;          // word at which this column's begins
  std::uint32_t const* map;     // slot of the counting grid -> slot of the set's; nullptr: the same
  SlabLayout layout;
  std::uint32_t counters;       // place of counters for all slots of all groups in the team's memory, or kNotThere
  FarCounters far;              // where these do not fit
};

struct ProfileColumn {
  NumericView values;  // of the chunk
  void const* knots;   // see GridRule
  std::uint32_t const* guide;
  GapRule const* gaps;
  double const* gap_scales;  // or nullptr
  ProfileSet const* sets;
  Moments* moments;  // of each tile, then of the entries of each set; nullptr where no set keeps any
  std::uint64_t first;
  double origin;
  double scale;
  std::uint64_t pivot;
  std::uint32_t count;
  std::uint32_t buckets;
  std::int32_t shift;
  std::int32_t steps;
  std::uint32_t lower_tail;
  std::uint32_t upper_tail;
  std::uint32_t gap_shift;
  Domain domain;
  bool hashes_whole;
  bool fine;      // of some set: sums of gaps and tails
  bool sketches;  // of some set
  // Places in the team's memory, in words of 32 bits, or kNotThere.
  std::uint32_t run_counts;  // of every slot
  std::uint32_t run_gaps;    // pairs of words; only with run_counts, as tails are
  std::uint32_t run_tails;   // kTailWords pairs
  std::uint32_t own_guide;
  std::uint32_t own_knots;   // even
  std::uint32_t zeroed;      // words that begin as zero

  template <class Value>
  MW_HD GridRule<Value> rule() const {
    using Key = typename KeyOf<Value>::Key;
    return {static_cast<Key const*>(knots), guide, count, buckets, static_cast<Key>(first), shift, static_cast<Value>(origin), static_cast<Value>(scale), steps};
  }
};

/// What a team works with: memory that its threads share.  Arrays have one entry a set.
template <class Value>
struct ProfileTile {
  RankTile<Value>* rows;
  MomentTile* moments;          // whole where the chunk has mixed tiles, else its first lanes
  Moments* mean;
  std::int32_t* groups;         // of the tile's rows; where the chunk has mixed tiles and moments
  std::uint64_t** run;          // slab of the run of tiles that is counted, or nullptr
  std::uint64_t** next;
  std::uint32_t* memory;        // the rest, by the places of the column
  std::uint32_t team;           // which of the teams that count the column this is
};

/// Adds to a counter of 64 bits kept as two words of 32, since a team's memory has no quick addition of 64.
template <class Team>
MW_HD void add_pair(Team const& team, std::uint32_t* pair, std::uint64_t by) {
  auto const low = static_cast<std::uint32_t>(by);
  auto high = static_cast<std::uint32_t>(by >> 32);
  if (low != 0) high += static_cast<std::uint32_t>(team.add_before(pair, low) > ~low);
  if (high != 0) team.add(pair + 1, high);
}
MW_HD std::uint64_t take_pair(std::uint32_t* pair) {
  std::uint64_t const found = pair[0] | std::uint64_t{pair[1]} << 32;
  pair[0] = pair[1] = 0;
  return found;
}

/// Makes a counter at least `to`; most calls change nothing.
template <class Number, class Team>
MW_HD void raise_seldom(Team const& team, Number* at, Number to) {
  if (team.peek(at) < to) team.raise(at, to);
}

/// The work of one team on one column.
template <class Value, class Team>
class ColumnProfiler {
 public:
  using Keys = KeyOf<Value>;
  using Key = typename Keys::Key;

  MW_HD ColumnProfiler(Team const& team, ProfileColumn const& column, ProfileChunk const& chunk, ProfileTile<Value> const& tile)
      : team_(team), column_(column), chunk_(chunk), tile_(tile), rule_(column.rule<Value>()) {}

  /// Tiles [from, to).
  MW_HD void count(std::int64_t from, std::int64_t to) {
    prepare();
    for (std::int64_t t = from; t < to; ++t) count_tile(t);
    if (has_run()) end_run();
    add_own_counters();
  }

 private:
  MW_HD bool has_run() const { return column_.run_counts != kNotThere; }
  MW_HD std::uint32_t end_cell() const { return 2 * column_.count + 1; }
  MW_HD static std::uint32_t slot_in(ProfileSet const& set, std::uint32_t slot) { return set.map == nullptr ? slot : set.map[slot]; }

  MW_HD static std::uint64_t* slab_of(ProfileSet const& set, std::uint32_t group) { return set.slabs[group] + set.first; }

  MW_HD void prepare() {
    for (std::uint32_t w = rank(); w < column_.zeroed; w += size()) tile_.memory[w] = 0;
    for (int s = team_.rank(); s < chunk_.set_count; s += team_.size()) tile_.run[s] = nullptr;
    if (column_.own_guide != kNotThere) {
      std::uint32_t* const guide = tile_.memory + column_.own_guide;
      for (std::uint32_t b = rank(); b < column_.buckets; b += size()) guide[b] = column_.guide[b];
      rule_.guide = guide;
      auto* const knots = reinterpret_cast<Key*>(tile_.memory + column_.own_knots);
      std::uint32_t const padded = column_.count + (1u << column_.steps);
      for (std::uint32_t k = rank(); k < padded; k += size()) knots[k] = rule_.knots[k];
      rule_.knots = knots;
    }
    team_.sync();
  }

  MW_HD void count_tile(std::int64_t t) {
    bool wanted = false;  // by some set
    bool mixed = false;
    for (int s = 0; s < chunk_.set_count; ++s) {
      std::int32_t const group = chunk_.sets[s].of_tile[t];
      wanted |= group != kNoGroup;
      mixed |= group == kMixedTile;
    }
    if (!wanted) return;
    std::int64_t const begin = t * kTileRows;
    std::int64_t const left = chunk_.rows - begin;
    int const rows = static_cast<int>(left < kTileRows ? left : kTileRows);
    for (int s = team_.rank(); s < chunk_.set_count; s += team_.size()) {
      std::int32_t const group = chunk_.sets[s].of_tile[t];
      tile_.next[s] = group >= 0 ? slab_of(column_.sets[s], static_cast<std::uint32_t>(group)) : nullptr;
    }
    load_values(team_, column_.values, begin, rows, tile_.rows->values);
    load_validity(team_, column_.values.validity, begin, rows, tile_.rows->valid);
    team_.sync();
    enter_run();
    bool in_run = false;
    if (has_run())
      for (int s = 0; s < chunk_.set_count; ++s) in_run |= tile_.run[s] != nullptr;
    bool const direct = mixed || !has_run();
    for (int i = team_.rank(); i < rows; i += team_.size()) {
      Value const x = tile_.rows->values[i];
      std::uint32_t const slot = slot_of_row(rule_, x, is_valid(tile_.rows->valid, i));
      if (in_run) count_in_run(x, slot);
      if (direct) count_in_groups(t, begin + i, x, slot);
    }
    if (column_.moments != nullptr) add_moments(t, begin, rows);
    team_.sync();  // before the tile is loaded again
  }

  /// A run of tiles that lie in the same groups ends where another group comes.
  MW_HD void enter_run() {
    if (has_run()) {
      bool same = true;
      for (int s = 0; s < chunk_.set_count; ++s) same &= tile_.run[s] == tile_.next[s];
      if (same) return;
      end_run();
    }
    for (int s = team_.rank(); s < chunk_.set_count; s += team_.size()) tile_.run[s] = tile_.next[s];
    team_.sync();
  }

  MW_HD void count_in_run(Value x, std::uint32_t slot) {
    team_.add_one(&tile_.memory[column_.run_counts + slot]);
    if (slot % 2 != 0 || slot >= end_cell()) return;
    std::uint64_t const key = Keys::key(x);
    low_ = key < low_ ? key : low_;
    high_ = key > high_ ? key : high_;
    if (!column_.fine) return;
    std::uint32_t const gap = slot / 2;
    bool const lower = gap <= column_.lower_tail;
    if (lower || gap >= column_.upper_tail) {
      std::uint32_t* const tails = tile_.memory + column_.run_tails;
      team_.raise(tails, 1u);
      each_tail_digit(x, 1, [&](int digit, std::uint64_t by) { add_pair(team_, tails + 2 * (1 + (lower ? 0 : kTailDigits) + digit), by); });
    } else if (std::uint64_t const fraction = fraction_of(x, gap); fraction != 0) {
      if (column_.run_gaps != kNotThere)
        add_pair(team_, tile_.memory + column_.run_gaps + 2 * gap, fraction);
      else
        for (int s = 0; s < chunk_.set_count; ++s)
          if (tile_.run[s] != nullptr) add_fraction(column_.sets[s], tile_.run[s], gap, fraction);
    }
    if (!column_.sketches) return;
    Sketched const own = sketched(x);
    for (int s = 0; s < chunk_.set_count; ++s)
      if (tile_.run[s] != nullptr) add_to_sketch(column_.sets[s], tile_.run[s], own, 1);
  }

  /// Counts a row where its group changes within the tile, or where the team has no memory for a run.
  MW_HD void count_in_groups(std::int64_t t, std::int64_t row, Value x, std::uint32_t slot) {
    std::uint32_t const times = chunk_.weights == nullptr ? 1 : chunk_.weights[row];
    bool const between = slot % 2 == 0 && slot < end_cell();
    for (int s = 0; s < chunk_.set_count; ++s) {
      std::uint64_t* slab = tile_.next[s];
      ProfileSet const& set = column_.sets[s];
      std::uint32_t const at = slot_in(set, slot);
      if (slab != nullptr) {
        if (has_run()) continue;
        count_far(s, static_cast<std::uint32_t>(chunk_.sets[s].of_tile[t]), slab, at, times);
      } else {
        ProfileGroups const& groups = chunk_.sets[s];
        if (groups.of_tile[t] != kMixedTile) continue;
        std::int32_t const group = groups.of_row[row];
        if (group < 0) continue;
        slab = slab_of(set, static_cast<std::uint32_t>(group));
        if (set.counters != kNotThere)
          team_.add_one(&tile_.memory[set.counters + (static_cast<std::uint32_t>(group) - groups.first_group) * set.layout.slots + at]);
        else
          count_far(s, static_cast<std::uint32_t>(group), slab, at, times);
      }
      if (slot < end_cell()) raise_range(set, slab, Keys::key(x), Keys::key(x));
      if (between && set.layout.gaps != 0) count_between(set, slab, x, slot / 2, times);
    }
  }

  MW_HD void count_far(int s, std::uint32_t group, std::uint64_t* slab, std::uint32_t at, std::uint32_t times) const {
    ProfileSet const& set = column_.sets[s];
    if (set.far.at != nullptr)
      team_.add_one(&set.far.copy(tile_.team)[(group - chunk_.sets[s].first_group) * set.layout.slots + at]);
    else if (chunk_.weights == nullptr)
      team_.add_one(&slab[at]);
    else
      team_.add(&slab[at], std::uint64_t{times});
  }

  MW_HD void raise_range(ProfileSet const& set, std::uint64_t* slab, std::uint64_t low, std::uint64_t high) const {
    raise_seldom(team_, &slab[set.layout.range], ~low);
    raise_seldom(team_, &slab[set.layout.range + 1], high);
  }

  /// A row between two knots, on a fine grid.
  MW_HD void count_between(ProfileSet const& set, std::uint64_t* slab, Value x, std::uint32_t gap, std::uint32_t times) const {
    bool const lower = gap <= column_.lower_tail;
    if (lower || gap >= column_.upper_tail) {
      std::uint64_t* const tails = slab + set.layout.tails;
      raise_seldom(team_, tails, std::uint64_t{1});
      each_tail_digit(x, times, [&](int digit, std::uint64_t by) { team_.add(&tails[1 + (lower ? 0 : kTailDigits) + digit], by); });
    } else if (std::uint64_t const fraction = fraction_of(x, gap); fraction != 0) {
      add_fraction(set, slab, gap, fraction * times);
    }
    if (set.layout.buckets != 0) add_to_sketch(set, slab, sketched(x), times);
  }

  MW_HD std::uint64_t fraction_of(Value x, std::uint32_t gap) const {
    if constexpr (std::is_same_v<Value, double>)
      if (column_.gap_scales != nullptr) x *= column_.gap_scales[gap];
    return gap_offset(x, column_.gaps[gap]);
  }

  MW_HD void add_fraction(ProfileSet const& set, std::uint64_t* slab, std::uint32_t gap, std::uint64_t fraction) const {
    if (set.layout.gaps != 0) team_.add(&slab[set.layout.gaps + gap - column_.gap_shift], fraction);
  }

  struct Sketched {
    std::uint32_t place;
    Register own;
  };
  MW_HD Sketched sketched(Value x) const {
    std::uint64_t const hash = column_.hashes_whole ? hash_whole(static_cast<double>(x)) : hash_number(x);
    return {bucket_span(column_.domain).place(bucket_of(static_cast<double>(x))), register_of(hash)};
  }
  MW_HD void add_to_sketch(ProfileSet const& set, std::uint64_t* slab, Sketched const& own, std::uint32_t times) const {
    if (set.layout.buckets == 0) return;
    if (chunk_.weights == nullptr)
      team_.add_one(&slab[set.layout.buckets + own.place]);
    else
      team_.add(&slab[set.layout.buckets + own.place], std::uint64_t{times});
    raise_seldom(team_, reinterpret_cast<std::uint32_t*>(slab + set.layout.registers) + own.own.index, std::uint32_t{own.own.rank});
  }

  /// Adds what a run has counted to the slabs of its groups, and empties it.
  MW_HD void end_run() {
    team_.sync();
    std::uint32_t* const counts = tile_.memory + column_.run_counts;
    for (std::uint32_t slot = rank(); slot < end_cell() + 2; slot += size()) {
      std::uint32_t const times = counts[slot];
      if (times == 0) continue;  // as most of a large grid's
      counts[slot] = 0;
      each_run([&](ProfileSet const& set, std::uint64_t* slab) { team_.add(&slab[slot_in(set, slot)], std::uint64_t{times}); });
      if (slot % 2 == 0 || slot >= end_cell()) continue;
      // On a knot there is one key only; those in gaps were looked at one by one.
      std::uint64_t const key = rule_.knots[slot / 2];
      low_ = key < low_ ? key : low_;
      high_ = key > high_ ? key : high_;
    }
    if (column_.run_gaps != kNotThere)
      for (std::uint32_t gap = rank(); gap <= column_.count; gap += size())
        if (std::uint64_t const sum = take_pair(tile_.memory + column_.run_gaps + 2 * gap); sum != 0)
          each_run([&](ProfileSet const& set, std::uint64_t* slab) { add_fraction(set, slab, gap, sum); });
    if (column_.run_tails != kNotThere)
      for (std::uint32_t w = rank(); w < kTailWords; w += size())
        if (std::uint64_t const found = take_pair(tile_.memory + column_.run_tails + 2 * w); found != 0)
          each_run([&](ProfileSet const& set, std::uint64_t* slab) {
            if (set.layout.tails == 0) return;
            if (w == 0)
              raise_seldom(team_, &slab[set.layout.tails], found);
            else
              team_.add(&slab[set.layout.tails + w], found);
          });
    if (low_ <= high_) each_run([&](ProfileSet const& set, std::uint64_t* slab) { raise_range(set, slab, low_, high_); });
    low_ = ~std::uint64_t{0};
    high_ = 0;
    team_.sync();
  }

  template <class F>
  MW_HD void each_run(F f) const {
    for (int s = 0; s < chunk_.set_count; ++s)
      if (tile_.run[s] != nullptr) f(column_.sets[s], tile_.run[s]);
  }

  /// Adds the counters of mixed tiles that the team kept to itself.
  MW_HD void add_own_counters() {
    for (int s = 0; s < chunk_.set_count; ++s) {
      ProfileSet const& set = column_.sets[s];
      if (set.counters == kNotThere) continue;
      std::uint32_t const slots = set.layout.slots;
      std::uint32_t const first = chunk_.sets[s].first_group;
      for (std::uint32_t c = rank(); c < chunk_.sets[s].groups * slots; c += size())
        if (std::uint32_t const times = tile_.memory[set.counters + c]; times != 0)
          team_.add(&slab_of(set, first + c / slots)[c % slots], std::uint64_t{times});
    }
  }

  MW_HD void add_moments(std::int64_t t, std::int64_t begin, int rows) {
    std::uint32_t const* const weights = chunk_.weights == nullptr ? nullptr : chunk_.weights + begin;
    bool whole = false;
    for (int s = 0; s < chunk_.set_count; ++s) whole |= chunk_.sets[s].moments && chunk_.sets[s].of_tile[t] >= 0;
    if (whole)
      tile_moments(team_, *tile_.rows, rows, column_.pivot, weights, nullptr, nullptr, 1, tile_.moments->lanes, tile_.mean, column_.moments + t);
    for (int s = 0; s < chunk_.set_count; ++s) {
      ProfileGroups const& groups = chunk_.sets[s];
      if (!groups.moments || groups.of_tile[t] != kMixedTile) continue;
      for (int i = team_.rank(); i < rows; i += team_.size()) tile_.groups[i] = groups.of_row[begin + i];
      team_.sync();
      std::uint32_t const first = groups.entry_begin[t];
      tile_moments(team_, *tile_.rows, rows, column_.pivot, weights, tile_.groups, groups.entry_group + first,
                   static_cast<int>(groups.entry_begin[t + 1] - first), tile_.moments->lanes, tile_.moments->moments,
                   column_.moments + groups.first_entry + first);
    }
  }

  MW_HD std::uint32_t rank() const { return static_cast<std::uint32_t>(team_.rank()); }
  MW_HD std::uint32_t size() const { return static_cast<std::uint32_t>(team_.size()); }

  Team const& team_;
  ProfileColumn const& column_;
  ProfileChunk const& chunk_;
  ProfileTile<Value> const& tile_;
  GridRule<Value> rule_;
  std::uint64_t low_ = ~std::uint64_t{0};  // of the run's rows between knots that this thread saw
  std::uint64_t high_ = 0;
};

}  // namespace modelwatch
