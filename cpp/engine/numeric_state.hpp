#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "core/moments.hpp"
#include "core/profile_slab.hpp"
#include "core/wide_sum.hpp"
#include "cpu/kernel_table.hpp"
#include "engine/batch_groups.hpp"
#include "engine/few_rows.hpp"
#include "engine/grid.hpp"
#include "engine/sketch.hpp"
#include "engine/sparse_array.hpp"
#include "engine/tail_sum.hpp"

namespace modelwatch {

/// What one counter set keeps of every column: which groups rows belong to is the caller's business.
struct SetPlan {
  bool coarse = false;   // count on the coarse grid
  bool moments = false;  // keep ordered moments
  bool sketches = false; // keep a log-linear histogram and registers of what no knot or category tells apart; fine grid only
};

/// A numeric column's grids.  `to_state` maps a slot of `grid` to the slot of the state (empty: the same);
/// it differs when the data's type is wider than the baseline's and the grid was lifted to it.
struct NumericPlan {
  std::shared_ptr<Grid const> grid;
  std::vector<std::uint32_t> to_fine;
  std::vector<std::uint32_t> to_coarse;
  std::uint32_t fine_slots = 0;
  std::uint32_t coarse_slots = 0;
  std::uint32_t gap_shift = 0;      // fine gap = gap of `grid` minus this
  std::uint64_t pivot = 0;          // key subtracted before moments (integer domains)
};

/// One group of one set, as flat arrays sorted by group and cell.
struct NumericResult {
  std::vector<std::uint32_t> group;
  std::vector<std::uint64_t> cell_begin;  // groups + 1
  std::vector<std::uint32_t> cell;
  std::vector<std::uint64_t> count;
  NarrowEntries narrow;                  // instead of cell and count, where that was asked for and all are small
  std::vector<std::uint64_t> gap_begin;  // groups + 1
  std::vector<std::uint32_t> gap;
  std::vector<std::uint64_t> gap_sum;     // SUM of gap_offset
  std::vector<std::uint64_t> low;         // smallest key, or ~0 where nothing was ranked
  std::vector<std::uint64_t> high;        // largest key, or 0
  std::vector<Moments> moments;           // empty where the set keeps none
  std::vector<std::uint32_t> tail_group;  // groups with a finite value beyond the finite knots
  std::vector<WideSum> tail_lower;        // SUM of the values below, above
  std::vector<WideSum> tail_upper;
  std::vector<std::uint64_t> bucket_begin;  // groups + 1; the log-linear histogram of values between knots
  std::vector<std::uint32_t> bucket;
  std::vector<std::uint64_t> bucket_count;
  std::vector<std::uint32_t> register_group;  // groups with a value between knots
  std::vector<std::uint8_t> registers;        // kRegisters of each
};

/// Counts one numeric column into several sets.  Rows must come in the order of the file.
class NumericState {
 public:
  /// After this many rows the 32-bit counters are moved to 64-bit ones.
  static constexpr std::uint64_t kSpillRows = std::uint64_t{1} << 31;
  /// A run counts on its own where it has at most so many counters for each row, since it is added up at its end.
  static constexpr std::int64_t kRunSlotsPerRow = 4;

  NumericState(NumericPlan plan, std::vector<SetPlan> sets, std::uint64_t spill_rows = kSpillRows);

  /// A batch opens a new ordered block at its first row (DESIGN 3.5): split files at multiples of kTileRows.
  /// weights: how often every row counts, or nullptr (once).  A row of weight 0 must be in no group.
  void add(NumericView const& column, BatchGroups const& groups, std::uint32_t const* weights = nullptr);
  /// The same for a column by itself, with the arguments of BatchGroups.
  void add(NumericView const& column, std::vector<std::int32_t const*> groups, std::uint32_t const* weights = nullptr) {
    add(column, BatchGroups(std::move(groups), column.rows, weights != nullptr), weights);
  }

  /// Adds what was counted elsewhere by the same rules: the slab of one group of a set.  Its moments are not part of that.
  void absorb(std::size_t set, std::int32_t group, std::uint64_t const* slab);
  /// The moments of a group, from its first row to its last: they are folded where they are made.
  void set_moments(std::size_t set, std::int32_t group, Moments const& moments);
  SlabLayout layout(std::size_t set) const;
  NumericPlan const& plan() const { return plan_; }

  Domain domain() const { return plan_.grid->domain(); }
  /// narrow: cells and counts may be in NumericResult::narrow.  order: numbers of groups, all that have rows among them; each
  /// is named by its place there.  Empty: in the order of their numbers.
  NumericResult finish(std::size_t set, bool narrow = false, std::span<std::uint32_t const> order = {});
  std::size_t bytes() const;

 private:
  /// What nearly every row needs comes first, in one line of the cache: a log can have thousands of groups.
  struct alignas(64) Group {
    std::uint32_t* counts = nullptr;  // cells.dense()
    std::uint64_t low = ~std::uint64_t{0};
    std::uint64_t high = 0;
    Moments moments{};
    SparseArray<std::uint32_t> cells;
    SparseArray<std::uint64_t> gaps;
    SparseArray<std::uint64_t> spilled;  // of no size until it is needed
    std::unique_ptr<WideSum[]> tails;  // lower, upper
    std::unique_ptr<Sketch> sketch;

    void count(std::uint32_t slot) {
      if (counts != nullptr) {
        ++counts[slot];
      } else {
        cells.add(slot, 1);
        counts = cells.dense();
      }
    }
    WideSum& tail(std::size_t end) {
      if (!tails) tails = std::make_unique<WideSum[]>(2);  // zeroed
      return tails[end];
    }
    void add_to_sketch(std::uint32_t bucket, std::uint64_t hash, std::uint32_t times) {
      if (!sketch) sketch = std::make_unique<Sketch>();
      sketch->buckets.add(bucket, times);
      sketch->registers.add(hash);
    }
    void add_to_sketch(std::uint32_t const* buckets, std::uint64_t const* hashes, int rows) {
      if (!sketch) sketch = std::make_unique<Sketch>();
      sketch->buckets.add(buckets, rows);
      sketch->registers.add(hashes, rows);
    }
  };
  /// Of a group that is counted in 8 bits.  Its moments are here then, not in the other place.
  struct alignas(64) FewFacts {  // one line of the cache
    std::uint64_t low = ~std::uint64_t{0};
    std::uint64_t high = 0;
    Moments moments{};
    std::uint32_t rows = 0;
  };
  struct Set {
    SetPlan plan;
    std::vector<std::unique_ptr<Group>> groups;
    std::vector<std::int32_t> slot_of;  // of each group while a tile of several is counted, else -1
    FewRows<FewFacts> few;              // of sets on the coarse grid
  };
  struct Tile;
  /// Of a set that is counted tile by tile: groups in the order of TileGroups::ids, and behind them the rows in none.
  struct GroupsOfTiles {
    std::vector<std::uint32_t*> counters;
    std::vector<std::uint64_t> low;
    std::vector<std::uint64_t> high;
    std::vector<MomentRow> moments;
    std::uint64_t spills = 0;  // spills_ when the counters were looked up
  };
  struct Target {
    SetPlan plan;
    Group* group;
  };

  Group& group_of(Set& set, std::int32_t group);
  Group& made(Set& set, std::size_t group) const;
  void load(NumericView const& column, std::int64_t begin, std::uint8_t const* valid, bool values, Tile& tile) const;
  std::uint32_t const* slots_of(SetPlan const& plan, Tile& tile) const;
  /// A float grid lifted from integers hashes whole numbers as integers.
  bool hashes_whole() const { return plan_.gap_shift != 0; }
  void add_tails(Tile const& tile);
  void add_gap(SetPlan const& plan, Group& group, Tile const& tile, int at, std::uint32_t times) const;

  // Tiles that belong to one group in every set.
  void add_run(NumericView const& column, BatchGroups const& groups, std::int64_t from, std::int64_t to, Tile& tile);
  bool in_one_go(NumericView const& column, BatchGroups const& groups, std::vector<Target> const& targets) const;
  void add_in_one_go(NumericView const& column, std::int64_t begin, std::uint8_t const* valid, std::vector<Target> const& targets, bool together,
                     Tile& tile);
  static std::vector<std::uint64_t>& packed_gaps();
  void take_packed(std::size_t gap, std::uint64_t packed);
  void unpack_gaps(std::vector<Target> const& targets);
  void add_run_gaps(std::vector<Target> const& targets, Tile& tile, bool apart);
  void add_directly(std::vector<Target> const& targets, Tile& tile) const;
  void flush_run(std::vector<Target> const& targets);
  void empty_run();
  /// Rows of some groups: of every slot of the counting grid, sums of every gap, and the keys of rows in gaps.
  struct Counted {
    std::uint32_t const* counts;
    std::uint64_t const* gaps;
    std::uint64_t low;
    std::uint64_t high;
  };
  void add_counted(std::vector<Target> const& targets, Counted own) const;
  void note_knots(Counted& own) const;
  void add_counts(Target const& target, std::uint32_t const* counts) const;

  // Runs of tiles of the same few combinations of groups.
  std::int64_t add_together(NumericView const& column, BatchGroups const& groups, std::int64_t from, Tile& tile);
  struct Together;
  void count_gaps(Together& run, std::uint8_t const* of_row, Tile& tile);
  void add_tile_moments(BatchGroups const& groups, Together const& run, std::int64_t at, Moments const& moments, Tile& tile);

  // Tiles of several groups, or with weights.
  void add_mixed(NumericView const& column, BatchGroups const& groups, std::int64_t at, Tile& tile, std::uint32_t const* weights);
  void look_between(Tile& tile) const;
  void count_together(Set& set, std::size_t at, Tile& tile, std::uint32_t const* slots, BatchGroups::Together const& together);
  void add_gaps_together(Set& set, Tile& tile, std::uint8_t const* of_row, Group* const* into, int count);
  void add_tails_together(Tile const& tile, std::uint8_t const* of_row, Group* const* into) const;
  void count_mixed(Set& set, Tile const& tile, std::uint32_t const* slots, std::int32_t const* groups);
  void count_weighted(Set& set, Tile const& tile, std::uint32_t const* slots, std::int32_t const* groups, std::uint32_t const* weights);
  void add_scattered(BatchGroups const& groups, std::int64_t at, Storage storage, Tile& tile);
  bool in_tiles(BatchGroups const& groups, std::size_t s) const;
  void open_groups(Set& set, TileGroups const& by, GroupsOfTiles& out);
  void close_groups(Set& set, TileGroups const& by, GroupsOfTiles const& from);
  void count_in_tile(std::size_t s, BatchGroups const& groups, std::int64_t at, Tile& tile);
  void widen(Tile const& tile, std::uint16_t const* place, std::uint16_t none, GroupsOfTiles& all) const;
  void count_in_stretch(BatchGroups const& groups, std::int64_t at, Storage storage, Tile& tile);
  std::optional<cpu::ShortKeys> short_keys(Storage storage) const;
  bool is_narrow(Set const& set) const { return set.plan.coarse && plan_.coarse_slots <= FewRows<FewFacts>::kMostSlots; }
  template <class Rows>
  void count_stretch(Set& set, BatchGroups::Scattered const& by, Rows const& all);
  void count_in_blocks(Set& set, BatchGroups::Scattered const& by, cpu::ShortRow const* all, cpu::ShortKeys keys);
  template <class Rows, class Folds>
  void count_group(Set& set, BatchGroups::Scattered const& by, std::size_t k, Rows const& all, Folds& folds);
  FewRows<FewFacts>::Place few_of(Set& set, std::int32_t id, std::size_t more);
  void settle(Set& set, std::size_t group);
  void add_mixed_moments(Set& set, Tile& tile, std::int32_t const* groups, std::uint32_t const* weights);
  void make_table(Storage storage);
  void make_room(int rows);
  void spill();

  NumericPlan plan_;
  std::vector<Set> sets_;
  // Of plan_.to_fine and to_coarse: stretches of slots, by their end, and where all of one lead.
  std::vector<std::pair<std::uint32_t, std::uint32_t>> same_fine_;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> same_coarse_;
  std::uint64_t spill_rows_;
  std::uint64_t rows_since_spill_ = 0;
  std::uint64_t spills_ = 0;
  bool moments_ = false;
  bool sketches_ = false;
  std::uint64_t rows_ = 0;
  std::vector<std::uint32_t> table_cells_;  // of integers, once enough rows have come; empty where the grid is too wide
  cpu::CellTable table_{};
  Storage table_storage_ = Storage::int8;   // of the columns it is for
  // What a run of tiles has counted so far; empty between runs.
  std::vector<std::uint32_t> run_counts_;  // 1 or 4 counters for every slot of the counting grid
  std::vector<std::uint64_t> run_gaps_;    // SUM of fractions
  TailSum run_tails_[2];                   // lower, upper
  std::uint64_t run_low_ = ~std::uint64_t{0};  // smallest and largest key in a gap
  std::uint64_t run_high_ = 0;
  // Where rows are counted that no group of a set counts; never read.
  std::vector<std::uint32_t> unused_counts_;
  std::vector<std::uint64_t> unused_sums_;
  bool skewed_ = false;                    // the last run had a slot that holds much of it
  bool on_knots_ = false;                  // much of the last tile of a run was on knots
  int packed_tiles_ = 0;                   // tiles of the run that were counted in one go and are in packed_gaps()
};

}  // namespace modelwatch
