#pragma once
// core/tile_profile.hpp put to work as its kernel does: one column, some counter sets, all groups' slabs.

#include <cstdint>
#include <memory>
#include <vector>

#include "columns.hpp"
#include "core/tile_profile.hpp"
#include "engine/numeric_state.hpp"

namespace modelwatch::test {

/// What a chunk's groups are in one set, found by the obvious loop.
struct OwnedGroups {
  std::vector<std::int32_t> of_row;
  std::vector<std::int32_t> of_tile;
  std::vector<std::uint32_t> entry_begin;
  std::vector<std::int32_t> entry_group;
  std::int32_t groups = 0;  // one more than the largest
  bool mixed = false;

  explicit OwnedGroups(std::vector<std::int32_t> rows) : of_row(std::move(rows)) {
    auto const size = static_cast<std::int64_t>(of_row.size());
    for (std::int64_t begin = 0; begin < size; begin += kTileRows) {
      auto const first = of_row.begin() + begin;
      auto const last = of_row.begin() + std::min<std::int64_t>(begin + kTileRows, size);
      bool const same = std::all_of(first, last, [&](std::int32_t g) { return g == *first; });
      of_tile.push_back(!same ? kMixedTile : *first < 0 ? kNoGroup : *first);
      entry_begin.push_back(static_cast<std::uint32_t>(entry_group.size()));
      if (same) continue;
      mixed = true;
      for (auto g = first; g != last; ++g)
        if (*g >= 0 && std::find(entry_group.begin() + entry_begin.back(), entry_group.end(), *g) == entry_group.end())
          entry_group.push_back(*g);
    }
    entry_begin.push_back(static_cast<std::uint32_t>(entry_group.size()));
    for (auto const g : of_row) groups = std::max(groups, g + 1);
  }
};

/// How a team uses its memory: what the host side of a device chooses by what fits.
struct ProfilePlaces {
  bool run;
  bool gaps_of_run;
  bool own_guide;
  bool counters;
  bool far;  // of what has no counters in the team's memory
};

/// One column's counts by a team, in slabs.  All threads call count(); then one calls results().
template <class Value>
class TeamProfile {
 public:
  TeamProfile(NumericPlan const& plan, std::vector<SetPlan> const& sets, NumericView const& values, std::vector<OwnedGroups> const& groups,
              std::uint32_t const* weights, ProfilePlaces places)
      : plan_(plan), sets_(sets), groups_(groups), state_(plan, sets), tile_rows_(), moment_tile_(), mean_() {
    auto const tiles = groups.front().of_tile.size();
    auto entries = static_cast<std::uint32_t>(tiles);
    for (std::size_t s = 0; s < sets.size(); ++s) {
      auto const& own = groups[s];
      first_entry_.push_back(entries);
      entries += static_cast<std::uint32_t>(own.entry_group.size());
      chunk_sets_.push_back({own.of_tile.data(), own.of_row.data(), own.entry_begin.data(), own.entry_group.data(), first_entry_.back(), 0,
                             static_cast<std::uint32_t>(own.groups), sets[s].moments});
      slabs_.emplace_back();
      tables_.emplace_back();
      for (std::int32_t g = 0; g < own.groups; ++g) {
        slabs_.back().emplace_back(kBefore + state_.layout(s).words, 0);
        tables_.back().push_back(slabs_.back().back().data());
      }
    }
    moments_.resize(entries);
    row_groups_.resize(kTileRows);
    run_.resize(sets.size());
    next_.resize(sets.size());
    chunk_ = {chunk_sets_.data(), weights, values.rows, static_cast<std::int32_t>(sets.size())};
    describe(values, weights != nullptr, places);
  }

  template <class Team>
  void count(Team const& team) {
    ProfileTile<Value> const tile{&tile_rows_, &moment_tile_, &mean_,
                                  row_groups_.data(), run_.data(), next_.data(), reinterpret_cast<std::uint32_t*>(memory_.data()), 0};
    ProfileTile<Value> other = tile;  // another team, which counts in the other copy
    other.team = 1;
    // As two stripes of tiles, one after the other; the second finds the team's memory as the first left it.
    auto const tiles = static_cast<std::int64_t>(groups_.front().of_tile.size());
    ColumnProfiler<Value, Team>(team, column_, chunk_, tile).count(0, tiles / 2);
    team.sync();
    ColumnProfiler<Value, Team>(team, column_, chunk_, other).count(tiles / 2, tiles);
  }

  /// Adds both copies of far counters to the slabs.  Once, by one thread.
  void add_far() {
    for (std::size_t s = 0; s < far_.size(); ++s)
      for (std::size_t w = 0; w < far_[s].size(); ++w) {
        std::size_t const at = w % (far_[s].size() / 2);
        std::size_t const slots = column_sets_[s].layout.slots;
        slabs_[s][at / slots][kBefore + at % slots] += far_[s][w];
      }
  }

  /// As the engine has them: slabs absorbed, moments of tiles folded in order.
  NumericResult result(std::size_t s) {
    NumericState state(plan_, sets_);
    auto const& own = groups_[s];
    for (std::int32_t g = 0; g < own.groups; ++g) {
      if (std::find(own.of_row.begin(), own.of_row.end(), g) == own.of_row.end()) continue;
      state.absorb(s, g, slabs_[s][static_cast<std::size_t>(g)].data() + kBefore);
      if (!sets_[s].moments) continue;
      Moments total{};
      for (std::size_t t = 0; t < own.of_tile.size(); ++t) {
        if (own.of_tile[t] == g) total.merge(moments_[t]);
        for (std::uint32_t e = own.entry_begin[t]; e < own.entry_begin[t + 1]; ++e)
          if (own.entry_group[e] == g) total.merge(moments_[first_entry_[s] + e]);
      }
      state.set_moments(s, g, total);
    }
    return state.finish(s);
  }

 private:
  /// Words of another column before this one's in every slab.
  static constexpr std::size_t kBefore = 3;

  void describe(NumericView const& values, bool weighted, ProfilePlaces places) {
    auto const data = plan_.grid->data();
    guide_.resize(data.buckets);
    for (std::uint32_t b = 0; b < data.buckets; ++b) guide_[b] = data.guide != nullptr ? data.guide[b] : data.near_guide[b];
    column_ = {};
    column_.values = values;
    column_.knots = data.knots;
    column_.guide = guide_.data();
    column_.gaps = data.gaps;
    column_.gap_scales = data.gap_scales;
    column_.moments = moments_.data();
    column_.first = data.first;
    column_.origin = data.origin;
    column_.scale = data.scale;
    column_.pivot = plan_.pivot;
    column_.count = data.count;
    column_.buckets = data.buckets;
    column_.shift = data.shift;
    column_.steps = data.steps;
    column_.lower_tail = plan_.grid->lower_tail();
    column_.upper_tail = plan_.grid->upper_tail();
    column_.domain = data.domain;
    std::uint32_t words = 0;
    auto const take = [&](bool wanted, std::uint32_t more) {
      std::uint32_t const at = words;
      if (!wanted) return kNotThere;
      words += more;
      return at;
    };
    for (std::size_t s = 0; s < sets_.size(); ++s) {
      column_.fine |= !sets_[s].coarse;
      column_.sketches |= sets_[s].sketches;
    }
    bool const run = places.run && !weighted;
    column_.run_tails = take(run && column_.fine, 2 * kTailWords);
    column_.run_counts = take(run, plan_.grid->slots());
    column_.run_gaps = take(run && column_.fine && places.gaps_of_run, 2 * (data.count + 1));
    for (std::size_t s = 0; s < sets_.size(); ++s) {
      auto const layout = state_.layout(s);
      auto const& map = sets_[s].coarse ? plan_.to_coarse : plan_.to_fine;
      std::uint32_t const counters =
          take(groups_[s].mixed && !weighted && places.counters, static_cast<std::uint32_t>(groups_[s].groups) * layout.slots);
      std::uint32_t const copy = static_cast<std::uint32_t>(groups_[s].groups) * layout.slots;
      bool const far = places.far && counters == kNotThere && !weighted;
      far_.emplace_back(far ? 2 * std::size_t{copy} : 0, 0);
      column_sets_.push_back(
          {tables_[s].data(), kBefore, map.empty() ? nullptr : map.data(), layout, counters, {far ? far_.back().data() : nullptr, copy, 2}});
    }
    column_.zeroed = words;
    words += words % 2;
    column_.own_knots = take(places.own_guide, static_cast<std::uint32_t>(sizeof(typename KeyOf<Value>::Key) / 4) * (data.count + (1u << data.steps)));
    column_.own_guide = take(places.own_guide, data.buckets);
    column_.sets = column_sets_.data();
    // Of 64 bits, so that knots are aligned; with rubbish in it, as a block finds it.
    memory_.assign(words / 2 + 1, 0x5a5a5a5a5a5a5a5au);
  }

  NumericPlan plan_;
  std::vector<SetPlan> sets_;
  std::vector<OwnedGroups> const& groups_;
  NumericState state_;
  RankTile<Value> tile_rows_;
  MomentTile moment_tile_;
  Moments mean_;
  std::vector<std::uint32_t> first_entry_;
  std::vector<ProfileGroups> chunk_sets_;
  std::vector<std::vector<std::vector<std::uint64_t>>> slabs_;
  std::vector<std::vector<std::uint64_t*>> tables_;
  std::vector<Moments> moments_;
  std::vector<std::int32_t> row_groups_;
  std::vector<std::uint64_t*> run_;
  std::vector<std::uint64_t*> next_;
  std::vector<std::uint32_t> guide_;
  std::vector<ProfileSet> column_sets_;
  std::vector<std::vector<std::uint32_t>> far_;
  std::vector<std::uint64_t> memory_;
  ProfileChunk chunk_{};
  ProfileColumn column_{};
};

}  // namespace modelwatch::test
