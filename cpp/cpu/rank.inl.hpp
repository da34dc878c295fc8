// The cell of every row: part of kernels.inl.hpp.

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

void mark_nulls(std::uint8_t const* valid, int rows, std::uint32_t null_slot, std::uint32_t* cells) {
  if (valid == nullptr) return;
  for (int i = 0; i < rows; ++i) cells[i] = valid[i] != 0 ? cells[i] : null_slot;
}

/// Rows that search side by side: enough to hide the latency of a load, few enough to stay in registers and L1.
constexpr int kStrip = 64;

/// Keeps a loop of table look-ups from being made a vector one: without a fast gather, taking vectors apart and putting
/// them together again costs more than the look-ups.
#define MW_SCALAR(x) asm("" : "+r"(x))

/// As many halvings as the rule says.
constexpr int kAnySteps = 64;

/// kSteps: how many halvings every search takes; -1: as many as the rule says, over tables that are far away.
template <class Stored, class Value, int kSteps>
void rank_values(NumericView const& column, std::int64_t begin, int rows, GridData const& grid, std::uint8_t const* valid,
                 std::uint32_t* cells, std::uint64_t* keys) {
  using Keys = KeyOf<Value>;
  using Key = typename Keys::Key;
  GridRule<Value> rule = rule_of<Value>(grid);
  if constexpr (kSteps >= 0 && kSteps != kAnySteps) rule.steps = kSteps;
  Stored const* const values = static_cast<Stored const*>(column.values) + begin;
  Key own[kStrip];
  std::uint32_t below[kStrip];
  std::uint32_t missing = 0;
  bool const by_value = rule.scale > Value{0};
  for (int first = 0; first < rows; first += kStrip) {
    int const n = rows - first < kStrip ? rows - first : kStrip;
    for (int i = 0; i < n; ++i) {
      Value const x = static_cast<Value>(values[first + i]);
      bool const nan = Keys::missing(x);
      missing |= static_cast<std::uint32_t>(nan);
      own[i] = nan ? Keys::kLowest : Keys::key(x);
    }
    if (by_value)
      for (int i = 0; i < n; ++i) {
        Value const x = static_cast<Value>(values[first + i]);
        below[i] = rule.bucket_by_value(Keys::missing(x) ? rule.origin : x);
      }
    else
      for (int i = 0; i < n; ++i) below[i] = rule.bucket_by_key(own[i]);
    for (int i = 0; i < n; ++i) keys[first + i] = own[i];
#ifdef MW_AVX512
    cells_of(rule, grid, below, own, n, cells + first);
#else
    if constexpr (kSteps >= 0) {
      // Few enough look-ups for the machine to have several rows under way.
#pragma GCC unroll 4
      for (int i = 0; i < n; ++i) {
        std::uint32_t at = below[i];
        MW_SCALAR(at);
        cells[first + i] = rule.cell(grid.near_guide[at], own[i]);
      }
    } else {
      // Breadth first: a search is a chain of dependent loads, but the rows of a strip search side by side.
      for (int i = 0; i < n; ++i) {
        std::uint32_t at = below[i];
        MW_SCALAR(at);
        below[i] = rule.guide[at];
      }
      std::uint32_t step = (1u << rule.steps) >> 1;
      rule.steps = 1;  // the last halving goes with the cell
      for (; step > 1; step >>= 1)
        for (int i = 0; i < n; ++i) {
          std::uint32_t at = below[i];
          MW_SCALAR(at);
          below[i] = rule.halved(at, step, own[i]);
        }
      for (int i = 0; i < n; ++i) {
        std::uint32_t at = below[i];
        MW_SCALAR(at);
        cells[first + i] = rule.cell(at, own[i]);
      }
      rule.steps = grid.steps;
    }
#endif
  }
  if (missing != 0)
    for (int i = 0; i < rows; ++i) cells[i] = Keys::missing(static_cast<Value>(values[i])) ? rule.nan_slot() : cells[i];
  mark_nulls(valid, rows, rule.null_slot(), cells);
}

template <class Stored, class Value>
void rank_values(NumericView const& column, std::int64_t begin, int rows, GridData const& grid, std::uint8_t const* valid,
                 std::uint32_t* cells, std::uint64_t* keys) {
  // Rows one by one while the tables stay in the cache.
  switch (grid.near_guide != nullptr ? grid.steps : -1) {
    case 0: return rank_values<Stored, Value, 0>(column, begin, rows, grid, valid, cells, keys);
    case 1: return rank_values<Stored, Value, 1>(column, begin, rows, grid, valid, cells, keys);
    case 2: return rank_values<Stored, Value, 2>(column, begin, rows, grid, valid, cells, keys);
    case 3: return rank_values<Stored, Value, 3>(column, begin, rows, grid, valid, cells, keys);
    case -1: return rank_values<Stored, Value, -1>(column, begin, rows, grid, valid, cells, keys);
    default: return rank_values<Stored, Value, kAnySteps>(column, begin, rows, grid, valid, cells, keys);
  }
}

template <class Stored>
void rank_integers(NumericView const& column, std::int64_t begin, int rows, GridData const& grid, std::uint8_t const* valid,
                   std::uint32_t* cells, std::uint64_t* keys) {
  if (grid.domain == Domain::float64)
    rank_values<Stored, double>(column, begin, rows, grid, valid, cells, keys);
  else
    rank_values<Stored, std::int64_t>(column, begin, rows, grid, valid, cells, keys);
}

void rank_tile(NumericView const& column, std::int64_t begin, int rows, GridData const& grid, std::uint8_t const* valid,
               std::uint32_t* cells, std::uint64_t* keys) {
  switch (column.storage) {
    case Storage::int8: return rank_integers<std::int8_t>(column, begin, rows, grid, valid, cells, keys);
    case Storage::int16: return rank_integers<std::int16_t>(column, begin, rows, grid, valid, cells, keys);
    case Storage::int32: return rank_integers<std::int32_t>(column, begin, rows, grid, valid, cells, keys);
    case Storage::int64: return rank_values<std::int64_t, std::int64_t>(column, begin, rows, grid, valid, cells, keys);
    case Storage::uint8: return rank_integers<std::uint8_t>(column, begin, rows, grid, valid, cells, keys);
    case Storage::uint16: return rank_integers<std::uint16_t>(column, begin, rows, grid, valid, cells, keys);
    case Storage::uint32: return rank_integers<std::uint32_t>(column, begin, rows, grid, valid, cells, keys);
    case Storage::uint64: return rank_values<std::uint64_t, std::uint64_t>(column, begin, rows, grid, valid, cells, keys);
    case Storage::float32:
      if (grid.domain == Domain::float64) return rank_values<float, double>(column, begin, rows, grid, valid, cells, keys);
      return rank_values<float, float>(column, begin, rows, grid, valid, cells, keys);
    case Storage::float64: return rank_values<double, double>(column, begin, rows, grid, valid, cells, keys);
  }
}

/// Wide: in which no difference between the table's ends and a value in range overflows.
template <class Stored, class Wide>
void rank_in_table(Stored const* values, int rows, CellTable const& table, std::uint32_t* cells) {
  auto const first = static_cast<Wide>(table.first);
  auto const last = static_cast<Wide>(table.last);
  for (int i = 0; i < rows; ++i) {
    Wide x = static_cast<Wide>(values[i]);
    x = x < first ? first : x;
    x = x > last ? last : x;
    cells[i] = static_cast<std::uint32_t>(x - first);
  }
  for (int i = 0; i < rows; ++i) {
    std::uint32_t at = cells[i];
    MW_SCALAR(at);
    cells[i] = table.cells[at];
  }
}

template <class Stored>
void rank_by_table_of(NumericView const& column, std::int64_t begin, int rows, CellTable const& table, std::uint32_t null_slot,
                      std::uint8_t const* valid, std::uint32_t* cells, std::uint64_t* keys) {
  Stored const* const values = static_cast<Stored const*>(column.values) + begin;
  constexpr std::int64_t kNarrow = std::int64_t{1} << 30;
  constexpr bool kFits = sizeof(Stored) < 4 || (sizeof(Stored) == 4 && static_cast<Stored>(-1) < Stored{0});
  if (kFits && table.first > -kNarrow && table.last < kNarrow)
    rank_in_table<Stored, std::int32_t>(values, rows, table, cells);
  else
    rank_in_table<Stored, std::int64_t>(values, rows, table, cells);
  for (int i = 0; i < rows; ++i) keys[i] = KeyOf<std::int64_t>::key(static_cast<std::int64_t>(values[i]));
  mark_nulls(valid, rows, null_slot, cells);
}

void rank_by_table(NumericView const& column, std::int64_t begin, int rows, CellTable const& table, std::uint32_t null_slot,
                   std::uint8_t const* valid, std::uint32_t* cells, std::uint64_t* keys) {
  switch (column.storage) {
    case Storage::int8: return rank_by_table_of<std::int8_t>(column, begin, rows, table, null_slot, valid, cells, keys);
    case Storage::int16: return rank_by_table_of<std::int16_t>(column, begin, rows, table, null_slot, valid, cells, keys);
    case Storage::int32: return rank_by_table_of<std::int32_t>(column, begin, rows, table, null_slot, valid, cells, keys);
    case Storage::int64: return rank_by_table_of<std::int64_t>(column, begin, rows, table, null_slot, valid, cells, keys);
    case Storage::uint8: return rank_by_table_of<std::uint8_t>(column, begin, rows, table, null_slot, valid, cells, keys);
    case Storage::uint16: return rank_by_table_of<std::uint16_t>(column, begin, rows, table, null_slot, valid, cells, keys);
    case Storage::uint32: return rank_by_table_of<std::uint32_t>(column, begin, rows, table, null_slot, valid, cells, keys);
    default: return;  // an int64 grid has no other values
  }
}

}  // namespace
}  // namespace modelwatch::cpu
