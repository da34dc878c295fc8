#pragma once

#include <cstdint>
#include <vector>

#include "cuda/backend/session.hpp"
#include "engine/rank.hpp"  // Poll

namespace modelwatch::cuda {

/// A matrix of floats, one row behind the other.
struct MatrixInput {
  void const* values;
  std::int64_t rows;
  std::int64_t dimensions;
  bool wide;  // float64, else float32
  bool on_device;
  int device;
};

/// For every function: total: the sum over ordered pairs of different rows.  For every column of marks besides: within: of
/// those whose rows are both marked; touching: over pairs of a marked row and any other.
struct MarkedPairSums {
  std::vector<double> total;
  std::vector<double> within;
  std::vector<double> touching;
};

/// Sums of functions of the distance of all pairs of rows of the matrices, one below the other: exp(-scale |x - y|^2) for
/// every scale, |x - y| for a negative one; closest: a squared distance at which the exponentials are 1.  marks: of `columns` columns, row by row, other than 0 where a row is marked.
/// Tiles of pairs are added up by themselves and in order, so the same bits whatever the device.  Throws InvalidInput for
/// what is not finite.
MarkedPairSums pair_sums(Session& session, std::vector<MatrixInput> const& matrices, std::vector<std::uint8_t> const& marks, std::size_t columns,
                         std::vector<double> const& scales, double closest, Poll const& poll);

/// Of every row of `rows` the k nearest of `among`, nearest first, ties to the earlier one.
struct Nearest {
  std::vector<double> squared;       // rows x k: sums of squared differences, in float64
  std::vector<std::int64_t> index;
};
/// same: both are one sample, and no row is its own neighbour.  The same bits whatever the device.
Nearest nearest(Session& session, std::vector<MatrixInput> const& rows, std::vector<MatrixInput> const& among, bool same, int k, Poll const& poll);

/// Of every row of `rows`: inside: how many balls about rows of `among` it is in, the squared radius of each given; closest: the
/// squared distance to the nearest of `among`.  Distances as in Nearest, so that a ball out to a row leaves that row outside.
struct Balls {
  std::vector<std::uint32_t> inside;
  std::vector<double> closest;
};
Balls balls(Session& session, MatrixInput const& rows, MatrixInput const& among, std::vector<double> const& squared_radii);

}  // namespace modelwatch::cuda
