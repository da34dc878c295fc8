#pragma once

#include <cmath>

namespace modelwatch {

/// The continued fraction of the regularised incomplete beta function of shapes a and b at x (Abramowitz and Stegun
/// 26.5.8), by Lentz's method.  It converges for 0 < x < 1 with x <= (a + 1) / (a + b + 2); NaN for NaN.
inline double beta_fraction(double a, double b, double x) {
  auto const some = [](double number) { return number == 0 ? 1e-300 : number; };
  double c = 1;
  double d = 1 / some(1 - (a + b) * x / (a + 1));
  double found = d;
  for (double k = 1;; ++k) {
    double const terms[2] = {k * (b - k) * x / ((a + 2 * k - 1) * (a + 2 * k)),
                             -(a + k) * (a + b + k) * x / ((a + 2 * k) * (a + 2 * k + 1))};
    for (double const term : terms) {
      d = 1 / some(1 + term * d);
      c = some(1 + term / c);
      found *= c * d;
    }
    if (!(std::abs(c * d - 1) >= 1e-15)) return found;
  }
}

}  // namespace modelwatch
