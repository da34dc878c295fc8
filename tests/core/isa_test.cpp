#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "check.hpp"
#include "columns.hpp"
#include "tables.hpp"
#include "core/golden_ratio.hpp"
#include "core/offset_rule.hpp"
#include "cpu/isa.hpp"
#include "engine/sketch.hpp"
#include "engine/tile_groups.hpp"
#include "reference/reference.hpp"

using namespace modelwatch;
using namespace modelwatch::test;
using cpu::KernelTable;

namespace {

struct Scratch {
  std::uint32_t cells[kTileRows];
  std::uint64_t keys[kTileRows];
  double values[kTileRows];
  std::uint64_t usable[kTileRows];
  std::uint8_t valid[kTileRows];
  cpu::GapRows gaps;
  std::uint32_t buckets[kTileRows];
  std::uint64_t hashes[kTileRows];
};

template <class Value>
reference::Rows<Value> tile_rows(int rows, Random& random) {
  auto out = sprinkled_rows<Value>(static_cast<std::size_t>(rows), random);
  for (auto& x : out)
    if (x && random.below(8) == 0) x = random_value<Value>(random);
  return out;
}

std::uint8_t const* expanded(KernelTable const& table, NumericView const& column, int rows, std::uint8_t* valid) {
  if (column.validity.bits == nullptr) return nullptr;
  int const found = table.expand_validity(column.validity, 0, rows, valid);
  int expected = 0;
  for (int i = 0; i < rows; ++i) {
    CHECK_EQ(valid[i] != 0, column.validity.valid(i));
    expected += column.validity.valid(i) ? 1 : 0;
  }
  CHECK_EQ(found, expected);
  return found < rows ? valid : nullptr;
}

std::vector<std::pair<std::uint32_t, std::uint64_t>> counts_of(BucketCounts const& buckets) {
  std::vector<std::pair<std::uint32_t, std::uint64_t>> out;
  buckets.each([&](std::uint32_t bucket, std::uint64_t count) { out.emplace_back(bucket, count); });
  return out;
}

void check_added(KernelTable const& table, Scratch& s, int found, Domain domain, cpu::GridData const& grid, cpu::GapSums const& expected,
                 Sketch const& sketch) {
  std::vector<std::uint64_t> fractions(grid.count + 1, 0);
  cpu::GapSums sums{fractions.data(), ~std::uint64_t{0}, 0};
  table.add_gaps(s.gaps, found, grid, &sums);
  CHECK(std::equal(fractions.begin(), fractions.end(), expected.sums));
  CHECK_EQ(sums.low, expected.low);
  CHECK_EQ(sums.high, expected.high);
  // The same, row by row.
  std::vector<std::uint64_t> each(static_cast<std::size_t>(found));
  std::vector<std::uint64_t> by_gap(fractions.size(), 0);
  table.gap_fractions(s.gaps, found, grid, each.data());
  for (int i = 0; i < found; ++i) by_gap[s.gaps.gap[i]] += each[static_cast<std::size_t>(i)];
  CHECK_EQ(by_gap, fractions);
  Sketch own;
  table.sketch_gaps(s.gaps, found, domain, false, s.buckets, s.hashes);
  own.buckets.add(s.buckets, found, table);
  own.registers.add(s.hashes, found, table);
  CHECK(counts_of(own.buckets) == counts_of(sketch.buckets));
  CHECK(own.registers.ranks() == sketch.registers.ranks());
}

template <class Value>
void check_ranks_and_gaps(KernelTable const& table, reference::Rows<Value> const& rows, std::vector<Value> const& knots) {
  auto const grid = make_grid(knots);
  auto const column = make_column(rows, 1);
  auto const s = std::make_unique<Scratch>();
  int const count = static_cast<int>(rows.size());
  auto const* const valid = expanded(table, column.view(), count, s->valid);
  table.rank_tile(column.view(), 0, count, grid->data(), valid, s->cells, s->keys);
  int const found = table.gap_rows(s->cells, s->keys, count, grid->slots() - 2, &s->gaps);
  int at = 0;
  std::vector<std::uint64_t> fractions(knots.size() + 1, 0);
  cpu::GapSums expected{fractions.data(), ~std::uint64_t{0}, 0};
  Sketch sketch;
  std::uint64_t low = ~std::uint64_t{0};
  std::uint64_t high = 0;
  for (int i = 0; i < count; ++i) {
    auto const& x = rows[static_cast<std::size_t>(i)];
    bool const ranked = x && *x == *x;
    std::uint32_t const cell = ranked ? reference::cell(*x, knots) : grid->slots() - (x ? 2u : 1u);
    CHECK_EQ(s->cells[i], cell);
    if (!ranked) continue;
    CHECK_EQ(s->keys[i], std::uint64_t{KeyOf<Value>::key(*x)});
    low = std::min(low, s->keys[i]);
    high = std::max(high, s->keys[i]);
    if (cell % 2 == 1) continue;
    std::uint32_t const gap = cell / 2;
    bool const inner = gap > grid->lower_tail() && gap < grid->upper_tail();
    CHECK(at < found);
    CHECK_EQ(s->gaps.row[at], static_cast<std::uint32_t>(i));
    CHECK_EQ(s->gaps.key[at], s->keys[i]);
    CHECK_EQ(s->gaps.gap[at++], gap);
    if (inner) fractions[gap] += gap_offset(*x, knots[gap - 1], knots[gap]);
    expected.low = std::min(expected.low, s->keys[i]);
    expected.high = std::max(expected.high, s->keys[i]);
    sketch.buckets.add(bucket_of(static_cast<double>(*x)), 1);
    sketch.registers.add(hash_number(*x));
  }
  CHECK_EQ(at, found);
  check_added(table, *s, found, domain_of<Value>(), grid->data(), expected, sketch);
  std::uint64_t table_low = ~std::uint64_t{0};
  std::uint64_t table_high = 0;
  table.key_range(s->cells, s->keys, count, grid->slots() - 2, &table_low, &table_high);
  CHECK_EQ(table_low, low);
  CHECK_EQ(table_high, high);
}

template <class Value>
void check_moments(KernelTable const& table, reference::Rows<Value> const& rows, Random& random) {
  Value const pivot = kIsFloat<Value> ? Value{0} : static_cast<Value>(random.next());
  auto const column = make_column(rows, 3);
  auto const s = std::make_unique<Scratch>();
  int const count = static_cast<int>(rows.size());
  auto const* const valid = expanded(table, column.view(), count, s->valid);
  int const usable = table.load_tile(column.view(), 0, count, domain_of<Value>(), KeyOf<Value>::key(pivot), valid, s->values, s->usable);
  Moments one;
  table.moments_one(s->values, s->usable, count, usable, &one);
  if (usable == count) std::fill_n(s->usable, count, ~std::uint64_t{0});
  auto const expected = reference::moments(rows, pivot);
  // The state never merges a tile without usable values, so only its count matters.
  CHECK_ABOUT(expected.count == 0 ? one.count == 0 : same_bits(one, expected), shown(one) + " is not " + shown(expected));

  constexpr int kSlots = 5;
  std::vector<std::int32_t> slots;
  for (int i = 0; i < count; ++i) slots.push_back(static_cast<std::int32_t>(random.below(kSlots + 1)) - 1);
  std::vector<MomentLanes> many_lanes(kSlots);
  std::vector<Moments> many(kSlots);
  table.moments_slots(s->values, s->usable, slots.data(), nullptr, count, kSlots, many_lanes.data(), many.data());
  // A tile that is added twice is merged with itself.
  MomentRow grouped[1] = {};
  for (int times = 0; times < 2 && count > 0; ++times)
    table.moments_grouped(s->values, usable == count ? nullptr : s->usable, TileGroups({0, 1, 2, 3, 4}, slots.data(), count).of_tile(0), grouped);
  for (int slot = 0; slot < kSlots; ++slot) {
    auto mine = rows;
    for (std::size_t i = 0; i < mine.size(); ++i)
      if (slots[i] != slot) mine[i].reset();
    auto alone = reference::moments(mine, pivot);
    CHECK(alone.count == 0 ? many[static_cast<std::size_t>(slot)].count == 0 : same_bits(many[static_cast<std::size_t>(slot)], alone));
    MomentRow const& row = grouped[0];
    Moments const twice{static_cast<std::uint64_t>(row.count[slot]), row.mean[slot], row.m2[slot], row.m3[slot], row.m4[slot]};
    alone.merge(Moments{alone});
    CHECK_ABOUT(alone.count == 0 ? twice.count == 0 : same_bits(twice, alone), shown(twice) + " is not " + shown(alone));
  }
}

/// Moments of groups side by side are those of each alone, whatever comes first and whoever has nothing.
void check_folding(KernelTable const& table, Random& random) {
  constexpr int kSteps = 9;
  auto const number = [&] { return static_cast<double>(static_cast<std::int64_t>(random.next())) / 4.0e15; };
  MomentRow steps[kSteps] = {};
  MomentRow sums{};
  Moments expected[MomentRow::kGroups] = {};
  auto const put = [](MomentRow& row, int g, Moments const& own) {
    row.count[g] = static_cast<double>(own.count), row.mean[g] = own.mean, row.m2[g] = own.m2, row.m3[g] = own.m3, row.m4[g] = own.m4;
  };
  for (int g = 0; g < MomentRow::kGroups; ++g) {
    if (g % 2 == 1) expected[g] = {random.below(1000) + 1, number(), number() * number(), number(), number()};
    put(sums, g, expected[g]);
    for (int step = 0; step < kSteps && g != 3; ++step) {
      auto const rows = random.below(4);
      if (rows == 0) continue;
      Moments own{rows, number(), 0.0, 0.0, 0.0};
      if (rows > 1) own.m2 = number(), own.m3 = number(), own.m4 = number();
      put(steps[step], g, own);
      expected[g].merge(own);
    }
  }
  table.fold_moments(steps, kSteps, &sums);
  for (int g = 0; g < MomentRow::kGroups; ++g) {
    Moments const found{static_cast<std::uint64_t>(sums.count[g]), sums.mean[g], sums.m2[g], sums.m3[g], sums.m4[g]};
    CHECK_ABOUT(same_bits(found, expected[g]), shown(found) + " is not " + shown(expected[g]));
  }
}

/// skewed: nine of ten rows have one cell.
void check_counting(KernelTable const& table, int rows, bool skewed, Random& random) {
  constexpr std::uint32_t kCells = 37;
  std::vector<std::uint32_t> cells;
  std::vector<std::uint32_t> map;
  for (std::uint32_t i = 0; i < kCells; ++i) map.push_back(static_cast<std::uint32_t>(random.next()));
  for (int i = 0; i < rows; ++i) cells.push_back(skewed && random.below(10) != 0 ? 5u : static_cast<std::uint32_t>(random.below(kCells)));
  std::vector<std::uint32_t> one(kCells, 0);
  std::vector<std::uint32_t> four(4 * kCells, 0);
  std::vector<std::uint32_t> mapped(static_cast<std::size_t>(rows));
  std::vector<std::uint32_t> expected(kCells, 0);
  table.count_one(cells.data(), rows, one.data());
  table.count_four(cells.data(), rows, four.data(), kCells);
  table.map_cells(cells.data(), rows, map.data(), mapped.data());
  for (std::size_t i = 0; i < cells.size(); ++i) {
    ++expected[cells[i]];
    CHECK_EQ(mapped[i], map[cells[i]]);
  }
  CHECK_EQ(one, expected);
  for (std::uint32_t cell = 0; cell < kCells; ++cell)
    CHECK_EQ(four[cell] + four[kCells + cell] + four[2 * kCells + cell] + four[3 * kCells + cell], expected[cell]);
}

/// Codes of any width, valid or not.
template <class Code>
void check_codes(KernelTable const& table, int rows, bool skewed, Random& random) {
  constexpr std::uint32_t kCodes = 23;
  constexpr std::uint32_t kStride = kCodes + 1;
  reference::Rows<Code> codes;
  for (int i = 0; i < rows; ++i) {
    codes.emplace_back(static_cast<Code>(skewed && random.below(10) != 0 ? 7 : random.below(kCodes)));
    if (random.below(skewed ? 60 : 6) == 0) codes.back().reset();
  }
  auto const column = make_column(codes, 5);
  std::uint8_t valid[kTileRows];
  std::vector<std::uint32_t> counters(4 * kStride, 0);
  table.count_codes(column.view(), 0, rows, expanded(table, column.view(), rows, valid), kCodes, counters.data(), kStride);
  std::vector<std::uint32_t> expected(kStride, 0);
  for (auto const& code : codes) ++expected[code ? static_cast<std::uint32_t>(*code) : kCodes];
  for (std::uint32_t code = 0; code < kStride; ++code)
    CHECK_EQ(counters[code] + counters[kStride + code] + counters[2 * kStride + code] + counters[3 * kStride + code], expected[code]);
}

/// Integers ranked by a table that holds some of them.
template <class Value>
void check_cell_table(KernelTable const& table, int rows, Random& random) {
  for (std::int64_t const first : {std::int64_t{std::numeric_limits<Value>::min()}, std::int64_t{100}, std::int64_t{1} << 31}) {
    if (first > static_cast<std::int64_t>(std::min<std::uint64_t>(std::numeric_limits<Value>::max(), std::numeric_limits<std::int64_t>::max()))) continue;
    std::vector<std::uint32_t> cell_of(20);
    for (auto& cell : cell_of) cell = static_cast<std::uint32_t>(random.below(1000));
    std::int64_t const last = first + 19;
    reference::Rows<Value> values;
    for (int i = 0; i < rows; ++i) {
      values.emplace_back(random.below(3) == 0 ? static_cast<Value>(random.next()) : static_cast<Value>(static_cast<std::uint64_t>(first) + random.below(22) - 1));
      if (random.below(6) == 0) values.back().reset();
    }
    auto const column = make_column(values, 5);
    std::uint8_t valid[kTileRows];
    std::uint32_t cells[kTileRows];
    std::uint64_t keys[kTileRows];
    table.rank_by_table(column.view(), 0, rows, {cell_of.data(), first, last}, 4321, expanded(table, column.view(), rows, valid), cells, keys);
    for (int i = 0; i < rows; ++i) {
      auto const& x = values[static_cast<std::size_t>(i)];
      if (!x) {
        CHECK_EQ(cells[i], 4321u);
        continue;
      }
      auto const wide = static_cast<std::int64_t>(*x);
      CHECK_EQ(cells[i], cell_of[static_cast<std::size_t>(std::clamp(wide, first, last) - first)]);
      CHECK_EQ(keys[i], KeyOf<std::int64_t>::key(wide));
    }
  }
}

/// Keys of rows that have a value, the pieces of intervals they lie in, and those that a filter lets through.
template <class Value>
void check_keys(KernelTable const& table, reference::Rows<Value> const& rows, Random& random) {
  auto const column = make_column(rows, 3);
  int const count = static_cast<int>(rows.size());
  std::uint8_t valid[kTileRows];
  std::uint64_t keys[kTileRows];
  int const found = table.key_tile(column.view(), 0, count, domain_of<Value>(), expanded(table, column.view(), count, valid), keys);
  std::vector<std::uint64_t> expected;
  for (auto const& x : rows)
    if (x && *x == *x) expected.push_back(KeyOf<Value>::key(*x));
  CHECK_EQ(std::vector<std::uint64_t>(keys, keys + found), expected);
  int const bits = sizeof(typename KeyOf<Value>::Key) * 8;
  for (int const shift : {64, bits - 4, bits - 9}) {
    constexpr int kSplit = 3;
    std::uint64_t const least = shift == 64 ? 0 : 2;
    std::vector<std::uint32_t> first(shift == 64 ? 1 : 5);
    for (std::size_t i = 0; i < first.size(); ++i) first[i] = i % 3 == 1 ? kNoInterval : static_cast<std::uint32_t>(i);
    first.push_back(kNoInterval);
    cpu::IntervalPlaces const places{first.data(), least, first.size() - 1, shift, kSplit, shift - kSplit, 99};
    std::uint32_t counters[kTileRows];
    table.split_keys(keys, found, places, counters);
    for (int i = 0; i < found; ++i) {
      std::uint64_t const prefix = shift == 64 ? 0 : keys[i] >> shift;
      bool const inside = prefix >= least && prefix < least + places.count && first[prefix - least] != kNoInterval;
      std::uint64_t const piece = (shift == 64 ? keys[i] : keys[i] - (prefix << shift)) >> places.piece;
      CHECK_EQ(counters[i], inside ? first[prefix - least] * 8 + static_cast<std::uint32_t>(piece) : places.none);
    }
    std::vector<std::uint32_t> letting((std::size_t{1} << cpu::KeyFilter::kPlaceBits) / 32);
    for (auto& word : letting) word = static_cast<std::uint32_t>(random.next());
    std::uint64_t kept[kTileRows];
    int const let = table.filter_keys(keys, found, {letting.data(), shift}, kept);
    std::vector<std::uint64_t> wanted;
    for (int i = 0; i < found; ++i) {
      std::uint64_t const place = (shift == 64 ? 0 : keys[i] >> shift) * kGoldenRatio >> (64 - cpu::KeyFilter::kPlaceBits);
      if ((letting[place / 32] >> (place % 32) & 1u) != 0) wanted.push_back(keys[i]);
    }
    CHECK_EQ(std::vector<std::uint64_t>(kept, kept + let), wanted);
  }
}

/// All a table offers against the reference: tables that equal it equal each other.
void check_table(KernelTable const& table) {
  auto const names = cpu::available_isas();
  if (std::find(names.begin(), names.end(), table.name) == names.end()) throw Skipped{"this machine cannot run " + std::string(table.name)};
  Random random{71};
  for (int const rows : {0, 1, 7, 8, 15, 16, 17, 31, 33, 1000, 1023, 1024}) {
    each_domain([&]<class Value>(Value) {
      auto const column = tile_rows<Value>(rows, random);
      std::vector<Value> knots;
      for (std::size_t i = 0; i < column.size(); i += 9)
        if (column[i] && *column[i] == *column[i]) knots.push_back(*column[i]);
      check_ranks_and_gaps(table, column, as_knots(knots));
      check_ranks_and_gaps(table, column, as_knots<Value>({}));
      check_moments(table, column, random);
      check_keys(table, column, random);
    });
    check_folding(table, random);
    for (bool const skewed : {false, true}) {
      check_counting(table, rows, skewed, random);
      check_codes<std::int8_t>(table, rows, skewed, random);
      check_codes<std::uint8_t>(table, rows, skewed, random);
      check_codes<std::int16_t>(table, rows, skewed, random);
      check_codes<std::uint16_t>(table, rows, skewed, random);
      check_codes<std::int32_t>(table, rows, skewed, random);
      check_codes<std::uint32_t>(table, rows, skewed, random);
      check_codes<std::int64_t>(table, rows, skewed, random);
      check_codes<std::uint64_t>(table, rows, skewed, random);
    }
    check_cell_table<std::int8_t>(table, rows, random);
    check_cell_table<std::uint8_t>(table, rows, random);
    check_cell_table<std::int16_t>(table, rows, random);
    check_cell_table<std::uint16_t>(table, rows, random);
    check_cell_table<std::int32_t>(table, rows, random);
    check_cell_table<std::uint32_t>(table, rows, random);
    check_cell_table<std::int64_t>(table, rows, random);
  }
}

}  // namespace

#if defined(__x86_64__)
TEST("the baseline kernels equal the reference in cells, gaps, counts and the bits of moments") { check_table(cpu::kernels_baseline); }
TEST("the x86-64-v3 kernels equal the reference in cells, gaps, counts and the bits of moments") { check_table(cpu::kernels_x86_64_v3); }
TEST("the x86-64-v4 kernels equal the reference in cells, gaps, counts and the bits of moments") { check_table(cpu::kernels_x86_64_v4); }
#else
TEST("the neon kernels equal the reference in cells, gaps, counts and the bits of moments") { check_table(cpu::kernels_baseline); }
#endif

TEST("the chosen instruction set is one of those available") {
  auto const names = cpu::available_isas();
  CHECK(std::find(names.begin(), names.end(), cpu::chosen_isa()) != names.end());
}
