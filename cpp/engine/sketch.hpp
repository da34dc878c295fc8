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
  std::uint8_t* data() { return ranks_.data(); }

 private:
  std::array<std::uint8_t, kRegisters> ranks_{};
};

/// Counts of the log-linear buckets, a page of 32 of them at a time as values come: a column seldom spans many, and a
/// small group fills few.
class BucketCounts {
 public:
  void add(std::uint32_t bucket, std::uint64_t by) {
    std::uint32_t const page = bucket >> cpu::kBucketPageBits;
    if (begin_.empty()) first_ = page;
    if (page < first_) {
      begin_.insert(begin_.begin(), first_ - page, 0);
      first_ = page;
    }
    if (page - first_ >= begin_.size()) begin_.resize(page - first_ + 1, 0);
    std::uint32_t& begin = begin_[page - first_];
    if (begin == 0) {
      begin = std::max(static_cast<std::uint32_t>(counts_.size()), kPage);
      counts_.resize(std::size_t{begin} + kPage, 0);
    }
    counts_[begin + (bucket & (kPage - 1))] += by;
  }

  /// Adds one to each of these.
  void add(std::uint32_t const* buckets, int count, cpu::KernelTable const& kernel = cpu::kernels()) {
    for (int i = 0; i < count; ++i) {
      i += kernel.count_buckets(buckets + i, count - i, {begin_.data(), static_cast<std::uint32_t>(begin_.size()), first_}, counts_.data());
      if (i < count) add(buckets[i], 1);
    }
  }

  /// Appends the buckets that are not empty, in order, and their counts.
  void append_to(std::vector<std::uint32_t>& bucket, std::vector<std::uint64_t>& count) const {
    // Each is written, and the next one takes its place where it is empty, so there is one place more.
    std::size_t used = bucket.size();
    std::size_t const room = used + counts_.size() + 1;
    bucket.resize(room);
    count.resize(room);
    for (std::uint32_t at = 0; at < begin_.size(); ++at) {
      if (begin_[at] == 0) continue;
      for (std::uint32_t i = 0; i < kPage; ++i) {
        std::uint64_t const rows = counts_[begin_[at] + i];
        bucket[used] = (first_ + at) * kPage + i;
        count[used] = rows;
        used += rows != 0 ? 1 : 0;
      }
    }
    bucket.resize(used);
    count.resize(used);
  }

  /// Calls f(bucket, count) for the buckets that are not empty, in order.
  template <class F>
  void each(F f) const {
    for (std::uint32_t at = 0; at < begin_.size(); ++at) {
      if (begin_[at] == 0) continue;
      for (std::uint32_t i = 0; i < kPage; ++i)
        if (counts_[begin_[at] + i] != 0) f((first_ + at) * kPage + i, counts_[begin_[at] + i]);
    }
  }

  std::size_t bytes() const {
    return sizeof(*this) + begin_.capacity() * sizeof(std::uint32_t) + counts_.capacity() * sizeof(std::uint64_t);
  }

 private:
  static constexpr std::uint32_t kPage = cpu::kBucketPage;

  std::uint32_t first_ = 0;            // page of begin_[0]
  std::vector<std::uint32_t> begin_;   // where the counters of each page begin; 0: it has none
  std::vector<std::uint64_t> counts_;  // of the pages there are, behind one that is never read
};

/// What one group keeps of the values that no knot tells apart.
struct Sketch {
  BucketCounts buckets;
  Registers registers;
};

}  // namespace modelwatch
