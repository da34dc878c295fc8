#pragma once
// Bodies of core/ over a Team, put to work as a kernel does: many tiles, counters that all threads add to.

#include <cstdint>
#include <vector>

#include "core/tile_rank.hpp"
#include "columns.hpp"  // make_grid

namespace modelwatch::test {

/// A grid with its guide in one width; the view that a body takes lives as long as this.
template <class Value>
class OwnedRule {
 public:
  explicit OwnedRule(std::vector<Value> const& knots) : grid_(make_grid(knots)) {
    auto const data = grid_->data();
    guide_.resize(data.buckets);
    for (std::uint32_t b = 0; b < data.buckets; ++b)
      guide_[b] = data.guide != nullptr ? data.guide[b] : data.near_guide[b];
  }
  std::uint32_t slots() const { return grid_->slots(); }
  GridRule<Value> view() const {
    using Key = typename KeyOf<Value>::Key;
    auto const data = grid_->data();
    return {static_cast<Key const*>(data.knots), guide_.data(),
            data.count,                          data.buckets,
            static_cast<Key>(data.first),        data.shift,
            static_cast<Value>(data.origin),     static_cast<Value>(data.scale),
            data.steps};
  }

 private:
  std::shared_ptr<Grid const> grid_;
  std::vector<std::uint32_t> guide_;
};

/// What ranking a column leaves: the slot of each row, and how many rows each slot has.
struct Ranked {
  std::vector<std::uint32_t> slots;
  std::vector<std::uint64_t> counts;
  bool operator==(Ranked const&) const = default;
};

/// Memory that the threads of a team share while they rank a column.
template <class Value>
struct RankWork {
  RankTile<Value> tile;
  std::vector<std::uint32_t> own;  // counters of the team, as those in a block's shared memory
  Ranked result;

  RankWork(std::int64_t rows, std::uint32_t slots)
      : tile{}, own(slots), result{std::vector<std::uint32_t>(static_cast<std::size_t>(rows)), std::vector<std::uint64_t>(slots)} {}
};

inline int rows_of_tile(std::int64_t begin, std::int64_t rows) {
  return static_cast<int>(rows - begin < kTileRows ? rows - begin : kTileRows);
}

/// Every thread of the team runs this.
template <class Value, class Team>
void rank_column(Team const& team, NumericView const& column, GridRule<Value> const& rule, RankWork<Value>& work) {
  for (std::int64_t begin = 0; begin < column.rows; begin += kTileRows)
    rank_tile(team, column, begin, rows_of_tile(begin, column.rows), rule, work.tile, [&](int row, std::uint32_t slot) {
      work.result.slots[static_cast<std::size_t>(begin + row)] = slot;
      team.add_one(&work.own[slot]);
    });
  for (auto s = static_cast<std::size_t>(team.rank()); s < work.own.size(); s += static_cast<std::size_t>(team.size()))
    team.add(&work.result.counts[s], std::uint64_t{work.own[s]});
}

}  // namespace modelwatch::test
