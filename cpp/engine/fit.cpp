#include "engine/fit.hpp"

#include <algorithm>
#include <bit>
#include <utility>

#include "core/error.hpp"
#include "core/golden_ratio.hpp"
#include "core/interval_rule.hpp"
#include "cpu/kernel_table.hpp"

namespace modelwatch {
namespace {

/// What the tiles of a column are made of: keys of the rows that are neither null nor NaN, and how many are not.
struct KeyTile {
  /// Keys that are worked on at a time, while as much of the next tile comes from memory: of all of it at once the processor
  /// would wait for most, and what fetches ahead by itself ends where a page does.
  static constexpr int kStrip = 128;

  std::uint64_t keys[kTileRows];
  int count;
  int nulls;
  int nans;
  char const* next;  // rows of the next tile
  std::int64_t next_bytes;

  /// Calls f(keys, how many) for all of them, in order.
  template <class F>
  void each_strip(F f) const {
    constexpr std::int64_t kLine = 64;
    std::int64_t const step = next_bytes / (kTileRows / kStrip);
    std::int64_t line = 0;
    for (int first = 0; first < count; first += kStrip) {
      for (std::int64_t const end = std::min(next_bytes, line + step); line < end; line += kLine) __builtin_prefetch(next + line);
      f(keys + first, std::min(kStrip, count - first));
    }
  }
};

/// Calls f(tile) for every tile of a column.
template <class F>
void each_tile(NumericView const& column, Domain domain, F f) {
  auto const& kernel = cpu::kernels();
  KeyTile tile;
  std::uint8_t expanded[kTileRows];
  for (std::int64_t begin = 0; begin < column.rows; begin += kTileRows) {
    int const rows = static_cast<int>(std::min<std::int64_t>(kTileRows, column.rows - begin));
    bool const nullable = column.validity.bits != nullptr;
    int const valid = nullable ? kernel.expand_validity(column.validity, begin, rows, expanded) : rows;
    tile.count = kernel.key_tile(column, begin, rows, domain, valid < rows ? expanded : nullptr, tile.keys);
    auto const bytes = static_cast<std::int64_t>(bytes_of(column.storage));
    tile.next = static_cast<char const*>(column.values) + (begin + rows) * bytes;
    tile.next_bytes = std::min<std::int64_t>(kTileRows, column.rows - begin - rows) * bytes;
    tile.nulls = rows - valid;
    tile.nans = valid - tile.count;
    f(tile);
  }
}

/// A table of so many places stays in a near cache.
constexpr std::uint64_t kDirectPlaces = std::uint64_t{1} << 16;

std::uint64_t mixed(std::uint64_t key) {
  key ^= key >> 32;
  return key * kGoldenRatio >> 20;
}

/// Distinct values from which it pays to ask for a proof that there are more than the cap; rows after which one is given up
/// where less than half of them bring a new value.
constexpr std::uint64_t kProofFrom = 2048;
constexpr std::size_t kProofLook = 16384;
constexpr int kMostProofBits = 24;

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
  if (++distinct_ > cap_)
    overflow();
  else if (2 * distinct_ > keys_.size())
    grow();
}

void DistinctValues::overflow() {
  overflowed_ = true;
  keys_ = {};
  counts_ = {};
  proof_ = {};
}

void DistinctValues::begin_proof() {
  // Few values share a bit; the bits stay in a near cache.
  int const bits = static_cast<int>(std::bit_width(cap_)) + 4;
  proof_begun_ = true;
  if (bits > kMostProofBits) return;
  proof_ = {.bits = bits, .seen = std::vector<std::uint64_t>(std::size_t{1} << (bits - 6), 0)};
  proof_.waiting.reserve(cap_ + cap_ / 8 + kTileRows);  // of values that are nearly all different
}

void DistinctValues::add_to_proof(std::uint64_t const* keys, int count) {
  for (int i = 0; i < count; ++i) {
    std::uint64_t const at = (keys[i] ^ keys[i] >> 32) * kGoldenRatio >> (64 - proof_.bits);
    std::uint64_t& word = proof_.seen[at / 64];
    proof_.found += ~(word >> (at % 64)) & 1;
    word |= std::uint64_t{1} << (at % 64);
  }
  proof_.waiting.insert(proof_.waiting.end(), keys, keys + count);
  if (proof_.found > cap_)
    overflow();
  else if (proof_.waiting.size() > kProofLook && proof_.found < proof_.waiting.size() / 2)
    settle();
}

void DistinctValues::settle() {
  std::vector<std::uint64_t> const waiting = std::exchange(proof_, {}).waiting;
  for (std::size_t i = 0; i < waiting.size() && !overflowed_; ++i) insert(waiting[i]);
}

void DistinctValues::add(NumericView const& column) {
  int const shift = key_bits(domain_) - kTopBits;
  each_tile(column, domain_, [&](KeyTile const& tile) {
    tile.each_strip([&](std::uint64_t const* keys, int count) {
      for (int i = 0; i < count; ++i) ++top_[keys[i] >> shift];
    });
    if (!proof_begun_ && distinct_ > kProofFrom) begin_proof();
    if (proof_.bits > 0)
      add_to_proof(tile.keys, tile.count);
    else
      for (int i = 0; i < tile.count && !overflowed_; ++i) insert(tile.keys[i]);
    nulls_ += static_cast<std::uint64_t>(tile.nulls);
    nans_ += static_cast<std::uint64_t>(tile.nans);
  });
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
  for (auto const low : lows_) {
    std::uint64_t const place = prefix_of(low) * kGoldenRatio >> (64 - cpu::KeyFilter::kPlaceBits);
    filter_[place / 32] |= 1u << (place % 32);
  }
  if (lows_.empty()) return;
  least_ = prefix_of(lows_.front());
  std::uint64_t const span = prefix_of(lows_.back()) - least_;
  direct_ = span < kDirectPlaces || span / 8 < lows_.size();
  if (direct_) {
    first_.assign(static_cast<std::size_t>(span) + 2, kNone);  // and one of no prefix
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
  if (direct_) return first_[std::min<std::uint64_t>(prefix - least_, first_.size() - 1)];
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

std::optional<cpu::IntervalPlaces> IntervalSet::places(int split) const {
  if (!direct_ || !equal_widths_ || size() << split >= kNone) return std::nullopt;
  auto const none = static_cast<std::uint32_t>(size() << split);
  return cpu::IntervalPlaces{first_.data(), least_, first_.size() - 1, shift_, split, shift_ - split, none};
}

IntervalSplitter::IntervalSplitter(Domain domain, std::vector<std::uint64_t> lows, int width, int split)
    : domain_(domain), split_(checked_split(width, split)), piece_(width - split), intervals_(lows, std::vector<int>(lows.size(), width)) {
  counts_.assign(intervals_.size() << split, 0);
}

void IntervalSplitter::add(NumericView const& column) {
  if (intervals_.size() == 0) return;
  auto const places = intervals_.places(split_);
  if (places) recent_.resize(counts_.size() + 1, 0);
  each_tile(column, domain_, [&](KeyTile const& tile) {
    if (places) {
      tile.each_strip([&](std::uint64_t const* keys, int count) {
        std::uint32_t counters[KeyTile::kStrip];
        cpu::kernels().split_keys(keys, count, *places, counters);
        cpu::kernels().count_one(counters, count, recent_.data());
      });
      if ((recent_rows_ += kTileRows) >= kRecentRows) settle();
      return;
    }
    for (int i = 0; i < tile.count; ++i) {
      std::uint64_t const key = tile.keys[i];
      std::uint32_t const at = intervals_.find(key);
      if (at != IntervalSet::kNone) ++counts_[(std::size_t{at} << split_) + ((key - intervals_.low(at)) >> piece_)];
    }
  });
}

/// Moves 32-bit counters to 64-bit ones.
void IntervalSplitter::settle() {
  counts_ = counts();
  std::fill(recent_.begin(), recent_.end(), 0u);
  recent_rows_ = 0;
}

std::vector<std::uint64_t> IntervalSplitter::counts() const {
  std::vector<std::uint64_t> out = counts_;
  for (std::size_t i = 0; i < out.size() && !recent_.empty(); ++i) out[i] += recent_[i];
  return out;
}

IntervalKeeper::IntervalKeeper(Domain domain, std::vector<std::uint64_t> lows, std::vector<int> widths)
    : domain_(domain), intervals_(std::move(lows), std::move(widths)) {}

void IntervalKeeper::add(NumericView const& column) {
  auto const places = intervals_.places(0);
  each_tile(column, domain_, [&](KeyTile const& tile) {
    if (places) {
      std::uint32_t at[kTileRows];
      cpu::kernels().split_keys(tile.keys, tile.count, *places, at);
      for (int i = 0; i < tile.count; ++i)
        if (at[i] != places->none) keys_.push_back(tile.keys[i]);
      return;
    }
    tile.each_strip([&](std::uint64_t const* keys, int count) {
      std::uint64_t let[KeyTile::kStrip];
      int const through = cpu::kernels().filter_keys(keys, count, intervals_.filter(), let);
      for (int i = 0; i < through; ++i)
        if (intervals_.find(let[i]) != IntervalSet::kNone) keys_.push_back(let[i]);
    });
  });
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
