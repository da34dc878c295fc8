#include "half.hpp"

#include <cmath>

namespace ptx {
namespace {

// Rounds a non-negative real to an integer. `negative` is the sign of the value it was taken from.
double roundMagnitude(double magnitude, Rounding rounding, bool negative) {
  double const floor = std::floor(magnitude);
  double const rest = magnitude - floor;
  if (rest == 0) return floor;
  bool up = false;
  switch (rounding) {
    case Rounding::Nearest:
      up = rest > 0.5 || (rest == 0.5 && std::fmod(floor, 2.0) != 0);
      break;
    case Rounding::NearestAway:
      up = rest >= 0.5;
      break;
    case Rounding::Zero:
      break;
    case Rounding::Down:
      up = negative;
      break;
    case Rounding::Up:
      up = !negative;
      break;
  }
  return up ? floor + 1 : floor;
}

// Encodes into sign | exponent | mantissa with the given field widths, IEEE style.
u32 encode(double value, int exponentBits, int mantissaBits, u32 nan, Rounding rounding) {
  if (std::isnan(value)) return nan;
  int const bias = (1 << (exponentBits - 1)) - 1;
  bool const negative = std::signbit(value);
  u32 const sign = negative ? 1u << (exponentBits + mantissaBits) : 0;
  u32 const infinity = ((1u << exponentBits) - 1) << mantissaBits;
  double const magnitude = std::fabs(value);
  if (std::isinf(value)) return sign | infinity;
  if (magnitude == 0) return sign;
  int exponent = std::ilogb(magnitude);
  if (exponent < 1 - bias) exponent = 1 - bias;  // subnormals share the smallest exponent
  double const scaled = roundMagnitude(std::ldexp(magnitude, mantissaBits - exponent), rounding, negative);
  // Adding the integer mantissa (with its leading one) to the field lets a carry bump the exponent by itself.
  u32 const bits = u32(scaled) + (u32(exponent + bias - 1) << mantissaBits);
  if (bits < infinity) return sign | bits;
  bool const saturates =
      rounding == Rounding::Zero || (rounding == Rounding::Down && !negative) || (rounding == Rounding::Up && negative);
  return sign | (saturates ? infinity - 1 : infinity);
}

}  // namespace

float halfToFloat(u16 bits) {
  u32 const exponent = (bits >> 10) & 31, mantissa = bits & 1023;
  float magnitude;
  if (exponent == 31)
    magnitude = mantissa ? std::bit_cast<float>(0x7fffffffu) : INFINITY;
  else if (exponent == 0)
    magnitude = std::ldexp(float(mantissa), -24);
  else
    magnitude = std::ldexp(float(mantissa | 1024), int(exponent) - 25);
  return bits & 0x8000 ? -magnitude : magnitude;
}

float bfloatToFloat(u16 bits) { return std::bit_cast<float>(u32(bits) << 16); }

u16 toHalf(double value, Rounding rounding) { return u16(encode(value, 5, 10, 0x7fff, rounding)); }

u16 toBfloat(double value, Rounding rounding) { return u16(encode(value, 8, 7, 0x7fff, rounding)); }

u32 toTf32(float value, Rounding rounding) {
  if (std::isnan(value)) return 0x7fffffff;
  return encode(value, 8, 10, 0, rounding) << 13;
}

}  // namespace ptx
