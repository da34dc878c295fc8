// Finds unordered conflicting accesses to one block's shared memory.
//
// Two accesses by different threads are ordered if a block barrier lies between them, or, for threads of one warp, a
// bar.warp.sync. Each 4-byte word remembers its last write and a summary of the reads since; words accessed in smaller
// pieces are tracked byte by byte.
#pragma once

#include <array>
#include <vector>

#include "types.hpp"

namespace ptx {

struct Accessor {
  u32 thread;      // linear index in the block
  u32 blockEpoch;  // block barriers passed
  u32 warpEpoch;   // warp synchronisations passed
};

struct RaceReport {
  bool found = false;
  bool otherWrote = false;
  i32 otherThread = -1;  // -1 if several
};

class RaceDetector {
 public:
  explicit RaceDetector(size_t bytes) : words_((bytes + 3) / 4) {}

  RaceReport access(u64 index, u32 bytes, Accessor const& by, bool read, bool write, bool atomic);

 private:
  static constexpr i32 kNobody = -1, kManyWarps = -2;
  struct Cell {
    i32 writer = kNobody;
    i32 reader = kNobody;  // a thread, or kManyWarps
    u32 writeBlockEpoch = 0, writeWarpEpoch = 0, readBlockEpoch = 0, readWarpEpoch = 0;
    bool writeAtomic = false;
    bool manyLanes = false;  // several lanes of the reader's warp read in the same warp epoch
    i32 split = -1;          // index in bytes_ once the word is tracked byte by byte
  };
  static RaceReport accessCell(Cell& cell, Accessor const& by, bool read, bool write, bool atomic);

  std::vector<Cell> words_;
  std::vector<std::array<Cell, 4>> bytes_;
};

}  // namespace ptx
