#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <vector>

#include "core/error.hpp"
#include "core/views.hpp"
#include "engine/grid.hpp"

namespace modelwatch {

/// Called now and then by what takes long; throws to stop it.
using Poll = std::function<void()>;

/// Whether values of a storage can be compared with knots of a domain.
bool fits(Storage storage, Domain domain);

/// One byte per row of a tile in `valid`, which is returned, or nullptr where all of them are valid.
std::uint8_t const* valid_rows(Validity const& validity, std::int64_t begin, int rows, std::uint8_t* valid);
inline std::uint8_t const* valid_rows(NumericView const& column, std::int64_t begin, int rows, std::uint8_t* valid) {
  return valid_rows(column.validity, begin, rows, valid);
}

/// How many values of a column fall into each slot of a grid; rows are divided among the threads.
std::vector<std::uint64_t> count_cells(NumericView const& column, Grid const& grid, int threads, Poll const& poll);

/// The cell of every row.
std::vector<std::uint32_t> rank_cells(NumericView const& column, Grid const& grid);

/// Throws InvalidInput where there is a NaN: sorted values without it always come to an end.
template <class Value>
void check_no_nan(Value const* values, std::int64_t rows) {
  bool ordered = true;
  for (std::int64_t i = 0; i < rows; ++i) ordered &= values[i] == values[i];
  if (!ordered) throw InvalidInput("sorted values hold no NaN.");
}

/// The largest |i m - j n| where i of n and j of m sorted values are at or below any one: n m times their
/// Kolmogorov-Smirnov distance.  Without NaN; n m < 2^62.  Value is float, double, std::int64_t or std::uint64_t.
template <class Value>
std::int64_t sup_distance(Value const* a, std::int64_t n, Value const* b, std::int64_t m) {
  std::int64_t i = 0;
  std::int64_t j = 0;
  std::int64_t most = 0;
  auto const look = [&] {
    std::int64_t const apart = i * m - j * n;
    most = std::max(most, apart < 0 ? -apart : apart);
  };
  Value x{};
  while (i < n && j < m) {
    x = a[i] < b[j] ? a[i] : b[j];
    i += a[i] == x ? 1 : 0;
    j += b[j] == x ? 1 : 0;
    // Not among equal values: there neither side has reached its count.
    if (i < n && j < m && a[i] != x && b[j] != x) look();
  }
  // One side has ended; whatever the other still has brings them together, but for what is equal to the last value.
  while (i > 0 && i < n && a[i] == x) ++i;
  while (j > 0 && j < m && b[j] == x) ++j;
  look();
  return most;
}

/// Throws InvalidInput unless sup_distance can be told of two columns: of one of its types, without nulls, n m < 2^62.
void check_sorted_sides(NumericView const& a, NumericView const& b);
/// Throws InvalidInput unless n m < 2^62.
void check_pairs(std::int64_t n, std::int64_t m);

struct Intervals {
  std::vector<std::int32_t> of_row;  // boundaries <= value, minus 1; as many as there are intervals for a row outside or null
  std::vector<std::int64_t> rows;    // of each interval, then outside
};

/// Throws InvalidInput unless times are integers and boundaries strictly increasing.
void check_intervals(NumericView const& values, std::vector<std::int64_t> const& boundaries);

/// Which of the intervals between neighbouring boundaries does each row lie in?  They hold their lower end.
Intervals interval_of(NumericView const& values, std::vector<std::int64_t> const& boundaries);

/// The pairs a[i] * many + b[i] that occur and whose number is negative, increasing.  Throws InvalidInput where a pair has none.
std::vector<std::int64_t> unknown_pairs(std::int32_t const* a, std::int32_t const* b, std::int64_t many, std::int64_t rows,
                                        std::int32_t const* numbers, std::int64_t pairs);

/// out[i] = numbers[a[i] * many + b[i]]; whether none of these is negative, and then each is counted in `counts`.  Throws
/// InvalidInput, and counts nothing, where a pair has no number or a number no counter.
bool known_groups(std::int32_t const* a, std::int32_t const* b, std::int64_t many, std::int64_t rows, std::int32_t const* numbers,
                  std::int64_t pairs, std::int64_t* counts, std::int64_t counters, std::int32_t* out);

/// numbers[i] = to[numbers[i]].  Throws InvalidInput, and changes nothing, where one is not below `many`.
void renumber(std::int32_t* numbers, std::int64_t rows, std::int32_t const* to, std::int64_t many);

}  // namespace modelwatch
