#pragma once
// What the histogram kernels need to know about the cuts.  Plain data only, for the reason kernel_table.hpp gives.

#include <cstdint>

namespace modelwatch::cpu {

/// How a value becomes the float from which its bucket is guessed.  Each of these maps never decreases.
enum class Guess : std::uint8_t {
  value = 0,  // the value itself
  bits = 1,   // of floats: their order-preserving bits, which are fair to every octave
};

/// Cuts of one column's storage.  A value's slot is found by a guess, which only says where to look, and one comparison
/// with a cut, which decides.  Both are done in integers: floats as their ordered bits (`ordered` in histogram.inl.hpp).
struct BinGuide {
  void const* cuts;  // one a bucket (the largest key where a bucket has none): int32 or int64, as wide as the storage's
  std::int32_t buckets;
  Guess guess;
  double origin;
  float scale;  // bucket = (guess - origin) * scale, held within 0 ... buckets - 1

  /// Table slots: 2 * bucket + (key >= cut); NaN and null have the buckets after the last.
  constexpr std::int32_t slots() const { return 2 * (buckets + 2); }
};

/// The same for few cuts, without a table lookup in memory: 32 buckets of 128 steps.
struct BinLookup {
  static constexpr int kBuckets = 32;
  static constexpr int kSteps = 128;
  static constexpr int kMostBins = 63;  // bin 63 takes the rows that were counted by the guide

  double scale;            // step = guess * scale + shift
  double shift;
  std::int16_t low, high;  // only steps from low to high are sure to be where the lookup says
  bool usable;
  Guess guess;
  std::uint8_t bins[kBuckets];  // of a value above the bucket's cut, less 1
  std::int8_t steps[kBuckets];  // the step of the bucket's cut, which alone is not sure; -1 where it has none
};

/// The same for few cuts by halving, each step one look-up within a vector: where vectors have 512 bits.  A row's path is
/// the five answers, the first one lowest, to whether its key is at or above a cut; bins.cpp knows which bin a path leads to.
struct BinSearch {
  static constexpr int kSteps = 5;
  static constexpr int kMostCuts = 31;

  bool usable;
  std::int64_t cuts[kSteps][16];  // compared in each step, by the path so far: 2^step of them, repeated
};

struct BinRule {
  BinGuide guide;
  BinLookup lookup;
  BinSearch search;

  /// Whether `pairs` below is counted in.
  constexpr bool in_pairs() const { return lookup.usable || search.usable; }
};

/// Counters of the lookup, or of the search: of pairs of rows, first + 64 * second.
inline constexpr int kPairs = 64 * 64;

struct BinCounters {
  std::uint32_t* guided;  // kBinTables tables of BinGuide::slots() counters
  std::uint32_t* pairs;   // kPairTables tables of kPairs, where BinRule::in_pairs
};
/// Several tables, so that equal rows in a row do not wait for each other's counter.
inline constexpr int kBinTables = 4;
inline constexpr int kPairTables = 2;

}  // namespace modelwatch::cpu
