#include "engine/fit.hpp"

#include <algorithm>
#include <bit>
#include <utility>

#include "core/error.hpp"
#include "core/interval_rule.hpp"
#include "core/key.hpp"

namespace modelwatch {
namespace {

template <class Stored, class Value, class F>
void each_of(NumericView const& column, F& f, std::uint64_t* nulls, std::uint64_t* nans) {
  auto const* const values = static_cast<Stored const*>(column.values);
  for (std::int64_t i = 0; i < column.rows; ++i) {
    if (!column.validity.valid(i)) {
      ++*nulls;
      continue;
    }
    auto const x = static_cast<Value>(values[i]);
    if (KeyOf<Value>::missing(x))
      ++*nans;
    else
      f(static_cast<std::uint64_t>(KeyOf<Value>::key(x)));
  }
}

template <class Stored, class F>
void each_integer(NumericView const& column, Domain domain, F& f, std::uint64_t* nulls, std::uint64_t* nans) {
  if (domain == Domain::float64)
    each_of<Stored, double>(column, f, nulls, nans);
  else
    each_of<Stored, std::int64_t>(column, f, nulls, nans);
}

/// Calls f(key) for every value that is neither null nor NaN, and counts the others.
template <class F>
void each_key(NumericView const& column, Domain domain, F f, std::uint64_t* nulls, std::uint64_t* nans) {
  if (domain == Domain::float64 && column.storage == Storage::float32)
    return each_of<float, double>(column, f, nulls, nans);
  switch (column.storage) {
    case Storage::int8: return each_integer<std::int8_t>(column, domain, f, nulls, nans);
    case Storage::int16: return each_integer<std::int16_t>(column, domain, f, nulls, nans);
    case Storage::int32: return each_integer<std::int32_t>(column, domain, f, nulls, nans);
    case Storage::int64: return each_of<std::int64_t, std::int64_t>(column, f, nulls, nans);
    case Storage::uint8: return each_integer<std::uint8_t>(column, domain, f, nulls, nans);
    case Storage::uint16: return each_integer<std::uint16_t>(column, domain, f, nulls, nans);
    case Storage::uint32: return each_integer<std::uint32_t>(column, domain, f, nulls, nans);
    case Storage::uint64: return each_of<std::uint64_t, std::uint64_t>(column, f, nulls, nans);
    case Storage::float32: return each_of<float, float>(column, f, nulls, nans);
    case Storage::float64: return each_of<double, double>(column, f, nulls, nans);
  }
}

/// A table of so many places stays in a near cache.
constexpr std::uint64_t kDirectPlaces = std::uint64_t{1} << 16;

std::uint64_t mixed(std::uint64_t key) {
  key ^= key >> 32;
  return key * 0x9e3779b97f4a7c15u >> 20;
}

}  // namespace

int key_bits(Domain domain) { return domain == Domain::float32 ? 32 : 64; }

DistinctValues::DistinctValues(Domain domain, std::uint64_t cap)
    : domain_(domain), cap_(cap), top_(std::size_t{1} << kTopBits, 0), keys_(1024), counts_(1024, 0) {}

void DistinctValues::grow() {
  std::vector<std::uint64_t> keys(2 * keys_.size());
  std::vector<std::uint64_t> counts(keys.size(), 0);
  std::size_t const mask = keys.size() - 1;
  for (std::size_t i = 0; i < keys_.size(); ++i) {
    if (counts_[i] == 0) continue;
    std::size_t at = mixed(keys_[i]) & mask;
    while (counts[at] != 0) at = (at + 1) & mask;
    keys[at] = keys_[i];
    counts[at] = counts_[i];
  }
  keys_.swap(keys);
  counts_.swap(counts);
}

void DistinctValues::insert(std::uint64_t key) {
  std::size_t const mask = keys_.size() - 1;
  std::size_t at = mixed(key) & mask;
  while (counts_[at] != 0 && keys_[at] != key) at = (at + 1) & mask;
  if (counts_[at]++ != 0) return;
  keys_[at] = key;
  if (++distinct_ > cap_) {
    overflowed_ = true;
    keys_ = {};
    counts_ = {};
  } else if (2 * distinct_ > keys_.size()) {
    grow();
  }
}

void DistinctValues::add(NumericView const& column) {
  int const shift = key_bits(domain_) - kTopBits;
  each_key(
      column, domain_,
      [&](std::uint64_t key) {
        ++top_[key >> shift];
        if (!overflowed_) insert(key);
      },
      &nulls_, &nans_);
  rows_ += static_cast<std::uint64_t>(column.rows);
}

void DistinctValues::sorted(std::vector<std::uint64_t>& keys, std::vector<std::uint64_t>& counts) const {
  std::vector<std::pair<std::uint64_t, std::uint64_t>> entries;
  for (std::size_t i = 0; i < keys_.size(); ++i)
    if (counts_[i] != 0) entries.emplace_back(keys_[i], counts_[i]);
  std::sort(entries.begin(), entries.end());
  for (auto const& [key, count] : entries) {
    keys.push_back(key);
    counts.push_back(count);
  }
}

int checked_split(int width, int split) {
  if (split < 1 || split > width || width > 64 || split > 24) throw InvalidInput("an interval cannot be cut that finely.");
  return split;
}

IntervalSet::IntervalSet(std::vector<std::uint64_t> lows, std::vector<int> widths)
    : lows_(std::move(lows)), widths_(std::move(widths)) {
  if (lows_.size() != widths_.size() || lows_.size() >= kNone / 4) throw InvalidInput("every interval needs a width.");
  for (std::size_t i = 0; i < lows_.size(); ++i) {
    int const width = widths_[i];
    if (width < 0 || width > 64) throw InvalidInput("an interval's width is from 0 to 64 bits.");
    if ((lows_[i] & last_of_width(width)) != 0) throw InvalidInput("an interval must begin at a multiple of its length.");
    if (i > 0 && (lows_[i] <= lows_[i - 1] || lows_[i] - lows_[i - 1] <= last_of_width(widths_[i - 1])))
      throw InvalidInput("intervals must be sorted and may not overlap.");
    shift_ = std::max(shift_, width);
    equal_widths_ = equal_widths_ && width == widths_[0];
  }
  if (lows_.empty()) return;
  least_ = prefix_of(lows_.front());
  std::uint64_t const span = prefix_of(lows_.back()) - least_;
  direct_ = span < kDirectPlaces || span / 8 < lows_.size();
  if (direct_) {
    first_.assign(static_cast<std::size_t>(span) + 1, kNone);
    for (auto i = static_cast<std::uint32_t>(lows_.size()); i-- > 0;) first_[prefix_of(lows_[i]) - least_] = i;
    return;
  }
  std::size_t const places = std::bit_ceil(4 * std::max<std::size_t>(lows_.size(), 1));
  place_shift_ = 64 - std::countr_zero(places);
  first_.assign(places, kNone);
  for (std::uint32_t i = 0; i < lows_.size(); ++i) {
    if (i > 0 && prefix_of(lows_[i]) == prefix_of(lows_[i - 1])) continue;
    std::size_t at = place_of(prefix_of(lows_[i]));
    while (first_[at] != kNone) at = (at + 1) & (places - 1);
    first_[at] = i;
  }
}

inline std::uint32_t IntervalSet::first_with(std::uint64_t prefix) const {
  if (direct_) return prefix - least_ < first_.size() ? first_[prefix - least_] : kNone;
  std::size_t at = place_of(prefix);
  while (first_[at] != kNone && prefix_of(lows_[first_[at]]) != prefix) at = (at + 1) & (first_.size() - 1);
  return first_[at];
}

std::uint32_t IntervalSet::find(std::uint64_t key) const {
  if (first_.empty()) return kNone;
  std::uint32_t const first = first_with(prefix_of(key));
  if (first == kNone || equal_widths_) return first;
  auto const after = std::upper_bound(lows_.begin() + first, lows_.end(), key);
  if (after == lows_.begin() + first) return kNone;
  auto const found = static_cast<std::uint32_t>(after - lows_.begin() - 1);
  return key - lows_[found] <= last_of_width(widths_[found]) ? found : kNone;
}

IntervalSplitter::IntervalSplitter(Domain domain, std::vector<std::uint64_t> lows, int width, int split)
    : domain_(domain), split_(checked_split(width, split)), piece_(width - split), intervals_(lows, std::vector<int>(lows.size(), width)) {
  counts_.assign(intervals_.size() << split, 0);
}

void IntervalSplitter::add(NumericView const& column) {
  if (intervals_.size() == 0) return;
  std::uint64_t nulls = 0;
  std::uint64_t nans = 0;
  each_key(
      column, domain_,
      [&](std::uint64_t key) {
        std::uint32_t const at = intervals_.find(key);
        if (at != IntervalSet::kNone) ++counts_[(std::size_t{at} << split_) + ((key - intervals_.low(at)) >> piece_)];
      },
      &nulls, &nans);
}

IntervalKeeper::IntervalKeeper(Domain domain, std::vector<std::uint64_t> lows, std::vector<int> widths)
    : domain_(domain), intervals_(std::move(lows), std::move(widths)) {}

void IntervalKeeper::add(NumericView const& column) {
  std::uint64_t nulls = 0;
  std::uint64_t nans = 0;
  each_key(
      column, domain_,
      [&](std::uint64_t key) {
        if (intervals_.find(key) != IntervalSet::kNone) keys_.push_back(key);
      },
      &nulls, &nans);
}

std::vector<std::int64_t> knot_places(std::vector<std::int64_t> const& ends, std::vector<std::int64_t> const& heavy, std::int64_t most) {
  std::vector<std::int64_t> out;
  auto const count = static_cast<std::int64_t>(ends.size());
  auto const rows_before = [&](std::int64_t at) { return at > 0 ? ends[static_cast<std::size_t>(at - 1)] : 0; };
  std::int64_t begin = 0;
  for (std::size_t h = 0; h <= heavy.size(); ++h) {
    std::int64_t const end = h < heavy.size() ? heavy[h] : count;
    if (end < begin || end > count || (h < heavy.size() && end == count)) throw InvalidInput("heavy places must be sorted places of intervals.");
    for (std::int64_t held_from = rows_before(begin);;) {
      std::int64_t const at = std::upper_bound(ends.begin() + begin, ends.begin() + end, held_from + most) - ends.begin();
      if (at >= end) break;
      out.push_back(at);
      held_from = rows_before(at);
      begin = at + 1;
    }
    if (h < heavy.size()) out.push_back(end);
    begin = end + 1;
  }
  return out;
}

}  // namespace modelwatch
