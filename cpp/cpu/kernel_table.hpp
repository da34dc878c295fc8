#pragma once
// What the CPU kernels offer, one table per instruction set.  Plain data only: this header is read by the objects
// that are compiled for one instruction set, so nothing in it may leave a copy for the linker to choose from.

#include <cstdint>

#include "core/moments.hpp"
#include "core/views.hpp"
#include "cpu/bin_data.hpp"

namespace modelwatch::cpu {

/// A grid without its key type; `domain` says which one it is.
struct GridData {
  void const* knots;  // padded, see GridRule
  std::uint32_t const* guide;
  std::uint32_t count;
  std::uint32_t buckets;
  std::uint64_t first;
  std::int32_t shift;
  std::int32_t steps;
  double origin;  // of a linear guide, see GridRule
  double scale;   // 0: the guide is over keys
  Domain domain;
};

/// A row that lies strictly between two knots.
struct GapRow {
  std::uint32_t row;       // in the tile
  std::uint32_t gap;       // below knot `gap`
  std::uint64_t fraction;  // offset_rule.hpp
};

struct KernelTable {
  char const* name;
  /// Cells and keys of rows [begin, begin + rows) of a column; rows <= kTileRows.  A missing row has key 0.
  void (*rank_tile)(NumericView const&, std::int64_t begin, int rows, GridData const&, std::uint32_t* cells,
                    std::uint64_t* keys);
  /// counters[cells[i]] += 1
  void (*count_one)(std::uint32_t const* cells, int rows, std::uint32_t* counters);
  /// counters[groups[i]][cells[i]] += 1; every group >= 0 and its counters dense.
  void (*count_groups)(std::uint32_t const* cells, std::int32_t const* groups, int rows, std::uint32_t* const* counters);
  /// out[i] = map[cells[i]]
  void (*map_cells)(std::uint32_t const* cells, int rows, std::uint32_t const* map, std::uint32_t* out);
  /// Values minus the pivot as doubles (0 where unusable) and whether each is finite and present.
  void (*load_tile)(NumericView const&, std::int64_t begin, int rows, Domain, std::uint64_t pivot_key, double* values,
                    std::uint8_t* usable);
  /// Ordered moments of one tile whose rows all belong to one group.
  void (*moments_one)(double const* values, std::uint8_t const* usable, int rows, MomentLanes*, Moments*);
  /// The same for several groups: row i belongs to slots[i] (< 0: none); tiles and lanes have one entry per slot.
  /// weights: how often every row counts, or nullptr (once).
  void (*moments_slots)(double const* values, std::uint8_t const* usable, std::int32_t const* slots, std::uint32_t const* weights,
                        int rows, int slot_count, MomentLanes*, Moments*);
  /// The rows of a ranked tile that lie between knots; those of an inner gap (first_gap < gap < last_gap) with their
  /// fractions, those of a tail with 0.
  int (*gap_rows)(std::uint32_t const* cells, std::uint64_t const* keys, int rows, GridData const&, std::uint32_t first_gap,
                  std::uint32_t last_gap, GapRow* out);
  /// Smallest and largest key among ranked rows (cell < end_cell); leaves both alone where there is none.
  void (*key_range)(std::uint32_t const* cells, std::uint64_t const* keys, int rows, std::uint32_t end_cell, std::uint64_t* low,
                    std::uint64_t* high);
  /// Adds rows [begin, begin + rows) to the counters of a histogram, less than 2^31 at a time; the lookup is used where
  /// it is usable and the instruction set has it.
  void (*count_binned)(NumericView const&, std::int64_t begin, std::int64_t rows, BinGuide const&, BinLookup const&,
                       BinCounters const&);
};

/// The table chosen at import: the best the machine has, or the one named by MODELWATCH_ISA.
KernelTable const& kernels();

}  // namespace modelwatch::cpu
