#include "engine/merge.hpp"

#include <algorithm>
#include <numeric>
#include <type_traits>
#include <utility>

#include "core/error.hpp"
#include "engine/sparse_array.hpp"  // each_counted

namespace modelwatch {

namespace {

/// Calls f(index, value) for the entries of one group.
template <class F>
void each_entry(SparseView const& table, std::size_t group, F f) {
  with_elements(table.index, [&](auto const* index) {
    with_elements(table.value, [&](auto const* value) {
      for (std::int64_t i = table.begin[group]; i < table.begin[group + 1]; ++i) {
        if (index[i] > std::uint32_t{0xffffffffu}) throw InvalidInput("an entry has an index of more than 32 bits.");
        f(static_cast<std::uint32_t>(index[i]), static_cast<std::uint64_t>(value[i]));
      }
    });
  });
}

/// Indices below this are added up in an array.
constexpr std::uint32_t kMostDense = std::uint32_t{1} << 20;

struct Entry {
  std::uint32_t index;
  std::uint64_t value;
};

/// Adds up the entries of one group, in whatever order they come.  kMarked: sums have 32 bits, and what lies above them says
/// that an entry came at all, since a sum can be 0.
template <bool kMarked>
class Accumulator {
 public:
  /// A group of the sum is about to come: of so many entries, all with indices up to `last`.
  void begin(std::size_t entries, std::uint32_t last) {
    // Looking at every place is cheaper than sorting where a good part of them is used.
    constexpr std::size_t kLooked = 16;
    last_ = last;
    dense_ = last < kMostDense && last < kLooked * entries;
    if (dense_ && sums_.size() <= last) {
      sums_.resize(std::size_t{last} + 1, 0);
      if (!kMarked) there_.resize(sums_.size(), 0);
      indices_.resize(sums_.size());
      values_.resize(sums_.size());
    }
  }

  /// Adds all entries of a group of a table.
  void add(SparseView const& table, std::size_t group) {
    if (!dense_) return each_entry(table, group, [&](std::uint32_t index, std::uint64_t value) { entries_.push_back({index, value}); });
    std::uint64_t* const sums = sums_.data();
    std::uint8_t* const there = there_.data();
    each_entry(table, group, [&](std::uint32_t index, std::uint64_t value) {
      if (index > last_) throw InvalidInput("the entries of a group are not sorted.");
      if (kMarked) {
        sums[index] += kMark + value;
      } else {
        sums[index] += value;
        there[index] = 1;
      }
    });
  }

  /// Puts the sums into `out` by increasing index, and leaves none behind.
  template <class Index, class Value>
  void move_to(SumOf<Index, Value>& out) {
    if (!dense_) {
      sort_up(out);
      return entries_.clear();
    }
    // By way of two arrays that stay in the cache: making room in `out` would set all of it to 0 first.
    std::uint32_t* const indices = indices_.data();
    std::uint64_t* const values = values_.data();
    std::size_t used = 0;
    if (kMarked) {
      // Most places are used, so all are written, and the next takes the place of one that is not: no branch is foretold.
      for (std::uint32_t index = 0; index <= last_; ++index) {
        std::uint64_t const sum = sums_[index];
        indices[used] = index;
        values[used] = sum & (kMark - 1);
        used += sum != 0 ? 1 : 0;
      }
      std::fill_n(sums_.data(), last_ + 1, std::uint64_t{0});
    } else {
      each_counted(there_.data(), last_ + 1, [&](std::uint32_t index, std::uint8_t) {
        indices[used] = index;
        values[used++] = std::exchange(sums_[index], 0);
      });
      std::fill_n(there_.data(), last_ + 1, std::uint8_t{0});
    }
    out.index.insert(out.index.end(), indices, indices + used);
    out.value.insert(out.value.end(), values, values + used);
  }

 private:
  static constexpr std::uint64_t kMark = std::uint64_t{1} << 32;

  template <class Index, class Value>
  void sort_up(SumOf<Index, Value>& out) {
    std::sort(entries_.begin(), entries_.end(), [](Entry const& a, Entry const& b) { return a.index < b.index; });
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      auto const value = static_cast<Value>(entries_[i].value);
      if (i != 0 && entries_[i].index == entries_[i - 1].index) {
        out.value.back() += value;
        continue;
      }
      out.index.push_back(static_cast<Index>(entries_[i].index));
      out.value.push_back(value);
    }
  }

  bool dense_ = false;
  std::uint32_t last_ = 0;
  std::vector<Entry> entries_;
  std::vector<std::uint64_t> sums_;  // 0 between groups
  std::vector<std::uint32_t> indices_;  // of the sums of one group, and the sums
  std::vector<std::uint64_t> values_;
  std::vector<std::uint8_t> there_;  // whether an entry came for each of them, where sums are not marked
};

/// The largest index of a group with entries: its last one.
std::uint32_t last_index(SparseView const& table, std::size_t group) {
  std::uint64_t last = 0;
  with_elements(table.index, [&](auto const* index) { last = index[table.begin[group + 1] - 1]; });
  if (last > std::uint32_t{0xffffffffu}) throw InvalidInput("an entry has an index of more than 32 bits.");
  return static_cast<std::uint32_t>(last);
}

template <class Sum>
Sum merged(std::vector<SparseView> const& tables, std::size_t groups) {
  // Which groups of which tables make up each group of the sum.
  std::vector<std::size_t> from(groups + 1, 0);
  std::size_t entries = 0;
  for (auto const& table : tables)
    for (std::size_t g = 0; g < table.groups; ++g) {
      if (table.to[g] >= groups) throw InvalidInput("a group leads out of the sum.");
      ++from[table.to[g] + 1];
      entries += static_cast<std::size_t>(table.begin[g + 1] - table.begin[g]);
    }
  std::partial_sum(from.begin(), from.end(), from.begin());
  std::vector<std::pair<std::uint32_t, std::uint32_t>> parts(from.back());
  std::vector<std::size_t> next(from.begin(), from.end() - 1);
  for (std::uint32_t t = 0; t < tables.size(); ++t)
    for (std::uint32_t g = 0; g < tables[t].groups; ++g) parts[next[tables[t].to[g]]++] = {t, g};

  Sum out;
  out.begin.reserve(groups + 1);
  out.begin.push_back(0);
  out.index.reserve(entries);
  out.value.reserve(entries);
  Accumulator<std::is_same_v<Sum, SmallSum>> sum;
  for (std::size_t group = 0; group < groups; ++group) {
    std::size_t own_entries = 0;
    std::uint32_t last = 0;
    for (std::size_t part = from[group]; part < from[group + 1]; ++part) {
      auto const [table, own] = parts[part];
      auto const more = static_cast<std::size_t>(tables[table].begin[own + 1] - tables[table].begin[own]);
      own_entries += more;
      if (more != 0) last = std::max(last, last_index(tables[table], own));
    }
    sum.begin(own_entries, last);
    for (std::size_t part = from[group]; part < from[group + 1]; ++part) {
      auto const [table, own] = parts[part];
      sum.add(tables[table], own);
    }
    sum.move_to(out);
    out.begin.push_back(static_cast<std::int64_t>(out.index.size()));
  }
  return out;
}

}  // namespace

SparseSum merge_sparse(std::vector<SparseView> const& tables, std::size_t groups) { return merged<SparseSum>(tables, groups); }

SmallSum merge_small(std::vector<SparseView> const& tables, std::size_t groups) {
  if (!small(tables)) throw InvalidInput("these tables do not add up in small numbers.");
  return merged<SmallSum>(tables, groups);
}

bool small(std::vector<SparseView> const& tables) {
  // No cell of the sum has more terms than there are groups.
  std::size_t terms = 0;
  for (auto const& table : tables) {
    if (table.index.width > 2 || table.value.width > 2) return false;
    terms += table.groups;
  }
  return terms <= std::size_t{1} << 16;
}

}  // namespace modelwatch
