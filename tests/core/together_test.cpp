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
      for (std::size_t const knot_count : {0u, 5u, 3000u}) {
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
