// Arrow in: any structure is refused with InvalidInput, or every row of it is counted exactly once.

#include <numeric>

#include "core/error.hpp"
#include "core/key.hpp"
#include "engine/counter.hpp"
#include "engine/row_hash.hpp"
#include "hostile_arrow.hpp"
#include "reference/reference.hpp"

namespace {

using namespace modelwatch;
using namespace modelwatch::fuzz;

constexpr std::int32_t kGroups = 4;

std::shared_ptr<Grid const> any_grid(Bytes& in, Domain domain) {
  std::vector<std::uint64_t> keys;
  std::uint64_t const top = domain == Domain::float32 ? 0xffffffffu : ~std::uint64_t{0};
  std::uint64_t low = 0;
  std::uint64_t high = top;
  if (domain == Domain::float32) low = KeyOf<float>::key(-__builtin_inff()), high = KeyOf<float>::key(__builtin_inff());
  if (domain == Domain::float64) low = KeyOf<double>::key(-__builtin_inf()), high = KeyOf<double>::key(__builtin_inf());
  for (std::uint32_t k = in.below(6); k > 0; --k) keys.push_back(std::clamp(in.number<std::uint64_t>() & top, low, high));
  if (domain == Domain::float32 || domain == Domain::float64) keys.insert(keys.end(), {low, high});
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  return std::make_shared<Grid const>(domain, keys);
}

NumericPlan numeric_plan(Bytes& in, Domain domain) {
  NumericPlan plan;
  plan.grid = any_grid(in, domain);
  plan.fine_slots = plan.grid->slots();
  plan.coarse_slots = 2;
  for (std::uint32_t slot = 0; slot < plan.fine_slots; ++slot) plan.to_coarse.push_back(slot % 2);
  plan.pivot = in.one_in(4) ? in.number<std::uint64_t>() : 0;
  return plan;
}

CategoryPlan category_plan(Bytes& in) {
  CategoryPlan plan;
  for (std::uint32_t k = in.below(4); k > 0; --k) plan.known.push_back(in.text(3));
  std::sort(plan.known.begin(), plan.known.end());
  plan.known.erase(std::unique(plan.known.begin(), plan.known.end()), plan.known.end());
  plan.to_coarse.assign(plan.known.size(), 3);
  plan.coarse_slots = 4;
  plan.unseen_cap = 1 + in.below(4);
  plan.known_is_capped = in.one_in(4);
  plan.known_hash = plan.known_is_capped ? in.number<std::uint64_t>() : 0;
  return plan;
}

std::uint64_t sum(std::vector<std::uint64_t> const& counts) { return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0}); }

/// Every row that has a group is in exactly one cell of every set and column, as often as its weight says.
void check_counts(Counter& counter, std::vector<bool> const& coded, std::vector<std::uint64_t> const& rows_of_set) {
  for (std::size_t set = 0; set < rows_of_set.size(); ++set)
    for (std::size_t i = 0; i < coded.size(); ++i) {
      if (coded[i]) {
        auto const result = counter.category(i, set);
        require(sum(result.count) + sum(result.unseen_count) == rows_of_set[set], "the counts of a categorical column add up to its rows");
        require(result.registers.size() == result.register_group.size() * kRegisters, "every group that has registers has all of them");
      } else {
        auto const result = counter.numeric(i, set);
        require(sum(result.count) == rows_of_set[set], "the counts of a numeric column add up to its rows");
        require(sum(result.bucket_count) <= rows_of_set[set], "buckets hold no more rows than there are");
        require(result.bucket_begin.size() == result.group.size() + 1 && result.bucket_begin.back() == result.bucket.size(), "every group has its buckets");
        for (auto const& moments : result.moments) require(moments.count <= rows_of_set[set], "moments count no more rows than there are");
      }
    }
}

/// The groups of every set, and how many rows have one; an empty list stands for nullptr.
std::vector<std::vector<std::int32_t>> any_groups(Bytes& in, std::int64_t rows) {
  std::vector<std::vector<std::int32_t>> groups(2);
  for (auto& own : groups) {
    std::uint32_t const kind = in.below(3);
    for (std::int64_t row = 0; kind != 0 && row < rows; ++row)
      own.push_back(kind == 1 ? static_cast<std::int32_t>(in.below(kGroups + 1)) - 1 : static_cast<std::int32_t>(row / 7 % kGroups));
  }
  return groups;
}

/// How often every row counts; empty stands for nullptr.  As the caller promises, a row of weight 0 has no group.
std::vector<std::uint32_t> any_weights(Bytes& in, std::int64_t rows, std::vector<std::vector<std::int32_t>>& groups) {
  std::vector<std::uint32_t> weights;
  if (!in.one_in(3)) return weights;
  std::uint32_t const most = in.one_in(4) ? ~std::uint32_t{0} : 1 + in.below(5);
  for (std::int64_t row = 0; row < rows; ++row) {
    std::uint32_t const weight = (in.byte() * 0x01010101u) % most;
    bool const everywhere = std::any_of(groups.begin(), groups.end(), [](auto const& own) { return own.empty(); });
    weights.push_back(everywhere ? std::max(1u, weight) : weight);
    if (weights.back() != 0) continue;
    for (auto& own : groups) own[static_cast<std::size_t>(row)] = -1;
  }
  return weights;
}

/// Rows that have a group, each as often as its weight says.
std::uint64_t counted_rows(std::vector<std::int32_t> const& groups, std::vector<std::uint32_t> const& weights, std::int64_t rows) {
  std::uint64_t total = 0;
  for (std::size_t row = 0; row < static_cast<std::size_t>(rows); ++row)
    if (groups.empty() || groups[row] >= 0) total += weights.empty() ? 1 : weights[row];
  return total;
}

/// One column by itself: what reads a single array, and agreement with the obvious loops.
void read_alone(Bytes& in, ArrowOwner const& batch, std::int64_t index) {
  ArrowColumn const column = column_of(batch, index);
  require(column.rows == rows_of(batch), "a column has the rows of its batch");
  try {
    CategoryView const view = category_view(column);
    std::size_t letters = 0;
    for (std::int64_t row = 0; row < view.codes.rows; ++row) {
      if (!view.codes.validity.valid(row)) continue;
      std::int64_t const code = code_at(view.codes, row);
      require(code >= 0 && code < view.values.size, "an accepted code is in its dictionary");
      if (view.values.validity.valid(code))
        for (char const letter : view.values.at(code)) letters += letter != 0;
    }
    require(letters < std::size_t{1} << 40, "text is as long as its offsets say");
    return;
  } catch (InvalidInput const&) {
  }
  NumericView const view = numeric_view(column);
  std::vector<std::int64_t> const boundaries{-1000, 0, 3, in.number<std::int64_t>()};
  try {
    auto const found = interval_of(view, boundaries);
    for (std::int64_t row = 0; row < view.rows; ++row) {
      std::int64_t const x = code_at(view, row);
      std::int32_t const at = found.of_row[static_cast<std::size_t>(row)];
      bool const inside = view.validity.valid(row) && x >= boundaries.front() && x < boundaries.back();
      require(inside == (at < 3), "a time has an interval exactly where it lies between the first and last boundary");
      require(at == 3 || (x >= boundaries[static_cast<std::size_t>(at)] && x < boundaries[static_cast<std::size_t>(at) + 1]), "a time lies in its interval");
    }
  } catch (InvalidInput const&) {
  }
  auto const domain = static_cast<Domain>(in.below(4));
  auto const grid = any_grid(in, domain);
  auto const counts = count_cells(view, *grid, 1, {});
  require(sum(counts) == static_cast<std::uint64_t>(view.rows), "every row falls into one cell");
  std::vector<std::uint64_t> again(counts.size(), 0);
  for (auto const cell : rank_cells(view, *grid)) ++again[cell];
  require(again == counts, "counting and ranking agree");
  std::uint64_t nulls = 0;
  for (std::int64_t row = 0; row < view.rows; ++row) nulls += view.validity.valid(row) ? 0 : 1;
  require(counts.back() == nulls, "the last slot counts the nulls");
}

std::shared_ptr<ArrowOwner const> owner_of(Tree const& tree) {
  ArrowSchema schema = tree.schema;
  ArrowArray array = tree.array;
  schema.release = [](ArrowSchema* s) { s->release = nullptr; };
  array.release = [](ArrowArray* a) { a->release = nullptr; };
  return std::make_shared<ArrowOwner const>(&schema, &array);
}

template <class Action>
bool accepted(Action action) {
  try {
    action();
    return true;
  } catch (InvalidInput const& error) {
    require(error.what()[0] != '\0', "a refusal says why");
    return false;
  }
}

void run(Bytes in) {
  std::vector<bool> coded(1 + in.below(3));
  std::vector<ColumnPlan> plans;
  std::vector<Domain> domains;
  std::vector<IntervalSplitter> splitters;
  for (std::size_t i = 0; i < coded.size(); ++i) {
    coded[i] = in.one_in(2);
    domains.push_back(static_cast<Domain>(in.below(4)));
    splitters.emplace_back(domains.back(), std::vector<std::uint64_t>{0, 1u << 31}, 31, 4);
    if (coded[i])
      plans.emplace_back(category_plan(in));
    else
      plans.emplace_back(numeric_plan(in, domains.back()));
  }
  std::vector<SetPlan> const sets{{false, true, in.one_in(2)}, {true, in.one_in(2)}};
  Counter counter(plans, sets);
  // The passes of a fit clear half a megabyte a column, so few inputs pay for them.
  bool const fits = in.rare(200);
  DistinctPass distinct(fits ? domains : std::vector<Domain>{}, 1 + in.below(50));
  SplitPass split(splitters);
  std::vector<std::uint64_t> counted(sets.size(), 0);
  std::uint64_t rows = 0;
  std::uint64_t distinct_rows = 0;
  // The trees outlive their owners: a dictionary that comes back at the same address must not be taken for the last.
  for (std::uint32_t left = 1 + in.below(3); left > 0; --left) {
    auto const tree = any_batch(in, coded);
    auto const owner = owner_of(*tree);
    std::int64_t const claimed = possible(tree->array.length) ? tree->array.length : 0;
    auto groups = any_groups(in, claimed);
    auto const weights = any_weights(in, claimed, groups);
    std::vector<std::int32_t const*> pointers;
    for (auto const& own : groups) pointers.push_back(own.empty() ? nullptr : own.data());
    if (accepted([&] { counter.add(owner, pointers, 1, {}, weights.empty() ? nullptr : weights.data()); })) {
      rows += static_cast<std::uint64_t>(claimed);
      for (std::size_t s = 0; s < groups.size(); ++s) counted[s] += counted_rows(groups[s], weights, claimed);
    }
    require(counter.rows() == rows, "a refused batch leaves the rows as they were");
    if (fits && accepted([&] { distinct.add(owner, 1, {}); })) distinct_rows += static_cast<std::uint64_t>(claimed);
    accepted([&] { split.add(owner, 1, {}); });
    accepted([&] { require(hash_rows(owner).size() == static_cast<std::size_t>(claimed), "every row has a hash"); });
    accepted([&] { read_alone(in, *owner, static_cast<std::int64_t>(in.below(5)) - 1); });
  }
  check_counts(counter, coded, counted);
  for (std::size_t i = 0; fits && i < domains.size(); ++i) {
    auto const& column = distinct.column(i);
    require(column.rows() == distinct_rows, "a fit counts the rows it was given");
    require(sum(column.top()) + column.nulls() + column.nans() == distinct_rows, "every row of a fit is a value, NaN or null");
    std::vector<std::uint64_t> keys;
    std::vector<std::uint64_t> counts;
    column.sorted(keys, counts);
    require(column.overflowed() || sum(counts) == sum(column.top()), "distinct values account for every row");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  run({data, size});
  return 0;
}
