#pragma once
// Entries of tables as NumPy keeps them: unsigned integers of any width.

#include "binding/support.hpp"
#include "engine/merge.hpp"

namespace modelwatch::binding {

inline UnsignedView unsigned_view(py::array const& values) {
  if (values.ndim() != 1 || values.dtype().kind() != 'u' || (values.size() > 1 && values.strides(0) != values.itemsize()))
    throw InvalidInput("entries must be contiguous arrays of unsigned integers.");
  return {values.data(), static_cast<std::size_t>(values.itemsize())};
}

/// Throws InvalidInput where groups that begin at `begin` (groups + 1) would read beyond `entries`.
inline void check_begins(std::int64_t const* begin, std::size_t groups, py::ssize_t entries) {
  for (std::size_t g = 0; g < groups; ++g)
    if (begin[g] > begin[g + 1]) throw InvalidInput("a group of a table ends before it begins.");
  if (begin[0] < 0 || begin[groups] > entries) throw InvalidInput("the groups of a table do not fit its entries.");
}

}  // namespace modelwatch::binding
