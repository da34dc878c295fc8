// Tiles of one group that are ranked, counted, summed and sketched in one go, where the machine has a kernel for it.

#include <algorithm>

#include "core/key.hpp"
#include "engine/numeric_tile.hpp"

namespace modelwatch {

/// Rows and sums of a run's gaps, as RunCounters has them; all 0 between runs, so that columns share them.
std::vector<std::uint64_t>& NumericState::packed_gaps() {
  thread_local std::vector<std::uint64_t> gaps;
  return gaps;
}

bool NumericState::in_one_go(NumericView const& column, BatchGroups const& groups, std::vector<Target> const& targets) const {
  bool const floats = column.storage == Storage::float32 || column.storage == Storage::float64;
  bool const skewed = run_counts_.size() > plan_.grid->slots();
  auto const sketched = std::count_if(targets.begin(), targets.end(), [](Target const& target) { return target.plan.sketches; });
  return cpu::kernels().counts_runs && floats && plan_.grid->data().records != nullptr && !skewed && !groups.any_scattered() && sketched <= 1 &&
         !hashes_whole();
}

void NumericState::add_in_one_go(NumericView const& column, std::int64_t begin, std::uint8_t const* valid, std::vector<Target> const& targets,
                                 Tile& tile) {
  auto const& kernel = cpu::kernels();
  auto const grid = plan_.grid->data();
  auto& packed = packed_gaps();
  if (packed.size() < grid.count + 1) packed.resize(grid.count + 1, 0);
  if (packed_tiles_ == cpu::RunCounters::kMostTiles) unpack_gaps();
  ++packed_tiles_;
  cpu::RunCounters run{run_counts_.data(), packed.data(), ~std::uint64_t{0}, 0, nullptr, {}, nullptr, tile.buckets, 0};
  Group* sketched = nullptr;
  bool fresh = false;
  for (auto const& target : targets) {
    if (!target.plan.sketches) continue;
    sketched = target.group;
    fresh = !sketched->sketch;
    if (fresh) sketched->sketch = std::make_unique<Sketch>();
    run.ranks = sketched->sketch->registers.data();
    sketched->sketch->buckets.ready(run);
  }
  on_knots_ = kernel.count_run(column, begin, tile.rows, grid, valid, &run) > tile.rows / kFewOnKnots;
  for (int i = 0; i < run.without_pages; ++i) sketched->sketch->buckets.add(run.without_page[i], 1);
  if (run.low > run.high) {  // no row in a gap
    if (fresh) sketched->sketch.reset();
    return;
  }
  run_low_ = std::min(run_low_, run.low);
  run_high_ = std::max(run_high_, run.high);
  if (!plan_.grid->beyond(run.low, run.high)) return;
  auto const& knots = plan_.grid->knots();
  std::uint64_t const first = knots[plan_.grid->lower_tail()];
  int const tails = kernel.keys_beyond(column, begin, tile.rows, domain(), valid, first, knots[plan_.grid->upper_tail() - 1], tile.gaps.key);
  with_domain(domain(), [&]<class Value>(Value) {
    using Keys = KeyOf<Value>;
    for (int i = 0; i < tails; ++i) {
      Value const x = Keys::value(static_cast<typename Keys::Key>(tile.gaps.key[i]));
      if (Keys::finite(x)) run_tails_[tile.gaps.key[i] < first ? 0 : 1].add(x);
    }
  });
}

/// Takes what was counted in one go to the run's counters.
void NumericState::unpack_gaps() {
  if (packed_tiles_ == 0) return;
  auto& packed = packed_gaps();
  for (std::size_t gap = 0; gap < run_gaps_.size() && gap < packed.size(); ++gap) {
    if (packed[gap] == 0) continue;
    run_counts_[2 * gap] += static_cast<std::uint32_t>(packed[gap] >> cpu::RunCounters::kSumBits);
    run_gaps_[gap] += packed[gap] & ((std::uint64_t{1} << cpu::RunCounters::kSumBits) - 1);
    packed[gap] = 0;
  }
  packed_tiles_ = 0;
}

}  // namespace modelwatch
