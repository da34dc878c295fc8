#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace modelwatch {

/// Occupied cells of groups on one grid: those of group g are [begin[g], begin[g + 1]), by increasing cell.  Even cells
/// are gaps, odd ones knots.
struct OccupiedCells {
  std::size_t groups;
  std::int64_t const* begin;
  std::int64_t const* cell;
  std::int64_t const* count;
  std::uint64_t const* offset;  // sums of offsets of the rows in gaps, units of 2^-32; nullptr where they were not kept
};

/// An integer of 128 bits for each group.
struct WideIntegers {
  std::vector<std::uint64_t> low;
  std::vector<std::uint64_t> high;
};

/// What ranks say of groups of n rows (the baseline) and m (the current one), one entry for each current group.
struct RankDistances {
  /// Kolmogorov-Smirnov's D times n m, at least and at most.
  WideIntegers ks_least, ks_most;
  /// SUM over rows of (pooled mid-rank - own rank)^2 at least and at most, of the current side's rows, and of the
  /// baseline's without what its own ties add.
  std::vector<double> current_least, current_most, baseline_least, baseline_most;
};

/// Compares every current group with one baseline, or with a group each.  Throws InvalidInput where there are neither
/// one nor as many.
RankDistances rank_distances(OccupiedCells const& baseline, OccupiedCells const& current);

/// Of each group SUM of (own mid-rank - own rank)^2: over rows on knots, and where those of a gap are tied too.
struct Ties {
  std::vector<double> on_knots, everywhere;
};
Ties ties_of(OccupiedCells const& groups);

/// The finite knots of a grid, `first` to `last` - 1 of it, where each knot stands: exactly one of the two positions is
/// there, floats or the ordered keys of whole numbers, whose differences are exact.
struct KnotAxis {
  double const* values;
  std::uint64_t const* keys;
  std::int64_t first;
  std::int64_t last;
};

struct Bounds {
  std::vector<double> lower, upper;
};

/// Bounds of the integral of |F - G| between the first and the last finite knot, of every current group against one
/// baseline.  There must be at least two finite knots, and their distances finite.
Bounds transport_between_knots(OccupiedCells const& baseline, OccupiedCells const& current, KnotAxis const& axis);

}  // namespace modelwatch
