#include <cstring>
#include <map>
#include <optional>

#include "check.hpp"
#include "columns.hpp"
#include "core/offset_rule.hpp"
#include "engine/numeric_state.hpp"
#include "reference/reference.hpp"

using namespace modelwatch;
using namespace modelwatch::test;

namespace {

template <class Value>
NumericPlan plan_of(std::vector<Value> const& knots) {
  auto const grid = make_grid(knots);
  return {grid, {}, {}, grid->slots(), 0, 0, KeyOf<Value>::key(Value{0})};
}

using Cells = std::map<std::uint32_t, std::map<std::uint32_t, std::uint64_t>>;

Cells cells_of(NumericResult const& result) {
  Cells out;
  for (std::size_t g = 0; g < result.group.size(); ++g) {
    auto& cells = out[result.group[g]];
    for (std::uint64_t i = result.cell_begin[g]; i < result.cell_begin[g + 1]; ++i) cells[result.cell[i]] = result.count[i];
  }
  return out;
}

bool same_result(NumericResult const& a, NumericResult const& b) {
  auto const same_sums = [](std::vector<WideSum> const& x, std::vector<WideSum> const& y) {
    return x.size() == y.size() && (x.empty() || std::memcmp(x.data(), y.data(), x.size() * sizeof(WideSum)) == 0);
  };
  return a.group == b.group && a.cell_begin == b.cell_begin && a.cell == b.cell && a.count == b.count && a.gap_begin == b.gap_begin &&
         a.gap == b.gap && a.gap_sum == b.gap_sum && a.low == b.low && a.high == b.high && a.tail_group == b.tail_group &&
         same_sums(a.tail_lower, b.tail_lower) && same_sums(a.tail_upper, b.tail_upper);
}

/// What the exact part of the state must be, row by row and value by value.
template <class Value>
NumericResult slow_result(reference::Rows<Value> const& rows, std::vector<std::int32_t> const& groups, std::vector<Value> const& knots) {
  struct Slow {
    std::vector<std::uint64_t> cells;
    std::map<std::uint32_t, std::uint64_t> gaps;
    std::uint64_t low = ~std::uint64_t{0};
    std::uint64_t high = 0;
    std::optional<WideSum> lower;
    WideSum upper{};
  };
  std::map<std::int32_t, Slow> all;
  std::size_t const tail = kIsFloat<Value> ? 1 : 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (groups[i] < 0) continue;
    Slow& slow = all[groups[i]];
    slow.cells.resize(2 * knots.size() + 3);
    if (!rows[i]) {
      ++slow.cells[2 * knots.size() + 2];
      continue;
    }
    Value const x = *rows[i];
    if (x != x) {
      ++slow.cells[2 * knots.size() + 1];
      continue;
    }
    std::uint32_t const cell = reference::cell(x, knots);
    ++slow.cells[cell];
    slow.low = std::min<std::uint64_t>(slow.low, KeyOf<Value>::key(x));
    slow.high = std::max<std::uint64_t>(slow.high, KeyOf<Value>::key(x));
    if (cell % 2 == 1) continue;
    std::uint32_t const gap = cell / 2;
    if (gap > tail && gap < knots.size() - tail) {
      slow.gaps[gap] += gap_offset(x, knots[gap - 1], knots[gap]);
    } else {
      if (!slow.lower) slow.lower.emplace();
      (gap <= tail ? *slow.lower : slow.upper).add(x);
    }
  }
  NumericResult out;
  out.cell_begin.push_back(0);
  out.gap_begin.push_back(0);
  for (auto const& [group, slow] : all) {
    out.group.push_back(static_cast<std::uint32_t>(group));
    for (std::uint32_t cell = 0; cell < slow.cells.size(); ++cell) {
      if (slow.cells[cell] == 0) continue;
      out.cell.push_back(cell);
      out.count.push_back(slow.cells[cell]);
    }
    out.cell_begin.push_back(out.cell.size());
    for (auto const& [gap, sum] : slow.gaps) {
      if (sum == 0) continue;
      out.gap.push_back(gap);
      out.gap_sum.push_back(sum);
    }
    out.gap_begin.push_back(out.gap.size());
    out.low.push_back(slow.low);
    out.high.push_back(slow.high);
    if (slow.lower) {
      out.tail_group.push_back(static_cast<std::uint32_t>(group));
      out.tail_lower.push_back(*slow.lower);
      out.tail_upper.push_back(slow.upper);
    }
  }
  return out;
}

template <class Value>
struct Case {
  std::vector<Value> knots;
  reference::Rows<Value> rows;
  std::vector<std::int32_t> groups;
};

template <class Value>
Case<Value> random_case(std::size_t size, std::size_t knot_count, std::uint64_t most_groups, Random& random) {
  Case<Value> out;
  out.rows = sprinkled_rows<Value>(size, random);
  for (auto& x : out.rows)
    if (x && random.below(30) == 0) x = random_value<Value>(random);
  for (std::size_t k = 0; k < knot_count && size > 0; ++k)
    if (auto const& x = out.rows[random.below(size)]; x && *x == *x) out.knots.push_back(*x);
  out.knots = as_knots(out.knots);
  for (std::size_t i = 0; i < size; ++i) out.groups.push_back(static_cast<std::int32_t>(random.below(most_groups + 1)) - 1);
  return out;
}

/// Adds the rows in batches that end where `cut` says.
template <class Value, class Cut>
void add_in_batches(NumericState& state, Column<Value> const& column, std::vector<std::int32_t> const& groups, Cut cut) {
  auto const size = static_cast<std::int64_t>(column.values.size());
  for (std::int64_t begin = 0; begin < size;) {
    std::int64_t const end = std::min(size, begin + cut());
    NumericView part = column.view();
    part.values = column.values.data() + begin;
    part.validity.offset += begin;
    part.rows = end - begin;
    state.add(part, {groups.data() + begin});
    begin = end;
  }
}

}  // namespace

TEST("the exact part of a numeric state is what adding value by value gives") {
  each_domain([]<class Value>(Value) {
    Random random{61};
    for (std::size_t const size : {0, 1, 1023, 1024, 1025, 3000})
      for (std::size_t const knots : {0, 1, 40})
        for (std::uint64_t const groups : {1, 2, 9}) {
          auto const c = random_case<Value>(size, knots, groups, random);
          NumericState state(plan_of(c.knots), {{false, false}});
          auto const column = make_column(c.rows, 2);
          state.add(column.view(), {c.groups.data()});
          CHECK_ABOUT(same_result(state.finish(0), slow_result(c.rows, c.groups, c.knots)),
                      std::to_string(size) + " rows, " + std::to_string(knots) + " knots, " + std::to_string(groups) + " groups");
        }
  });
}

TEST("the exact part of a numeric state does not depend on where batches are cut") {
  each_domain([]<class Value>(Value) {
    Random random{62};
    auto const c = random_case<Value>(4000, 30, 4, random);
    auto const column = make_column(c.rows, 6);
    auto const expected = slow_result(c.rows, c.groups, c.knots);
    for (int round = 0; round < 10; ++round) {
      NumericState state(plan_of(c.knots), {{false, true}});
      add_in_batches(state, column, c.groups, [&] { return static_cast<std::int64_t>(1 + random.below(1500)); });
      CHECK(same_result(state.finish(0), expected));
    }
  });
}

TEST("moving 32-bit counters to 64-bit ones after few rows gives the result of never moving them") {
  Random random{63};
  for (std::size_t const knots : {20, 4000}) {
    auto const c = random_case<double>(6000, knots, 3, random);
    auto const column = make_column(c.rows);
    auto const expected = slow_result(c.rows, c.groups, c.knots);
    for (std::uint64_t const spill_rows : {1, 1000, 1024, 2500}) {
      NumericState state(plan_of(c.knots), {{false, false}}, spill_rows);
      add_in_batches(state, column, c.groups, [&] { return static_cast<std::int64_t>(1 + random.below(1500)); });
      CHECK_ABOUT(same_result(state.finish(0), expected), std::to_string(spill_rows) + " rows, " + std::to_string(knots) + " knots");
      CHECK_ABOUT(same_result(state.finish(0), expected), "asked twice");
    }
  }
}

TEST("a wide grid counts the same before, at and after the quarter that makes it a plain array") {
  std::vector<std::int64_t> knots;
  for (std::int64_t k = 0; k < 4000; ++k) knots.push_back(10 * k);
  std::uint32_t const slots = 2 * 4000 + 3;
  for (std::uint32_t const used : {1u, 127u, 128u, 129u, slots / 4 - 1, slots / 4, slots / 4 + 1, slots / 2}) {
    reference::Rows<std::int64_t> rows;
    for (int again = 0; again < 2; ++again)
      for (std::uint32_t i = 0; i < used; ++i) rows.emplace_back(5 * static_cast<std::int64_t>((i * 2654435761u) % 7919));
    for (std::int32_t const groups : {1, 2}) {
      std::vector<std::int32_t> group;
      for (std::size_t i = 0; i < rows.size(); ++i) group.push_back(static_cast<std::int32_t>(i) % groups);
      NumericState state(plan_of(knots), {{false, false}});
      auto const column = make_column(rows);
      state.add(column.view(), {group.data()});
      CHECK_ABOUT(same_result(state.finish(0), slow_result(rows, group, knots)), std::to_string(used) + " slots used");
    }
  }
}

TEST("counters of weights are as sparse as those of rows, and add up with them") {
  std::vector<std::int64_t> knots;
  for (std::int64_t k = 0; k < 40'000; ++k) knots.push_back(10 * k);
  Random random{76};
  for (std::uint32_t const used : {3u, 500u, 30'000u}) {
    reference::Rows<std::int64_t> rows, repeated;
    std::vector<std::int32_t> group, repeated_group;
    std::vector<std::uint32_t> weights;
    for (std::uint32_t i = 0; i < used; ++i) {
      rows.emplace_back(5 * static_cast<std::int64_t>(random.below(79'000)));
      group.push_back(static_cast<std::int32_t>(random.below(2)));
      weights.push_back(1 + static_cast<std::uint32_t>(random.below(3)));
      for (std::uint32_t k = 0; k < weights.back() + 1; ++k) {  // once more without a weight
        repeated.push_back(rows.back());
        repeated_group.push_back(group.back());
      }
    }
    for (std::uint64_t const spill_rows : {std::uint64_t{1000}, NumericState::kSpillRows}) {
      NumericState state(plan_of(knots), {{false, false}}, spill_rows);
      auto const column = make_column(rows);
      state.add(column.view(), {group.data()}, weights.data());
      if (used == 3) CHECK(state.bytes() < 40'000);
      state.add(column.view(), {group.data()});
      CHECK_ABOUT(same_result(state.finish(0), slow_result(repeated, repeated_group, knots)), std::to_string(used) + " rows");
    }
  }
}

template <class Value>
void check_tables(std::uint64_t seed) {
  using Limits = std::numeric_limits<Value>;
  for (bool const wide_grid : {false, true}) {
    Random random{seed};
    std::vector<std::int64_t> knots{-3, 0, 5, 100};
    if (wide_grid) knots.insert(knots.end(), {-40'000, Limits::min(), Limits::max(), 70'000});
    reference::Rows<std::int64_t> wide;
    reference::Rows<Value> rows;
    std::vector<std::int32_t> groups;
    for (int i = 0; i < 150'000; ++i) {
      bool const null = random.below(9) == 0;
      auto const x = static_cast<Value>(random.below(3) == 0 ? random.next() : random.below(7));
      rows.push_back(null ? std::nullopt : std::optional<Value>(x));
      wide.push_back(null ? std::nullopt : std::optional<std::int64_t>(x));
      groups.push_back(i / 20'000 % 3);
    }
    NumericState state(plan_of(as_knots(knots)), {{false, false}});
    auto const column = make_column(rows, 3);
    for (std::int64_t begin = 0; begin < 150'000; begin += 50'000) {
      NumericView part = column.view();
      part.values = column.values.data() + begin;
      part.validity.offset += begin;
      part.rows = 50'000;
      state.add(part, {groups.data() + begin});
    }
    CHECK(same_result(state.finish(0), slow_result(wide, groups, as_knots(knots))));
  }
}

TEST("integers count the same before and after they have a table") {
  check_tables<std::int8_t>(81);
  check_tables<std::uint8_t>(82);
  check_tables<std::int16_t>(83);
  check_tables<std::uint16_t>(84);
  check_tables<std::int32_t>(85);
  check_tables<std::uint32_t>(86);
  check_tables<std::int64_t>(87);
}

TEST("runs of tiles of one group in every set count what single rows do") {
  each_domain([]<class Value>(Value) {
    Random random{85};
    auto rows = sprinkled_rows<Value>(40'000, random);
    // Tiles of nothing but nulls, in runs and among rows of several groups.
    for (std::size_t i = 0; i < rows.size(); ++i)
      if ((i >= 5'000 && i < 9'000) || (i >= 31'000 && i < 34'000)) rows[i].reset();
    std::vector<Value> knots;
    for (std::size_t k = 0; k < 300; ++k)
      if (auto const& x = rows[random.below(rows.size())]; x && *x == *x) knots.push_back(*x);
    knots = as_knots(knots);
    // Runs of many tiles, of one tile, of part of a tile, and of no group.
    std::vector<std::int32_t> a, b;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      a.push_back(i < 20'000 ? 0 : i < 30'000 ? static_cast<std::int32_t>(i / 1024) % 3 - 1 : static_cast<std::int32_t>(random.below(3)));
      b.push_back(static_cast<std::int32_t>(i / 7'000) - 1);
    }
    auto const column = make_column(rows, 2);
    for (std::uint64_t const spill_rows : {std::uint64_t{3000}, NumericState::kSpillRows}) {
      NumericState state(plan_of(knots), {{false, true, true}, {false, false}}, spill_rows);
      state.add(column.view(), {a.data(), b.data()});
      CHECK(same_result(state.finish(0), slow_result(rows, a, knots)));
      CHECK(same_result(state.finish(1), slow_result(rows, b, knots)));
    }
  });
}

TEST("a sparse array keeps every count through growth and the change to a plain array") {
  for (std::uint32_t const size : {1u, 4096u, 4097u, 20'000u}) {
    SparseArray<std::uint64_t> array(size);
    std::map<std::uint32_t, std::uint64_t> expected;
    Random random{64};
    for (std::uint32_t i = 0; i < size; ++i) {
      auto const index = static_cast<std::uint32_t>(random.below(size));
      array.add(index, i);
      expected[index] += i;
      if (i % (size / 8 + 1) != 0) continue;
      std::map<std::uint32_t, std::uint64_t> found;
      std::uint32_t last = 0;
      array.each([&](std::uint32_t at, std::uint64_t count) {
        CHECK(found.empty() || at > last);
        found[last = at] = count;
      });
      std::map<std::uint32_t, std::uint64_t> nonzero = expected;
      std::erase_if(nonzero, [](auto const& entry) { return entry.second == 0; });
      CHECK(found == nonzero);
      std::vector<std::uint32_t> indices{7};  // what is there stays
      std::vector<std::uint64_t> values{7};
      array.append_to(indices, values);
      CHECK_EQ(indices.size(), 1 + nonzero.size());
      CHECK_EQ(values.size(), indices.size());
      CHECK(indices[0] == 7 && values[0] == 7);
      for (std::size_t k = 1; k < indices.size(); ++k) CHECK_EQ(found[indices[k]], values[k]);
      if (size > 4096) CHECK_EQ(array.dense() == nullptr, 4 * expected.size() <= size);
    }
  }
}

TEST("a sparse array that will use more than a quarter of its entries is a plain one at once") {
  SparseArray<std::uint32_t> array(8192);
  array.add(5, 2);
  array.add(8000, 3);
  CHECK(array.dense_with(2048) == nullptr);
  std::uint32_t* const dense = array.dense_with(2049);
  CHECK(dense != nullptr && dense == array.dense());
  CHECK(dense[5] == 2 && dense[8000] == 3 && dense[0] == 0);
}

TEST("only groups that have rows exist, and rows of group -1 are left out") {
  NumericState state(plan_of<std::int64_t>({5}), {{false, true}, {false, false}});
  Column<std::int64_t> const column{{1, 5, 9, 5}, {}, 0};
  std::vector<std::int32_t> const some{7, -1, 7, 2};
  std::vector<std::int32_t> const none(4, -1);
  state.add(column.view(), {some.data(), none.data()});
  CHECK_EQ(state.finish(0).group, (std::vector<std::uint32_t>{2, 7}));
  CHECK((cells_of(state.finish(0)) == Cells{{2, {{1, 1}}}, {7, {{0, 1}, {2, 1}}}}));
  CHECK(state.finish(1).group.empty());
  state.add(column.view(), {none.data(), nullptr});
  CHECK_EQ(state.finish(0).group, (std::vector<std::uint32_t>{2, 7}));
  CHECK((cells_of(state.finish(1)) == Cells{{0, {{0, 1}, {1, 2}, {2, 1}}}}));
}

TEST("a coarse set counts through its map and keeps no gaps and no tails") {
  auto plan = plan_of<std::int64_t>({0, 10, 20});
  plan.to_coarse = {0, 0, 0, 1, 2, 2, 2, 3, 4};  // one knot, 10
  plan.coarse_slots = 5;
  NumericState state(plan, {{true, false}, {false, false}});
  Column<std::int64_t> const column{{-3, 0, 4, 10, 15, 20, 99}, {}, 0};
  state.add(column.view(), {nullptr, nullptr});
  auto const coarse = state.finish(0);
  CHECK((cells_of(coarse) == Cells{{0, {{0, 3}, {1, 1}, {2, 3}}}}));
  CHECK(coarse.gap.empty());
  CHECK(coarse.tail_group.empty());
  CHECK(coarse.low == state.finish(1).low && coarse.high == state.finish(1).high);
}

TEST("an integer grid lifted to float64 counts into the slots of the integer grid") {
  auto const lifted = make_grid(as_knots<double>({0, 10, 20}));
  // gap below -inf, -inf, the seven cells, +inf, the gap above it, NaN, null
  NumericPlan const plan{lifted, {0, 0, 0, 1, 2, 3, 4, 5, 6, 6, 6, 7, 8}, {}, 9, 0, 1, 0};
  NumericState state(plan, {{false, false}});
  auto const infinity = std::numeric_limits<double>::infinity();
  auto const column = make_column<double>({-infinity, -1.5, 0.0, 2.5, 10.0, 15.0, 20.0, 1e300, infinity, std::nan(""), {}});
  state.add(column.view(), {nullptr});
  auto const result = state.finish(0);
  CHECK((cells_of(result) == Cells{{0, {{0, 2}, {1, 1}, {2, 1}, {3, 1}, {4, 1}, {5, 1}, {6, 2}, {7, 1}, {8, 1}}}}));
  CHECK_EQ(result.gap, (std::vector<std::uint32_t>{1, 2}));
  CHECK_EQ(result.gap_sum, (std::vector<std::uint64_t>{std::uint64_t{1} << 30, std::uint64_t{1} << 31}));
}

TEST("maps of the wrong length, or that lead out of their grid, are refused") {
  auto plan = plan_of<std::int64_t>({0, 10});
  CHECK_REFUSED(NumericState(plan, {{true, false}}), "wrong length");
  plan.to_coarse = {0, 0, 0, 0, 0, 1};
  plan.coarse_slots = 3;
  CHECK_REFUSED(NumericState(plan, {{true, false}}), "wrong length");
  plan.to_coarse = {0, 0, 0, 0, 0, 1, 3};
  CHECK_REFUSED(NumericState(plan, {{true, false}}), "out of its grid");
  plan = plan_of<std::int64_t>({0, 10});
  plan.fine_slots = 6;
  CHECK_REFUSED(NumericState(plan, {{false, false}}), "wrong length");
}

TEST("a batch without the groups of every set is refused") {
  NumericState state(plan_of<std::int64_t>({0}), {{false, false}, {false, false}});
  Column<std::int64_t> const column{{1}, {}, 0};
  CHECK_REFUSED(state.add(column.view(), {nullptr}), "every counter set");
}

TEST("a plan without a grid, or whose gaps would lie outside the fine grid, is refused") {
  auto const grid = make_grid(as_knots<double>({1, 2, 3}));
  CHECK_REFUSED(NumericState({}, {{false, false}}), "needs a grid");
  for (std::uint32_t const shift : {3u, 1000u, ~std::uint32_t{0}})
    CHECK_REFUSED(NumericState({grid, {}, {}, grid->slots(), 0, shift, 0}, {{false, false}}), "gap shift");
  // An integer grid that was lifted to float64 has one knot more at each end than the state.
  std::vector<std::uint32_t> const lowered{0, 0, 0, 1, 2, 3, 4, 5, 6, 6, 6, 7, 8};
  CHECK_EQ(refusal([&] { NumericState({grid, lowered, {}, 9, 0, 1, 0}, {{false, false}}); }), std::string("accepted"));
  CHECK_REFUSED(NumericState({grid, std::vector<std::uint32_t>(13, 0), {}, 3, 0, 0, 0}, {{false, false}}), "gap shift");
}
