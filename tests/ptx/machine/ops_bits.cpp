// Bitwise operations, shifts, field extraction, counting and permutation, and register moves.
#include "lanes.hpp"
#include "ops.hpp"

namespace ptx {
namespace {

template <auto f>
void predicateLogic(Machine& m, Instruction const& in, LaneMask lanes) {
  LaneMask const a = predicateSource(m, in, 0);
  LaneMask const b = in.src[1] != kNoSlot ? predicateSource(m, in, 1) : 0;
  writePredicate(m, in.dst, f(a, b), lanes);
}

// Shifts by the operand width or more give zero, or the sign for arithmetic right shifts.
constexpr auto shiftLeft = []<class T>(T a, u32 n) { return n >= 8 * sizeof(T) ? T(0) : T(u64(a) << n); };
constexpr auto shiftRight = []<class T>(T a, u32 n) {
  constexpr u32 bits = 8 * sizeof(T);
  if (std::is_signed_v<T>) return T(a >> (n >= bits ? bits - 1 : n));
  return n >= bits ? T(0) : T(a >> n);
};

template <bool left>
void funnelShift(Machine& m, Instruction const& in, LaneMask lanes) {
  u32* d = m.reg<u32>(in.dst);
  u32 const *low = m.reg<u32>(in.src[0]), *high = m.reg<u32>(in.src[1]), *count = m.reg<u32>(in.src[2]);
  bool const wrap = in.wrap;
  overLanes(lanes, [=](int lane) {
    u32 const n = wrap ? count[lane] & 31 : (count[lane] < 32 ? count[lane] : 32);
    u64 const both = u64(high[lane]) << 32 | low[lane];
    d[lane] = left ? u32((both << n) >> 32) : u32(both >> n);
  });
}

constexpr u64 lowBits(u32 count) { return count >= 64 ? ~u64{0} : (u64{1} << count) - 1; }

constexpr auto extractField = []<class T>(T a, u32 position, u32 length) {
  constexpr u32 bits = 8 * sizeof(T);
  position &= 255;
  length &= 255;
  u64 const shifted = position >= bits ? 0 : u64(Unsigned<T>(a)) >> position;
  u64 field = shifted & lowBits(length);
  if (std::is_signed_v<T> && length) {
    u32 const top = position + length - 1;  // a field past the register's end is filled with the register's sign
    bool const negative = u64(Unsigned<T>(a)) >> (top < bits ? top : bits - 1) & 1;
    u32 const available = position >= bits ? 0 : bits - position;
    if (negative) field |= ~lowBits(length < available ? length : available);
  }
  return T(field);
};

constexpr auto insertField = []<class T>(T a, T b, u32 position, u32 length) {
  position &= 255;
  length &= 255;
  if (position >= 8 * sizeof(T)) return b;
  u64 const mask = lowBits(length) << position;
  return T((u64(a) << position & mask) | (u64(b) & ~mask));
};

template <class T>
void bitFieldInsert(Machine& m, Instruction const& in, LaneMask lanes) {
  T* d = m.reg<T>(in.dst);
  T const *a = m.reg<T>(in.src[0]), *b = m.reg<T>(in.src[1]);
  u32 const *position = m.reg<u32>(in.src[2]), *length = m.reg<u32>(in.src[3]);
  overLanes(lanes, [=](int lane) { d[lane] = insertField(a[lane], b[lane], position[lane], length[lane]); });
}

// Position of the most significant bit that is not a copy of the sign; all ones if there is none.
template <class T, bool asShift>
void findLeading(Machine& m, Instruction const& in, LaneMask lanes) {
  u32* d = m.reg<u32>(in.dst);
  T const* a = m.reg<T>(in.src[0]);
  forEachLane(lanes, [&](int lane) {
    T const x = a[lane] < T(0) ? T(~a[lane]) : a[lane];
    int const zeros = std::countl_zero(Unsigned<T>(x));
    d[lane] = x == 0 ? ~0u : asShift ? u32(zeros) : u32(8 * sizeof(T) - 1 - zeros);
  });
}

constexpr auto reverseBits = []<class T>(T a) {
  T result = 0;
  for (u32 i = 0; i < 8 * sizeof(T); ++i) result = T(result << 1 | (a >> i & 1));
  return result;
};

void maskOfBits(Machine& m, Instruction const& in, LaneMask lanes) {
  u32* d = m.reg<u32>(in.dst);
  u32 const *first = m.reg<u32>(in.src[0]), *count = m.reg<u32>(in.src[1]);
  forEachLane(lanes, [&](int lane) {
    u32 const a = in.wrap ? first[lane] & 31 : std::min(first[lane], 32u);
    u32 const n = in.wrap ? count[lane] & 31 : std::min(count[lane], 32u);
    d[lane] = u32(lowBits(n) << a);
  });
}

void extendFromBit(Machine& m, Instruction const& in, LaneMask lanes) {
  u32* d = m.reg<u32>(in.dst);
  u32 const *a = m.reg<u32>(in.src[0]), *count = m.reg<u32>(in.src[1]);
  forEachLane(lanes, [&](int lane) {
    u32 const n = in.wrap ? count[lane] & 31 : std::min(count[lane], 32u);
    u32 value = a[lane] & u32(lowBits(n));
    if (in.type == Type::S32 && n && n < 32 && (a[lane] >> (n - 1) & 1)) value |= ~u32(lowBits(n));
    d[lane] = value;
  });
}

void logic3(Machine& m, Instruction const& in, LaneMask lanes) {
  u32* d = m.reg<u32>(in.dst);
  u32 const *a = m.reg<u32>(in.src[0]), *b = m.reg<u32>(in.src[1]), *c = m.reg<u32>(in.src[2]);
  u32 term[8];  // bit k of the table selects the minterm where (a, b, c) spell k
  for (int k = 0; k < 8; ++k) term[k] = in.logicTable >> k & 1 ? ~0u : 0;
  overLanes(lanes, [&](int lane) {
    u32 const x = a[lane], y = b[lane], z = c[lane];
    d[lane] = (term[0] & ~x & ~y & ~z) | (term[1] & ~x & ~y & z) | (term[2] & ~x & y & ~z) | (term[3] & ~x & y & z) |
              (term[4] & x & ~y & ~z) | (term[5] & x & ~y & z) | (term[6] & x & y & ~z) | (term[7] & x & y & z);
  });
}

// Which of the eight source bytes goes to result byte `i`; bit 3 asks for the byte's sign instead.
u32 permuteSelector(PrmtMode mode, u32 control, u32 i) {
  u32 const n = control & 3;
  switch (mode) {
    case PrmtMode::Index:
      return control >> (4 * i) & 15;
    case PrmtMode::F4e:
      return n + i;
    case PrmtMode::B4e:
      return (n + 8 - i) & 7;
    case PrmtMode::Rc8:
      return n;
    case PrmtMode::Ecl:
      return i > n ? i : n;
    case PrmtMode::Ecr:
      return i < n ? i : n;
    default:
      return (control & 1) * 2 + (i & 1);
  }
}

void permuteBytes(Machine& m, Instruction const& in, LaneMask lanes) {
  u32* d = m.reg<u32>(in.dst);
  u32 const *a = m.reg<u32>(in.src[0]), *b = m.reg<u32>(in.src[1]), *c = m.reg<u32>(in.src[2]);
  forEachLane(lanes, [&](int lane) {
    u64 const both = u64(b[lane]) << 32 | a[lane];
    u32 result = 0;
    for (u32 i = 0; i < 4; ++i) {
      u32 const selector = permuteSelector(in.prmt, c[lane], i);
      u32 byte = u8(both >> (8 * (selector & 7)));
      if (selector & 8) byte = byte & 0x80 ? 0xff : 0;
      result |= byte << (8 * i);
    }
    d[lane] = result;
  });
}

// n-th set bit of a mask counting from a base bit, upwards (n > 0) or downwards (n < 0).
constexpr auto findNthSet = [](u32 mask, u32 base, i32 offset) {
  if (offset == 0) return base < 32 && (mask >> base & 1) ? base : ~0u;
  int const step = offset > 0 ? 1 : -1;
  i32 left = offset > 0 ? offset : -offset;
  for (i64 bit = base; bit >= 0 && bit < 32; bit += step)
    if ((mask >> bit & 1) && --left == 0) return u32(bit);
  return ~0u;
};

// mov.b64 {lo, hi}, x and the reverse. Elements are equal parts, lowest first.
void unpack(Machine& m, Instruction const& in, LaneMask lanes) {
  int const part = sizeOf(in.type) / int(in.listCount);
  u8 const* source = m.reg<u8>(in.src[0]);
  int const stride = sizeOf(in.type);
  u64 value[kWarpSize] = {};
  forEachLane(lanes, [&](int lane) { std::memcpy(&value[lane], source + lane * stride, stride); });
  for (u32 k = 0; k < in.listCount; ++k) {
    ListItem const item = m.list(in)[k];
    u8* d = m.reg<u8>(item.slot);
    forEachLane(lanes, [&](int lane) {
      u64 const bits = value[lane] >> (8 * part * k);
      std::memcpy(d + lane * item.bytes, &bits, std::min<int>(item.bytes, part));
    });
  }
}

void pack(Machine& m, Instruction const& in, LaneMask lanes) {
  int const part = sizeOf(in.type) / int(in.listCount), stride = sizeOf(in.type);
  u64 value[kWarpSize] = {};
  for (u32 k = 0; k < in.listCount; ++k) {
    ListItem const item = m.list(in)[k];
    u8 const* source = m.reg<u8>(item.slot);
    forEachLane(lanes, [&](int lane) {
      u64 bits = 0;
      std::memcpy(&bits, source + lane * item.bytes, part);
      value[lane] |= bits << (8 * part * k);
    });
  }
  u8* d = m.reg<u8>(in.dst);
  forEachLane(lanes, [&](int lane) { std::memcpy(d + lane * stride, &value[lane], stride); });
}

template <class T>
void selectValue(Machine& m, Instruction const& in, LaneMask lanes) {
  T* d = m.reg<T>(in.dst);
  T const *a = m.reg<T>(in.src[0]), *b = m.reg<T>(in.src[1]);
  LaneMask const choose = predicateSource(m, in, 2);
  overLanes(lanes, [=](int lane) { d[lane] = choose >> lane & 1 ? a[lane] : b[lane]; });
}

template <class T>
void readClock(Machine& m, Instruction const& in, LaneMask lanes) {
  T* d = m.reg<T>(in.dst);
  u64 const now = m.clock();
  forEachLane(lanes, [&](int lane) { d[lane] = T(now); });
}

constexpr auto logicalNot = []<class T>(T a) { return T(a == 0); };
constexpr auto copy = []<class T>(T a) { return a; };
constexpr auto bitAnd = []<class T>(T a, T b) { return T(a & b); };
constexpr auto bitOr = []<class T>(T a, T b) { return T(a | b); };
constexpr auto bitXor = []<class T>(T a, T b) { return T(a ^ b); };
constexpr auto bitNot = []<class T>(T a) { return T(~a); };
constexpr auto countOnes = []<class T>(T a) { return u32(std::popcount(a)); };
constexpr auto countLeading = []<class T>(T a) { return u32(std::countl_zero(a)); };

Handler selectPredicate(Instruction const& in) {
  switch (in.op) {
    case Opcode::Mov:
      return &predicateLogic<[](u32 a, u32) { return a; }>;
    case Opcode::Not:
      return &predicateLogic<[](u32 a, u32) { return ~a; }>;
    case Opcode::And:
      return &predicateLogic<[](u32 a, u32 b) { return a & b; }>;
    case Opcode::Or:
      return &predicateLogic<[](u32 a, u32 b) { return a | b; }>;
    case Opcode::Xor:
      return &predicateLogic<[](u32 a, u32 b) { return a ^ b; }>;
    default:
      return nullptr;
  }
}

}  // namespace

Handler selectBits(Instruction const& in) {
  if (in.type == Type::Pred) return selectPredicate(in);
  auto bits = [&](auto pick) { return forBits(in.type, pick); };
  auto integer = [&](auto pick) { return forInteger(in.type, pick); };
  switch (in.op) {
    case Opcode::Mov:
      return bits([]<class T>(T) -> Handler { return &unary<T, T, copy>; });
    case Opcode::MovPack:
      return &pack;
    case Opcode::MovUnpack:
      return &unpack;
    case Opcode::ReadClock:
      return bits([]<class T>(T) -> Handler { return &readClock<T>; });
    case Opcode::Selp:
      return bits([]<class T>(T) -> Handler { return &selectValue<T>; });
    case Opcode::And:
      return bits([]<class T>(T) -> Handler { return &binary<T, T, T, bitAnd>; });
    case Opcode::Or:
      return bits([]<class T>(T) -> Handler { return &binary<T, T, T, bitOr>; });
    case Opcode::Xor:
      return bits([]<class T>(T) -> Handler { return &binary<T, T, T, bitXor>; });
    case Opcode::Not:
      return bits([]<class T>(T) -> Handler { return &unary<T, T, bitNot>; });
    case Opcode::Cnot:
      return bits([]<class T>(T) -> Handler { return &unary<T, T, logicalNot>; });
    case Opcode::Shl:
      return bits([]<class T>(T) -> Handler { return &binary<T, T, u32, shiftLeft>; });
    case Opcode::Shr:
      return integer([]<class T>(T) -> Handler { return &binary<T, T, u32, shiftRight>; });
    case Opcode::Shf:
      return in.left ? &funnelShift<true> : &funnelShift<false>;
    case Opcode::Bfe:
      return integer([]<class T>(T) -> Handler { return &ternary<T, T, u32, u32, extractField>; });
    case Opcode::Bfi:
      return bits([]<class T>(T) -> Handler { return &bitFieldInsert<T>; });
    case Opcode::Bfind:
      return integer(
          [&]<class T>(T) -> Handler { return in.shiftAmount ? &findLeading<T, true> : &findLeading<T, false>; });
    case Opcode::Brev:
      return bits([]<class T>(T) -> Handler { return &unary<T, T, reverseBits>; });
    case Opcode::Popc:
      return bits([]<class T>(T) -> Handler { return &unary<u32, T, countOnes>; });
    case Opcode::Clz:
      return bits([]<class T>(T) -> Handler { return &unary<u32, T, countLeading>; });
    case Opcode::Bmsk:
      return &maskOfBits;
    case Opcode::Szext:
      return &extendFromBit;
    case Opcode::Lop3:
      return &logic3;
    case Opcode::Prmt:
      return &permuteBytes;
    case Opcode::Fns:
      return &ternary<u32, u32, u32, i32, findNthSet>;
    default:
      return nullptr;
  }
}

}  // namespace ptx
