// Lane loops for f32/f64 operations. Plain instructions (round to nearest, no .ftz, no .sat) take a fast loop; the rest
// go through one that applies the modifiers.
#pragma once

#include <cfenv>
#include <cmath>

#include "lanes.hpp"

namespace ptx {

// Sets the host's rounding mode for its lifetime. Operands come from memory, so no arithmetic can move across it.
class DirectedRounding {
 public:
  explicit DirectedRounding(Rounding rounding)
      : changed_(rounding != Rounding::Nearest && rounding != Rounding::NearestAway) {
    if (changed_)
      std::fesetround(rounding == Rounding::Zero   ? FE_TOWARDZERO
                      : rounding == Rounding::Down ? FE_DOWNWARD
                                                   : FE_UPWARD);
  }
  ~DirectedRounding() {
    if (changed_) std::fesetround(FE_TONEAREST);
  }
  DirectedRounding(DirectedRounding const&) = delete;
  DirectedRounding& operator=(DirectedRounding const&) = delete;

 private:
  bool changed_;
};

// .ftz replaces f32 subnormals by zero of the same sign; it does not exist for f64.
template <class T>
inline T flushed(T x, bool ftz) {
  if constexpr (sizeof(T) == 4)
    if (ftz && std::fabs(x) < std::numeric_limits<float>::min()) return std::copysign(0.0f, x);
  return x;
}

// f32 results that are NaN have one bit pattern.
template <class T>
inline T canonical(T x) {
  if constexpr (sizeof(T) == 4)
    return x != x ? std::bit_cast<float>(0x7fffffffu) : x;
  else
    return x;
}

template <class T>
inline T finished(T x, Instruction const& in) {
  x = canonical(flushed(x, in.ftz));
  if (in.saturate) x = x > T(0) ? (x < T(1) ? x : T(1)) : T(0);  // NaN becomes 0
  return x;
}

inline bool isPlain(Instruction const& in) { return in.rounding == Rounding::Nearest && !in.ftz && !in.saturate; }

template <class T, int arity, auto f>
void modifiedFloat(Machine& m, Instruction const& in, LaneMask lanes) {
  T* d = m.reg<T>(in.dst);
  T const* a = m.reg<T>(in.src[0]);
  T const* b = arity > 1 ? m.reg<T>(in.src[1]) : a;
  T const* c = arity > 2 ? m.reg<T>(in.src[2]) : a;
  DirectedRounding const rounding(in.rounding);
  forEachLane(lanes, [&](int lane) {
    T const x = flushed(a[lane], in.ftz), y = flushed(b[lane], in.ftz), z = flushed(c[lane], in.ftz);
    T result;
    if constexpr (arity == 1)
      result = f(x);
    else if constexpr (arity == 2)
      result = f(x, y);
    else
      result = f(x, y, z);
    d[lane] = finished(result, in);
  });
}

// neg and abs only touch the sign, so they keep NaN payloads (`canonicalise` false).
template <class T, auto f, bool canonicalise = true>
Handler pickUnary(Instruction const& in) {
  if (!isPlain(in)) return &modifiedFloat<T, 1, f>;
  return &unary<T, T, [](T a) { return canonicalise ? canonical(f(a)) : f(a); }>;
}
template <class T, auto f>
Handler pickBinary(Instruction const& in) {
  if (!isPlain(in)) return &modifiedFloat<T, 2, f>;
  return &binary<T, T, T, [](T a, T b) { return canonical(f(a, b)); }>;
}
template <class T, auto f>
Handler pickTernary(Instruction const& in) {
  if (!isPlain(in)) return &modifiedFloat<T, 3, f>;
  return &ternary<T, T, T, T, [](T a, T b, T c) { return canonical(f(a, b, c)); }>;
}

}  // namespace ptx
