#include "global_races.hpp"

#include <algorithm>

namespace ptx {

GlobalRaces::Cell& GlobalRaces::cell(u64 word) {
  u64 const number = word / kPageWords;
  Recent& recent = recent_[number % recent_.size()];
  if (recent.number != number) {
    std::unique_ptr<Page>& page = pages_[number];
    if (!page) page = std::make_unique<Page>();
    recent = {number, page.get()};
  }
  return (*recent.page)[word % kPageWords];
}

// Whether a fence in `block` after the time was followed by one in `toBlock`.
bool GlobalRaces::published(u32 block, u32 time, u32 toBlock) const {
  auto const from = fences_.find(block), to = fences_.find(toBlock);
  if (from == fences_.end() || to == fences_.end()) return false;
  auto const released = std::upper_bound(from->second.begin(), from->second.end(), time);
  return released != from->second.end() && to->second.back() >= *released;
}

bool GlobalRaces::ordered(u32 block, u32 thread, u32 time, GlobalAccess const& by) const {
  if (block != by.block) return published(block, time, by.block);
  return thread == by.thread || by.barrierTime > time ||
         (thread / kWarpSize == by.thread / kWarpSize && by.syncTime > time);
}

bool GlobalRaces::followsWrites(Cell const& cell, GlobalAccess const& by) const {
  if (cell.writes == Writes::None || (by.strong && cell.writes != Writes::Plain)) return true;
  // Of atomics by several blocks only the last is known, so a barrier of its block orders no more than that one.
  if (cell.writes == Writes::StrongByBlocks) return published(cell.writeBlock, cell.writeTime, by.block);
  return ordered(cell.writeBlock, cell.writeThread, cell.writeTime, by);
}

bool GlobalRaces::followsReads(Cell const& cell, GlobalAccess const& by) const {
  if (cell.reads == Reads::None || (by.strong && cell.readsAreStrong)) return true;
  if (cell.reads == Reads::Blocks) return false;
  if (cell.reads == Reads::One || cell.readBlock != by.block)
    return ordered(cell.readBlock, cell.readThread, cell.readTime, by);
  bool const myWarp = cell.readThread / kWarpSize == by.thread / kWarpSize;
  return by.barrierTime > cell.readTime || (cell.reads == Reads::Lanes && myWarp && by.syncTime > cell.readTime);
}

// Keeps one reader while it stands for all so far, which it does for those ordered before it; else widens the summary.
void GlobalRaces::noteRead(Cell& cell, GlobalAccess const& by, u32 now) const {
  bool const first = cell.reads == Reads::None;
  if (first) {
    cell.reads = Reads::One;
  } else if (cell.reads != Reads::Blocks) {
    if (cell.readBlock != by.block)
      cell.reads = published(cell.readBlock, cell.readTime, by.block) ? Reads::One : Reads::Blocks;
    else if (by.barrierTime > cell.readTime)
      cell.reads = Reads::One;
    else if (cell.reads == Reads::Warps || cell.readThread / kWarpSize != by.thread / kWarpSize)
      cell.reads = Reads::Warps;
    else if (by.syncTime > cell.readTime)
      cell.reads = Reads::One;
    else if (cell.readThread != by.thread)
      cell.reads = Reads::Lanes;
  }
  cell.readsAreStrong = by.strong && (first || cell.readsAreStrong);
  cell.readBlock = by.block;
  cell.readThread = u16(by.thread);
  cell.readTime = now;
  cell.readPc = by.pc;
}

std::optional<GlobalRace> GlobalRaces::accessCell(Cell& cell, GlobalAccess const& by, u32 now) const {
  if (!followsWrites(cell, by))
    return GlobalRace{true, cell.writes == Writes::StrongByBlocks, cell.writeBlock, cell.writeThread, cell.writePc};
  if (by.write) {
    if (!followsReads(cell, by))
      return GlobalRace{false, cell.reads != Reads::One, cell.readBlock, cell.readThread, cell.readPc};
    bool const joins = by.strong && cell.writes >= Writes::Strong;
    bool const otherBlock = joins && (cell.writes == Writes::StrongByBlocks || cell.writeBlock != by.block);
    cell.writes = !by.strong ? Writes::Plain : otherBlock ? Writes::StrongByBlocks : Writes::Strong;
    if (!by.strong) cell.reads = Reads::None;  // whoever follows this write follows what it followed
    cell.writeBlock = by.block;
    cell.writeThread = u16(by.thread);
    cell.writeTime = now;
    cell.writePc = by.pc;
  } else if (by.read) {
    noteRead(cell, by, now);
  }
  return std::nullopt;
}

std::optional<GlobalRace> GlobalRaces::access(u64 address, u32 bytes, GlobalAccess const& by, u32 now) {
  u64 const end = address + bytes;
  for (u64 word = address / 4; word * 4 < end; ++word) {
    Cell& whole = cell(word);
    u64 const from = address > word * 4 ? address - word * 4 : 0;
    u64 const to = end < word * 4 + 4 ? end - word * 4 : 4;
    if (to - from < 4 && !whole.split) {
      bytes_[word] = {whole, whole, whole, whole};
      whole.split = true;
    }
    if (!whole.split) {
      if (auto race = accessCell(whole, by, now)) return race;
      continue;
    }
    std::array<Cell, 4>& parts = bytes_[word];
    for (u64 byte = from; byte < to; ++byte)
      if (auto race = accessCell(parts[byte], by, now)) return race;
  }
  return std::nullopt;
}

}  // namespace ptx
