// The engine on several threads at once.  Every build checks the results; the tsan preset also sees every access.

#include <atomic>
#include <thread>

#include "check.hpp"
#include "engine/counter.hpp"
#include "hand_made_arrow.hpp"

using namespace modelwatch;
using namespace modelwatch::test;

namespace {

constexpr std::size_t kRows = 5000;
constexpr std::size_t kColumns = 6;

Node numeric_column(std::size_t seed) {
  Random random{seed};
  std::vector<double> values;
  for (std::size_t i = 0; i < kRows; ++i) values.push_back(static_cast<double>(random.below(1000)) / 4);
  return numbers_node(values);
}

Node category_column(std::size_t seed) {
  Random random{seed};
  std::vector<std::optional<std::string>> words;
  for (std::size_t i = 0; i < 40; ++i) {
    std::string word(1, static_cast<char>('a' + i % 26));
    words.emplace_back(word.append(std::to_string(random.below(90))));
  }
  std::vector<std::int32_t> codes;
  for (std::size_t i = 0; i < kRows; ++i) codes.push_back(static_cast<std::int32_t>(random.below(words.size())));
  return coded_node(codes, text_node(words));
}

std::shared_ptr<ArrowOwner const> batch_of(std::size_t seed) {
  std::vector<Node> columns;
  for (std::size_t i = 0; i < kColumns; ++i) columns.push_back(i % 2 == 0 ? numeric_column(seed + i) : category_column(seed + i));
  return owner_of(batch_node(std::move(columns)));
}

/// A grid large enough to start sparse, shared by every column of every counter.
std::shared_ptr<Grid const> shared_grid() {
  std::vector<double> knots;
  for (int k = 0; k < 3000; ++k) knots.push_back(k / 8.0);
  return make_grid(as_knots(knots));
}

Counter counter_on(std::shared_ptr<Grid const> const& grid) {
  std::vector<ColumnPlan> plans;
  for (std::size_t i = 0; i < kColumns; ++i) {
    if (i % 2 == 0) {
      NumericPlan plan{grid, {}, {}, grid->slots(), 2, 0, 0};
      for (std::uint32_t slot = 0; slot < grid->slots(); ++slot) plan.to_coarse.push_back(slot % 2);
      plans.emplace_back(std::move(plan));
    } else {
      CategoryPlan plan;
      plan.known = {"a1", "b2"};
      plan.to_coarse = {3, 3};
      plan.coarse_slots = 4;
      plan.unseen_cap = 20;
      plans.emplace_back(std::move(plan));
    }
  }
  return Counter(std::move(plans), {{false, true}, {true, false}, {true, true}});
}

std::vector<std::int32_t> groups_of_rows() {
  std::vector<std::int32_t> groups;
  for (std::size_t i = 0; i < kRows; ++i) groups.push_back(static_cast<std::int32_t>(i / 700) - 1);
  return groups;
}

/// Everything a counter has counted, as one list of numbers.
std::vector<std::uint64_t> all_counts(Counter& counter) {
  std::vector<std::uint64_t> out;
  for (std::size_t set = 0; set < 3; ++set)
    for (std::size_t i = 0; i < kColumns; ++i) {
      if (i % 2 == 0) {
        auto const result = counter.numeric(i, set);
        out.insert(out.end(), result.count.begin(), result.count.end());
        out.insert(out.end(), result.gap_sum.begin(), result.gap_sum.end());
        for (auto const& m : result.moments) out.push_back(std::bit_cast<std::uint64_t>(m.m2));
      } else {
        auto const result = counter.category(i, set);
        out.insert(out.end(), result.count.begin(), result.count.end());
        out.insert(out.end(), result.unseen_count.begin(), result.unseen_count.end());
      }
    }
  return out;
}

std::vector<std::uint64_t> counted(std::shared_ptr<Grid const> const& grid, std::vector<std::shared_ptr<ArrowOwner const>> const& batches, int threads) {
  auto const groups = groups_of_rows();
  Counter counter = counter_on(grid);
  for (auto const& batch : batches) counter.add(batch, {groups.data(), nullptr, groups.data()}, threads, {});
  return all_counts(counter);
}

}  // namespace

TEST("a counter with several sets counts the same on any number of threads") {
  auto const grid = shared_grid();
  std::vector<std::shared_ptr<ArrowOwner const>> const batches{batch_of(1), batch_of(9), batch_of(1)};
  auto const alone = counted(grid, batches, 1);
  CHECK(alone.size() > 1000);
  for (int const threads : {2, 3, 7}) CHECK_ABOUT(counted(grid, batches, threads) == alone, std::to_string(threads) + " threads");
}

TEST("counters side by side may share their grid, their batches and the pool") {
  auto const grid = shared_grid();
  std::vector<std::shared_ptr<ArrowOwner const>> const batches{batch_of(3), batch_of(4)};
  auto const alone = counted(grid, batches, 1);
  std::atomic<int> equal{0};
  std::vector<std::thread> callers;
  for (int i = 0; i < 3; ++i) callers.emplace_back([&] { equal += counted(grid, batches, 3) == alone ? 1 : 0; });
  for (auto& caller : callers) caller.join();
  CHECK_EQ(equal.load(), 3);
}

TEST("both passes of a fit end in the same state on any number of threads") {
  std::vector<Node> columns;
  for (std::size_t i = 0; i < kColumns; ++i) columns.push_back(numeric_column(i));
  auto const batch = owner_of(batch_node(std::move(columns)));
  std::vector<Domain> const domains(kColumns, Domain::float64);
  auto const fitted = [&](int threads) {
    DistinctPass distinct(domains, 900);
    SplitPass split(std::vector<IntervalSplitter>(kColumns, IntervalSplitter(Domain::float64, {std::uint64_t{1} << 63}, 63, 8)));
    for (int time = 0; time < 3; ++time) {
      distinct.add(batch, threads, {});
      split.add(batch, threads, {});
    }
    std::vector<std::uint64_t> out;
    for (std::size_t i = 0; i < kColumns; ++i) {
      std::vector<std::uint64_t> keys;
      distinct.column(i).sorted(keys, out);
      CHECK_EQ(distinct.column(i).rows(), std::uint64_t{3 * kRows});
      auto const pieces = split.column(i).counts();
      out.insert(out.end(), pieces.begin(), pieces.end());
    }
    return out;
  };
  auto const alone = fitted(1);
  for (int const threads : {2, 7}) CHECK_ABOUT(fitted(threads) == alone, std::to_string(threads) + " threads");
}

TEST("the rows of one long column may be divided among threads") {
  std::vector<double> values;
  Random random{5};
  for (std::size_t i = 0; i < 400'000; ++i) values.push_back(static_cast<double>(random.below(4000)) / 9);
  NumericView const view{values.data(), {nullptr, 0}, static_cast<std::int64_t>(values.size()), Storage::float64};
  auto const grid = shared_grid();
  auto const alone = count_cells(view, *grid, 1, {});
  for (int const threads : {2, 7}) CHECK_EQ(count_cells(view, *grid, threads, {}), alone);
}
