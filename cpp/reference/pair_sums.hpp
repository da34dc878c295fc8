#pragma once
// Sums over all pairs of two samples' rows, as they are written on paper.

#include <cmath>
#include <cstddef>
#include <vector>

#include "core/pair_sums.hpp"

namespace modelwatch::reference {

/// x and y hold rows of `dimensions` coordinates, one behind the other.
template <class Value>
PairSums pair_sums(std::vector<Value> const& x, std::vector<Value> const& y, std::size_t dimensions, std::vector<double> const& scales) {
  PairSums sums{0.0, std::vector<double>(scales.size(), 0.0)};
  for (std::size_t i = 0; i + dimensions <= x.size(); i += dimensions)
    for (std::size_t j = 0; j + dimensions <= y.size(); j += dimensions) {
      double squared = 0.0;
      for (std::size_t k = 0; k < dimensions; ++k) {
        double const apart = static_cast<double>(x[i + k]) - static_cast<double>(y[j + k]);
        squared += apart * apart;
      }
      sums.distance += std::sqrt(squared);
      for (std::size_t s = 0; s < scales.size(); ++s) sums.gaussian[s] += std::exp(-scales[s] * squared);
    }
  return sums;
}

}  // namespace modelwatch::reference
