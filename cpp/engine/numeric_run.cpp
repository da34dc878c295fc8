// Tiles of one group that are ranked, counted, summed and sketched in one go, where the machine has a kernel for it.

#include <algorithm>

#include "core/key.hpp"
#include "engine/numeric_tile.hpp"

namespace modelwatch {

/// Rows and sums of a run's gaps and cells, as RunCounters has them; all 0 between runs, so that columns share them.
std::vector<std::uint64_t>& NumericState::packed_gaps() {
  thread_local std::vector<std::uint64_t> gaps;
  return gaps;
}

namespace {

/// Tiles that could fill a counter as far as the fullest of them is, or further.
int tiles_in_fullest(std::vector<std::uint64_t> const& packed) {
  std::uint64_t any = 0;
  for (auto const counter : packed) any |= counter;
  return static_cast<int>(((any >> cpu::RunCounters::kSumBits) + kTileRows - 1) / kTileRows);
}

}  // namespace

bool NumericState::in_one_go(NumericView const& column, BatchGroups const& groups, std::vector<Target> const& targets) const {
  bool const floats = column.storage == Storage::float32 || column.storage == Storage::float64;
  bool const skewed = run_counts_.size() > plan_.grid->slots();
  auto const sketched = std::count_if(targets.begin(), targets.end(), [](Target const& target) { return target.plan.sketches; });
  return cpu::kernels().counts_runs && floats && plan_.grid->data().records != nullptr && !skewed && !groups.any_scattered() && sketched <= 1 &&
         !hashes_whole();
}

/// together: buckets are counted with gaps, as far as the grid has cells for both.
void NumericState::add_in_one_go(NumericView const& column, std::int64_t begin, std::uint8_t const* valid, std::vector<Target> const& targets,
                                 bool together, Tile& tile) {
  auto const& kernel = cpu::kernels();
  auto const grid = plan_.grid->data();
  auto const& cells = plan_.grid->bucket_cells();
  auto& packed = packed_gaps();
  if (std::size_t const all = grid.count + 1 + cells.size(); packed.size() < all) packed.resize(all, 0);
  if (packed_tiles_ == cpu::RunCounters::kMostTiles) {
    packed_tiles_ = tiles_in_fullest(packed);
    if (packed_tiles_ > cpu::RunCounters::kMostTiles / 2) unpack_gaps(targets);
  }
  ++packed_tiles_;
  cpu::RunCounters run{run_counts_.data(), packed.data(), ~std::uint64_t{0}, 0, nullptr, {}, tile.buckets, 0};
  Group* sketched = nullptr;
  bool fresh = false;
  for (auto const& target : targets) {
    if (!target.plan.sketches) continue;
    sketched = target.group;
    fresh = !sketched->sketch;
    if (fresh) sketched->sketch = std::make_unique<Sketch>();
    run.ranks = sketched->sketch->registers.data();
    if (together) run.window = cells.window();
  }
  on_knots_ = kernel.count_run(column, begin, tile.rows, grid, valid, &run) > tile.rows / kFewOnKnots;
  if (run.outside_rows > 0) sketched->sketch->buckets.add(run.outside, run.outside_rows);
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
    std::uint64_t lower[kTileRows];
    int below = 0;
    int above = 0;  // written over those that were read
    for (int i = 0; i < tails; ++i) {
      std::uint64_t const key = tile.gaps.key[i];
      bool const finite = Keys::finite(Keys::value(static_cast<typename Keys::Key>(key)));
      lower[below] = tile.gaps.key[above] = key;
      below += finite && key < first ? 1 : 0;
      above += finite && key >= first ? 1 : 0;
    }
    run_tails_[0].add<Value>(lower, below);
    run_tails_[1].add<Value>(tile.gaps.key, above);
  });
}

void NumericState::take_packed(std::size_t gap, std::uint64_t packed) {
  run_counts_[2 * gap] += static_cast<std::uint32_t>(packed >> cpu::RunCounters::kSumBits);
  run_gaps_[gap] += packed & ((std::uint64_t{1} << cpu::RunCounters::kSumBits) - 1);
}

/// Takes what was counted in one go to the run's counters, and to the sketch of its group.
void NumericState::unpack_gaps(std::vector<Target> const& targets) {
  if (packed_tiles_ == 0) return;
  packed_tiles_ = 0;
  auto& packed = packed_gaps();
  std::size_t const gaps = std::min(run_gaps_.size(), packed.size());
  for (std::size_t gap = 0; gap < gaps; ++gap) take_packed(gap, packed[gap]);
  std::fill_n(packed.begin(), gaps, std::uint64_t{0});
  for (auto const& target : targets)
    if (Sketch* const sketch = target.plan.sketches ? target.group->sketch.get() : nullptr)
      plan_.grid->bucket_cells().take(
          packed.data() + plan_.grid->count() + 1, [&](std::size_t gap, std::uint64_t counter) { take_packed(gap, counter); },
          [&](std::uint32_t bucket, std::uint64_t rows) { sketch->buckets.add(bucket, rows); });
}

}  // namespace modelwatch
