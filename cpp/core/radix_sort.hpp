#pragma once

#include <algorithm>  // sort
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace modelwatch {

/// Sorts items by an unsigned key: digit after digit from the last on, each pass keeping the order of the one before, so
/// equal keys stay in the order in which they came.  Digits that all keys share take no pass.
/// key(item) gives a std::uint32_t or std::uint64_t; `spare` is where the passes write in turn.
template <class Item, class KeyOfItem>
void radix_sort(std::vector<Item>& items, std::vector<Item>& spare, KeyOfItem key) {
  using Key = decltype(key(items[0]));
  // 2^11 counters of 32 bits fit the first-level cache, and 32 bits are three digits.
  constexpr int kDigitBits = 11;
  constexpr int kDigits = (8 * static_cast<int>(sizeof(Key)) + kDigitBits - 1) / kDigitBits;
  constexpr std::size_t kValues = std::size_t{1} << kDigitBits;
  // Where clearing the counters would take longer than sorting does.
  constexpr std::size_t kFew = 1024;
  if (items.size() < kFew) {
    std::stable_sort(items.begin(), items.end(), [&](Item const& a, Item const& b) { return key(a) < key(b); });
    return;
  }
  std::vector<std::array<std::size_t, kValues>> counts(kDigits);
  auto const digit = [](Key k, int d) { return static_cast<std::size_t>(k >> (d * kDigitBits)) & (kValues - 1); };
  for (Item const& item : items) {
    Key const k = key(item);
    for (int d = 0; d < kDigits; ++d) ++counts[static_cast<std::size_t>(d)][digit(k, d)];
  }
  spare.resize(items.size());
  Key const first = key(items[0]);
  for (int d = 0; d < kDigits; ++d) {
    auto& count = counts[static_cast<std::size_t>(d)];
    if (count[digit(first, d)] == items.size()) continue;
    std::size_t begin = 0;
    for (auto& c : count) {
      std::size_t const own = c;
      c = begin;
      begin += own;
    }
    for (Item const& item : items) spare[count[digit(key(item), d)]++] = item;
    items.swap(spare);
  }
}

}  // namespace modelwatch
