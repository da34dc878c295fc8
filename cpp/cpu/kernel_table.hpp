#pragma once
// What the CPU kernels offer, one table per instruction set.  Plain data only: this header is read by the objects
// that are compiled for one instruction set, so nothing in it may leave a copy for the linker to choose from.

#include <cstdint>

#include "core/interval_rule.hpp"
#include "core/key.hpp"
#include "core/moments.hpp"
#include "core/offset_rule.hpp"
#include "core/value_kinds.hpp"
#include "core/views.hpp"
#include "cpu/bin_data.hpp"
#include "cpu/text_slot.hpp"

namespace modelwatch::cpu {

/// What a search for a float meets on its way to a gap, and what it needs there, in one line of the cache.
struct alignas(32) GapRecord {
  std::uint64_t upper;  // key of the knot above
  GapRule rule;
};

/// A grid without its key type; `domain` says which one it is.
struct GridData {
  void const* knots;  // padded, see GridRule
  std::uint32_t const* guide;       // or nullptr where near_guide is there
  std::uint16_t const* near_guide;  // the same in half the memory, where it stays in a near cache with the knots
  std::uint32_t count;
  std::uint32_t buckets;
  std::uint64_t first;
  std::int32_t shift;
  std::int32_t steps;
  double origin;  // of a linear guide, see GridRule
  double scale;   // 0: the guide is over keys
  Domain domain;
  GapRule const* gaps;       // count + 1
  double const* gap_scales;  // of each gap, or nullptr where all are 1
  GapRecord const* records;  // of floats, padded as knots; nullptr where gaps have scales or would not stay in a near cache
};

/// The cells of the integers from `first` to `last`; smaller and larger ones have those of the ends.
struct CellTable {
  std::uint32_t const* cells;
  std::int64_t first;
  std::int64_t last;
};

/// The rows of a tile that lie strictly between two knots.
struct GapRows {
  std::uint32_t row[kTileRows];  // in the tile
  std::uint32_t gap[kTileRows];  // below knot `gap`
  std::uint64_t key[kTileRows];
};

/// What is kept of them: for each gap the SUM of the fractions of offset_rule.hpp (0 in a tail), and their smallest and
/// largest key.
struct GapSums {
  std::uint64_t* sums;
  std::uint64_t low;
  std::uint64_t high;
};

/// Counters of log-linear buckets, a page of neighbouring ones at a time.
inline constexpr int kBucketPageBits = 5;
inline constexpr std::uint32_t kBucketPage = std::uint32_t{1} << kBucketPageBits;
struct BucketPages {
  std::uint32_t const* begin;  // where the counters of each page begin, or 0 (where none does)
  std::uint32_t count;
  std::uint32_t first;         // the page that begin[0] is of
};

/// Log-linear buckets whose rows in gaps are counted together with their gaps.  Buckets of the keys of a grid's own type:
/// their first bits, as many as tell an octave's 128 parts.  Those of negative numbers come before those of positive ones.
struct BucketWindow {
  std::uint32_t first[2];  // of negative, of positive numbers
  std::uint32_t count[2];
};

/// Where rows of one group are counted in one go.
struct RunCounters {
  /// Gaps hold rows and SUM of fractions in one number: so many bits below are the sum's.
  static constexpr int kSumBits = 48;
  /// More rows could carry a sum into the rows.
  static constexpr int kMostTiles = ((1 << 16) - 1) / kTileRows;

  std::uint32_t* slots;  // of the grid: rows on knots, NaN and null
  /// Of the grid's gaps.  Behind them those of rows in a window: row in its bucket b and in gap g is counted at b + g, which
  /// no other bucket and gap share, since neither decreases from one value to a larger one.
  std::uint64_t* gaps;
  std::uint64_t low;     // smallest and largest key in a gap
  std::uint64_t high;
  // Of the rows in gaps; ranks is nullptr where no set keeps sketches.
  std::uint8_t* ranks;      // kRegisters
  BucketWindow window;
  std::uint32_t* outside;   // buckets (of doubles) of the rows outside the window
  int outside_rows;
};

/// Intervals of one width, a power of two, cut into 2^split pieces that are counted.  Keys of one interval agree above
/// `shift` bits: what they have there tells the interval.
struct IntervalPlaces {
  std::uint32_t const* first;  // the interval with a prefix, from the least on; then kNoInterval
  std::uint64_t least;
  std::uint64_t count;  // of prefixes
  std::int32_t shift;
  std::int32_t split;
  std::int32_t piece;  // bits of a piece
  std::uint32_t none;  // the counter of keys in no interval
};

/// Keys that may lie in some intervals: a bit for every place that what a key has above `shift` bits hashes to.
struct KeyFilter {
  static constexpr int kPlaceBits = 16;
  std::uint32_t const* bits;
  std::int32_t shift;
};

/// Upper halves of float32 values; null rows have this slot.
inline constexpr std::uint32_t kHalves = std::uint32_t{1} << 16;

/// Bandwidths that random features are taken at, each half of the one before.
inline constexpr int kFeatureScales = 5;

/// What narrow_entries writes beyond the last entry.
inline constexpr int kEntryRoom = 16;

/// Values of text that are looked up together.
inline constexpr int kTextRows = 128;

/// The rows of a tile that are in some group, group by group, and how what they hold is added up.
struct GroupedTile {
  static constexpr int kMostGroups = 512;
  int groups;
  std::uint16_t const* order;  // the row at each place
  std::uint16_t const* group;  // its group
  std::uint16_t const* begin;  // of each group its first place, and their end
  std::uint16_t const* adds;   // pairs of places, one after the other: the second's sum is added to the first's
  int add_count;
};

/// Keys of 32 bits, in the order of those of 64, which give the values of a column back: of 32-bit floats, or of integers of at
/// most so many bits and a pivot that doubles tell apart.
struct ShortKeys {
  static constexpr std::uint32_t kSign = 0x80000000u;
  bool floats;
  double pivot;

  /// Of a key of 64 bits.
  MW_HD std::uint32_t of(std::uint64_t key) const { return static_cast<std::uint32_t>(key) ^ (floats ? 0u : kSign); }
  MW_HD std::uint64_t whole(std::uint32_t key) const { return floats ? key : KeyOf<std::int64_t>::key(integer(key)); }
  /// Less the pivot.  The key of -0.0 gives 0.0, which changes no sum.
  MW_HD double value(std::uint32_t key) const {
    return floats ? static_cast<double>(KeyOf<float>::value(key)) : static_cast<double>(integer(key)) - pivot;
  }
  static MW_HD std::int64_t integer(std::uint32_t key) { return static_cast<std::int32_t>(key ^ kSign); }
};

/// A row that waits until its stretch of tiles is counted group by group.
struct ShortRow {
  std::uint32_t key;
  std::uint32_t slot;  // and above it what else is known of the row
};

/// Some groups of a stretch, each with its rows in order.
struct RowBlock {
  static constexpr int kGroups = MomentRow::kGroups;
  static constexpr int kMostRows = 96;  // of a group

  // What is known of a row above its slot: 8 bits, of which the lower half is its lane.
  static constexpr int kSlotBits = 24;
  static constexpr std::uint32_t kLane = kLanes - 1;
  static constexpr std::uint32_t kBehind = 1u << 4;     // the row before it is in its tile; or first of more than two
  static constexpr std::uint32_t kFirst = 1u << 5;      // the next row is in its tile, and none before
  static constexpr std::uint32_t kUnusable = 1u << 6;   // no moments have it
  static constexpr std::uint32_t kUnranked = 1u << 7;   // it has no key

  ShortKeys keys;
  int groups;
  ShortRow const* rows;
  int begin[kGroups];            // of each group its first place in rows
  int end[kGroups];              // and behind its last one; the same where there is no such group
  std::uint8_t* list[kGroups];   // where 16 bits of the slot of each row go, or nullptr
  std::uint32_t low[kGroups];    // of the ranked rows, or all ones
  std::uint32_t high[kGroups];   // or 0
  MomentRow moments;             // tiles are merged into them, where they are wanted
};

/// Everywhere below, `valid` is one byte per row as expand_validity makes it, or nullptr where all rows are valid;
/// rows <= kTileRows.
struct KernelTable {
  char const* name;
  bool searches_bins;  // count_binned knows BinSearch
  bool counts_runs;    // there is count_run
  bool finds_texts;    // there are hash_text and find_texts
  /// Writes one byte per row, up to a multiple of 8; returns how many rows are valid.
  int (*expand_validity)(Validity const&, std::int64_t begin, int rows, std::uint8_t* valid);
  /// Cells and keys of rows [begin, begin + rows) of a column.  A row that is NaN or null has any key.
  void (*rank_tile)(NumericView const&, std::int64_t begin, int rows, GridData const&, std::uint8_t const* valid, std::uint32_t* cells,
                    std::uint64_t* keys);
  /// The same for integers on an int64 grid, by a table of the cells of neighbouring ones.
  void (*rank_by_table)(NumericView const&, std::int64_t begin, int rows, CellTable const&, std::uint32_t null_slot,
                        std::uint8_t const* valid, std::uint32_t* cells, std::uint64_t* keys);
  /// counters[cells[i]] += 1
  void (*count_one)(std::uint32_t const* cells, int rows, std::uint32_t* counters);
  /// The same into one of four counters, `stride` apart: for skewed cells.
  void (*count_four)(std::uint32_t const* cells, int rows, std::uint32_t* counters, std::uint32_t stride);
  /// count_four of dictionary codes, each below null_slot; null rows count there.
  void (*count_codes)(NumericView const& codes, std::int64_t begin, int rows, std::uint8_t const* valid, std::uint32_t null_slot,
                      std::uint32_t* counters, std::uint32_t stride);
  /// The indices and values of the counters that are not 0, by index; how many they are.  There is room for all and kEntryRoom
  /// more.  slots <= 2^16.
  int (*narrow_entries)(std::uint8_t const* counters, std::uint32_t slots, std::uint16_t* cells, std::uint8_t* counts);
  /// out[i] = map[cells[i]]
  void (*map_cells)(std::uint32_t const* cells, int rows, std::uint32_t const* map, std::uint32_t* out);
  /// Values minus the pivot as doubles, 0 where unusable (null, NaN, infinite); returns how many are usable.  Where not
  /// all are, usable[i] has all bits set or none; else it may be left as it was.
  int (*load_tile)(NumericView const&, std::int64_t begin, int rows, Domain, std::uint64_t pivot_key, std::uint8_t const* valid,
                   double* values, std::uint64_t* usable);
  /// Ordered moments of one tile whose rows all belong to one group.
  void (*moments_one)(double const* values, std::uint64_t const* usable, int rows, int usable_rows, Moments*);
  /// The same straight from floats without nulls; returns 0, and nothing is told, where one of them is NaN or infinite, or
  /// the column holds something else.
  int (*moments_floats)(NumericView const&, std::int64_t begin, int rows, Moments*);
  /// The same for several groups: row i belongs to slots[i] (< 0: none); tiles and lanes have one entry per slot.
  /// weights: how often every row counts, or nullptr (once).  usable must be whole.
  void (*moments_slots)(double const* values, std::uint64_t const* usable, std::int32_t const* slots, std::uint32_t const* weights,
                        int rows, int slot_count, MomentLanes*, Moments*);
  /// Moments::merge of each group with one of its tiles at every step; a count of 0: there the group has none.
  void (*fold_moments)(MomentRow const* steps, int count, MomentRow* into);
  /// Lists the slots of some groups' rows, finds their smallest and largest keys, and merges the moments of their tiles, where
  /// these are wanted: with the bits of moments_slots and Moments::merge.
  void (*count_block)(RowBlock*, bool moments);
  /// Adds the moments of a tile to those of its groups, sixteen groups in each of `into`; usable: nullptr where all rows are.
  /// The bits of moments_slots.
  void (*moments_grouped)(double const* values, std::uint64_t const* usable, GroupedTile const&, MomentRow* into);
  /// The rows of a ranked tile that lie between knots: their cells are even and below end_cell.  Returns how many.
  int (*gap_rows)(std::uint32_t const* cells, std::uint64_t const* keys, int rows, std::uint32_t end_cell, GapRows* out);
  /// Ranks, counts, sums and sketches rows of one group, floats on a grid with records; returns how many lie on knots.
  /// Only where `counts_runs`.
  int (*count_run)(NumericView const&, std::int64_t begin, int rows, GridData const&, std::uint8_t const* valid, RunCounters*);
  /// Keys of those among floats that lie below one key or above another, neither null nor NaN, one after the other; how many.
  int (*keys_beyond)(NumericView const&, std::int64_t begin, int rows, Domain, std::uint8_t const* valid, std::uint64_t below,
                     std::uint64_t above, std::uint64_t* keys);
  /// Adds them to the sums of a grid's gaps.
  void (*add_gaps)(GapRows const&, int count, GridData const&, GapSums*);
  /// Their fractions.
  void (*gap_fractions)(GapRows const&, int count, GridData const&, std::uint64_t* fractions);
  /// Their log-linear buckets and hashes.  whole: whole numbers hash as integers.
  void (*sketch_gaps)(GapRows const&, int count, Domain, bool whole, std::uint32_t* buckets, std::uint64_t* hashes);
  /// Smallest and largest key among ranked rows (cell < end_cell); leaves both alone where there is none.
  void (*key_range)(std::uint32_t const* cells, std::uint64_t const* keys, int rows, std::uint32_t end_cell, std::uint64_t* low,
                    std::uint64_t* high);
  /// Adds rows [begin, begin + rows) to the counters of a histogram, less than 2^31 at a time; the lookup is used where it
  /// is usable and the instruction set has it.
  void (*count_binned)(NumericView const&, std::int64_t begin, std::int64_t rows, BinRule const&, BinCounters const&);
  /// Adds what the rows of a tile are to `out`; keys are of the domain that the storage has of its own.
  void (*survey_tile)(NumericView const&, std::int64_t begin, int rows, std::uint8_t const* valid, ValueKinds* out);
  /// Keys, in a domain that fits the storage, of the rows that have a value, one after the other; how many they are.
  int (*key_tile)(NumericView const&, std::int64_t begin, int rows, Domain, std::uint8_t const* valid, std::uint64_t* keys);
  /// The counter of the piece that each key lies in.
  void (*split_keys)(std::uint64_t const* keys, int count, IntervalPlaces const&, std::uint32_t* counters);
  /// The keys that a filter lets through, one after the other; how many they are.
  int (*filter_keys)(std::uint64_t const* keys, int count, KeyFilter const&, std::uint64_t* out);
  /// Log-linear buckets of the rows that have a value (neither null nor NaN), one after the other; how many they are.
  int (*bucket_tile)(NumericView const&, std::int64_t begin, int rows, std::uint8_t const* valid, std::uint32_t* buckets);
  /// The hashes of these rows, as core/sketch_rule.hpp makes them; how many they are.
  int (*hash_tile)(NumericView const&, std::int64_t begin, int rows, std::uint8_t const* valid, std::uint64_t* hashes);
  /// Adds one to the counter of each of these buckets, up to the first for which there is none; returns how many it added.
  int (*count_buckets)(std::uint32_t const* buckets, int count, BucketPages const&, std::uint64_t* counters);
  /// Takes hashes into kRegisters registers.
  void (*raise_registers)(std::uint64_t const* hashes, int count, std::uint8_t* ranks);
  /// Counts float32 rows by the upper half of their bits into one of two tables of kHalves + 1 counters, `stride` apart,
  /// and returns 1; returns 0 and counts nothing where such a half does not tell the bucket of a row.
  int (*count_halves)(NumericView const&, std::int64_t begin, int rows, std::uint8_t const* valid, std::uint32_t* counters,
                      std::uint32_t stride);
  /// Adds the cosines and sines of rows of angles, of twice of them, of four times of them ... to the sums of each row's hand:
  /// hands x kFeatureScales x {cosine, sine} x frequencies.  `order`: the rows, in the order in which they are added; neighbours
  /// of one hand are added up in float, by twos and at most 256 of them.  |angles| < 2^30.
  void (*add_features)(float const* angles, int rows, int frequencies, std::int32_t const* order, std::int32_t const* hand, double* sums);
  /// Rows less a centre, and the squared length of each row about the centre and about the origin.
  void (*center_rows_f32)(float const* values, std::int64_t rows, std::int64_t dimensions, float const* center, float* centered,
                          double* squares, double* lengths);
  void (*center_rows_f64)(double const* values, std::int64_t rows, std::int64_t dimensions, double const* center, double* centered,
                          double* squares, double* lengths);
  /// Adds rows less a centre to the totals of their groups, in float64: as they lie, or in an order.
  void (*add_rows_f32)(float const* values, std::int64_t rows, std::int64_t dimensions, float const* center, std::int64_t const* order,
                       std::int64_t const* group, double* totals);
  void (*add_rows_f64)(double const* values, std::int64_t rows, std::int64_t dimensions, double const* center, std::int64_t const* order,
                       std::int64_t const* group, double* totals);
  /// What find_texts looks values up by.  Only where `finds_texts`, and so is the next.
  std::uint64_t (*hash_text)(char const* bytes, std::uint32_t size);
  /// Numbers of values in a table whose hashes hash_text made, TextSlot::kAbsent where it has none, and their hashes.  Nothing
  /// is read beyond a value's end.  rows <= kTextRows.
  void (*find_texts)(char const* const* bytes, std::uint32_t const* sizes, int rows, TextSlots const&, std::uint32_t* numbers,
                     std::uint64_t* hashes);
  /// hash_bytes of values, some of them at a time.  Nothing is read beyond a value's end.
  void (*hash_values)(char const* const* bytes, std::uint32_t const* sizes, int rows, std::uint64_t* hashes);
};

/// The table chosen at import: the best the machine has, or the one named by MODELWATCH_ISA.
KernelTable const& kernels();

}  // namespace modelwatch::cpu
