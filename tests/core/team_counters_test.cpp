// Bodies that survey rows, count codes and keep counters near by, on real threads, against the obvious loops.

#include <cmath>
#include <string>

#include "check.hpp"
#include "columns.hpp"
#include "core/near_counters.hpp"
#include "core/team.hpp"
#include "core/tile_codes.hpp"
#include "core/tile_survey.hpp"
#include "team_profiles.hpp"
#include "thread_team.hpp"

using namespace modelwatch;
using namespace modelwatch::test;

namespace {

constexpr int kTeamSizes[] = {2, 9};

template <class Value>
ValueKinds obvious_kinds(reference::Rows<Value> const& rows) {
  ValueKinds out;
  for (auto const& x : rows) {
    if (!x) {
      ++out.null;
    } else if (*x != *x) {
      ++out.nan;
    } else if (kIsFloat<Value> && std::isinf(static_cast<double>(*x))) {
      ++(*x > 0 ? out.positive_infinity : out.negative_infinity);
    } else {
      out.zero += *x == 0 ? 1 : 0;
      out.low = std::min<std::uint64_t>(out.low, KeyOf<Value>::key(*x));
      out.high = std::max<std::uint64_t>(out.high, KeyOf<Value>::key(*x));
    }
  }
  return out;
}

bool same(ValueKinds const& a, ValueKinds const& b) {
  return a.null == b.null && a.nan == b.nan && a.positive_infinity == b.positive_infinity && a.negative_infinity == b.negative_infinity &&
         a.zero == b.zero && a.low == b.low && a.high == b.high;
}

/// A categorical column, sets of all kinds, and what each group of each must be counted as.
struct Codes {
  static constexpr std::uint32_t kPlaces = 12;  // of values, null's included
  std::vector<std::uint16_t> codes;
  std::vector<std::uint8_t> valid_bits;
  std::vector<std::uint32_t> places;  // of each code
  std::vector<std::uint32_t> to_coarse;
  std::vector<OwnedGroups> groups;
  std::vector<std::uint32_t> weights;
  std::vector<std::vector<std::vector<std::uint64_t>>> expected;
  std::vector<std::uint32_t> expected_seen;

  Codes(std::size_t rows, bool weighted, Random& random) : expected_seen(kPlaces, 0) {
    for (std::uint32_t c = 0; c < 20; ++c) places.push_back(1 + c % (kPlaces - 2));
    for (std::uint32_t p = 0; p < kPlaces; ++p) to_coarse.push_back(p / 4);
    valid_bits.assign(rows / 8 + 1, 0xff);
    std::vector<std::int32_t> mixed, runs, none;
    for (std::size_t i = 0; i < rows; ++i) {
      codes.push_back(static_cast<std::uint16_t>(random.below(places.size())));
      if (random.below(9) == 0) valid_bits[i / 8] = static_cast<std::uint8_t>(valid_bits[i / 8] & ~(1u << (i % 8)));
      if (weighted) weights.push_back(1 + static_cast<std::uint32_t>(random.below(1000)));
      mixed.push_back(static_cast<std::int32_t>(random.below(4)) - 1);
      auto const tile = static_cast<std::int32_t>(i / kTileRows);
      runs.push_back(tile == 1 ? -1 : tile % 2);
      none.push_back(tile == 1 ? -1 : 0);
    }
    for (auto const& own : {mixed, runs, none}) groups.emplace_back(own);
    for (std::size_t s = 0; s < groups.size(); ++s) {
      expected.emplace_back(static_cast<std::size_t>(groups[s].groups), std::vector<std::uint64_t>(slots(s), 0));
      for (std::size_t i = 0; i < rows; ++i) {
        std::int32_t const group = groups[s].of_row[i];
        if (group < 0) continue;
        expected[s][static_cast<std::size_t>(group)][slot(s, place(i))] += weighted ? weights[i] : 1;
      }
    }
    // Seen is a value of a tile of which some set has a group.
    for (std::size_t i = 0; i < rows; ++i) {
      bool wanted = false;
      for (auto const& own : groups) wanted |= own.of_tile[i / kTileRows] != kNoGroup;
      if (wanted) expected_seen[place(i)] = 1;
    }
  }
  std::uint32_t place(std::size_t row) const { return ((valid_bits[row / 8] >> (row % 8)) & 1) != 0 ? places[codes[row]] : 0; }
  std::uint32_t slots(std::size_t s) const { return s == 2 ? kPlaces / 4 : kPlaces; }
  std::uint32_t slot(std::size_t s, std::uint32_t at) const { return s == 2 ? to_coarse[at] : at; }
};

/// Memory of a team that counts codes.
struct CodeWork {
  std::vector<std::vector<std::vector<std::uint64_t>>> slabs;
  std::vector<std::vector<std::uint64_t*>> tables;
  std::vector<ProfileGroups> chunk_sets;
  std::vector<CodeSet> sets;
  std::vector<std::uint32_t> seen;
  std::vector<std::uint32_t> memory;
  std::vector<std::vector<std::uint32_t>> far;  // of each set: two copies of its counters
  std::vector<std::uint32_t> valid;
  CodeColumn column{};
  ProfileChunk chunk{};

  CodeWork(Codes const& of, bool own_counters, bool far_counters) : seen(Codes::kPlaces, 0), valid(kTileWords) {
    auto const rows = static_cast<std::int64_t>(of.codes.size());
    std::uint32_t words = 0;
    for (std::size_t s = 0; s < of.groups.size(); ++s) {
      auto const& own = of.groups[s];
      slabs.emplace_back(static_cast<std::size_t>(own.groups), std::vector<std::uint64_t>(of.slots(s), 0));
      tables.emplace_back();
      for (auto& slab : slabs.back()) tables.back().push_back(slab.data());
      auto const groups = static_cast<std::uint32_t>(own.groups);
      chunk_sets.push_back({own.of_tile.data(), own.of_row.data(), nullptr, nullptr, 0, 0, groups, false});
      std::uint32_t const at = own_counters && of.weights.empty() ? words : kNotThere;
      if (at != kNotThere) words += groups * of.slots(s);
      std::uint32_t const counters = groups * of.slots(s);
      far.emplace_back(far_counters && of.weights.empty() ? 2 * counters : 0, 0);
      FarCounters const copies{far.back().empty() ? nullptr : far.back().data(), counters, 2};
      sets.push_back({nullptr, s == 2 ? of.to_coarse.data() : nullptr, of.slots(s), at, copies});
    }
    for (std::size_t s = 0; s < sets.size(); ++s) sets[s].slabs = tables[s].data();
    memory.assign(words + 1, 0x5a5a5a5a);  // as a block finds it
    NumericView const codes{of.codes.data(), {of.valid_bits.data(), 0}, rows, Storage::uint16};
    column = {codes, of.places.data(), sets.data(), seen.data(), words};
    chunk = {chunk_sets.data(), of.weights.empty() ? nullptr : of.weights.data(), rows, static_cast<std::int32_t>(sets.size())};
  }
  template <class Team>
  void count(Team const& team) {
    auto const tiles = static_cast<std::int64_t>(chunk.rows + kTileRows - 1) / kTileRows;
    count_codes(team, column, chunk, 0, tiles / 2, valid.data(), memory.data(), 0);
    team.sync();
    count_codes(team, column, chunk, tiles / 2, tiles, valid.data(), memory.data(), 1);
  }
  /// Adds both copies of the far counters to the slabs.
  void add_far() {
    for (std::size_t s = 0; s < far.size(); ++s)
      for (std::size_t w = 0; w < far[s].size(); ++w) {
        std::size_t const at = w % (far[s].size() / 2);
        slabs[s][at / sets[s].slots][at % sets[s].slots] += far[s][w];
      }
  }
};

}  // namespace

TEST("threads that survey a column together find what it holds") {
  Random random{1};
  each_domain([&]<class Value>(Value) {
    for (std::size_t const size : {0, 1, 500, 3000}) {
      reference::Rows<Value> rows = sprinkled_rows<Value>(size, random);
      for (std::size_t i = 0; i < size; i += 3) rows[i] = random_value<Value>(random);
      auto const survey = [&](auto const& team, ValueKinds* all) {
        RowKinds own;
        for (auto i = static_cast<std::size_t>(team.rank()); i < size; i += static_cast<std::size_t>(team.size()))
          survey_row(rows[i].value_or(Value{}), rows[i].has_value(), own);
        merge_kinds(team, own, all);
      };
      ValueKinds alone;
      survey(HostTeam{}, &alone);
      CHECK(same(alone, obvious_kinds(rows)));
      for (int const threads : kTeamSizes) {
        ValueKinds together;
        with_threads(threads, [&](ThreadTeam const& team) { survey(team, &together); });
        CHECK_ABOUT(same(together, alone), std::to_string(threads) + " threads");
      }
    }
  });
}

TEST("counters near by and those far away add up to all") {
  Random random{2};
  for (std::size_t const size : {0, 1, 100, 4000}) {
    std::vector<std::uint32_t> rows;
    // Some numbers are met often, some share a place with them.
    for (std::size_t i = 0; i < size; ++i) rows.push_back(static_cast<std::uint32_t>(random.below(random.below(3) == 0 ? 500 : 9)));
    std::vector<std::uint64_t> expected(500, 0);
    for (auto const number : rows) expected[number] += 2;
    auto const counted = [&](auto const& run) {
      NearCounters<64> near;
      std::vector<std::uint64_t> far(500, 0);
      run([&](auto const& team) {
        auto const each = [&](std::size_t most, auto f) {
          for (auto i = static_cast<std::size_t>(team.rank()); i < most; i += static_cast<std::size_t>(team.size())) f(rows[i]);
        };
        for (int turn = 0; turn < 2; ++turn) {  // the second one finds the counters as the first left them
          near.clear(team);
          team.sync();
          each(rows.size() / 4, [&](std::uint32_t number) { near.name(team, number); });
          team.sync();
          each(rows.size(), [&](std::uint32_t number) { near.add_one(team, number, far.data()); });
          team.sync();
          near.flush(team, far.data());
          team.sync();
        }
      });
      return far;
    };
    CHECK_EQ(counted([](auto body) { body(HostTeam{}); }), expected);
    for (int const threads : kTeamSizes)
      CHECK_EQ(counted([&](auto body) { with_threads(threads, [&](ThreadTeam const& team) { body(team); }); }), expected);
  }
}

TEST("threads that count codes together count every row once, in each set's group") {
  Random random{3};
  for (bool const weighted : {false, true})
    for (int const counters : {0, 1, 2})  // in slabs, in the team's memory, far ones
      for (std::size_t const size : {1, 1000, 1024, 5 * 1024 + 33}) {
        Codes const of(size, weighted, random);
        auto const check = [&](CodeWork const& work, int threads) {
          std::string const about = std::to_string(threads) + " threads, " + std::to_string(size) + " rows";
          for (std::size_t s = 0; s < of.groups.size(); ++s)
            for (std::size_t g = 0; g < work.slabs[s].size(); ++g) CHECK_EQ_ABOUT(work.slabs[s][g], of.expected[s][g], about);
          CHECK_EQ_ABOUT(work.seen, of.expected_seen, about);
        };
        CodeWork alone(of, counters == 1, counters == 2);
        alone.count(HostTeam{});
        alone.add_far();
        check(alone, 1);
        for (int const threads : kTeamSizes) {
          CodeWork together(of, counters == 1, counters == 2);
          with_threads(threads, [&](ThreadTeam const& team) { together.count(team); });
          together.add_far();
          check(together, threads);
        }
      }
}

TEST("pairs of words carry, and what is raised seldom ends at the largest") {
  for (int const threads : kTeamSizes) {
    std::uint32_t pair[2] = {0xfffffff0u, 0};
    std::uint64_t most = 0;
    with_threads(threads, [&](ThreadTeam const& team) {
      for (std::uint64_t i = 0; i < 200; ++i) {
        add_pair(team, pair, 0x7fffffffu + i);
        add_pair(team, pair, std::uint64_t{1} << 32);
        raise_seldom(team, &most, i * static_cast<std::uint64_t>(team.rank() + 1));
      }
    });
    auto const n = static_cast<std::uint64_t>(threads);
    CHECK_EQ(take_pair(pair), 0xfffffff0u + n * (200 * (0x7fffffffull + (1ull << 32)) + 199 * 100));
    CHECK_EQ(pair[0] + pair[1], 0u);
    CHECK_EQ(most, 199 * n);
  }
}
