#include "engine/fit.hpp"

#include <algorithm>

#include "core/key.hpp"
#include "core/error.hpp"

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

IntervalSplitter::IntervalSplitter(Domain domain, std::vector<std::uint64_t> lows, int width, int split)
    : domain_(domain), lows_(std::move(lows)), width_(width), split_(split) {
  if (split < 1 || split > width || width > 64 || split > 24) throw InvalidInput("an interval cannot be cut that finely.");
  if (!std::is_sorted(lows_.begin(), lows_.end())) throw InvalidInput("intervals must be sorted.");
  counts_.assign(lows_.size() << split, 0);
}

void IntervalSplitter::add(NumericView const& column) {
  if (lows_.empty()) return;
  std::uint64_t nulls = 0;
  std::uint64_t nans = 0;
  each_key(
      column, domain_,
      [&](std::uint64_t key) {
        auto const after = std::upper_bound(lows_.begin(), lows_.end(), key);
        if (after == lows_.begin()) return;
        auto const at = static_cast<std::uint64_t>(after - lows_.begin() - 1);
        std::uint64_t const distance = key - lows_[at];
        if (width_ < 64 && (distance >> width_) != 0) return;
        ++counts_[(at << split_) + (distance >> (width_ - split_))];
      },
      &nulls, &nans);
}

}  // namespace modelwatch
