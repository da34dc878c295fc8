// Turns the text of one instruction into an Instruction: mnemonic, modifiers, operands, handler.
#pragma once

#include "scope.hpp"
#include "token_stream.hpp"

namespace ptx {

Type typeFromName(std::string const& name);  // Type::None if it is not a type

// How an opcode's operands are written.
enum class Form : u8 {
  Values,      // dst, src... (arity sources)
  Sources,     // src... only
  PairValues,  // dst|dst2, src... (dst2 optional)
  Load,
  Store,
  Atomic,
  Reduce,
  Move,
  Branch,
  IndexedBranch,
  Call,
  Barrier,
  CopyAsync,
  Matrix,
  Ignore,
};

struct Mnemonic {
  Opcode op;
  Form form;
  u8 arity = 0;
};

// Looks up an opcode name and applies all modifiers. Returns false if any of it is unknown.
bool decodeMnemonic(std::string const& text, Mnemonic& mnemonic, Instruction& instruction);

class Decoder {
 public:
  Decoder(Module& module, TokenStream& tokens, Scopes& scopes) : module_(module), tokens_(tokens), scopes_(scopes) {}

  void beginFunction(Function& function, FrameBuilder& frame);
  void endFunction();
  void instruction();
  void label();
  void locDirective();
  void linkCalls();

 private:
  void operands(Instruction& in, Mnemonic const& mnemonic);
  void move(Instruction& in);
  void call();
  void barrier(Instruction& in);
  void matrix(Instruction& in);

  static std::unordered_map<std::string, Special> const& specialRegisters();
  Slot source(Type type, bool* negated = nullptr, u8* bytes = nullptr);
  Slot destination(Type type, bool mayBeWider = false, u8* bytes = nullptr);
  void list(Instruction& in, Type element, bool isDestination);
  void appendListItem(Instruction& in, Type element, bool isDestination);
  Address address(Space& space);
  u64 symbolAddress(Variable const& variable);
  u64 immediateBits(Type type);
  std::string labelName() { return tokens_.take().text; }

  Module& module_;
  TokenStream& tokens_;
  Scopes& scopes_;
  Function* function_ = nullptr;
  FrameBuilder* frame_ = nullptr;
  std::unordered_map<std::string, i32> labels_;
  std::unordered_map<std::string, std::vector<std::string>> labelTables_;
  std::vector<std::pair<u32, std::string>> pendingBranches_, pendingTables_;
  struct PendingCall {
    u32 at;
    std::string callee;
    i32 caller;
    std::vector<u32> arguments, results;
  };
  std::vector<PendingCall> pendingCalls_;
  int file_ = 0, sourceLine_ = 0, innerFile_ = 0, innerLine_ = 0;
};

}  // namespace ptx
