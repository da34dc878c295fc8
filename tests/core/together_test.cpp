// Tiles of several groups are counted together where their groups make few combinations: the same as row by row.

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>

#include "check.hpp"
#include "columns.hpp"
#include "engine/batch_groups.hpp"
#include "engine/category_state.hpp"
#include "engine/numeric_state.hpp"
#include "hand_made_arrow.hpp"

using namespace modelwatch;
using namespace modelwatch::test;

namespace {

/// Groups of three sets for so many rows: of a calendar, of a label, and of both; some rows are in none.
std::vector<std::vector<std::int32_t>> crossed_groups(std::size_t rows, std::int32_t labels, Random& random) {
  std::vector<std::vector<std::int32_t>> out(3);
  for (std::size_t i = 0; i < rows; ++i) {
    auto const day = static_cast<std::int32_t>(i / 3000);
    auto const label = static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(labels) + 1)) - 1;
    out[0].push_back(day);
    out[1].push_back(label);
    out[2].push_back(label < 0 ? -1 : day * labels + label);
  }
  return out;
}

std::vector<std::int32_t const*> pointers(std::vector<std::vector<std::int32_t>> const& groups) {
  std::vector<std::int32_t const*> out;
  for (auto const& own : groups) out.push_back(own.data());
  return out;
}

void check_same(NumericResult const& a, NumericResult const& b, std::string const& about) {
  CHECK_ABOUT(a.group == b.group && a.cell_begin == b.cell_begin && a.cell == b.cell && a.count == b.count, about);
  CHECK_ABOUT(a.gap_begin == b.gap_begin && a.gap == b.gap && a.gap_sum == b.gap_sum, about);
  CHECK_ABOUT(a.low == b.low && a.high == b.high && a.tail_group == b.tail_group, about);
  CHECK_ABOUT(a.bucket_begin == b.bucket_begin && a.bucket == b.bucket && a.bucket_count == b.bucket_count, about);
  CHECK_ABOUT(a.register_group == b.register_group && a.registers == b.registers, about);
  auto const same = [](std::vector<WideSum> const& x, std::vector<WideSum> const& y) {
    return x.size() == y.size() && (x.empty() || std::memcmp(x.data(), y.data(), x.size() * sizeof(WideSum)) == 0);
  };
  bool const moments = a.moments.size() == b.moments.size() &&
                       (a.moments.empty() || std::memcmp(a.moments.data(), b.moments.data(), a.moments.size() * sizeof(Moments)) == 0);
  CHECK_ABOUT(moments, about + ": moments");
  CHECK_ABOUT(same(a.tail_lower, b.tail_lower) && same(a.tail_upper, b.tail_upper), about);
}

}  // namespace

TEST("the combinations of a tile name the groups of each of its rows, in every set") {
  Random random{501};
  for (std::int32_t const labels : {1, 2, 20, 63, 90}) {
    auto groups = crossed_groups(9'500, labels, random);
    groups.emplace_back(9'500, 7);
    auto rows = pointers(groups);
    rows.push_back(nullptr);
    BatchGroups const by(rows, 9'500);
    int found = 0;
    for (std::int64_t t = 0; t < by.tiles(); ++t) {
      if (by.near_end(t) > t) continue;
      auto const together = by.together(t);
      if (together.of_row == nullptr) continue;
      ++found;
      CHECK(together.count >= 2 && together.count <= BatchGroups::kMostTogether);
      for (std::int64_t i = 0; i < by.rows_of(t, t + 1); ++i)
        for (std::size_t s = 0; s < rows.size(); ++s) {
          std::int32_t const own = rows[s] == nullptr ? 0 : rows[s][t * kTileRows + i];
          CHECK_EQ(together.id(s, together.of_row[i]), by.scattered(s) ? -1 : own);
        }
      for (std::int64_t same = t; same < by.together_end(t); ++same) CHECK_EQ(by.together(same).count, together.count);
    }
    // With 63 labels and none, a tile of two days has more combinations than are taken together: labels are scattered, and
    // three tiles have two days.
    CHECK_EQ(by.any_scattered(), labels >= 63);
    CHECK_EQ(by.scattered(1) && by.scattered(2), labels >= 63);
    CHECK(!by.scattered(0) && !by.scattered(3) && !by.scattered(4));
    CHECK_EQ(found, labels >= 63 ? 3 : 10);
  }
}

TEST("a tile names the combinations that it has rows of, whatever the tile before it had") {
  Random random{506};
  constexpr std::int64_t kRows = 40 * kTileRows + 77;
  std::vector<std::vector<std::int32_t>> groups(4);
  for (std::int64_t i = 0; i < kRows; ++i) {
    auto const day = static_cast<std::int32_t>(i / 9'000);
    // The third label and rows without one are in some tiles only.
    bool const seldom = random.below(700) == 0;
    auto const label = seldom ? static_cast<std::int32_t>(random.below(2)) * 3 - 1 : static_cast<std::int32_t>(random.below(2));
    groups[0].push_back(0);
    groups[1].push_back(day);
    groups[2].push_back(label);
    // A fourth set is told by the label in most tiles.
    groups[3].push_back(label < 0 ? -1 : 10 * label + (i % 17'000 == 0 ? 1 : 0));
  }
  auto const check = [&](BatchGroups const& by, std::size_t sets) {
    for (std::int64_t t = 0; t < by.tiles(); ++t) {
      bool several = false;
      std::int64_t const rows = by.rows_of(t, t + 1);
      for (std::size_t s = 0; s < sets; ++s)
        for (std::int64_t i = 1; i < rows; ++i) several = several || groups[s][static_cast<std::size_t>(t * kTileRows + i)] != groups[s][static_cast<std::size_t>(t * kTileRows)];
      CHECK_EQ(several, by.near_end(t) == t);
      if (!several) continue;
      auto const together = by.together(t);
      std::vector<bool> seen(static_cast<std::size_t>(together.count), false);
      for (std::int64_t i = 0; i < rows; ++i) {
        seen[together.of_row[i]] = true;
        for (std::size_t s = 0; s < sets; ++s) CHECK_EQ(together.id(s, together.of_row[i]), groups[s][static_cast<std::size_t>(t * kTileRows + i)]);
      }
      CHECK(std::find(seen.begin(), seen.end(), false) == seen.end());
    }
  };
  BatchGroups const all(pointers(groups), kRows);
  check(all, 4);
  for (std::size_t const sets : {3u, 2u, 1u}) check(all.of_first(sets), sets);
}

TEST("the rows of a scattered set are listed group by group, those of no group left out") {
  Random random{504};
  for (std::int64_t const rows : {1, 1'023, 1'024, 5'000, 70'000, 200'000}) {
    std::vector<std::int32_t> groups;
    for (std::int64_t i = 0; i < rows; ++i) groups.push_back(static_cast<std::int32_t>(random.below(3'000)) - 1);
    groups[0] = 2'999;
    std::vector<std::int32_t> const whole(groups.size(), 4);
    BatchGroups const by({groups.data(), whole.data()}, rows);
    if (rows == 1) {
      CHECK(!by.any_scattered());
      continue;
    }
    CHECK(by.scattered(0) && !by.scattered(1));
    CHECK_EQ(by.near_end(0), by.tiles());
    CHECK_EQ(by.run_end(0), 0);
    for (std::int64_t at = 0; at < by.stretches(); ++at) {
      auto const own = by.of_scattered(0, at);
      std::int64_t const first = at * BatchGroups::kStretchTiles;
      std::int64_t const last = std::min(by.tiles(), first + BatchGroups::kStretchTiles);
      CHECK(by.ends_stretch(last - 1) && (last - first == 1 || !by.ends_stretch(first)));
      std::vector<bool> seen(static_cast<std::size_t>(by.rows_of(first, last)), false);
      for (std::size_t k = 0; k < own.count; ++k) {
        CHECK(own.begin[k] < own.begin[k + 1]);
        CHECK(k == 0 || own.ids[k - 1] < own.ids[k]);
        for (std::uint32_t i = own.begin[k]; i < own.begin[k + 1]; ++i) {
          CHECK_EQ(groups[static_cast<std::size_t>(first * kTileRows + own.rows[i])], own.ids[k]);
          CHECK(i == own.begin[k] || own.rows[i - 1] < own.rows[i]);
          seen[own.rows[i]] = true;
        }
      }
      for (std::size_t i = 0; i < seen.size(); ++i) CHECK_EQ(seen[i], groups[static_cast<std::size_t>(first * kTileRows) + i] >= 0);
    }
  }
}

TEST("groups far apart, or of weighted rows, are not taken together") {
  std::vector<std::int32_t> far(1024, 0);
  far[5] = 1'000;
  BatchGroups const by({far.data()}, 1024);
  CHECK(by.run_end(0) == 0 && by.scattered(0) && by.near_end(0) == 1);
  std::vector<std::int32_t> near(1024, 0);
  near[5] = 1;
  CHECK(BatchGroups({near.data()}, 1024).together(0).of_row != nullptr);
}

TEST("numbers of tiles counted together are those of rows counted one by one") {
  each_domain([]<class Value>(Value) {
    Random random{502};
    for (std::int32_t const labels : {1, 3, 90, 700})
      for (std::size_t const knot_count : {0u, 5u, 300u, 3000u}) {
        auto rows = sprinkled_rows<Value>(9'500, random);
        for (std::size_t i = 2'000; i < 4'100; ++i) rows[i].reset();  // a tile of nothing but nulls
        std::vector<Value> knots;
        for (std::size_t k = 0; k < knot_count; ++k)
          if (auto const& x = rows[random.below(rows.size())]; x && *x == *x) knots.push_back(*x);
        auto const grid = make_grid(as_knots(knots));
        NumericPlan plan{grid, {}, {}, grid->slots(), 3, 0, KeyOf<Value>::key(Value{0})};
        for (std::uint32_t slot = 0; slot < grid->slots(); ++slot) plan.to_coarse.push_back(slot % 3);
        std::vector<SetPlan> const sets{{false, true, true}, {true, true, false}, {false, true, false}};
        auto const groups = crossed_groups(rows.size(), labels, random);
        auto const column = make_column(rows, 1);
        for (std::uint64_t const spill : {std::uint64_t{3000}, NumericState::kSpillRows}) {
          NumericState together(plan, sets, spill);
          NumericState apart(plan, sets);
          std::vector<std::uint32_t> const once(rows.size(), 1);
          together.add(column.view(), pointers(groups));
          apart.add(column.view(), pointers(groups), once.data());
          for (std::size_t s = 0; s < sets.size(); ++s)
            check_same(together.finish(s), apart.finish(s), std::to_string(labels) + " labels, " + std::to_string(knot_count) + " knots, set " + std::to_string(s));
        }
      }
  });
}

TEST("codes of tiles counted together are those of rows counted one by one") {
  Random random{503};
  for (std::int32_t const labels : {1, 3, 90, 700})
    for (std::size_t const words : {1u, 12u, 900u, 40'000u})
      for (std::uint32_t const cap : {4u, 10'000u}) {
        std::vector<std::string> known;
        std::vector<std::optional<std::string>> dictionary;
        for (std::size_t w = 0; w < words; ++w) {
          std::string const word = "w" + std::to_string(w);
          dictionary.push_back(word);
          if (w % 3 == 0) known.push_back(word);
        }
        dictionary.emplace_back();  // a null in the dictionary
        std::sort(known.begin(), known.end());
        CategoryPlan plan;
        plan.known = known;
        plan.unseen_cap = cap;
        plan.to_coarse.assign(known.size(), 3);
        plan.coarse_slots = 4;
        std::size_t const rows = 9'500;
        auto const groups = crossed_groups(rows, labels, random);
        std::vector<std::int32_t> codes;
        std::vector<bool> valid;
        for (std::size_t i = 0; i < rows; ++i) {
          codes.push_back(static_cast<std::int32_t>(random.below(dictionary.size())));
          valid.push_back(random.below(20) != 0);
        }
        Node node = coded_node(codes, text_node(dictionary));
        node.buffers[0] = bitmap_of(valid);
        node.null_count = -1;
        auto const owner = owner_of(batch_node({std::move(node)}));
        auto const view = category_view(column_of(*owner, 0));
        std::vector<SetPlan> const sets{{false, false, true}, {true, false, false}, {false, false, false}};
        CategoryState together(plan, sets);
        CategoryState apart(plan, sets);
        std::vector<std::uint32_t> const once(rows, 1);
        together.add(view, owner, pointers(groups));
        apart.add(view, owner, pointers(groups), once.data());
        for (std::size_t s = 0; s < sets.size(); ++s) {
          auto const a = together.finish(s);
          auto const b = apart.finish(s);
          std::string const about = std::to_string(labels) + " labels, " + std::to_string(words) + " words, set " + std::to_string(s);
          CHECK_ABOUT(a.group == b.group && a.cell_begin == b.cell_begin && a.cell == b.cell && a.count == b.count, about);
          CHECK_ABOUT(a.unseen == b.unseen && a.unseen_group == b.unseen_group && a.unseen_index == b.unseen_index && a.unseen_count == b.unseen_count, about);
          CHECK_ABOUT(a.capped == b.capped && a.register_group == b.register_group && a.registers == b.registers, about);
        }
      }
}

namespace {

/// How many rows of a batch each group has; some more are in none.
using Sizes = std::vector<std::pair<std::int32_t, std::size_t>>;

std::vector<std::int32_t> shuffled_groups(Sizes const& sizes, Random& random, std::size_t of_none = 40) {
  std::vector<std::int32_t> out(of_none, -1);
  for (auto const& [group, rows] : sizes) out.insert(out.end(), rows, group);
  shuffle(out, random);
  return out;
}

/// Batches in which groups come to 255 rows and beyond in several ways.  Numbers of groups are far apart, so that a tile of
/// several is scattered; a stretch ends with its batch.
std::vector<std::vector<std::int32_t>> few_and_many(Random& random) {
  std::vector<std::vector<std::int32_t>> out;
  out.push_back(shuffled_groups({{0, 96}, {400, 96}, {800, 96}, {1200, 97}, {1600, 300}, {2000, 1}, {2001, 95}}, random));
  out.push_back(shuffled_groups({{0, 96}, {400, 96}, {800, 96}, {1200, 50}, {1600, 10}, {2000, 96}, {2001, 96}}, random));
  out.push_back(shuffled_groups({{0, 63}, {400, 64}, {800, 62}, {1200, 97}, {2000, 96}, {2400, 5}}, random));
  out.push_back(shuffled_groups({{800, 1}, {1200, 3}, {2000, 63}, {5000, 2}}, random));  // more groups than before
  out.emplace_back(3'000, 2001);                                                          // all rows in one group
  out.push_back(shuffled_groups({{800, 1}, {2001, 7}, {2400, 96}}, random));
  out.push_back(shuffled_groups({{2000, 900}, {2001, 500}, {2002, 1}}, random, 0));  // few combinations: not scattered
  out.push_back(shuffled_groups({{0, 1}, {2000, 4}, {2001, 4}, {2002, 96}}, random));
  Sizes many;  // several stretches, and groups of all sizes in them
  for (std::int32_t g = 0; g < 900; ++g) many.emplace_back(g, 1 + random.below(g % 9 == 0 ? 700 : 40) + (g % 100 == 0 ? 3'000 : 0));
  out.push_back(shuffled_groups(many, random, 5'000));
  out.push_back(shuffled_groups({{0, 96}, {449, 96}, {899, 96}, {5001, 96}}, random));
  out.emplace_back(1'500, -1);
  return out;
}

}  // namespace

TEST("numbers of groups that come to 255 rows and beyond, batch by batch, are those of rows counted one by one") {
  each_domain([]<class Value>(Value) {
    Random random{505};
    for (bool const constant : {true, false})
      for (std::size_t const weighted : {std::size_t{100}, std::size_t{3}}) {
        auto const batches = few_and_many(random);
        auto const grid = make_grid(as_knots(std::vector<Value>{1, 7, 40, 200}));
        NumericPlan plan{grid, {}, {}, grid->slots(), 5, 0, KeyOf<Value>::key(Value{0})};
        for (std::uint32_t slot = 0; slot < grid->slots(); ++slot) plan.to_coarse.push_back(slot % 5);
        std::vector<SetPlan> const sets{{true, true, false}, {true, false, false}, {false, true, true}};
        NumericState scattered(plan, sets);
        NumericState apart(plan, sets);
        NumericState spilling(plan, sets, 2'000);
        std::size_t moved = 0;
        for (std::size_t b = 0; b < batches.size(); ++b) {
          auto const& groups = batches[b];
          auto rows = sprinkled_rows<Value>(groups.size(), random);
          if (constant) std::fill(rows.begin(), rows.end(), Value{7});
          auto const column = make_column(rows, 3);
          std::vector<std::int32_t const*> const own(sets.size(), groups.data());
          std::vector<std::uint32_t> times(groups.size(), 1);
          for (auto& each : times) each += b == weighted ? static_cast<std::uint32_t>(random.below(300)) : 0;
          scattered.add(column.view(), own, b == weighted ? times.data() : nullptr);
          spilling.add(column.view(), own, b == weighted ? times.data() : nullptr);
          apart.add(column.view(), own, times.data());
          moved += BatchGroups(own, static_cast<std::int64_t>(groups.size())).scattered(0) ? 1 : 0;
          for (std::size_t s = 0; s < sets.size() && (b < 4 || b + 2 >= batches.size()); ++s) {
            std::string const about = "batch " + std::to_string(b) + ", set " + std::to_string(s);
            auto const expected = apart.finish(s);
            check_same(scattered.finish(s), expected, about);
            check_same(spilling.finish(s), expected, about + ", spilling");
            auto narrow = scattered.finish(s, true);
            if (narrow.narrow.empty()) continue;
            narrow.cell.assign(narrow.narrow.cell.begin(), narrow.narrow.cell.end());
            narrow.count.assign(narrow.narrow.count.begin(), narrow.narrow.count.end());
            check_same(narrow, expected, about + ", narrow");
          }
        }
        CHECK_EQ(moved, 8u);
      }
  });
}

namespace {

std::vector<std::int32_t> random_groups(std::size_t rows, std::int32_t groups, std::int32_t apart, Random& random) {
  std::vector<std::int32_t> out;
  for (std::size_t i = 0; i < rows; ++i) out.push_back((static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(groups) + 1)) - 1) * apart);
  for (auto& each : out) each = each < 0 ? -1 : each;
  return out;
}

}  // namespace

TEST("rows of some hundred groups are added up in the order of the tree of lanes, all of them once") {
  Random random{508};
  for (auto const& [rows, groups] : {std::pair{std::size_t{70'001}, 200}, std::pair{std::size_t{20'000}, 70}, std::pair{std::size_t{1'000}, 3}}) {
    auto const own = random_groups(rows, groups, 400, random);
    BatchGroups const by({own.data()}, static_cast<std::int64_t>(rows));
    TileGroups const* const in_tiles = by.in_tiles(0);
    CHECK(in_tiles != nullptr && in_tiles->ids().size() == static_cast<std::size_t>(groups));
    for (std::int64_t t = 0; t < by.tiles(); ++t) {
      auto const tile = in_tiles->of_tile(t);
      int const count = static_cast<int>(by.rows_of(t, t + 1));
      std::vector<std::string> sums;  // what is added up at each place, in words
      std::vector<std::vector<std::string>> lanes(static_cast<std::size_t>(groups), std::vector<std::string>(kLanes));
      auto const plus = [](std::string const& a, std::string const& b) { return a.empty() ? b : b.empty() ? a : "(" + a + "+" + b + ")"; };
      for (int p = 0; p < tile.begin[groups]; ++p) {
        sums.push_back(std::to_string(tile.order[p]));
        std::int32_t const group = in_tiles->ids()[tile.group[p]];
        CHECK_EQ(group, own[static_cast<std::size_t>(t * kTileRows + tile.order[p])]);
        CHECK(tile.begin[tile.group[p]] <= p && p < tile.begin[tile.group[p] + 1]);
      }
      for (int i = 0; i < count; ++i) {
        std::uint16_t const place = in_tiles->from_tile(t)[i];
        CHECK_EQ(place == groups ? -1 : in_tiles->ids()[place], own[static_cast<std::size_t>(t * kTileRows + i)]);
        if (place == groups) continue;
        auto& lane = lanes[place][static_cast<std::size_t>(i % kLanes)];
        lane = plus(lane, std::to_string(i));
      }
      for (int i = 0; i < tile.add_count; ++i) sums[tile.adds[2 * i]] = plus(sums[tile.adds[2 * i]], sums[tile.adds[2 * i + 1]]);
      for (int g = 0; g < groups; ++g) {
        auto& tree = lanes[static_cast<std::size_t>(g)];
        for (std::size_t half = kLanes / 2; half != 0; half /= 2)
          for (std::size_t lane = 0; lane < half; ++lane) tree[lane] = plus(tree[lane], tree[lane + half]);
        CHECK_EQ(tile.begin[g] == tile.begin[g + 1] ? std::string() : sums[tile.begin[g]], tree[0]);
      }
    }
  }
  auto const many = random_groups(60'000, 300, 1, random);  // fewer rows for each than 8-bit counters hold
  CHECK(BatchGroups({many.data()}, 60'000).scattered(0) && BatchGroups({many.data()}, 60'000).in_tiles(0) == nullptr);
  auto const more = random_groups(600, 2, 1'000, random);
  CHECK(BatchGroups({more.data()}, 600).in_tiles(0) != nullptr);
}

TEST("numbers of some hundred groups, tile by tile or stretch by stretch by turns, are those of rows counted one by one") {
  each_domain([]<class Value>(Value) {
    Random random{509};
    std::vector<std::vector<std::int32_t>> const batches{
        random_groups(20'017, 70, 1, random), random_groups(3'000, 90, 1, random), random_groups(60'000, 200, 3, random),
        random_groups(900, 2, 500, random),   std::vector<std::int32_t>(2'500, 7), random_groups(20'000, 65, 1, random)};
    auto const grid = make_grid(as_knots(std::vector<Value>{1, 7, 40, 200}));
    NumericPlan plan{grid, {}, {}, grid->slots(), 5, 0, KeyOf<Value>::key(Value{3})};
    for (std::uint32_t slot = 0; slot < grid->slots(); ++slot) plan.to_coarse.push_back(slot % 5);
    std::vector<SetPlan> const sets{{true, true, false}, {true, false, false}, {false, true, true}};
    NumericState scattered(plan, sets);
    NumericState apart(plan, sets);
    NumericState spilling(plan, sets, 5'000);
    int in_tiles = 0;
    for (std::size_t b = 0; b < batches.size(); ++b) {
      auto const& groups = batches[b];
      auto rows = sprinkled_rows<Value>(groups.size(), random);
      for (std::size_t i = 2'000; i < 4'100 && i < rows.size(); ++i) rows[i].reset();  // a tile of nothing but nulls
      auto const column = make_column(rows, 3);
      std::vector<std::int32_t const*> const own(sets.size(), groups.data());
      std::vector<std::uint32_t> const once(groups.size(), 1);
      scattered.add(column.view(), own);
      spilling.add(column.view(), own);
      apart.add(column.view(), own, once.data());
      in_tiles += BatchGroups(own, static_cast<std::int64_t>(groups.size())).in_tiles(0) != nullptr ? 1 : 0;
      for (std::size_t s = 0; s < sets.size(); ++s) {
        std::string const about = "batch " + std::to_string(b) + ", set " + std::to_string(s);
        auto const expected = apart.finish(s);
        check_same(scattered.finish(s), expected, about);
        check_same(spilling.finish(s), expected, about + ", spilling");
      }
    }
    CHECK_EQ(in_tiles, 4);
  });
}

TEST("a group of 255 rows in one cell is counted in eight bits, and its next row is not") {
  auto const grid = make_grid(as_knots(std::vector<double>{1.0, 7.0}));
  NumericPlan plan{grid, {}, {}, grid->slots(), 3, 0, KeyOf<double>::key(0.0)};
  for (std::uint32_t slot = 0; slot < grid->slots(); ++slot) plan.to_coarse.push_back(slot % 3);
  NumericState state(plan, {{true, true, false}});
  std::uint64_t rows = 0;
  auto const add = [&](std::size_t more) {
    Random random{506};
    auto const groups = shuffled_groups({{2, more}, {700, 1}}, random, 0);
    auto const column = make_column(reference::Rows<double>(groups.size(), 7.0));
    state.add(column.view(), {groups.data()});
    rows += more;
    return state.finish(0, true);
  };
  add(96);
  add(96);
  auto const few = add(63);
  CHECK_EQ(rows, 255u);
  CHECK(few.group == (std::vector<std::uint32_t>{2, 700}) && few.cell_begin == (std::vector<std::uint64_t>{0, 1, 2}));
  CHECK(few.narrow.count == (std::vector<std::uint8_t>{255, 3}) && few.count.empty());
  CHECK(few.moments[0].count == 255 && few.moments[0].mean == 7.0 && few.moments[0].m2 == 0.0);
  auto const moved = add(1);
  CHECK(moved.narrow.empty() && moved.count == (std::vector<std::uint64_t>{256, 4}));
  CHECK(moved.cell == (std::vector<std::uint32_t>{few.narrow.cell[0], few.narrow.cell[0]}));
  CHECK(moved.moments[0].count == 256 && moved.moments[1].count == 4 && moved.moments[0].mean == 7.0);
  CHECK(moved.low == moved.high && moved.low[0] == KeyOf<double>::key(7.0));
  auto const again = add(97);
  CHECK(again.count == (std::vector<std::uint64_t>{353, 5}) && again.moments[0].count == 353);
}

TEST("codes and text of groups that come to 255 rows and beyond are those of rows counted one by one") {
  Random random{507};
  std::vector<std::optional<std::string>> dictionary;
  for (int w = 0; w < 30; ++w) dictionary.push_back("w" + std::to_string(w));
  std::vector<std::string> known;
  for (int w = 0; w < 30; w += 3) known.push_back("w" + std::to_string(w));
  std::sort(known.begin(), known.end());
  for (bool const constant : {true, false})
    for (bool const coarse : {true, false})
      for (std::uint32_t const cap : {4u, 10'000u}) {
        CategoryPlan plan;
        plan.known = known;
        plan.unseen_cap = cap;
        if (coarse) plan.to_coarse.assign(known.size(), 3);  // without coarse sets there need be none
        plan.coarse_slots = 4;
        std::vector<SetPlan> sets{{false, false, true}};
        if (coarse) sets.push_back({true, false, false});
        CategoryState scattered(plan, sets);
        CategoryState apart(plan, sets);
        CategoryState of_text(plan, sets);
        auto const batches = few_and_many(random);
        for (std::size_t b = 0; b < batches.size(); ++b) {
          auto const& groups = batches[b];
          std::vector<std::int32_t> codes;
          std::vector<std::optional<std::string>> texts;
          for (std::size_t i = 0; i < groups.size(); ++i) {
            codes.push_back(constant ? 3 : static_cast<std::int32_t>(random.below(dictionary.size())));
            texts.push_back(dictionary[static_cast<std::size_t>(codes.back())]);
          }
          std::vector<std::int32_t const*> const own(sets.size(), groups.data());
          std::vector<std::uint32_t> const once(groups.size(), 1);
          auto const owner = owner_of(batch_node({coded_node(codes, text_node(dictionary))}));
          auto const view = category_view(column_of(*owner, 0));
          scattered.add(view, owner, own);
          apart.add(view, owner, own, once.data());
          auto const text_owner = owner_of(batch_node({text_node(texts)}));
          of_text.add(strings_view(column_of(*text_owner, 0)), BatchGroups(own, static_cast<std::int64_t>(groups.size())));
          for (std::size_t s = 0; s < sets.size() && (b < 4 || b + 2 == batches.size()); ++s) {
            auto const expected = apart.finish(s);
            for (CategoryState* const state : {&scattered, &of_text})
              for (bool const narrow : {false, true}) {
                auto found = state->finish(s, narrow);
                if (!found.narrow.empty()) {
                  found.cell.assign(found.narrow.cell.begin(), found.narrow.cell.end());
                  found.count.assign(found.narrow.count.begin(), found.narrow.count.end());
                }
                std::string const about = "batch " + std::to_string(b) + ", set " + std::to_string(s) + (state == &of_text ? ", text" : ", codes");
                CHECK_ABOUT(found.group == expected.group && found.cell_begin == expected.cell_begin, about);
                CHECK_ABOUT(found.cell == expected.cell && found.count == expected.count, about);
                CHECK_ABOUT(found.unseen == expected.unseen && found.unseen_group == expected.unseen_group && found.unseen_index == expected.unseen_index &&
                                found.unseen_count == expected.unseen_count, about);
                CHECK_ABOUT(found.register_group == expected.register_group && found.registers == expected.registers, about);
              }
          }
        }
      }
}
