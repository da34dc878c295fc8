// The CPU kernels.  Compiled once per instruction set; the including file names the table.
// No standard library in here, and every function is static: see macros.hpp for the reason.

#include <cstdint>

#include "core/grid_rule.hpp"
#include "core/key.hpp"
#include "core/moments.hpp"
#include "core/offset_rule.hpp"
#include "core/views.hpp"
#include "cpu/histogram.inl.hpp"
#include "cpu/kernel_table.hpp"

namespace modelwatch::cpu {
namespace {

template <class Value>
MW_HD GridRule<Value> rule_of(GridData const& grid) {
  using Key = typename KeyOf<Value>::Key;
  return {static_cast<Key const*>(grid.knots), grid.guide,
          grid.count,                          grid.buckets,
          static_cast<Key>(grid.first),        grid.shift,
          static_cast<Value>(grid.origin),     static_cast<Value>(grid.scale),
          grid.steps};
}

/// Rows that search side by side: enough to hide the latency of a load, few enough to stay in registers and L1.
constexpr int kStrip = 64;

template <class Stored, class Value>
void rank_values(NumericView const& column, std::int64_t begin, int rows, GridData const& grid, std::uint32_t* cells,
                 std::uint64_t* keys) {
  using Keys = KeyOf<Value>;
  using Key = typename Keys::Key;
  GridRule<Value> const rule = rule_of<Value>(grid);
  Stored const* const values = static_cast<Stored const*>(column.values) + begin;
  // Breadth first: a search is a chain of dependent loads, but the rows of a strip search side by side.
  Key own[kStrip];
  std::uint32_t below[kStrip];
  std::uint32_t end[kStrip];
  for (int first = 0; first < rows; first += kStrip) {
    int const n = rows - first < kStrip ? rows - first : kStrip;
    for (int i = 0; i < n; ++i) {
      Value const x = static_cast<Value>(values[first + i]);
      bool const missing = Keys::missing(x);
      own[i] = missing ? Key{0} : Keys::key(x);
      end[i] = rule.bucket_of(missing ? rule.origin : x, own[i]);
    }
    for (int i = 0; i < n; ++i) {
      keys[first + i] = own[i];
      below[i] = rule.guide[end[i]];
      end[i] = rule.guide[end[i] + 1];
    }
    for (std::uint32_t step = (1u << rule.steps) >> 1; step != 0; step >>= 1)
      for (int i = 0; i < n; ++i) below[i] = rule.halved(below[i], end[i], step, own[i]);
    for (int i = 0; i < n; ++i)
      cells[first + i] = Keys::missing(static_cast<Value>(values[first + i])) ? rule.nan_slot() : rule.cell_above(below[i], own[i]);
  }
  if (column.validity.bits == nullptr) return;
  std::uint32_t const null_slot = rule.null_slot();
  for (int i = 0; i < rows; ++i) cells[i] = column.validity.valid(begin + i) ? cells[i] : null_slot;
}

template <class Stored>
void rank_integers(NumericView const& column, std::int64_t begin, int rows, GridData const& grid, std::uint32_t* cells,
                   std::uint64_t* keys) {
  if (grid.domain == Domain::float64)
    rank_values<Stored, double>(column, begin, rows, grid, cells, keys);
  else
    rank_values<Stored, std::int64_t>(column, begin, rows, grid, cells, keys);
}

void rank_tile(NumericView const& column, std::int64_t begin, int rows, GridData const& grid, std::uint32_t* cells,
               std::uint64_t* keys) {
  switch (column.storage) {
    case Storage::int8: return rank_integers<std::int8_t>(column, begin, rows, grid, cells, keys);
    case Storage::int16: return rank_integers<std::int16_t>(column, begin, rows, grid, cells, keys);
    case Storage::int32: return rank_integers<std::int32_t>(column, begin, rows, grid, cells, keys);
    case Storage::int64: return rank_values<std::int64_t, std::int64_t>(column, begin, rows, grid, cells, keys);
    case Storage::uint8: return rank_integers<std::uint8_t>(column, begin, rows, grid, cells, keys);
    case Storage::uint16: return rank_integers<std::uint16_t>(column, begin, rows, grid, cells, keys);
    case Storage::uint32: return rank_integers<std::uint32_t>(column, begin, rows, grid, cells, keys);
    case Storage::uint64: return rank_values<std::uint64_t, std::uint64_t>(column, begin, rows, grid, cells, keys);
    case Storage::float32:
      if (grid.domain == Domain::float64) return rank_values<float, double>(column, begin, rows, grid, cells, keys);
      return rank_values<float, float>(column, begin, rows, grid, cells, keys);
    case Storage::float64: return rank_values<double, double>(column, begin, rows, grid, cells, keys);
  }
}

void count_one(std::uint32_t const* cells, int rows, std::uint32_t* counters) {
  for (int i = 0; i < rows; ++i) ++counters[cells[i]];
}

void count_groups(std::uint32_t const* cells, std::int32_t const* groups, int rows, std::uint32_t* const* counters) {
  for (int i = 0; i < rows; ++i) ++counters[groups[i]][cells[i]];
}

void map_cells(std::uint32_t const* cells, int rows, std::uint32_t const* map, std::uint32_t* out) {
  for (int i = 0; i < rows; ++i) out[i] = map[cells[i]];
}

template <class Stored>
void load_floats(NumericView const& column, std::int64_t begin, int rows, double* values, std::uint8_t* usable) {
  Stored const* const stored = static_cast<Stored const*>(column.values) + begin;
  for (int i = 0; i < rows; ++i) {
    bool const finite = KeyOf<Stored>::finite(stored[i]);
    usable[i] = static_cast<std::uint8_t>(finite);
    values[i] = finite ? static_cast<double>(stored[i]) : 0.0;
  }
}

/// The pivot is taken off before the conversion, so integers beyond 2^53 keep their distances.
template <class Stored, class Wide>
void load_integers(NumericView const& column, std::int64_t begin, int rows, Wide pivot, double* values, std::uint8_t* usable) {
  Stored const* const stored = static_cast<Stored const*>(column.values) + begin;
  for (int i = 0; i < rows; ++i) {
    values[i] = static_cast<double>(static_cast<Wide>(stored[i]) - pivot);
    usable[i] = 1;
  }
}

/// In 64 bits where neither side can overflow, else in 128.
template <class Stored>
void load_signed(NumericView const& column, std::int64_t begin, int rows, std::int64_t pivot, double* values,
                 std::uint8_t* usable) {
  constexpr std::int64_t kSafe = std::int64_t{1} << 62;
  if (sizeof(Stored) < 8 && pivot > -kSafe && pivot < kSafe)
    load_integers<Stored, std::int64_t>(column, begin, rows, pivot, values, usable);
  else
    load_integers<Stored, __int128>(column, begin, rows, pivot, values, usable);
}

void load_tile(NumericView const& column, std::int64_t begin, int rows, Domain domain, std::uint64_t pivot_key, double* values,
               std::uint8_t* usable) {
  // Float columns have no pivot; an integer column read on a float grid is exact in double and has none either.
  std::uint64_t const pivot = domain == Domain::int64    ? pivot_key ^ KeyOf<std::int64_t>::kSign
                              : domain == Domain::uint64 ? pivot_key
                                                         : 0;
  switch (column.storage) {
    case Storage::int8: load_signed<std::int8_t>(column, begin, rows, static_cast<std::int64_t>(pivot), values, usable); break;
    case Storage::int16: load_signed<std::int16_t>(column, begin, rows, static_cast<std::int64_t>(pivot), values, usable); break;
    case Storage::int32: load_signed<std::int32_t>(column, begin, rows, static_cast<std::int64_t>(pivot), values, usable); break;
    case Storage::int64: load_signed<std::int64_t>(column, begin, rows, static_cast<std::int64_t>(pivot), values, usable); break;
    case Storage::uint8: load_signed<std::uint8_t>(column, begin, rows, static_cast<std::int64_t>(pivot), values, usable); break;
    case Storage::uint16: load_signed<std::uint16_t>(column, begin, rows, static_cast<std::int64_t>(pivot), values, usable); break;
    case Storage::uint32: load_signed<std::uint32_t>(column, begin, rows, static_cast<std::int64_t>(pivot), values, usable); break;
    case Storage::uint64: load_integers<std::uint64_t, __int128>(column, begin, rows, pivot, values, usable); break;
    case Storage::float32: load_floats<float>(column, begin, rows, values, usable); break;
    case Storage::float64: load_floats<double>(column, begin, rows, values, usable); break;
  }
  if (column.validity.bits == nullptr) return;
  for (int i = 0; i < rows; ++i)
    if (!column.validity.valid(begin + i)) {
      usable[i] = 0;
      values[i] = 0.0;
    }
}

MW_HD void clear(MomentLanes& lanes) {
  for (int lane = 0; lane < kLanes; ++lane) {
    lanes.count[lane] = 0;
    lanes.sum[lane] = lanes.d1[lane] = lanes.d2[lane] = lanes.d3[lane] = lanes.d4[lane] = 0.0;
  }
}

/// An unusable row is 0.0 in `values`, and adding 0.0 (or a deviation multiplied by 0) changes no bit of a lane.
void moments_one(double const* values, std::uint8_t const* usable, int rows, MomentLanes* lanes, Moments* out) {
  MomentLanes mine;
  clear(mine);
  int const whole = rows - rows % kLanes;
  for (int row = 0; row < whole; row += kLanes)
    for (int lane = 0; lane < kLanes; ++lane) {
      mine.count[lane] += usable[row + lane];
      mine.sum[lane] += values[row + lane];
    }
  for (int row = whole; row < rows; ++row) {
    mine.count[row - whole] += usable[row];
    mine.sum[row - whole] += values[row];
  }
  Moments tile = tile_mean(mine);
  for (int row = 0; row < whole; row += kLanes)
    for (int lane = 0; lane < kLanes; ++lane)
      add_deviation(mine, lane, usable[row + lane] != 0 ? values[row + lane] - tile.mean : 0.0);
  for (int row = whole; row < rows; ++row) add_deviation(mine, row - whole, usable[row] != 0 ? values[row] - tile.mean : 0.0);
  tile_finish(mine, tile);
  *lanes = mine;
  *out = tile;
}

/// kWeighted: row i counts weights[i] times.
template <bool kWeighted>
void moments_of_slots(double const* values, std::uint8_t const* usable, std::int32_t const* slots, std::uint32_t const* weights, int rows,
                      int slot_count, MomentLanes* lanes, Moments* out) {
  for (int slot = 0; slot < slot_count; ++slot) clear(lanes[slot]);
  for (int row = 0; row < rows; ++row) {
    if (slots[row] < 0) continue;
    MomentLanes& mine = lanes[slots[row]];
    std::uint32_t const times = kWeighted ? weights[row] : 1;
    mine.count[row % kLanes] += usable[row] * std::uint64_t{times};
    mine.sum[row % kLanes] += kWeighted ? values[row] * times : values[row];
  }
  for (int slot = 0; slot < slot_count; ++slot) out[slot] = tile_mean(lanes[slot]);
  for (int row = 0; row < rows; ++row) {
    std::int32_t const slot = slots[row];
    if (slot < 0 || usable[row] == 0) continue;
    if constexpr (kWeighted)
      add_deviation(lanes[slot], row % kLanes, values[row] - out[slot].mean, static_cast<double>(weights[row]));
    else
      add_deviation(lanes[slot], row % kLanes, values[row] - out[slot].mean);
  }
  for (int slot = 0; slot < slot_count; ++slot) tile_finish(lanes[slot], out[slot]);
}

void moments_slots(double const* values, std::uint8_t const* usable, std::int32_t const* slots, std::uint32_t const* weights, int rows,
                   int slot_count, MomentLanes* lanes, Moments* out) {
  if (weights != nullptr)
    moments_of_slots<true>(values, usable, slots, weights, rows, slot_count, lanes, out);
  else
    moments_of_slots<false>(values, usable, slots, weights, rows, slot_count, lanes, out);
}

template <class Value>
int gap_rows_of(std::uint32_t const* cells, std::uint64_t const* keys, int rows, GridData const& grid, std::uint32_t first_gap,
                std::uint32_t last_gap, GapRow* out) {
  using Keys = KeyOf<Value>;
  using Key = typename Keys::Key;
  Key const* const knots = static_cast<Key const*>(grid.knots);
  int found = 0;
  for (int i = 0; i < rows; ++i) {
    std::uint32_t const gap = cells[i] >> 1;
    out[found].row = static_cast<std::uint32_t>(i);
    out[found].gap = gap;
    found += (cells[i] & 1u) == 0 && cells[i] <= 2 * grid.count ? 1 : 0;
  }
  for (int i = 0; i < found; ++i) {
    std::uint32_t const gap = out[i].gap;
    out[i].fraction = gap > first_gap && gap < last_gap ? gap_offset(Keys::value(static_cast<Key>(keys[out[i].row])),
                                                                     Keys::value(knots[gap - 1]), Keys::value(knots[gap]))
                                                        : 0;
  }
  return found;
}

int gap_rows(std::uint32_t const* cells, std::uint64_t const* keys, int rows, GridData const& grid, std::uint32_t first_gap,
             std::uint32_t last_gap, GapRow* out) {
  switch (grid.domain) {
    case Domain::float32: return gap_rows_of<float>(cells, keys, rows, grid, first_gap, last_gap, out);
    case Domain::float64: return gap_rows_of<double>(cells, keys, rows, grid, first_gap, last_gap, out);
    case Domain::int64: return gap_rows_of<std::int64_t>(cells, keys, rows, grid, first_gap, last_gap, out);
    case Domain::uint64: return gap_rows_of<std::uint64_t>(cells, keys, rows, grid, first_gap, last_gap, out);
  }
  return 0;
}

void key_range(std::uint32_t const* cells, std::uint64_t const* keys, int rows, std::uint32_t end_cell, std::uint64_t* low,
               std::uint64_t* high) {
  std::uint64_t smallest = *low;
  std::uint64_t largest = *high;
  for (int i = 0; i < rows; ++i) {
    bool const ranked = cells[i] < end_cell;
    std::uint64_t const below = ranked ? keys[i] : smallest;
    std::uint64_t const above = ranked ? keys[i] : largest;
    smallest = below < smallest ? below : smallest;
    largest = above > largest ? above : largest;
  }
  *low = smallest;
  *high = largest;
}

}  // namespace

extern KernelTable const MW_KERNEL_TABLE;
KernelTable const MW_KERNEL_TABLE = {MW_KERNEL_NAME, rank_tile,     count_one, count_groups, map_cells, load_tile,
                                     moments_one,    moments_slots, gap_rows,  key_range, count_binned};

}  // namespace modelwatch::cpu
