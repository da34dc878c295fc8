#include "engine/batch_groups.hpp"

#include <utility>

namespace modelwatch {

BatchGroups::BatchGroups(std::vector<std::int32_t const*> rows, std::int64_t count, bool weighted)
    : rows_(std::move(rows)), count_(count), tiles_((count + kTileRows - 1) / kTileRows), run_end_(static_cast<std::size_t>(tiles_)) {
  std::vector<bool> whole(static_cast<std::size_t>(tiles_), true);
  for (auto const* const own : rows_)
    for (std::int64_t t = 0; own != nullptr && t < tiles_; ++t) {
      std::int32_t different = 0;
      for (std::int64_t i = t * kTileRows + 1; i < end_of(t); ++i) different |= own[i] ^ own[t * kTileRows];
      if (different != 0) whole[static_cast<std::size_t>(t)] = false;
    }
  for (std::int64_t t = tiles_ - 1; t >= 0; --t) {
    bool const joined = t + 1 < tiles_ && whole[static_cast<std::size_t>(t + 1)] && same(t, t + 1);
    run_end_[static_cast<std::size_t>(t)] = !whole[static_cast<std::size_t>(t)] ? t : joined ? run_end_[static_cast<std::size_t>(t + 1)] : t + 1;
  }
  if (weighted || std::find(whole.begin(), whole.end(), false) == whole.end()) return;
  of_tile_.resize(static_cast<std::size_t>(tiles_));
  places_.resize(static_cast<std::size_t>(count_));
  for (std::int64_t t = 0; t < tiles_; ++t)
    if (!whole[static_cast<std::size_t>(t)]) find_together(t);
}

/// Whether the first rows of two tiles are in the same groups.
bool BatchGroups::same(std::int64_t a, std::int64_t b) const {
  for (std::size_t s = 0; s < rows_.size(); ++s)
    if (first(s, a) != first(s, b)) return false;
  return true;
}

std::int64_t BatchGroups::together_end(std::int64_t tile) const {
  Tile const& own = of_tile(tile);
  auto const ids = ids_.begin() + static_cast<std::ptrdiff_t>(own.ids);
  auto const size = static_cast<std::ptrdiff_t>(own.count) * static_cast<std::ptrdiff_t>(rows_.size());
  std::int64_t end = tile + 1;
  while (end < tiles_ && of_tile(end).count == own.count && std::equal(ids, ids + size, ids_.begin() + static_cast<std::ptrdiff_t>(of_tile(end).ids))) ++end;
  return end;
}

/// Numbers the combinations of a tile, set by set: those of the sets so far, each with the groups of the next one.
void BatchGroups::find_together(std::int64_t tile) {
  constexpr std::int64_t kMostApart = 256;  // groups of a set are numbered as they come, so those of a tile are near each other
  constexpr std::uint8_t kSeen = 255;
  static_assert(kMostTogether < kSeen);
  std::uint8_t* const place = places_.data() + tile * kTileRows;
  int const rows = static_cast<int>(rows_of(tile, tile + 1));
  std::fill_n(place, rows, std::uint8_t{0});
  int count = 1;
  std::vector<std::vector<std::int32_t>> ids(rows_.size());  // of every set, of each combination
  std::vector<std::uint8_t> places;
  for (std::size_t s = 0; s < rows_.size(); ++s) {
    std::int32_t const* const own = from_tile(s, tile);
    std::int32_t low = own == nullptr ? 0 : own[0];
    std::int32_t high = low;
    for (int i = 0; own != nullptr && i < rows; ++i) {
      low = std::min(low, own[i]);
      high = std::max(high, own[i]);
    }
    if (low == high) {
      ids[s].assign(static_cast<std::size_t>(count), low);
      continue;
    }
    std::int64_t const apart = std::int64_t{high} - low + 1;
    if (apart > kMostApart) return;
    auto const many = static_cast<int>(apart);
    places.assign(static_cast<std::size_t>(count * many), 0);
    for (int i = 0; i < rows; ++i) places[static_cast<std::size_t>(place[i] * many + (own[i] - low))] = kSeen;
    std::vector<int> before;  // the combination of the sets so far that each is made of
    for (int at = 0; at < count * many; ++at) {
      if (places[static_cast<std::size_t>(at)] == 0) continue;
      if (before.size() == static_cast<std::size_t>(kMostTogether)) return;
      places[static_cast<std::size_t>(at)] = static_cast<std::uint8_t>(before.size());
      before.push_back(at / many);
      ids[s].push_back(low + at % many);
    }
    for (int i = 0; i < rows; ++i) place[i] = places[static_cast<std::size_t>(place[i] * many + (own[i] - low))];
    count = static_cast<int>(before.size());
    for (std::size_t earlier = 0; earlier < s; ++earlier) {
      std::vector<std::int32_t> const old = std::exchange(ids[earlier], {});
      for (int const combination : before) ids[earlier].push_back(old[static_cast<std::size_t>(combination)]);
    }
  }
  of_tile_[static_cast<std::size_t>(tile)] = {count, ids_.size()};
  for (auto const& own : ids) ids_.insert(ids_.end(), own.begin(), own.end());
}

}  // namespace modelwatch
