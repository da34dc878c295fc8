#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/golden_ratio.hpp"
#include "core/interval_rule.hpp"
#include "core/views.hpp"
#include "cpu/kernel_table.hpp"

namespace modelwatch {

/// First pass of a fit over a numeric column: distinct keys with their counts while there are at most `cap` of
/// them, and always a histogram of the first 16 bits of the key, from which finer cuts begin when there are more.
class DistinctValues {
 public:
  static constexpr int kTopBits = 16;

  DistinctValues(Domain domain, std::uint64_t cap);
  void add(NumericView const& column);
  /// To be called after the last rows, before anything below is asked.
  void settle();

  Domain domain() const { return domain_; }
  bool overflowed() const { return overflowed_; }
  std::uint64_t rows() const { return rows_; }
  std::uint64_t nulls() const { return nulls_; }
  std::uint64_t nans() const { return nans_; }
  std::vector<std::uint64_t> const& top() const { return top_; }
  /// Distinct keys in order, and how often each occurs; empty after an overflow.
  void sorted(std::vector<std::uint64_t>& keys, std::vector<std::uint64_t>& counts) const;

 private:
  /// That there are more distinct values than the cap, in a fraction of the time that counting the cap takes: every bit that
  /// hashes set stands for one value at least.  Until it is found or given up, keys wait to be counted.
  struct Proof {
    int bits = 0;  // 2^bits of them; 0: none is looked for
    std::vector<std::uint64_t> seen{};
    std::uint64_t found = 0;
    std::vector<std::uint64_t> waiting{};
  };

  void insert(std::uint64_t key);
  void grow();
  void overflow();
  void begin_proof();
  void add_to_proof(std::uint64_t const* keys, int count);

  Domain domain_;
  std::uint64_t cap_;
  std::uint64_t rows_ = 0;
  std::uint64_t nulls_ = 0;
  std::uint64_t nans_ = 0;
  std::uint64_t distinct_ = 0;
  bool overflowed_ = false;
  std::vector<std::uint64_t> top_;
  std::vector<std::uint64_t> keys_;    // open addressing; a slot is free while its count is 0
  std::vector<std::uint64_t> counts_;
  Proof proof_;
  bool proof_begun_ = false;
};

/// Intervals [low, low + 2^width) of key space that do not overlap, sorted; each begins at a multiple of its own length.
/// Throws InvalidInput for others.
class IntervalSet {
 public:
  static constexpr std::uint32_t kNone = kNoInterval;

  IntervalSet(std::vector<std::uint64_t> lows, std::vector<int> widths);

  std::size_t size() const { return lows_.size(); }
  std::vector<std::uint64_t> const& lows() const { return lows_; }
  std::vector<int> const& widths() const { return widths_; }
  std::uint64_t low(std::uint32_t at) const { return lows_[at]; }
  /// The interval that holds a key, or kNone.
  std::uint32_t find(std::uint64_t key) const;
  /// For the kernel that cuts each into 2^split pieces, where the intervals are of one width and lie close together.
  std::optional<cpu::IntervalPlaces> places(int split) const;
  /// Lets all keys through that lie in an interval, and few others where there are few intervals.
  cpu::KeyFilter filter() const { return {filter_.data(), shift_}; }

 private:
  std::uint64_t prefix_of(std::uint64_t key) const { return shift_ < 64 ? key >> shift_ : 0; }
  std::size_t place_of(std::uint64_t prefix) const { return static_cast<std::size_t>(prefix * kGoldenRatio >> place_shift_); }
  std::uint32_t first_with(std::uint64_t prefix) const;

  std::vector<std::uint64_t> lows_;
  std::vector<int> widths_;
  bool equal_widths_ = true;
  int shift_ = 0;                       // the widest interval's: keys of one interval agree above
  int place_shift_ = 63;
  bool direct_ = false;                 // prefixes lie close together: each has a place of its own, from the least on
  std::uint64_t least_ = 0;
  std::vector<std::uint32_t> filter_ = std::vector<std::uint32_t>((std::size_t{1} << cpu::KeyFilter::kPlaceBits) / 32, 0);
  std::vector<std::uint32_t> first_;    // by prefix, directly or by open addressing: the first interval with it
};

/// A later pass: intervals of one width are cut into 2^split equal pieces and counted.
class IntervalSplitter {
 public:
  IntervalSplitter(Domain domain, std::vector<std::uint64_t> lows, int width, int split);
  void add(NumericView const& column);
  Domain domain() const { return domain_; }
  /// intervals x 2^split counts, row by row.
  std::vector<std::uint64_t> counts() const;

 private:
  /// Before a 32-bit counter could overflow.
  static constexpr std::uint64_t kRecentRows = std::uint64_t{1} << 31;

  void settle();

  Domain domain_;
  int split_;
  int piece_;  // bits of a piece
  IntervalSet intervals_;
  std::vector<std::uint64_t> counts_;
  std::vector<std::uint32_t> recent_;  // of rows since they were last settled, and of keys in no interval
  std::uint64_t recent_rows_ = 0;
};

/// A last pass: the keys within some intervals are kept, row by row.
class IntervalKeeper {
 public:
  IntervalKeeper(Domain domain, std::vector<std::uint64_t> lows, std::vector<int> widths);
  void add(NumericView const& column);
  Domain domain() const { return domain_; }
  std::vector<std::uint64_t> const& keys() const { return keys_; }

 private:
  Domain domain_;
  IntervalSet intervals_;
  std::vector<std::uint64_t> keys_;
};

/// Places of sorted intervals where knots are due, so that no gap holds more than `most` rows: every place of `heavy`, and
/// from each to the next the interval with which a gap would hold too much.  ends: rows up to the end of each interval.
std::vector<std::int64_t> knot_places(std::vector<std::int64_t> const& ends, std::vector<std::int64_t> const& heavy, std::int64_t most);

/// Throws InvalidInput unless intervals of so many bits can be cut into 2^split pieces; returns split.
int checked_split(int width, int split);

/// Bits of a domain's keys: 32 for float32, else 64.
int key_bits(Domain domain);

}  // namespace modelwatch
