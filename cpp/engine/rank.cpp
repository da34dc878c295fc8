#include "engine/rank.hpp"

#include <algorithm>
#include <utility>

#include "core/error.hpp"
#include "engine/arrow_view.hpp"  // code_at
#include "engine/stripes.hpp"

namespace modelwatch {

namespace {

/// The smallest and the largest of one or more numbers; std::minmax_element would branch at each.
std::pair<std::int64_t, std::int64_t> range_of(std::int64_t const* values, std::int64_t rows) {
  std::int64_t low = values[0];
  std::int64_t high = values[0];
  for (std::int64_t i = 1; i < rows; ++i) {
    low = values[i] < low ? values[i] : low;
    high = values[i] > high ? values[i] : high;
  }
  return {low, high};
}

}  // namespace

bool fits(Storage storage, Domain domain) {
  switch (domain) {
    case Domain::float32: return storage == Storage::float32;
    case Domain::float64: return storage != Storage::int64 && storage != Storage::uint64;
    case Domain::int64: return storage < Storage::uint64;
    case Domain::uint64: return storage == Storage::uint64;
  }
  return false;
}

std::uint8_t const* valid_rows(Validity const& validity, std::int64_t begin, int rows, std::uint8_t* valid) {
  if (validity.bits == nullptr) return nullptr;
  return cpu::kernels().expand_validity(validity, begin, rows, valid) < rows ? valid : nullptr;
}

std::vector<std::uint64_t> count_cells(NumericView const& column, Grid const& grid, int threads, Poll const& poll) {
  if (!fits(column.storage, grid.domain())) throw InvalidInput("the values cannot be compared with the grid: their types differ.");
  auto const& kernel = cpu::kernels();
  auto const data = grid.data();
  std::vector<std::uint64_t> totals(grid.slots(), 0);
  std::vector<std::vector<std::uint32_t>> counters(static_cast<std::size_t>(stripes_of(column.rows, threads)));
  each_stripe(
      column.rows, threads, poll,
      [&](std::size_t stripe, std::int64_t begin, std::int64_t end) {
        auto& mine = counters[stripe];
        mine.assign(grid.slots(), 0);
        std::uint32_t cells[kTileRows];
        std::uint64_t keys[kTileRows];
        std::uint8_t valid[kTileRows];
        for (std::int64_t at = begin; at < end; at += kTileRows) {
          int const n = static_cast<int>(std::min<std::int64_t>(kTileRows, end - at));
          kernel.rank_tile(column, at, n, data, valid_rows(column, at, n, valid), cells, keys);
          kernel.count_one(cells, n, mine.data());
        }
      },
      [&](std::int64_t, std::int64_t) {
        for (auto const& mine : counters)
          for (std::size_t slot = 0; slot < mine.size(); ++slot) totals[slot] += mine[slot];
      });
  return totals;
}

std::vector<std::uint32_t> rank_cells(NumericView const& column, Grid const& grid) {
  if (!fits(column.storage, grid.domain())) throw InvalidInput("the values cannot be compared with the grid: their types differ.");
  std::vector<std::uint32_t> cells(static_cast<std::size_t>(column.rows));
  std::uint64_t keys[kTileRows];
  std::uint8_t valid[kTileRows];
  for (std::int64_t at = 0; at < column.rows; at += kTileRows) {
    int const n = static_cast<int>(std::min<std::int64_t>(kTileRows, column.rows - at));
    cpu::kernels().rank_tile(column, at, n, grid.data(), valid_rows(column, at, n, valid), cells.data() + at, keys);
  }
  return cells;
}

void check_pairs(std::int64_t n, std::int64_t m) {
  if (static_cast<double>(n) * static_cast<double>(m) >= 4e18) throw InvalidInput("there are too many rows.");
}

void check_sorted_sides(NumericView const& a, NumericView const& b) {
  if (a.storage != b.storage) throw InvalidInput("both sides must have one type.");
  if (a.validity.bits != nullptr || b.validity.bits != nullptr) throw InvalidInput("sorted values have no nulls.");
  check_pairs(a.rows, b.rows);
  bool const known = a.storage == Storage::float32 || a.storage == Storage::float64 || a.storage == Storage::int64 || a.storage == Storage::uint64;
  if (!known) throw InvalidInput("sorted values are float32, float64, int64 or uint64.");
}

void check_intervals(NumericView const& values, std::vector<std::int64_t> const& boundaries) {
  if (values.storage >= Storage::float32) throw InvalidInput("times must be integers.");
  for (std::size_t i = 1; i < boundaries.size(); ++i)
    if (boundaries[i] <= boundaries[i - 1]) throw InvalidInput("boundaries must be strictly increasing.");
}

Intervals interval_of(NumericView const& values, std::vector<std::int64_t> const& boundaries) {
  check_intervals(values, boundaries);
  std::size_t const outside = boundaries.empty() ? 0 : boundaries.size() - 1;
  Intervals out{std::vector<std::int32_t>(static_cast<std::size_t>(values.rows)), std::vector<std::int64_t>(outside + 1, 0)};
  std::size_t current = 0;  // logs are nearly sorted: look where the last row was
  auto const find = [&](std::int64_t x) {
    if (outside == 0) return outside;
    if (x >= boundaries[current] && x < boundaries[current + 1]) return current;
    auto const after = std::upper_bound(boundaries.begin(), boundaries.end(), x);
    if (after == boundaries.begin() || after == boundaries.end()) return outside;
    return current = static_cast<std::size_t>(after - boundaries.begin() - 1);
  };
  auto const put = [&](std::int64_t row, std::int64_t rows, std::size_t interval) {
    std::fill_n(out.of_row.begin() + row, rows, static_cast<std::int32_t>(interval));
    out.rows[interval] += rows;
  };
  for (std::int64_t row = 0; row < values.rows; row += kTileRows) {
    std::int64_t const rows = std::min<std::int64_t>(kTileRows, values.rows - row);
    if (values.storage == Storage::int64 && values.validity.bits == nullptr) {
      // Most tiles lie in one interval as a whole.
      auto const [low, high] = range_of(static_cast<std::int64_t const*>(values.values) + row, rows);
      std::size_t const interval = find(low);
      if (interval == find(high) && interval != outside) {
        put(row, rows, interval);
        continue;
      }
    }
    for (std::int64_t i = row; i < row + rows; ++i) put(i, 1, values.validity.valid(i) ? find(code_at(values, i)) : outside);
  }
  return out;
}

std::vector<std::int64_t> unknown_pairs(std::int32_t const* a, std::int32_t const* b, std::int64_t many, std::int64_t rows,
                                        std::int32_t const* numbers, std::int64_t pairs) {
  std::vector<std::uint8_t> seen(static_cast<std::size_t>(pairs), 0);
  for (std::int64_t i = 0; i < rows; ++i) {
    std::int64_t const pair = a[i] * many + b[i];
    if (pair < 0 || pair >= pairs) throw InvalidInput("a row has a group that is not there.");
    seen[static_cast<std::size_t>(pair)] = 1;
  }
  std::vector<std::int64_t> out;
  for (std::int64_t pair = 0; pair < pairs; ++pair)
    if (seen[static_cast<std::size_t>(pair)] != 0 && numbers[pair] < 0) out.push_back(pair);
  return out;
}

bool known_groups(std::int32_t const* a, std::int32_t const* b, std::int64_t many, std::int64_t rows, std::int32_t const* numbers,
                  std::int64_t pairs, std::int64_t* counts, std::int64_t counters, std::int32_t* out) {
  std::int32_t most = -1;
  std::int32_t signs = 0;
  for (std::int64_t i = 0; i < rows; ++i) {
    std::int64_t const pair = a[i] * many + b[i];
    if (pair < 0 || pair >= pairs) throw InvalidInput("a row has a group that is not there.");
    std::int32_t const number = numbers[pair];
    most = std::max(most, number);
    signs |= number;
    out[i] = number;
  }
  if (most >= counters) throw InvalidInput("a number has no counter.");
  if (signs < 0) return false;
  // Few counters are there four times, so that equal rows do not wait for each other.
  std::int64_t const used = std::int64_t{most} + 1;
  if (4 * used > rows) {
    for (std::int64_t i = 0; i < rows; ++i) ++counts[out[i]];
    return true;
  }
  constexpr std::int64_t kPiece = std::int64_t{1} << 30;  // before 32 bits could overflow
  std::vector<std::uint32_t> four(static_cast<std::size_t>(4 * used));
  std::vector<std::uint32_t> cells(kTileRows);
  for (std::int64_t piece = 0; piece < rows; piece += kPiece) {
    std::int64_t const end = std::min(rows, piece + kPiece);
    for (std::int64_t begin = piece; begin < end; begin += kTileRows) {
      int const here = static_cast<int>(std::min<std::int64_t>(kTileRows, end - begin));
      for (int i = 0; i < here; ++i) cells[static_cast<std::size_t>(i)] = static_cast<std::uint32_t>(out[begin + i]);
      cpu::kernels().count_four(cells.data(), here, four.data(), static_cast<std::uint32_t>(used));
    }
    for (std::size_t i = 0; i < four.size(); ++i) counts[i % static_cast<std::size_t>(used)] += std::exchange(four[i], 0u);
  }
  return true;
}

void renumber(std::int32_t* numbers, std::int64_t rows, std::int32_t const* to, std::int64_t many) {
  std::uint32_t most = 0;
  for (std::int64_t i = 0; i < rows; ++i) most = std::max(most, static_cast<std::uint32_t>(numbers[i]));
  if (rows > 0 && most >= many) throw InvalidInput("a number is not there.");
  for (std::int64_t i = 0; i < rows; ++i) numbers[i] = to[numbers[i]];
}

}  // namespace modelwatch
