#include "engine/batch_groups.hpp"

#include <algorithm>
#include <bit>
#include <utility>

namespace modelwatch {

BatchGroups::BatchGroups(std::vector<std::int32_t const*> rows, std::int64_t count, bool weighted)
    : BatchGroups(std::move(rows), count, weighted, {}) {
  find_several();
  find_runs();
}

BatchGroups::BatchGroups(std::vector<std::int32_t const*> rows, std::int64_t count, bool weighted, std::vector<std::uint8_t> several)
    : rows_(std::move(rows)),
      count_(count),
      tiles_((count + kTileRows - 1) / kTileRows),
      weighted_(weighted),
      several_(std::move(several)),
      by_group_(rows_.size()) {}

BatchGroups BatchGroups::of_first(std::size_t sets) const {
  auto const first = static_cast<std::ptrdiff_t>(sets);
  BatchGroups out({rows_.begin(), rows_.begin() + first}, count_, weighted_, {several_.begin(), several_.begin() + first * static_cast<std::ptrdiff_t>(tiles_)});
  out.find_runs();
  return out;
}

void BatchGroups::find_several() {
  several_.assign(rows_.size() * static_cast<std::size_t>(tiles_), 0);
  for (std::size_t s = 0; s < rows_.size(); ++s) {
    std::int32_t const* const own = rows_[s];
    for (std::int64_t t = 0; own != nullptr && t < tiles_; ++t) {
      std::int32_t different = 0;
      for (std::int64_t i = t * kTileRows + 1; i < end_of(t); ++i) different |= own[i] ^ own[t * kTileRows];
      several_[s * static_cast<std::size_t>(tiles_) + static_cast<std::size_t>(t)] = different != 0 ? 1 : 0;
    }
  }
}

void BatchGroups::find_runs() {
  run_end_ = run_ends(false);
  bool const all_whole = std::all_of(run_end_.begin(), run_end_.end(), [at = std::int64_t{0}](std::int64_t end) mutable { return end > at++; });
  if (!weighted_ && !all_whole) find_all_together();
}

/// Tiles [t, result[t]) are in one group of every set; of those that are not scattered, for `near`.
std::vector<std::int64_t> BatchGroups::run_ends(bool near) const {
  std::vector<bool> whole(static_cast<std::size_t>(tiles_), true);
  for (std::size_t s = 0; s < rows_.size(); ++s)
    for (std::int64_t t = 0; !(near && scattered(s)) && t < tiles_; ++t)
      if (several(s, t)) whole[static_cast<std::size_t>(t)] = false;
  std::vector<std::int64_t> ends(static_cast<std::size_t>(tiles_));
  for (std::int64_t t = tiles_ - 1; t >= 0; --t) {
    bool const joined = t + 1 < tiles_ && whole[static_cast<std::size_t>(t + 1)] && same(t, t + 1, near);
    ends[static_cast<std::size_t>(t)] = !whole[static_cast<std::size_t>(t)] ? t : joined ? ends[static_cast<std::size_t>(t + 1)] : t + 1;
  }
  return ends;
}

/// Whether the first rows of two tiles are in the same groups.
bool BatchGroups::same(std::int64_t a, std::int64_t b, bool near) const {
  for (std::size_t s = 0; s < rows_.size(); ++s)
    if (!(near && scattered(s)) && first(s, a) != first(s, b)) return false;
  return true;
}

/// Combinations of all tiles that have several; a set with too many groups for that is scattered.
void BatchGroups::find_all_together() {
  of_tile_.assign(static_cast<std::size_t>(tiles_), {});
  places_.resize(static_cast<std::size_t>(count_));
  before_.tile = -1;
  for (std::int64_t t = 0; t < tiles_; ++t) {
    if (near_end(t) > t || as_before(t)) continue;
    std::size_t const many = find_together(t);
    if (many == rows_.size()) continue;
    scatter(many);
    near_end_ = run_ends(true);
    ids_.clear();
    return find_all_together();  // at most once for each set
  }
}

/// Puts the rows of every stretch in the order of a set's groups.
void BatchGroups::scatter(std::size_t set) {
  ByGroup& out = by_group_[set];
  out.many = any_scattered_ = true;
  std::int32_t const* const own = rows_[set];
  out.first.reserve(static_cast<std::size_t>(stretches()) + 1);
  out.rows.resize(static_cast<std::size_t>(count_));
  out.tile_mates.resize(static_cast<std::size_t>(count_));
  auto const groups = static_cast<std::size_t>(std::max(*std::max_element(own, own + count_), 0)) + 1;
  std::vector<std::uint32_t> counts(groups + 1, 0);
  std::uint32_t* const next = counts.data() + 1;  // rows of a group, then the place of its next one; before it, those of none
  for (std::int64_t tile = 0; tile < tiles_; tile += kStretchTiles) {
    std::int32_t const* const of_row = own + tile * kTileRows;
    auto const rows = static_cast<std::size_t>(rows_of(tile, std::min(tiles_, tile + kStretchTiles)));
    std::size_t const first = out.ids.size();
    out.first.push_back(first);
    if (groups < 4 * rows) {
      // Looking at every group is cheaper than sorting where a good part of them has rows.
      for (std::size_t i = 0; i < rows; ++i) ++next[std::max(of_row[i], -1)];
      for (std::size_t g = 0; g < groups; ++g)
        if (next[g] != 0) out.ids.push_back(static_cast<std::int32_t>(g));
      next[-1] = 0;
    } else {
      for (std::size_t i = 0; i < rows; ++i)
        if (of_row[i] >= 0 && next[of_row[i]]++ == 0) out.ids.push_back(of_row[i]);
      std::sort(out.ids.begin() + static_cast<std::ptrdiff_t>(first), out.ids.end());
    }
    auto const ids = out.ids.begin() + static_cast<std::ptrdiff_t>(first);
    std::uint32_t sum = 0;
    for (auto id = ids; id != out.ids.end(); ++id) {
      out.begin.push_back(sum);
      sum += std::exchange(next[*id], sum);
    }
    out.begin.push_back(sum);
    Row* const order = out.rows.data() + tile * kTileRows;
    for (std::size_t i = 0; i < rows; ++i)
      if (of_row[i] >= 0) order[next[of_row[i]]++] = static_cast<Row>(i);
    for (auto id = ids; id != out.ids.end(); ++id) next[*id] = 0;
    find_visits(out, first);
    find_tile_mates(out, first, order, out.tile_mates.data() + tile * kTileRows);
  }
  out.first.push_back(out.ids.size());
  if (out.first[1] > static_cast<std::size_t>(cpu::GroupedTile::kMostGroups)) return;
  std::vector<std::int32_t> ids(out.ids);
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  if (TileGroups::fits(ids.size(), count_)) out.in_tiles = std::make_unique<TileGroups>(std::move(ids), own, count_);
}

/// Orders the groups of a stretch, those from first_id on, by how many rows they have: some hundred at a time, so that groups
/// which lie near each other in memory are still visited together.
void BatchGroups::find_visits(ByGroup& out, std::size_t first_id) {
  constexpr std::size_t kTogether = 256;
  constexpr std::uint32_t kMost = cpu::RowBlock::kMostRows + 1;  // and more
  std::size_t const groups = out.ids.size() - first_id;
  std::uint32_t const* const begin = out.begin.data() + out.begin.size() - groups - 1;
  out.visits.resize(out.ids.size());
  std::uint32_t* const visits = out.visits.data() + first_id;
  for (std::size_t some = 0; some < groups; some += kTogether) {
    std::size_t const end = std::min(groups, some + kTogether);
    std::size_t next[kMost + 2] = {};
    auto const rows = [&](std::size_t g) { return std::min(begin[g + 1] - begin[g], kMost); };
    for (std::size_t g = some; g < end; ++g) ++next[rows(g) + 1];
    for (std::uint32_t r = 0; r < kMost; ++r) next[r + 1] += next[r];
    for (std::size_t g = some; g < end; ++g) visits[some + next[rows(g)]++] = static_cast<std::uint32_t>(g);
  }
}

/// What the moments of the groups of a stretch, those from first_id on, need to know of each row in their order.
void BatchGroups::find_tile_mates(ByGroup& out, std::size_t first_id, Row const* order, std::uint8_t* mates) {
  std::size_t const groups = out.ids.size() - first_id;
  std::uint32_t const* const begin = out.begin.data() + out.begin.size() - groups - 1;
  std::uint32_t const rows = begin[groups];
  // Whether each row is in the tile of the one before, those of other groups too, which are taken out behind.
  mates[0] = static_cast<std::uint8_t>(order[0] % kLanes);
  for (std::uint32_t i = 1; i < rows; ++i)
    mates[i] = static_cast<std::uint8_t>(order[i] % kLanes | (order[i - 1] / kTileRows == order[i] / kTileRows ? cpu::RowBlock::kBehind : 0u));
  for (std::size_t g = 1; g < groups; ++g) mates[begin[g]] &= static_cast<std::uint8_t>(~cpu::RowBlock::kBehind);
  // From here on a row looks at those behind it, which are as they were.
  auto const behind = [&](std::uint32_t i) { return i < rows ? mates[i] / cpu::RowBlock::kBehind & 1u : 0u; };
  for (std::uint32_t i = 0; i < rows; ++i) {
    std::uint32_t const first = behind(i + 1) & ~behind(i);
    mates[i] = static_cast<std::uint8_t>(mates[i] | first * cpu::RowBlock::kFirst | (first & behind(i + 2)) * cpu::RowBlock::kBehind);
  }
}

std::int64_t BatchGroups::together_end(std::int64_t tile) const {
  Tile const& own = of_tile(tile);
  auto const ids = ids_.begin() + static_cast<std::ptrdiff_t>(own.ids);
  auto const size = static_cast<std::ptrdiff_t>(own.count) * static_cast<std::ptrdiff_t>(rows_.size());
  std::int64_t end = tile + 1;
  auto const same = [&](std::int64_t other) {
    Tile const& its = of_tile(other);
    return its.count == own.count && (its.ids == own.ids || std::equal(ids, ids + size, ids_.begin() + static_cast<std::ptrdiff_t>(its.ids)));
  };
  while (end < tiles_ && same(end)) ++end;
  return end;
}

/// Numbers the combinations of a tile, set by set: those of the sets so far, each with the groups of the next one.  Returns
/// the set that has too many of them, or sets().
std::size_t BatchGroups::find_together(std::int64_t tile) {
  constexpr std::int64_t kMostApart = 256;  // groups of a set are numbered as they come, so those of a tile are near each other
  constexpr std::uint8_t kSeen = 255;
  static_assert(kMostTogether < kSeen);
  std::uint8_t* const place = places_.data() + tile * kTileRows;
  int const rows = static_cast<int>(rows_of(tile, tile + 1));
  std::fill_n(place, rows, std::uint8_t{0});
  int count = 1;
  std::size_t telling = rows_.size();  // the set that tells all combinations by itself, if one does
  std::vector<std::vector<std::int32_t>> ids(rows_.size());  // of every set, of each combination
  std::vector<std::uint8_t> places;
  for (std::size_t s = 0; s < rows_.size(); ++s) {
    std::int32_t const* const own = from_tile(s, tile);
    if (scattered(s)) {
      ids[s].assign(static_cast<std::size_t>(count), -1);
      continue;
    }
    std::int32_t low = own == nullptr ? 0 : own[0];
    if (!several(s, tile)) {
      ids[s].assign(static_cast<std::size_t>(count), low);
      continue;
    }
    std::int32_t high = low;
    for (int i = 0; i < rows; ++i) {
      low = std::min(low, own[i]);
      high = std::max(high, own[i]);
    }
    // Often the sets so far tell the group: within a day, a label tells that of the day and the label.
    std::vector<std::int32_t> told(static_cast<std::size_t>(count), -1);
    std::uint32_t untold = count == 1 ? 1 : 0;
    for (int i = 0; i < rows && untold == 0; ++i) told[place[i]] = own[i];
    for (int i = 0; i < rows && count > 1; ++i) untold |= static_cast<std::uint32_t>(told[place[i]] ^ own[i]);
    if (untold == 0) {
      ids[s] = std::move(told);
      continue;
    }
    telling = count == 1 ? s : rows_.size();
    std::int64_t const apart = std::int64_t{high} - low + 1;
    if (apart > kMostApart) return s;
    auto const many = static_cast<int>(apart);
    places.assign(static_cast<std::size_t>(count * many), 0);
    for (int i = 0; i < rows; ++i) places[static_cast<std::size_t>(place[i] * many + (own[i] - low))] = kSeen;
    std::vector<int> before;  // the combination of the sets so far that each is made of
    for (int at = 0; at < count * many; ++at) {
      if (places[static_cast<std::size_t>(at)] == 0) continue;
      if (before.size() == static_cast<std::size_t>(kMostTogether)) return s;
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
  keep(tile, telling);
  return rows_.size();
}

/// Notes the combinations of a tile for the next one.
void BatchGroups::keep(std::int64_t tile, std::size_t set) {
  before_.tile = -1;
  if (set == rows_.size()) return;
  Together const own = together(tile);
  std::fill_n(before_.place, Before::kGroups, Before::kNone);
  before_.low = own.id(set, 0);
  for (int c = 0; c < own.count; ++c) before_.low = std::min(before_.low, own.id(set, c));
  for (int c = 0; c < own.count; ++c) {
    auto const at = static_cast<std::uint32_t>(own.id(set, c)) - static_cast<std::uint32_t>(before_.low);
    if (at >= Before::kGroups) return;
    before_.place[at] = static_cast<std::uint8_t>(c);
  }
  before_.tile = tile;
  before_.set = set;
}

/// Whether a tile has the combinations that were found last, all of them: most do, and that is seen in fewer steps.
bool BatchGroups::as_before(std::int64_t tile) {
  if (before_.tile < 0 || !several(before_.set, tile)) return false;
  Tile const found = of_tile(before_.tile);
  Together const last = together(before_.tile);
  for (std::size_t s = 0; s < rows_.size(); ++s)
    if (!scattered(s) && !several(s, tile))
      for (int c = 0; c < last.count; ++c)
        if (last.id(s, c) != first(s, tile)) return false;
  int const rows = static_cast<int>(rows_of(tile, tile + 1));
  std::int32_t const* const telling = from_tile(before_.set, tile);
  std::uint32_t apart = 0;
  auto const low = static_cast<std::uint32_t>(before_.low);
  static_assert((Before::kGroups & (Before::kGroups - 1)) == 0);
  for (int i = 0; i < rows; ++i) apart |= static_cast<std::uint32_t>(telling[i]) - low;
  if (apart >= Before::kGroups) return false;
  std::uint8_t* const place = places_.data() + tile * kTileRows;
  static_assert(kMostTogether <= 64);
  std::uint64_t seen = 0;
  std::uint32_t none = 0;
  for (int i = 0; i < rows; ++i) {
    std::uint8_t const at = before_.place[static_cast<std::uint32_t>(telling[i]) - low];
    place[i] = at;
    none |= at;
    seen |= std::uint64_t{1} << (at & 63);
  }
  if ((none & 128) != 0 || std::popcount(seen) != last.count) return false;
  for (std::size_t s = 0; s < rows_.size(); ++s) {
    if (s == before_.set || scattered(s) || !several(s, tile)) continue;
    std::int32_t const* const own = from_tile(s, tile);
    std::int32_t const* const ids = last.ids + s * static_cast<std::size_t>(last.count);
    std::int32_t different = 0;
    for (int i = 0; i < rows; ++i) different |= own[i] ^ ids[place[i]];
    if (different != 0) return false;
  }
  of_tile_[static_cast<std::size_t>(tile)] = found;
  return true;
}

}  // namespace modelwatch
