#pragma once

#include <algorithm>  // count, sort
#include <bit>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "core/golden_ratio.hpp"

namespace modelwatch {

/// Calls f(index, value) for those of `size` counters that are not zero, by index.  Which of a strip are there is found
/// without branches: nobody could foretell them.
template <class Number, class F>
void each_counted(Number const* counters, std::uint32_t size, F&& f) {
  static_assert(std::endian::native == std::endian::little);
  constexpr std::uint32_t kStrip = 64;
  constexpr std::uint64_t kToTop = 0x0102040810204080u;  // brings the lowest bits of eight bytes together
  std::uint32_t begin = 0;
  for (; begin + kStrip <= size; begin += kStrip) {
    std::uint8_t there[kStrip];
    for (std::uint32_t i = 0; i < kStrip; ++i) there[i] = counters[begin + i] != 0 ? 1 : 0;
    std::uint64_t any = 0;
    for (std::uint32_t eight = 0; eight < kStrip; eight += 8) {
      std::uint64_t word;
      std::memcpy(&word, there + eight, sizeof word);
      any |= (word * kToTop >> 56) << eight;
    }
    for (; any != 0; any &= any - 1) {
      std::uint32_t const i = begin + static_cast<std::uint32_t>(std::countr_zero(any));
      f(i, counters[i]);
    }
  }
  for (std::uint32_t i = begin; i < size; ++i)
    if (counters[i] != 0) f(i, counters[i]);
}

/// Counters indexed 0..size-1 that start as a small hash table and become a plain array when a quarter of them is
/// used (DESIGN 3.4).  `Number` is u32 for counts of one part and u64 for sums.
template <class Number>
class SparseArray {
 public:
  static constexpr std::uint32_t kAlwaysDense = 4096;

  explicit SparseArray(std::uint32_t size = 0) : size_(size) {
    if (size_ <= kAlwaysDense) dense_.assign(size_, Number{0});
  }
  /// An array that is widened as indices come: small however small its size is.
  static SparseArray growing() { return SparseArray(); }

  /// Makes room for indices below `size`.
  void widen(std::uint32_t size) {
    if (size <= size_) return;
    if (!dense_.empty()) {
      if (size > dense_.capacity() && 8 * used_of(dense_) < size)
        sparsify();
      else
        dense_.resize(size, Number{0});
    }
    size_ = size;
  }

  /// Before so many entries are added: an array at once, where they make it one.
  void expect(std::uint32_t entries) {
    if (dense_.empty() && is_dense_with(entries)) densify();
  }

  std::uint32_t size() const { return size_; }
  /// nullptr while sparse.
  Number* dense() { return dense_.empty() ? nullptr : dense_.data(); }

  /// The plain array where so many entries are used, which it becomes at once then; else as `dense`.
  Number* dense_with(std::uint32_t used) {
    expect(used);
    return dense();
  }

  void add(std::uint32_t index, Number by) {
    if (!dense_.empty()) {
      dense_[index] += by;
      return;
    }
    if (is_dense_with(std::uint64_t{used_} + 1)) {
      densify();
      dense_[index] += by;
      return;
    }
    if (2 * (std::size_t{used_} + 1) > keys_.size()) grow();
    std::size_t const at = find(index);
    if (keys_[at] == kEmpty) {
      keys_[at] = index;
      values_[at] = 0;
      ++used_;
    }
    values_[at] += by;
  }

  /// Appends the entries that are not zero, by index.
  template <class Index, class Value>
  void append_to(std::vector<Index>& index, std::vector<Value>& value) const {
    if (dense_.empty()) {
      return each([&](std::uint32_t at, Number number) {
        index.push_back(at);
        value.push_back(number);
      });
    }
    // Every entry is written and the next one takes its place where it is 0, so there is one place more.
    std::size_t const begin = index.size();
    std::size_t const end = begin + used_of(dense_);
    index.resize(end + 1);
    value.resize(end + 1);
    Index* to = index.data() + begin;
    Value* number = value.data() + begin;
    for (std::uint32_t i = 0; i < size_; ++i) {
      *to = i;
      *number = dense_[i];
      std::size_t const used = dense_[i] != 0 ? 1 : 0;
      to += used;
      number += used;
    }
    index.resize(end);
    value.resize(end);
  }

  /// Calls f(index, value) for the entries that are not zero, by index.
  template <class F>
  void each(F f) const {
    if (!dense_.empty()) return each_dense(f);
    std::vector<std::uint64_t> entries;
    entries.reserve(used_);
    for (std::size_t at = 0; at < keys_.size(); ++at)
      if (keys_[at] != kEmpty && values_[at] != 0) entries.push_back((std::uint64_t{keys_[at]} << 32) | at);
    std::sort(entries.begin(), entries.end());
    for (auto const entry : entries) f(static_cast<std::uint32_t>(entry >> 32), values_[entry & 0xffffffffu]);
  }

  std::size_t bytes() const { return dense_.capacity() * sizeof(Number) + keys_.capacity() * 4 + values_.capacity() * sizeof(Number); }

 private:
  static constexpr std::uint32_t kEmpty = 0xffffffffu;
  static constexpr std::size_t kLeastSparse = 16;

  bool is_dense_with(std::uint64_t entries) const { return size_ > kAlwaysDense && 4 * entries > size_; }

  template <class F>
  void each_dense(F& f) const {
    each_counted(dense_.data(), size_, f);
  }

  std::size_t find(std::uint32_t index) const {
    std::size_t const mask = keys_.size() - 1;
    std::size_t at = (index * kGoldenRatio >> 32) & mask;
    while (keys_[at] != kEmpty && keys_[at] != index) at = (at + 1) & mask;
    return at;
  }

  void grow() {
    std::vector<std::uint32_t> keys(keys_.empty() ? kLeastSparse : 2 * keys_.size(), kEmpty);
    std::vector<Number> values(keys.size());
    keys.swap(keys_);
    values.swap(values_);
    for (std::size_t at = 0; at < keys.size(); ++at)
      if (keys[at] != kEmpty) {
        std::size_t const to = find(keys[at]);
        keys_[to] = keys[at];
        values_[to] = values[at];
      }
  }

  void densify() {
    std::vector<Number> dense(size_, Number{0});
    for (std::size_t at = 0; at < keys_.size(); ++at)
      if (keys_[at] != kEmpty) dense[keys_[at]] = values_[at];
    dense_.swap(dense);
    keys_ = {};
    values_ = {};
  }

  static std::size_t used_of(std::vector<Number> const& values) {
    return values.size() - static_cast<std::size_t>(std::count(values.begin(), values.end(), Number{0}));
  }

  void sparsify() {
    std::vector<Number> const dense = std::move(dense_);
    dense_ = {};
    used_ = 0;
    size_ = ~std::uint32_t{0};
    for (std::uint32_t i = 0; i < dense.size(); ++i)
      if (dense[i] != 0) add(i, dense[i]);
  }

  std::uint32_t size_;
  std::uint32_t used_ = 0;
  std::vector<Number> dense_;
  std::vector<std::uint32_t> keys_;
  std::vector<Number> values_;
};

}  // namespace modelwatch
