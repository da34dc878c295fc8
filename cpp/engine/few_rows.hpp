#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "engine/sparse_array.hpp"

namespace modelwatch {

/// Cells and counts of groups that have few rows each: a quarter of what wider ones are to make, copy and look through.
struct NarrowEntries {
  std::vector<std::uint16_t> cell;
  std::vector<std::uint8_t> count;

  bool empty() const { return cell.empty(); }
  std::size_t size() const { return cell.size(); }

  /// Adds the counters of a group that are not zero.
  void add(std::uint8_t const* counts, std::uint32_t slots) {
    std::size_t const before = cell.size();
    if (cell.capacity() < before + slots) {
      cell.reserve(2 * (before + slots));
      count.reserve(2 * (before + slots));
    }
    cell.resize(before + slots);
    count.resize(before + slots);
    std::uint16_t* cells = cell.data() + before;
    std::uint8_t* own = count.data() + before;
    each_counted(counts, slots, [&](std::uint32_t slot, std::uint8_t times) {
      *cells++ = static_cast<std::uint16_t>(slot);
      *own++ = times;
    });
    cell.resize(static_cast<std::size_t>(cells - cell.data()));
    count.resize(cell.size());
  }
};

/// Counters of 8 bits for thousands of groups that have few rows each, as of a log that is cut by customer.  Groups lie
/// side by side in the order of their numbers, so who goes through them in that order waits for no memory, and a file of
/// 10,000 groups is made and read in a quarter of the bytes.
///
/// Facts: what else is kept of a group, with a member `rows`: those counted here since it was last 0.  Whoever counts keeps
/// that below kMost, by moving what is here to where there is more room.
template <class Facts>
class FewRows {
 public:
  static constexpr std::uint32_t kMost = 255;
  /// A group with more rows than this in a stretch has counters of its own full width.
  static constexpr std::size_t kMostInStretch = 96;
  /// Sets with more slots are sparse, and no set of these.
  static constexpr std::uint32_t kMostSlots = SparseArray<std::uint32_t>::kAlwaysDense;

  struct Place {
    std::uint8_t* counts;  // one for every slot
    Facts* facts;
  };

  /// Makes room for a group of so many slots, all of one size.
  Place at(std::size_t group, std::uint32_t slots) {
    std::size_t const block = group / kBlock;
    if (block >= blocks_.size()) blocks_.resize(block + 1);
    if (!blocks_[block]) blocks_[block] = std::make_unique<Block>(slots);
    Block& own = *blocks_[block];
    slots_ = slots;
    return {own.counts.get() + group % kBlock * slots, &own.facts[group % kBlock]};
  }
  /// Asks for the memory of a group that is counted soon.
  void prefetch(std::size_t group, std::uint32_t slots) const {
    std::size_t const block = group / kBlock;
    if (block >= blocks_.size() || !blocks_[block]) return;
    Facts const* const facts = &blocks_[block]->facts[group % kBlock];
    __builtin_prefetch(facts, 1);
    __builtin_prefetch(reinterpret_cast<char const*>(facts + 1) - 1, 1);
    std::uint8_t const* const counts = blocks_[block]->counts.get() + group % kBlock * slots;
    for (std::uint32_t at = 0; at < slots; at += 64) __builtin_prefetch(counts + at, 1);
  }
  /// Whether anything is counted here of a group.
  bool has(std::size_t group) const {
    std::size_t const block = group / kBlock;
    return block < blocks_.size() && blocks_[block] && blocks_[block]->facts[group % kBlock].rows != 0;
  }
  /// Numbers of groups that have something here are below this.
  std::size_t end() const { return blocks_.size() * kBlock; }
  std::size_t bytes() const {
    std::size_t total = 0;
    for (auto const& block : blocks_)
      if (block) total += sizeof(Block) + kBlock * slots_;
    return total;
  }

 private:
  /// Small enough not to matter where a file has few groups.
  static constexpr std::size_t kBlock = 64;

  struct Block {
    explicit Block(std::uint32_t slots) : counts(std::make_unique<std::uint8_t[]>(kBlock * std::size_t{slots})) {}  // zeroed
    std::unique_ptr<std::uint8_t[]> counts;
    std::array<Facts, kBlock> facts{};
  };

  std::vector<std::unique_ptr<Block>> blocks_;
  std::uint32_t slots_ = 0;
};

}  // namespace modelwatch
