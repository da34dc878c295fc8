#pragma once

#include <algorithm>  // clamp
#include <cstdint>

#include "core/macros.hpp"
#include "core/views.hpp"

namespace modelwatch::cuda {

MW_HD int rows_of_tile(std::int64_t begin, std::int64_t rows) {
  std::int64_t const left = rows - begin;
  return static_cast<int>(left < kTileRows ? left : kTileRows);
}

inline std::int64_t tiles_of(std::int64_t rows) { return (rows + kTileRows - 1) / kTileRows; }

/// Blocks that share the tiles of so many rows: one a tile, but no more than `most`.
inline unsigned blocks_for(std::int64_t rows, std::int64_t most) {
  return static_cast<unsigned>(std::clamp<std::int64_t>(tiles_of(rows), 1, std::max<std::int64_t>(most, 1)));
}

}  // namespace modelwatch::cuda
