#pragma once

#include <cstdint>

#include "core/hash.hpp"
#include "core/macros.hpp"

namespace modelwatch {

/// Places of values of text by open addressing, as host and device look them up.  Place 0 is of no value.
struct TextTable {
  std::uint64_t const* hashes;
  std::uint32_t const* places;   // 0: free
  std::uint64_t const* ends;     // of the value of each place in `bytes`; that of place 0 is 0
  std::uint8_t const* bytes;
  std::uint32_t mask;            // slots - 1, where slots are a power of two and one at least is free

  /// The slot of a value, or the free one where it would be.
  MW_HD std::uint32_t slot_of(std::uint8_t const* value, std::int64_t size, std::uint64_t hash) const {
    auto slot = static_cast<std::uint32_t>(hash) & mask;
    while (places[slot] != 0 && !(hashes[slot] == hash && same(places[slot], value, size))) slot = (slot + 1) & mask;
    return slot;
  }

 private:
  MW_HD bool same(std::uint32_t place, std::uint8_t const* value, std::int64_t size) const {
    std::uint64_t const begin = ends[place - 1];
    if (ends[place] - begin != static_cast<std::uint64_t>(size)) return false;
    for (std::int64_t i = 0; i < size; ++i)
      if (bytes[begin + static_cast<std::uint64_t>(i)] != value[i]) return false;
    return true;
  }
};

}  // namespace modelwatch
