#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace modelwatch {

/// Intervals [low, low + 2^width) of keys by increasing low, each with its rows.
struct KeyIntervals {
  std::uint64_t const* low;
  std::int64_t const* width;
  std::uint64_t const* rows;
  std::size_t many;
};

struct KeyIntervalArrays {
  std::vector<std::uint64_t> low;
  std::vector<std::int64_t> width;
  std::vector<std::uint64_t> rows;
};

/// The pieces with rows of `many` intervals of 2^width keys, each cut into 2^split: `rows` has the counts of the first
/// one's pieces, then those of the next.
KeyIntervalArrays pieces_with_rows(std::uint64_t const* low, std::size_t many, int width, int split, std::uint64_t const* rows);

/// Puts `pieces` in the place of those intervals whose numbers are `open`, increasing.  Throws InvalidInput for a number
/// that is not there.
KeyIntervalArrays replaced(KeyIntervals const& intervals, std::int64_t const* open, std::size_t many, KeyIntervals const& pieces);

}  // namespace modelwatch
