// Counts that were made on a device, taken into the state that results come from.

#include "core/hash.hpp"
#include "engine/category_state.hpp"

namespace modelwatch {

std::uint32_t CategoryState::coarse_slot(std::string_view bytes) const {
  std::uint32_t const slot = table_.find(own_key(bytes));
  if (slot != StringTable::kAbsent) return coarse_of(slot);
  std::uint64_t const hash = hash_bytes(reinterpret_cast<std::uint8_t const*>(bytes.data()), static_cast<std::int64_t>(bytes.size()));
  return plan_.known_is_capped && is_beyond_known(hash, bytes) ? kOtherSlot : kCoarseUnseen;
}

CategoryState::Resolved CategoryState::resolve_all(std::vector<std::string_view> const& values, std::vector<bool> const& seen) {
  Resolved out{std::vector<std::uint32_t>(values.size(), kUnresolved), std::vector<std::uint64_t>(values.size(), 0)};
  // Once for all values: slots that are out must not move.
  evict_where_many();
  for (std::size_t i = 0; i < values.size(); ++i)
    if (seen[i]) out.slots[i] = resolve(values[i], out.hashes[i]);
  return out;
}

void CategoryState::absorb(Resolved const& values, std::size_t set_index, std::int32_t group, std::uint64_t const* counts) {
  Set& set = sets_.at(set_index);
  Group& into = group_of(set, group);
  if (set.coarse) {
    for (std::uint32_t slot = 0; slot < plan_.coarse_slots; ++slot)
      if (counts[slot] != 0) into.cells.add(slot, counts[slot]);
    return;
  }
  if (counts[0] != 0) into.cells.add(kNullSlot, counts[0]);
  for (std::size_t i = 0; i < values.slots.size(); ++i) {
    if (counts[1 + i] == 0) continue;
    count(set, into, values.slots[i], counts[1 + i]);
    if (is_beyond(values.slots[i])) note_beyond(set, into, values.hashes[i]);
  }
}

}  // namespace modelwatch
