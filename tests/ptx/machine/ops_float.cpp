// f32 and f64 arithmetic: rounding modes, flush to zero, saturation, approximate functions.
#include <cfenv>
#include <cmath>
#include <limits>

#include "float_lanes.hpp"
#include "ops.hpp"

namespace ptx {
namespace {

constexpr auto add = []<class T>(T a, T b) { return T(a + b); };
constexpr auto sub = []<class T>(T a, T b) { return T(a - b); };
constexpr auto mul = []<class T>(T a, T b) { return T(a * b); };
constexpr auto div = []<class T>(T a, T b) { return T(a / b); };
constexpr auto fusedMultiplyAdd = []<class T>(T a, T b, T c) { return std::fma(a, b, c); };
constexpr auto squareRoot = []<class T>(T a) { return std::sqrt(a); };
constexpr auto reciprocal = []<class T>(T a) { return T(1) / a; };
constexpr auto negate = []<class T>(T a) { return -a; };
constexpr auto absolute = []<class T>(T a) { return std::fabs(a); };

// A NaN operand loses against a number; -0 is below +0.
constexpr auto minimum = []<class T>(T a, T b) {
  if (a != a) return b;
  if (b != b) return a;
  return a < b || (a == b && std::signbit(a)) ? a : b;
};
constexpr auto maximum = []<class T>(T a, T b) {
  if (a != a) return b;
  if (b != b) return a;
  return a > b || (a == b && !std::signbit(a)) ? a : b;
};
constexpr auto minimumNaN = []<class T>(T a, T b) { return a != a ? a : b != b ? b : minimum(a, b); };
constexpr auto maximumNaN = []<class T>(T a, T b) { return a != a ? a : b != b ? b : maximum(a, b); };

// Approximate operations give the rounded true value, plus noise if asked for. The .f64 forms of rcp and rsqrt only
// define the upper half of their result.
template <class T, auto f>
void approximate(Machine& m, Instruction const& in, LaneMask lanes) {
  constexpr bool isDouble = sizeof(T) == 8;
  T* d = m.reg<T>(in.dst);
  T const* a = m.reg<T>(in.src[0]);
  T const* b = in.src[1] != kNoSlot ? m.reg<T>(in.src[1]) : a;
  forEachLane(lanes, [&](int lane) {
    double exact = f(double(flushed(a[lane], in.ftz)), double(flushed(b[lane], in.ftz)));
    T result = T(m.noisy(double(T(exact)), isDouble));
    if (isDouble) result = T(std::bit_cast<double>(std::bit_cast<u64>(double(result)) & ~u64{0xffffffff}));
    d[lane] = finished(result, in);
  });
}

template <class T>
void copySign(Machine& m, Instruction const& in, LaneMask lanes) {  // copysign d, a, b: b with the sign of a
  T* d = m.reg<T>(in.dst);
  T const *a = m.reg<T>(in.src[0]), *b = m.reg<T>(in.src[1]);
  overLanes(lanes, [=](int lane) { d[lane] = std::copysign(b[lane], a[lane]); });
}

template <class T>
Handler selectApproximate(Instruction const& in) {
  switch (in.op) {
    case Opcode::Rcp:
      return &approximate<T, [](double a, double) { return 1 / a; }>;
    case Opcode::Rsqrt:
      return &approximate<T, [](double a, double) { return 1 / std::sqrt(a); }>;
    default:
      break;
  }
  if constexpr (sizeof(T) == 4) {
    switch (in.op) {
      case Opcode::Sqrt:
        return &approximate<T, [](double a, double) { return std::sqrt(a); }>;
      case Opcode::Div:
        return &approximate<T, [](double a, double b) { return a / b; }>;
      case Opcode::Ex2:
        return &approximate<T, [](double a, double) { return std::exp2(a); }>;
      case Opcode::Lg2:
        return &approximate<T, [](double a, double) { return std::log2(a); }>;
      case Opcode::Sin:
        return &approximate<T, [](double a, double) { return std::sin(a); }>;
      case Opcode::Cos:
        return &approximate<T, [](double a, double) { return std::cos(a); }>;
      case Opcode::Tanh:
        return &approximate<T, [](double a, double) { return std::tanh(a); }>;
      default:
        break;
    }
  }
  return nullptr;
}

template <class T>
Handler selectExact(Instruction const& in) {
  switch (in.op) {
    case Opcode::Add:
      return pickBinary<T, add>(in);
    case Opcode::Sub:
      return pickBinary<T, sub>(in);
    case Opcode::Mul:
      return pickBinary<T, mul>(in);
    case Opcode::Div:
      return pickBinary<T, div>(in);
    case Opcode::Min:
      return in.nanPropagates ? pickBinary<T, minimumNaN>(in) : pickBinary<T, minimum>(in);
    case Opcode::Max:
      return in.nanPropagates ? pickBinary<T, maximumNaN>(in) : pickBinary<T, maximum>(in);
    case Opcode::Fma:
    case Opcode::Mad:
      return pickTernary<T, fusedMultiplyAdd>(in);
    case Opcode::Sqrt:
      return pickUnary<T, squareRoot>(in);
    case Opcode::Rcp:
      return pickUnary<T, reciprocal>(in);
    case Opcode::Neg:
      return pickUnary<T, negate, false>(in);
    case Opcode::Abs:
      return pickUnary<T, absolute, false>(in);
    case Opcode::Copysign:
      return &copySign<T>;
    default:
      return nullptr;
  }
}

}  // namespace

Handler selectFloat(Instruction const& in) {
  auto pick = [&]<class T>(T) -> Handler {
    bool const alwaysApproximate = in.op == Opcode::Ex2 || in.op == Opcode::Lg2 || in.op == Opcode::Sin ||
                                   in.op == Opcode::Cos || in.op == Opcode::Tanh || in.op == Opcode::Rsqrt;
    return in.approximate || alwaysApproximate ? selectApproximate<T>(in) : selectExact<T>(in);
  };
  if (in.type == Type::F32) return pick(float{});
  if (in.type == Type::F64) return pick(double{});
  return nullptr;
}

}  // namespace ptx
