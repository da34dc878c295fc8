// Nested name scopes of PTX registers and variables, and allocation of register slots.
#pragma once

#include <map>

#include "module.hpp"

namespace ptx {

struct Register {
  Slot slot = kNoSlot;
  Type type = Type::None;
};

class Scopes {
 public:
  void push() { levels_.emplace_back(); }
  void pop() { levels_.pop_back(); }

  Register const* findRegister(std::string const& name) const {
    for (auto level = levels_.rbegin(); level != levels_.rend(); ++level)
      if (auto it = level->registers.find(name); it != level->registers.end()) return &it->second;
    return nullptr;
  }
  Variable const* findVariable(std::string const& name) const {
    for (auto level = levels_.rbegin(); level != levels_.rend(); ++level)
      if (auto it = level->variables.find(name); it != level->variables.end()) return &it->second;
    return nullptr;
  }
  void add(std::string const& name, Register reg) { levels_.back().registers[name] = reg; }
  void add(Variable const& variable) { levels_.back().variables[variable.name] = variable; }

 private:
  struct Level {
    std::unordered_map<std::string, Register> registers;
    std::unordered_map<std::string, Variable> variables;
  };
  std::vector<Level> levels_;
};

// Hands out slots of one function's register frame. Registers are lane-contiguous arrays of their own width.
class FrameBuilder {
 public:
  explicit FrameBuilder(Function& function, u32 begin) : function_(function), next_(begin) {
    function_.frameBegin = begin;
  }

  Slot allocate(Type type) {
    u32 const alignment = type == Type::Pred ? 4 : 64;  // whole vectors never straddle a cache line needlessly
    u32 const bytes = type == Type::Pred ? 4 : u32(sizeOf(type)) * kWarpSize;
    next_ = u32(alignUp(next_, alignment));
    Slot const slot = Slot(next_);
    next_ += bytes;
    function_.frameEnd = next_;
    return slot;
  }
  Slot immediate(u8 bytes, u64 bits) {
    if (bytes < 8) bits &= (u64{1} << (8 * bytes)) - 1;
    auto [it, isNew] = immediates_.try_emplace({bytes, bits}, kNoSlot);
    if (isNew) {
      it->second = allocate(typeOfWidth(bytes));
      function_.immediates.push_back({it->second, bytes, bits});
    }
    return it->second;
  }
  // A predicate constant: its slot is one lane mask.
  Slot predicateImmediate(bool value) {
    Slot const slot = allocate(Type::Pred);
    function_.immediates.push_back({slot, 0, value ? u64{kAllLanes} : 0});
    return slot;
  }
  Slot special(Special which, u8 bytes) {
    auto [it, isNew] = specials_.try_emplace({which, bytes}, kNoSlot);
    if (isNew) {
      it->second = allocate(typeOfWidth(bytes));
      function_.specials.push_back({it->second, bytes, which});
    }
    return it->second;
  }
  // Destination of results that are discarded with '_'.
  Slot discard() {
    if (discard_ == kNoSlot) discard_ = allocate(Type::B64);
    return discard_;
  }

 private:
  static Type typeOfWidth(u8 bytes) {
    return bytes == 1 ? Type::B8 : bytes == 2 ? Type::B16 : bytes == 4 ? Type::B32 : Type::B64;
  }
  Function& function_;
  u32 next_;
  Slot discard_ = kNoSlot;
  std::map<std::pair<u8, u64>, Slot> immediates_;
  std::map<std::pair<Special, u8>, Slot> specials_;
};

}  // namespace ptx
