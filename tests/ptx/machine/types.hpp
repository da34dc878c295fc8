// Vocabulary shared by every part of the PTX machine: scalar aliases, PTX types, state spaces, errors.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>

namespace ptx {

using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
using i8 = std::int8_t;
using i16 = std::int16_t;
using i32 = std::int32_t;
using i64 = std::int64_t;
using u128 = unsigned __int128;
using i128 = __int128;

// One bit per lane of a warp.
using LaneMask = u32;
inline constexpr int kWarpSize = 32;
inline constexpr LaneMask kAllLanes = ~LaneMask{0};

enum class Type : u8 {
  None,
  Pred,
  B8,
  B16,
  B32,
  B64,
  U8,
  U16,
  U32,
  U64,
  S8,
  S16,
  S32,
  S64,
  F16,
  BF16,
  F32,
  F64,
  F16x2,
  BF16x2,
  TF32,
};

inline int sizeOf(Type t) {
  switch (t) {
    case Type::B8:
    case Type::U8:
    case Type::S8:
      return 1;
    case Type::B16:
    case Type::U16:
    case Type::S16:
    case Type::F16:
    case Type::BF16:
      return 2;
    case Type::B64:
    case Type::U64:
    case Type::S64:
    case Type::F64:
      return 8;
    case Type::None:
      return 0;
    default:
      return 4;  // a predicate register is a 32-bit lane mask
  }
}
inline bool isFloat(Type t) { return t >= Type::F16 && t <= Type::F64; }
inline bool isSigned(Type t) { return t >= Type::S8 && t <= Type::S64; }
inline bool isPackedHalf(Type t) { return t == Type::F16x2 || t == Type::BF16x2; }

enum class Space : u8 { Generic, Global, Shared, Local, KernelParam, Const };

// What kind of rule a kernel broke; the runtime stand-in maps these onto cudaError_t.
enum class Fault : u8 {
  Syntax,
  Unsupported,
  OutOfBounds,
  Misaligned,
  Uninitialised,
  Race,
  Divergence,
  Deadlock,
  Trap,
  Launch,
};

class Error : public std::runtime_error {
 public:
  Error(Fault kind, std::string const& message) : std::runtime_error(message), fault(kind) {}
  Fault fault;
};

inline std::string hex(u64 value) {
  static char const* digits = "0123456789abcdef";
  std::string text;
  do {
    text.insert(text.begin(), digits[value & 15]);
    value >>= 4;
  } while (value);
  return "0x" + text;
}

inline u64 alignUp(u64 value, u64 alignment) { return (value + alignment - 1) / alignment * alignment; }
inline int lowestLane(LaneMask mask) { return std::countr_zero(mask); }

// Calls f(lane) for every lane in the mask, lowest first.
template <class F>
inline void forEachLane(LaneMask mask, F&& f) {
  for (; mask; mask &= mask - 1) f(lowestLane(mask));
}

}  // namespace ptx
