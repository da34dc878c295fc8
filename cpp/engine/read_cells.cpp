#include "engine/read_cells.hpp"

#include <algorithm>

#include "core/error.hpp"

namespace modelwatch {
namespace {

/// The end of a group's cells: missing rows, if there are any, are its last two entries.
template <class Index>
std::int64_t end_of_cells(Index const* index, std::int64_t begin, std::int64_t end, std::int64_t size) {
  while (end > begin && static_cast<std::int64_t>(index[end - 1]) >= size) --end;
  return end;
}

template <class Index, class Value>
void read_counts(KeptCells const& kept, Index const* index, Value const* value, ReadCells const& out) {
  std::int64_t at = 0;
  out.begin[0] = 0;
  for (std::size_t g = 0; g < kept.groups; ++g) {
    std::int64_t const begin = kept.cells.begin[g];
    std::int64_t const stop = kept.cells.begin[g + 1];
    std::int64_t const end = end_of_cells(index, begin, stop, kept.size);
    for (std::int64_t i = begin; i < end; ++i, ++at) {
      out.cell[at] = static_cast<std::int64_t>(index[i]);
      out.count[at] = static_cast<std::int64_t>(value[i]);
    }
    out.nan[g] = out.null[g] = 0;
    for (std::int64_t i = end; i < stop; ++i) {
      auto const missing = static_cast<std::int64_t>(index[i]) - kept.size;
      if (missing == 0) out.nan[g] = static_cast<std::int64_t>(value[i]);
      if (missing == 1) out.null[g] = static_cast<std::int64_t>(value[i]);
    }
    out.begin[g + 1] = at;
  }
}

template <class Index, class Value>
void read_offsets(KeptCells const& kept, Index const* index, Value const* value, ReadCells const& out) {
  for (std::size_t g = 0; g < kept.groups; ++g) {
    std::int64_t gap = kept.gaps->begin[g];
    std::int64_t const last = kept.gaps->begin[g + 1];
    for (std::int64_t i = out.begin[g]; i < out.begin[g + 1]; ++i) {
      out.offset[i] = 0;
      if (out.cell[i] % 2 != 0) continue;
      std::int64_t const wanted = out.cell[i] / 2;
      while (gap < last && static_cast<std::int64_t>(index[gap]) < wanted) ++gap;
      if (gap < last && static_cast<std::int64_t>(index[gap]) == wanted) out.offset[i] = static_cast<std::uint64_t>(value[gap]);
    }
  }
}

}  // namespace

std::size_t cells_among(KeptCells const& kept) {
  return with_elements(kept.cells.index, [&](auto const* index) {
    std::int64_t many = 0;
    for (std::size_t g = 0; g < kept.groups; ++g) {
      std::int64_t const begin = kept.cells.begin[g];
      many += end_of_cells(index, begin, kept.cells.begin[g + 1], kept.size) - begin;
    }
    return static_cast<std::size_t>(many);
  });
}

void read_cells(KeptCells const& kept, ReadCells const& out) {
  with_elements(kept.cells.index, [&](auto const* index) {
    with_elements(kept.cells.value, [&](auto const* value) { read_counts(kept, index, value, out); });
  });
  if (kept.gaps == nullptr) return;
  with_elements(kept.gaps->index, [&](auto const* index) {
    with_elements(kept.gaps->value, [&](auto const* value) { read_offsets(kept, index, value, out); });
  });
}

void find_cells(OccupiedCells const& cells, std::int64_t const* group, std::int64_t const* wanted, std::size_t many,
                std::int64_t* place) {
  for (std::size_t i = 0; i < many; ++i) {
    if (group[i] < 0 || static_cast<std::size_t>(group[i]) >= cells.groups) throw InvalidInput("there is no such group.");
    std::int64_t const* const begin = cells.cell + cells.begin[group[i]];
    std::int64_t const* const end = cells.cell + cells.begin[group[i] + 1];
    place[i] = std::upper_bound(begin, end, wanted[i]) - cells.cell;
  }
}

void rows_on_knots(OccupiedCells const& cells, std::int64_t* occupied, std::int64_t* upto) {
  std::int64_t rows = 0;
  upto[0] = 0;
  for (std::size_t g = 0; g < cells.groups; ++g) {
    std::int64_t knots = 0;
    for (std::int64_t i = cells.begin[g]; i < cells.begin[g + 1]; ++i) {
      std::int64_t const knot = cells.cell[i] & 1;
      knots += knot;
      rows += knot * cells.count[i];
      upto[i + 1] = rows;
    }
    occupied[g] = knots;
  }
}

void count_registers(std::uint8_t const* registers, std::size_t rows, std::size_t width, std::size_t size,
                     std::int64_t* counts) {
  // Two tables, since neighbours are often equal, and one would wait for the other.
  std::vector<std::int64_t> table(512);
  for (std::size_t row = 0; row < rows; ++row, registers += width) {
    std::fill(table.begin(), table.end(), 0);
    for (std::size_t i = 0; i < width; ++i) ++table[(i % 2) * 256 + registers[i]];
    for (std::size_t number = 0; number < size; ++number)
      counts[row * size + number] = number < 256 ? table[number] + table[256 + number] : 0;
  }
}

}  // namespace modelwatch
