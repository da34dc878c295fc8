#pragma once

#include <cstddef>
#include <cstdint>
#include <variant>
#include <vector>

#include "engine/merge.hpp"

namespace modelwatch {

/// Tables of entries, added one after the other: a counter for every group and index, all as wide as the sums need.  Many
/// tables of the same groups, as of the files of a log, cost no more than their own entries, where adding each to the
/// entries of those before would read and write the sum every time.
class RowSum {
 public:
  /// Indices must be below this.
  static constexpr std::uint32_t kMostWidth = 4096;

  explicit RowSum(std::size_t groups) : groups_(groups), counters_(std::vector<std::uint16_t>{}) {}

  std::size_t groups() const { return groups_; }
  std::size_t bytes() const;

  /// Adds a table, modulo 2^64.  Throws InvalidInput, and adds nothing, where a group leads out of the sum, an index is too
  /// large, or a value is 0: an entry of 0 would be none.
  void add(SparseView const& table);
  /// Adds a sum, whose group g is to[g].
  void add(RowSum const& other, std::uint32_t const* to);

  /// The sums, in the narrowest types that hold them all; leaves none behind.
  struct Rows {
    std::vector<std::int64_t> begin;
    std::variant<std::vector<std::uint8_t>, std::vector<std::uint16_t>> index;
    std::variant<std::vector<std::uint8_t>, std::vector<std::uint16_t>, std::vector<std::uint32_t>, std::vector<std::uint64_t>> value;
  };
  Rows take();

 private:
  void make_room(std::uint32_t width, std::uint64_t most, bool apart, std::size_t terms);

  std::size_t groups_;
  std::uint32_t width_ = 0;  // counters of a group
  std::uint64_t bound_ = 0;  // no sum is larger
  std::variant<std::vector<std::uint16_t>, std::vector<std::uint32_t>, std::vector<std::uint64_t>> counters_;
};

}  // namespace modelwatch
