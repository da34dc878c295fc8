// Integer arithmetic: add, sub, mul, mad, div, rem, min, max, abs, neg, sad, extended precision, dp4a.
#include <limits>

#include "lanes.hpp"
#include "ops.hpp"

namespace ptx {
namespace {

// Arithmetic wraps, so it is done in unsigned types of at least 32 bits.
template <class T>
using Wrapping = std::conditional_t<sizeof(T) == 8, u64, u32>;

constexpr auto add = []<class T>(T a, T b) { return T(Wrapping<T>(a) + Wrapping<T>(b)); };
constexpr auto sub = []<class T>(T a, T b) { return T(Wrapping<T>(a) - Wrapping<T>(b)); };
constexpr auto mulLow = []<class T>(T a, T b) { return T(Wrapping<T>(a) * Wrapping<T>(b)); };
constexpr auto minimum = []<class T>(T a, T b) { return a < b ? a : b; };
constexpr auto maximum = []<class T>(T a, T b) { return a > b ? a : b; };
constexpr auto negate = []<class T>(T a) { return T(Wrapping<T>(0) - Wrapping<T>(a)); };
constexpr auto absolute = []<class T>(T a) { return a < T(0) ? negate(a) : a; };

template <class T>
using Twice = std::conditional_t<sizeof(T) == 8, std::conditional_t<std::is_signed_v<T>, i128, u128>,
                                 std::conditional_t<sizeof(T) == 4, std::conditional_t<std::is_signed_v<T>, i64, u64>,
                                                    std::conditional_t<std::is_signed_v<T>, i32, u32>>>;

constexpr auto mulHigh = []<class T>(T a, T b) { return T((Twice<T>(a) * Twice<T>(b)) >> (8 * sizeof(T))); };
// The product of two u16 does not overflow u32, nor do the wider ones their doubles.
constexpr auto mulWide = []<class T>(T a, T b) { return Twice<T>(a) * Twice<T>(b); };
constexpr auto madLow = []<class T>(T a, T b, T c) { return add(mulLow(a, b), c); };
constexpr auto madHigh = []<class T>(T a, T b, T c) { return add(mulHigh(a, b), c); };

constexpr auto addSaturating = [](i32 a, i32 b) {
  i64 const sum = i64(a) + b;
  return i32(sum < INT32_MIN ? INT32_MIN : sum > INT32_MAX ? INT32_MAX : sum);
};
constexpr auto subSaturating = [](i32 a, i32 b) {
  i64 const difference = i64(a) - b;
  return i32(difference < INT32_MIN ? INT32_MIN : difference > INT32_MAX ? INT32_MAX : difference);
};
constexpr auto madHighSaturating = [](i32 a, i32 b, i32 c) { return addSaturating(mulHigh(a, b), c); };

// PTX leaves the quotient by zero unspecified; hardware gives all ones. It is reported as a warning.
template <class T, bool wantQuotient>
void divide(Machine& m, Instruction const& in, LaneMask lanes) {
  T* d = m.reg<T>(in.dst);
  T const *a = m.reg<T>(in.src[0]), *b = m.reg<T>(in.src[1]);
  forEachLane(lanes, [&](int lane) {
    T const x = a[lane], y = b[lane];
    if (y == 0) {
      m.warn("integer division by zero");
      d[lane] = wantQuotient ? T(-1) : x;
    } else if (std::is_signed_v<T> && y == T(-1)) {
      d[lane] = wantQuotient ? negate(x) : T(0);  // avoids the overflow of MIN / -1
    } else {
      d[lane] = wantQuotient ? T(x / y) : T(x % y);
    }
  });
}

constexpr auto sumOfDifferences = []<class T>(T a, T b, T c) {
  const Unsigned<T> difference = a < b ? Unsigned<T>(b) - Unsigned<T>(a) : Unsigned<T>(a) - Unsigned<T>(b);
  return T(difference + Unsigned<T>(c));
};

// 24-bit multiplication: operands are the low 24 bits, sign- or zero-extended.
template <class T, bool high, bool accumulate>
void multiply24(Machine& m, Instruction const& in, LaneMask lanes) {
  u32* d = m.reg<u32>(in.dst);
  T const *a = m.reg<T>(in.src[0]), *b = m.reg<T>(in.src[1]);
  u32 const* c = accumulate ? m.reg<u32>(in.src[2]) : nullptr;
  auto low24 = [](T x) { return i64(T(u32(x) << 8) >> 8); };
  forEachLane(lanes, [&](int lane) {
    i64 const product = low24(a[lane]) * low24(b[lane]);
    d[lane] = u32(high ? product >> 16 : product) + (accumulate ? c[lane] : 0);
  });
}

// add/sub/mad with carry-in (addc, subc, madc) and carry-out (.cc). Subtraction keeps a borrow in the same flag.
template <class T, bool subtract, bool multiply>
void extended(Machine& m, Instruction const& in, LaneMask lanes) {
  using U = Unsigned<T>;
  T* d = m.reg<T>(in.dst);
  T const *a = m.reg<T>(in.src[0]), *b = m.reg<T>(in.src[1]);
  T const* c = multiply ? m.reg<T>(in.src[2]) : b;
  LaneMask& carry = m.warp().carry;
  forEachLane(lanes, [&](int lane) {
    u32 const carryIn = in.usesCarry ? carry >> lane & 1 : 0;
    const U left = multiply ? U(in.high ? mulHigh(a[lane], b[lane]) : mulLow(a[lane], b[lane])) : U(a[lane]);
    const u128 wide = subtract ? u128(left) - U(c[lane]) - carryIn : u128(left) + U(c[lane]) + carryIn;
    LaneMask const bit = LaneMask{1} << lane;
    if (in.setsCarry) carry = (wide >> (8 * sizeof(T))) & 1 ? carry | bit : carry & ~bit;
    d[lane] = T(U(wide));
  });
}

// Four 8-bit products (or two 16 x 8-bit ones) added to a 32-bit accumulator. Each operand has its own signedness.
void dotProduct(Machine& m, Instruction const& in, LaneMask lanes) {
  u32* d = m.reg<u32>(in.dst);
  u32 const *a = m.reg<u32>(in.src[0]), *b = m.reg<u32>(in.src[1]), *c = m.reg<u32>(in.src[2]);
  bool const signedA = in.type == Type::S32, signedB = in.sourceType == Type::S32;
  auto field = [](u32 word, int shift, int bits, bool isSigned) {
    u32 const value = word >> shift << (32 - bits);
    return isSigned ? i32(value) >> (32 - bits) : i32(value >> (32 - bits));
  };
  forEachLane(lanes, [&](int lane) {
    u32 sum = c[lane];
    if (in.op == Opcode::Dp4a)
      for (int i = 0; i < 4; ++i) sum += u32(field(a[lane], 8 * i, 8, signedA) * field(b[lane], 8 * i, 8, signedB));
    else
      for (int i = 0; i < 2; ++i)
        sum += u32(field(a[lane], 16 * i, 16, signedA) * field(b[lane], 8 * i + (in.high ? 16 : 0), 8, signedB));
    d[lane] = sum;
  });
}

Handler selectMultiply(Instruction const& in) {
  bool const accumulates = in.op == Opcode::Mad;
  return forInteger(in.type, [&]<class T>(T) -> Handler {
    using W = Twice<T>;
    if (in.wide) {
      if constexpr (sizeof(T) < 8) {
        if (!accumulates) return &binary<W, T, T, mulWide>;
        return &ternary<W, T, T, W, [](T a, T b, W c) { return add(W(mulWide(a, b)), c); }>;
      }
      return nullptr;
    }
    if (!accumulates) return in.high ? &binary<T, T, T, mulHigh> : &binary<T, T, T, mulLow>;
    return in.high ? &ternary<T, T, T, T, madHigh> : &ternary<T, T, T, T, madLow>;
  });
}

Handler selectMultiply24(Instruction const& in) {
  auto pick = [&]<class T>(T) -> Handler {
    if (in.op == Opcode::Mul24) return in.high ? &multiply24<T, true, false> : &multiply24<T, false, false>;
    return in.high ? &multiply24<T, true, true> : &multiply24<T, false, true>;
  };
  if (in.saturate) return nullptr;
  return in.type == Type::S32 ? pick(i32{}) : in.type == Type::U32 ? pick(u32{}) : nullptr;
}

}  // namespace

Handler selectInteger(Instruction const& in) {
  bool const saturates = in.saturate;
  if (saturates && in.type != Type::S32) return nullptr;
  if (in.setsCarry || in.usesCarry) {
    return forInteger(in.type, [&]<class T>(T) -> Handler {
      switch (in.op) {
        case Opcode::Add:
        case Opcode::Addc:
          return &extended<T, false, false>;
        case Opcode::Sub:
        case Opcode::Subc:
          return &extended<T, true, false>;
        case Opcode::Mad:
        case Opcode::Madc:
          return &extended<T, false, true>;
        default:
          return nullptr;
      }
    });
  }
  auto simple = [&](auto pick) { return forInteger(in.type, pick); };
  switch (in.op) {
    case Opcode::Add:
      if (saturates) return &binary<i32, i32, i32, addSaturating>;
      return simple([]<class T>(T) -> Handler { return &binary<T, T, T, add>; });
    case Opcode::Sub:
      if (saturates) return &binary<i32, i32, i32, subSaturating>;
      return simple([]<class T>(T) -> Handler { return &binary<T, T, T, sub>; });
    case Opcode::Mad:
      if (saturates) return in.high ? &ternary<i32, i32, i32, i32, madHighSaturating> : nullptr;
      [[fallthrough]];
    case Opcode::Mul:
      return selectMultiply(in);
    case Opcode::Mul24:
    case Opcode::Mad24:
      return selectMultiply24(in);
    case Opcode::Div:
      return simple([]<class T>(T) -> Handler { return &divide<T, true>; });
    case Opcode::Rem:
      return simple([]<class T>(T) -> Handler { return &divide<T, false>; });
    case Opcode::Min:
      return simple([]<class T>(T) -> Handler { return &binary<T, T, T, minimum>; });
    case Opcode::Max:
      return simple([]<class T>(T) -> Handler { return &binary<T, T, T, maximum>; });
    case Opcode::Abs:
      return simple([]<class T>(T) -> Handler { return &unary<T, T, absolute>; });
    case Opcode::Neg:
      return simple([]<class T>(T) -> Handler { return &unary<T, T, negate>; });
    case Opcode::Sad:
      return simple([]<class T>(T) -> Handler { return &ternary<T, T, T, T, sumOfDifferences>; });
    case Opcode::Dp4a:
    case Opcode::Dp2a:
      return &dotProduct;
    default:
      return nullptr;
  }
}

}  // namespace ptx
