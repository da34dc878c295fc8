#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/arrow_view.hpp"

namespace modelwatch {

/// One hash per row over all columns of a batch, in their order: numbers by value, text and dictionary columns by
/// the bytes of their value, null and NaN values of their own.  Rows of equal values hash alike whatever batch they come in; part of the file
/// format, since samples keep the rows with the smallest hashes (DESIGN 3.3).
std::vector<std::uint64_t> hash_rows(std::shared_ptr<ArrowOwner const> const& batch);

}  // namespace modelwatch
