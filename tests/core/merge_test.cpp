#include <algorithm>
#include <map>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "check.hpp"
#include "columns.hpp"
#include "engine/merge.hpp"
#include "engine/row_sum.hpp"

using namespace modelwatch;
using namespace modelwatch::test;

namespace {

using Sum = std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint64_t>;

template <class Index, class Value>
struct Table {
  std::vector<std::int64_t> begin{0};
  std::vector<Index> index;
  std::vector<Value> value;
  std::vector<std::uint32_t> to;

  SparseView view() const {
    return {begin.data(), {index.data(), sizeof(Index)}, {value.data(), sizeof(Value)}, to.size(), to.data()};
  }
};

/// `spread`: about how far apart indices are.
template <class Index, class Value>
Table<Index, Value> random_table(std::uint32_t groups, std::uint64_t spread, Random& random, Sum& sum) {
  Table<Index, Value> table;
  for (std::uint64_t g = 0, own = random.below(6); g < own; ++g) {
    table.to.push_back(static_cast<std::uint32_t>(random.below(groups)));
    std::uint64_t index = random.below(spread);
    for (std::uint64_t i = 0, entries = random.below(40); i < entries && index <= std::numeric_limits<Index>::max(); ++i) {
      auto const value = static_cast<Value>(random.below(3) == 0 ? 0 : random.next());
      table.index.push_back(static_cast<Index>(index));
      table.value.push_back(value);
      sum[{table.to.back(), static_cast<std::uint32_t>(index)}] += value;
      index += 1 + random.below(spread);
    }
    table.begin.push_back(static_cast<std::int64_t>(table.index.size()));
  }
  return table;
}

template <class Found>
Sum sum_of(Found const& found) {
  Sum out;
  for (std::size_t g = 0; g + 1 < found.begin.size(); ++g)
    for (std::int64_t i = found.begin[g]; i < found.begin[g + 1]; ++i) {
      auto const at = static_cast<std::size_t>(i);
      CHECK(i == found.begin[g] || found.index[at - 1] < found.index[at]);
      out[{static_cast<std::uint32_t>(g), found.index[at]}] = found.value[at];
    }
  return out;
}

}  // namespace

TEST("a merge of tables is the sum over a map, whatever their types and wherever their groups go") {
  Random random{90};
  for (int round = 0; round < 300; ++round) {
    std::uint64_t const spread = round % 3 == 0 ? 2 : round % 3 == 1 ? 90 : 200'000'000;
    Sum expected;
    auto const a = random_table<std::uint8_t, std::uint8_t>(4, spread, random, expected);
    auto const b = random_table<std::uint16_t, std::uint64_t>(4, spread, random, expected);
    auto const c = random_table<std::uint32_t, std::uint32_t>(4, spread, random, expected);
    auto const d = random_table<std::uint64_t, std::uint16_t>(4, std::min<std::uint64_t>(spread, 50'000'000), random, expected);
    auto const found = merge_sparse({a.view(), b.view(), c.view(), d.view()}, 4);
    CHECK_EQ(found.begin.size(), std::size_t{5});
    CHECK(sum_of(found) == expected);
  }
}

TEST("tables of narrow entries add up in small numbers to the same sums") {
  Random random{91};
  for (int round = 0; round < 300; ++round) {
    std::uint64_t const spread = round % 3 == 0 ? 2 : round % 3 == 1 ? 90 : 900;
    Sum expected;
    auto const a = random_table<std::uint8_t, std::uint8_t>(4, 1 + spread % 7, random, expected);
    auto const b = random_table<std::uint16_t, std::uint16_t>(4, spread, random, expected);
    auto const c = random_table<std::uint16_t, std::uint8_t>(4, spread, random, expected);
    std::vector<SparseView> const tables{a.view(), b.view(), c.view()};
    CHECK(small(tables));
    CHECK(sum_of(merge_small(tables, 4)) == expected);
    CHECK(sum_of(merge_sparse(tables, 4)) == expected);
  }
}

TEST("the largest entries add up in small numbers, and tables of wide entries or too many groups do not") {
  std::size_t const groups = std::size_t{1} << 16;
  Table<std::uint16_t, std::uint16_t> most{{0}, {}, {}, {}};
  for (std::size_t g = 0; g < groups; ++g) {
    most.index.push_back(0xffff);
    most.value.push_back(0xffff);
    most.to.push_back(0);
    most.begin.push_back(static_cast<std::int64_t>(most.index.size()));
  }
  CHECK(small({most.view()}));
  auto const sum = merge_small({most.view()}, 1);
  CHECK_EQ(sum.index, (std::vector<std::uint16_t>{0xffff}));
  CHECK_EQ(sum.value, (std::vector<std::uint32_t>{0xffff0000u}));
  Table<std::uint16_t, std::uint16_t> const one{{0, 1}, {7}, {1}, {0}};
  CHECK(!small({most.view(), one.view()}));
  Table<std::uint32_t, std::uint16_t> const wide_index{{0, 1}, {7}, {1}, {0}};
  Table<std::uint16_t, std::uint32_t> const wide_value{{0, 1}, {7}, {1}, {0}};
  CHECK_REFUSED(merge_small({wide_index.view()}, 1), "small");
  CHECK_REFUSED(merge_small({wide_value.view()}, 1), "small");
  CHECK_REFUSED(merge_small({most.view()}, 0), "leads out");
}

TEST("a merge refuses groups that lead out of the sum, and indices of more than 32 bits") {
  Table<std::uint64_t, std::uint8_t> table{{0, 1}, {7}, {1}, {1}};
  CHECK_REFUSED(merge_sparse({table.view()}, 1), "leads out");
  CHECK_EQ(merge_sparse({table.view()}, 2).index, (std::vector<std::uint32_t>{7}));
  table.index[0] = std::uint64_t{1} << 32;
  CHECK_REFUSED(merge_sparse({table.view()}, 2), "32 bits");
  CHECK_EQ(merge_sparse({}, 3).begin, (std::vector<std::int64_t>{0, 0, 0, 0}));
}

TEST("a running sum is the sum over a map, whatever the tables' types, wherever groups go, and as wide as it needs to be") {
  Random random{91};
  for (int round = 0; round < 200; ++round) {
    Sum expected;
    RowSum before(4);
    RowSum sum(5);
    auto const add = [&](RowSum& to, auto table) {
      for (auto& value : table.value) value = static_cast<std::remove_reference_t<decltype(value)>>(value | 1);  // none is 0
      to.add(table.view());
      for (std::size_t g = 0; g < table.to.size(); ++g)
        for (auto i = static_cast<std::size_t>(table.begin[g]); i < static_cast<std::size_t>(table.begin[g + 1]); ++i)
          expected[{table.to[g] + (&to == &before ? 1u : 0u), static_cast<std::uint32_t>(table.index[i])}] += table.value[i];
    };
    Sum unused;
    for (std::uint64_t more = random.below(4); more > 0; --more) add(before, random_table<std::uint8_t, std::uint8_t>(4, 5, random, unused));
    if (round % 2 == 0) add(before, random_table<std::uint16_t, std::uint32_t>(4, 90, random, unused));
    add(sum, random_table<std::uint16_t, std::uint16_t>(5, 60, random, unused));
    std::vector<std::uint32_t> const to{1, 2, 3, 4};
    sum.add(before, to.data());
    for (std::uint64_t more = random.below(4); more > 0; --more) add(sum, random_table<std::uint8_t, std::uint8_t>(5, 3, random, unused));
    if (round % 5 == 0) add(sum, random_table<std::uint32_t, std::uint64_t>(5, 90, random, unused));
    auto const rows = sum.take();
    std::uint64_t bits = 0;
    std::uint32_t last = 0;
    for (auto const& [at, value] : expected) {
      bits |= value;
      last = std::max(last, at.second);
    }
    CHECK_EQ(rows.index.index(), last > 0xffu ? 1u : 0u);
    CHECK_EQ(rows.value.index(), bits > 0xffffffffu ? 3u : bits > 0xffffu ? 2u : bits > 0xffu ? 1u : 0u);
    std::visit([&](auto const& index) {
      std::visit([&](auto const& value) {
        struct { std::vector<std::int64_t> begin; std::vector<std::uint32_t> index; std::vector<std::uint64_t> value; } const found{
            rows.begin, {index.begin(), index.end()}, {value.begin(), value.end()}};
        CHECK(sum_of(found) == expected);
      }, rows.value);
    }, rows.index);
    CHECK_EQ(sum.take().begin, (std::vector<std::int64_t>(6, 0)));  // nothing is left
  }
}

TEST("a running sum of the largest entries is widened before it overflows, and what it cannot hold is refused whole") {
  Table<std::uint8_t, std::uint8_t> const ones{{0, 1, 2}, {7, 7}, {255, 255}, {0, 0}};  // both are added to one group
  Table<std::uint8_t, std::uint32_t> const most{{0, 1}, {9}, {0xffffffffu}, {1}};
  RowSum sum(2);
  for (int i = 0; i < 200; ++i) sum.add(ones.view());
  sum.add(most.view());
  sum.add(most.view());
  auto const rows = sum.take();
  CHECK_EQ(std::get<0>(rows.index), (std::vector<std::uint8_t>{7, 9}));
  CHECK_EQ(std::get<3>(rows.value), (std::vector<std::uint64_t>{200 * 510, 2 * std::uint64_t{0xffffffffu}}));
  Table<std::uint16_t, std::uint8_t> const wide{{0, 1}, {RowSum::kMostWidth}, {1}, {0}};
  Table<std::uint16_t, std::uint8_t> const zero{{0, 2}, {3, 4}, {1, 0}, {0}};
  CHECK_REFUSED(sum.add(wide.view()), "too large");
  CHECK_REFUSED(sum.add(zero.view()), "is 0");
  RowSum small_sum(1);
  std::vector<std::uint32_t> const to{0, 1};
  CHECK_REFUSED(small_sum.add(most.view()), "leads out");
  CHECK_REFUSED(small_sum.add(sum, to.data()), "leads out");
  CHECK_EQ(sum.take().begin, (std::vector<std::int64_t>{0, 0, 0}));
}
