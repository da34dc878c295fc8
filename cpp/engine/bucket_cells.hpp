#pragma once

#include <cstdint>
#include <vector>

#include "core/value_kinds.hpp"
#include "core/views.hpp"
#include "cpu/kernel_table.hpp"

namespace modelwatch {

/// A grid's gaps cut at the edges of log-linear buckets: where a run counts rows once for both.  It holds the buckets
/// around the knots, those of each sign apart; rows in others are few, or come from a drifted column.
class BucketCells {
 public:
  BucketCells() = default;
  /// knots: strictly increasing keys of a domain of floats.
  BucketCells(Domain domain, std::vector<std::uint64_t> const& knots);

  cpu::BucketWindow const& window() const { return window_; }
  /// Counters behind those of the gaps.
  std::size_t size() const { return buckets() + gaps_; }

  /// Empties the counters, calling gap(g, counter) for those that are not 0 and then bucket(b, rows) for each bucket (of
  /// doubles) with such rows.
  template <class Gap, class Bucket>
  void take(std::uint64_t* counters, Gap gap, Bucket bucket) const {
    std::uint32_t const* before = before_.data();
    for (std::size_t sign = 0; sign < 2; ++sign) {
      for (std::uint32_t i = 0; i < window_.count[sign]; ++i, ++counters, ++before) {
        std::uint64_t rows = 0;
        for (std::uint32_t g = before[0]; g <= before[1]; ++g) {
          if (counters[g] == 0) continue;
          rows += counters[g] >> cpu::RunCounters::kSumBits;
          gap(g, counters[g]);
          counters[g] = 0;
        }
        if (rows != 0) bucket(window_.first[sign] + i + wide_[sign], rows);
      }
      ++before;
    }
  }

 private:
  std::size_t buckets() const { return std::size_t{window_.count[0]} + window_.count[1]; }

  cpu::BucketWindow window_{};
  std::uint32_t wide_[2] = {0, 0};      // what makes the number of a bucket of doubles of one's own, modulo 2^32
  std::size_t gaps_ = 0;
  std::vector<std::uint32_t> before_;   // knots below each edge of the buckets of one sign, then of the other
};

}  // namespace modelwatch
