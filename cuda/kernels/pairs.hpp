#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace modelwatch::cuda {

/// How the pair sums use the machine.  The shape fixes the order of additions, so it is the same on every device.
struct PairsTuning {
  static constexpr int kSide = 16;        // a block is kSide x kSide threads
  static constexpr int kEach = 4;         // pairs of a thread: kEach x kEach
  static constexpr int kTile = kSide * kEach;
  static constexpr int kSlab = 16;        // coordinates that lie in shared memory at a time
  static constexpr int kFunctions = 8;    // of one launch
  static constexpr int kNearestThreads = 256;  // of a block that looks for neighbours
};

/// Rows of a sample, dense, in device memory.
template <class Value>
struct PairRows {
  Value const* values;
  std::int64_t rows;
  std::int64_t dimensions;

  std::int64_t tiles() const { return (rows + PairsTuning::kTile - 1) / PairsTuning::kTile; }
};

/// Functions of the distance: exp(-scale (|x - y|^2 - closest)), and |x - y| where the scale is negative.
struct PairFunctions {
  double closest;
  double scales[PairsTuning::kFunctions];
  int count;
};

/// Which rows take part, for each of `count` columns: words[tile * count + column] has a bit for each row of a tile.
/// parts: of a tile's rows, whose sums are kept apart: threads that few columns would leave idle.
struct PairMarks {
  std::uint64_t const* words;
  int count;
  int parts;

  /// Doubles of one function: the sum over all pairs, then `within` of each column and part, then `touching`.
  int sums() const { return 1 + 2 * count * parts; }
};

/// Sums over ordered pairs of different rows of which the first, or by symmetry the second, is in one of the tiles
/// [first, first + tiles): of all; of those whose rows are both marked; of those with a marked row, once for each.
/// Each pair of tiles is worked on once, by the block of the first of them: of its tiles stripes times, in turn.
/// partials: of stripe, tile and function marks.sums() doubles, which begin as zero.
template <class Value>
void launch_pair_sums(PairRows<Value> const& rows, PairMarks const& marks, PairFunctions const& functions, std::int64_t first,
                      std::int64_t tiles, int stripes, double* partials, cudaStream_t stream);

/// *found becomes 1 where a number is NaN or infinite.
template <class Value>
void launch_find_not_finite(Value const* values, std::int64_t count, std::uint32_t* found, int multiprocessors, cudaStream_t stream);

/// Of `count` rows from `first` on the k nearest of `among`: squared: count x k, nearest first, and index alike; ties go to the
/// earlier row.  same: `among` are the rows themselves, of which none is its own neighbour.  distances: room for count x
/// among.rows.  k: at most as many as there are others.
template <class Value>
void launch_nearest(PairRows<Value> const& rows, std::int64_t first, std::int64_t count, PairRows<Value> const& among, bool same, int k,
                    double* distances, double* squared, std::int64_t* index, cudaStream_t stream);

/// Of every row: inside: how many balls about `among` it is in, i.e. nearer than their radius; closest: the squared distance to
/// the nearest of these.
template <class Value>
void launch_balls(PairRows<Value> const& rows, PairRows<Value> const& among, double const* squared_radii, std::uint32_t* inside,
                  double* closest, cudaStream_t stream);

}  // namespace modelwatch::cuda
