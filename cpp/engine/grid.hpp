#pragma once

#include <cstdint>
#include <vector>

#include "core/key.hpp"
#include "core/views.hpp"
#include "cpu/kernel_table.hpp"  // GridData
#include "engine/bucket_cells.hpp"

namespace modelwatch {

/// The knots of a column with their guide table.  Immutable after construction.
class Grid {
 public:
  /// Keys must be strictly increasing and fit the domain; throws InvalidInput otherwise.
  Grid(Domain domain, std::vector<std::uint64_t> knots);

  Domain domain() const { return domain_; }
  std::uint32_t count() const { return static_cast<std::uint32_t>(knots_.size()); }
  /// Cells plus the two slots for NaN and null.
  std::uint32_t slots() const { return 2 * count() + 3; }
  std::vector<std::uint64_t> const& knots() const { return knots_; }
  /// The gaps that reach to infinity: below the first finite knot, above the last.
  std::uint32_t lower_tail() const { return lower_tail_; }
  std::uint32_t upper_tail() const { return upper_tail_; }
  /// Whether one of these two keys of rows in gaps, which there are, lies in a tail.
  bool beyond(std::uint64_t low, std::uint64_t high) const {
    return lower_tail_ >= count() || low < knots_[lower_tail_] || upper_tail_ == 0 || high > knots_[upper_tail_ - 1];
  }
  cpu::GridData data() const;
  /// Of floats whose records are there.
  BucketCells const& bucket_cells() const { return bucket_cells_; }

 private:
  template <class Value>
  void build(std::vector<typename KeyOf<Value>::Key>& padded);

  Domain domain_;
  std::vector<std::uint64_t> knots_;
  std::vector<std::uint32_t> narrow_;  // padded knots of a 32-bit domain
  std::vector<std::uint64_t> wide_;    // padded knots of a 64-bit domain
  std::vector<std::uint32_t> guide_;
  std::vector<std::uint16_t> near_guide_;  // instead of guide_, where it fits
  std::vector<GapRule> gaps_;
  std::vector<double> gap_scales_;  // empty where all are 1
  std::vector<cpu::GapRecord> records_;
  BucketCells bucket_cells_;
  std::uint64_t first_ = 0;
  std::uint32_t buckets_ = 0;
  std::uint32_t lower_tail_ = 0;
  std::uint32_t upper_tail_ = 0;
  std::int32_t shift_ = 0;
  std::int32_t steps_ = 0;
  double origin_ = 0;
  double scale_ = 0;
};

}  // namespace modelwatch
