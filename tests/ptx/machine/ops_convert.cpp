// cvt between all scalar types, cvta and isspacep.
#include <cmath>
#include <limits>

#include "float_lanes.hpp"
#include "ops.hpp"

namespace ptx {
namespace {

u64 loadBits(u8 const* base, int lane, u8 bytes) {
  u64 bits = 0;
  std::memcpy(&bits, base + lane * bytes, bytes);
  return bits;
}

// Sign- or zero-extends the low bits of a register according to the type.
u64 extend(u64 bits, Type type) {
  int const unused = 64 - 8 * sizeOf(type);
  return isSigned(type) ? u64(i64(bits << unused) >> unused) : bits << unused >> unused;
}

double loadFloat(u64 bits, Type type, bool ftz) {
  switch (type) {
    case Type::F32:
      return flushed(std::bit_cast<float>(u32(bits)), ftz);
    case Type::F64:
      return std::bit_cast<double>(bits);
    case Type::F16:
      return halfToFloat(u16(bits));
    default:
      return bfloatToFloat(u16(bits));
  }
}

double roundToIntegral(double x, Rounding rounding) {
  switch (rounding) {
    case Rounding::Zero:
      return std::trunc(x);
    case Rounding::Down:
      return std::floor(x);
    case Rounding::Up:
      return std::ceil(x);
    default:
      return std::nearbyint(x);  // the host rounds to nearest even here
  }
}

u64 floatToInteger(double x, Type from, Type to, Rounding rounding) {
  int const width = 8 * sizeOf(to);
  // A NaN becomes 0, or only the top bit if either side is 64 bits wide.
  if (x != x) return from == Type::F64 || width == 64 ? u64{1} << (width - 1) : 0;
  double const value = roundToIntegral(x, rounding);
  if (isSigned(to)) {
    double const limit = std::ldexp(1.0, width - 1);
    if (value >= limit) return (u64{1} << (width - 1)) - 1;
    if (value < -limit) return u64(-1) << (width - 1);
    return u64(i64(value));
  }
  if (value <= 0) return 0;
  if (value >= std::ldexp(1.0, width)) return ~u64{0} >> (64 - width);
  return u64(value);
}

u64 saturateInteger(u64 value, Type from, Type to) {
  int const width = 8 * sizeOf(to);
  bool const negative = isSigned(from) && i64(value) < 0;
  if (isSigned(to)) {
    i64 const high = i64(~u64{0} >> (65 - width)), low = -high - 1;
    if (negative) return i64(value) < low ? u64(low) : value;
    return value > u64(high) ? u64(high) : value;
  }
  u64 const high = ~u64{0} >> (64 - width);
  return negative ? 0 : value > high ? high : value;
}

// The final rounding of x to the destination format. `x` is exact, whatever it came from.
u64 storeFloat(double x, Instruction const& in) {
  switch (in.type) {
    case Type::F64:
      return std::bit_cast<u64>(in.saturate ? finished(x, in) : x);
    case Type::F32:
      return std::bit_cast<u32>(finished(float(x), in));  // under the host's current rounding mode
    case Type::TF32:
      return toTf32(float(x), in.rounding);
    default:
      break;
  }
  if (in.saturate) x = x > 0 ? std::fmin(x, 1.0) : 0.0;
  if (in.relu) x = x > 0 || x != x ? x : 0.0;
  return in.type == Type::F16 ? toHalf(x, in.rounding) : toBfloat(x, in.rounding);
}

u64 integerToFloat(u64 value, Instruction const& in) {
  bool const isNegative = isSigned(in.sourceType);
  // 64-bit integers do not fit a double, so convert straight to the destination.
  if (in.type == Type::F64) return std::bit_cast<u64>(isNegative ? double(i64(value)) : double(value));
  if (in.type == Type::F32) return std::bit_cast<u32>(finished(isNegative ? float(i64(value)) : float(value), in));
  return storeFloat(isNegative ? double(i64(value)) : double(value), in);
}

u64 convert(u64 bits, Instruction const& in) {
  if (isFloat(in.sourceType)) {
    double const x = loadFloat(bits, in.sourceType, in.ftz);
    if (!isFloat(in.type) && in.type != Type::TF32) return floatToInteger(x, in.sourceType, in.type, in.rounding);
    return storeFloat(in.roundToInteger ? roundToIntegral(x, in.rounding) : x, in);
  }
  u64 const value = extend(bits, in.sourceType);
  if (isFloat(in.type)) return integerToFloat(value, in);
  return extend(in.saturate ? saturateInteger(value, in.sourceType, in.type) : value, in.type);
}

void convertLanes(Machine& m, Instruction const& in, LaneMask lanes) {
  u8* d = m.reg<u8>(in.dst);
  u8 const* a = m.reg<u8>(in.src[0]);
  // Only conversions into f32/f64 rely on the host's rounding mode; 16-bit formats round by themselves.
  bool const hostRounds = !in.roundToInteger && (in.type == Type::F32 || in.type == Type::F64);
  DirectedRounding const rounding(hostRounds ? in.rounding : Rounding::Nearest);
  forEachLane(lanes, [&](int lane) {
    u64 const result = convert(loadBits(a, lane, in.srcBytes), in);
    std::memcpy(d + lane * in.dstBytes, &result, in.dstBytes);
  });
}

// cvt.rn.f16x2.f32 d, a, b: a goes to the upper half.
void convertPair(Machine& m, Instruction const& in, LaneMask lanes) {
  u32* d = m.reg<u32>(in.dst);
  float const *a = m.reg<float>(in.src[0]), *b = m.reg<float>(in.src[1]);
  Instruction half = in;
  half.type = in.type == Type::F16x2 ? Type::F16 : Type::BF16;
  forEachLane(lanes, [&](int lane) { d[lane] = u32(storeFloat(a[lane], half) << 16 | storeFloat(b[lane], half)); });
}

Handler selectCvt(Instruction const& in) {
  if (isPackedHalf(in.type)) return in.sourceType == Type::F32 ? &convertPair : nullptr;
  if (in.sourceType == Type::TF32 || isPackedHalf(in.sourceType)) return nullptr;
  bool const sameWidths = in.dstBytes == sizeOf(in.type) && in.srcBytes == sizeOf(in.sourceType);
  if (sameWidths && !in.saturate && !isFloat(in.type) && !isFloat(in.sourceType) && in.type != Type::TF32) {
    // Plain integer conversions are frequent (address arithmetic).
    Handler handler = forInteger(in.sourceType, [&]<class S>(S) -> Handler {
      return forInteger(in.type, []<class D>(D) -> Handler { return &unary<D, S, [](S a) { return D(a); }>; });
    });
    if (handler) return handler;
  }
  if (in.type == Type::F64 && in.sourceType == Type::F32 && isPlain(in) && !in.roundToInteger)
    return &unary<double, float, [](float a) { return double(a); }>;
  return &convertLanes;
}

void toGeneric(Machine& m, Instruction const& in, LaneMask lanes) {
  u64* d = m.reg<u64>(in.dst);
  u64 const* a = m.reg<u64>(in.src[0]);
  u64 const window = windowOf(in.space);
  overLanes(lanes, [=](int lane) { d[lane] = a[lane] | window; });
}

void fromGeneric(Machine& m, Instruction const& in, LaneMask lanes) {
  u64* d = m.reg<u64>(in.dst);
  u64 const* a = m.reg<u64>(in.src[0]);
  u64 const window = windowOf(in.space);
  forEachLane(lanes, [&](int lane) {
    if (window && (a[lane] & kWindowMask) != window)
      m.fail(Fault::OutOfBounds, "cvta.to of an address outside that space", lane);
    d[lane] = window ? a[lane] & ~kWindowMask : a[lane];
  });
}

void isInSpace(Machine& m, Instruction const& in, LaneMask lanes) {
  u64 const* a = m.reg<u64>(in.src[0]);
  LaneMask result = 0;
  forEachLane(lanes, [&](int lane) { result |= LaneMask((a[lane] & kWindowMask) == windowOf(in.space)) << lane; });
  writePredicate(m, in.dst, result, lanes);
}

}  // namespace

Handler selectConvert(Instruction const& in) {
  switch (in.op) {
    case Opcode::Cvt:
      return selectCvt(in);
    case Opcode::Cvta:
      return in.type == Type::U64 ? (in.toSpace ? &fromGeneric : &toGeneric) : nullptr;
    case Opcode::Isspacep:
      return &isInSpace;
    default:
      return nullptr;
  }
}

}  // namespace ptx
