#pragma once

#include <algorithm>  // max
#include <array>
#include <cstdint>
#include <vector>

#include "core/sketch_rule.hpp"

namespace modelwatch {

/// Registers of a HyperLogLog: merging takes the larger of each, so no order and no repetition can show.
class Registers {
 public:
  void add(std::uint64_t hash) {
    Register const at = register_of(hash);
    ranks_[at.index] = std::max(ranks_[at.index], at.rank);
  }
  std::array<std::uint8_t, kRegisters> const& ranks() const { return ranks_; }

 private:
  std::array<std::uint8_t, kRegisters> ranks_{};
};

/// Counts of the log-linear buckets, an octave (128 buckets) at a time as values come: a column seldom spans many.
class BucketCounts {
 public:
  void add(std::uint32_t bucket, std::uint64_t by) {
    std::uint32_t const octave = bucket >> kOctaveBits;
    if (place_[octave] == 0) {
      counts_.resize(counts_.size() + kOctave, 0);
      place_[octave] = static_cast<std::uint16_t>(counts_.size() / kOctave);
    }
    counts_[(std::size_t{place_[octave]} - 1) * kOctave + (bucket & (kOctave - 1))] += by;
  }

  /// Calls f(bucket, count) for the buckets that are not empty, in order.
  template <class F>
  void each(F f) const {
    for (std::uint32_t octave = 0; octave < place_.size(); ++octave) {
      if (place_[octave] == 0) continue;
      std::size_t const first = (std::size_t{place_[octave]} - 1) * kOctave;
      for (std::uint32_t i = 0; i < kOctave; ++i)
        if (counts_[first + i] != 0) f(octave * kOctave + i, counts_[first + i]);
    }
  }

  std::size_t bytes() const { return sizeof(*this) + counts_.capacity() * sizeof(std::uint64_t); }

 private:
  static constexpr int kOctaveBits = 7;
  static constexpr std::uint32_t kOctave = 1u << kOctaveBits;

  std::array<std::uint16_t, kBuckets / kOctave> place_{};  // 1-based
  std::vector<std::uint64_t> counts_;
};

/// What one group keeps of the values that no knot tells apart.
struct Sketch {
  BucketCounts buckets;
  Registers registers;
};

}  // namespace modelwatch
