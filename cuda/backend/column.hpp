#pragma once

#include <cstdint>
#include <optional>

#include "cuda/backend/feed.hpp"
#include "engine/column_moments.hpp"
#include "engine/column_sketch.hpp"

namespace modelwatch::cuda {

/// What engine/column_moments.hpp and engine/column_sketch.hpp give, to the bit, found on a device.
ColumnMoments column_moments(Session& session, ColumnInput const& column, std::optional<std::uint64_t> pivot, Poll const& poll);
LogLinearCounts log_linear_counts(Session& session, ColumnInput const& column, Poll const& poll);
ColumnRegisters column_registers(Session& session, ColumnInput const& column, Poll const& poll);

}  // namespace modelwatch::cuda
