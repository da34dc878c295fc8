// Sets of which a tile has rows in many groups, as of a log that is cut by customer.

#include <algorithm>
#include <vector>

#include "engine/category_state.hpp"

namespace modelwatch {
namespace {

/// Coarse slots of the rows of a stretch of tiles, until they are counted group by group: of a thread, since all its columns
/// use it in turn.
std::vector<std::uint16_t>& stretch_slots() {
  static thread_local std::vector<std::uint16_t> of_thread;
  return of_thread;
}

}  // namespace

/// Counts a whole batch into the sets that are scattered.
void CategoryState::add_scattered(CategoryView const& column, BatchGroups const& groups) {
  std::uint32_t slots[kTileRows];
  std::uint32_t codes[kTileRows];
  for (std::int64_t t = 0; t < groups.tiles(); ++t) {
    int const rows = static_cast<int>(groups.rows_of(t, t + 1));
    resolve_rows(column, t * kTileRows, rows, slots, codes);
    for (std::size_t s = 0; s < sets_.size(); ++s)
      if (groups.scattered(s) && !is_few(groups, s))
        count_tile(sets_[s], slots, codes, hash_of_code_.data(), groups.from_tile(s, t), nullptr, rows);
    note_scattered(groups, t, slots);
  }
}

/// Keeps the coarse slots of a tile's rows, and counts the stretch that it ends.
void CategoryState::note_scattered(BatchGroups const& groups, std::int64_t tile, std::uint32_t const* slots) {
  // Without such a set there may be no coarse grid either.
  bool any = false;
  for (std::size_t s = 0; s < sets_.size(); ++s) any = any || is_few(groups, s);
  if (!any) return;
  auto& kept = stretch_slots();
  kept.resize(static_cast<std::size_t>(BatchGroups::kStretchTiles) * kTileRows);
  std::uint16_t* const of_tile = kept.data() + tile % BatchGroups::kStretchTiles * kTileRows;
  auto const rows = static_cast<std::size_t>(groups.rows_of(tile, tile + 1));
  for (std::size_t i = 0; i < rows; ++i) of_tile[i] = static_cast<std::uint16_t>(coarse_of(slots[i]));
  if (!groups.ends_stretch(tile)) return;
  for (std::size_t s = 0; s < sets_.size(); ++s)
    if (is_few(groups, s)) count_stretch(sets_[s], groups.of_scattered(s, tile / BatchGroups::kStretchTiles), kept.data());
}

/// Counts the rows of a stretch, group by group.
void CategoryState::count_stretch(Set& set, BatchGroups::Scattered const& by, std::uint16_t const* slots) const {
  for (std::size_t k = 0; k < by.count; ++k) {
    BatchGroups::Row const* const rows = by.rows + by.begin[k];
    std::size_t const count = by.begin[k + 1] - by.begin[k];
    auto const group = static_cast<std::size_t>(by.ids[k]);
    auto const place = set.few.at(group, plan_.coarse_slots);
    if (place.facts->rows + count > FewRows<FewFacts>::kMost) settle(set, group);
    if (count <= FewRows<FewFacts>::kMostInStretch) {
      if (std::uint8_t* list = set.few.list(place, count)) {
        for (std::size_t i = 0; i < count; ++i) list = FewRows<FewFacts>::put_slot(list, slots[rows[i]]);
      } else {
        std::uint8_t* const counts = set.few.counters(place);
        for (std::size_t i = 0; i < count; ++i) ++counts[slots[rows[i]]];
      }
      place.facts->rows += static_cast<std::uint32_t>(count);
    } else {
      if (place.facts->rows != 0) settle(set, group);
      std::uint64_t* const counts = made(set, group).cells.dense();
      for (std::size_t i = 0; i < count; ++i) ++counts[slots[rows[i]]];
    }
  }
}

/// Moves what a group has counted in 8 bits to its other counters.
void CategoryState::settle(Set& set, std::size_t group) const {
  auto const place = set.few.at(group, plan_.coarse_slots);
  Group& into = made(set, group);
  each_counted(set.few.counters(place), plan_.coarse_slots, [&into](std::uint32_t slot, std::uint8_t count) { into.cells.add(slot, count); });
  *place.facts = {};
}

}  // namespace modelwatch
