// Warp-level operations: shfl, vote, match, elect, activemask, bar.warp.sync. `lanes` is the complete set of
// participants; the machine has already waited for all of them.
#include "lanes.hpp"
#include "ops.hpp"

namespace ptx {
namespace {

void shuffle(Machine& m, Instruction const& in, LaneMask lanes) {
  u32* d = m.reg<u32>(in.dst);
  u32 const *b = m.reg<u32>(in.src[1]), *c = m.reg<u32>(in.src[2]);
  u32 source[kWarpSize];
  std::memcpy(source, m.reg<u32>(in.src[0]), sizeof source);  // d may be the same register
  LaneMask inRange = 0;
  forEachLane(lanes, [&](int lane) {
    int const offset = int(b[lane] & 31), clamp = int(c[lane] & 31), segment = int(c[lane] >> 8 & 31);
    int const lowest = lane & segment;
    int const limit = lowest | (clamp & ~segment);
    int from = 0;
    bool valid = false;
    switch (in.shfl) {
      case ShflMode::Up:
        from = lane - offset;
        valid = from >= limit;
        break;
      case ShflMode::Down:
        from = lane + offset;
        valid = from <= limit;
        break;
      case ShflMode::Bfly:
        from = lane ^ offset;
        valid = from <= limit;
        break;
      case ShflMode::Idx:
        from = lowest | (offset & ~segment);
        valid = from <= limit;
        break;
    }
    if (!valid) from = lane;
    if (!(lanes >> from & 1))
      m.fail(Fault::Divergence, "shfl reads lane " + std::to_string(from) + ", which does not take part", lane);
    d[lane] = source[from];
    inRange |= LaneMask(valid) << lane;
  });
  if (in.dst2 != kNoSlot) writePredicate(m, in.dst2, inRange, lanes);
}

void vote(Machine& m, Instruction const& in, LaneMask lanes) {
  LaneMask const yes = predicateSource(m, in, 0) & lanes;
  if (in.vote == VoteMode::Ballot) {
    u32* d = m.reg<u32>(in.dst);
    forEachLane(lanes, [&](int lane) { d[lane] = yes; });
    return;
  }
  bool const result = in.vote == VoteMode::All   ? yes == lanes
                      : in.vote == VoteMode::Any ? yes != 0
                                                 : yes == 0 || yes == lanes;
  writePredicate(m, in.dst, result ? kAllLanes : 0, lanes);
}

template <class T>
void match(Machine& m, Instruction const& in, LaneMask lanes) {
  u32* d = m.reg<u32>(in.dst);
  T value[kWarpSize];
  std::memcpy(value, m.reg<T>(in.src[0]), sizeof value);
  bool allEqual = true;
  forEachLane(lanes, [&](int lane) {
    LaneMask same = 0;
    forEachLane(lanes, [&](int other) { same |= LaneMask(value[other] == value[lane]) << other; });
    allEqual &= same == lanes;
    d[lane] = same;
  });
  if (!in.modeAll) return;
  forEachLane(lanes, [&](int lane) { d[lane] = allEqual ? lanes : 0; });
  if (in.dst2 != kNoSlot) writePredicate(m, in.dst2, allEqual ? kAllLanes : 0, lanes);
}

void elect(Machine& m, Instruction const& in, LaneMask lanes) {
  u32* d = m.reg<u32>(in.dst);
  u32 const leader = u32(lowestLane(lanes));
  forEachLane(lanes, [&](int lane) { d[lane] = leader; });
  if (in.dst2 != kNoSlot) writePredicate(m, in.dst2, LaneMask{1} << leader, lanes);
}

void activeMask(Machine& m, Instruction const& in, LaneMask lanes) {
  u32* d = m.reg<u32>(in.dst);
  forEachLane(lanes, [&](int lane) { d[lane] = lanes; });
}

// Also orders the memory accesses of the participants, which is what the race detector looks at.
void warpBarrier(Machine& m, Instruction const&, LaneMask) {
  m.warp().syncEpoch += 1;
  m.warp().syncTime = m.tick();
}

}  // namespace

Handler selectWarp(Instruction const& in) {
  switch (in.op) {
    case Opcode::Shfl:
      return in.type == Type::B32 ? &shuffle : nullptr;
    case Opcode::Vote:
      return &vote;
    case Opcode::Match:
      return in.type == Type::B32 ? &match<u32> : in.type == Type::B64 ? &match<u64> : nullptr;
    case Opcode::Elect:
      return &elect;
    case Opcode::Activemask:
      return &activeMask;
    case Opcode::BarWarp:
      return &warpBarrier;
    default:
      return nullptr;
  }
}

}  // namespace ptx
