// Runs kernels of a module: launches grids, schedules blocks, warps and lane fragments, and executes control flow.
#pragma once

#include <span>

#include "global_races.hpp"
#include "report.hpp"
#include "warp.hpp"

namespace ptx {

enum class BlockOrder : u8 { InOrder, Reversed, Random };

struct Options {
  u32 seed = 0;
  bool randomSchedule = false;  // random choice of block, warp and fragment; random splitting of converged lanes
  u32 residentBlocks = 1;       // blocks whose execution interleaves
  BlockOrder blockOrder = BlockOrder::InOrder;
  bool reverseWarps = false;
  bool detectRaces = true;         // in shared memory
  bool detectGlobalRaces = false;  // slower: every access is looked at, and 32 bytes kept for 4
  bool countTraffic = true;
  u32 approximationNoise = 0;   // ulps added at random to .approx results
  u64 maxWarpInstructions = 0;  // 0: no limit; otherwise a livelock guard
};

struct Dim3 {
  u32 x = 1, y = 1, z = 1;
};

struct LaunchRequest {
  std::string kernel;
  Dim3 grid, block;
  u64 dynamicShared = 0;
  std::span<const u8> params;
};

class Machine {
 public:
  explicit Machine(std::unique_ptr<Module> module);

  void launch(LaunchRequest const& request);

  Module const& module() const { return *module_; }
  GlobalMemory& memory() { return memory_; }
  SharedMemory& shared() { return *block_->shared; }
  Options& options() { return options_; }
  Counters const& counters() const { return counters_; }
  Coverage const& coverage() const { return coverage_; }
  void resetCoverage() { coverage_ = Coverage(module_->code.size()); }
  std::set<std::string> const& warnings() const { return warnings_; }
  u8* moduleVariable(std::string const& name, u64& size);

  // ---- For handlers: the current warp and its operands.
  template <class T>
  T* reg(Slot slot) {
    return reinterpret_cast<T*>(warp_->registers + slot);
  }
  LaneMask& predicate(Slot slot) { return *reg<LaneMask>(slot); }
  Warp& warp() { return *warp_; }
  ListItem const* list(Instruction const& in) const { return &module_->lists[in.listBegin]; }
  std::span<const u8> kernelParams() const { return params_; }
  u64 clock() const { return counters_.warpInstructions; }

  // Addresses of all lanes for a memory operand.
  void addresses(Address const& operand, u64* out);
  // Checked storage for one lane's access; throws if the access is not allowed.
  u8* access(Space space, u64 address, u32 bytes, int lane, bool read, bool write, bool atomic = false);
  void countRequest(Space space, u64 const* addresses, LaneMask lanes, u32 bytes);

  void countAtomic() { ++counters_.atomicRequests; }

  u32 tick() { return ++time_; }
  GlobalRaces* globalRaces() { return globalRaces_.get(); }
  // A fence of device scope, or the ordering part of an acquire or release.
  void fence() {
    if (globalRaces_) globalRaces_->fence(block_->index, tick());
  }

  u32 random();
  double noisy(double value, bool isDouble);
  u32 laneOrder(std::array<u8, kWarpSize>& order, LaneMask lanes);  // order in which lanes perform atomics
  void warn(std::string const& message);
  [[noreturn]] void fail(Fault fault, std::string const& message, int lane = -1);

 private:
  // scheduler.cpp
  void startBlock(Block& block, u64 index);
  void buildRegisterImage();
  void fillSpecials(Warp& warp, Block const& block);
  bool runBlock(Block& block);
  bool runWarp(Warp& warp, u32 budget);
  int chooseFragment(Warp& warp);
  void mergeReady(Warp& warp);
  u32 runFragment(Warp& warp, int index, u32 budget);
  void countGlobal(Traffic const& request);
  void checkGlobalRace(u64 address, u32 bytes, int lane, bool read, bool write, bool atomic);
  [[noreturn]] void reportDeadlock(Block& block);

  // control.cpp. Each returns true if the fragment list changed.
  bool control(Fragment& fragment, Instruction const& in, LaneMask executing);
  void branch(Fragment& fragment, LaneMask taken, u32 target);
  void indexedBranch(Fragment& fragment, Instruction const& in, LaneMask executing);
  void call(Fragment& fragment, Instruction const& in, LaneMask executing);
  void ret(Fragment& fragment, LaneMask executing);
  void exitLanes(Fragment& fragment, LaneMask executing);
  void arriveAtBarrier(Fragment& fragment, Instruction const& in, LaneMask executing);
  void tryBarrier(u32 id);
  void releaseBarrier(u32 id);
  bool warpSync(Fragment& fragment, Instruction const& in, LaneMask executing);
  void runSynchronised(Instruction const& in, LaneMask lanes, LaneMask member);
  void splitOff(Fragment& fragment, LaneMask lanes, u32 pc);
  void copyParams(u32 begin, u32 count, int lane);

  std::unique_ptr<Module> module_;
  GlobalMemory memory_;
  Options options_;
  Counters counters_;
  Coverage coverage_;
  std::set<std::string> warnings_;

  // Launch state.
  Function const* kernel_ = nullptr;
  Dim3 grid_, blockDim_;
  u64 dynamicShared_ = 0;
  std::span<const u8> params_;
  SharedMemory::Layout sharedLayout_;
  u32 frameBegin_ = 0, frameEnd_ = 0;
  std::vector<u8> registerImage_;
  u64 randomState_ = 1;
  u32 rotation_ = 0;
  u32 time_ = 1;  // synchronisations so far
  std::unique_ptr<GlobalRaces> globalRaces_;

  // Current position, for handlers and messages.
  Block* block_ = nullptr;
  Warp* warp_ = nullptr;
  u32 pc_ = 0;
};

}  // namespace ptx
