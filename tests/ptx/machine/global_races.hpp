// Finds unordered conflicting accesses to global memory within one launch.
//
// Two accesses by different threads conflict if one of them writes, unless both are strong: atomics, and loads and
// stores that are volatile, relaxed, acquire or release. They are ordered
//   - within a block, by a block barrier between them, and within a warp also by bar.warp.sync;
//   - between blocks, only by fences of device scope (or acquire and release): one in the first block after the first
//     access, then one in the second block before the second. That is how look-back and last-block algorithms publish.
//     It is taken on trust that a flag was passed between the two fences, and that a block's own threads were joined.
// Each 4-byte word that a launch touches has a cell with its last write and a summary of its reads; words accessed in
// smaller pieces have one for each byte.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "types.hpp"

namespace ptx {

// Times are counted in synchronisations: an access is ordered before a barrier of its block that has a later time.
struct GlobalAccess {
  u32 block, thread, pc;
  u32 barrierTime, syncTime;  // when the thread's block and warp last synchronised
  bool read, write, strong;
};

struct GlobalRace {
  bool otherWrote;
  bool several;  // more than one other thread; the fields below tell of the last of them
  u32 block, thread, pc;
};

class GlobalRaces {
 public:
  std::optional<GlobalRace> access(u64 address, u32 bytes, GlobalAccess const& by, u32 now);
  void fence(u32 block, u32 now) { fences_[block].push_back(now); }

 private:
  enum class Writes : u8 { None, Plain, Strong, StrongByBlocks };
  enum class Reads : u8 {
    None,
    One,
    Lanes,
    Warps,
    Blocks
  };  // by one thread, lanes of a warp, warps of a block, blocks
  struct Cell {
    u32 writeBlock = 0, writeTime = 0, writePc = 0, readBlock = 0, readTime = 0, readPc = 0;
    u16 writeThread = 0, readThread = 0;
    Writes writes = Writes::None;
    Reads reads = Reads::None;
    bool readsAreStrong = true;
    bool split = false;  // the word's bytes have cells of their own
  };
  static constexpr u64 kPageWords = 1024;
  using Page = std::array<Cell, kPageWords>;

  Cell& cell(u64 word);
  bool published(u32 block, u32 time, u32 toBlock) const;
  bool ordered(u32 block, u32 thread, u32 time, GlobalAccess const& by) const;
  bool followsWrites(Cell const& cell, GlobalAccess const& by) const;
  bool followsReads(Cell const& cell, GlobalAccess const& by) const;
  void noteRead(Cell& cell, GlobalAccess const& by, u32 now) const;
  std::optional<GlobalRace> accessCell(Cell& cell, GlobalAccess const& by, u32 now) const;

  std::unordered_map<u64, std::unique_ptr<Page>> pages_;
  struct Recent {
    u64 number = ~u64{0};
    Page* page = nullptr;
  };
  std::array<Recent, 64> recent_;  // direct-mapped, so that streams over several arrays do not search
  std::unordered_map<u64, std::array<Cell, 4>> bytes_;
  std::unordered_map<u32, std::vector<u32>> fences_;  // times at which threads of a block executed one
};

}  // namespace ptx
