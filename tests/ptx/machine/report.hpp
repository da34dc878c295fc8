// What a launch did: instruction counts, memory traffic, and which instructions ran.
#pragma once

#include <map>
#include <set>
#include <span>
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
  u64 loadRequests = 0, loadSectors = 0, loadIdealSectors = 0, loadBytes = 0, storeBytes = 0;  // of global memory
  void add(Counters const& other);
};

// Names and places of the counters, in the order in which every report gives them.
struct CounterName {
  char const* name;
  u64 Counters::*member;
};
std::span<CounterName const> counterNames();

// Requests to global memory: how many sectors they took, and how few would have done.
struct Traffic {
  u64 requests = 0, sectors = 0, idealSectors = 0, bytes = 0;
  void add(Traffic const& other);
};

// Counts one warp request. `addresses` is indexed by lane.
Traffic globalRequest(u64 const* addresses, LaneMask lanes, u32 bytes);
void countSharedRequest(Counters& counters, u64 const* addresses, LaneMask lanes, u32 bytes);

struct Coverage {
  std::vector<u64> executions;   // per instruction of the module
  std::vector<Traffic> traffic;  // the same, where traffic is counted
  explicit Coverage(size_t instructions = 0) : executions(instructions), traffic(instructions) {}
  std::vector<u32> missed(Function const& function) const;
};

// What happened on one line of a source file, on behalf of one kernel.
struct LineRecord {
  u64 executions = 0;  // of its most often executed instruction, by warps
  Traffic traffic;
};
// By (file, line), for a kernel and the functions it calls. An instruction inlined from elsewhere counts for the line
// it was written on and for the line it was inlined into; its traffic counts for the first of them only.
std::map<std::pair<std::string, int>, LineRecord> lineRecords(Module const& module, Coverage const& coverage,
                                                              Function const& kernel);

// "PTX line 12 `add.s32 ...;`", with the source file and line where the PTX carries them.
std::string describeInstruction(Module const& module, u32 pc);

}  // namespace ptx
