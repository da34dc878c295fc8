#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "engine/arrow_view.hpp"
#include "engine/category_state.hpp"
#include "engine/fit.hpp"
#include "engine/numeric_state.hpp"
#include "engine/rank.hpp"  // Poll

namespace modelwatch {

using ColumnPlan = std::variant<NumericPlan, CategoryPlan>;
using ColumnView = std::variant<NumericView, CategoryView, StringsView>;

/// The columns of a batch, each checked against its plan: the domain of its grid, or nothing where it is categorical.
std::vector<ColumnView> checked_views(ArrowOwner const& batch, std::vector<std::optional<Domain>> const& plans);

/// Counts the batches of one part: every column into every set, columns side by side on the threads.
class Counter {
 public:
  /// more: sets in which only the columns with the numbers `counted_in_more` are counted; their groups come behind the others,
  /// and so do they in the numbers of sets.
  Counter(std::vector<ColumnPlan> columns, std::vector<SetPlan> sets, std::vector<SetPlan> const& more = {},
          std::vector<std::size_t> const& counted_in_more = {});

  /// Column i of the batch goes with plan i.  groups[s] has one entry per row of the batch, or is nullptr (all in
  /// group 0).  All columns are checked before the first is counted: a refused batch leaves the counts as they were.
  /// weights: how often every row counts, or nullptr (once).
  void add(std::shared_ptr<ArrowOwner const> const& batch, std::vector<std::int32_t const*> const& groups, int threads,
           Poll const& poll, std::uint32_t const* weights = nullptr);

  bool is_numeric(std::size_t column) const { return std::holds_alternative<NumericState>(states_.at(column)); }
  using Order = std::span<std::uint32_t const>;
  /// narrow, order: as the states' finish.
  NumericResult numeric(std::size_t column, std::size_t set, bool narrow = false, Order order = {}) {
    return std::get<NumericState>(states_.at(column)).finish(set, narrow, order);
  }
  CategoryResult category(std::size_t column, std::size_t set, bool narrow = false, Order order = {}) {
    return std::get<CategoryState>(states_.at(column)).finish(set, narrow, order);
  }
  std::uint64_t rows() const { return rows_; }
  std::size_t bytes() const;

 private:
  std::vector<std::variant<NumericState, CategoryState>> states_;
  std::vector<std::optional<Domain>> domains_;
  std::vector<bool> in_more_;  // of each column
  std::size_t sets_;           // that all columns are counted in
  std::size_t more_;
  std::uint64_t rows_ = 0;
};

/// The columns of a batch for a pass over numbers, each checked against its domain.
std::vector<NumericView> numeric_views(ArrowOwner const& batch, std::vector<Domain> const& domains);

/// First pass of a fit over numeric columns.
class DistinctPass {
 public:
  DistinctPass(std::vector<Domain> const& domains, std::uint64_t cap);
  void add(std::shared_ptr<ArrowOwner const> const& batch, int threads, Poll const& poll);
  /// After the last batch.
  DistinctValues const& column(std::size_t i) {
    columns_.at(i).settle();
    return columns_[i];
  }

 private:
  std::vector<DistinctValues> columns_;
};

/// A later pass of a fit, over the columns with too many distinct values: Column is IntervalSplitter or IntervalKeeper.
template <class Column>
class IntervalPass {
 public:
  explicit IntervalPass(std::vector<Column> columns) : columns_(std::move(columns)) {}
  void add(std::shared_ptr<ArrowOwner const> const& batch, int threads, Poll const& poll);
  Column const& column(std::size_t i) const { return columns_.at(i); }

 private:
  std::vector<Column> columns_;
};

using SplitPass = IntervalPass<IntervalSplitter>;
using KeepPass = IntervalPass<IntervalKeeper>;

}  // namespace modelwatch
