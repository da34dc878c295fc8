// atom and red. Each lane's read-modify-write is indivisible; the order of lanes follows the schedule.
#include <cmath>

#include "float_lanes.hpp"
#include "ops.hpp"

namespace ptx {
namespace {

template <class T>
T combineInteger(AtomicOp op, T old, T b, T c) {
  switch (op) {
    case AtomicOp::Add:
      return T(Unsigned<T>(old) + Unsigned<T>(b));
    case AtomicOp::Min:
      return std::min(old, b);
    case AtomicOp::Max:
      return std::max(old, b);
    case AtomicOp::And:
      return T(old & b);
    case AtomicOp::Or:
      return T(old | b);
    case AtomicOp::Xor:
      return T(old ^ b);
    case AtomicOp::Inc:
      return old >= b ? T(0) : T(old + 1);
    case AtomicOp::Dec:
      return old == 0 || old > b ? b : T(old - 1);
    case AtomicOp::Exch:
      return b;
    default:
      return old == b ? c : old;  // cas
  }
}

template <class T>
T combineFloat(AtomicOp op, T old, T b) {
  switch (op) {
    case AtomicOp::Add:
      return canonical(T(old + b));
    case AtomicOp::Min:
      return std::fmin(old, b);
    case AtomicOp::Max:
      return std::fmax(old, b);
    default:
      return b;  // exch
  }
}

u16 addHalf(u16 a, u16 b, bool isBfloat) {
  return isBfloat ? toBfloat(double(bfloatToFloat(a)) + bfloatToFloat(b))
                  : toHalf(double(halfToFloat(a)) + halfToFloat(b));
}

template <class T, auto combine>
void atomic(Machine& m, Instruction const& in, LaneMask lanes) {
  u64 address[kWarpSize];
  m.addresses(in.address, address);
  m.countRequest(in.space, address, lanes, sizeof(T));
  m.countAtomic();
  T const* b = m.reg<T>(in.src[0]);
  T const* c = in.src[1] != kNoSlot ? m.reg<T>(in.src[1]) : b;
  T* d = in.dst != kNoSlot ? m.reg<T>(in.dst) : nullptr;
  if (in.fences) m.fence();
  std::array<u8, kWarpSize> order;
  u32 const count = m.laneOrder(order, lanes);
  for (u32 i = 0; i < count; ++i) {
    int const lane = order[i];
    u8* where = m.access(in.space, address[lane], sizeof(T), lane, true, true, true);
    T old;
    std::memcpy(&old, where, sizeof(T));
    T const updated = combine(in, old, b[lane], c[lane]);
    std::memcpy(where, &updated, sizeof(T));
    if (d) d[lane] = old;
  }
  if (in.fences) m.fence();
}

constexpr auto integerOp = []<class T>(Instruction const& in, T old, T b, T c) {
  return combineInteger(in.atomic, old, b, c);
};
constexpr auto floatOp = []<class T>(Instruction const& in, T old, T b, T) { return combineFloat(in.atomic, old, b); };
constexpr auto halfOp = [](Instruction const& in, u16 old, u16 b, u16) {
  return addHalf(old, b, in.type == Type::BF16);
};
constexpr auto pairOp = [](Instruction const& in, u32 old, u32 b, u32) {
  bool const isBfloat = in.type == Type::BF16x2;
  return u32(addHalf(u16(old), u16(b), isBfloat)) | u32(addHalf(u16(old >> 16), u16(b >> 16), isBfloat)) << 16;
};

// redux.sync reduces over the participating lanes.
template <class T>
void reduceLanes(Machine& m, Instruction const& in, LaneMask lanes) {
  T* d = m.reg<T>(in.dst);
  T const* a = m.reg<T>(in.src[0]);
  T total = a[lowestLane(lanes)];
  forEachLane(lanes & (lanes - 1), [&](int lane) { total = combineInteger(in.atomic, total, a[lane], T(0)); });
  forEachLane(lanes, [&](int lane) { d[lane] = total; });
}

}  // namespace

Handler selectAtomic(Instruction const& in) {
  if (in.op == Opcode::Redux) return forInteger(in.type, []<class T>(T) -> Handler { return &reduceLanes<T>; });
  if (in.op != Opcode::Atom && in.op != Opcode::Red) return nullptr;
  if (in.atomic == AtomicOp::None || in.vectorSize > 1) return nullptr;
  switch (in.type) {
    case Type::F32:
      return in.atomic <= AtomicOp::Max ? &atomic<float, floatOp> : nullptr;
    case Type::F64:
      return in.atomic <= AtomicOp::Max ? &atomic<double, floatOp> : nullptr;
    case Type::F16:
    case Type::BF16:
      return in.atomic == AtomicOp::Add ? &atomic<u16, halfOp> : nullptr;
    case Type::F16x2:
    case Type::BF16x2:
      return in.atomic == AtomicOp::Add ? &atomic<u32, pairOp> : nullptr;
    default:
      return forInteger(in.type, []<class T>(T) -> Handler { return &atomic<T, integerOp>; });
  }
}

}  // namespace ptx
