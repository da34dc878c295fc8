#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

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

/// Calls stripe(number, begin, end) for the stripes of every slice of a column, side by side, and after(slice, rows) where a
/// slice is done.  Stripes begin at multiples of kTileRows, whatever the threads.
template <class Stripe, class After>
void each_stripe(std::int64_t rows, int threads, Poll const& poll, Stripe const& stripe, After const& after) {
  static_assert(kSlice % kTileRows == 0);
  std::int64_t const stripes = stripes_of(rows, threads);
  for (std::int64_t slice = 0; slice < rows; slice += kSlice) {
    std::int64_t const end = std::min(rows, slice + kSlice);
    std::int64_t const tiles = (end - slice + kTileRows - 1) / kTileRows;
    auto const begin_of = [&](std::int64_t number) { return std::min(end, slice + tiles * number / stripes * kTileRows); };
    cpu::parallel_for(
        stripes, threads,
        [&](std::int64_t number) { stripe(static_cast<std::size_t>(number), begin_of(number), begin_of(number + 1)); }, poll);
    after(slice, end - slice);
    if (poll) poll();
  }
}

/// The same, tile by tile: calls tile(stripe, begin, rows).
template <class Tile, class After>
void each_tile(std::int64_t rows, int threads, Poll const& poll, Tile const& tile, After const& after) {
  each_stripe(
      rows, threads, poll,
      [&](std::size_t stripe, std::int64_t begin, std::int64_t end) {
        for (std::int64_t at = begin; at < end; at += kTileRows) tile(stripe, at, static_cast<int>(std::min<std::int64_t>(kTileRows, end - at)));
      },
      after);
}

}  // namespace modelwatch
