#pragma once

#include <cstdint>
#include <vector>

#include "cuda/backend/session.hpp"
#include "engine/rank.hpp"  // Poll
#include "core/pair_sums.hpp"

namespace modelwatch::cuda {

/// What cpp/reference gives, of rows in host memory.  Every tile of pairs is added up by itself and tiles in
/// order, so the same bits whatever the device and however the rows are cut to fit it.  Rows of floats have squared
/// distances and exponentials of single precision.
template <class Value>
PairSums pair_sums(Session& session, Value const* x, std::int64_t n, Value const* y, std::int64_t m, std::int64_t dimensions,
                              std::vector<double> const& scales, Poll const& poll);

}  // namespace modelwatch::cuda
