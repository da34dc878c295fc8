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
  static constexpr int kSegmentTiles = 16;  // tiles of y that a block goes through
  static constexpr int kSegment = kTile * kSegmentTiles;
  static constexpr int kScales = 8;       // of one launch
  static constexpr int kSums = kScales + 1;
};

/// Rows of two samples, dense, in device memory.
template <class Value>
struct PairRows {
  Value const* x;
  std::int64_t n;
  Value const* y;
  std::int64_t m;
  std::int64_t dimensions;
};

struct PairScales {
  double values[PairsTuning::kScales];
  int count;
};

/// Partial sums of kTile rows of x and kSegment rows of y: of the Euclidean distances, and of exp(-scale |x - y|^2) for every
/// scale; kSums doubles each at partials[(segment * stride + tile) * kSums].
template <class Value>
void launch_pair_sums(PairRows<Value> const& rows, PairScales const& scales, double* partials, std::int64_t stride, cudaStream_t stream);

}  // namespace modelwatch::cuda
