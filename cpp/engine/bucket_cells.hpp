#pragma once

#include <algorithm>  // fill_n
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
    // Without a branch on where a bucket ends: nobody could foretell it.
    thread_local std::vector<std::uint64_t> scratch;
    scratch.resize(buckets());
    std::uint64_t* const upto = scratch.data();  // rows up to the end of each bucket
    std::uint32_t const* const gap_of = gap_of_.data();
    std::size_t const many = gap_of_.size();
    std::uint64_t rows = 0;
    for (std::size_t at = 0; at < many; ++at) {
      std::uint64_t const counter = counters[at];
      rows += counter >> cpu::RunCounters::kSumBits;
      upto[at - gap_of[at]] = rows;
      if (counter != 0) gap(gap_of[at], counter);
    }
    std::fill_n(counters, many, std::uint64_t{0});
    rows = 0;
    std::size_t i = 0;
    for (std::size_t sign = 0; sign < 2; ++sign) {
      std::uint32_t const first = window_.first[sign] + wide_[sign];
      for (std::uint32_t b = 0; b < window_.count[sign]; ++b, ++i) {
        if (upto[i] != rows) bucket(first + b, upto[i] - rows);
        rows = upto[i];
      }
    }
  }

 private:
  std::size_t buckets() const { return std::size_t{window_.count[0]} + window_.count[1]; }

  cpu::BucketWindow window_{};
  std::uint32_t wide_[2] = {0, 0};      // what makes the number of a bucket of doubles of one's own, modulo 2^32
  std::size_t gaps_ = 0;
  /// Of each counter: the number of its bucket, of all in a window, is what it is further on by.  No two neighbours are
  /// further apart than by one, nor is one before the other.
  std::vector<std::uint32_t> gap_of_;
};

}  // namespace modelwatch
