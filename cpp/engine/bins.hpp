#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/grid_rule.hpp"  // bin_of_grid_slot
#include "core/views.hpp"
#include "cpu/kernel_table.hpp"
#include "engine/grid.hpp"
#include "engine/rank.hpp"  // Poll

namespace modelwatch {

/// How many values have b cuts at or below them, for b = 0 ... cuts; then NaN, then null.
///
/// Cuts are keys of the domain, in any order and not necessarily distinct; comparisons with them decide, so the counts
/// are the same on every instruction set.  Throws InvalidInput where the column cannot be compared in the domain.
std::vector<std::uint64_t> count_bins(NumericView const& column, Domain domain, std::vector<std::uint64_t> cuts, int threads,
                                      Poll const& poll, cpu::KernelTable const& kernel = cpu::kernels());

/// Cuts as the knots of a grid, for whoever finds a value's bin by its cell.  Throws InvalidInput for cuts that are no
/// keys of the domain.
class CutGrid {
 public:
  CutGrid(Domain domain, std::vector<std::uint64_t> cuts);

  std::shared_ptr<Grid const> const& grid() const { return grid_; }
  /// Bins are the values between neighbouring knots, each with its lower one; then NaN, then null.
  std::size_t bins() const { return upto_.size() + 2; }
  std::size_t bin_of_slot(std::uint32_t slot) const { return bin_of_grid_slot(slot, grid_->count()); }
  /// Adds the rows of every bin to the cuts + 3 counts that count_bins gives.
  void collect(std::uint64_t const* bins, std::uint64_t* counts) const;

 private:
  std::shared_ptr<Grid const> grid_;
  std::size_t cuts_;
  std::vector<std::size_t> upto_;  // how many cuts are at or below the first k knots
};

/// The group of every row; a negative one counts nowhere.  of_row == nullptr: all rows are of one.
struct RowGroups {
  std::int32_t const* of_row;
  std::int64_t rows;
  std::int32_t count;
};

/// Throws InvalidInput unless the groups are those of so many rows.
void check_groups(RowGroups const& groups, std::int64_t rows);

/// count_bins of several columns of one domain, each by its own cuts; with groups, of every group one after the other.
std::vector<std::vector<std::uint64_t>> count_bins_of(std::vector<NumericView> const& columns, Domain domain,
                                                      std::vector<std::vector<std::uint64_t>> const& cuts, RowGroups const& groups,
                                                      int threads, Poll const& poll);

}  // namespace modelwatch
