#include <map>

#include "check.hpp"
#include "columns.hpp"
#include "engine/counter.hpp"  // interval_of
#include "engine/fit.hpp"

using namespace modelwatch;
using namespace modelwatch::test;

namespace {

template <class Value>
std::map<std::uint64_t, std::uint64_t> key_counts(reference::Rows<Value> const& rows) {
  std::map<std::uint64_t, std::uint64_t> out;
  for (auto const& x : rows)
    if (x && *x == *x) ++out[KeyOf<Value>::key(*x)];
  return out;
}

std::map<std::uint64_t, std::uint64_t> found_counts(DistinctValues const& values) {
  std::vector<std::uint64_t> keys;
  std::vector<std::uint64_t> counts;
  values.sorted(keys, counts);
  CHECK(std::is_sorted(keys.begin(), keys.end()));
  std::map<std::uint64_t, std::uint64_t> out;
  for (std::size_t i = 0; i < keys.size(); ++i) out[keys[i]] = counts[i];
  return out;
}

template <class Value>
reference::Rows<Value> mixed_rows(std::size_t size, std::uint64_t seed) {
  Random random{seed};
  auto rows = sprinkled_rows<Value>(size, random);
  for (auto& x : rows)
    if (x && random.below(3) == 0) x = random_value<Value>(random);
  return rows;
}

}  // namespace

TEST("distinct values and their counts are those of a sorted list") {
  each_domain([]<class Value>(Value) {
    auto const rows = mixed_rows<Value>(5000, 81);
    auto const column = make_column(rows, 4);
    DistinctValues values(domain_of<Value>(), 5000);
    values.add(column.view());
    values.add(column.view());
    values.settle();
    auto expected = key_counts(rows);
    for (auto& [key, count] : expected) count *= 2;
    CHECK(found_counts(values) == expected);
    CHECK(!values.overflowed());
    std::uint64_t nulls = 0;
    std::uint64_t nans = 0;
    for (auto const& x : rows) {
      nulls += !x;
      nans += x && *x != *x;
    }
    CHECK_EQ(values.rows(), std::uint64_t{10'000});
    CHECK_EQ(values.nulls(), 2 * nulls);
    CHECK_EQ(values.nans(), 2 * nans);
  });
}

TEST("one value more than the cap overflows, and not one less") {
  for (std::uint64_t const cap : {0u, 1u, 511u, 512u, 513u, 3000u})
    for (std::uint64_t const distinct : {cap, cap + 1}) {
      reference::Rows<std::int64_t> rows;
      for (int again = 0; again < 2; ++again)
        for (std::uint64_t i = 0; i < distinct; ++i) rows.emplace_back(static_cast<std::int64_t>(i * i));
      auto const column = make_column(rows);
      DistinctValues values(Domain::int64, cap);
      values.add(column.view());
      values.settle();
      CHECK_EQ_ABOUT(values.overflowed(), distinct > cap, std::to_string(distinct) + " of " + std::to_string(cap));
      CHECK(found_counts(values) == (distinct > cap ? std::map<std::uint64_t, std::uint64_t>{} : key_counts(rows)));
    }
}

TEST("more values than the cap are noticed however they come, and their counts are right where they are not more") {
  // New values all the time; all of them early, then again and again; so many rows that no proof waits for them.
  for (std::uint64_t const cap : {4000u, 60'000u})
    for (std::uint64_t const distinct : {cap - 1, cap, cap + 1, 3 * cap})
      for (std::uint64_t const again : {1u, 2u, 9u}) {
        DistinctValues values(Domain::int64, cap);
        std::map<std::uint64_t, std::uint64_t> expected;
        for (std::uint64_t part = 0; part < 3; ++part) {
          reference::Rows<std::int64_t> rows;
          for (std::uint64_t i = part * distinct / 3; i < (part + 1) * distinct / 3; ++i)
            for (std::uint64_t copy = 0; copy < again; ++copy) rows.emplace_back(static_cast<std::int64_t>(i * 977));
          for (auto const& [key, count] : key_counts(rows)) expected[key] += count;
          auto const column = make_column(rows);
          values.add(column.view());
        }
        values.settle();
        auto const about = std::to_string(distinct) + " of " + std::to_string(cap) + ", " + std::to_string(again) + " times";
        CHECK_EQ_ABOUT(values.overflowed(), distinct > cap, about);
        CHECK(found_counts(values) == (distinct > cap ? std::map<std::uint64_t, std::uint64_t>{} : expected));
      }
}

TEST("the histogram of the first key bits goes on after an overflow") {
  each_domain([]<class Value>(Value) {
    auto const rows = mixed_rows<Value>(3000, 82);
    auto const column = make_column(rows);
    DistinctValues values(domain_of<Value>(), 10);
    values.add(column.view());
    values.settle();
    CHECK(values.overflowed());
    std::vector<std::uint64_t> expected(std::size_t{1} << DistinctValues::kTopBits, 0);
    for (auto const& [key, count] : key_counts(rows)) expected[key >> (key_bits(domain_of<Value>()) - DistinctValues::kTopBits)] += count;
    CHECK(values.top() == expected);
  });
}

TEST("narrow integers on a float64 column are keyed as doubles in every pass") {
  Column<std::int32_t> const column{{-3, 0, 7}, {}, 0};
  DistinctValues values(Domain::float64, 10);
  values.add(column.view());
  values.settle();
  CHECK((found_counts(values) == std::map<std::uint64_t, std::uint64_t>{
                                     {KeyOf<double>::key(-3.0), 1}, {KeyOf<double>::key(0.0), 1}, {KeyOf<double>::key(7.0), 1}}));
}

TEST("a splitter counts every piece of every interval as a search by hand does") {
  for (int const width : {64, 48, 16, 1})
    for (int const split : {1, 8, 16}) {
      if (split > width) continue;
      each_domain([&]<class Value>(Value) {
        int const bits = key_bits(domain_of<Value>());
        if (width > bits) return;
        auto rows = mixed_rows<Value>(2000, 83);
        std::vector<std::uint64_t> lows;
        if (width == 64) {
          lows = {0};
        } else {
          Random random{84};
          for (int i = 0; i < 5; ++i) {
            auto const& x = rows[random.below(rows.size())];
            std::uint64_t const key = x && *x == *x ? KeyOf<Value>::key(*x) : 0;
            lows.push_back(key >> width << width);
          }
          std::sort(lows.begin(), lows.end());
          lows.erase(std::unique(lows.begin(), lows.end()), lows.end());
        }
        IntervalSplitter splitter(domain_of<Value>(), lows, width, split);
        auto const column = make_column(rows);
        splitter.add(column.view());
        std::vector<std::uint64_t> expected(lows.size() << split, 0);
        for (auto const& [key, count] : key_counts(rows))
          for (std::size_t i = 0; i < lows.size(); ++i) {
            bool const inside = key >= lows[i] && (width == 64 || key - lows[i] < (std::uint64_t{1} << width));
            if (inside) expected[(i << split) + ((key - lows[i]) >> (width - split))] += count;
          }
        CHECK_ABOUT(splitter.counts() == expected, std::to_string(width) + " bits in " + std::to_string(split));
      });
    }
}

TEST("a keeper keeps the keys within intervals of any widths, as a search by hand does") {
  Random random{86};
  for (int round = 0; round < 40; ++round)
    each_domain([&]<class Value>(Value) {
      int const bits = key_bits(domain_of<Value>());
      auto const rows = mixed_rows<Value>(2000, 87 + static_cast<std::uint64_t>(round));
      std::vector<std::uint64_t> lows;
      std::vector<int> widths;
      std::uint64_t from = 0;  // the first key that may belong to the next interval
      std::vector<std::uint64_t> some;
      for (auto const& [key, count] : key_counts(rows)) some.push_back(key);
      for (std::size_t i = random.below(5); i < some.size() && !(i > 0 && from == 0 && !lows.empty()); i += 1 + random.below(200)) {
        int const width = static_cast<int>(random.below(static_cast<std::uint64_t>(round % 2 == 0 ? 3 : bits - 2)));
        std::uint64_t const low = some[i] >> width << width;
        if (low < from) continue;
        lows.push_back(low);
        widths.push_back(width);
        from = low + (std::uint64_t{1} << width);
      }
      IntervalKeeper keeper(domain_of<Value>(), lows, widths);
      auto const column = make_column(rows);
      keeper.add(column.view());
      std::vector<std::uint64_t> expected;
      for (auto const& x : rows) {
        if (!x || *x != *x) continue;
        std::uint64_t const key = KeyOf<Value>::key(*x);
        for (std::size_t i = 0; i < lows.size(); ++i)
          if (key >= lows[i] && key - lows[i] < (std::uint64_t{1} << widths[i])) expected.push_back(key);
      }
      CHECK_ABOUT(keeper.keys() == expected, std::to_string(lows.size()) + " intervals");
    });
}

TEST("intervals that overlap, or begin where none of their length does, are refused") {
  CHECK_REFUSED(IntervalKeeper(Domain::int64, {0, 4}, {3, 2}), "overlap");
  CHECK_REFUSED(IntervalKeeper(Domain::int64, {0, 5}, {64, 0}), "overlap");
  CHECK_REFUSED(IntervalKeeper(Domain::int64, {2}, {2}), "multiple");
  CHECK_REFUSED(IntervalKeeper(Domain::int64, {2}, {65}), "64 bits");
  CHECK_REFUSED(IntervalKeeper(Domain::int64, {2}, {}), "needs a width");
  CHECK_EQ(IntervalSet({}, {}).find(7), IntervalSet::kNone);
  CHECK_EQ(IntervalSet({0}, {64}).find(~std::uint64_t{0}), 0u);
}

TEST("a splitter refuses cuts that make no sense") {
  CHECK_REFUSED(IntervalSplitter(Domain::int64, {0}, 4, 5), "cut that finely");
  CHECK_REFUSED(IntervalSplitter(Domain::int64, {0}, 4, 0), "cut that finely");
  CHECK_REFUSED(IntervalSplitter(Domain::int64, {0}, 65, 1), "cut that finely");
  CHECK_REFUSED(IntervalSplitter(Domain::int64, {0}, 64, 25), "cut that finely");
  CHECK_REFUSED(IntervalSplitter(Domain::int64, {32, 16}, 4, 2), "sorted");
  CHECK_REFUSED(IntervalSplitter(Domain::int64, {8}, 4, 2), "multiple");
}

TEST("a splitter without intervals counts nothing") {
  IntervalSplitter splitter(Domain::int64, {}, 16, 4);
  Column<std::int64_t> const column{{1, 2, 3}, {}, 0};
  splitter.add(column.view());
  CHECK(splitter.counts().empty());
}

TEST("an interval holds its first boundary and not its last") {
  auto const column = make_column<std::int64_t>({9, 10, 19, 20, 29, 30, {}, std::numeric_limits<std::int64_t>::min()});
  CHECK_EQ(interval_of(column.view(), {10, 20, 30}).of_row, (std::vector<std::int32_t>{2, 0, 0, 1, 1, 2, 2, 2}));
  CHECK_EQ(interval_of(column.view(), {10}).of_row, std::vector<std::int32_t>(8, 0));
  CHECK_EQ(interval_of(column.view(), {}).of_row, std::vector<std::int32_t>(8, 0));
  CHECK_REFUSED(interval_of(column.view(), {10, 10}), "strictly increasing");
  CHECK_REFUSED(interval_of(column.view(), {10, 5}), "strictly increasing");
}

TEST("intervals of random times are those of a search by hand, in any order") {
  Random random{85};
  for (int round = 0; round < 20; ++round) {
    std::vector<std::int64_t> edges;
    for (std::uint64_t i = 0, count = random.below(20); i < count; ++i) edges.push_back(random_value<std::int64_t>(random));
    edges = as_knots(edges);
    reference::Rows<std::int64_t> rows;
    for (int i = 0; i < 40 * kTileRows; ++i) rows.emplace_back(random_value<std::int64_t>(random));
    for (auto const edge : edges) rows.insert(rows.end(), {next_below(edge), edge, next_above(edge)});
    if (round % 2 == 0) std::sort(rows.begin(), rows.end());
    if (round % 4 == 3) rows.emplace_back();
    auto const column = make_column(rows);
    auto const found = interval_of(column.view(), edges);
    auto const outside = static_cast<std::int32_t>(edges.empty() ? 0 : edges.size() - 1);
    std::vector<std::int64_t> counts(static_cast<std::size_t>(outside) + 1, 0);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      std::int32_t expected = outside;
      for (std::size_t k = 0; k + 1 < edges.size(); ++k)
        if (rows[i] && *rows[i] >= edges[k] && *rows[i] < edges[k + 1]) expected = static_cast<std::int32_t>(k);
      CHECK_EQ(found.of_row[i], expected);
      ++counts[static_cast<std::size_t>(expected)];
    }
    CHECK_EQ(found.rows, counts);
  }
}
