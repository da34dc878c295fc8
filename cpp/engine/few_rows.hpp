#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>  // memcpy
#include <memory>
#include <vector>

#include "cpu/kernel_table.hpp"
#include "engine/sparse_array.hpp"

namespace modelwatch {

/// Cells and counts of groups that have few rows each: a quarter of what wider ones are to make, copy and look through.
struct NarrowEntries {
  std::vector<std::uint16_t> cell;
  std::vector<std::uint8_t> count;

  bool empty() const { return cell.empty(); }
  std::size_t size() const { return cell.size(); }

  /// Makes room: a table that grows by doubling is written three times.
  void reserve(std::size_t entries) {
    cell.reserve(entries);
    count.reserve(entries);
  }
  /// Adds the counters of a group that are not zero, of at most kMostSlots.
  void add(std::uint8_t const* counts, std::uint32_t slots) {
    // By way of two arrays in the cache, since vectors set what they make room for to 0.
    std::uint16_t cells[kMostSlots + cpu::kEntryRoom];
    std::uint8_t own[kMostSlots + cpu::kEntryRoom];
    int const used = cpu::kernels().narrow_entries(counts, slots, cells, own);
    cell.insert(cell.end(), cells, cells + used);
    count.insert(count.end(), own, own + used);
  }

  static constexpr std::uint32_t kMostSlots = SparseArray<std::uint32_t>::kAlwaysDense;
};

/// Counters of 8 bits for thousands of groups that have few rows each, as of a log that is cut by customer.  Groups lie
/// side by side in the order of their numbers, so who goes through them in that order waits for no memory, and a file of
/// 10,000 groups is made and read in a quarter of the bytes.
///
/// The counters of 10,000 groups do not fit the second-level cache.  So a group of many slots begins, in the same bytes, as
/// the list of its rows' slots: some more rows touch one line of the cache, where their counters lie in as many as there are.
///
/// Facts: what else is kept of a group, with a member `rows`: those counted here since it was last 0.  Whoever counts keeps
/// that up to date, and at most kMost by moving what is here to where there is more room.
template <class Facts>
class FewRows {
 public:
  static constexpr std::uint32_t kMost = 255;
  /// A group with more rows than this in a stretch has counters of its own full width.
  static constexpr std::size_t kMostInStretch = cpu::RowBlock::kMostRows;
  /// Sets with more slots are sparse, and no set of these.
  static constexpr std::uint32_t kMostSlots = NarrowEntries::kMostSlots;

  struct Place {
    std::uint8_t* counts;  // one for every slot
    Facts* facts;
  };

  /// Makes room for a group of so many slots, all of one size.
  Place at(std::size_t group, std::uint32_t slots) {
    std::size_t const block = group / kBlock;
    if (block >= blocks_.size()) blocks_.resize(block + 1);
    slots_ = slots;
    if (!blocks_[block]) blocks_[block] = std::make_unique<Block>(slots);
    Block& own = *blocks_[block];
    return {own.counts.get() + group % kBlock * std::size_t{slots_}, &own.facts[group % kBlock]};
  }

  /// Where the next row's slot is put, with put_slot, if so many more leave the group a list; else nullptr.
  std::uint8_t* list(Place const& place, std::size_t more) const {
    return place.facts->rows + more <= most_listed() ? place.counts + sizeof(Slot) * place.facts->rows : nullptr;
  }
  static std::uint8_t* put_slot(std::uint8_t* at, std::uint32_t slot) {
    auto const own = static_cast<Slot>(slot);
    std::memcpy(at, &own, sizeof own);
    return at + sizeof own;
  }
  /// The counters of a group that is no list from now on, which is for the caller to see to.
  std::uint8_t* counters(Place const& place) const {
    if (place.facts->rows > most_listed()) return place.counts;
    std::uint8_t listed[sizeof(Slot) * kMost];
    std::memcpy(listed, place.counts, sizeof(Slot) * place.facts->rows);
    count_list(listed, place.facts->rows, place.counts);
    return place.counts;
  }
  /// The counters of a group, in `room` (one for every slot) where it is a list.
  std::uint8_t const* counted(Place const& place, std::uint8_t* room) const {
    if (place.facts->rows > most_listed()) return place.counts;
    count_list(place.counts, place.facts->rows, room);
    return room;
  }

  /// Asks for what is kept of a group that is counted soon.
  void prefetch_facts(std::size_t group) const {
    std::size_t const block = group / kBlock;
    if (block < blocks_.size() && blocks_[block]) __builtin_prefetch(&blocks_[block]->facts[group % kBlock], 1);
  }
  /// The same for what it is counted in; looks at its facts.
  void prefetch_counts(std::size_t group) const {
    std::size_t const block = group / kBlock;
    if (block >= blocks_.size() || !blocks_[block]) return;
    std::uint32_t const rows = blocks_[block]->facts[group % kBlock].rows;
    std::uint8_t const* const counts = blocks_[block]->counts.get() + group % kBlock * std::size_t{slots_};
    if (rows < most_listed()) {
      __builtin_prefetch(counts + sizeof(Slot) * rows, 1);
      __builtin_prefetch(counts + sizeof(Slot) * rows + kLine / 2, 1);
    } else {
      for (std::uint32_t at = 0; at < slots_; at += kLine) __builtin_prefetch(counts + at, 1);
    }
  }
  /// Whether anything is counted here of a group.
  bool has(std::size_t group) const {
    std::size_t const block = group / kBlock;
    return block < blocks_.size() && blocks_[block] && blocks_[block]->facts[group % kBlock].rows != 0;
  }
  /// How many counters of all groups can be other than 0.
  std::size_t most_entries() const {
    std::size_t total = 0;
    for (auto const& block : blocks_)
      for (std::size_t g = 0; block && g < kBlock; ++g) total += std::min(block->facts[g].rows, slots_);
    return total;
  }
  /// Numbers of groups that have something here are below this.
  std::size_t end() const { return blocks_.size() * kBlock; }
  std::size_t bytes() const {
    std::size_t total = 0;
    for (auto const& block : blocks_)
      if (block) total += sizeof(Block) + kBlock * std::size_t{slots_};
    return total;
  }

 private:
  /// Small enough not to matter where a file has few groups.
  static constexpr std::size_t kBlock = 64;

  using Slot = std::uint16_t;
  static constexpr std::uint32_t kLine = 64;
  /// Counters of fewer slots lie in two lines of the cache at most.
  static constexpr std::uint32_t kLeastListed = 2 * kLine;

  struct Block {
    explicit Block(std::size_t slots) : counts(std::make_unique_for_overwrite<std::uint8_t[]>(kBlock * slots)) {}
    std::array<Facts, kBlock> facts{};
    std::unique_ptr<std::uint8_t[]> counts;  // of a group without rows: anything
  };

  /// A group of so many rows is a list.
  std::uint32_t most_listed() const { return slots_ < kLeastListed ? 0 : std::min(kMost, slots_ / static_cast<std::uint32_t>(sizeof(Slot))); }
  void count_list(std::uint8_t const* listed, std::uint32_t rows, std::uint8_t* counts) const {
    std::fill_n(counts, slots_, std::uint8_t{0});
    for (std::uint32_t i = 0; i < rows; ++i) {
      Slot slot;
      std::memcpy(&slot, listed + sizeof slot * i, sizeof slot);
      ++counts[slot];
    }
  }

  std::vector<std::unique_ptr<Block>> blocks_;
  std::uint32_t slots_ = 0;
};

}  // namespace modelwatch
