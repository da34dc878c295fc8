#pragma once
// What the rows of a column are: null, NaN, infinite, zero, and the range of the others.

#include <cstdint>
#include <type_traits>

#include "core/key.hpp"
#include "core/macros.hpp"
#include "core/value_kinds.hpp"

namespace modelwatch {

/// What one thread has found among fewer than 2^32 rows: in as few registers as it takes.
struct RowKinds {
  std::uint32_t null = 0;
  std::uint32_t nan = 0;
  std::uint32_t positive_infinity = 0;
  std::uint32_t negative_infinity = 0;
  std::uint32_t zero = 0;
  std::uint64_t low = ~std::uint64_t{0};
  std::uint64_t high = 0;
};

/// Adds one row to what a thread has found.
template <class Value>
MW_HD void survey_row(Value x, bool valid, RowKinds& own) {
  if (!valid) {
    ++own.null;
    return;
  }
  if (KeyOf<Value>::missing(x)) {
    ++own.nan;
    return;
  }
  std::uint64_t const key = KeyOf<Value>::key(x);
  if constexpr (std::is_floating_point_v<Value>) {
    if (!KeyOf<Value>::finite(x)) {
      bool const positive = (key & KeyOf<Value>::kSign) != 0;
      own.positive_infinity += positive ? 1 : 0;
      own.negative_infinity += positive ? 0 : 1;
      return;
    }
  }
  own.zero += key == KeyOf<Value>::key(Value{0}) ? 1 : 0;
  own.low = key < own.low ? key : own.low;
  own.high = key > own.high ? key : own.high;
}

/// Adds what one thread, or a part of all, has found to what all have.
template <class Team, class Found>
MW_HD void merge_kinds(Team const& team, Found const& found, ValueKinds* all) {
  if (found.null != 0) team.add(&all->null, std::uint64_t{found.null});
  if (found.nan != 0) team.add(&all->nan, std::uint64_t{found.nan});
  if (found.positive_infinity != 0) team.add(&all->positive_infinity, std::uint64_t{found.positive_infinity});
  if (found.negative_infinity != 0) team.add(&all->negative_infinity, std::uint64_t{found.negative_infinity});
  if (found.zero != 0) team.add(&all->zero, std::uint64_t{found.zero});
  if (found.low <= found.high) {
    team.lower(&all->low, found.low);
    team.raise(&all->high, found.high);
  }
}

}  // namespace modelwatch
