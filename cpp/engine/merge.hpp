#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace modelwatch {

/// Unsigned integers of 1, 2, 4 or 8 bytes each.
struct UnsignedView {
  void const* data;
  std::size_t width;
};

/// Entries (index, value) of each of `groups` groups: a group's are [begin[g], begin[g + 1]), by increasing index.
struct SparseView {
  std::int64_t const* begin;
  UnsignedView index;
  UnsignedView value;
  std::size_t groups;
  std::uint32_t const* to;  // the group of the sum that each group is added to
};

struct SparseSum {
  std::vector<std::int64_t> begin;
  std::vector<std::uint32_t> index;
  std::vector<std::uint64_t> value;
};

/// Adds tables up; values of one group and index are added modulo 2^64.  Throws InvalidInput where an index has more than
/// 32 bits or a group leads out of the sum.
SparseSum merge_sparse(std::vector<SparseView> const& tables, std::size_t groups);

}  // namespace modelwatch
