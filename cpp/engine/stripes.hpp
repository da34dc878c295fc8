#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "core/views.hpp"  // kTileRows
#include "cpu/thread_pool.hpp"
#include "engine/rank.hpp"  // Poll

namespace modelwatch {

/// A slice is short enough to answer Ctrl-C and to count in 32 bits; a stripe is one thread's part of it.
inline constexpr std::int64_t kSlice = std::int64_t{1} << 22;
inline constexpr std::int64_t kLeastStripe = std::int64_t{1} << 16;

/// Most stripes a slice of a column of that many rows has.
inline std::int64_t stripes_of(std::int64_t rows, int threads) {
  int const most = threads > 0 ? threads : cpu::default_threads();
  return std::clamp<std::int64_t>(std::min(rows, kSlice) / kLeastStripe, 1, most);
}

/// Calls tile(stripe, begin, rows) for every tile of a column, side by side for different stripes, and after(slice, rows)
/// where a slice is done.  Tiles begin at multiples of kTileRows, whatever the threads.
template <class Tile, class After>
void each_tile(std::int64_t rows, int threads, Poll const& poll, Tile const& tile, After const& after) {
  static_assert(kSlice % kTileRows == 0);
  std::int64_t const stripes = stripes_of(rows, threads);
  for (std::int64_t slice = 0; slice < rows; slice += kSlice) {
    std::int64_t const end = std::min(rows, slice + kSlice);
    std::int64_t const tiles = (end - slice + kTileRows - 1) / kTileRows;
    cpu::parallel_for(
        stripes, threads,
        [&](std::int64_t stripe) {
          for (std::int64_t t = tiles * stripe / stripes; t < tiles * (stripe + 1) / stripes; ++t) {
            std::int64_t const begin = slice + t * kTileRows;
            tile(static_cast<std::size_t>(stripe), begin, static_cast<int>(std::min<std::int64_t>(kTileRows, end - begin)));
          }
        },
        poll);
    after(slice, end - slice);
    if (poll) poll();
  }
}

}  // namespace modelwatch
