// Every body of core/ over a Team gives the same on real threads as on one, and races nowhere (the tsan preset).

#include <algorithm>
#include <string>

#include "check.hpp"
#include "core/team.hpp"
#include "core/tile_load.hpp"
#include "core/tile_rank.hpp"
#include "team_bodies.hpp"
#include "thread_team.hpp"

using namespace modelwatch;
using namespace modelwatch::test;

namespace {

/// Small: barriers of many threads on few cores are slow under a sanitizer.
constexpr int kTeamSizes[] = {2, 9};
constexpr int kRowCounts[] = {0, 1, 15, 16, 17, 31, 32, 33, 63, 64, 65, 500, 1023, 1024};

/// Values of a storage, beginning on a pack or just off one.
template <class Stored, class Value>
void check_load(Random& random) {
  for (int const offset : {0, 1})
    for (int const rows : kRowCounts) {
      // Exactly as many as are read, so that AddressSanitizer sees one more.
      alignas(16) static Pack<Stored> room[kTileRows + 2];
      auto* const begin = reinterpret_cast<Stored*>(room) + offset;
      for (int i = 0; i < rows; ++i) begin[i] = static_cast<Stored>(random.next());
      NumericView const column{begin, {nullptr, 0}, rows, storage_of<Stored>()};
      alignas(16) Value alone[kTileRows] = {};
      load_values(HostTeam{}, column, 0, rows, alone);
      for (int i = 0; i < rows; ++i) CHECK_EQ(alone[i], static_cast<Value>(begin[i]));
      for (int const size : kTeamSizes) {
        alignas(16) Value together[kTileRows] = {};
        with_threads(size, [&](ThreadTeam const& team) { load_values(team, column, 0, rows, together); });
        CHECK_ABOUT(std::equal(alone, alone + rows, together), std::to_string(rows) + " rows, " + std::to_string(size) + " threads");
        CHECK(std::all_of(together + rows, together + kTileRows, [](Value x) { return x == Value{}; }));
        alignas(16) Value as_stored[kTileRows] = {};
        with_threads(size, [&](ThreadTeam const& team) { load_as(team, begin, rows, as_stored); });
        CHECK(std::equal(alone, alone + kTileRows, as_stored));
      }
    }
}

template <class Value>
reference::Rows<Value> hard_rows(std::size_t size, Random& random) {
  auto rows = sprinkled_rows<Value>(size, random);
  for (std::size_t i = 0; i < size; i += 3) rows[i] = random_value<Value>(random);
  if constexpr (kIsFloat<Value>)
    for (std::size_t i = 1; i < size; i += 7) rows[i] = std::numeric_limits<Value>::quiet_NaN();
  for (std::size_t i = 2; i < size; i += 5) rows[i].reset();
  return rows;
}

/// The same slots and counts for every size of team, and the reference's.
template <class Value>
void check_rank(std::vector<Value> knots, std::size_t size, Random& random) {
  knots = as_knots(std::move(knots));
  OwnedRule<Value> const rule{knots};
  auto const rows = hard_rows<Value>(size, random);
  auto const column = make_column(rows, static_cast<int>(random.below(40)));
  auto const count = static_cast<std::int64_t>(size);
  RankWork<Value> alone{count, rule.slots()};
  rank_column(HostTeam{}, column.view(), rule.view(), alone);
  CHECK_EQ(alone.result.counts, reference::count_cells(rows, knots));
  for (int const threads : kTeamSizes) {
    RankWork<Value> together{count, rule.slots()};
    with_threads(threads, [&](ThreadTeam const& team) { rank_column(team, column.view(), rule.view(), together); });
    CHECK_EQ_ABOUT(together.result.slots, alone.result.slots, std::to_string(threads) + " threads");
    CHECK_EQ_ABOUT(together.result.counts, alone.result.counts, std::to_string(threads) + " threads");
  }
}

}  // namespace

TEST("threads that load a tile together load what one alone does, from every storage") {
  Random random{1};
  check_load<std::int8_t, std::int64_t>(random);
  check_load<std::int16_t, std::int64_t>(random);
  check_load<std::int32_t, std::int64_t>(random);
  check_load<std::int64_t, std::int64_t>(random);
  check_load<std::uint8_t, std::int64_t>(random);
  check_load<std::uint16_t, std::int64_t>(random);
  check_load<std::uint32_t, std::int64_t>(random);
  check_load<std::uint64_t, std::uint64_t>(random);
  check_load<float, float>(random);
  check_load<double, double>(random);
  check_load<float, double>(random);
}

TEST("threads that load validity together load what one alone does, at every offset") {
  Random random{2};
  for (int offset = 0; offset < 40; offset += 3)
    for (int const rows : kRowCounts) {
      std::vector<std::uint8_t> bits((static_cast<std::size_t>(offset + rows) + 7) / 8);
      for (auto& byte : bits) byte = static_cast<std::uint8_t>(random.next());
      Validity const validity{bits.empty() ? nullptr : bits.data(), offset};
      std::vector<std::uint32_t> alone(kTileWords);
      load_validity(HostTeam{}, validity, 0, rows, alone.data());
      for (int i = 0; i < rows; ++i) CHECK_EQ(is_valid(alone.data(), i), validity.valid(i));
      for (int const size : kTeamSizes) {
        std::vector<std::uint32_t> together(kTileWords);
        with_threads(size, [&](ThreadTeam const& team) { load_validity(team, validity, 0, rows, together.data()); });
        CHECK_EQ(together, alone);
      }
    }
}

TEST("threads that rank tiles together give the slots and counts of one alone, and of the reference") {
  Random random{3};
  each_domain([&]<class Value>(Value) {
    for (std::size_t const size : {0, 1, 31, 32, 33, 1023, 1024, 1025, 2049}) {
      check_rank<Value>({}, size, random);
      check_rank<Value>(hard_values<Value>(), size, random);
      std::vector<Value> even;
      for (int k = 0; k < 300; ++k) even.push_back(static_cast<Value>(3 * k));
      check_rank<Value>(even, size, random);
    }
  });
}

TEST("raising, lowering and adding together lose nothing") {
  for (int const size : kTeamSizes) {
    std::uint32_t count = 0;
    std::uint64_t sum = 0;
    std::uint64_t most = 0;
    std::uint64_t least = ~std::uint64_t{0};
    std::vector<std::uint32_t> places(static_cast<std::size_t>(size) * 100);
    with_threads(size, [&](ThreadTeam const& team) {
      for (std::uint64_t i = 0; i < 100; ++i) {
        std::uint64_t const own = 1000 + i * static_cast<std::uint64_t>(size) + static_cast<std::uint64_t>(team.rank());
        team.add_one(&places[team.add_before(&count, 1u)]);
        team.add(&sum, own);
        if (team.peek(&most) < own) team.raise(&most, own);
        team.lower(&least, own);
      }
    });
    auto const n = static_cast<std::uint64_t>(size) * 100;
    CHECK_EQ(count, n);
    CHECK_EQ(sum, n * 1000 + n * (n - 1) / 2);
    CHECK_EQ(most, 1000 + n - 1);
    CHECK_EQ(least, 1000u);
    CHECK(std::all_of(places.begin(), places.end(), [](std::uint32_t times) { return times == 1; }));
  }
}
