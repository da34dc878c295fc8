#include "engine/intervals.hpp"

#include <algorithm>

#include "core/error.hpp"

namespace modelwatch {

KeyIntervalArrays pieces_with_rows(std::uint64_t const* low, std::size_t many, int width, int split, std::uint64_t const* rows) {
  std::size_t const pieces = std::size_t{1} << split;
  auto const used = pieces * many - static_cast<std::size_t>(std::count(rows, rows + pieces * many, std::uint64_t{0}));
  KeyIntervalArrays out;
  out.low.reserve(used);
  out.rows.reserve(used);
  out.width.assign(used, width - split);
  for (std::size_t i = 0; i < many; ++i, rows += pieces)
    for (std::size_t piece = 0; piece < pieces; ++piece) {
      if (rows[piece] == 0) continue;
      out.low.push_back(low[i] + (std::uint64_t{piece} << (width - split)));
      out.rows.push_back(rows[piece]);
    }
  return out;
}

KeyIntervalArrays replaced(KeyIntervals const& intervals, std::int64_t const* open, std::size_t many, KeyIntervals const& pieces) {
  for (std::size_t i = 0; i < many; ++i)
    if (open[i] < (i == 0 ? 0 : open[i - 1] + 1) || static_cast<std::size_t>(open[i]) >= intervals.many)
      throw InvalidInput("the intervals to be replaced must be there, each once and in order.");
  KeyIntervalArrays out;
  std::size_t const size = intervals.many - many + pieces.many;
  out.low.reserve(size);
  out.width.reserve(size);
  out.rows.reserve(size);
  auto const take = [&](KeyIntervals const& from, std::size_t i) {
    out.low.push_back(from.low[i]);
    out.width.push_back(from.width[i]);
    out.rows.push_back(from.rows[i]);
  };
  std::size_t next = 0;
  std::size_t piece = 0;
  for (std::size_t i = 0; i < intervals.many; ++i) {
    if (next < many && static_cast<std::size_t>(open[next]) == i) {
      ++next;
      continue;
    }
    for (; piece < pieces.many && pieces.low[piece] < intervals.low[i]; ++piece) take(pieces, piece);
    take(intervals, i);
  }
  for (; piece < pieces.many; ++piece) take(pieces, piece);
  return out;
}

}  // namespace modelwatch
