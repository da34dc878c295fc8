#pragma once

#include <vector>

namespace modelwatch {

/// Sums over all pairs of rows x_i of one sample and y_j of another.
struct PairSums {
  double distance;               // SUM |x_i - y_j|
  std::vector<double> gaussian;  // for every scale SUM exp(-scale |x_i - y_j|^2)
};

}  // namespace modelwatch
