#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace modelwatch::cuda {

/// How the sums of vectors use the machine.  The shape fixes the order of additions, so it is the same on every device.
struct VectorsTuning {
  static constexpr int kSide = 16;          // a block is kSide x kSide threads
  static constexpr int kEach = 4;           // sums of a thread: kEach x kEach
  static constexpr int kTile = kSide * kEach;
  static constexpr int kSlab = 16;          // rows, or elements, that lie in shared memory at a time
  static constexpr int kFloatRows = 1024;   // products are added up in the vectors' own type over so many rows
  static constexpr int kStripRows = 4096;   // rows of a block
  static constexpr int kBandwidths = 5;     // each half of the one before
};

/// Vectors, dense, in device memory.
template <class Value>
struct VectorRows {
  Value const* values;
  std::int64_t rows;
  std::int64_t dimensions;
};

/// Tiles of kTile elements, and pairs (i, j >= i) of them, one after the other by i.
struct TilePairs {
  std::int64_t tiles;

  explicit TilePairs(std::int64_t dimensions) : tiles((dimensions + VectorsTuning::kTile - 1) / VectorsTuning::kTile) {}
  std::int64_t count() const { return tiles * (tiles + 1) / 2; }
};

/// Adds to products (of every pair of tiles kTile x kTile) SUM x_a x_b, and to total (elements) SUM x_a, strip by strip.
/// partial: room for strips x pairs x kTile x kTile; partial_total: for strips x elements.
template <class Value>
void launch_add_products(VectorRows<Value> const& rows, double* partial, double* partial_total, double* products, double* total, cudaStream_t stream);

/// Random Fourier features: angles are the products with `count` frequencies (elements x count), divided by `widest` for the
/// widest bandwidth and doubled for each one after it.
template <class Value>
struct Frequencies {
  Value const* values;
  int count;
  double widest;
};

/// Adds to features[hand], for every bandwidth `count` sums of cosines and then of sines, those of the rows
/// order[begins[hand]], ... order[begins[hand + 1] - 1].
template <class Value>
void launch_add_features(VectorRows<Value> const& rows, Frequencies<Value> const& frequencies, std::int32_t const* order, std::int32_t const* begins,
                         int hands, double* features, cudaStream_t stream);

/// out[row * stride + element] = the element less its center, as float64.
template <class Value>
void launch_center(VectorRows<Value> const& rows, double const* center, std::int64_t stride, double* out, cudaStream_t stream);

/// out[direction * rows + row] = the product of a row with a direction, in float64; directions: elements x count.
template <class Value>
void launch_project(VectorRows<Value> const& rows, double const* directions, int count, double* out, cudaStream_t stream);

}  // namespace modelwatch::cuda
