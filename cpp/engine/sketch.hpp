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
  void add(std::uint64_t hash) {
    Register const at = register_of(hash);
    ranks_[at.index] = std::max(ranks_[at.index], at.rank);
  }
  std::uint8_t* data() { return ranks_.data(); }
  std::array<std::uint8_t, kRegisters> const& ranks() const { return ranks_; }

 private:
  std::array<std::uint8_t, kRegisters> ranks_{};
};

/// Counts of the log-linear buckets, a page of them at a time as values come: a column seldom spans many, and a
/// small group fills few.
class BucketCounts {
 public:
  void add(std::uint32_t bucket, std::uint64_t by) { counts_[place_of(bucket)] += by; }

  /// Where the bucket's count is; makes its page where there is none.
  std::size_t place_of(std::uint32_t bucket) {
    std::uint32_t const page = bucket >> kBucketPageBits;
    if (places_.empty()) first_ = page;
    if (page < first_) {
      places_.insert(places_.begin(), first_ - page, 0);
      first_ = page;
    }
    if (page - first_ >= places_.size()) places_.resize(page - first_ + 1, 0);
    std::uint16_t& place = places_[page - first_];
    if (place == 0) {
      counts_.resize(counts_.size() + kBucketPage, 0);
      place = static_cast<std::uint16_t>(counts_.size() / kBucketPage);
    }
    return (std::size_t{place} - 1) * kBucketPage + (bucket & (kBucketPage - 1));
  }

  /// Calls f(bucket, count) for the buckets that are not empty, in order.
  template <class F>
  void each(F f) const {
    for (std::uint32_t at = 0; at < places_.size(); ++at) {
      if (places_[at] == 0) continue;
      std::size_t const begin = (std::size_t{places_[at]} - 1) * kBucketPage;
      for (std::uint32_t i = 0; i < kBucketPage; ++i)
        if (counts_[begin + i] != 0) f((first_ + at) * kBucketPage + i, counts_[begin + i]);
    }
  }

  std::vector<std::uint16_t> const& places() const { return places_; }
  std::uint32_t first_page() const { return first_; }
  std::uint64_t* counts() { return counts_.data(); }

  std::size_t bytes() const {
    return sizeof(*this) + places_.capacity() * sizeof(std::uint16_t) + counts_.capacity() * sizeof(std::uint64_t);
  }

 private:
  std::uint32_t first_ = 0;             // page of places_[0]
  std::vector<std::uint16_t> places_;   // 1-based; there are 2^14 pages
  std::vector<std::uint64_t> counts_;
};

/// What one group keeps of the values that no knot tells apart.
struct Sketch {
  BucketCounts buckets;
  Registers registers;

  /// For a kernel, until a page is made.
  cpu::SketchData data() {
    auto const& places = buckets.places();
    return {places.data(), static_cast<std::uint32_t>(places.size()), buckets.first_page(), buckets.counts(), registers.data()};
  }
};

}  // namespace modelwatch
