// Plain text and bytes: the slots of a tile's rows are looked up together, then counted.

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/error.hpp"
#include "engine/category_state.hpp"
#include "engine/rank.hpp"  // valid_rows

namespace modelwatch {
namespace {

/// Rows whose keys are made before the first is looked up, so that the table's memory is on its way; their keys fit the
/// first-level cache.
constexpr int kBatchRows = cpu::kTextRows;

/// Between two counters of a slot, where it has four; no power of two, which would put them into one set of the cache.
constexpr std::size_t kTextStride = 4096 + 16;

/// Bytes from a value to those fetched while it is read: a core's own guess of what is read next comes too late.
constexpr std::ptrdiff_t kAhead = 2048;

/// Where a value without bytes may lie.
constexpr char kNothing[1] = {};

template <class Offset>
struct OffsetReader {
  Offset const* offsets;
  char const* bytes;
  Offset readable;  // where the memory of the bytes ends

  explicit OffsetReader(StringsView const& column)
      : offsets(static_cast<Offset const*>(column.offsets)),
        bytes(column.bytes == nullptr ? kNothing : reinterpret_cast<char const*>(column.bytes)),
        readable(offsets[column.size]) {}
  /// Whether the prefixes of all rows before this one may be read whole.
  bool is_before_end(std::int64_t row) const { return row == 0 || readable - offsets[row - 1] >= static_cast<Offset>(StringKey::kPrefix); }
  void read(std::int64_t row, StringKey& key) const {
    char const* const value = bytes + offsets[row];
    __builtin_prefetch(value + kAhead);
    set_key(key, value, value, size(row));
  }
  void read_at_end(std::int64_t row, StringKey& key) const { set_key_at_end(key, bytes + offsets[row], size(row)); }
  std::string_view value(std::int64_t row) const { return {bytes + offsets[row], size(row)}; }

 private:
  std::uint32_t size(std::int64_t row) const { return static_cast<std::uint32_t>(offsets[row + 1] - offsets[row]); }
};

struct ViewReader {
  StringsView const& column;

  /// Of a view twelve bytes can always be read: its own, or a long value's.
  static bool is_before_end(std::int64_t) { return true; }
  void read(std::int64_t row, StringKey& key) const {
    std::string_view const value = this->value(row);
    set_key(key, value.data(), value.data(), static_cast<std::uint32_t>(value.size()));
  }
  void read_at_end(std::int64_t row, StringKey& key) const { read(row, key); }
  std::string_view value(std::int64_t row) const { return column.at(row); }
};

}  // namespace

template <class Reader>
void CategoryState::read_text(Reader const& reader, std::int64_t begin, int rows, std::uint8_t const* valid, TextTile& tile) {
  tile.beyond = 0;
  if (cpu::kernels().finds_texts) return find_text(reader, begin, rows, valid, tile);
  StringKey keys[kBatchRows];
  std::uint16_t at[kBatchRows];
  bool const before_end = reader.is_before_end(begin + rows);
  for (int first = 0; first < rows; first += kBatchRows) {
    int const end = std::min(rows, first + kBatchRows);
    int count = end - first;
    TextSlots const places = table_.places();
    if (valid == nullptr && before_end) {
      for (int k = 0; k < count; ++k) {
        reader.read(begin + first + k, keys[k]);
        places.prefetch(keys[k].hash);
      }
    } else {
      count = 0;
      for (int i = first; i < end; ++i) {
        tile.slots[i] = kNullSlot;
        if (valid != nullptr && valid[i] == 0) continue;
        at[count] = static_cast<std::uint16_t>(i);
        if (before_end)
          reader.read(begin + i, keys[count]);
        else
          reader.read_at_end(begin + i, keys[count]);
        places.prefetch(keys[count++].hash);
      }
    }
    for (int k = 0; k < count; ++k) {
      std::uint32_t slot = table_.find(keys[k]);
      int const row = valid == nullptr ? first + k : at[k];
      if (slot == StringTable::kAbsent) {
        std::uint64_t hash = 0;
        if (has_cap()) {
          std::uint32_t const size = keys[k].size();
          cpu::kernels().hash_values(&keys[k].bytes, &size, 1, &hash);
          tile.hashes[row] = hash;
        }
        slot = admit(keys[k].view(), keys[k].hash, hash);
        tile.beyond += is_beyond(slot) ? 1 : 0;
      }
      tile.slots[row] = slot;
    }
  }
}

/// read_text where a kernel looks values up.
template <class Reader>
void CategoryState::find_text(Reader const& reader, std::int64_t begin, int rows, std::uint8_t const* valid, TextTile& tile) {
  char const* bytes[kBatchRows];
  std::uint32_t sizes[kBatchRows];
  std::uint32_t found[kBatchRows];
  std::uint64_t hashes[kBatchRows];
  std::uint64_t own[kBatchRows] = {};  // which the table does not use
  std::uint16_t at[kBatchRows];
  std::uint8_t fresh_at[kBatchRows];
  auto const take = [&](int k, int row) {
    std::string_view const value = reader.value(begin + row);
    bytes[k] = value.data();
    sizes[k] = static_cast<std::uint32_t>(value.size());
  };
  for (int first = 0; first < rows; first += kBatchRows) {
    int const end = std::min(rows, first + kBatchRows);
    int count = end - first;
    if (valid == nullptr) {
      for (int k = 0; k < count; ++k) take(k, first + k);
    } else {
      count = 0;
      for (int i = first; i < end; ++i) {
        tile.slots[i] = kNullSlot;
        if (valid[i] == 0) continue;
        at[count] = static_cast<std::uint16_t>(i);
        take(count++, i);
      }
    }
    std::uint32_t* const slots = valid == nullptr ? tile.slots + first : found;
    cpu::kernels().find_texts(bytes, sizes, count, table_.places(), slots, hashes);
    // Those that have no number close ranks; one of them may be the first of another.
    int fresh = 0;
    for (int k = 0; k < count; ++k) {
      if (slots[k] != StringTable::kAbsent) continue;
      bytes[fresh] = bytes[k];
      sizes[fresh] = sizes[k];
      hashes[fresh] = hashes[k];
      fresh_at[fresh++] = static_cast<std::uint8_t>(k);
    }
    if (fresh > 0 && has_cap()) cpu::kernels().hash_values(bytes, sizes, fresh, own);
    for (int i = 0; i < fresh; ++i) {
      int const k = fresh_at[i];
      slots[k] = admit({bytes[i], sizes[i]}, hashes[i], own[i]);
      if (!is_beyond(slots[k])) continue;
      tile.hashes[valid == nullptr ? first + k : at[k]] = own[i];
      ++tile.beyond;
    }
    if (valid != nullptr)
      for (int k = 0; k < count; ++k) tile.slots[at[k]] = found[k];
  }
}

/// valid: of the rows that are looked up, or nullptr (all).
void CategoryState::read_text(StringsView const& column, std::int64_t begin, int rows, std::uint8_t const* valid, TextTile& tile) {
  switch (column.layout) {
    case StringLayout::offsets32: return read_text(OffsetReader<std::int32_t>(column), begin, rows, valid, tile);
    case StringLayout::offsets64: return read_text(OffsetReader<std::int64_t>(column), begin, rows, valid, tile);
    case StringLayout::views: return read_text(ViewReader{column}, begin, rows, valid, tile);
  }
}

/// Looks up the values of a dictionary whose codes were counted, as a tile of text is.
void CategoryState::resolve_counted(CategoryView const& column, std::uint32_t const* times) {
  StringsView const& values = column.values;
  TextTile tile;
  std::uint8_t wanted[kTileRows];
  for (std::int64_t begin = 0; begin < values.size; begin += kTileRows) {
    int const rows = static_cast<int>(std::min<std::int64_t>(kTileRows, values.size - begin));
    std::uint32_t* const slots = slot_of_code_.data() + begin;
    bool any = false;
    for (int i = 0; i < rows; ++i) {
      wanted[i] = times[begin + i] != 0 && slots[i] == kUnresolved && values.validity.valid(begin + i) ? 1 : 0;
      any = any || wanted[i] != 0;
    }
    if (!any) continue;
    read_text(values, begin, rows, wanted, tile);
    for (int i = 0; i < rows; ++i) {
      if (wanted[i] == 0) continue;
      slots[i] = tile.slots[i];
      if (is_beyond(slots[i])) hash_of_code_[static_cast<std::size_t>(begin + i)] = tile.hashes[i];
    }
  }
}

void CategoryState::add(StringsView const& column, BatchGroups const& groups, std::uint32_t const* weights) {
  if (groups.sets() != sets_.size()) throw InvalidInput("a batch needs the groups of every counter set.");
  TextTile tile;
  for (std::int64_t t = 0; t < groups.tiles();) {
    bool const in_runs = weights == nullptr && !groups.any_scattered();
    std::int64_t const end = in_runs ? std::min(groups.run_end(t), t + kMostRunTiles) : t;
    // Counters of their own pay where the rows are not much fewer than they.
    if (end > t && 4 * groups.rows_of(t, end) >= static_cast<std::int64_t>(slots_in_use())) {
      count_text_run(column, groups, t, end);
      t = end;
      continue;
    }
    std::int64_t const begin = t * kTileRows;
    int const rows = static_cast<int>(groups.rows_of(t, t + 1));
    std::uint8_t expanded[kTileRows];
    read_text(column, begin, rows, valid_rows(column.validity, begin, rows, expanded), tile);
    for (std::size_t s = 0; s < sets_.size(); ++s)
      if (!is_few(groups, s))
        count_tile(sets_[s], tile.slots, nullptr, tile.hashes, groups.from_tile(s, t), weights == nullptr ? nullptr : weights + begin, rows);
    if (groups.any_scattered()) note_scattered(groups, t, tile.slots);
    evict_where_many();
    ++t;
  }
}

/// Tiles that belong to one group in every set.
void CategoryState::count_text_run(StringsView const& column, BatchGroups const& groups, std::int64_t from, std::int64_t to) {
  Targets const targets = targets_of(groups, from);
  if (targets.empty()) return;
  TextTile tile;
  std::uint8_t expanded[kTileRows];
  bool few = has_few_slots();
  for (std::int64_t t = from; t < to; ++t) {
    int rows = static_cast<int>(groups.rows_of(t, t + 1));
    std::uint32_t const before = slots_in_use();
    read_text(column, t * kTileRows, rows, valid_rows(column.validity, t * kTileRows, rows, expanded), tile);
    // Of values that come evenly an eighth at most has been seen where seven rows of eight are new.
    std::size_t const seen = slots_in_use();
    bool const mostly_new = 8 * static_cast<std::int64_t>(seen - before) > 7 * std::int64_t{rows};
    std::size_t const most = std::min(seen + static_cast<std::size_t>(groups.rows_of(t, to)), first_unseen() + 2 * std::size_t{plan_.unseen_cap});
    table_.expect(mostly_new ? std::min(6 * seen, most) : 0);
    if (tile.beyond > 0) {
      // Rows beyond a cap have no slot: they are counted at once, and the others close ranks.
      std::uint64_t evicted = 0;
      int beyond = 0;
      int kept = 0;
      for (int i = 0; i < rows; ++i) {
        std::uint32_t const slot = tile.slots[i];
        if (is_beyond(slot)) tile.hashes[beyond++] = tile.hashes[i];
        evicted += slot == kEvicted ? 1 : 0;
        tile.slots[kept] = slot;
        kept += slot == kEvicted ? 0 : 1;
      }
      rows = kept;
      for (auto const& [set, group] : targets) {
        if (evicted > 0) count(*set, *group, kEvicted, evicted);
        for (int i = 0; i < beyond; ++i) note_beyond(*set, *group, tile.hashes[i]);
      }
    }
    if (few && !has_few_slots()) {
      end_text_run(targets, few);  // of the tiles before this one
      few = false;
    }
    std::size_t const counters = few ? 4 * kTextStride : slots_in_use();
    if (text_counts_.size() < counters) text_counts_.resize(counters, 0);
    if (few)
      cpu::kernels().count_four(tile.slots, rows, text_counts_.data(), static_cast<std::uint32_t>(kTextStride));
    else
      cpu::kernels().count_one(tile.slots, rows, text_counts_.data());
    if (has_many()) {
      end_text_run(targets, few);
      evict_beyond_cap();
      few = has_few_slots();
    }
  }
  end_text_run(targets, few);
  table_.expect(0);
}

/// Adds what a run has counted so far to its groups; `few`: there are four counters for every slot.
void CategoryState::end_text_run(Targets const& targets, bool few) {
  std::size_t const slots = std::min<std::size_t>({slots_in_use(), text_counts_.size(), few ? kMostRunCodes : ~std::size_t{0}});
  std::size_t const parts = few ? 4 : 1;
  if (!few) {
    auto const begin = text_counts_.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(first_unseen(), slots));
    auto const end = text_counts_.begin() + static_cast<std::ptrdiff_t>(slots);
    auto const counted = static_cast<std::uint32_t>(end - begin - std::count(begin, end, 0u));
    for (auto const& [set, group] : targets)
      if (!set->coarse) {
        group->unseen.widen(static_cast<std::uint32_t>(unseen_.size()));
        group->unseen.expect(counted);
      }
  }
  for (std::uint32_t slot = 0; slot < slots; ++slot) {
    std::uint64_t times = 0;
    for (std::size_t part = 0; part < parts; ++part) times += std::exchange(text_counts_[part * kTextStride + slot], 0u);
    if (times == 0) continue;
    for (auto const& [set, group] : targets) count(*set, *group, slot, times);
  }
}

}  // namespace modelwatch
