#pragma once
// One hash for a row of several columns; part of the file format (engine/row_hash.hpp).

#include <cstdint>

#include "core/key.hpp"
#include "core/macros.hpp"
#include "core/sketch_rule.hpp"

namespace modelwatch {

inline constexpr std::uint64_t kNullHash = 0x6e756c6c6e756c6cu;
inline constexpr std::uint64_t kNanHash = 0x006e616e006e616eu;  // two rows that differ in null and NaN are two rows

/// The hash of a row so far, with that of its value in one more column.
MW_HD std::uint64_t row_hash_with(std::uint64_t row, std::uint64_t value) { return mixed_bits(row ^ value); }

template <class Value>
MW_HD std::uint64_t hash_of_number(Value x, bool valid) {
  return !valid ? kNullHash : KeyOf<Value>::missing(x) ? kNanHash : hash_number(x);
}

}  // namespace modelwatch
