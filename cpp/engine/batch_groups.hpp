#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "core/views.hpp"

namespace modelwatch {

/// The groups that the rows of a batch belong to, in every counter set.  Logs are nearly sorted by time, so most tiles
/// lie in one window and one day: what the columns of a batch need to know about that is found out once.
class BatchGroups {
 public:
  /// rows[s][row] is the row's group in set s, or -1; nullptr puts every row into group 0.
  BatchGroups(std::vector<std::int32_t const*> rows, std::int64_t count) : rows_(std::move(rows)), count_(count), tiles_((count + kTileRows - 1) / kTileRows) {
    std::vector<bool> whole(static_cast<std::size_t>(tiles_), true);
    for (auto const* const own : rows_)
      for (std::int64_t t = 0; own != nullptr && t < tiles_; ++t) {
        std::int32_t different = 0;
        for (std::int64_t i = t * kTileRows + 1; i < end_of(t); ++i) different |= own[i] ^ own[t * kTileRows];
        if (different != 0) whole[static_cast<std::size_t>(t)] = false;
      }
    run_end_.resize(static_cast<std::size_t>(tiles_));
    for (std::int64_t t = tiles_ - 1; t >= 0; --t) {
      bool const joined = t + 1 < tiles_ && whole[static_cast<std::size_t>(t + 1)] && same(t, t + 1);
      run_end_[static_cast<std::size_t>(t)] = !whole[static_cast<std::size_t>(t)] ? t : joined ? run_end_[static_cast<std::size_t>(t + 1)] : t + 1;
    }
  }

  std::size_t sets() const { return rows_.size(); }
  std::int64_t rows() const { return count_; }
  std::int64_t tiles() const { return tiles_; }
  /// Rows of tiles [from, to).
  std::int64_t rows_of(std::int64_t from, std::int64_t to) const { return std::min(count_, to * kTileRows) - from * kTileRows; }
  /// Groups of set s from the first row of a tile on, or nullptr.
  std::int32_t const* from_tile(std::size_t s, std::int64_t tile) const { return rows_[s] == nullptr ? nullptr : rows_[s] + tile * kTileRows; }
  /// The group in set s that a tile's first row belongs to.
  std::int32_t first(std::size_t s, std::int64_t tile) const { return rows_[s] == nullptr ? 0 : rows_[s][tile * kTileRows]; }
  /// Tiles [tile, run_end(tile)) belong to one group in every set; empty where a tile has rows of several.
  std::int64_t run_end(std::int64_t tile) const { return run_end_[static_cast<std::size_t>(tile)]; }

 private:
  std::int64_t end_of(std::int64_t tile) const { return std::min(count_, (tile + 1) * kTileRows); }
  bool same(std::int64_t a, std::int64_t b) const {
    for (std::size_t s = 0; s < rows_.size(); ++s)
      if (first(s, a) != first(s, b)) return false;
    return true;
  }

  std::vector<std::int32_t const*> rows_;
  std::int64_t count_;
  std::int64_t tiles_;
  std::vector<std::int64_t> run_end_;
};

}  // namespace modelwatch
