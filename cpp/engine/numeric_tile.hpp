#pragma once
// What the counting of a numeric column's tiles shares: private to numeric_*.cpp.

#include <cstdint>
#include <vector>

#include "core/moments.hpp"
#include "cpu/kernel_table.hpp"
#include "engine/numeric_state.hpp"

namespace modelwatch {

/// Runs are counted in one go while less than one of so many rows is on a knot.
inline constexpr int kFewOnKnots = 8;

/// Scratch of one tile: everything below is read again while it is in the first-level cache.
struct NumericState::Tile {
  int rows;
  std::uint8_t valid[kTileRows];
  std::uint32_t ranked[kTileRows];  // cells of the counting grid
  std::uint32_t cells[kTileRows];   // slots of the set being counted
  std::uint64_t keys[kTileRows];
  double values[kTileRows];
  std::uint64_t usable[kTileRows];
  int usable_rows;
  std::int32_t slots[kTileRows];
  cpu::GapRows gaps;
  int gap_count;
  std::uint32_t buckets[kTileRows];  // of the rows in gaps
  std::uint64_t hashes[kTileRows];
  // Where rows of several groups are counted together.
  std::uint64_t fractions[kTileRows];  // of the rows in gaps
  int tail_rows;                       // those of them that lie in a tail
  std::uint64_t low;                   // smallest and largest key of the tile
  std::uint64_t high;
  std::vector<MomentLanes> lanes;
  std::vector<Moments> moments;
  std::vector<std::int32_t> slot_group;
  std::vector<GroupsOfTiles> groups;  // of every set that is counted tile by tile
};

/// Calls f with a value of a domain's type.
template <class F>
inline void with_domain(Domain domain, F f) {
  switch (domain) {
    case Domain::float32: return f(float{});
    case Domain::float64: return f(double{});
    case Domain::int64: return f(std::int64_t{});
    case Domain::uint64: return f(std::uint64_t{});
  }
}

}  // namespace modelwatch
