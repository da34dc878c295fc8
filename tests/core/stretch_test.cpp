// Rows of a stretch of tiles are counted some groups at a time where their keys have 32 bits: the same as one by one.

#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>
#include <string>

#include "check.hpp"
#include "columns.hpp"
#include "cpu/isa.hpp"
#include "engine/few_rows.hpp"
#include "engine/numeric_state.hpp"
#include "reference/reference.hpp"
#include "tables.hpp"

using namespace modelwatch;
using namespace modelwatch::test;
using cpu::KernelTable;
using cpu::RowBlock;

namespace {

void check_runs_here(KernelTable const& table) {
  auto const names = cpu::available_isas();
  if (std::find(names.begin(), names.end(), table.name) == names.end()) throw Skipped{"this machine cannot run " + std::string(table.name)};
}

Moments moments_of(MomentRow const& row, int g) {
  return {static_cast<std::uint64_t>(row.count[g]), row.mean[g], row.m2[g], row.m3[g], row.m4[g]};
}

template <class Value>
Value any_value(Random& random) {
  if constexpr (kIsFloat<Value>) {
    return random_value<Value>(random);
  } else {
    using Limits = std::numeric_limits<Value>;
    return random.below(4) != 0 ? static_cast<Value>(random.next()) : random.below(2) == 0 ? Limits::min() : Limits::max();
  }
}

/// A block of random rows, most of them alone in their tiles, against what the reference makes of each tile.
template <class Value>
void check_block(KernelTable const& table, Random& random, int groups, std::uint64_t most, std::uint64_t crowded) {
  bool const floats = kIsFloat<Value>;
  using Whole = std::conditional_t<kIsFloat<Value>, float, std::int64_t>;
  Whole const pivot = floats ? Whole{0} : static_cast<Whole>(static_cast<Value>(random.next()));
  auto const block = std::make_unique<RowBlock>();
  block->keys = {floats, static_cast<double>(pivot)};
  block->groups = groups;
  std::vector<std::vector<std::uint8_t>> lists(RowBlock::kGroups);
  std::vector<std::vector<std::uint16_t>> slots(RowBlock::kGroups);
  std::vector<Moments> expected(RowBlock::kGroups, Moments{});
  std::vector<std::uint32_t> low(RowBlock::kGroups, ~std::uint32_t{0});
  std::vector<std::uint32_t> high(RowBlock::kGroups, 0);
  std::vector<cpu::ShortRow> rows;
  for (int g = 0; g < RowBlock::kGroups; ++g) {
    block->list[g] = nullptr;
    rows.resize(rows.size() + random.below(3));  // of another block
    block->begin[g] = block->end[g] = static_cast<int>(rows.size());
    if (g >= groups) continue;
    if (g % 3 == 1) expected[static_cast<std::size_t>(g)] = {random.below(50) + 1, 0.25, 3.0, -7.5, 11.0};
    for (auto left = static_cast<int>(random.below(most) + 1); left > 0;) {
      int const together = random.below(crowded) == 0 ? std::min(left, static_cast<int>(random.below(4) + 1)) : 1;
      left -= together;
      reference::Rows<Whole> tile(kTileRows);
      std::size_t at = 0;
      for (int i = 0; i < together; ++i) {
        at += 1 + random.below(200);
        auto const value = random.below(3) == 0 ? std::optional<Value>{any_value<Value>(random)} : sprinkled_rows<Value>(1, random)[0];
        bool const missing = !value || KeyOf<Whole>::missing(static_cast<Whole>(*value));
        if (value) tile[at] = static_cast<Whole>(*value);
        bool const usable = !missing && KeyOf<Whole>::finite(static_cast<Whole>(*value));
        std::uint32_t const key = missing ? 77u : block->keys.of(KeyOf<Whole>::key(static_cast<Whole>(*value)));
        auto const slot = static_cast<std::uint16_t>(random.below(4096));
        std::uint32_t what = static_cast<std::uint32_t>(at) % kLanes | (missing ? RowBlock::kUnranked : 0u) | (usable ? 0u : RowBlock::kUnusable);
        if (i == 0 && together > 1) what |= RowBlock::kFirst | (together > 2 ? RowBlock::kBehind : 0u);
        if (i > 0) what |= RowBlock::kBehind;
        rows.push_back({key, slot | what << RowBlock::kSlotBits});
        ++block->end[g];
        slots[static_cast<std::size_t>(g)].push_back(slot);
        if (missing) continue;
        low[static_cast<std::size_t>(g)] = std::min(low[static_cast<std::size_t>(g)], key);
        high[static_cast<std::size_t>(g)] = std::max(high[static_cast<std::size_t>(g)], key);
        CHECK_EQ(block->keys.whole(key), std::uint64_t{KeyOf<Whole>::key(static_cast<Whole>(*value))});
      }
      expected[static_cast<std::size_t>(g)].merge(reference::moments(tile, pivot));
    }
  }
  for (int g = 0; g < RowBlock::kGroups; ++g) {
    auto& list = lists[static_cast<std::size_t>(g)];
    list.assign(2 * slots[static_cast<std::size_t>(g)].size() + 2, 0xab);
    if (g % 4 != 2 && g < groups) block->list[g] = list.data() + 1;  // at any address
    Moments const first = g < groups && g % 3 == 1 ? Moments{0, 0.25, 3.0, -7.5, 11.0} : Moments{};
    block->moments.mean[g] = first.mean, block->moments.m2[g] = first.m2, block->moments.m3[g] = first.m3, block->moments.m4[g] = first.m4;
  }
  block->rows = rows.data();
  // The counts that expected began with are what is not of the rows.
  for (int g = 0; g < RowBlock::kGroups; ++g) {
    std::uint64_t usable = 0;
    for (int i = block->begin[g]; i < block->end[g]; ++i)
      usable += (block->rows[i].slot >> RowBlock::kSlotBits & RowBlock::kUnusable) == 0 ? 1 : 0;
    block->moments.count[g] = static_cast<double>(expected[static_cast<std::size_t>(g)].count - usable);
  }
  auto const before = block->moments;
  for (bool const moments : {false, true}) {
    table.count_block(block.get(), moments);
    for (int g = 0; g < groups; ++g) {
      auto const at = static_cast<std::size_t>(g);
      CHECK_EQ(block->low[g], low[at]);
      CHECK_EQ(block->high[g], high[at]);
      auto const& list = lists[at];
      CHECK(list.front() == 0xab && list.back() == 0xab);
      if (block->list[g] != nullptr) CHECK(std::memcmp(list.data() + 1, slots[at].data(), 2 * slots[at].size()) == 0);
      if (moments) CHECK_ABOUT(same_bits(moments_of(block->moments, g), expected[at]), shown(moments_of(block->moments, g)) + " is not " + shown(expected[at]));
    }
    if (!moments) CHECK(std::memcmp(&before, &block->moments, sizeof before) == 0);
  }
}

/// Of counters that are 0 or not, in any number of slots.
void check_entries(KernelTable const& table, Random& random) {
  for (std::uint32_t const slots : {1u, 2u, 15u, 16u, 17u, 63u, 257u, 4096u})
    for (std::uint64_t const one_in : {1u, 2u, 9u, 1'000'000u}) {
      std::vector<std::uint8_t> counters;
      std::vector<std::uint16_t> expected;
      for (std::uint32_t slot = 0; slot < slots; ++slot) {
        counters.push_back(random.below(one_in) == 0 ? static_cast<std::uint8_t>(random.below(256)) : std::uint8_t{0});
        if (counters.back() != 0) expected.push_back(static_cast<std::uint16_t>(slot));
      }
      std::vector<std::uint16_t> cells(slots + cpu::kEntryRoom);
      std::vector<std::uint8_t> counts(slots + cpu::kEntryRoom);
      int const found = table.narrow_entries(counters.data(), slots, cells.data(), counts.data());
      CHECK_EQ(static_cast<std::size_t>(found), expected.size());
      for (std::size_t i = 0; i < expected.size(); ++i) CHECK(cells[i] == expected[i] && counts[i] == counters[expected[i]]);
    }
}

void check_table(KernelTable const& table) {
  check_runs_here(table);
  Random random{701};
  for (int const groups : {1, 2, 15, 16})
    for (std::uint64_t const most : {1u, 3u, 20u, 96u})
      for (std::uint64_t const crowded : {1u, 8u, 1'000u}) {
        check_block<float>(table, random, groups, most, crowded);
        check_block<std::int32_t>(table, random, groups, most, crowded);
        check_block<std::uint16_t>(table, random, groups, most, crowded);
      }
  check_entries(table, random);
}

}  // namespace

#if defined(__x86_64__)
TEST("the baseline kernel counts blocks of groups as the reference counts each of their tiles") { check_table(cpu::kernels_baseline); }
TEST("the x86-64-v3 kernel counts blocks of groups as the reference counts each of their tiles") { check_table(cpu::kernels_x86_64_v3); }
TEST("the x86-64-v4 kernel counts blocks of groups as the reference counts each of their tiles") { check_table(cpu::kernels_x86_64_v4); }
#else
TEST("the neon kernel counts blocks of groups as the reference counts each of their tiles") { check_table(cpu::kernels_baseline); }
#endif

namespace {

void check_same(NumericResult const& a, NumericResult const& b, std::string const& about) {
  CHECK_ABOUT(a.group == b.group && a.cell_begin == b.cell_begin && a.cell == b.cell && a.count == b.count, about);
  CHECK_ABOUT(a.low == b.low && a.high == b.high && a.gap == b.gap && a.gap_sum == b.gap_sum, about);
  CHECK_EQ(a.moments.size(), b.moments.size());
  for (std::size_t g = 0; g < a.moments.size() && g < b.moments.size(); ++g)
    CHECK_ABOUT(same_bits(a.moments[g], b.moments[g]), about + ": " + shown(a.moments[g]) + " is not " + shown(b.moments[g]));
}

/// Groups of all sizes: some have a row in a tile, some several, some more than 8 bits count.
std::vector<std::int32_t> groups_of(std::size_t rows, std::uint64_t many, Random& random) {
  std::vector<std::int32_t> out;
  for (std::size_t i = 0; i < rows; ++i) {
    std::uint64_t const kind = random.below(12);
    std::uint64_t const among = kind == 0 ? 5 : kind == 1 ? 120 : many;
    out.push_back(static_cast<std::int32_t>(random.below(among + 1)) - 1);
  }
  return out;
}

/// Values of a narrower type on a grid of wider ones, in sets of which all are on the coarse grid, or on the fine one.
template <class Stored, class Value>
void check_stretches(std::uint64_t pivot_key) {
  Random random{702};
  auto const grid = make_grid(as_knots(std::vector<Value>{1, 7, 40, 200, 255}));
  for (std::uint32_t const coarse : {3u, 8u, 200u, 301u})  // of the last two groups of few rows are lists
    for (bool const fine : {false, true}) {
      NumericPlan plan{grid, {}, {}, grid->slots(), coarse, 0, pivot_key};
      for (std::uint32_t slot = 0; slot < grid->slots(); ++slot) plan.to_coarse.push_back(slot % coarse);
      std::vector<SetPlan> const sets{{!fine, true, false}, {!fine, false, false}};
      NumericState scattered(plan, sets);
      NumericState apart(plan, sets);
      for (std::size_t const rows : {3'000u, 140'000u, 9'000u, 1'025u}) {
        std::vector<std::vector<std::int32_t>> const groups{groups_of(rows, 2'500, random), groups_of(rows, 700, random)};
        auto values = sprinkled_rows<Stored>(rows, random);
        for (std::size_t i = 0; i < rows; i += 1 + random.below(30)) values[i] = any_value<Stored>(random);
        auto const column = make_column(values, 5);
        std::vector<std::int32_t const*> const own{groups[0].data(), groups[1].data()};
        std::vector<std::uint32_t> const once(rows, 1);
        CHECK(BatchGroups(own, static_cast<std::int64_t>(rows)).scattered(0));
        scattered.add(column.view(), own);
        apart.add(column.view(), own, once.data());
        for (std::size_t s = 0; s < sets.size(); ++s)
          check_same(scattered.finish(s), apart.finish(s), std::to_string(rows) + " rows, set " + std::to_string(s) + (fine ? ", fine" : ""));
      }
    }
}

}  // namespace

TEST("the groups of a stretch are visited once each, and every row knows its neighbours in its tile") {
  Random random{703};
  for (std::size_t const rows : {2'000u, 150'000u}) {
    auto const groups = groups_of(rows, 2'000, random);
    BatchGroups const by({groups.data()}, static_cast<std::int64_t>(rows));
    CHECK(by.scattered(0));
    for (std::int64_t stretch = 0; stretch < by.stretches(); ++stretch) {
      auto const own = by.of_scattered(0, stretch);
      std::vector<bool> seen(own.count, false);
      for (std::size_t v = 0; v < own.count; ++v) {
        std::uint32_t const k = own.visits[v];
        CHECK(k < own.count && !seen[k]);
        seen[k] = true;
        for (std::uint32_t i = own.begin[k]; i < own.begin[k + 1]; ++i) {
          auto const same_tile = [&](std::uint32_t a, std::uint32_t b) {
            return b >= own.begin[k] && b < own.begin[k + 1] && own.rows[a] / kTileRows == own.rows[b] / kTileRows;
          };
          bool const behind = i > 0 && same_tile(i, i - 1);
          bool const first = !behind && same_tile(i, i + 1);
          bool const of_more = first && same_tile(i, i + 2);
          std::uint32_t const expected = own.rows[i] % kLanes | (behind || of_more ? RowBlock::kBehind : 0u) | (first ? RowBlock::kFirst : 0u);
          CHECK_EQ(std::uint32_t{own.tile_mates[i]}, expected);
        }
      }
    }
  }
}

TEST("floats and small integers in many groups, some groups at a time, are those of rows counted one by one") {
  auto const key = [](std::int64_t pivot) { return KeyOf<std::int64_t>::key(pivot); };
  std::int64_t constexpr kExact = std::int64_t{1} << 52;
  check_stretches<float, float>(KeyOf<float>::key(0));
  for (std::int64_t const pivot : {std::int64_t{0}, std::int64_t{-40}, kExact, -kExact, kExact + 1, std::int64_t{7} << 60}) {
    check_stretches<std::int8_t, std::int64_t>(key(pivot));
    check_stretches<std::uint16_t, std::int64_t>(key(pivot));
    check_stretches<std::int32_t, std::int64_t>(key(pivot));
  }
  check_stretches<std::uint32_t, std::int64_t>(key(3));
  check_stretches<std::int16_t, double>(KeyOf<double>::key(0.0));
}
