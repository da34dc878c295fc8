#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace modelwatch {

/// Places of fewer than 2^32 distinct values in the order of their bytes, a value before those that begin with it.
std::vector<std::uint32_t> places_by_bytes(std::span<std::string_view const> values);

}  // namespace modelwatch
