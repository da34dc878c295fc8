// Execution state of a thread block: warps, and within a warp the groups of lanes that share a program counter.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "memory.hpp"

namespace ptx {

enum class LaneState : u8 { Ready, AtWarpSync, AtBarrier };

// Lanes of one warp that run together. A converged warp has one; branches split them, meeting again merges them.
struct Fragment {
  LaneMask lanes = 0;
  u32 pc = 0;
  u32 depth = 0;  // call depth
  LaneState state = LaneState::Ready;
  LaneMask member = 0;  // AtWarpSync: the mask the lanes named
  u8 barrier = 0;       // AtBarrier
};

struct Warp {
  u32 id = 0;
  LaneMask live = 0;
  std::vector<Fragment> fragments;
  std::unique_ptr<u8[]> storage;
  u8* registers = nullptr;                            // biased so that a Slot can be added directly
  std::vector<u8> local;                              // localBytes per lane
  LaneMask carry = 0;                                 // CC.CF of each lane
  u32 syncTime = 0;                                   // of the last one, see GlobalAccess
  u32 syncEpoch = 0;                                  // bar.warp.sync passed, for the race detector
  std::vector<std::array<u32, kWarpSize>> callSites;  // by depth: pc of the call each lane has to return to
};

struct Barrier {
  u32 arrived = 0;   // lanes, waiting or bar.arrive
  u32 expected = 0;  // 0: every live thread of the block
};

struct Block {
  u32 x = 0, y = 0, z = 0;
  u32 threads = 0, live = 0;
  std::vector<Warp> warps;
  std::unique_ptr<SharedMemory> shared;
  std::array<Barrier, 16> barriers;
  u32 index = 0;        // linear, in the grid
  u32 epoch = 0;        // barriers passed, for the race detector
  u32 barrierTime = 0;  // of the last one, see GlobalAccess
};

}  // namespace ptx
