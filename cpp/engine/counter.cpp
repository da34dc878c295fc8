#include "engine/counter.hpp"

#include <algorithm>
#include <string>

#include "cpu/thread_pool.hpp"
#include "core/error.hpp"
#include "engine/rank.hpp"

namespace modelwatch {
namespace {

void check_fits(ArrowColumn const& column, Storage storage, Domain domain) {
  if (!fits(storage, domain))
    throw InvalidInput("column '" + column.name + "': Arrow format '" + column.schema->format + "' cannot be compared with its grid.");
}

/// The columns of a batch for the columns of a pass.
template <class Pass>
std::vector<NumericView> views_for(ArrowOwner const& batch, std::vector<Pass> const& columns) {
  std::vector<Domain> domains;
  for (auto const& column : columns) domains.push_back(column.domain());
  return numeric_views(batch, domains);
}

}  // namespace

std::vector<ColumnView> checked_views(ArrowOwner const& batch, std::vector<std::optional<Domain>> const& plans) {
  if (static_cast<std::size_t>(columns_of(batch)) != plans.size())
    throw InvalidInput("a batch has another number of columns than the plan.");
  std::vector<ColumnView> views;
  for (std::size_t i = 0; i < plans.size(); ++i) {
    ArrowColumn const column = column_of(batch, static_cast<std::int64_t>(i));
    if (plans[i]) {
      auto const view = numeric_view(column);
      check_fits(column, view.storage, *plans[i]);
      views.emplace_back(view);
    } else if (is_text(column)) {
      views.emplace_back(strings_view(column));
    } else {
      views.emplace_back(category_view(column));
    }
  }
  return views;
}

std::vector<NumericView> numeric_views(ArrowOwner const& batch, std::vector<Domain> const& domains) {
  if (static_cast<std::size_t>(columns_of(batch)) != domains.size()) throw InvalidInput("a batch has another number of columns than the plan.");
  std::vector<NumericView> views;
  for (std::size_t i = 0; i < domains.size(); ++i) {
    ArrowColumn const column = column_of(batch, static_cast<std::int64_t>(i));
    views.push_back(numeric_view(column));
    check_fits(column, views.back().storage, domains[i]);
  }
  return views;
}

Counter::Counter(std::vector<ColumnPlan> columns, std::vector<SetPlan> sets, std::vector<SetPlan> const& more,
                 std::vector<std::size_t> const& counted_in_more)
    : in_more_(columns.size(), false), sets_(sets.size()), more_(more.size()) {
  for (auto const i : counted_in_more) {
    if (i >= columns.size()) throw InvalidInput("a column that is counted in more sets is not there.");
    in_more_[i] = true;
  }
  std::vector<SetPlan> all = sets;
  all.insert(all.end(), more.begin(), more.end());
  for (std::size_t i = 0; i < columns.size(); ++i) {
    auto const& own = in_more_[i] ? all : sets;
    auto* const numeric = std::get_if<NumericPlan>(&columns[i]);
    domains_.push_back(numeric != nullptr && numeric->grid ? std::optional(numeric->grid->domain()) : std::nullopt);
    if (numeric != nullptr)
      states_.emplace_back(NumericState(std::move(*numeric), own));
    else
      states_.emplace_back(CategoryState(std::move(std::get<CategoryPlan>(columns[i])), own));
  }
}

void Counter::add(std::shared_ptr<ArrowOwner const> const& batch, std::vector<std::int32_t const*> const& groups, int threads,
                  Poll const& poll, std::uint32_t const* weights) {
  if (groups.size() != sets_ + more_) throw InvalidInput("a batch needs the groups of every counter set.");
  auto const views = checked_views(*batch, domains_);
  std::int64_t const rows = rows_of(*batch);
  std::optional<BatchGroups> all;
  if (std::find(in_more_.begin(), in_more_.end(), true) != in_more_.end()) all.emplace(groups, rows, weights != nullptr);
  BatchGroups const few = all ? all->of_first(sets_) : BatchGroups({groups.begin(), groups.begin() + static_cast<std::ptrdiff_t>(sets_)}, rows, weights != nullptr);
  cpu::parallel_for(
      static_cast<std::int64_t>(states_.size()), threads,
      [&](std::int64_t task) {
        auto const i = static_cast<std::size_t>(task);
        BatchGroups const& by = in_more_[i] ? *all : few;
        if (auto* const numeric = std::get_if<NumericState>(&states_[i]))
          numeric->add(std::get<NumericView>(views[i]), by, weights);
        else if (auto const* const text = std::get_if<StringsView>(&views[i]))
          std::get<CategoryState>(states_[i]).add(*text, by, weights);
        else
          std::get<CategoryState>(states_[i]).add(std::get<CategoryView>(views[i]), batch, by, weights);
      },
      poll);
  rows_ += static_cast<std::uint64_t>(rows);
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
  auto const views = views_for(*batch, columns_);
  cpu::parallel_for(
      static_cast<std::int64_t>(columns_.size()), threads,
      [&](std::int64_t i) { columns_[static_cast<std::size_t>(i)].add(views[static_cast<std::size_t>(i)]); }, poll);
}

template <class Column>
void IntervalPass<Column>::add(std::shared_ptr<ArrowOwner const> const& batch, int threads, Poll const& poll) {
  auto const views = views_for(*batch, columns_);
  cpu::parallel_for(
      static_cast<std::int64_t>(columns_.size()), threads,
      [&](std::int64_t i) { columns_[static_cast<std::size_t>(i)].add(views[static_cast<std::size_t>(i)]); }, poll);
}

template class IntervalPass<IntervalSplitter>;
template class IntervalPass<IntervalKeeper>;

}  // namespace modelwatch
