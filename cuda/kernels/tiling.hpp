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

#if defined(__CUDACC__)

/// Calls f(begin, naming) for the tiles of a block: for its first once more before all, with naming = true, where near
/// counters are to be named by it (core/near_counters.hpp).  One call in the code, or it would be compiled twice.
template <class F>
__device__ __forceinline__ void twice_first(std::int64_t rows, bool naming, F f) {
  for (std::int64_t begin = std::int64_t{blockIdx.x} * kTileRows; begin < rows;) {
    f(begin, naming);
    begin += naming ? 0 : std::int64_t{gridDim.x} * kTileRows;
    naming = false;
  }
}

#endif

}  // namespace modelwatch::cuda
