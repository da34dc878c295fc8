// The decoded form of one PTX instruction: everything a handler needs, with no strings left.
#pragma once

#include "half.hpp"
#include "types.hpp"

namespace ptx {

enum class Opcode : u8 {
  Unsupported,
  Nop,
  Fence,
  Abs,
  Activemask,
  Add,
  Addc,
  And,
  Atom,
  Bar,
  BarWarp,
  Bfe,
  Bfi,
  Bfind,
  Bmsk,
  Bra,
  Brev,
  BrxIdx,
  Call,
  Clz,
  Cnot,
  Copysign,
  Cos,
  CpAsync,
  Cvt,
  CvtPack,
  Cvta,
  Div,
  Dp2a,
  Dp4a,
  Elect,
  Ex2,
  Exit,
  Fma,
  Fns,
  Isspacep,
  Ld,
  LdKernelParam,
  Lg2,
  Lop3,
  Mad,
  Mad24,
  Madc,
  Match,
  Max,
  Min,
  Mma,
  Mov,
  MovPack,
  MovUnpack,
  Mul,
  Mul24,
  Neg,
  Not,
  Or,
  Popc,
  Prmt,
  Rcp,
  ReadClock,
  Red,
  Redux,
  Rem,
  Ret,
  Rsqrt,
  Sad,
  Selp,
  Set,
  Setp,
  Shf,
  Shfl,
  Shl,
  Shr,
  Sin,
  Slct,
  Sqrt,
  St,
  Sub,
  Subc,
  Szext,
  Tanh,
  Testp,
  Trap,
  Vote,
  Xor,
};

enum class Compare : u8 { Eq, Ne, Lt, Le, Gt, Ge, Equ, Neu, Ltu, Leu, Gtu, Geu, Num, Nan };
enum class Logic : u8 { None, And, Or, Xor };
enum class AtomicOp : u8 { None, Add, Min, Max, And, Or, Xor, Inc, Dec, Exch, Cas };
enum class ShflMode : u8 { Up, Down, Bfly, Idx };
enum class VoteMode : u8 { All, Any, Uni, Ballot };
enum class BarMode : u8 { Sync, Arrive, RedPopc, RedAnd, RedOr };
enum class TestKind : u8 { Finite, Infinite, Number, NotANumber, Normal, Subnormal };
enum class PrmtMode : u8 { Index, F4e, B4e, Rc8, Ecl, Ecr, Rc16 };

class Machine;
struct Instruction;
using Handler = void (*)(Machine&, Instruction const&, LaneMask);

// A register is named by its byte offset in the warp's register file (see Frame in module.hpp).
using Slot = i32;
inline constexpr Slot kNoSlot = -1;

// Base register (or none) plus a displacement. Symbols have already been turned into displacements.
struct Address {
  Slot base = kNoSlot;
  u8 baseBytes = 8;
  i64 offset = 0;
};

// Element of a {a, b, ...} operand.
struct ListItem {
  Slot slot = kNoSlot;
  u8 bytes = 0;  // width of the register, which may exceed the width of the memory element
};

struct Instruction {
  Handler run = nullptr;  // null for control flow, which the machine itself executes
  Opcode op = Opcode::Unsupported;
  Type type = Type::None;        // first type suffix (destination type of cvt)
  Type sourceType = Type::None;  // second type suffix, if any
  Space space = Space::Generic;
  u8 vectorSize = 1;

  Rounding rounding = Rounding::Nearest;
  bool hasRounding = false;
  bool roundToInteger = false;  // .rni/.rzi/.rmi/.rpi
  bool ftz = false, saturate = false, approximate = false, nanPropagates = false;
  bool high = false, wide = false, setsCarry = false, usesCarry = false;
  bool toSpace = false;      // cvta.to
  bool shiftAmount = false;  // bfind.shiftamt
  bool wrap = false;         // .wrap of shf/bmsk/szext, as opposed to .clamp
  bool left = false;         // shf.l
  bool relu = false;
  bool modeAll = false;    // match.all
  bool strong = false;     // ld and st: volatile, relaxed, acquire or release
  bool fences = false;     // orders memory for the whole device: a fence, acquire or release
  bool unaligned = false;  // barrier without .aligned: lanes of a warp may arrive at different instructions
  Compare compare = Compare::Eq;
  Logic logic = Logic::None;
  AtomicOp atomic = AtomicOp::None;
  ShflMode shfl = ShflMode::Idx;
  VoteMode vote = VoteMode::All;
  BarMode bar = BarMode::Sync;
  TestKind test = TestKind::Finite;
  PrmtMode prmt = PrmtMode::Index;
  u8 logicTable = 0;  // lop3

  // Guard predicate @p or @!p.
  Slot guard = kNoSlot;
  bool guardNegated = false;

  // Operands. Sources are always slots: immediates and special registers have slots of their own, filled per launch
  // or per warp, so that handlers need no operand kinds. Negation only occurs on predicates.
  Slot dst = kNoSlot, dst2 = kNoSlot;
  Slot src[4] = {kNoSlot, kNoSlot, kNoSlot, kNoSlot};
  u8 dstBytes = 0,
     srcBytes = 0;  // widths of dst and src[0] where they may differ from the type (cvt; ld and st use srcBytes)
  bool negated[4] = {};
  Slot member = kNoSlot;  // membermask of .sync operations
  Address address, address2;
  u32 listBegin = 0, listCount = 0;  // in Module::lists: vector operands, mma fragments
  u32 immediate = 0;                 // cp.async size

  i32 target = -1;                     // bra
  u32 tableBegin = 0, tableCount = 0;  // brx.idx, in Module::branchTargets
  i32 callee = -1;
  u32 copiesBegin = 0, argumentCopies = 0, resultCopies = 0;  // in Module::copies
};

}  // namespace ptx
