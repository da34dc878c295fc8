// What a launch did: instruction counts, memory traffic, and which instructions ran.
#pragma once

#include <set>
#include <vector>

#include "module.hpp"

namespace ptx {

struct Counters {
  u64 warpInstructions = 0, threadInstructions = 0;
  u64 globalRequests = 0, globalSectors = 0, globalIdealSectors = 0;  // sectors are 32 bytes
  u64 sharedRequests = 0, sharedCycles = 0;                           // cycles beyond requests are bank conflicts
  u64 atomicRequests = 0;
  u64 divergentInstructions = 0;  // issued with some live lane of the warp elsewhere
  u64 barriers = 0, maxCallDepth = 0;
};

// Counts one warp request. `addresses` is indexed by lane.
void countGlobalRequest(Counters& counters, u64 const* addresses, LaneMask lanes, u32 bytes);
void countSharedRequest(Counters& counters, u64 const* addresses, LaneMask lanes, u32 bytes);

struct Coverage {
  std::vector<u64> executions;  // per instruction of the module
  explicit Coverage(size_t instructions = 0) : executions(instructions) {}
  std::vector<u32> missed(Function const& function) const;
};

// "PTX line 12 `add.s32 ...;`", with the source file and line where the PTX carries them.
std::string describeInstruction(Module const& module, u32 pc);

}  // namespace ptx
