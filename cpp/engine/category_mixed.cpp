// Tiles whose rows belong to several groups, or have weights.

#include <algorithm>
#include <utility>

#include "core/error.hpp"
#include "cpu/kernel_table.hpp"
#include "engine/category_state.hpp"
#include "engine/rank.hpp"  // valid_rows

namespace modelwatch {
namespace {

/// cells[i] = of_row[i] * stride + the row's code, the last below stride for null.
template <class Code>
void cells_of(void const* all, std::int64_t begin, int rows, std::uint8_t const* valid, std::uint8_t const* of_row, std::uint32_t stride,
              std::uint32_t* cells) {
  auto const* const codes = static_cast<Code const*>(all) + begin;
  if (valid == nullptr)
    for (int i = 0; i < rows; ++i) cells[i] = of_row[i] * stride + static_cast<std::uint32_t>(codes[i]);
  else
    for (int i = 0; i < rows; ++i) cells[i] = of_row[i] * stride + (valid[i] != 0 ? static_cast<std::uint32_t>(codes[i]) : stride - 1);
}

/// Calls f with a code of a storage's type.
template <class F>
void with_codes(Storage storage, F f) {
  switch (storage) {
    case Storage::int8: return f(std::int8_t{});
    case Storage::int16: return f(std::int16_t{});
    case Storage::int32: return f(std::int32_t{});
    case Storage::int64: return f(std::int64_t{});
    case Storage::uint8: return f(std::uint8_t{});
    case Storage::uint16: return f(std::uint16_t{});
    case Storage::uint32: return f(std::uint32_t{});
    case Storage::uint64: return f(std::uint64_t{});
    case Storage::float32:
    case Storage::float64: throw InvalidInput("dictionary codes must be integers.");
  }
}

}  // namespace

/// Counts the tiles from `from` on that have the same combinations of groups, by combination and code, and looks codes up
/// at the end; returns where it stopped: at `from` where there are too many counters for that.
std::int64_t CategoryState::count_together(CategoryView const& column, BatchGroups const& groups, std::int64_t from) {
  auto const together = groups.together(from);
  if (together.of_row == nullptr) return from;
  std::int64_t const counters = together.count * (column.values.size + 1);
  if (column.values.size >= kMostTogetherCounters || counters > kMostTogetherCounters) return from;
  std::int64_t const to = std::min(groups.together_end(from), from + kMostRunTiles);
  if (counters > groups.rows_of(from, to)) return from;
  auto const stride = static_cast<std::uint32_t>(column.values.size) + 1;
  if (run_counts_.size() < static_cast<std::size_t>(counters)) run_counts_.resize(static_cast<std::size_t>(counters), 0);
  std::uint32_t cells[kTileRows];
  std::uint8_t expanded[kTileRows];
  for (std::int64_t t = from; t < to; ++t) {
    std::int64_t const begin = t * kTileRows;
    int const rows = static_cast<int>(groups.rows_of(t, t + 1));
    std::uint8_t const* const valid = valid_rows(column.codes, begin, rows, expanded);
    with_codes(column.codes.storage, [&]<class Code>(Code) {
      cells_of<Code>(column.codes.values, begin, rows, valid, groups.together(t).of_row, stride, cells);
    });
    cpu::kernels().count_one(cells, rows, run_counts_.data());
  }
  for (int c = 0; c < together.count; ++c)
    for (std::uint32_t code = 0; code < stride; ++code) {
      std::uint32_t const times = std::exchange(run_counts_[static_cast<std::uint32_t>(c) * stride + code], 0u);
      if (times == 0) continue;
      std::uint32_t const slot = code + 1 == stride ? kNullSlot : slot_of(column, code);
      for (std::size_t s = 0; s < sets_.size(); ++s) {
        if (together.id(s, c) < 0) continue;
        Group& into = group_of(sets_[s], together.id(s, c));
        count(sets_[s], into, slot, times);
        if (is_beyond(slot)) note_beyond(sets_[s], into, hash_of_code_[code]);
      }
    }
  return to;
}

/// Slot of every row of a tile.
template <class Code>
void CategoryState::resolve_tile(CategoryView const& column, std::int64_t begin, int rows, std::uint32_t* slots,
                                 std::uint32_t* row_codes) {
  auto const* const codes = static_cast<Code const*>(column.codes.values) + begin;
  for (int i = 0; i < rows; ++i) {
    if (!column.codes.validity.valid(begin + i)) {
      slots[i] = kNullSlot;
      continue;
    }
    auto const code = static_cast<std::size_t>(codes[i]);
    slots[i] = slot_of(column, code);
    row_codes[i] = static_cast<std::uint32_t>(code);
  }
}

void CategoryState::resolve_rows(CategoryView const& column, std::int64_t begin, int rows, std::uint32_t* slots, std::uint32_t* codes) {
  with_codes(column.codes.storage, [&]<class Code>(Code) { resolve_tile<Code>(column, begin, rows, slots, codes); });
}

void CategoryState::count_tile(Set& set, std::uint32_t const* slots, std::uint32_t const* codes, std::uint64_t const* hashes,
                               std::int32_t const* groups, std::uint32_t const* weights, int rows) {
  std::uint32_t const end_of_known = first_unseen();
  std::int32_t current = -1;
  Group* into = nullptr;
  std::uint64_t* dense = nullptr;
  for (int i = 0; i < rows; ++i) {
    std::int32_t const group = groups == nullptr ? 0 : groups[i];
    if (group < 0) continue;
    if (group != current) {
      into = &group_of(set, group);
      current = group;
      dense = into->cells.dense();
    }
    std::uint64_t const times = weights == nullptr ? 1 : weights[i];
    if (set.coarse && dense != nullptr) {
      dense[coarse_of(slots[i])] += times;  // a coarse set keeps no sketches
    } else if (!set.coarse && dense != nullptr && slots[i] < end_of_known && slots[i] != kOtherSlot) {
      dense[slots[i]] += times;  // nearly every row
    } else {
      count(set, *into, slots[i], times);
      if (is_beyond(slots[i])) note_beyond(set, *into, hashes[codes == nullptr ? static_cast<std::uint32_t>(i) : codes[i]]);
      dense = into->cells.dense();
    }
  }
}

void CategoryState::add_tile(CategoryView const& column, BatchGroups const& groups, std::int64_t tile, std::uint32_t const* weights) {
  std::uint32_t slots[kTileRows];
  std::uint32_t codes[kTileRows];
  std::int64_t const begin = tile * kTileRows;
  int const rows = static_cast<int>(groups.rows_of(tile, tile + 1));
  resolve_rows(column, begin, rows, slots, codes);
  for (std::size_t s = 0; s < sets_.size(); ++s)
    if (!groups.scattered(s))
      count_tile(sets_[s], slots, codes, hash_of_code_.data(), groups.from_tile(s, tile), weights == nullptr ? nullptr : weights + begin,
                 rows);
}

}  // namespace modelwatch
