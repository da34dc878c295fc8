#include "cuda/backend/staging.hpp"

#include <cstring>

#include "cuda/backend/feed.hpp"  // bytes_of

namespace modelwatch::cuda {
namespace {

/// Kernels read values 16 bytes at a time, and columns lie one behind the other.
constexpr std::size_t kAlign = 256;
std::size_t aligned(std::size_t bytes) { return (bytes + kAlign - 1) / kAlign * kAlign; }

}  // namespace

std::size_t staged_bytes(Storage storage, std::int64_t rows) {
  return aligned(static_cast<std::size_t>(rows) * bytes_of(storage)) + aligned(static_cast<std::size_t>(rows / 8 + 2));
}

NumericView staged(NumericView const& chunk, std::uint8_t* to, std::uint8_t const* device) {
  std::size_t const values = static_cast<std::size_t>(chunk.rows) * bytes_of(chunk.storage);
  std::memcpy(to, chunk.values, values);
  if (chunk.validity.bits == nullptr) return {device, {nullptr, 0}, chunk.rows, chunk.storage};
  std::int64_t const offset = chunk.validity.offset % 8;
  std::memcpy(to + aligned(values), chunk.validity.bits + chunk.validity.offset / 8, static_cast<std::size_t>((offset + chunk.rows + 7) / 8));
  return {device, {device + aligned(values), offset}, chunk.rows, chunk.storage};
}

}  // namespace modelwatch::cuda
