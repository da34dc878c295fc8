#pragma once

#include <cstdint>

#include "core/key.hpp"
#include "core/macros.hpp"

namespace modelwatch {

/// Which cell does a key fall in?  M knots u_0 < ... < u_{M-1} cut the order into 2M+1 cells:
/// cell 2k is the gap below u_k (2M: above the last), cell 2k+1 is the knot u_k itself.
/// A guide table says where to begin; comparisons with the knots decide, so every backend agrees.
/// Two more slots follow the cells: 2M+1 counts NaN, 2M+2 counts null.
///
/// The guide's buckets are equal pieces of key space, or of the values themselves (`scale` > 0, floats only): whichever
/// leaves fewer knots in the fullest bucket.  Both maps never decrease, which is all that the search relies on.
template <class Value>
struct GridRule {
  using Key = typename KeyOf<Value>::Key;

  Key const* knots;             // M keys, then 2^steps copies of the largest key, so that a probe never leaves the array
  std::uint32_t const* guide;   // one entry per bucket: how many knots lie in earlier ones
  std::uint32_t count;          // M
  std::uint32_t buckets;
  Key first;                    // key at which bucket 0 begins; smaller keys belong to it as well
  std::int32_t shift;           // bucket = (key - first) >> shift, the last bucket holds all above
  Value origin;                 // or bucket = (x - origin) * scale
  Value scale;
  std::int32_t steps;           // 2^steps > knots in the fullest bucket

  MW_HD std::uint32_t nan_slot() const { return 2 * count + 1; }
  MW_HD std::uint32_t null_slot() const { return 2 * count + 2; }

  /// Where the search for x begins; x is not NaN, key is its key.
  MW_HD std::uint32_t bucket_of(Value x, Key key) const { return scale > Value{0} ? bucket_by_value(x) : bucket_by_key(key); }
  MW_HD std::uint32_t bucket_by_value(Value x) const {
    // There are fewer than 2^31 buckets, and signed integers are what vectors of floats become.
    Value const guess = (x - origin) * scale;
    Value const last = static_cast<Value>(static_cast<std::int32_t>(buckets - 1));
    Value const capped = guess < last ? guess : last;
    return static_cast<std::uint32_t>(static_cast<std::int32_t>(capped > Value{0} ? capped : Value{0}));
  }
  MW_HD std::uint32_t bucket_by_key(Key key) const {
    Key const above = key > first ? (key - first) >> shift : 0;
    return above < buckets ? static_cast<std::uint32_t>(above) : buckets - 1;
  }

  /// One halving of the search for how many knots are <= key, `below` of which are known to be.  Knots of later buckets
  /// are above the key, so where a bucket ends need not be known.
  MW_HD std::uint32_t halved(std::uint32_t below, std::uint32_t step, Key key) const {
    // Masked on purpose: compilers turn a conditional into a branch, and that costs six times as much.
    std::uint32_t const take = static_cast<std::uint32_t>(knots[below + step - 1] <= key);
    return below + (step & (0u - take));
  }

  /// The cell of a key, where the search for it begins with `below` knots.
  MW_HD std::uint32_t cell(std::uint32_t below, Key key) const {
    for (std::uint32_t step = (1u << steps) >> 1; step != 0; step >>= 1) below = halved(below, step, key);
    if constexpr (KeyOf<Value>::kLowestIsKnot) return 2 * below - static_cast<std::uint32_t>(knots[below - 1] == key);
    below = below < count ? below : count;  // the largest integer is not below the padding
    std::uint32_t const at = below != 0 ? below - 1 : 0;
    std::uint32_t const hit = static_cast<std::uint32_t>(below != 0) & static_cast<std::uint32_t>(knots[at] == key);
    return 2 * below - hit;
  }
};

/// Slots as bins of values that have the same knots at or below them: each knot and the gap above it; NaN and null follow.
MW_HD std::uint32_t bin_of_grid_slot(std::uint32_t slot, std::uint32_t knots) {
  return slot <= 2 * knots ? (slot + 1) / 2 : slot - knots;
}

}  // namespace modelwatch
