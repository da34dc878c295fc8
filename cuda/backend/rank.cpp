#include "cuda/backend/rank.hpp"

#include "core/error.hpp"
#include "cuda/kernels/rank.hpp"
#include "engine/rank.hpp"  // fits

namespace modelwatch::cuda {
namespace {

void check_fits(ColumnInput const& column, Grid const& grid) {
  if (!fits(column.view.storage, grid.domain())) throw InvalidInput("the values cannot be compared with the grid: their types differ.");
}

}  // namespace

std::vector<std::uint64_t> count_cells(Session& session, ColumnInput const& column, std::shared_ptr<Grid const> const& grid,
                                       Poll const& poll) {
  check_fits(column, *grid);
  DeviceGrid const tables = session.grid(grid);
  DeviceArray<std::uint64_t> counts(grid->slots(), session.stream());
  counts.zero();
  feed(session, column, poll, [&](NumericView const& chunk, std::int64_t) {
    launch_count_cells(chunk, tables, counts.data(), session.info().multiprocessors, session.stream());
  });
  return counts.download();
}

std::vector<std::uint32_t> rank_cells(Session& session, ColumnInput const& column, std::shared_ptr<Grid const> const& grid) {
  check_fits(column, *grid);
  DeviceGrid const tables = session.grid(grid);
  DeviceArray<std::uint32_t> cells(static_cast<std::size_t>(column.view.rows), session.stream());
  feed(session, column, {}, [&](NumericView const& chunk, std::int64_t first) {
    launch_rank_cells(chunk, tables, cells.data() + first, session.info().multiprocessors, session.stream());
  });
  return cells.download();
}

void check_groups(Session const& session, DeviceGroups const& groups, std::int64_t rows) {
  if (groups.rows != rows) throw InvalidInput("every row needs a group.");
  if (groups.device != session.info().index) throw InvalidInput("the groups lie on another device than the one that is to count.");
}

DeviceGroups knot_numbers(Session& session, ColumnInput const& column, std::shared_ptr<Grid const> const& grid, Poll const& poll) {
  check_fits(column, *grid);
  DeviceGrid const tables = session.grid(grid);
  auto numbers = std::make_shared<DeviceArray<std::int32_t>>(static_cast<std::size_t>(column.view.rows), session.stream());
  feed(session, column, poll, [&](NumericView const& chunk, std::int64_t first) {
    launch_knot_numbers(chunk, tables, numbers->data() + first, session.info().multiprocessors, session.stream());
  });
  return {std::move(numbers), column.view.rows, static_cast<std::int32_t>(tables.count), session.info().index};
}

}  // namespace modelwatch::cuda
