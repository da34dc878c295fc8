#pragma once

#include <cstdint>
#include <optional>

#include "core/moments.hpp"
#include "core/value_kinds.hpp"
#include "core/views.hpp"
#include "cpu/kernel_table.hpp"
#include "engine/rank.hpp"  // Poll

namespace modelwatch {

/// The domain a storage has of its own.
Domain own_domain(Storage storage);

/// The pivot of a column where it does not depend on the values: the given one, or 0's key for all but 64-bit integers.
/// Throws InvalidInput for a pivot of floats that is not 0's key.
std::optional<std::uint64_t> fixed_pivot(Storage storage, std::optional<std::uint64_t> pivot);

/// The key of a 64-bit integer as a pivot; where there is none, nullptr, that of 0.
std::uint64_t pivot_at(Storage storage, void const* value);

struct ColumnMoments {
  Moments moments;      // of the finite values, less the pivot
  ValueKinds kinds;
  std::uint64_t pivot;  // key of the column's domain; of floats always that of 0
};

/// Ordered moments of a column by itself, with the bits of a counter's (DESIGN 3.5), and what its rows are, in one read.
/// pivot: key of the whole number that moments are taken about; default: the first value of 64-bit integers, which then
/// keep their distances beyond 2^53, and 0 of others.  Must be 0's key, or nothing, for floats.
ColumnMoments column_moments(NumericView const& column, std::optional<std::uint64_t> pivot, int threads, Poll const& poll,
                             cpu::KernelTable const& kernel = cpu::kernels());

}  // namespace modelwatch
