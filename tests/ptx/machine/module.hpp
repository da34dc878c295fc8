// A PTX module after parsing: decoded code, functions with their storage layout, and module-scope variables.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "instruction.hpp"

namespace ptx {

// Shared-memory addresses start above zero so that a null pointer is never a valid one. Dynamic shared memory has its
// own range, the same for every kernel, so `extern __shared__` symbols are constants even inside device functions.
inline constexpr u64 kSharedBase = 1024;
inline constexpr u64 kDynamicSharedBase = 1u << 20;
// Gap of unaddressable bytes after each shared variable. No access is wider than this, so none can jump it.
inline constexpr u64 kRedZone = 16;
// Module-scope variables live at addresses that no host pointer can have.
inline constexpr u64 kModuleAddressBase = 0x0c00'0000'0000'0000;
inline constexpr u64 kModuleAddressStride = u64{1} << 36;

enum class Special : u8 {
  TidX,
  TidY,
  TidZ,
  NtidX,
  NtidY,
  NtidZ,
  CtaidX,
  CtaidY,
  CtaidZ,
  NctaidX,
  NctaidY,
  NctaidZ,
  Laneid,
  Warpid,
  Nwarpid,
  MaskEq,
  MaskLe,
  MaskLt,
  MaskGe,
  MaskGt,
  Smid,
  Nsmid,
  Gridid,
  DynamicSharedSize,
  TotalSharedSize,
  Zero,
  Clock,
};

struct Variable {
  std::string name;
  Space space = Space::Global;
  Type type = Type::B8;
  u64 alignment = 1, size = 0;
  u64 offset = 0;          // within its space; for Global and Const the full device address
  bool dynamic = false;    // extern __shared__ array of unknown size
  bool callParam = false;  // .param of a device function or call site: per-lane storage
  std::vector<u8> initial;
  std::vector<std::pair<u64, std::string>> relocations;  // (byte in initial, symbol)
};

struct Function {
  std::string name;
  bool isEntry = false;
  u32 begin = 0, end = 0;  // range in Module::code
  std::vector<Variable> params, results;
  u64 paramBytes = 0;
  u32 maxThreads = 0;  // from .maxntid or .reqntid, 0 if absent

  // Register frame: byte range in the module-wide numbering. A kernel's warps allocate the span of the kernel's and its
  // callees' frames. Immediates and special registers own slots in the frame and are filled in before execution.
  struct Immediate {
    Slot slot;
    u8 bytes;
    u64 bits;
  };
  struct SpecialSlot {
    Slot slot;
    u8 bytes;
    Special which;
  };
  u32 frameBegin = 0, frameEnd = 0;
  std::vector<Immediate> immediates;
  std::vector<SpecialSlot> specials;
  u32 registers = 0;

  std::vector<std::pair<u64, u64>> sharedRanges;  // [begin, end) of static shared variables it can address
  u64 sharedEnd = kSharedBase;                    // end of the static shared layout
  u64 staticSharedBytes = 0;                      // what the variables it uses add up to (for launch limits)
  std::vector<i32> callees;                       // transitive, once linked
  std::vector<std::string> sharedUses;            // module-scope shared variables it names
};

struct SourceLine {
  int line = 0;  // in the PTX text
  int file = 0;  // .loc information, 0 if none; of inlined code where it was inlined into
  int sourceLine = 0;
  int innerFile = 0, innerLine = 0;  // where the code was written
  std::string text;
};

// Bytes moved between per-lane call-parameter areas when a call is made or returns.
struct ParamCopy {
  u32 from, to, bytes;
};

struct Module {
  std::vector<Instruction> code;
  std::vector<SourceLine> source;  // parallel to code
  std::vector<ListItem> lists;
  std::vector<i32> branchTargets;
  std::vector<ParamCopy> copies;
  std::vector<Function> functions;
  std::unordered_map<std::string, i32> functionIndex;
  std::unordered_map<std::string, Variable> variables;
  std::unordered_map<int, std::string> files;
  std::string version, target;
  u64 globalBase = 0;       // device address of `globals`
  std::vector<u8> globals;  // backing store of module-scope .global and .const variables
  u64 localBytes = 0;       // per-lane local memory: all frames, call parameters included

  Function const* findKernel(std::string const& name) const {
    auto it = functionIndex.find(name);
    return it != functionIndex.end() && functions[it->second].isEntry ? &functions[it->second] : nullptr;
  }
};

// Parses PTX text. Instructions that are not understood are kept as Opcode::Unsupported and fail only if executed.
std::unique_ptr<Module> parseModule(std::string const& text);

}  // namespace ptx
