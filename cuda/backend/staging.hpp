#pragma once
// How a chunk of a host column lies in the memory that is copied to the device: its values, then its validity.

#include <cstddef>
#include <cstdint>

#include "core/views.hpp"

namespace modelwatch::cuda {

/// Bytes that a chunk of so many rows takes, wherever its bitmap begins.
std::size_t staged_bytes(Storage storage, std::int64_t rows);

/// Puts a chunk into `to`, and returns it as it will lie once these bytes are copied to `device`.
NumericView staged(NumericView const& chunk, std::uint8_t* to, std::uint8_t const* device);

}  // namespace modelwatch::cuda
