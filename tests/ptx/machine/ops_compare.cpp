// setp, set, slct, testp.
#include "float_lanes.hpp"
#include "ops.hpp"

namespace ptx {
namespace {

// Ordered comparisons are false with a NaN; the ...u ones are true.
template <class T, Compare c>
bool compare(T a, T b) {
  bool const unordered = a != a || b != b;
  switch (c) {
    case Compare::Eq:
      return a == b;
    case Compare::Ne:
      return !unordered && a != b;
    case Compare::Lt:
      return a < b;
    case Compare::Le:
      return a <= b;
    case Compare::Gt:
      return a > b;
    case Compare::Ge:
      return a >= b;
    case Compare::Equ:
      return unordered || a == b;
    case Compare::Neu:
      return a != b;
    case Compare::Ltu:
      return unordered || a < b;
    case Compare::Leu:
      return unordered || a <= b;
    case Compare::Gtu:
      return unordered || a > b;
    case Compare::Geu:
      return unordered || a >= b;
    case Compare::Num:
      return !unordered;
    default:
      return unordered;
  }
}

LaneMask combine(Machine& m, Instruction const& in, LaneMask value) {
  switch (in.logic) {
    case Logic::And:
      return value & predicateSource(m, in, 2);
    case Logic::Or:
      return value | predicateSource(m, in, 2);
    case Logic::Xor:
      return value ^ predicateSource(m, in, 2);
    default:
      return value;
  }
}

// Compares all lanes, inactive ones too: their registers hold some value and the result is masked.
template <class T, Compare c>
LaneMask compareLanes(Machine& m, Instruction const& in) {
  T const *a = m.reg<T>(in.src[0]), *b = m.reg<T>(in.src[1]);
  LaneMask result = 0;
  if (in.ftz) {
    for (int lane = 0; lane < kWarpSize; ++lane)
      if constexpr (std::is_floating_point_v<T>)
        result |= LaneMask(compare<T, c>(flushed(a[lane], true), flushed(b[lane], true))) << lane;
  } else {
    for (int lane = 0; lane < kWarpSize; ++lane) result |= LaneMask(compare<T, c>(a[lane], b[lane])) << lane;
  }
  return result;
}

// f16 and bf16 compare as floats.
template <Type type, Compare c>
LaneMask compareHalves(Machine& m, Instruction const& in) {
  u16 const *a = m.reg<u16>(in.src[0]), *b = m.reg<u16>(in.src[1]);
  auto value = [&](u16 bits) { return flushed(type == Type::F16 ? halfToFloat(bits) : bfloatToFloat(bits), in.ftz); };
  LaneMask result = 0;
  for (int lane = 0; lane < kWarpSize; ++lane)
    result |= LaneMask(compare<float, c>(value(a[lane]), value(b[lane]))) << lane;
  return result;
}

// The same for packed pairs: the low halves if `part` is 0, the high ones if it is 1.
template <Compare c>
LaneMask comparePart(Machine& m, Instruction const& in, Type type, int part) {
  u16 const *a = m.reg<u16>(in.src[0]), *b = m.reg<u16>(in.src[1]);
  bool const isHalf = type == Type::F16x2;
  auto value = [&](u16 bits) { return flushed(isHalf ? halfToFloat(bits) : bfloatToFloat(bits), in.ftz); };
  LaneMask result = 0;
  for (int lane = 0; lane < kWarpSize; ++lane) {
    int const at = 2 * lane + part;
    result |= LaneMask(compare<float, c>(value(a[at]), value(b[at]))) << lane;
  }
  return result;
}

// setp p|q: p is about the low halves, q about the high ones.
template <Compare c>
void setPredicatePair(Machine& m, Instruction const& in, LaneMask lanes) {
  LaneMask const low = combine(m, in, comparePart<c>(m, in, in.type, 0));
  LaneMask const high = combine(m, in, comparePart<c>(m, in, in.type, 1));
  if (in.dst2 != kNoSlot) writePredicate(m, in.dst2, high, lanes);
  writePredicate(m, in.dst, low, lanes);
}

// What `set` leaves in 16 bits where the comparison holds: one, or all bits where the result is an integer.
u16 holds(Type type) {
  switch (type) {
    case Type::F16:
    case Type::F16x2:
      return toHalf(1.0);
    case Type::BF16:
    case Type::BF16x2:
      return toBfloat(1.0);
    default:
      return 0xffff;
  }
}

template <Compare c>
void setRegisterPair(Machine& m, Instruction const& in, LaneMask lanes) {
  LaneMask const low = combine(m, in, comparePart<c>(m, in, in.sourceType, 0));
  LaneMask const high = combine(m, in, comparePart<c>(m, in, in.sourceType, 1));
  u16* d = m.reg<u16>(in.dst);
  u16 const yes = holds(in.type);
  forEachLane(lanes, [&](int lane) {
    d[2 * lane] = low >> lane & 1 ? yes : u16(0);
    d[2 * lane + 1] = high >> lane & 1 ? yes : u16(0);
  });
}

template <auto compareAll>
void setShortRegister(Machine& m, Instruction const& in, LaneMask lanes) {
  LaneMask const value = combine(m, in, compareAll(m, in));
  u16* d = m.reg<u16>(in.dst);
  u16 const yes = holds(in.type);
  forEachLane(lanes, [&](int lane) { d[lane] = value >> lane & 1 ? yes : u16(0); });
}

template <auto compareAll>
void setPredicate(Machine& m, Instruction const& in, LaneMask lanes) {
  LaneMask const value = compareAll(m, in);
  LaneMask const first = combine(m, in, value), second = combine(m, in, ~value);
  if (in.dst2 != kNoSlot) writePredicate(m, in.dst2, second, lanes);
  writePredicate(m, in.dst, first, lanes);
}

template <auto compareAll>
void setRegister(Machine& m, Instruction const& in, LaneMask lanes) {
  LaneMask const value = combine(m, in, compareAll(m, in));
  u32* d = m.reg<u32>(in.dst);
  u32 const yes = in.type == Type::F32 ? std::bit_cast<u32>(1.0f) : ~0u;
  forEachLane(lanes, [&](int lane) { d[lane] = value >> lane & 1 ? yes : 0; });
}

template <auto compareAll>
Handler pickTarget(Instruction const& in) {
  if (in.op == Opcode::Setp) return &setPredicate<compareAll>;
  if (sizeOf(in.type) == 2) return &setShortRegister<compareAll>;
  return sizeOf(in.type) == 4 && !isPackedHalf(in.type) ? &setRegister<compareAll> : nullptr;
}

template <Compare c>
Handler pickType(Instruction const& in) {
  Type const type = in.op == Opcode::Setp ? in.type : in.sourceType;
  if (type == Type::F32) return pickTarget<&compareLanes<float, c>>(in);
  if (type == Type::F64) return pickTarget<&compareLanes<double, c>>(in);
  if (type == Type::F16) return pickTarget<&compareHalves<Type::F16, c>>(in);
  if (type == Type::BF16) return pickTarget<&compareHalves<Type::BF16, c>>(in);
  if (isPackedHalf(type)) {
    if (in.op == Opcode::Setp) return &setPredicatePair<c>;
    return sizeOf(in.type) == 4 && in.type != Type::F32 ? &setRegisterPair<c> : nullptr;
  }
  if constexpr (c <= Compare::Ge)
    return forInteger(type, [&]<class T>(T) -> Handler { return pickTarget<&compareLanes<T, c>>(in); });
  return nullptr;
}

Handler pickCompare(Instruction const& in) {
  switch (in.compare) {
    case Compare::Eq:
      return pickType<Compare::Eq>(in);
    case Compare::Ne:
      return pickType<Compare::Ne>(in);
    case Compare::Lt:
      return pickType<Compare::Lt>(in);
    case Compare::Le:
      return pickType<Compare::Le>(in);
    case Compare::Gt:
      return pickType<Compare::Gt>(in);
    case Compare::Ge:
      return pickType<Compare::Ge>(in);
    case Compare::Equ:
      return pickType<Compare::Equ>(in);
    case Compare::Neu:
      return pickType<Compare::Neu>(in);
    case Compare::Ltu:
      return pickType<Compare::Ltu>(in);
    case Compare::Leu:
      return pickType<Compare::Leu>(in);
    case Compare::Gtu:
      return pickType<Compare::Gtu>(in);
    case Compare::Geu:
      return pickType<Compare::Geu>(in);
    case Compare::Num:
      return pickType<Compare::Num>(in);
    default:
      return pickType<Compare::Nan>(in);
  }
}

// slct d, a, b, c: a if c >= 0, else b.
template <class T, class C>
void selectBySign(Machine& m, Instruction const& in, LaneMask lanes) {
  T* d = m.reg<T>(in.dst);
  T const *a = m.reg<T>(in.src[0]), *b = m.reg<T>(in.src[1]);
  C const* c = m.reg<C>(in.src[2]);
  forEachLane(lanes, [&](int lane) {
    bool first = c[lane] >= C(0);
    if constexpr (std::is_floating_point_v<C>) first = flushed(c[lane], in.ftz) >= 0;  // -0 counts as 0, NaN picks b
    d[lane] = first ? a[lane] : b[lane];
  });
}

template <class T>
void testProperty(Machine& m, Instruction const& in, LaneMask lanes) {
  T const* a = m.reg<T>(in.src[0]);
  LaneMask result = 0;
  forEachLane(lanes, [&](int lane) {
    int const kind = std::fpclassify(a[lane]);
    bool holds = false;
    switch (in.test) {
      case TestKind::Finite:
        holds = kind != FP_INFINITE && kind != FP_NAN;
        break;
      case TestKind::Infinite:
        holds = kind == FP_INFINITE;
        break;
      case TestKind::Number:
        holds = kind != FP_NAN;
        break;
      case TestKind::NotANumber:
        holds = kind == FP_NAN;
        break;
      case TestKind::Normal:
        holds = kind == FP_NORMAL || kind == FP_ZERO;
        break;  // zero counts as normal in PTX
      case TestKind::Subnormal:
        holds = kind == FP_SUBNORMAL;
        break;
    }
    result |= LaneMask(holds) << lane;
  });
  writePredicate(m, in.dst, result, lanes);
}

}  // namespace

Handler selectCompare(Instruction const& in) {
  switch (in.op) {
    case Opcode::Setp:
    case Opcode::Set:
      return pickCompare(in);
    case Opcode::Slct:
      return forBits(in.type, [&]<class T>(T) -> Handler {
        return in.sourceType == Type::F32 ? &selectBySign<T, float> : &selectBySign<T, i32>;
      });
    case Opcode::Testp:
      return in.type == Type::F32 ? &testProperty<float> : in.type == Type::F64 ? &testProperty<double> : nullptr;
    default:
      return nullptr;
  }
}

}  // namespace ptx
