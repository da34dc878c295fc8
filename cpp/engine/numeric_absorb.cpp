// Counts that were made on a device, taken into the state that results come from.

#include <algorithm>
#include <memory>

#include "core/tail_digits.hpp"
#include "engine/numeric_state.hpp"

namespace modelwatch {

SlabLayout NumericState::layout(std::size_t set) const {
  SetPlan const& plan = sets_.at(set).plan;
  return slab_layout(domain(), plan.coarse ? plan_.coarse_slots : plan_.fine_slots, !plan.coarse, plan.sketches);
}

void NumericState::absorb(std::size_t set, std::int32_t group, std::uint64_t const* slab) {
  SlabLayout const at = layout(set);
  Group& into = group_of(sets_[set], group);
  // 64-bit counters from the start, as of weighted rows.
  if (into.spilled.size() == 0) into.spilled = SparseArray<std::uint64_t>(into.cells.size());
  for (std::uint32_t slot = 0; slot < at.slots; ++slot)
    if (slab[slot] != 0) into.spilled.add(slot, slab[slot]);
  into.low = std::min(into.low, ~slab[at.range]);
  into.high = std::max(into.high, slab[at.range + 1]);
  if (at.gaps != 0)
    for (std::uint32_t gap = 0; gap < at.slots / 2; ++gap)
      if (slab[at.gaps + gap] != 0) into.gaps.add(gap, slab[at.gaps + gap]);
  if (at.tails != 0 && slab[at.tails] != 0)
    for (std::size_t end = 0; end < 2; ++end) add_digits(into.tail(end), slab + at.tails + 1 + end * kTailDigits);
  if (at.buckets == 0) return;
  BucketSpan const span = bucket_span(domain());
  // A row between knots is in a bucket, so without one there is nothing in the registers either.
  bool any = false;
  for (std::uint32_t place = 0; place < span.slots(); ++place) {
    if (slab[at.buckets + place] == 0) continue;
    if (!into.sketch) into.sketch = std::make_unique<Sketch>();
    into.sketch->buckets.add(span.bucket(place), slab[at.buckets + place]);
    any = true;
  }
  if (!any) return;
  auto const* const ranks = reinterpret_cast<std::uint32_t const*>(slab + at.registers);
  for (std::uint32_t i = 0; i < kRegisters; ++i)
    if (ranks[i] != 0) into.sketch->registers.raise(i, static_cast<std::uint8_t>(ranks[i]));
}

void NumericState::set_moments(std::size_t set, std::int32_t group, Moments const& moments) { group_of(sets_.at(set), group).moments = moments; }

}  // namespace modelwatch
