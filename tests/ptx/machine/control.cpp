// Control flow and synchronisation: branches, calls, exits, block barriers and warp-level .sync operations.
#include "machine.hpp"

namespace ptx {

// Moves `lanes` of the fragment to a new one at `pc`. Invalidates fragment references.
void Machine::splitOff(Fragment& fragment, LaneMask lanes, u32 pc) {
  Fragment other = fragment;
  other.lanes = lanes;
  other.pc = pc;
  fragment.lanes &= ~lanes;
  warp_->fragments.push_back(other);
}

bool Machine::control(Fragment& f, Instruction const& in, LaneMask executing) {
  if (in.member != kNoSlot) return warpSync(f, in, executing);
  switch (in.op) {
    case Opcode::Bra:
      if (executing == f.lanes) {
        f.pc = u32(in.target);
        return false;
      }
      branch(f, executing, u32(in.target));
      return true;
    case Opcode::BrxIdx:
      indexedBranch(f, in, executing);
      return true;
    case Opcode::Call:
      call(f, in, executing);
      return true;
    case Opcode::Ret:
      ret(f, executing);
      return true;
    case Opcode::Exit:
      exitLanes(f, executing);
      return true;
    case Opcode::Bar:
      arriveAtBarrier(f, in, executing);
      return true;
    case Opcode::Trap:
      fail(Fault::Trap, "trap executed", lowestLane(executing));
    default:
      fail(Fault::Unsupported, "unsupported instruction", lowestLane(executing));
  }
}

void Machine::branch(Fragment& f, LaneMask taken, u32 target) {
  u32 const next = f.pc + 1;
  f.pc = next;
  splitOff(f, taken, target);
}

void Machine::indexedBranch(Fragment& f, Instruction const& in, LaneMask executing) {
  u32 const* index = reg<u32>(in.src[0]);
  forEachLane(executing, [&](int lane) {
    if (index[lane] >= in.tableCount) fail(Fault::OutOfBounds, "brx.idx index beyond its table", lane);
  });
  u32 const pc = f.pc;
  Fragment rest = f;
  rest.lanes &= ~executing;
  rest.pc = pc + 1;
  Fragment const model = f;
  auto& list = warp_->fragments;
  list.erase(list.begin() + (&f - list.data()));
  if (rest.lanes) list.push_back(rest);
  while (executing) {
    u32 const choice = index[lowestLane(executing)];
    LaneMask same = 0;
    forEachLane(executing, [&](int lane) {
      if (index[lane] == choice) same |= LaneMask{1} << lane;
    });
    Fragment group = model;
    group.lanes = same;
    group.pc = u32(module_->branchTargets[in.tableBegin + choice]);
    list.push_back(group);
    executing &= ~same;
  }
}

void Machine::copyParams(u32 begin, u32 count, int lane) {
  u8* local = warp_->local.data() + u64(lane) * module_->localBytes;
  for (u32 i = begin; i < begin + count; ++i) {
    ParamCopy const& copy = module_->copies[i];
    std::memmove(local + copy.to, local + copy.from, copy.bytes);
  }
}

void Machine::call(Fragment& f, Instruction const& in, LaneMask executing) {
  if (in.callee < 0)
    fail(Fault::Unsupported, "call of a function that the module does not define", lowestLane(executing));
  Function const& callee = module_->functions[in.callee];
  auto& sites = warp_->callSites;
  if (sites.size() <= f.depth) sites.resize(f.depth + 1);
  forEachLane(executing, [&](int lane) {
    // Frames are static, so a function cannot be active twice in one lane.
    for (u32 d = 0; d < f.depth; ++d)
      if (module_->code[sites[d][lane]].callee == in.callee) fail(Fault::Unsupported, "recursive call", lane);
    copyParams(in.copiesBegin, in.argumentCopies, lane);
    sites[f.depth][lane] = f.pc;
  });
  counters_.maxCallDepth = std::max<u64>(counters_.maxCallDepth, f.depth + 1);
  Fragment inside = f;
  inside.lanes = executing;
  inside.pc = callee.begin;
  inside.depth += 1;
  f.lanes &= ~executing;
  f.pc += 1;
  if (!f.lanes)
    f = inside;
  else
    warp_->fragments.push_back(inside);
}

void Machine::ret(Fragment& f, LaneMask executing) {
  if (f.depth == 0) return exitLanes(f, executing);
  u32 const depth = f.depth - 1;
  auto const& sites = warp_->callSites[depth];
  auto& list = warp_->fragments;
  size_t const index = size_t(&f - list.data());
  LaneMask left = executing;
  while (left) {  // lanes may have come from different call sites
    u32 const site = sites[lowestLane(left)];
    Instruction const& callInstruction = module_->code[site];
    Fragment back = list[index];
    back.lanes = 0;
    forEachLane(left, [&](int lane) {
      if (sites[lane] != site) return;
      back.lanes |= LaneMask{1} << lane;
      copyParams(callInstruction.copiesBegin + callInstruction.argumentCopies, callInstruction.resultCopies, lane);
    });
    back.pc = site + 1;
    back.depth = depth;
    left &= ~back.lanes;
    list.push_back(back);
  }
  list[index].lanes &= ~executing;
  list[index].pc += 1;
  if (!list[index].lanes) list.erase(list.begin() + long(index));
}

void Machine::exitLanes(Fragment& f, LaneMask executing) {
  auto& list = warp_->fragments;
  f.lanes &= ~executing;
  f.pc += 1;
  if (!f.lanes) list.erase(list.begin() + (&f - list.data()));
  warp_->live &= ~executing;
  block_->live -= u32(std::popcount(executing));
  // Those who wait for the lanes that just left must look again.
  for (Fragment& other : list)
    if (other.state == LaneState::AtWarpSync) other.state = LaneState::Ready;
  for (u32 id = 0; id < block_->barriers.size(); ++id)
    if (block_->barriers[id].arrived) tryBarrier(id);
}

void Machine::arriveAtBarrier(Fragment& f, Instruction const& in, LaneMask executing) {
  int const lane = lowestLane(executing);
  u32 const id = reg<u32>(in.src[0])[lane];
  if (id >= block_->barriers.size()) fail(Fault::OutOfBounds, "barrier number above 15", lane);
  Barrier& barrier = block_->barriers[id];
  if (in.src[1] != kNoSlot) {
    barrier.expected = reg<u32>(in.src[1])[lane];
    if (barrier.expected == 0 || barrier.expected % kWarpSize)
      fail(Fault::Launch, "barrier thread count is not a multiple of 32", lane);
  }
  barrier.arrived += u32(std::popcount(executing));
  LaneMask const skipping = f.lanes & ~executing;
  u32 const pc = f.pc;
  if (in.bar == BarMode::Arrive) {
    f.pc = pc + 1;
  } else {
    f.lanes = executing;
    f.state = LaneState::AtBarrier;
    f.barrier = u8(id);
    if (skipping) {
      Fragment rest;
      rest.lanes = skipping;
      rest.pc = pc + 1;
      rest.depth = f.depth;
      warp_->fragments.push_back(rest);
    }
  }
  tryBarrier(id);
}

void Machine::tryBarrier(u32 id) {
  Barrier& barrier = block_->barriers[id];
  u32 have = barrier.arrived, need = barrier.expected ? barrier.expected : block_->live;
  if (barrier.expected) {
    // Counts are in whole warps: lanes a partial warp does not have, or has lost, count once the others are there.
    for (Warp& warp : block_->warps) {
      LaneMask waiting = 0;
      for (Fragment const& f : warp.fragments)
        if (f.state == LaneState::AtBarrier && f.barrier == id) waiting |= f.lanes;
      if (waiting && waiting == warp.live) have += u32(kWarpSize - std::popcount(waiting));
    }
  }
  if (have && have >= need) releaseBarrier(id);
}

void Machine::releaseBarrier(u32 id) {
  Warp* current = warp_;
  u32 const currentPc = pc_;
  u32 votes = 0, voters = 0;
  for (Warp& warp : block_->warps) {
    warp_ = &warp;
    Fragment const* first = nullptr;
    for (Fragment const& f : warp.fragments) {
      if (f.state != LaneState::AtBarrier || f.barrier != id) continue;
      Instruction const& in = module_->code[f.pc];
      if (!first)
        first = &f;
      else if (f.pc != first->pc && !in.unaligned) {
        pc_ = f.pc;
        fail(Fault::Divergence, "lanes of a warp wait for one barrier at different instructions", lowestLane(f.lanes));
      }
      if (in.src[2] != kNoSlot) {
        LaneMask const value = in.negated[2] ? ~predicate(in.src[2]) : predicate(in.src[2]);
        votes += u32(std::popcount(value & f.lanes));
        voters += u32(std::popcount(f.lanes));
      }
    }
  }
  for (Warp& warp : block_->warps) {
    warp_ = &warp;
    for (Fragment& f : warp.fragments) {
      if (f.state != LaneState::AtBarrier || f.barrier != id) continue;
      Instruction const& in = module_->code[f.pc];
      if (in.bar == BarMode::RedPopc) {
        u32* result = reg<u32>(in.dst);
        forEachLane(f.lanes, [&](int lane) { result[lane] = votes; });
      } else if (in.bar != BarMode::Sync) {
        bool const value = in.bar == BarMode::RedAnd ? votes == voters : votes > 0;
        LaneMask& result = predicate(in.dst);
        result = value ? result | f.lanes : result & ~f.lanes;
      }
      f.state = LaneState::Ready;
      f.pc += 1;
    }
  }
  block_->barriers[id] = {};
  block_->epoch += 1;
  block_->barrierTime = tick();
  counters_.barriers += 1;
  warp_ = current;
  pc_ = currentPc;
}

void Machine::runSynchronised(Instruction const& in, LaneMask lanes, LaneMask member) {
  u32 const first = warp_->id * kWarpSize;
  LaneMask const existing =
      block_->threads - first >= kWarpSize ? kAllLanes : (LaneMask{1} << (block_->threads - first)) - 1;
  if (member & existing & ~warp_->live) warn("member mask names lanes that have exited");
  in.run(*this, in, lanes);
}

// A .sync operation runs once for all lanes that name the same member mask, when every live one of them is here.
bool Machine::warpSync(Fragment& f, Instruction const& in, LaneMask executing) {
  u32 const* members = reg<u32>(in.member);
  u32 const pc = f.pc;
  LaneMask done = f.lanes & ~executing, waiting = 0, left = executing;
  while (left) {
    LaneMask const member = members[lowestLane(left)];
    LaneMask group = 0;
    forEachLane(left, [&](int lane) {
      if (members[lane] != member) return;
      if (!(member >> lane & 1)) fail(Fault::Divergence, "executing lane is not in its own member mask", lane);
      group |= LaneMask{1} << lane;
    });
    left &= ~group;
    LaneMask present = group;
    for (Fragment const& other : warp_->fragments)
      if (other.state == LaneState::AtWarpSync && other.pc == pc && other.member == member) present |= other.lanes;
    if ((member & warp_->live & ~present) == 0) {
      runSynchronised(in, present, member);
      for (Fragment& other : warp_->fragments)
        if (other.state == LaneState::AtWarpSync && other.pc == pc && other.member == member) {
          other.state = LaneState::Ready;
          other.pc = pc + 1;
        }
      done |= group;
    } else {
      waiting |= group;
    }
  }
  if (!waiting && warp_->fragments.size() == 1) {
    f.pc = pc + 1;
    return false;
  }
  Fragment model = f;
  auto& list = warp_->fragments;
  list.erase(list.begin() + (&f - list.data()));
  if (done) {
    Fragment ready = model;
    ready.lanes = done;
    ready.pc = pc + 1;
    list.push_back(ready);
  }
  while (waiting) {
    LaneMask const member = members[lowestLane(waiting)];
    Fragment group = model;
    group.lanes = 0;
    forEachLane(waiting, [&](int lane) {
      if (members[lane] == member) group.lanes |= LaneMask{1} << lane;
    });
    waiting &= ~group.lanes;
    group.pc = pc;
    group.state = LaneState::AtWarpSync;
    group.member = member;
    list.push_back(group);
  }
  return true;
}

}  // namespace ptx
