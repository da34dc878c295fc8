#pragma once

#include <cstddef>
#include <cstdint>

#include "core/macros.hpp"

namespace modelwatch {

/// The type in which a column's values are compared with its knots.
/// Every narrower integer is compared as int64; float16 is widened to float32 before it gets here.
enum class Domain : std::uint8_t { float32 = 0, float64 = 1, int64 = 2, uint64 = 3 };

/// How the values lie in memory.
enum class Storage : std::uint8_t {
  int8 = 0, int16, int32, int64, uint8, uint16, uint32, uint64, float32, float64
};
inline constexpr int kStorages = 10;
/// Of one value.
constexpr std::size_t bytes_of(Storage storage) {
  constexpr std::size_t kBytes[kStorages] = {1, 2, 4, 8, 1, 2, 4, 8, 4, 8};
  return kBytes[static_cast<int>(storage)];
}

/// Rows whose values are ranked together; also the block of the ordered moments (DESIGN 3.5).
inline constexpr int kTileRows = 1024;
/// Row i of a tile adds to lane i mod kLanes.
inline constexpr int kLanes = 16;

/// A column's validity bitmap, Arrow layout; bits == nullptr means that every row is valid.
struct Validity {
  std::uint8_t const* bits;
  std::int64_t offset;
  MW_HD bool valid(std::int64_t row) const {
    std::int64_t const at = row + offset;
    return bits == nullptr || ((bits[at >> 3] >> (at & 7)) & 1) != 0;
  }
};

/// Numbers of one column: a view, never an owner.  Row i is element i of `values`.
struct NumericView {
  void const* values;
  Validity validity;
  std::int64_t rows;
  Storage storage;
};

}  // namespace modelwatch
