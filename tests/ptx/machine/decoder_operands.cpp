// Operands of an instruction: registers, immediates, symbols, {lists} and [addresses].
#include <algorithm>

#include "decoder.hpp"

namespace ptx {

std::unordered_map<std::string, Special> const& Decoder::specialRegisters() {
  using S = Special;
  // Never destroyed, as the tables in mnemonic.cpp.
  static auto const& table = *new std::unordered_map<std::string, Special> const{
      {"%tid.x", S::TidX},
      {"%tid.y", S::TidY},
      {"%tid.z", S::TidZ},
      {"%ntid.x", S::NtidX},
      {"%ntid.y", S::NtidY},
      {"%ntid.z", S::NtidZ},
      {"%ctaid.x", S::CtaidX},
      {"%ctaid.y", S::CtaidY},
      {"%ctaid.z", S::CtaidZ},
      {"%nctaid.x", S::NctaidX},
      {"%nctaid.y", S::NctaidY},
      {"%nctaid.z", S::NctaidZ},
      {"%laneid", S::Laneid},
      {"%warpid", S::Warpid},
      {"%nwarpid", S::Nwarpid},
      {"%lanemask_eq", S::MaskEq},
      {"%lanemask_le", S::MaskLe},
      {"%lanemask_lt", S::MaskLt},
      {"%lanemask_ge", S::MaskGe},
      {"%lanemask_gt", S::MaskGt},
      {"%smid", S::Smid},
      {"%nsmid", S::Nsmid},
      {"%gridid", S::Gridid},
      {"%dynamic_smem_size", S::DynamicSharedSize},
      {"%total_smem_size", S::TotalSharedSize},
      {"%clock", S::Clock},
      {"%clock64", S::Clock},
      {"%clock_hi", S::Zero},
      {"%globaltimer", S::Clock},
      {"%globaltimer_lo", S::Clock},
      {"%globaltimer_hi", S::Zero},
      // A launch without clusters is a grid of one-block clusters.
      {"%cluster_ctarank", S::Zero},
      {"%cluster_ctaid.x", S::Zero},
      {"%is_explicit_cluster", S::Zero}};
  return table;
}

u64 Decoder::symbolAddress(Variable const& v) {
  if (v.space == Space::Shared && module_.variables.contains(v.name)) {
    auto& uses = function_->sharedUses;
    if (std::find(uses.begin(), uses.end(), v.name) == uses.end()) uses.push_back(v.name);
  }
  return v.offset;
}

u64 Decoder::immediateBits(Type type) {
  bool const negative = tokens_.accept("-");
  Number const number = tokens_.number();
  if (number.kind == NumberKind::Integer) return negative ? -number.bits : number.bits;
  if (number.kind == NumberKind::Float32Bits && sizeOf(type) == 8)
    return std::bit_cast<u64>((negative ? -1.0 : 1.0) * std::bit_cast<float>(u32(number.bits)));
  if (number.kind == NumberKind::Float64Bits && sizeOf(type) == 4)
    return std::bit_cast<u32>((negative ? -1.0f : 1.0f) * float(std::bit_cast<double>(number.bits)));
  u64 const signBit = number.kind == NumberKind::Float32Bits ? u64{1} << 31 : u64{1} << 63;
  return negative ? number.bits ^ signBit : number.bits;
}

// Returns the slot of a source operand. With `bytes`, a register wider than the type is allowed and its width reported.
Slot Decoder::source(Type type, bool* negated, u8* bytes) {
  if (tokens_.accept("!")) {
    if (!negated) tokens_.fail("unexpected '!'");
    *negated = true;
  }
  u8 const width = u8(sizeOf(type));
  if (bytes) *bytes = width;
  if (tokens_.isKind(TokenKind::Number) || tokens_.is("-")) {
    if (type == Type::Pred) return frame_->predicateImmediate(tokens_.signedInteger() != 0);
    return frame_->immediate(width, immediateBits(type));
  }
  std::string const name = tokens_.take().text;
  if (Register const* reg = scopes_.findRegister(name)) {
    int const actual = sizeOf(reg->type);
    if ((reg->type == Type::Pred) != (type == Type::Pred) || actual < width || (actual > width && !bytes))
      tokens_.fail("register " + name + " does not fit the operand's type");
    if (bytes) *bytes = u8(actual);
    return reg->slot;
  }
  if (auto special = specialRegisters().find(name); special != specialRegisters().end())
    return frame_->special(special->second, width);
  if (name == "WARP_SZ") return frame_->immediate(width, kWarpSize);
  if (Variable const* v = scopes_.findVariable(name)) {
    u64 value = symbolAddress(*v);
    if (tokens_.accept("+")) value += u64(tokens_.signedInteger());
    return frame_->immediate(width, value);
  }
  throw Error(Fault::Unsupported, "operand " + name);
}

Slot Decoder::destination(Type type, bool mayBeWider, u8* bytes) {
  if (bytes) *bytes = u8(sizeOf(type));
  std::string const name = tokens_.take().text;
  if (name == "_") return frame_->discard();
  Register const* reg = scopes_.findRegister(name);
  if (!reg) tokens_.fail("unknown register " + name);
  int const actual = sizeOf(reg->type), width = sizeOf(type);
  if ((reg->type == Type::Pred) != (type == Type::Pred) || actual < width || (actual > width && !mayBeWider))
    tokens_.fail("register " + name + " does not fit the result's type");
  if (bytes) *bytes = u8(actual);
  return reg->slot;
}

void Decoder::list(Instruction& in, Type element, bool isDestination) {
  tokens_.expect("{");
  while (!tokens_.accept("}"))
    if (!tokens_.accept(",")) appendListItem(in, element, isDestination);
}

// Elements of memory operands may be registers wider than the element; mov and mma (Type::None) take any register.
void Decoder::appendListItem(Instruction& in, Type element, bool isDestination) {
  if (in.listCount == 0) in.listBegin = u32(module_.lists.size());
  ListItem item;
  Register const* reg = scopes_.findRegister(tokens_.peek().text);
  if (element == Type::None && reg) {
    item = {reg->slot, u8(sizeOf(reg->type))};
    tokens_.take();
  } else if (isDestination)
    item.slot = destination(element == Type::None ? Type::B64 : element, true, &item.bytes);
  else
    item.slot = source(element == Type::None ? Type::B32 : element, nullptr, &item.bytes);
  module_.lists.push_back(item);
  ++in.listCount;
}

Address Decoder::address(Space& space) {
  Address a;
  tokens_.expect("[");
  if (tokens_.isKind(TokenKind::Number)) {
    a.offset = i64(tokens_.number().bits);
  } else {
    std::string const name = tokens_.take().text;
    if (Register const* reg = scopes_.findRegister(name)) {
      a.base = reg->slot;
      a.baseBytes = u8(sizeOf(reg->type));
    } else if (Variable const* v = scopes_.findVariable(name)) {
      a.offset = i64(symbolAddress(*v));
      if (v->callParam)
        space = Space::Local;
      else if (space == Space::Generic)
        space = v->space;
    } else {
      tokens_.fail("unknown symbol " + name);
    }
  }
  while (!tokens_.accept("]")) {
    if (tokens_.accept("+") || tokens_.is("-"))
      a.offset += tokens_.signedInteger();
    else
      throw Error(Fault::Unsupported, "address with a cache policy or coordinates");
  }
  return a;
}

}  // namespace ptx
