#include "engine/byte_order.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <utility>

#include "engine/large_pages.hpp"

namespace modelwatch {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::size_t kWord = 8;
/// Of at most so many values each finds its place among those before it.
constexpr std::size_t kInserted = 16;
/// Of fewer values clearing and adding up counters would take longer than comparing words.
constexpr std::size_t kCompared = 1024;
/// Two passes of so many bits: their counters fit the first-level cache, and leave few of a million values together.
constexpr int kDigitBits = 11;
constexpr std::size_t kDigits = std::size_t{1} << kDigitBits;

struct Entry {
  std::uint64_t word;  // eight bytes of the value, the first of them on top, zero beyond its end
  std::uint32_t key;   // some bits of the word
  std::uint32_t place;
};

/// Values that have all bytes before `offset` in common, of which the words there are made.
struct Range {
  std::size_t begin;
  std::size_t end;
  std::size_t offset;
};

template <class Word>
std::uint64_t number_at(char const* bytes) {
  Word word;
  std::memcpy(&word, bytes, sizeof word);
  if constexpr (sizeof word == 8) return __builtin_bswap64(word);
  return __builtin_bswap32(static_cast<std::uint32_t>(word));
}

std::uint64_t word_at(std::string_view value, std::size_t offset) {
  if (value.size() >= offset + kWord) return number_at<std::uint64_t>(value.data() + offset);
  if (value.size() <= offset) return 0;
  std::size_t const beyond = 8 * (offset + kWord - value.size());  // bits of the word
  char const* const end = value.data() + value.size();
  if (value.size() >= kWord) return number_at<std::uint64_t>(end - kWord) << beyond;
  if (value.size() >= offset + 4) return number_at<std::uint32_t>(value.data() + offset) << 32 | number_at<std::uint32_t>(end - 4) << beyond;
  std::uint64_t word = 0;
  for (char const* at = value.data() + offset; at != end; ++at) word = word << 8 | static_cast<std::uint8_t>(*at);
  return word << beyond;
}

/// The highest bits in which some words differ, brought together in the same order.
class Bits {
 public:
  Bits(std::uint64_t differing, int most) {
    while (differing != 0 && count_ < most) {
      int const top = 64 - std::countl_zero(differing);
      int const run = std::min(std::countl_one(differing << (64 - top)), most - count_);
      count_ += run;
      runs_[used_++] = {top - run, run};
      differing &= top == run ? 0 : ~std::uint64_t{0} >> (64 - (top - run));
    }
  }
  int count() const { return count_; }
  std::uint32_t of(std::uint64_t word) const {
    std::uint32_t key = 0;
    for (std::size_t i = 0; i < used_; ++i)
      key = key << runs_[i].bits | (static_cast<std::uint32_t>(word >> runs_[i].from) & ((std::uint32_t{1} << runs_[i].bits) - 1));
    return key;
  }

 private:
  struct Run {
    int from;
    int bits;
  };
  std::array<Run, 2 * kDigitBits> runs_{};
  std::size_t used_ = 0;
  int count_ = 0;
};

class Sorter {
 public:
  explicit Sorter(std::span<std::string_view const> values) : values_(values), entries_(values.size()) {
    for (std::size_t i = 0; i < values.size(); ++i) entries_[i].place = static_cast<std::uint32_t>(i);
  }

  std::vector<std::uint32_t> places() {
    if (entries_.size() > 1) read_words({0, entries_.size(), 0});
    while (!open_.empty()) {
      Range const range = open_.back();
      open_.pop_back();
      split(range);
    }
    std::vector<std::uint32_t> out(entries_.size());
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = entries_[i].place;
    return out;
  }

 private:
  std::string_view value(Entry const& entry) const { return values_[entry.place]; }

  /// Makes the words of values that have what is before the range's offset in common, from where they differ on.
  void read_words(Range range) {
    std::string_view const first = value(entries_[range.begin]);
    std::size_t common = first.size();
    for (std::size_t i = range.begin; i < range.end && common > range.offset; ++i) {
      std::string_view const own = value(entries_[i]);
      common = std::min(common, own.size());
      if (common <= range.offset || std::memcmp(own.data() + range.offset, first.data() + range.offset, common - range.offset) == 0) continue;
      common = range.offset;
      while (own[common] == first[common]) ++common;
    }
    range.offset = std::max(range.offset, common);
    for (std::size_t i = range.begin; i < range.end; ++i) entries_[i].word = word_at(value(entries_[i]), range.offset);
    open(range);
  }

  /// What is left to be done for a range whose words are made.
  void open(Range const& range) {
    std::size_t const size = range.end - range.begin;
    if (size > kInserted) return open_.push_back(range);
    for (std::size_t i = range.begin + 1; i < range.end; ++i) {
      Entry const entry = entries_[i];
      std::size_t at = i;
      for (; at > range.begin && is_before(entry, entries_[at - 1], range.offset + kWord); --at) entries_[at] = entries_[at - 1];
      entries_[at] = entry;
    }
  }

  /// rest: where the bytes after the words begin.
  bool is_before(Entry const& a, Entry const& b, std::size_t rest) const {
    if (a.word != b.word) return a.word < b.word;
    std::string_view const x = value(a);
    std::string_view const y = value(b);
    // Of two values of which one has no more bytes the shorter is what the longer begins with.
    return x.size() <= rest || y.size() <= rest ? x.size() < y.size() : x.substr(rest) < y.substr(rest);
  }

  void split(Range const& range) {
    auto const begin = entries_.begin() + static_cast<std::ptrdiff_t>(range.begin);
    auto const end = entries_.begin() + static_cast<std::ptrdiff_t>(range.end);
    std::uint64_t differing = 0;
    for (auto at = begin; at != end; ++at) differing |= at->word ^ begin->word;
    if (differing == 0) return go_on(range);
    if (range.end - range.begin < kCompared) {
      std::sort(begin, end, [](Entry const& a, Entry const& b) { return a.word < b.word; });
      open_runs(range, [](Entry const& entry) { return entry.word; });
    } else {
      sort_by_bits(range, Bits(differing, 2 * kDigitBits));
      open_runs(range, [](Entry const& entry) { return entry.key; });
    }
  }

  /// Values of one word: those that have no more bytes come first, no two of them of one size.
  void go_on(Range const& range) {
    std::size_t const rest = range.offset + kWord;
    auto const begin = entries_.begin() + static_cast<std::ptrdiff_t>(range.begin);
    auto const end = entries_.begin() + static_cast<std::ptrdiff_t>(range.end);
    auto const longer = std::partition(begin, end, [&](Entry const& entry) { return value(entry).size() <= rest; });
    std::sort(begin, longer, [&](Entry const& a, Entry const& b) { return value(a).size() < value(b).size(); });
    if (end - longer > 1) read_words({static_cast<std::size_t>(longer - entries_.begin()), range.end, rest});
  }

  template <class KeyOf>
  void open_runs(Range const& range, KeyOf key) {
    for (std::size_t from = range.begin; from < range.end;) {
      std::size_t to = from + 1;
      while (to < range.end && key(entries_[to]) == key(entries_[from])) ++to;
      if (to - from > 1) open({from, to, range.offset});
      from = to;
    }
  }

  void sort_by_bits(Range const& range, Bits const& bits) {
    std::size_t const size = range.end - range.begin;
    Entry* from = entries_.data() + range.begin;
    if (spare_.size() < size) spare_.resize(size);
    Entry* to = spare_.data();
    std::array<std::array<std::uint32_t, kDigits>, 2> counts{};
    for (std::size_t i = 0; i < size; ++i) {
      std::uint32_t const key = bits.of(from[i].word);
      from[i].key = key;
      ++counts[0][key & (kDigits - 1)];
      ++counts[1][key >> kDigitBits];
    }
    for (int pass = 0; pass * kDigitBits < bits.count(); ++pass, std::swap(from, to)) {
      auto& next = counts[static_cast<std::size_t>(pass)];
      std::uint32_t sum = 0;
      for (auto& count : next) sum += std::exchange(count, sum);
      for (std::size_t i = 0; i < size; ++i) to[next[from[i].key >> pass * kDigitBits & (kDigits - 1)]++] = from[i];
    }
    if (from == spare_.data()) std::copy_n(from, size, to);
  }

  std::span<std::string_view const> values_;
  std::vector<Entry, LargePages<Entry>> entries_;
  std::vector<Entry, LargePages<Entry>> spare_;
  std::vector<Range> open_;
};

}  // namespace

std::vector<std::uint32_t> places_by_bytes(std::span<std::string_view const> values) { return Sorter(values).places(); }

}  // namespace modelwatch
