// Loops over lanes. Handlers are written as a function of one lane's values; these templates apply it to the register
// arrays of all executing lanes.
#pragma once

#include <type_traits>

#include "machine.hpp"

namespace ptx {

template <class T>
using Unsigned = std::make_unsigned_t<T>;
template <class T>
using Signed = std::make_signed_t<T>;

// The common case, all 32 lanes, is a plain loop the compiler can vectorise. ivdep: source and destination arrays are
// either the same register or disjoint, so there is no dependency between lanes.
template <class F>
inline void overLanes(LaneMask lanes, F&& body) {
  if (lanes == kAllLanes) {
#pragma GCC ivdep
    for (int lane = 0; lane < kWarpSize; ++lane) body(lane);
  } else {
    forEachLane(lanes, body);
  }
}

// D = f(A), f(A, B), f(A, B, C). `f` is a captureless lambda given as a template argument.
template <class D, class A, auto f>
void unary(Machine& m, Instruction const& in, LaneMask lanes) {
  D* d = m.reg<D>(in.dst);
  A const* a = m.reg<A>(in.src[0]);
  overLanes(lanes, [=](int lane) { d[lane] = D(f(a[lane])); });
}

template <class D, class A, class B, auto f>
void binary(Machine& m, Instruction const& in, LaneMask lanes) {
  D* d = m.reg<D>(in.dst);
  A const* a = m.reg<A>(in.src[0]);
  B const* b = m.reg<B>(in.src[1]);
  overLanes(lanes, [=](int lane) { d[lane] = D(f(a[lane], b[lane])); });
}

template <class D, class A, class B, class C, auto f>
void ternary(Machine& m, Instruction const& in, LaneMask lanes) {
  D* d = m.reg<D>(in.dst);
  A const* a = m.reg<A>(in.src[0]);
  B const* b = m.reg<B>(in.src[1]);
  C const* c = m.reg<C>(in.src[2]);
  overLanes(lanes, [=](int lane) { d[lane] = D(f(a[lane], b[lane], c[lane])); });
}

// Value of a predicate source operand for all lanes, negation applied.
inline LaneMask predicateSource(Machine& m, Instruction const& in, int index) {
  LaneMask const value = m.predicate(in.src[index]);
  return in.negated[index] ? ~value : value;
}
inline void writePredicate(Machine& m, Slot slot, LaneMask value, LaneMask lanes) {
  LaneMask& d = m.predicate(slot);
  d = (d & ~lanes) | (value & lanes);
}

// Calls make<T>() with the C++ type of an integer PTX type. Untyped bits count as unsigned.
template <class Make>
Handler forInteger(Type type, Make make) {
  switch (type) {
    case Type::U16:
    case Type::B16:
      return make(u16{});
    case Type::S16:
      return make(i16{});
    case Type::U32:
    case Type::B32:
      return make(u32{});
    case Type::S32:
      return make(i32{});
    case Type::U64:
    case Type::B64:
      return make(u64{});
    case Type::S64:
      return make(i64{});
    default:
      return nullptr;
  }
}

// The same by width alone, for operations that only move bits.
template <class Make>
Handler forBits(Type type, Make make) {
  if (type == Type::Pred || type == Type::None) return nullptr;
  switch (sizeOf(type)) {
    case 2:
      return make(u16{});
    case 4:
      return make(u32{});
    case 8:
      return make(u64{});
    default:
      return nullptr;
  }
}

}  // namespace ptx
