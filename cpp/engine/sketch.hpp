#pragma once

#include <algorithm>  // max
#include <array>
#include <cstdint>
#include <vector>

#include "core/sketch_rule.hpp"
#include "cpu/kernel_table.hpp"

namespace modelwatch {

/// Registers of a HyperLogLog: merging takes the larger of each, so no order and no repetition can show.
class Registers {
 public:
  void raise(Register const& to) { ranks_[to.index] = std::max(ranks_[to.index], to.rank); }
  void add(std::uint64_t hash) { raise(register_of(hash)); }
  void add(std::uint64_t const* hashes, int count, cpu::KernelTable const& kernel = cpu::kernels()) {
    kernel.raise_registers(hashes, count, ranks_.data());
  }
  void raise(std::uint32_t index, std::uint8_t rank) { ranks_[index] = std::max(ranks_[index], rank); }
  void merge(Registers const& other) {
    for (std::size_t i = 0; i < ranks_.size(); ++i) ranks_[i] = std::max(ranks_[i], other.ranks_[i]);
  }
  std::array<std::uint8_t, kRegisters> const& ranks() const { return ranks_; }

 private:
  std::array<std::uint8_t, kRegisters> ranks_{};
};

/// Counts of the log-linear buckets, a page of 32 of them at a time as values come: a column seldom spans many, and a
/// small group fills few.
class BucketCounts {
 public:
  void add(std::uint32_t bucket, std::uint64_t by) {
    std::uint32_t const page = bucket >> kPageBits;
    if (places_.empty()) first_ = page;
    if (page < first_) {
      places_.insert(places_.begin(), first_ - page, 0);
      first_ = page;
    }
    if (page - first_ >= places_.size()) places_.resize(page - first_ + 1, 0);
    std::uint16_t& place = places_[page - first_];
    if (place == 0) {
      counts_.resize(counts_.size() + kPage, 0);
      place = static_cast<std::uint16_t>(counts_.size() / kPage);
    }
    counts_[(std::size_t{place} - 1) * kPage + (bucket & (kPage - 1))] += by;
  }

  /// Adds one to each of these.
  void add(std::uint32_t const* buckets, int count) {
    constexpr int kTogether = 8;
    int i = 0;
    while (i < count) {
      // The compiler keeps these in registers until a page must be made.
      std::uint16_t const* const places = places_.data();
      std::uint64_t* const counts = counts_.data();
      auto const pages = static_cast<std::uint32_t>(places_.size());
      std::uint32_t const first = first_;
      for (; i + kTogether <= count; i += kTogether) {
        // All places before the first counter is stored: a load behind a store would wait to see whether that went there.
        std::uint32_t at[kTogether];
        std::uint32_t missing = 0;
        for (int j = 0; j < kTogether; ++j) {
          std::uint32_t const page = (buckets[i + j] >> kPageBits) - first;
          std::uint32_t const place = page < pages ? places[page] : 0u;
          missing |= place == 0 ? 1u : 0u;
          at[j] = (place - 1) * kPage + (buckets[i + j] & (kPage - 1));
        }
        if (missing != 0) break;
        for (auto const place : at) ++counts[place];
      }
      for (int const end = std::min(count, i + kTogether); i < end; ++i) add(buckets[i], 1);
    }
  }

  /// Calls f(bucket, count) for the buckets that are not empty, in order.
  template <class F>
  void each(F f) const {
    for (std::uint32_t at = 0; at < places_.size(); ++at) {
      if (places_[at] == 0) continue;
      std::size_t const begin = (std::size_t{places_[at]} - 1) * kPage;
      for (std::uint32_t i = 0; i < kPage; ++i)
        if (counts_[begin + i] != 0) f((first_ + at) * kPage + i, counts_[begin + i]);
    }
  }

  std::size_t bytes() const {
    return sizeof(*this) + places_.capacity() * sizeof(std::uint16_t) + counts_.capacity() * sizeof(std::uint64_t);
  }

 private:
  static constexpr int kPageBits = 5;
  static constexpr std::uint32_t kPage = 1u << kPageBits;

  std::uint32_t first_ = 0;             // page of places_[0]
  std::vector<std::uint16_t> places_;   // 1-based; there are 2^14 pages
  std::vector<std::uint64_t> counts_;
};

/// What one group keeps of the values that no knot tells apart.
struct Sketch {
  BucketCounts buckets;
  Registers registers;
};

}  // namespace modelwatch
