// Bodies that count tiles into profiles, on real threads: the state of the engine, to the bit, whatever the team's size.

#include <cstring>
#include <string>

#include "check.hpp"
#include "core/team.hpp"
#include "core/tile_moments.hpp"
#include "reference/reference.hpp"
#include "team_profiles.hpp"
#include "thread_team.hpp"

using namespace modelwatch;
using namespace modelwatch::test;

namespace {

constexpr int kTeamSizes[] = {2, 9};
/// A fine set with all there is, a coarse one with moments, a coarse one that only counts.
std::vector<SetPlan> const kSets{{false, true, true}, {true, true, false}, {true, false, false}};

template <class Value>
NumericPlan plan_of(std::uint32_t coarse, std::vector<Value> const& knots) {
  auto const grid = make_grid(as_knots(knots));
  NumericPlan plan{grid, {}, {}, grid->slots(), coarse, 0, KeyOf<Value>::key(static_cast<Value>(kIsFloat<Value> ? 0 : 7))};
  for (std::uint32_t slot = 0; slot < grid->slots(); ++slot) plan.to_coarse.push_back(slot * coarse / grid->slots());
  return plan;
}

bool same(std::vector<Moments> const& a, std::vector<Moments> const& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](Moments const& x, Moments const& y) { return same_bits(x, y); });
}

bool same(std::vector<WideSum> const& a, std::vector<WideSum> const& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(WideSum)) == 0);
}

void check_same(NumericResult const& found, NumericResult const& expected, std::string const& about) {
  CHECK_EQ_ABOUT(found.group, expected.group, about);
  CHECK_EQ_ABOUT(found.cell, expected.cell, about);
  CHECK_EQ_ABOUT(found.count, expected.count, about);
  CHECK_EQ_ABOUT(found.cell_begin, expected.cell_begin, about);
  CHECK_EQ_ABOUT(found.gap, expected.gap, about);
  CHECK_EQ_ABOUT(found.gap_sum, expected.gap_sum, about);
  CHECK_EQ_ABOUT(found.low, expected.low, about);
  CHECK_EQ_ABOUT(found.high, expected.high, about);
  CHECK_EQ_ABOUT(found.tail_group, expected.tail_group, about);
  CHECK_ABOUT(same(found.tail_lower, expected.tail_lower) && same(found.tail_upper, expected.tail_upper), about);
  CHECK_ABOUT(same(found.moments, expected.moments), about);
  CHECK_EQ_ABOUT(found.bucket, expected.bucket, about);
  CHECK_EQ_ABOUT(found.bucket_count, expected.bucket_count, about);
  CHECK_EQ_ABOUT(found.register_group, expected.register_group, about);
  CHECK_ABOUT(found.registers == expected.registers, about);
}

/// Groups of a set's rows: all one, runs of tiles with some in none, or mixed within tiles.
std::vector<std::int32_t> groups_of(int kind, std::size_t rows, Random& random) {
  std::vector<std::int32_t> out(rows, 0);
  for (std::size_t i = 0; i < rows; ++i) {
    auto const tile = static_cast<std::int32_t>(i / kTileRows);
    if (kind == 1) out[i] = tile % 4 == 2 ? -1 : tile / 2 % 2;
    if (kind == 2) out[i] = tile % 3 == 1 ? 1 : static_cast<std::int32_t>(random.below(5)) - 1;
  }
  return out;
}

template <class Value>
void check_profile(std::vector<int> const& kinds, ProfilePlaces places, bool weighted, std::vector<Value> const& knots, Random& random) {
  std::size_t const size = 5 * kTileRows + 77;
  auto const rows = sprinkled_rows<Value>(size, random);
  auto const column = make_column(rows, 5);
  auto const plan = plan_of<Value>(6, knots);
  std::vector<std::uint32_t> weights;
  for (std::size_t i = 0; weighted && i < size; ++i) weights.push_back(1 + static_cast<std::uint32_t>(random.below(1u << 31)));
  std::vector<OwnedGroups> groups;
  std::vector<std::int32_t const*> pointers;
  for (int const kind : kinds) groups.emplace_back(groups_of(kind, size, random));
  for (auto const& own : groups) pointers.push_back(own.of_row.data());
  auto const* const times = weighted ? weights.data() : nullptr;

  NumericState expected(plan, kSets);
  expected.add(column.view(), pointers, times);
  auto const check = [&](TeamProfile<Value>& found, int threads) {
    for (std::size_t s = 0; s < kSets.size(); ++s)
      check_same(found.result(s), expected.finish(s), "set " + std::to_string(s) + ", " + std::to_string(threads) + " threads");
  };
  TeamProfile<Value> alone(plan, kSets, column.view(), groups, times, places);
  alone.count(HostTeam{});
  alone.add_far();
  check(alone, 1);
  for (int const threads : kTeamSizes) {
    TeamProfile<Value> together(plan, kSets, column.view(), groups, times, places);
    with_threads(threads, [&](ThreadTeam const& team) { together.count(team); });
    together.add_far();
    check(together, threads);
  }
}

template <class Value>
std::vector<Value> knots_among_rows(int count) {
  std::vector<Value> knots;
  for (int k = 0; k < count; ++k) knots.push_back(static_cast<Value>(kIsFloat<Value> ? 2 * k - 200 : 1000 * k));
  return knots;
}

}  // namespace

TEST("threads that count tiles of a column into profiles leave the engine's state, however they use their memory") {
  Random random{1};
  each_domain([&]<class Value>(Value) {
    for (bool const near : {true, false})
      for (auto const& kinds : {std::vector{0, 0, 0}, std::vector{1, 1, 0}, std::vector{2, 1, 2}})
        check_profile<Value>(kinds, {near, near, near, near, false}, false, knots_among_rows<Value>(40), random);
  });
  // Far counters, of mixed tiles alone and of all.
  for (bool const run : {true, false}) check_profile<float>({2, 1, 2}, {run, run, run, false, true}, false, knots_among_rows<float>(40), random);
  // Places that do not come together, as where a grid is large.
  check_profile<double>({1, 2, 0}, {true, false, false, true, true}, false, knots_among_rows<double>(300), random);
  check_profile<std::int64_t>({2, 2, 1}, {false, false, true, true, false}, false, {}, random);
  check_profile<float>({0, 2, 1}, {true, true, true, false, true}, false, hard_values<float>(), random);
}

TEST("threads that count rows with weights leave the engine's state") {
  Random random{2};
  each_domain([&]<class Value>(Value) {
    check_profile<Value>({0, 1, 2}, {true, true, true, true, true}, true, knots_among_rows<Value>(40), random);
  });
}

TEST("moments of a tile are the reference's for every group, whatever the team's size") {
  Random random{3};
  each_domain([&]<class Value>(Value) {
    Value const pivot = kIsFloat<Value> ? Value{0} : Value{1000};
    for (int const size : {0, 1, 15, 17, 500, kTileRows})
      for (int const groups : {1, 3, 20}) {
        auto const rows = sprinkled_rows<Value>(static_cast<std::size_t>(size), random);
        auto const column = make_column(rows, 3);
        std::vector<std::int32_t> of_row, ids;
        for (int i = 0; i < size; ++i) of_row.push_back(static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(groups))));
        for (int g = 0; g < groups; ++g) ids.push_back(g);
        auto const found_by = [&](auto const& run, std::uint32_t const* weights) {
          RankTile<Value> tile;
          MomentTile scratch;
          std::vector<Moments> out(static_cast<std::size_t>(groups));
          run([&](auto const& team) {
            load_values(team, column.view(), 0, size, tile.values);
            load_validity(team, column.view().validity, 0, size, tile.valid);
            team.sync();
            tile_moments(team, tile, size, KeyOf<Value>::key(pivot), weights, groups == 1 ? nullptr : of_row.data(),
                         groups == 1 ? nullptr : ids.data(), groups, scratch.lanes, scratch.moments, out.data());
          });
          return out;
        };
        auto const alone = [](auto body) { body(HostTeam{}); };
        auto const one = found_by(alone, nullptr);
        for (int g = 0; g < groups; ++g) {
          auto own = rows;  // the other groups' rows take no part, and no lane moves
          for (std::size_t i = 0; groups > 1 && i < own.size(); ++i)
            if (of_row[i] != g) own[i].reset();
          CHECK_ABOUT(same_bits(one[static_cast<std::size_t>(g)], reference::moments(own, pivot)), "group " + std::to_string(g));
        }
        std::vector<std::uint32_t> weights(static_cast<std::size_t>(size), 1);
        CHECK(same(found_by(alone, weights.data()), one));  // a weight of one changes nothing
        for (auto& weight : weights) weight = static_cast<std::uint32_t>(random.below(1000));
        auto const weighed = found_by(alone, weights.data());
        for (int const threads : kTeamSizes) {
          auto const together = [&](auto body) { with_threads(threads, [&](ThreadTeam const& team) { body(team); }); };
          CHECK(same(found_by(together, nullptr), one));
          CHECK(same(found_by(together, weights.data()), weighed));
        }
      }
  });
}
