#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/error.hpp"

namespace modelwatch {

/// Unsigned integers of 1, 2, 4 or 8 bytes each.
struct UnsignedView {
  void const* data;
  std::size_t width;
};

/// Calls f with a pointer to a view's first element.
template <class F>
auto with_elements(UnsignedView view, F f) {
  switch (view.width) {
    case 1: return f(static_cast<std::uint8_t const*>(view.data));
    case 2: return f(static_cast<std::uint16_t const*>(view.data));
    case 4: return f(static_cast<std::uint32_t const*>(view.data));
    case 8: return f(static_cast<std::uint64_t const*>(view.data));
    default: throw InvalidInput("entries must be unsigned integers.");
  }
}

/// Entries (index, value) of each of `groups` groups: a group's are [begin[g], begin[g + 1]), by increasing index.
struct SparseView {
  std::int64_t const* begin;
  UnsignedView index;
  UnsignedView value;
  std::size_t groups;
  std::uint32_t const* to;  // the group of the sum that each group is added to
};

template <class Index, class Value>
struct SumOf {
  std::vector<std::int64_t> begin;
  std::vector<Index> index;
  std::vector<Value> value;
};
using SparseSum = SumOf<std::uint32_t, std::uint64_t>;
/// The same in half the memory.
using SmallSum = SumOf<std::uint16_t, std::uint32_t>;

/// Adds tables up; values of one group and index are added modulo 2^64.  Throws InvalidInput where an index has more than
/// 32 bits or a group leads out of the sum.
SparseSum merge_sparse(std::vector<SparseView> const& tables, std::size_t groups);

/// The same, for tables of which it is `small`.
SmallSum merge_small(std::vector<SparseView> const& tables, std::size_t groups);
/// Whether no index and no sum can take more than 16 and 32 bits, as far as the widths and the groups tell.
bool small(std::vector<SparseView> const& tables);

}  // namespace modelwatch
