#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/key.hpp"
#include "core/wide_sum.hpp"

namespace modelwatch {

/// An exact sum of up to 2^31 numbers of one type, cheap to add to: significands are added up for each exponent, and
/// become a WideSum at the end.
class TailSum {
 public:
  bool empty() const { return low_ > high_; }

  /// Adds the numbers with these keys of their type, at most 1,024.
  template <class Value>
  void add(std::uint64_t const* keys, int count) {
    if (count == 0) return;
    if (sums_.empty()) sums_.resize(kExponents, 0);
    using Keys = KeyOf<Value>;
    if constexpr (std::is_integral_v<Value>) {
      low_ = high_ = 0;
      for (int i = 0; i < count; ++i) sums_[0] += Keys::value(static_cast<typename Keys::Key>(keys[i]));
    } else {
      // Every other row has sums of its own, so that those of one exponent wait less for each other.  1,024 significands of 53
      // bits fit into one number.
      thread_local std::vector<std::int64_t> own(2 * kExponents, 0);
      int low = kExponents;
      int high = -1;
      for (int i = 0; i < count; ++i) {
        std::uint64_t const bits = KeyOf<double>::bits(static_cast<double>(Keys::value(static_cast<typename Keys::Key>(keys[i]))));
        auto const exponent = static_cast<int>((bits >> 52) & 0x7ff);
        // Subnormals have the exponent of the smallest normal numbers, and no hidden bit.
        std::uint64_t const hidden = exponent != 0 ? std::uint64_t{1} << 52 : 0;
        auto const significand = static_cast<std::int64_t>((bits & 0xfffffffffffffu) | hidden);
        int const at = std::max(exponent, 1);
        low = std::min(low, at);
        high = std::max(high, at);
        own[static_cast<std::size_t>(2 * at + (i & 1))] += (bits >> 63) != 0 ? -significand : significand;
      }
      for (int at = low; at <= high; ++at)
        for (std::size_t i = 0; i < 2; ++i) sums_[static_cast<std::size_t>(at)] += std::exchange(own[2 * static_cast<std::size_t>(at) + i], 0);
      low_ = std::min(low_, low);
      high_ = std::max(high_, high);
    }
  }

  /// Adds all to a wide sum.  whole: they were integers.
  void move_to(WideSum& sum, bool whole) {
    for (int at = low_; at <= high_; ++at) add(sum, sums_[static_cast<std::size_t>(at)], whole ? kWideUnitBit : at - 1);
  }

  void clear() {
    for (int at = low_; at <= high_; ++at) sums_[static_cast<std::size_t>(at)] = 0;
    low_ = kExponents;
    high_ = -1;
  }

 private:
  static constexpr int kExponents = 2047;

  static void add(WideSum& sum, __int128 total, int bit) {
    bool const negative = total < 0;
    auto const size = negative ? -static_cast<unsigned __int128>(total) : static_cast<unsigned __int128>(total);
    sum.add_shifted(static_cast<std::uint64_t>(size), bit, negative);
    sum.add_shifted(static_cast<std::uint64_t>(size >> 64), bit + 64, negative);
  }

  std::vector<__int128> sums_;  // by exponent; of integers only the first
  int low_ = kExponents;
  int high_ = -1;
};

}  // namespace modelwatch
