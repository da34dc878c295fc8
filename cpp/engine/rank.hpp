#pragma once

#include <cstdint>
#include <functional>
#include <vector>

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

struct Intervals {
  std::vector<std::int32_t> of_row;  // boundaries <= value, minus 1; as many as there are intervals for a row outside or null
  std::vector<std::int64_t> rows;    // of each interval, then outside
};

/// Which of the intervals between neighbouring boundaries does each row lie in?  They hold their lower end.  Boundaries
/// are strictly increasing.
Intervals interval_of(NumericView const& values, std::vector<std::int64_t> const& boundaries);

}  // namespace modelwatch
