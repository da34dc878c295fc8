#pragma once
// Ordered moments of one tile in which all rows belong to one group (DESIGN 3.5): the bits of the CPU's kernels.

#include <cstdint>
#include <type_traits>

#include "core/key.hpp"
#include "core/macros.hpp"
#include "core/moments.hpp"
#include "core/views.hpp"

namespace modelwatch {

/// What stands among a tile's values for a row that takes no part: null, NaN or infinite.
MW_HD double no_moment() { return __builtin_bit_cast(double, std::uint64_t{0x7ff8000000000000u}); }
MW_HD bool has_moment(double x) { return !KeyOf<double>::missing(x); }

/// What of a value is added up: the value less the pivot, rounded once; integers beyond 2^53 keep their distances.
/// Floats have no pivot.
template <class Value>
MW_HD double moment_of(Value x, Value pivot) {
  if constexpr (std::is_floating_point_v<Value>) {
    return KeyOf<Value>::finite(x) ? static_cast<double>(x) : no_moment();
  } else {
    // The distance of two integers of 64 bits always fits one without a sign.
    bool const below = x < pivot;
    std::uint64_t const up = static_cast<std::uint64_t>(x) - static_cast<std::uint64_t>(pivot);
    double const distance = static_cast<double>(below ? 0 - up : up);
    return below ? -distance : distance;
  }
}

/// The moments of a tile.  values: what moment_of gives, no_moment() for a row that takes no part; in the team's memory,
/// and a sync since they were written.  Whoever reads `out`, which is the team's memory too, need not sync.
///
/// A lane's sum is a chain that one thread owns, and so is each of its powers; one thread folds them.
template <class Team>
MW_HD void tile_moments(Team const& team, double const* values, int rows, MomentLanes& lanes, Moments* out) {
  for (int lane = team.rank(); lane < kLanes; lane += team.size()) {
    std::uint64_t count = 0;
    double sum = 0.0;
    for (int row = lane; row < rows; row += kLanes) {
      double const x = values[row];
      bool const counts = has_moment(x);
      count += counts ? 1 : 0;
      sum += counts ? x : 0.0;
    }
    lanes.count[lane] = count;
    lanes.sum[lane] = sum;
  }
  team.sync();
  if (team.rank() == 0) *out = tile_mean(lanes);
  team.sync();
  double const mean = out->mean;
  constexpr int kPowers = 4;
  for (int chain = team.rank(); chain < kPowers * kLanes; chain += team.size()) {
    int const lane = chain % kLanes;
    int const power = chain / kLanes + 1;
    double sum = 0.0;
    for (int row = lane; row < rows; row += kLanes) {
      double const x = values[row];
      double const deviation = has_moment(x) ? x - mean : 0.0;
      double const square = deviation * deviation;
      // A fourth power is a square's square, as add_deviation has it.
      double const left = power == 1 ? 1.0 : square;
      double const right = power == 2 ? 1.0 : power == 4 ? square : deviation;
      sum += left * right;
    }
    (power == 1 ? lanes.d1 : power == 2 ? lanes.d2 : power == 3 ? lanes.d3 : lanes.d4)[lane] = sum;
  }
  team.sync();
  if (team.rank() == 0) tile_finish(lanes, *out);
  team.sync();
}

}  // namespace modelwatch
