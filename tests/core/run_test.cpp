#include <algorithm>
#include <memory>
#include <vector>

#include "check.hpp"
#include "columns.hpp"
#include "cpu/isa.hpp"
#include "engine/sketch.hpp"
#include "reference/reference.hpp"
#include "tables.hpp"

using namespace modelwatch;
using namespace modelwatch::test;
using cpu::KernelTable;

namespace {

struct Scratch {
  std::uint8_t valid[kTileRows];
  std::uint32_t cells[kTileRows];
  std::uint64_t keys[kTileRows];
  std::uint64_t beyond[kTileRows];
  std::uint32_t buckets[kTileRows];
  std::uint64_t hashes[kTileRows];
  double values[kTileRows];
  std::uint64_t usable[kTileRows];
  cpu::GapRows gaps;
};

std::vector<std::pair<std::uint32_t, std::uint64_t>> counts_of(BucketCounts const& buckets) {
  std::vector<std::pair<std::uint32_t, std::uint64_t>> out;
  buckets.each([&](std::uint32_t bucket, std::uint64_t count) { out.emplace_back(bucket, count); });
  return out;
}

std::uint8_t const* expanded(KernelTable const& table, NumericView const& column, std::uint8_t* valid) {
  if (column.validity.bits == nullptr) return nullptr;
  int const rows = static_cast<int>(column.rows);
  return table.expand_validity(column.validity, 0, rows, valid) < rows ? valid : nullptr;
}

/// count_run against the passes over a tile, which are held to the reference elsewhere.
void check_one_go(KernelTable const& table, NumericView const& column, Grid const& grid, bool sketches, bool windows) {
  auto const data = grid.data();
  CHECK(data.records != nullptr);
  auto const s = std::make_unique<Scratch>();
  int const rows = static_cast<int>(column.rows);
  std::uint8_t const* const valid = expanded(table, column, s->valid);
  std::vector<std::uint32_t> slots(grid.slots(), 0);
  auto const& cells = grid.bucket_cells();
  std::vector<std::uint64_t> gaps(grid.count() + 1 + cells.size(), 0);
  Sketch own;
  cpu::RunCounters run{slots.data(), gaps.data(), ~std::uint64_t{0}, 0, nullptr, {}, s->buckets, 0};
  if (sketches) {
    run.ranks = own.registers.data();
    if (windows) run.window = cells.window();
  }
  int const on_knots = table.count_run(column, 0, rows, data, valid, &run);
  own.buckets.add(run.outside, run.outside_rows, table);
  std::uint64_t inside = 0;
  cells.take(
      gaps.data() + grid.count() + 1, [&](std::size_t gap, std::uint64_t counter) { gaps[gap] += counter; },
      [&](std::uint32_t bucket, std::uint64_t counted) {
        own.buckets.add(bucket, counted);
        inside += counted;
      });
  CHECK(std::all_of(gaps.begin() + grid.count() + 1, gaps.end(), [](std::uint64_t counter) { return counter == 0; }));

  table.rank_tile(column, 0, rows, data, valid, s->cells, s->keys);
  int const found = table.gap_rows(s->cells, s->keys, rows, grid.slots() - 2, &s->gaps);
  std::vector<std::uint32_t> expected(grid.slots(), 0);
  for (int i = 0; i < rows; ++i) ++expected[s->cells[i]];
  int knots = 0;
  for (std::size_t slot = 1; slot + 2 < expected.size(); slot += 2) knots += static_cast<int>(expected[slot]);
  CHECK_EQ(on_knots, knots);
  if (sketches) CHECK_EQ(inside + static_cast<std::uint64_t>(run.outside_rows), static_cast<std::uint64_t>(found));
  if (!windows || !sketches) CHECK_EQ(inside, 0u);
  std::vector<std::uint64_t> sums(grid.count() + 1, 0);
  cpu::GapSums expected_sums{sums.data(), ~std::uint64_t{0}, 0};
  table.add_gaps(s->gaps, found, data, &expected_sums);
  for (std::size_t gap = 0; gap <= grid.count(); ++gap) {
    CHECK_EQ(slots[2 * gap], 0u);
    slots[2 * gap] = static_cast<std::uint32_t>(gaps[gap] >> cpu::RunCounters::kSumBits);
    CHECK_EQ(gaps[gap] & ((std::uint64_t{1} << cpu::RunCounters::kSumBits) - 1), sums[gap]);
  }
  CHECK_EQ(slots, expected);
  CHECK_EQ(run.low, expected_sums.low);
  CHECK_EQ(run.high, expected_sums.high);
  Sketch passes;
  table.sketch_gaps(s->gaps, found, grid.domain(), false, s->buckets, s->hashes);
  if (sketches) {
    passes.buckets.add(s->buckets, found, table);
    passes.registers.add(s->hashes, found, table);
  }
  CHECK(counts_of(own.buckets) == counts_of(passes.buckets));
  CHECK(own.registers.ranks() == passes.registers.ranks());
}

void check_beyond(KernelTable const& table, NumericView const& column, Grid const& grid) {
  auto const s = std::make_unique<Scratch>();
  int const rows = static_cast<int>(column.rows);
  std::uint8_t const* const valid = expanded(table, column, s->valid);
  table.rank_tile(column, 0, rows, grid.data(), valid, s->cells, s->keys);
  std::uint64_t const below = grid.knots()[grid.count() / 3];
  std::uint64_t const above = grid.knots()[grid.count() / 2];
  std::vector<std::uint64_t> expected;
  for (int i = 0; i < rows; ++i)
    if (s->cells[i] < grid.slots() - 2 && (s->keys[i] < below || s->keys[i] > above)) expected.push_back(s->keys[i]);
  int const found = table.keys_beyond(column, 0, rows, grid.domain(), valid, below, above, s->beyond);
  CHECK_EQ(std::vector<std::uint64_t>(s->beyond, s->beyond + found), expected);
}

template <class Value>
void check_moments(KernelTable const& table, reference::Rows<Value> rows) {
  auto const told = [&](Moments* out) {
    auto const column = make_column(rows);
    return table.moments_floats(column.view(), 0, static_cast<int>(rows.size()), out);
  };
  Moments found;
  for (auto& x : rows)
    if (!x || !KeyOf<Value>::finite(*x)) x = Value{-0.0};
  CHECK_EQ(told(&found), 1);
  auto const expected = reference::moments(rows, Value{0});
  CHECK_ABOUT(expected.count == 0 ? found.count == 0 : same_bits(found, expected), shown(found) + " is not " + shown(expected));
  for (Value const hard : {static_cast<Value>(__builtin_nan("")), static_cast<Value>(-__builtin_inf())}) {
    if (rows.empty()) return;
    rows.back() = hard;
    CHECK_EQ(told(&found), 0);
  }
}

reference::Rows<float> tile_rows(int rows, bool nulls, Random& random) {
  auto out = sprinkled_rows<float>(static_cast<std::size_t>(rows), random);
  for (auto& x : out) {
    if (x && random.below(8) == 0) x = random_value<float>(random);
    if (!x && !nulls) x = __builtin_nanf("");
  }
  return out;
}

/// A grid with a knot at every so-manieth of the values: rows on knots are many where each value is one.
template <class Value>
std::shared_ptr<Grid const> grid_of(reference::Rows<Value> const& rows, std::size_t every) {
  std::vector<Value> knots;
  for (std::size_t i = 0; i < rows.size(); i += every)
    if (rows[i] && *rows[i] == *rows[i]) knots.push_back(*rows[i]);
  return make_grid(as_knots(knots));
}

void check_table(KernelTable const& table) {
  auto const names = cpu::available_isas();
  if (std::find(names.begin(), names.end(), table.name) == names.end()) throw Skipped{"this machine cannot run " + std::string(table.name)};
  Random random{73};
  for (int const rows : {0, 1, 7, 8, 9, 15, 16, 17, 63, 64, 65, 1000, 1023, 1024})
    for (bool const nulls : {false, true}) {
      auto const narrow = tile_rows(rows, nulls, random);
      reference::Rows<double> wide;
      for (auto const& x : narrow) wide.push_back(x ? std::optional<double>{*x} : std::nullopt);
      check_moments(table, narrow);
      check_moments(table, wide);
      auto const narrow_column = make_column(narrow, 3);
      auto const wide_column = make_column(wide, 3);
      for (std::size_t const every : {1u, 9u, 5000u}) {
        auto const own = grid_of(narrow, every);
        auto const lifted = grid_of(wide, every);
        check_beyond(table, narrow_column.view(), *own);
        check_beyond(table, narrow_column.view(), *lifted);
        check_beyond(table, wide_column.view(), *lifted);
        for (bool const sketches : {false, true})
          for (bool const windows : {false, true}) {
            if (!table.counts_runs) continue;
            check_one_go(table, narrow_column.view(), *own, sketches, windows);
            check_one_go(table, narrow_column.view(), *lifted, sketches, windows);
            check_one_go(table, wide_column.view(), *lifted, sketches, windows);
          }
      }
    }
}

}  // namespace

#if defined(__x86_64__)
TEST("the baseline kernels find moments of floats and values beyond knots") { check_table(cpu::kernels_baseline); }
TEST("the x86-64-v3 kernels find moments of floats and values beyond knots") { check_table(cpu::kernels_x86_64_v3); }
TEST("the x86-64-v4 kernels count floats of one group in one go as in passes") { check_table(cpu::kernels_x86_64_v4); }
#else
TEST("the neon kernels find moments of floats and values beyond knots") { check_table(cpu::kernels_baseline); }
#endif
