#pragma once

#include <cstdint>

#include "core/macros.hpp"
#include "core/views.hpp"

namespace modelwatch {

/// Count, mean and central power sums M_p = SUM (x - mean)^p of finite values, about a column's pivot.
/// Merge: Pebay, "Formulas for robust, one-pass parallel computation of covariances and arbitrary-order
/// statistical moments", SAND2008-6212.
struct Moments {
  std::uint64_t count;
  double mean;
  double m2;
  double m3;
  double m4;

  MW_HD void merge(Moments const& b) {
    if (b.count == 0) return;
    if (count == 0) {
      *this = b;
      return;
    }
    double const na = static_cast<double>(count);
    double const nb = static_cast<double>(b.count);
    double const n = na + nb;
    double const delta = b.mean - mean;
    double const step = delta / n;
    double const step2 = step * step;
    double const cross = delta * step * na * nb;  // delta^2 na nb / n
    double const m4_new = m4 + b.m4 + cross * step2 * (na * na - na * nb + nb * nb) +
                          6.0 * step2 * (na * na * b.m2 + nb * nb * m2) + 4.0 * step * (na * b.m3 - nb * m3);
    double const m3_new = m3 + b.m3 + cross * step * (na - nb) + 3.0 * step * (na * b.m2 - nb * m2);
    m2 = m2 + b.m2 + cross;
    m3 = m3_new;
    m4 = m4_new;
    mean = mean + step * nb;
    count += b.count;
  }
};

/// Moments of several groups, side by side.  A count is a whole number below 2^53.
struct MomentRow {
  static constexpr int kGroups = 16;
  double count[kGroups];
  double mean[kGroups];
  double m2[kGroups];
  double m3[kGroups];
  double m4[kGroups];
};

/// The lanes of one tile and one group.
struct MomentLanes {
  std::uint64_t count[kLanes];
  double sum[kLanes];
  double d1[kLanes];
  double d2[kLanes];
  double d3[kLanes];
  double d4[kLanes];
};

/// Adds lanes 8..15 to 0..7, then 4..7 to 0..3, then 2, then 1: the order that fixes the bits (DESIGN 3.5).
template <class Number>
MW_HD Number tree_fold(Number (&lanes)[kLanes]) {
  for (int half = kLanes / 2; half != 0; half /= 2)
    for (int lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
  return lanes[0];
}

/// First pass of a tile is over: how many values, and their mean.
MW_HD Moments tile_mean(MomentLanes& lanes) {
  Moments tile{};
  tile.count = tree_fold(lanes.count);
  double const total = tree_fold(lanes.sum);
  tile.mean = tile.count != 0 ? total / static_cast<double>(tile.count) : 0.0;
  return tile;
}

/// Sums of the powers of deviations, of one lane.
MW_HD void add_powers(double deviation, double& d1, double& d2, double& d3, double& d4) {
  double const square = deviation * deviation;
  d1 += deviation;
  d2 += square;
  d3 += square * deviation;
  d4 += square * square;
}
MW_HD void add_powers(double deviation, double weight, double& d1, double& d2, double& d3, double& d4) {
  double const square = deviation * deviation;
  d1 += weight * deviation;
  d2 += weight * square;
  d3 += weight * (square * deviation);
  d4 += weight * (square * square);
}

MW_HD void add_deviation(MomentLanes& lanes, int lane, double deviation) {
  add_powers(deviation, lanes.d1[lane], lanes.d2[lane], lanes.d3[lane], lanes.d4[lane]);
}
MW_HD void add_deviation(MomentLanes& lanes, int lane, double deviation, double weight) {
  add_powers(deviation, weight, lanes.d1[lane], lanes.d2[lane], lanes.d3[lane], lanes.d4[lane]);
}

/// Second pass is over.  M2 is corrected by what rounding left in the first powers (corrected two-pass).
MW_HD void tile_finish(MomentLanes& lanes, Moments& tile) {
  double const n = static_cast<double>(tile.count);
  double const rest = tree_fold(lanes.d1);
  tile.m2 = tree_fold(lanes.d2) - (tile.count != 0 ? rest * rest / n : 0.0);
  tile.m3 = tree_fold(lanes.d3);
  tile.m4 = tree_fold(lanes.d4);
}

/// Moments of some rows of a tile, with the bits of all its lanes: value(i), usable(i) and lane(i) of the i-th of them, in
/// the order of the tile.  Two values need no lanes, since the sums of lanes that are 0 but for two are their sum in any order.
template <class Value, class Usable, class Lane>
MW_HD Moments moments_of_some(int rows, Value value, Usable usable, Lane lane) {
  double some[2] = {0.0, 0.0};
  int used = 0;
  for (int i = 0; i < rows; ++i) {
    if (!usable(i)) continue;
    if (used < 2) some[used] = value(i);
    ++used;
  }
  Moments own{};
  own.count = static_cast<std::uint64_t>(used);
  if (used == 0) return own;
  if (used == 1) {
    own.mean = some[0] + 0.0;  // no -0.0, as a sum that begins at 0.0
    return own;
  }
  if (used == 2) {
    own.mean = (some[0] + some[1] + 0.0) / 2.0;
    double d1 = 0.0, d2 = 0.0, d3 = 0.0, d4 = 0.0;
    add_powers(some[0] - own.mean, d1, d2, d3, d4);
    add_powers(some[1] - own.mean, d1, d2, d3, d4);
    own.m2 = d2 - d1 * d1 / 2.0;
    own.m3 = d3;
    own.m4 = d4;
    return own;
  }
  MomentLanes lanes{};
  for (int i = 0; i < rows; ++i) {
    if (!usable(i)) continue;
    ++lanes.count[lane(i)];
    lanes.sum[lane(i)] += value(i);
  }
  own = tile_mean(lanes);
  for (int i = 0; i < rows; ++i)
    if (usable(i)) add_deviation(lanes, lane(i), value(i) - own.mean);
  tile_finish(lanes, own);
  return own;
}

}  // namespace modelwatch
