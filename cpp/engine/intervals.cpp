#include "engine/intervals.hpp"

#include <algorithm>

#include "core/error.hpp"

namespace modelwatch {

KeyIntervalArrays pieces_with_rows(std::uint64_t const* low, std::size_t many, int width, int split, std::uint64_t const* rows) {
  std::size_t const pieces = std::size_t{1} << split;
  auto const used = pieces * many - static_cast<std::size_t>(std::count(rows, rows + pieces * many, std::uint64_t{0}));
  KeyIntervalArrays out;
  // Each piece is written, and the next one takes its place where it has no rows, so there is one place more.
  out.low.resize(used + 1);
  out.rows.resize(used + 1);
  out.width.assign(used, width - split);
  std::uint64_t* to = out.low.data();
  std::uint64_t* own = out.rows.data();
  for (std::size_t i = 0; i < many; ++i, rows += pieces)
    for (std::size_t piece = 0; piece < pieces; ++piece) {
      *to = low[i] + (std::uint64_t{piece} << (width - split));
      *own = rows[piece];
      std::size_t const there = rows[piece] != 0 ? 1 : 0;
      to += there;
      own += there;
    }
  out.low.resize(used);
  out.rows.resize(used);
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
  auto const take = [&](KeyIntervals const& from, std::size_t begin, std::size_t end) {
    auto const b = static_cast<std::ptrdiff_t>(begin);
    auto const e = static_cast<std::ptrdiff_t>(end);
    out.low.insert(out.low.end(), from.low + b, from.low + e);
    out.width.insert(out.width.end(), from.width + b, from.width + e);
    out.rows.insert(out.rows.end(), from.rows + b, from.rows + e);
  };
  // Most intervals stay, and those between two that are replaced stay together.
  std::size_t piece = 0;
  auto const stay = [&](std::size_t begin, std::size_t end) {
    while (begin < end) {
      std::size_t const first = piece;
      while (piece < pieces.many && pieces.low[piece] < intervals.low[begin]) ++piece;
      take(pieces, first, piece);
      auto const next = piece < pieces.many ? std::lower_bound(intervals.low + begin, intervals.low + end, pieces.low[piece]) : intervals.low + end;
      auto const stop = std::max(begin + 1, static_cast<std::size_t>(next - intervals.low));
      take(intervals, begin, stop);
      begin = stop;
    }
  };
  std::size_t from = 0;
  for (std::size_t i = 0; i < many; ++i) {
    stay(from, static_cast<std::size_t>(open[i]));
    from = static_cast<std::size_t>(open[i]) + 1;
  }
  stay(from, intervals.many);
  take(pieces, piece, pieces.many);
  return out;
}

}  // namespace modelwatch
