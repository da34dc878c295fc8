#include "engine/tile_groups.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace modelwatch {
namespace {

constexpr int kLaneBits = 4;
static_assert(kLanes == 1 << kLaneBits);

/// Lanes in the order of their bits read backwards: tree_fold adds up two that differ in their highest bit first, then those
/// that agree in all but the next one, so neighbours come together.
constexpr std::array<int, kLanes> kTreeOrder = [] {
  std::array<int, kLanes> out{};
  for (int i = 0; i < kLanes; ++i)
    for (int bit = 0; bit < kLaneBits; ++bit) out[static_cast<std::size_t>(i)] |= (i >> bit & 1) << (kLaneBits - 1 - bit);
  return out;
}();

}  // namespace

TileGroups::TileGroups(std::vector<std::int32_t> ids, std::int32_t const* of_row, std::int64_t rows)
    : ids_(std::move(ids)), place_(static_cast<std::size_t>(rows)), order_(place_.size()), group_(place_.size()) {
  std::int32_t const low = ids_.front();
  std::vector<std::uint16_t> place_of(static_cast<std::size_t>(ids_.back() - low) + 1);
  for (std::size_t k = 0; k < ids_.size(); ++k) place_of[static_cast<std::size_t>(ids_[k] - low)] = static_cast<std::uint16_t>(k);
  auto const none = static_cast<std::uint16_t>(ids_.size());
  for (std::size_t i = 0; i < place_.size(); ++i) place_[i] = of_row[i] < 0 ? none : place_of[static_cast<std::size_t>(of_row[i] - low)];
  first_add_.push_back(0);
  for (std::int64_t first = 0; first < rows; first += kTileRows)
    put_in_order(place_.data() + first, static_cast<int>(std::min<std::int64_t>(kTileRows, rows - first)));
}

/// The rows of a tile group by group, those of a group in the order of the tree.
void TileGroups::put_in_order(std::uint16_t const* place, int rows) {
  std::size_t const groups = ids_.size();
  std::vector<std::uint16_t> next(groups + 1, 0);
  for (int i = 0; i < rows; ++i) ++next[place[i]];
  std::uint16_t sum = 0;
  for (std::size_t g = 0; g <= groups; ++g) {
    begin_.push_back(sum);
    sum = static_cast<std::uint16_t>(sum + std::exchange(next[g], sum));
  }
  std::size_t const first = static_cast<std::size_t>(place - place_.data());
  for (int const lane : kTreeOrder)
    for (int i = lane; i < rows; i += kLanes) {
      std::uint16_t const at = next[place[i]]++;
      order_[first + at] = static_cast<std::uint16_t>(i);  // rows of no group come last
      group_[first + at] = place[i];
    }
  add_up(order_.data() + first, begin_.data() + begin_.size() - (groups + 1));
  first_add_.push_back(adds_.size() / 2);
}

/// Rows of one lane in their order, then two lanes at a time that agree in ever fewer of their last bits.
void TileGroups::add_up(std::uint16_t const* order, std::uint16_t const* begin) {
  std::vector<std::uint16_t> left;  // places whose sums are not yet added to others
  std::vector<std::uint16_t> kept;
  std::vector<std::uint16_t> group;
  for (std::size_t g = 0; g < ids_.size(); ++g)
    for (std::uint16_t at = begin[g]; at < begin[g + 1]; ++at) {
      left.push_back(at);
      group.push_back(static_cast<std::uint16_t>(g));
    }
  for (int bits = kLaneBits; bits >= 0; --bits) {
    int const mask = (1 << bits) - 1;
    kept.clear();
    for (std::uint16_t const at : left) {
      bool const same = !kept.empty() && group[kept.back()] == group[at] && (order[kept.back()] & mask) == (order[at] & mask);
      if (!same) {
        kept.push_back(at);
        continue;
      }
      adds_.push_back(kept.back());
      adds_.push_back(at);
    }
    std::swap(left, kept);
  }
}

}  // namespace modelwatch
