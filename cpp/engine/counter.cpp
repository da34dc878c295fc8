#include "engine/counter.hpp"

#include <algorithm>
#include <string>

#include "cpu/thread_pool.hpp"
#include "core/error.hpp"

namespace modelwatch {
namespace {

bool fits(Storage storage, Domain domain) {
  switch (domain) {
    case Domain::float32: return storage == Storage::float32;
    case Domain::float64: return storage != Storage::int64 && storage != Storage::uint64;
    case Domain::int64: return storage < Storage::uint64;
    case Domain::uint64: return storage == Storage::uint64;
  }
  return false;
}

void check_fits(ArrowColumn const& column, Storage storage, Domain domain) {
  if (!fits(storage, domain))
    throw InvalidInput("column '" + column.name + "': Arrow format '" + column.schema->format + "' cannot be compared with its grid.");
}

/// The columns of a batch for a pass over numbers, each checked against its domain.
template <class Pass>
std::vector<NumericView> numeric_views(ArrowOwner const& batch, std::vector<Pass> const& columns) {
  if (static_cast<std::size_t>(columns_of(batch)) != columns.size()) throw InvalidInput("a batch has another number of columns than the plan.");
  std::vector<NumericView> views;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    ArrowColumn const column = column_of(batch, static_cast<std::int64_t>(i));
    views.push_back(numeric_view(column));
    check_fits(column, views.back().storage, columns[i].domain());
  }
  return views;
}

}  // namespace

Counter::Counter(std::vector<ColumnPlan> columns, std::vector<SetPlan> sets) {
  for (auto& plan : columns) {
    if (auto* const numeric = std::get_if<NumericPlan>(&plan))
      states_.emplace_back(NumericState(std::move(*numeric), sets));
    else
      states_.emplace_back(CategoryState(std::move(std::get<CategoryPlan>(plan)), sets));
  }
}

void Counter::add(std::shared_ptr<ArrowOwner const> const& batch, std::vector<std::int32_t const*> const& groups, int threads,
                  Poll const& poll, std::uint32_t const* weights) {
  if (static_cast<std::size_t>(columns_of(*batch)) != states_.size())
    throw InvalidInput("a batch has another number of columns than the plan.");
  std::vector<std::variant<NumericView, CategoryView>> views;
  for (std::size_t i = 0; i < states_.size(); ++i) {
    ArrowColumn const column = column_of(*batch, static_cast<std::int64_t>(i));
    if (auto const* const state = std::get_if<NumericState>(&states_[i])) {
      auto const view = numeric_view(column);
      check_fits(column, view.storage, state->domain());
      views.emplace_back(view);
    } else {
      views.emplace_back(category_view(column));
    }
  }
  cpu::parallel_for(
      static_cast<std::int64_t>(states_.size()), threads,
      [&](std::int64_t task) {
        auto const i = static_cast<std::size_t>(task);
        if (auto* const numeric = std::get_if<NumericState>(&states_[i]))
          numeric->add(std::get<NumericView>(views[i]), groups, weights);
        else
          std::get<CategoryState>(states_[i]).add(std::get<CategoryView>(views[i]), batch, groups, weights);
      },
      poll);
  rows_ += static_cast<std::uint64_t>(rows_of(*batch));
}

std::size_t Counter::bytes() const {
  std::size_t total = 0;
  for (auto const& state : states_) total += std::visit([](auto const& s) { return s.bytes(); }, state);
  return total;
}

DistinctPass::DistinctPass(std::vector<Domain> const& domains, std::uint64_t cap) {
  for (auto const domain : domains) columns_.emplace_back(domain, cap);
}

void DistinctPass::add(std::shared_ptr<ArrowOwner const> const& batch, int threads, Poll const& poll) {
  auto const views = numeric_views(*batch, columns_);
  cpu::parallel_for(
      static_cast<std::int64_t>(columns_.size()), threads,
      [&](std::int64_t i) { columns_[static_cast<std::size_t>(i)].add(views[static_cast<std::size_t>(i)]); }, poll);
}

void SplitPass::add(std::shared_ptr<ArrowOwner const> const& batch, int threads, Poll const& poll) {
  auto const views = numeric_views(*batch, columns_);
  cpu::parallel_for(
      static_cast<std::int64_t>(columns_.size()), threads,
      [&](std::int64_t i) { columns_[static_cast<std::size_t>(i)].add(views[static_cast<std::size_t>(i)]); }, poll);
}

std::vector<std::uint64_t> count_cells(NumericView const& column, Grid const& grid, int threads, Poll const& poll) {
  if (!fits(column.storage, grid.domain())) throw InvalidInput("the values cannot be compared with the grid: their types differ.");
  // A slice is short enough to answer Ctrl-C and to count in 32 bits; a stripe is one thread's part of it.
  constexpr std::int64_t kSlice = std::int64_t{1} << 24;
  constexpr std::int64_t kLeastStripe = std::int64_t{1} << 16;
  auto const& kernel = cpu::kernels();
  auto const data = grid.data();
  int const most = threads > 0 ? threads : cpu::default_threads();
  auto const stripes = std::clamp<std::int64_t>(std::min(column.rows, kSlice) / kLeastStripe, 1, most);
  std::vector<std::uint64_t> totals(grid.slots(), 0);
  for (std::int64_t slice = 0; slice < column.rows; slice += kSlice) {
    std::int64_t const rows = std::min(kSlice, column.rows - slice);
    std::vector<std::vector<std::uint32_t>> counters(static_cast<std::size_t>(stripes));
    cpu::parallel_for(
        stripes, threads,
        [&](std::int64_t stripe) {
          auto& mine = counters[static_cast<std::size_t>(stripe)];
          mine.assign(grid.slots(), 0);
          std::uint32_t cells[kTileRows];
          std::uint64_t keys[kTileRows];
          std::int64_t const end = slice + rows * (stripe + 1) / stripes;
          for (std::int64_t at = slice + rows * stripe / stripes; at < end; at += kTileRows) {
            int const n = static_cast<int>(std::min<std::int64_t>(kTileRows, end - at));
            kernel.rank_tile(column, at, n, data, cells, keys);
            kernel.count_one(cells, n, mine.data());
          }
        },
        poll);
    for (auto const& mine : counters)
      for (std::size_t slot = 0; slot < mine.size(); ++slot) totals[slot] += mine[slot];
    if (poll) poll();
  }
  return totals;
}

std::vector<std::uint32_t> rank_cells(NumericView const& column, Grid const& grid) {
  if (!fits(column.storage, grid.domain())) throw InvalidInput("the values cannot be compared with the grid: their types differ.");
  std::vector<std::uint32_t> cells(static_cast<std::size_t>(column.rows));
  std::uint64_t keys[kTileRows];
  for (std::int64_t at = 0; at < column.rows; at += kTileRows)
    cpu::kernels().rank_tile(column, at, static_cast<int>(std::min<std::int64_t>(kTileRows, column.rows - at)), grid.data(),
                             cells.data() + at, keys);
  return cells;
}

std::vector<std::int32_t> interval_of(NumericView const& values, std::vector<std::int64_t> const& boundaries) {
  for (std::size_t i = 1; i < boundaries.size(); ++i)
    if (boundaries[i] <= boundaries[i - 1]) throw InvalidInput("boundaries must be strictly increasing.");
  std::vector<std::int32_t> out(static_cast<std::size_t>(values.rows), -1);
  if (boundaries.size() < 2) return out;
  std::size_t current = 0;  // logs are nearly sorted: look where the last row was
  for (std::int64_t row = 0; row < values.rows; ++row) {
    if (!values.validity.valid(row)) continue;
    std::int64_t const x = code_at(values, row);
    if (x < boundaries[current] || x >= boundaries[current + 1]) {
      auto const after = std::upper_bound(boundaries.begin(), boundaries.end(), x);
      if (after == boundaries.begin() || after == boundaries.end()) continue;
      current = static_cast<std::size_t>(after - boundaries.begin() - 1);
    }
    out[static_cast<std::size_t>(row)] = static_cast<std::int32_t>(current);
  }
  return out;
}

}  // namespace modelwatch
