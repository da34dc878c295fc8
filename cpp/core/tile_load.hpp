#pragma once
// A tile comes from memory once: its values into the type they are compared in, its validity as words of 32 rows.

#include <cstdint>
#include <type_traits>

#include "core/macros.hpp"
#include "core/views.hpp"

namespace modelwatch {

inline constexpr int kRowsPerWord = 32;
inline constexpr int kTileWords = kTileRows / kRowsPerWord;

/// What one thread reads at a time.
template <class Stored>
struct alignas(16) Pack {
  static constexpr int kSize = 16 / static_cast<int>(sizeof(Stored));
  Stored values[kSize];
};

/// out[i] = values[i] for rows of one tile.  `values` need not be aligned to a pack; out is.
template <class Stored, class Value, class Team>
MW_HD void load_as(Team const& team, Stored const* values, int rows, Value* out) {
  bool const aligned = reinterpret_cast<std::uintptr_t>(values) % sizeof(Pack<Stored>) == 0;
  int const packs = aligned ? rows / Pack<Stored>::kSize : 0;
  auto const* const packed = reinterpret_cast<Pack<Stored> const*>(values);
  for (int p = team.rank(); p < packs; p += team.size()) {
    Pack<Stored> const pack = packed[p];
    for (int j = 0; j < Pack<Stored>::kSize; ++j) out[p * Pack<Stored>::kSize + j] = static_cast<Value>(pack.values[j]);
  }
  for (int i = packs * Pack<Stored>::kSize + team.rank(); i < rows; i += team.size()) out[i] = static_cast<Value>(values[i]);
}

/// Whether values stored so can be compared in a domain without changing (engine/rank.hpp: fits).
template <class Stored, class Value>
inline constexpr bool kFits = std::is_same_v<Stored, Value> || (std::is_same_v<Value, double> && sizeof(Stored) < 8) ||
                              (std::is_same_v<Value, std::int64_t> && std::is_integral_v<Stored> && sizeof(Stored) < 8);

/// Rows [begin, begin + rows) of a column as the type of a domain that its storage fits; call team.sync() before use.
template <class Value, class Team>
MW_HD void load_values(Team const& team, NumericView const& column, std::int64_t begin, int rows, Value* out) {
  auto const load = [&]<class Stored>(Stored const* values) {
    if constexpr (kFits<Stored, Value>) load_as(team, values + begin, rows, out);
  };
  switch (column.storage) {
    case Storage::int8: return load(static_cast<std::int8_t const*>(column.values));
    case Storage::int16: return load(static_cast<std::int16_t const*>(column.values));
    case Storage::int32: return load(static_cast<std::int32_t const*>(column.values));
    case Storage::int64: return load(static_cast<std::int64_t const*>(column.values));
    case Storage::uint8: return load(static_cast<std::uint8_t const*>(column.values));
    case Storage::uint16: return load(static_cast<std::uint16_t const*>(column.values));
    case Storage::uint32: return load(static_cast<std::uint32_t const*>(column.values));
    case Storage::uint64: return load(static_cast<std::uint64_t const*>(column.values));
    case Storage::float32: return load(static_cast<float const*>(column.values));
    case Storage::float64: return load(static_cast<double const*>(column.values));
  }
}

/// Bits of the rows from `row` on, the first in bit 0; rows from `end` on are 0.  Reads no byte beyond that of row end - 1.
MW_HD std::uint32_t valid_word(Validity const& validity, std::int64_t row, std::int64_t end) {
  std::int64_t const left = end - row;
  std::uint32_t const wanted = left >= kRowsPerWord ? 0xffffffffu : (std::uint32_t{1} << left) - 1;
  if (validity.bits == nullptr) return wanted;
  std::int64_t const bit = row + validity.offset;
  std::int64_t const last = (end - 1 + validity.offset) >> 3;
  std::int64_t const first = bit >> 3;
  std::uint64_t found = 0;
  for (int i = 0; i < 5; ++i)
    if (first + i <= last) found |= std::uint64_t{validity.bits[first + i]} << (8 * i);
  return static_cast<std::uint32_t>(found >> (bit & 7)) & wanted;
}

/// The validity of rows [begin, begin + rows), kTileWords words; call team.sync() before use.
template <class Team>
MW_HD void load_validity(Team const& team, Validity const& validity, std::int64_t begin, int rows, std::uint32_t* words) {
  for (int w = team.rank(); w * kRowsPerWord < rows; w += team.size())
    words[w] = valid_word(validity, begin + w * kRowsPerWord, begin + rows);
}

MW_HD bool is_valid(std::uint32_t const* words, int row) { return ((words[row / kRowsPerWord] >> (row % kRowsPerWord)) & 1) != 0; }

}  // namespace modelwatch
