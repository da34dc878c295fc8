#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include "check.hpp"
#include "columns.hpp"
#include "engine/counter.hpp"  // rank_cells, count_cells
#include "reference/reference.hpp"

using namespace modelwatch;
using namespace modelwatch::test;

namespace {

constexpr std::size_t kMostProbed = 900;

/// The engine's cells of values on, beside and between the knots are the reference's.
template <class Value>
void check_cells(std::vector<Value> knots, char const* about) {
  knots = as_knots(std::move(knots));
  Random random{41};
  reference::Rows<Value> rows;
  for (auto const x : hard_values<Value>()) rows.emplace_back(x);
  std::size_t const every = knots.size() / kMostProbed + 1;
  for (std::size_t k = random.below(every); k < knots.size(); k += every)
    rows.insert(rows.end(), {next_below(knots[k]), knots[k], next_above(knots[k])});
  for (int i = 0; i < 300; ++i) rows.emplace_back(random_value<Value>(random));
  if constexpr (kIsFloat<Value>) rows.emplace_back(std::numeric_limits<Value>::quiet_NaN());
  rows.emplace_back();
  auto const grid = make_grid(knots);
  auto const column = make_column(rows, 5);
  auto const cells = rank_cells(column.view(), *grid);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    std::uint32_t const expected = !rows[i]              ? grid->slots() - 1
                                   : *rows[i] != *rows[i] ? grid->slots() - 2
                                                          : reference::cell(*rows[i], knots);
    CHECK_EQ_ABOUT(cells[i], expected, std::string(about) + ", row " + std::to_string(i));
  }
  CHECK_EQ(count_cells(column.view(), *grid, 1, {}), reference::count_cells(rows, knots));
}

/// The value whose key is `steps` away from that of x; only for keys that stay finite.
template <class Value>
Value moved(Value x, std::int64_t steps) {
  using Key = typename KeyOf<Value>::Key;
  return KeyOf<Value>::value(static_cast<Key>(KeyOf<Value>::key(x) + static_cast<Key>(steps)));
}

}  // namespace

TEST("cells are the reference's with no knots, one and two") {
  each_domain([]<class Value>(Value) {
    check_cells<Value>({}, "none");
    for (auto const x : hard_values<Value>()) check_cells<Value>({x}, "one");
    check_cells<Value>({1, 2}, "two");
    check_cells<Value>({std::numeric_limits<Value>::lowest(), std::numeric_limits<Value>::max()}, "extremes");
  });
}

TEST("cells are the reference's on a grid of hard values") {
  each_domain([]<class Value>(Value) { check_cells(hard_values<Value>(), "hard values"); });
}

TEST("cells are the reference's on knots of equal spacing") {
  each_domain([]<class Value>(Value) {
    for (int const count : {3, 64, 1000}) {
      std::vector<Value> knots;
      for (int k = 0; k < count; ++k) knots.push_back(static_cast<Value>(3 * k));
      check_cells(knots, "equal spacing");
    }
  });
}

TEST("cells are the reference's when nearly all knots crowd into one bucket") {
  each_domain([]<class Value>(Value) {
    std::vector<Value> knots{std::numeric_limits<Value>::lowest(), std::numeric_limits<Value>::max()};
    for (int k = 0; k < 1500; ++k) knots.push_back(moved(Value{7}, k));
    check_cells(knots, "crowded in the middle");
    for (int k = 0; k < 1500; ++k) knots.push_back(moved(std::numeric_limits<Value>::max(), -k));
    for (int k = 0; k < 1500; ++k) knots.push_back(moved(std::numeric_limits<Value>::lowest(), k));
    check_cells(knots, "crowded at both ends");
  });
}

TEST("cells are the reference's on knots of every magnitude") {
  auto const check = []<class Value>(Value) {
    std::vector<Value> knots;
    for (Value x = std::numeric_limits<Value>::denorm_min(); std::isfinite(x); x *= 2) knots.insert(knots.end(), {x, -x, next_above(x)});
    check_cells(knots, "powers of two");
  };
  check(float{});
  check(double{});
  std::vector<std::uint64_t> powers;
  for (int bit = 0; bit < 64; ++bit) powers.push_back(std::uint64_t{1} << bit);
  check_cells(powers, "powers of two");
}

TEST("cells are the reference's on random grids") {
  each_domain([]<class Value>(Value) {
    Random random{42};
    for (int round = 0; round < 12; ++round) {
      std::vector<Value> knots;
      std::size_t const count = random.below(round < 8 ? 40 : 1500);
      while (knots.size() < count) {
        Value const x = random_value<Value>(random);
        knots.push_back(x);
        if (random.below(3) == 0) knots.push_back(next_above(x));
      }
      check_cells(knots, "random");
    }
  });
}

TEST("cells are the reference's on grids with more knots than the guide table has buckets for") {
  each_domain([]<class Value>(Value) {
    std::vector<Value> knots;
    for (int k = 0; k < 300'000; ++k) knots.push_back(moved(Value{1}, std::int64_t{k} * (k % 1000 == 0 ? 1000 : 1)));
    knots = as_knots(knots);
    auto const grid = make_grid(knots);
    reference::Rows<Value> rows;
    Random random{43};
    for (int i = 0; i < 300; ++i) {
      Value const x = knots[random.below(knots.size())];
      rows.insert(rows.end(), {next_below(x), x, next_above(x)});
    }
    auto const column = make_column(rows);
    auto const cells = rank_cells(column.view(), *grid);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      auto const at = std::lower_bound(knots.begin(), knots.end(), *rows[i]);
      auto const k = static_cast<std::uint32_t>(at - knots.begin());
      CHECK_EQ(cells[i], at != knots.end() && *at == *rows[i] ? 2 * k + 1 : 2 * k);
    }
  });
}

#if defined(__x86_64__)
TEST("a thread that flushes subnormals to zero ranks as one that does not") {
  auto const check = []<class Value>(Value) {
    Value const tiny = std::numeric_limits<Value>::min();
    // Crowded at the top, so that equal pieces of the values are the better guide; some knots are subnormal.
    std::vector<Value> knots{tiny * -131072};
    for (int k = 1; k <= 30'000; ++k) knots.push_back(tiny * (65536 + static_cast<Value>(2 * k)));
    knots.insert(knots.end(), {-tiny / 2, 0, tiny / 2});
    knots = as_knots(knots);
    auto const grid = make_grid(knots);
    reference::Rows<Value> rows;
    for (int k = -40; k <= 40; ++k) rows.emplace_back(tiny / 16 * static_cast<Value>(k));
    auto const column = make_column(rows);
    unsigned const before = _mm_getcsr();
    _mm_setcsr(before | 0x8040u);  // flush to zero, denormals are zero
    auto const flushed = rank_cells(column.view(), *grid);
    _mm_setcsr(before);
    for (std::size_t i = 0; i < rows.size(); ++i) CHECK_EQ_ABOUT(flushed[i], reference::cell(*rows[i], knots), shown(*rows[i]));
  };
  check(float{});
  check(double{});
}
#endif

TEST("narrow integers and float32 are ranked on a float64 grid as the doubles they are") {
  auto const knots = as_knots<double>({-128, -0.5, 0, 0.1, 1, 200, 65535, 4294967295.0, 1e300});
  auto const grid = make_grid(knots);
  auto const check = [&]<class Stored>(Stored) {
    reference::Rows<Stored> rows;
    for (double const x : {-128.0, -1.0, 0.0, 1.0, 2.0, 200.0, 65535.0, 4294967295.0})
      if (x >= static_cast<double>(std::numeric_limits<Stored>::lowest()) && x <= static_cast<double>(std::numeric_limits<Stored>::max()))
        rows.emplace_back(static_cast<Stored>(x));
    auto const column = make_column(rows);
    auto const cells = rank_cells(column.view(), *grid);
    for (std::size_t i = 0; i < rows.size(); ++i) CHECK_EQ(cells[i], reference::cell(static_cast<double>(*rows[i]), knots));
  };
  check(std::int8_t{});
  check(std::int16_t{});
  check(std::int32_t{});
  check(std::uint8_t{});
  check(std::uint16_t{});
  check(std::uint32_t{});
  check(float{});
}

TEST("values of a type that the grid cannot compare exactly are refused") {
  Column<std::int64_t> const whole{{1}, {}, 0};
  Column<double> const real{{1.0}, {}, 0};
  Column<std::uint64_t> const natural{{1}, {}, 0};
  CHECK_REFUSED(rank_cells(whole.view(), *make_grid(as_knots<double>({}))), "types differ");
  CHECK_REFUSED(rank_cells(real.view(), *make_grid(as_knots<float>({}))), "types differ");
  CHECK_REFUSED(rank_cells(natural.view(), *make_grid(as_knots<std::int64_t>({}))), "types differ");
  CHECK_REFUSED(count_cells(whole.view(), *make_grid(as_knots<std::uint64_t>({})), 1, {}), "types differ");
}

TEST("a grid refuses knots that are not strictly increasing") {
  CHECK_REFUSED(Grid(Domain::int64, {2, 1}), "strictly increasing");
  CHECK_REFUSED(Grid(Domain::uint64, {1, 2, 2}), "strictly increasing");
  auto keys = keys_of(as_knots<double>({1, 2}));
  std::swap(keys[1], keys[2]);
  CHECK_REFUSED(Grid(Domain::float64, keys), "strictly increasing");
}

TEST("a float grid refuses to be without its infinities, or to hold a NaN") {
  for (auto const domain : {Domain::float32, Domain::float64}) {
    auto const keys = domain == Domain::float32 ? keys_of(as_knots<float>({1, 2})) : keys_of(as_knots<double>({1, 2}));
    std::vector<std::uint64_t> const first(keys.begin(), keys.end() - 1);
    std::vector<std::uint64_t> const last(keys.begin() + 1, keys.end());
    CHECK_REFUSED(Grid(domain, {}), "-inf and +inf");
    CHECK_REFUSED(Grid(domain, {keys[0]}), "-inf and +inf");
    CHECK_REFUSED(Grid(domain, first), "-inf and +inf");
    CHECK_REFUSED(Grid(domain, last), "-inf and +inf");
    auto above = keys;
    above.push_back(keys.back() + 1);
    CHECK_REFUSED(Grid(domain, above), "-inf and +inf");
    auto below = keys;
    below.insert(below.begin(), keys.front() - 1);
    CHECK_REFUSED(Grid(domain, below), "-inf and +inf");
  }
}

TEST("a float32 grid refuses keys of more than 32 bits") {
  CHECK_REFUSED(Grid(Domain::float32, {KeyOf<float>::key(-INFINITY), std::uint64_t{1} << 32}), "32 bits");
}

TEST("the largest distance of two sorted samples is that of a search at every value") {
  each_domain([]<class Value>(Value) {
    Random random{91};
    for (int round = 0; round < 200; ++round) {
      std::vector<Value> sides[2];
      for (auto& side : sides) {
        for (std::uint64_t i = 1 + random.below(30); i > 0; --i) {
          Value const x = round % 2 == 0 ? static_cast<Value>(random.below(12)) : random_value<Value>(random);
          side.push_back(x == x ? x : Value{0});
        }
        std::sort(side.begin(), side.end());
      }
      auto const n = static_cast<std::int64_t>(sides[0].size());
      auto const m = static_cast<std::int64_t>(sides[1].size());
      std::int64_t expected = 0;
      for (auto const& side : sides)
        for (Value const x : side) {
          std::int64_t const i = std::upper_bound(sides[0].begin(), sides[0].end(), x) - sides[0].begin();
          std::int64_t const j = std::upper_bound(sides[1].begin(), sides[1].end(), x) - sides[1].begin();
          expected = std::max(expected, std::abs(i * m - j * n));
        }
      CHECK_EQ(sup_distance(sides[0].data(), n, sides[1].data(), m), expected);
    }
  });
  CHECK_EQ(sup_distance<double>(nullptr, 0, nullptr, 0), std::int64_t{0});
}

TEST("no knot shares a bucket of the guide with an infinity, so evenly spread knots take one comparison") {
  auto const check = []<class Value>(Value) {
    std::vector<Value> knots;
    for (int k = 0; k < 300; ++k) knots.push_back(static_cast<Value>(k) / 16 - 5);
    CHECK_EQ(make_grid(as_knots(std::move(knots)))->data().steps, 1);
  };
  check(float{});
  check(double{});
}
