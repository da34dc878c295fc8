// f16, bf16 and their packed forms. Values are computed in double and rounded once.
#include <cmath>

#include "float_lanes.hpp"
#include "ops.hpp"

namespace ptx {
namespace {

struct Format {
  bool isBfloat;
  double load(u16 bits) const { return isBfloat ? bfloatToFloat(bits) : halfToFloat(bits); }
  u16 store(double value, Instruction const& in) const {
    if (in.saturate) value = value > 0 ? std::fmin(value, 1.0) : 0.0;
    if (in.relu) value = value > 0 || value != value ? value : 0.0;
    return isBfloat ? toBfloat(value) : toHalf(value);
  }
  double flush(double value, bool ftz) const {
    return ftz && !isBfloat && std::fabs(value) < 0x1p-14 ? std::copysign(0.0, value) : value;
  }
};

// Sum of two doubles rounded to odd: if it is inexact the last bit is set, so that a later rounding to a narrower
// format gives the correctly rounded sum.
double addToOdd(double a, double b) {
  double const sum = a + b;
  if (!std::isfinite(sum)) return sum;
  double const part = sum - a;
  double const error = (a - (sum - part)) + (b - part);
  if (error != 0 && !(std::bit_cast<u64>(sum) & 1)) return std::nextafter(sum, error > 0 ? INFINITY : -INFINITY);
  return sum;
}

double compute(Instruction const& in, double a, double b, double c) {
  switch (in.op) {
    case Opcode::Add:
      return addToOdd(a, b);
    case Opcode::Sub:
      return addToOdd(a, -b);
    case Opcode::Mul:
      return a * b;  // exact in double
    case Opcode::Fma:
      return addToOdd(a * b, c);
    case Opcode::Ex2:
      return std::exp2(a);
    case Opcode::Tanh:
      return std::tanh(a);
    default:
      break;
  }
  bool const wantMin = in.op == Opcode::Min;
  if (a != a || b != b) return in.nanPropagates ? NAN : a != a ? b : a;
  if (a == b) return std::signbit(a) == wantMin ? a : b;
  return (a < b) == wantMin ? a : b;
}

template <int parts>
void arithmetic(Machine& m, Instruction const& in, LaneMask lanes) {
  Format const format{in.type == Type::BF16 || in.type == Type::BF16x2};
  u16* d = m.reg<u16>(in.dst);
  u16 const* a = m.reg<u16>(in.src[0]);
  u16 const* b = in.src[1] != kNoSlot ? m.reg<u16>(in.src[1]) : a;
  u16 const* c = in.src[2] != kNoSlot ? m.reg<u16>(in.src[2]) : a;
  auto value = [&](u16 bits) { return format.flush(format.load(bits), in.ftz); };
  forEachLane(lanes, [&](int lane) {
    for (int i = lane * parts; i < (lane + 1) * parts; ++i) {
      double const result = compute(in, value(a[i]), value(b[i]), value(c[i]));
      d[i] = format.store(format.flush(result, in.ftz), in);
    }
  });
}

template <class T, bool negate>
void changeSign(Machine& m, Instruction const& in, LaneMask lanes) {
  constexpr T signs = sizeof(T) == 2 ? T(0x8000) : T(0x80008000);
  T* d = m.reg<T>(in.dst);
  T const* a = m.reg<T>(in.src[0]);
  overLanes(lanes, [=](int lane) { d[lane] = negate ? T(a[lane] ^ signs) : T(a[lane] & ~signs); });
}

}  // namespace

Handler selectHalf(Instruction const& in) {
  bool const packed = isPackedHalf(in.type);
  if (!packed && in.type != Type::F16 && in.type != Type::BF16) return nullptr;
  if (in.hasRounding && in.rounding != Rounding::Nearest) return nullptr;
  switch (in.op) {
    case Opcode::Neg:
      return packed ? &changeSign<u32, true> : &changeSign<u16, true>;
    case Opcode::Abs:
      return packed ? &changeSign<u32, false> : &changeSign<u16, false>;
    case Opcode::Add:
    case Opcode::Sub:
    case Opcode::Mul:
    case Opcode::Fma:
    case Opcode::Min:
    case Opcode::Max:
    case Opcode::Ex2:
    case Opcode::Tanh:
      return packed ? &arithmetic<2> : &arithmetic<1>;
    default:
      return nullptr;
  }
}

}  // namespace ptx
