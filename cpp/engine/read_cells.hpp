#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/distances.hpp"
#include "engine/merge.hpp"

namespace modelwatch {

/// Entries of groups as tables keep them: those of group g are [begin[g], begin[g + 1]), by increasing index.
struct KeptRows {
  std::int64_t const* begin;
  UnsignedView index;
  UnsignedView value;
};

/// What is to be read: `groups` of a numeric table whose grid has `size` cells, so that index `size` counts NaN and
/// `size` + 1 null.  `gaps`: sums of offsets by gap, of the same groups; nullptr where they are not asked for.
struct KeptCells {
  std::size_t groups;
  std::int64_t size;
  KeptRows cells;
  KeptRows const* gaps;
};

/// How many of the entries are cells, not missing rows.
std::size_t cells_among(KeptCells const& kept);

/// Where the cells go: `begin` (groups + 1), `cell`, `count` and `offset` (`cells_among`; `offset` only with gaps, 0 for
/// knots and gaps without a sum), `nan` and `null` (groups).
struct ReadCells {
  std::int64_t* begin;
  std::int64_t* cell;
  std::int64_t* count;
  std::uint64_t* offset;
  std::int64_t* nan;
  std::int64_t* null;
};
void read_cells(KeptCells const& kept, ReadCells const& out);

/// For each of `many` pairs of a group and a cell where the first entry of the group stands whose cell lies beyond it.
/// Throws InvalidInput for a group that is not there.
void find_cells(OccupiedCells const& cells, std::int64_t const* group, std::int64_t const* wanted, std::size_t many,
                std::int64_t* place);

/// `occupied` (groups): how many knots have rows. `upto` (entries + 1): rows on knots before each entry and after the
/// last, of all groups in one line.
void rows_on_knots(OccupiedCells const& cells, std::int64_t* occupied, std::int64_t* upto);

/// `counts` (rows, `size`): how often each number occurs in each row of `width` registers; those from `size` on are left
/// out.
void count_registers(std::uint8_t const* registers, std::size_t rows, std::size_t width, std::size_t size,
                     std::int64_t* counts);

}  // namespace modelwatch
