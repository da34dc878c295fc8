#include <algorithm>
#include <optional>
#include <string>

#include "check.hpp"
#include "columns.hpp"
#include "tables.hpp"
#include "engine/bins.hpp"

using namespace modelwatch;
using namespace modelwatch::test;
using cpu::KernelTable;

namespace {

/// The obvious loop: a value is in bin b when b cuts are at or below it.
template <class Value, class Cut>
std::vector<std::uint64_t> obvious(reference::Rows<Value> const& rows, std::vector<Cut> const& cuts) {
  std::vector<std::uint64_t> counts(cuts.size() + 3, 0);
  for (auto const& x : rows) {
    std::size_t bin = 0;
    if (!x)
      bin = cuts.size() + 2;
    else if (*x != *x)
      bin = cuts.size() + 1;
    else
      for (Cut const cut : cuts) bin += static_cast<Cut>(*x) >= cut ? 1 : 0;
    ++counts[bin];
  }
  return counts;
}

/// Every table counts as the obvious loop does, with one thread and with several.
template <class Value, class Cut>
void check_counts(reference::Rows<Value> const& rows, std::vector<Cut> const& cuts, std::string const& about) {
  auto const column = make_column(rows, 3);
  auto const expected = obvious(rows, cuts);
  for (auto const* table : runnable())
    CHECK_EQ_ABOUT(count_bins(column.view(), domain_of<Cut>(), keys_of(cuts), 1, {}, *table), expected, about + ", " + table->name);
}

/// Rows of every kind, and the same without nulls, which other kernels count.
template <class Value, class Cut>
void check_cuts(std::vector<Cut> const& cuts, std::string const& about) {
  Random random{19};
  reference::Rows<Value> rows;
  if constexpr (std::is_same_v<Value, Cut>)
    for (auto const x : hard_values<Value>()) rows.emplace_back(x);
  for (Cut const cut : cuts) {
    if (cut < static_cast<Cut>(std::numeric_limits<Value>::lowest()) || cut > static_cast<Cut>(std::numeric_limits<Value>::max())) continue;
    auto const near = static_cast<Value>(cut);
    rows.insert(rows.end(), {next_below(near), near, next_above(near)});
  }
  if constexpr (std::is_same_v<Value, Cut>)
    for (int i = 0; i < 300; ++i) rows.emplace_back(random_value<Value>(random));
  // What lies between the cuts and about them: most rows, as in real columns.
  constexpr auto kLeast = static_cast<double>(std::numeric_limits<Value>::lowest());
  constexpr auto kMost = static_cast<double>(std::numeric_limits<Value>::max());
  if (cuts.size() > 1)
    for (int i = 0; i < 2000; ++i) {
      auto const k = random.below(cuts.size() - 1);
      double const share = static_cast<double>(random.below(1 << 20)) / (1 << 20);
      double const x = static_cast<double>(cuts[k]) + share * (static_cast<double>(cuts[k + 1]) - static_cast<double>(cuts[k]));
      if (x > kLeast && x < kMost) rows.emplace_back(static_cast<Value>(x));
    }
  if constexpr (kIsFloat<Value>)
    for (int i = 0; i < 5; ++i) {
      rows.emplace_back(std::numeric_limits<Value>::quiet_NaN());
      rows.emplace_back(-std::numeric_limits<Value>::quiet_NaN());
    }
  shuffle(rows, random);
  check_counts(rows, cuts, about);
  rows.insert(rows.begin() + static_cast<std::ptrdiff_t>(rows.size() / 2), std::nullopt);
  rows.emplace_back();
  check_counts(rows, cuts, about + ", with nulls");
  check_counts(reference::Rows<Value>(rows.begin(), rows.begin() + 1), cuts, about + ", one row");
  check_counts(reference::Rows<Value>{}, cuts, about + ", no rows");
}

template <class Cut>
std::vector<Cut> bell(int count) {
  // Close together in the middle, as quantiles are.
  std::vector<Cut> cuts;
  for (int k = 0; k < count; ++k) {
    double const z = 2.0 * (k + 0.5) / count - 1;
    cuts.push_back(static_cast<Cut>(1000 * z / (1.2 - z * z) + 20000));
  }
  return cuts;
}

template <class Cut>
std::vector<Cut> octaves(int count) {
  std::vector<Cut> cuts;
  double x = 3;
  for (int k = 0; k < count; ++k, x *= 1.7) cuts.push_back(static_cast<Cut>(x));
  return cuts;
}

}  // namespace

TEST("bins are counted as the obvious loop counts them, for no cuts, one and hard values") {
  each_domain([]<class Value>(Value) {
    check_cuts<Value, Value>({}, "none");
    auto hard = hard_values<Value>();
    for (auto const x : hard) check_cuts<Value, Value>({x}, "one");
    hard.erase(std::unique(hard.begin(), hard.end()), hard.end());
    check_cuts<Value, Value>(hard, "hard values");
    check_cuts<Value, Value>({hard.front(), hard.back()}, "extremes");
  });
}

TEST("bins are counted as the obvious loop counts them, for cuts of equal spacing, quantiles and octaves") {
  each_domain([]<class Value>(Value) {
    for (int const count : {2, 3, 10, 20, 31, 33, 65, 200}) {
      std::vector<Value> equal;
      for (int k = 0; k < count; ++k) equal.push_back(static_cast<Value>(7 + 3 * k));
      check_cuts<Value, Value>(equal, "equal spacing, " + std::to_string(count));
      check_cuts<Value, Value>(bell<Value>(count), "bell, " + std::to_string(count));
      if (count < 60) check_cuts<Value, Value>(octaves<Value>(count), "octaves, " + std::to_string(count));
    }
  });
}

TEST("cuts a step apart, equal cuts and cuts of both signs are told apart") {
  each_domain([]<class Value>(Value) {
    std::vector<Value> close{5};
    for (int k = 0; k < 40; ++k) close.push_back(next_above(close.back()));
    check_cuts<Value, Value>(close, "a step apart");
    check_cuts<Value, Value>({1, 1, 2, 2, 2, 9}, "equal");
    if constexpr (std::is_signed_v<Value>) check_cuts<Value, Value>({-100, -10, -1, 0, 1, 10, 100}, "both signs");
  });
}

TEST("the outermost cuts may lie far from the others, and rows beyond them") {
  each_domain([]<class Value>(Value) {
    for (int const count : {3, 9, 18, 29}) {
      std::vector<Value> cuts = bell<Value>(count);
      cuts.push_back(static_cast<Value>(4e18));
      check_cuts<Value, Value>(cuts, "one far above");
      cuts.insert(cuts.begin(), std::is_signed_v<Value> ? static_cast<Value>(-4e18) : Value{1});
      check_cuts<Value, Value>(cuts, "far on both sides");
    }
  });
}

TEST("narrow integers are counted on cuts beyond their type") {
  std::vector<std::int64_t> const cuts{std::numeric_limits<std::int64_t>::min(), -70000, -200, -3, 0, 5, 100, 127, 128, 255, 256,
                                       40000, std::int64_t{1} << 40};
  check_cuts<std::int8_t, std::int64_t>(cuts, "int8");
  check_cuts<std::uint8_t, std::int64_t>(cuts, "uint8");
  check_cuts<std::int16_t, std::int64_t>(cuts, "int16");
  check_cuts<std::uint16_t, std::int64_t>(cuts, "uint16");
  check_cuts<std::int32_t, std::int64_t>(cuts, "int32");
  check_cuts<std::uint32_t, std::int64_t>(cuts, "uint32");
}

TEST("a column of one value on a cut, and one of NaN, are counted") {
  std::vector<float> const cuts{-2, -1, 0, 1, 2};
  for (float const x : {-2.0f, -0.0f, 0.5f, 2.0f, 1e30f, std::numeric_limits<float>::quiet_NaN()})
    check_counts(reference::Rows<float>(5000, x), cuts, shown(x));
}

TEST("threads and slices change no count") {
  Random random{23};
  Column<float> column;
  for (int i = 0; i < 300'007; ++i) column.values.push_back(static_cast<float>(random.below(1000)) / 8);
  auto const cuts = keys_of(std::vector<float>{1, 20, 50.5f, 99, 120});
  auto const alone = count_bins(column.view(), Domain::float32, cuts, 1, {});
  for (int const threads : {2, 5}) CHECK_EQ(count_bins(column.view(), Domain::float32, cuts, threads, {}), alone);
}

TEST("cuts that are no numbers, and columns of another type, are refused") {
  Column<float> const column = make_column(reference::Rows<float>{1.0f});
  CHECK_REFUSED(count_bins(column.view(), Domain::float32, {0xffffffffu}, 1, {}), "not a number");
  CHECK_REFUSED(count_bins(column.view(), Domain::int64, {1}, 1, {}), "types differ");
}
