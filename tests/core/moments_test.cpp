#include "check.hpp"
#include "columns.hpp"
#include "engine/numeric_state.hpp"
#include "reference/reference.hpp"

using namespace modelwatch;
using namespace modelwatch::test;

namespace {

constexpr std::size_t kSizes[] = {0, 1, 15, 16, 17, 1023, 1024, 1025, 5000};

template <class Value>
NumericState moments_state(Value pivot) {
  auto const grid = make_grid(as_knots<Value>({1}));
  return NumericState({grid, {}, {}, grid->slots(), 0, 0, KeyOf<Value>::key(pivot)}, {{false, true}});
}

/// The column of one group: the rows of the others are missing, so every row keeps its place and its lane.
template <class Value>
reference::Rows<Value> only(reference::Rows<Value> rows, std::vector<std::int32_t> const& groups, std::int32_t group) {
  for (std::size_t i = 0; i < rows.size(); ++i)
    if (groups[i] != group) rows[i].reset();
  return rows;
}

template <class Value>
void check_groups(reference::Rows<Value> const& rows, std::vector<std::int32_t> const& groups, Value pivot, std::string const& about) {
  auto state = moments_state(pivot);
  auto const column = make_column(rows, 3);
  state.add(column.view(), {groups.data()});
  auto const result = state.finish(0);
  CHECK_EQ(result.moments.size(), result.group.size());
  for (std::size_t i = 0; i < result.group.size(); ++i) {
    auto const group = static_cast<std::int32_t>(result.group[i]);
    auto const expected = reference::moments(only(rows, groups, group), pivot);
    CHECK_ABOUT(same_bits(result.moments[i], expected),
                about + ", group " + std::to_string(group) + ": " + shown(result.moments[i]) + " is not " + shown(expected));
  }
}

template <class Value>
void check_whole(reference::Rows<Value> const& rows, Value pivot, std::string const& about) {
  auto state = moments_state(pivot);
  auto const column = make_column(rows, 7);
  state.add(column.view(), {nullptr});
  auto const result = state.finish(0);
  auto const expected = reference::moments(rows, pivot);
  if (rows.empty()) {
    CHECK(result.moments.empty());
    return;
  }
  CHECK_EQ(result.moments.size(), std::size_t{1});
  CHECK_ABOUT(same_bits(result.moments.at(0), expected), about + ": " + shown(result.moments[0]) + " is not " + shown(expected));
}

}  // namespace

TEST("moments have the reference's bits at every size around lanes and tiles") {
  each_domain([]<class Value>(Value) {
    Random random{51};
    for (auto const size : kSizes)
      for (int round = 0; round < 3; ++round)
        check_whole(sprinkled_rows<Value>(size, random), kIsFloat<Value> ? Value{0} : static_cast<Value>(500'000), std::to_string(size) + " rows");
  });
}

TEST("moments of values of every magnitude, overflow included, have the reference's bits") {
  each_domain([]<class Value>(Value) {
    Random random{52};
    reference::Rows<Value> rows;
    for (int i = 0; i < 3000; ++i) rows.emplace_back(random_value<Value>(random));
    check_whole(rows, Value{0}, "random bits");
  });
}

TEST("moments of integers beyond 2^53 keep every bit of the distance to the pivot") {
  auto const check = []<class Value>(Value pivot) {
    Random random{53};
    reference::Rows<Value> rows;
    for (int i = 0; i < 2000; ++i) rows.emplace_back(static_cast<Value>(pivot - static_cast<Value>(random.below(1000))));
    check_whole(rows, pivot, "near the end of the type");
    auto state = moments_state(pivot);
    Column<Value> const two{{static_cast<Value>(pivot - 2), pivot}, {}, 0};
    state.add(two.view(), {nullptr});
    CHECK_EQ(state.finish(0).moments.at(0).mean, -1.0);
    CHECK_EQ(state.finish(0).moments.at(0).m2, 2.0);
  };
  check(std::numeric_limits<std::int64_t>::max());
  check(std::numeric_limits<std::uint64_t>::max());
  check((std::int64_t{1} << 62) + 12345);
}

TEST("moments of narrow integers have the bits of the same numbers as int64, whatever the pivot") {
  auto const check = []<class Stored>(Stored) {
    for (std::int64_t const pivot : {std::int64_t{0}, std::int64_t{-7}, std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max()}) {
      Random random{54};
      reference::Rows<Stored> rows;
      reference::Rows<std::int64_t> wide;
      for (int i = 0; i < 1500; ++i) {
        rows.emplace_back(static_cast<Stored>(random.next()));
        wide.emplace_back(*rows.back());
      }
      auto state = moments_state(pivot);
      auto const column = make_column(rows);
      state.add(column.view(), {nullptr});
      CHECK(same_bits(state.finish(0).moments.at(0), reference::moments(wide, pivot)));
    }
  };
  check(std::int8_t{});
  check(std::int16_t{});
  check(std::int32_t{});
  check(std::uint8_t{});
  check(std::uint16_t{});
  check(std::uint32_t{});
}

TEST("moments of several groups in one tile have the bits of each group alone in its rows") {
  each_domain([]<class Value>(Value) {
    Random random{55};
    for (auto const size : kSizes) {
      auto const rows = sprinkled_rows<Value>(size, random);
      std::vector<std::int32_t> groups;
      for (std::size_t i = 0; i < size; ++i) groups.push_back(static_cast<std::int32_t>(random.below(6)) - 1);
      check_groups(rows, groups, kIsFloat<Value> ? Value{0} : Value{77}, std::to_string(size) + " mixed rows");
    }
  });
}

TEST("tiles of one group and tiles of several may follow each other") {
  Random random{56};
  auto const rows = sprinkled_rows<double>(6 * 1024, random);
  std::vector<std::int32_t> groups(rows.size(), 0);
  for (std::size_t i = 1024; i < 2048; ++i) groups[i] = 3;
  for (std::size_t i = 2048; i < 3072; ++i) groups[i] = static_cast<std::int32_t>(i % 700);
  for (std::size_t i = 4096; i < 5120; ++i) groups[i] = -1;
  groups.back() = 9;
  check_groups(rows, groups, 0.0, "six tiles");
}

TEST("batches cut at multiples of 1,024 rows leave the bits of moments alone") {
  Random random{57};
  auto const rows = sprinkled_rows<double>(5000, random);
  auto const column = make_column(rows);
  auto state = moments_state(0.0);
  for (std::int64_t begin = 0; begin < 5000;) {
    auto const end = std::min<std::int64_t>(5000, begin + kTileRows * static_cast<std::int64_t>(1 + random.below(2)));
    NumericView part = column.view();
    part.values = column.values.data() + begin;
    part.validity.offset += begin;
    part.rows = end - begin;
    state.add(part, {nullptr});
    begin = end;
  }
  CHECK(same_bits(state.finish(0).moments.at(0), reference::moments(rows, 0.0)));
}

TEST("moments of a known column are its known moments") {
  auto state = moments_state(0.0);
  Column<double> const column{{1, 2, 3, 4, 10}, {}, 0};
  state.add(column.view(), {nullptr});
  auto const m = state.finish(0).moments.at(0);
  CHECK_EQ(m.count, std::uint64_t{5});
  CHECK_EQ(m.mean, 4.0);
  CHECK_EQ(m.m2, 50.0);
  CHECK_EQ(m.m3, 180.0);
  CHECK_EQ(m.m4, 1394.0);
}

TEST("merging moments with nothing changes no bit, on either side") {
  Moments const some{3, 1.5, 2.0, -0.25, 7.0};
  Moments left = some;
  left.merge(Moments{});
  CHECK(same_bits(left, some));
  Moments right{};
  right.merge(some);
  CHECK(same_bits(right, some));
}

TEST("a column without a usable value has no moments but its group") {
  auto state = moments_state(0.0);
  auto const column = make_column<double>({{}, std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()});
  state.add(column.view(), {nullptr});
  CHECK(same_bits(state.finish(0).moments.at(0), Moments{}));
}
