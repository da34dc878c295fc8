#include "cuda/backend/chunk_groups.hpp"

#include <algorithm>

namespace modelwatch::cuda {
namespace {

/// The group that all rows are in, kNoGroup or kMixedTile.
std::int32_t group_of_tile(std::int32_t const* groups, std::int64_t rows) {
  std::int32_t different = 0;
  for (std::int64_t i = 1; i < rows; ++i) different |= groups[i] ^ groups[0];
  if (different != 0) return kMixedTile;
  return groups[0] < 0 ? kNoGroup : groups[0];
}

}  // namespace

/// Whether a tile meets a group for the first time.
bool GroupFinder::meet(std::size_t s, std::int32_t group, std::uint64_t tile, SetGroups& out) {
  auto& known = seen_[s];
  auto const at = static_cast<std::size_t>(group);
  if (at >= known.size()) known.resize(at + 1);
  Seen& seen = known[at];
  if (seen.tile == tile) return false;
  seen.tile = tile;
  if (seen.chunk != chunks_) {
    seen.chunk = chunks_;
    seen.place = static_cast<std::uint32_t>(out.present.size());
    out.present.push_back(group);
  }
  return true;
}

SetGroups GroupFinder::find_set(std::size_t s, std::int32_t const* of_row, std::int64_t rows) {
  SetGroups out;
  for (std::int64_t begin = 0; begin < rows; begin += kTileRows) {
    std::int64_t const count = std::min<std::int64_t>(kTileRows, rows - begin);
    std::int32_t const whole = of_row == nullptr ? 0 : group_of_tile(of_row + begin, count);
    std::uint64_t const tile = ++tiles_;
    out.of_tile.push_back(whole);
    out.entry_begin.push_back(static_cast<std::uint32_t>(out.entry_group.size()));
    if (whole >= 0) meet(s, whole, tile, out);
    if (whole != kMixedTile) continue;
    out.mixed = true;
    std::int32_t last = kNoGroup;
    for (std::int64_t row = begin; row < begin + count; ++row) {
      std::int32_t const group = of_row[row];
      if (group == last || group < 0) continue;
      last = group;
      if (meet(s, group, tile, out) && moments_[s]) out.entry_group.push_back(group);
    }
  }
  out.entry_begin.push_back(static_cast<std::uint32_t>(out.entry_group.size()));
  if (!out.present.empty()) {
    auto const [least, largest] = std::minmax_element(out.present.begin(), out.present.end());
    out.least = *least;
    out.span = static_cast<std::uint32_t>(*largest - *least) + 1;
  }
  return out;
}

/// In which order a set's groups take in the moments of tiles.
void GroupFinder::add_folds(std::size_t s, SetGroups const& set, ChunkGroups& out) {
  auto const place_of = [&](std::int32_t group) { return seen_[s][static_cast<std::size_t>(group)].place; };
  // Calls f(group, ref) tile by tile.
  auto const each = [&](auto f) {
    for (std::size_t t = 0; t < set.of_tile.size(); ++t) {
      if (set.of_tile[t] >= 0) f(set.of_tile[t], static_cast<std::uint32_t>(t));
      for (std::uint32_t e = set.entry_begin[t]; e < set.entry_begin[t + 1]; ++e) f(set.entry_group[e], out.first_entry[s] + e);
    }
  };
  std::vector<std::uint32_t> ends(set.present.size(), 0);
  each([&](std::int32_t group, std::uint32_t) { ++ends[place_of(group)]; });
  auto begin = static_cast<std::uint32_t>(out.refs.size());
  for (std::size_t i = 0; i < ends.size(); ++i) {
    std::uint32_t const count = ends[i];
    ends[i] = begin;
    begin += count;
  }
  out.refs.resize(begin);
  std::size_t const first = out.folds.size();
  for (std::size_t i = 0; i < ends.size(); ++i) out.folds.push_back({static_cast<std::uint32_t>(s), set.present[i], ends[i], 0});
  each([&](std::int32_t group, std::uint32_t ref) { out.refs[ends[place_of(group)]++] = ref; });
  for (std::size_t i = 0; i < ends.size(); ++i) out.folds[first + i].end = ends[i];
}

ChunkGroups GroupFinder::find(std::vector<std::int32_t const*> const& groups, std::int64_t rows) {
  ++chunks_;
  ChunkGroups out;
  auto const tiles = static_cast<std::uint32_t>((rows + kTileRows - 1) / kTileRows);
  out.moments_of_column = tiles;
  for (std::size_t s = 0; s < groups.size(); ++s) {
    out.sets.push_back(find_set(s, groups[s], rows));
    SetGroups const& set = out.sets.back();
    out.first_entry.push_back(out.moments_of_column);
    out.moments_of_column += static_cast<std::uint32_t>(set.entry_group.size());
    out.mixed_moments |= moments_[s] && set.mixed;
    if (moments_[s]) add_folds(s, set, out);
  }
  return out;
}

}  // namespace modelwatch::cuda
