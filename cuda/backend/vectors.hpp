#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "cuda/backend/arrays.hpp"  // SharedBytes
#include "cuda/backend/fit.hpp"  // Resident
#include "cuda/backend/pairs.hpp"  // MatrixInput

namespace modelwatch::cuda {

/// Sums of the vectors of a group: products: dimensions x dimensions, the upper triangle; total: dimensions; features: hands x
/// 2 bandwidths x frequencies.
struct VectorSums {
  std::vector<double> products;
  std::vector<double> total;
  std::vector<double> features;
};

/// Adds up vectors by group, and their random Fourier features by group and hand; the sums stay on the device.
/// frequencies: dimensions x count, in the vectors' type.
class VectorAdder {
 public:
  VectorAdder(int device, std::int64_t dimensions, std::vector<double> frequencies, double widest, int hands);

  /// hand: of every row, below `hands`.  The bits depend on the rows of each call and not on the device.
  void add(std::int64_t group, MatrixInput const& rows, std::vector<std::int32_t> const& hand, Poll const& poll);
  /// Of a group; zeros where it had no rows.
  VectorSums sums(std::int64_t group);

 private:
  struct Group {
    DeviceArray<double> products;  // of pairs of tiles
    DeviceArray<double> total;
    DeviceArray<double> features;
  };
  struct Held {
    DeviceArray<float> narrow;  // frequencies
    DeviceArray<double> wide;
    std::map<std::int64_t, Group> groups;
  };

  Held& held(Session& session);
  Group& group(Session& session, std::int64_t group);
  template <class Value>
  void add_rows(Session& session, Group& group, Value const* rows, bool on_device, std::vector<std::int32_t> const& hand, Poll const& poll);
  std::size_t features() const;

  int device_;
  std::int64_t dimensions_;
  std::vector<double> frequencies_;
  double widest_;
  int hands_;
  std::unique_ptr<Resident<Held>> held_;
};

/// Of vectors x less their center: products: dimensions x dimensions, the upper triangle of SUM x_a x_b; total: SUM x.
struct CenteredSums {
  std::vector<double> products;
  std::vector<double> total;
};
/// matrices: side by side, of as many rows; a vector is a row of all of them.  In float64; the bits do not depend on the
/// device.  Throws InvalidInput for what is not finite.
CenteredSums centered_sums(Session& session, std::vector<MatrixInput> const& matrices, std::vector<double> const& center, Poll const& poll);

/// The products of the rows with `count` directions (dimensions x count), a column of float64 each, one behind the other.
/// Throws InvalidInput for what is not finite.
SharedBytes projected(Session& session, MatrixInput const& rows, std::vector<double> const& directions, int count);

}  // namespace modelwatch::cuda
