#pragma once
// Ordered moments of a tile by a team: every lane of every group has one owner, so the bits do not depend on its size.

#include <cstdint>

#include "core/key.hpp"
#include "core/macros.hpp"
#include "core/moments.hpp"
#include "core/tile_rank.hpp"

namespace modelwatch {

/// What of a value goes into its column's moments: its distance from the pivot, which only integers have.  Rounded once, so
/// integers beyond 2^53 keep their distances.
MW_HD double moment_value(float x, std::uint64_t) { return static_cast<double>(x); }
MW_HD double moment_value(double x, std::uint64_t) { return x; }
MW_HD double moment_value(std::uint64_t x, std::uint64_t pivot) {
  return x >= pivot ? static_cast<double>(x - pivot) : -static_cast<double>(pivot - x);
}
MW_HD double moment_value(std::int64_t x, std::uint64_t pivot_key) { return moment_value(KeyOf<std::int64_t>::key(x), pivot_key); }

/// Groups of a tile whose lanes are added up at the same time.
inline constexpr int kMomentSlots = 8;

struct MomentTile {
  MomentLanes lanes[kMomentSlots];
  Moments moments[kMomentSlots];
};

/// Moments of `count` groups of a tile into out[0], out[1] ...: a row is of group ids[g] where groups[row] says so; without
/// groups the tile is of one.  weights: how often its rows count, or nullptr (once).  All threads of the team come here
/// with a tile that is loaded; the scratch holds the lanes of kMomentSlots groups, or of one where there is one.
template <class Value, class Team>
MW_HD void tile_moments(Team const& team, RankTile<Value> const& tile, int rows, std::uint64_t pivot, std::uint32_t const* weights,
                        std::int32_t const* groups, std::int32_t const* ids, int count, MomentLanes* lanes, Moments* means, Moments* out) {
  // Calls f(x, times) for the rows of a lane that have a finite value, in order.
  auto const each_row = [&](int lane, std::int32_t const* id, auto f) {
    for (int row = lane; row < rows; row += kLanes) {
      if (id != nullptr && groups[row] != *id) continue;
      if (!is_valid(tile.valid, row) || !KeyOf<Value>::finite(tile.values[row])) continue;
      f(moment_value(tile.values[row], pivot), weights == nullptr ? 1u : weights[row]);
    }
  };
  for (int first = 0; first < count; first += kMomentSlots) {
    int const slots = count - first < kMomentSlots ? count - first : kMomentSlots;
    for (int chain = team.rank(); chain < slots * kLanes; chain += team.size()) {
      int const slot = chain / kLanes;
      std::uint64_t seen = 0;
      double sum = 0.0;
      each_row(chain % kLanes, groups == nullptr ? nullptr : ids + first + slot, [&](double x, std::uint32_t times) {
        seen += times;
        sum += weights == nullptr ? x : x * static_cast<double>(times);
      });
      lanes[slot].count[chain % kLanes] = seen;
      lanes[slot].sum[chain % kLanes] = sum;
    }
    team.sync();
    for (int slot = team.rank(); slot < slots; slot += team.size()) means[slot] = tile_mean(lanes[slot]);
    team.sync();
    for (int chain = team.rank(); chain < slots * kLanes; chain += team.size()) {
      int const slot = chain / kLanes;
      double const mean = means[slot].mean;
      double d1 = 0.0, d2 = 0.0, d3 = 0.0, d4 = 0.0;
      each_row(chain % kLanes, groups == nullptr ? nullptr : ids + first + slot, [&](double x, std::uint32_t times) {
        if (weights == nullptr)
          add_powers(x - mean, d1, d2, d3, d4);
        else
          add_powers(x - mean, static_cast<double>(times), d1, d2, d3, d4);
      });
      MomentLanes& mine = lanes[slot];
      mine.d1[chain % kLanes] = d1;
      mine.d2[chain % kLanes] = d2;
      mine.d3[chain % kLanes] = d3;
      mine.d4[chain % kLanes] = d4;
    }
    team.sync();
    for (int slot = team.rank(); slot < slots; slot += team.size()) {
      tile_finish(lanes[slot], means[slot]);
      out[first + slot] = means[slot];
    }
    team.sync();  // before the lanes are used again
  }
}

}  // namespace modelwatch
