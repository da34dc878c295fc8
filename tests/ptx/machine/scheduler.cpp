// Launching and scheduling: which block, which warp, which fragment runs next, and for how long.
#include <algorithm>

#include "machine.hpp"

namespace ptx {
namespace {

constexpr u32 kQuantum = 256;  // instructions a warp runs before the next one gets its turn
constexpr u32 kRandomQuantum = 32;
constexpr u32 kRotationPeriod = 64;  // every so often a fragment that is not the deepest and earliest is run, so that
                                     // lanes which spin cannot starve the lane they wait for

constexpr u64 kMaxSharedBytes = 227 << 10;  // the largest any device offers to a block

u32 linear(Dim3 const& d) { return d.x * d.y * d.z; }

template <class T>
void splat(u8* at, u64 bits) {
  std::fill_n(reinterpret_cast<T*>(at), kWarpSize, T(bits));
}

template <class F>
void fillLanes(u8* at, u8 bytes, F value) {
  for (int lane = 0; lane < kWarpSize; ++lane) {
    u64 const bits = value(lane);
    std::memcpy(at + lane * bytes, &bits, bytes);
  }
}

}  // namespace

void Machine::launch(LaunchRequest const& request) {
  block_ = nullptr;
  warp_ = nullptr;
  counters_ = {};
  kernel_ = module_->findKernel(request.kernel);
  if (!kernel_) throw Error(Fault::Launch, "no kernel named " + request.kernel);
  if (request.params.size() != kernel_->paramBytes)
    throw Error(Fault::Launch, kernel_->name + " takes " + std::to_string(kernel_->paramBytes) +
                                   " bytes of parameters, got " + std::to_string(request.params.size()));
  grid_ = request.grid;
  blockDim_ = request.block;
  dynamicShared_ = request.dynamicShared;
  params_ = request.params;
  u32 const threads = linear(blockDim_);
  if (threads == 0 || threads > 1024)
    throw Error(Fault::Launch, "a block cannot have " + std::to_string(threads) + " threads");
  if (kernel_->maxThreads && threads > kernel_->maxThreads)
    throw Error(Fault::Launch,
                kernel_->name + " is limited to " + std::to_string(kernel_->maxThreads) + " threads per block");
  if (kernel_->staticSharedBytes + dynamicShared_ > kMaxSharedBytes)
    throw Error(Fault::Launch, kernel_->name + " needs " + std::to_string(kernel_->staticSharedBytes + dynamicShared_) +
                                   " bytes of shared memory");
  u64 const blocks = u64(grid_.x) * grid_.y * grid_.z;
  if (blocks == 0) throw Error(Fault::Launch, "empty grid");

  randomState_ = 88172645463325252u + u64(options_.seed) * 2654435761u;
  for (int i = 0; i < 8; ++i) random();
  sharedLayout_ = SharedMemory::Layout(*kernel_, dynamicShared_);
  memory_.remove(module_->globalBase);
  if (!module_->globals.empty())
    memory_.add({module_->globalBase, module_->globalBase + module_->globals.size(), module_->globals.data()});
  buildRegisterImage();
  time_ = 1;
  globalRaces_ = options_.detectGlobalRaces ? std::make_unique<GlobalRaces>() : nullptr;

  std::vector<u32> order;  // only filled when not in order
  if (options_.blockOrder == BlockOrder::Random) {
    order.resize(blocks);
    for (u64 i = 0; i < blocks; ++i) order[i] = u32(i);
    for (u64 i = blocks; i > 1; --i) std::swap(order[i - 1], order[random() % i]);
  }
  auto blockAt = [&](u64 i) {
    return !order.empty() ? order[i] : options_.blockOrder == BlockOrder::Reversed ? blocks - 1 - i : i;
  };

  u64 next = 0;
  std::vector<std::unique_ptr<Block>> resident;
  for (u32 i = 0; i < std::max(options_.residentBlocks, 1u) && next < blocks; ++i) {
    resident.push_back(std::make_unique<Block>());
    startBlock(*resident.back(), blockAt(next++));
  }
  while (!resident.empty()) {
    for (size_t i = 0; i < resident.size();) {
      Block& block = *resident[i];
      bool const progress = runBlock(block);
      if (block.live) {
        if (!progress) reportDeadlock(block);
        ++i;
      } else if (next < blocks) {
        startBlock(block, blockAt(next++));
        ++i;
      } else {
        resident.erase(resident.begin() + long(i));
      }
    }
  }
  block_ = nullptr;
  warp_ = nullptr;
}

// Fills a register file image with immediates and with the special registers that are the same in every warp.
void Machine::buildRegisterImage() {
  frameBegin_ = kernel_->frameBegin;
  frameEnd_ = kernel_->frameEnd;
  std::vector<Function const*> functions = {kernel_};
  for (i32 callee : kernel_->callees) functions.push_back(&module_->functions[callee]);
  for (Function const* f : functions) {
    if (f->frameEnd == 0) continue;  // no registers at all
    frameBegin_ = frameBegin_ ? std::min(frameBegin_, f->frameBegin) : f->frameBegin;
    frameEnd_ = std::max(frameEnd_, f->frameEnd);
  }
  frameEnd_ = std::max(frameEnd_, frameBegin_);
  registerImage_.assign(frameEnd_ - frameBegin_, 0xBD);
  for (Function const* f : functions) {
    for (auto const& immediate : f->immediates) {
      u8* at = &registerImage_[u32(immediate.slot) - frameBegin_];
      switch (immediate.bytes) {
        case 0: {
          LaneMask const mask = LaneMask(immediate.bits);
          std::memcpy(at, &mask, 4);
          break;
        }
        case 1:
          splat<u8>(at, immediate.bits);
          break;
        case 2:
          splat<u16>(at, immediate.bits);
          break;
        case 4:
          splat<u32>(at, immediate.bits);
          break;
        default:
          splat<u64>(at, immediate.bits);
      }
    }
  }
}

void Machine::fillSpecials(Warp& warp, Block const& block) {
  auto value = [&](Special which, int lane) -> u64 {
    u32 const thread = warp.id * kWarpSize + u32(lane);
    u64 const bit = u64{1} << lane;
    switch (which) {
      case Special::TidX:
        return thread % blockDim_.x;
      case Special::TidY:
        return thread / blockDim_.x % blockDim_.y;
      case Special::TidZ:
        return thread / (blockDim_.x * blockDim_.y);
      case Special::NtidX:
        return blockDim_.x;
      case Special::NtidY:
        return blockDim_.y;
      case Special::NtidZ:
        return blockDim_.z;
      case Special::CtaidX:
        return block.x;
      case Special::CtaidY:
        return block.y;
      case Special::CtaidZ:
        return block.z;
      case Special::NctaidX:
        return grid_.x;
      case Special::NctaidY:
        return grid_.y;
      case Special::NctaidZ:
        return grid_.z;
      case Special::Laneid:
        return u64(lane);
      case Special::Warpid:
        return warp.id;
      case Special::Nwarpid:
        return block.warps.size();
      case Special::MaskEq:
        return bit;
      case Special::MaskLt:
        return bit - 1;
      case Special::MaskLe:
        return 2 * bit - 1;
      case Special::MaskGe:
        return ~(bit - 1);
      case Special::MaskGt:
        return ~(2 * bit - 1);
      case Special::Nsmid:
        return 1;
      case Special::DynamicSharedSize:
        return dynamicShared_;
      case Special::TotalSharedSize:
        return dynamicShared_ + kernel_->staticSharedBytes;
      default:
        return 0;
    }
  };
  auto fill = [&](Function const& f) {
    for (const auto& special : f.specials)
      fillLanes(warp.registers + special.slot, special.bytes, [&](int lane) { return value(special.which, lane); });
  };
  fill(*kernel_);
  for (i32 callee : kernel_->callees) fill(module_->functions[callee]);
}

void Machine::startBlock(Block& block, u64 index) {
  block.x = u32(index % grid_.x);
  block.y = u32(index / grid_.x % grid_.y);
  block.z = u32(index / (u64(grid_.x) * grid_.y));
  block.threads = block.live = linear(blockDim_);
  block.index = u32(index);
  block.epoch = 0;
  block.barrierTime = 0;
  block.barriers = {};
  block.shared = std::make_unique<SharedMemory>(sharedLayout_, options_.detectRaces);
  block.warps.resize((block.threads + kWarpSize - 1) / kWarpSize);
  for (u32 id = 0; id < block.warps.size(); ++id) {
    Warp& warp = block.warps[id];
    u32 const lanes = std::min<u32>(kWarpSize, block.threads - id * kWarpSize);
    warp.id = id;
    warp.live = lanes == kWarpSize ? kAllLanes : (LaneMask{1} << lanes) - 1;
    if (!warp.storage) {
      warp.storage = std::make_unique<u8[]>(registerImage_.size() + 64);
      u8* aligned = warp.storage.get() + (64 - reinterpret_cast<uintptr_t>(warp.storage.get()) % 64) % 64;
      warp.registers = reinterpret_cast<u8*>(reinterpret_cast<uintptr_t>(aligned) - frameBegin_);
    }
    std::copy(registerImage_.begin(), registerImage_.end(), warp.registers + frameBegin_);
    warp.local.assign(module_->localBytes * kWarpSize, 0xCD);
    warp.carry = 0;
    warp.syncEpoch = 0;
    warp.syncTime = 0;
    warp.callSites.clear();
    warp.fragments.assign(1, Fragment{warp.live, kernel_->begin});
    fillSpecials(warp, block);
  }
}

bool Machine::runBlock(Block& block) {
  block_ = &block;
  u32 const count = u32(block.warps.size());
  u32 const first = options_.randomSchedule ? random() % count : 0;
  bool progress = false;
  for (u32 i = 0; i < count; ++i) {
    Warp& warp = block.warps[options_.reverseWarps ? count - 1 - i : (i + first) % count];
    if (!warp.live) continue;
    warp_ = &warp;
    progress |= runWarp(warp, options_.randomSchedule ? 1 + random() % kRandomQuantum : kQuantum);
  }
  return progress;
}

bool Machine::runWarp(Warp& warp, u32 budget) {
  bool progress = false;
  while (budget) {
    int const index = chooseFragment(warp);
    if (index < 0) break;
    progress = true;
    budget -= runFragment(warp, index, budget);
    if (options_.maxWarpInstructions && counters_.warpInstructions > options_.maxWarpInstructions)
      fail(Fault::Deadlock, "instruction limit reached (livelock?)");
  }
  return progress;
}

void Machine::mergeReady(Warp& warp) {
  auto& list = warp.fragments;
  for (size_t i = 0; i < list.size(); ++i) {
    if (list[i].state != LaneState::Ready) continue;
    for (size_t j = i + 1; j < list.size();) {
      if (list[j].state == LaneState::Ready && list[j].pc == list[i].pc && list[j].depth == list[i].depth) {
        list[i].lanes |= list[j].lanes;
        list.erase(list.begin() + long(j));
      } else {
        ++j;
      }
    }
  }
}

// Index of the fragment to run, or -1 if all wait. Deepest call first, then lowest pc: lanes that branched apart meet
// again at the join, since compilers lay code out that way.
int Machine::chooseFragment(Warp& warp) {
  auto& list = warp.fragments;
  if (list.empty()) return -1;
  if (list.size() > 1) mergeReady(warp);
  if (options_.randomSchedule && random() % 32 == 0) {
    // Lanes may diverge at any time: split a converged fragment.
    Fragment& victim = list[random() % list.size()];
    LaneMask const some = victim.lanes & random();
    if (victim.state == LaneState::Ready && some && some != victim.lanes) {
      Fragment other = victim;
      victim.lanes &= ~some;
      other.lanes = some;
      list.push_back(other);
    }
  }
  int best = -1, ready = 0;
  for (int i = 0; i < int(list.size()); ++i) {
    Fragment const& f = list[i];
    if (f.state != LaneState::Ready) continue;
    ++ready;
    if (best < 0 || f.depth > list[best].depth || (f.depth == list[best].depth && f.pc < list[best].pc)) best = i;
  }
  if (ready < 2) return best;
  bool const rotate = options_.randomSchedule ? random() % 4 == 0 : ++rotation_ % kRotationPeriod == 0;
  if (!rotate) return best;
  int skip = int((options_.randomSchedule ? random() : rotation_ / kRotationPeriod) % u32(ready));
  for (int i = 0; i < int(list.size()); ++i)
    if (list[i].state == LaneState::Ready && skip-- == 0) return i;
  return best;
}

// Runs one fragment until it meets another, splits, waits or exhausts the budget. Returns instructions issued.
u32 Machine::runFragment(Warp& warp, int index, u32 budget) {
  Fragment* f = &warp.fragments[index];
  // The nearest pc at which another ready fragment of the same depth waits to be merged with.
  u32 meetingPc = ~0u;
  for (Fragment const& other : warp.fragments)
    if (&other != f && other.state == LaneState::Ready && other.depth == f->depth && other.pc > f->pc)
      meetingPc = std::min(meetingPc, other.pc);
  // With several fragments, come back now and then so that none starves.
  if (warp.fragments.size() > 1) budget = std::min(budget, options_.randomSchedule ? 8u : 64u);
  Instruction const* code = module_->code.data();
  u64* executions = coverage_.executions.data();
  u32 pc = f->pc, issued = 0;
  while (issued < budget) {
    Instruction const& in = code[pc];
    LaneMask executing = f->lanes;
    if (in.guard != kNoSlot) {
      LaneMask const guard = predicate(in.guard);
      executing &= in.guardNegated ? ~guard : guard;
    }
    ++issued;
    ++executions[pc];
    ++counters_.warpInstructions;
    counters_.threadInstructions += u64(std::popcount(executing));
    counters_.divergentInstructions += f->lanes != warp.live;
    if (!executing) {
      ++pc;
    } else {
      pc_ = pc;
      if (in.run && in.member == kNoSlot) {
        in.run(*this, in, executing);
        ++pc;
      } else {
        f->pc = pc;
        if (control(*f, in, executing)) return issued;  // f may be gone
        pc = f->pc;
      }
    }
    if (pc >= meetingPc) break;
  }
  f->pc = pc;
  return issued;
}

void Machine::reportDeadlock(Block& block) {
  for (Warp& warp : block.warps)
    for (Fragment const& f : warp.fragments) {
      if (f.state == LaneState::Ready) continue;
      warp_ = &warp;
      pc_ = f.pc;
      fail(Fault::Deadlock,
           f.state == LaneState::AtBarrier ? "deadlock: threads wait at a barrier that others never reach"
                                           : "deadlock: lanes wait for others named in the member mask",
           lowestLane(f.lanes));
    }
  fail(Fault::Deadlock, "deadlock");
}

}  // namespace ptx
