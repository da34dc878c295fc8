#pragma once

#include <cmath>
#include <cstdint>
#include <type_traits>

#include "core/macros.hpp"

namespace modelwatch {

/// a - b in float64, of whole numbers exact before one rounding.
template <class Value>
MW_HD double difference_of(Value a, Value b) {
  if constexpr (std::is_integral_v<Value>) {
    // Modulo 2^64, where the larger less the smaller is exact.
    auto const x = static_cast<std::uint64_t>(a);
    auto const y = static_cast<std::uint64_t>(b);
    return a >= b ? static_cast<double>(x - y) : -static_cast<double>(y - x);
  } else {
    return static_cast<double>(a) - static_cast<double>(b);
  }
}

/// What measures of errors take the mean of.  The same numbers as python/modelwatch_gpu/measures/errors.py, and but for the
/// deviances, which take logarithms, the same bits.
enum class ErrorTerm : std::uint8_t { absolute = 0, relative, signed_relative, symmetric, poisson, gamma, quantile };
inline constexpr int kErrorTerms = 7;

/// One row's term.  error: prediction - label; q: of the quantile whose loss is asked for.
MW_HD double error_term(ErrorTerm term, double error, double label, double prediction, double q) {
  constexpr double kLeastLabel = 0x1p-52;  // relative errors divide by at least this, as scikit-learn's
  double const size = std::fabs(error);
  double const y = std::fabs(label);
  switch (term) {
    case ErrorTerm::absolute: return size;
    case ErrorTerm::relative: return size / (y > kLeastLabel ? y : kLeastLabel);
    case ErrorTerm::signed_relative: return error / (y > kLeastLabel ? y : kLeastLabel);
    case ErrorTerm::symmetric: {
      // In units of the larger side, so that sums of large numbers stay finite.
      double const z = std::fabs(prediction);
      double unit = y > z ? y : z;
      unit = unit > 0 ? unit : 1.0;
      double const half = (y / unit + z / unit) / 2;
      return size / unit / (half > 0 ? half : 1.0);
    }
    case ErrorTerm::poisson: {
      bool const some = label > 0;
      double const logarithm = std::log((some ? label : 1.0) / prediction);
      return 2 * ((some ? label * logarithm : 0.0) + error);
    }
    case ErrorTerm::gamma: return 2 * (std::log(prediction / label) - error / prediction);
    case ErrorTerm::quantile: {
      double const above = -q * error;
      double const below = (1 - q) * error;
      return above > below ? above : below;
    }
  }
  return 0;
}

}  // namespace modelwatch
