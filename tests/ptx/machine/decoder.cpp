#include "decoder.hpp"

#include <algorithm>

#include "ops.hpp"

namespace ptx {
namespace {

Type doubled(Type t) {
  switch (t) {
    case Type::U16:
      return Type::U32;
    case Type::S16:
      return Type::S32;
    case Type::U32:
      return Type::U64;
    case Type::S32:
      return Type::S64;
    default:
      return t;
  }
}

Type destinationType(Instruction const& in) {
  switch (in.op) {
    case Opcode::Mul:
    case Opcode::Mad:
      return in.wide ? doubled(in.type) : in.type;
    case Opcode::Popc:
    case Opcode::Clz:
    case Opcode::Bfind:
    case Opcode::Match:
    case Opcode::Elect:
    case Opcode::Activemask:
    case Opcode::Fns:
      return Type::B32;
    case Opcode::Setp:
    case Opcode::Testp:
    case Opcode::Isspacep:
      return Type::Pred;
    default:
      return in.type;
  }
}

Type sourceType(Instruction const& in, int index) {
  switch (in.op) {
    case Opcode::Shl:
    case Opcode::Shr:
      return index == 1 ? Type::U32 : in.type;
    case Opcode::Mad:
      return index == 2 && in.wide ? doubled(in.type) : in.type;
    case Opcode::Bfe:
      return index >= 1 ? Type::U32 : in.type;
    case Opcode::Bfi:
      return index >= 2 ? Type::U32 : in.type;
    case Opcode::Selp:
      return index == 2 ? Type::Pred : in.type;
    case Opcode::Slct:
      return index == 2 ? in.sourceType : in.type;
    case Opcode::Setp:
      return index == 2 ? Type::Pred : in.type;
    case Opcode::Set:
      return index == 2 ? Type::Pred : in.sourceType;
    case Opcode::Cvt:
      return in.sourceType;
    case Opcode::Vote:
      return Type::Pred;
    case Opcode::Shfl:
    case Opcode::Dp4a:
    case Opcode::Dp2a:
    case Opcode::Fns:
      return Type::B32;
    case Opcode::Isspacep:
      return Type::U64;
    default:
      return in.type;
  }
}

bool takesMemberMask(Opcode op) {
  return op == Opcode::Shfl || op == Opcode::Vote || op == Opcode::Match || op == Opcode::Redux || op == Opcode::Elect;
}

}  // namespace

void Decoder::beginFunction(Function& function, FrameBuilder& frame) {
  function_ = &function;
  frame_ = &frame;
  labels_.clear();
  labelTables_.clear();
}

void Decoder::endFunction() {
  Instruction end;  // falling off the end of a body returns
  end.op = function_->isEntry ? Opcode::Exit : Opcode::Ret;
  module_.code.push_back(end);
  module_.source.push_back({tokens_.peek().line, 0, 0, 0, 0, "(end of " + function_->name + ")"});
  auto resolve = [&](std::string const& name) {
    auto it = labels_.find(name);
    if (it == labels_.end()) throw Error(Fault::Syntax, "undefined label " + name + " in function " + function_->name);
    return it->second;
  };
  for (auto& [at, name] : pendingBranches_) module_.code[at].target = resolve(name);
  for (auto& [at, name] : pendingTables_) {
    Instruction& in = module_.code[at];
    in.tableBegin = u32(module_.branchTargets.size());
    for (std::string const& entry : labelTables_[name]) module_.branchTargets.push_back(resolve(entry));
    in.tableCount = u32(module_.branchTargets.size()) - in.tableBegin;
  }
  pendingBranches_.clear();
  pendingTables_.clear();
}

void Decoder::label() {
  std::string const name = tokens_.take().text;
  tokens_.expect(":");
  if (tokens_.accept(".branchtargets")) {
    while (!tokens_.accept(";"))
      if (!tokens_.accept(",")) labelTables_[name].push_back(tokens_.take().text);
  } else if (tokens_.is(".callprototype") || tokens_.is(".calltargets")) {
    tokens_.skipPast(";");
  } else {
    labels_[name] = i32(module_.code.size());
  }
}

void Decoder::locDirective() {
  int const directiveLine = tokens_.take().line;
  file_ = int(tokens_.number().bits);
  sourceLine_ = int(tokens_.number().bits);
  innerFile_ = file_;
  innerLine_ = sourceLine_;
  while (tokens_.peek().line == directiveLine && !tokens_.isKind(TokenKind::End)) {
    if (tokens_.take().text != "inlined_at") continue;
    file_ = int(tokens_.number().bits);  // the caller's line says more than one inside a library header
    sourceLine_ = int(tokens_.number().bits);
  }
}

void Decoder::instruction() {
  size_t const begin = tokens_.position();
  int const line = tokens_.peek().line;
  Instruction in;
  if (tokens_.accept("@")) {
    in.guardNegated = tokens_.accept("!");
    Register const* guard = scopes_.findRegister(tokens_.take().text);
    if (!guard || guard->type != Type::Pred) tokens_.fail("bad guard predicate");
    in.guard = guard->slot;
  }
  size_t const opcodeAt = tokens_.position();
  Mnemonic mnemonic{Opcode::Unsupported, Form::Ignore};
  Instruction guardOnly = in;
  bool supported = decodeMnemonic(tokens_.take().text, mnemonic, in);
  if (supported) {
    try {
      operands(in, mnemonic);
      if (in.listCount == 1) in.srcBytes = module_.lists[in.listBegin].bytes;
      in.run = selectHandler(in);
      supported = in.run || isControlFlow(in.op);
    } catch (Error const& error) {
      if (error.fault != Fault::Unsupported) throw;
      supported = false;
    }
  }
  if (!supported) {
    in = guardOnly;
    tokens_.rewind(opcodeAt);
    tokens_.skipPast(";");
  }
  std::string text = tokens_.textSince(begin);
  module_.code.push_back(in);
  module_.source.push_back({line, file_, sourceLine_, innerFile_, innerLine_, text});
}

void Decoder::operands(Instruction& in, Mnemonic const& mnemonic) {
  u32 const at = u32(module_.code.size());
  auto comma = [&] { tokens_.expect(","); };
  switch (mnemonic.form) {
    case Form::Ignore:
      tokens_.skipPast(";");
      return;
    case Form::Move:
      move(in);
      break;
    case Form::Call:
      call();
      return;
    case Form::Barrier:
      if (in.op == Opcode::BarWarp)
        in.member = source(Type::U32);
      else
        barrier(in);
      break;
    case Form::Branch:
      pendingBranches_.push_back({at, labelName()});
      break;
    case Form::IndexedBranch:
      in.src[0] = source(Type::U32);
      comma();
      pendingTables_.push_back({at, labelName()});
      break;
    case Form::Load:
      if (tokens_.is("{"))
        list(in, in.type, true);
      else
        appendListItem(in, in.type, true);
      comma();
      in.address = address(in.space);
      if (in.space == Space::KernelParam && in.address.base == kNoSlot) in.op = Opcode::LdKernelParam;
      break;
    case Form::Store:
      in.address = address(in.space);
      comma();
      if (tokens_.is("{"))
        list(in, in.type, false);
      else
        appendListItem(in, in.type, false);
      break;
    case Form::Atomic:
    case Form::Reduce:
      if (tokens_.is("{")) throw Error(Fault::Unsupported, "vector atomic");
      if (mnemonic.form == Form::Atomic) {
        in.dst = destination(in.type);
        comma();
      }
      in.address = address(in.space);
      comma();
      in.src[0] = source(in.type);
      if (in.atomic == AtomicOp::Cas) {
        comma();
        in.src[1] = source(in.type);
      }
      break;
    case Form::CopyAsync:
      in.address = address(in.space);
      comma();
      in.space = Space::Global;
      in.address2 = address(in.space);
      comma();
      in.immediate = u32(tokens_.number().bits);
      if (tokens_.accept(",")) in.src[0] = source(Type::U32);
      break;
    case Form::Matrix:
      matrix(in);
      break;
    case Form::Values:
    case Form::Sources:
    case Form::PairValues: {
      int arity = mnemonic.arity;
      if (in.op == Opcode::Cvt && isPackedHalf(in.type) && in.sourceType == Type::F32) arity = 2;
      if (in.logic != Logic::None) arity = 3;
      bool first = true;
      auto separator = [&] {
        if (!first) comma();
        first = false;
      };
      if (mnemonic.form != Form::Sources) {
        separator();
        in.dst = destination(destinationType(in), in.op == Opcode::Cvt, &in.dstBytes);
        if (mnemonic.form == Form::PairValues && tokens_.accept("|")) in.dst2 = destination(Type::Pred);
      }
      if (in.op == Opcode::Lop3) {
        for (int i = 0; i < 3; ++i) {
          separator();
          in.src[i] = source(Type::B32);
        }
        separator();
        in.logicTable = u8(tokens_.number().bits);
      } else {
        for (int i = 0; i < arity; ++i) {
          separator();
          in.src[i] =
              source(sourceType(in, i), &in.negated[i], in.op == Opcode::Cvt && i == 0 ? &in.srcBytes : nullptr);
        }
      }
      if (takesMemberMask(in.op)) {
        separator();
        in.member = source(Type::U32);
      }
      break;
    }
  }
  tokens_.expect(";");
}

void Decoder::move(Instruction& in) {
  if (tokens_.is("{")) {
    in.op = Opcode::MovUnpack;
    list(in, Type::None, true);
    tokens_.expect(",");
    in.src[0] = source(in.type);
    return;
  }
  in.dst = destination(in.type);
  tokens_.expect(",");
  if (tokens_.is("{")) {
    in.op = Opcode::MovPack;
    list(in, Type::None, false);
    return;
  }
  if (auto it = specialRegisters().find(tokens_.peek().text);
      it != specialRegisters().end() && it->second == Special::Clock) {
    tokens_.take();
    in.op = Opcode::ReadClock;
    return;
  }
  in.src[0] = source(in.type, &in.negated[0]);
}

// bar.sync a{, count};  bar.red.op d, a{, count}, predicate;
void Decoder::barrier(Instruction& in) {
  bool const reduces = in.bar >= BarMode::RedPopc;
  if (reduces) {
    in.dst = destination(in.bar == BarMode::RedPopc ? Type::U32 : Type::Pred);
    tokens_.expect(",");
  }
  in.src[0] = source(Type::U32);
  // A thread count may come next; a reduction ends with a predicate.
  while (tokens_.accept(",")) {
    Register const* reg = scopes_.findRegister(tokens_.peek().text);
    if (reduces && (tokens_.is("!") || (reg && reg->type == Type::Pred)))
      in.src[2] = source(Type::Pred, &in.negated[2]);
    else
      in.src[1] = source(Type::U32);
  }
}

// call{.uni} (results), function, (arguments) [, prototype];
void Decoder::call() {
  PendingCall pending;
  pending.at = u32(module_.code.size());
  pending.caller = i32(module_.functions.size());
  auto parameters = [&](std::vector<u32>& offsets) {
    while (!tokens_.accept(")")) {
      if (tokens_.accept(",")) continue;
      Variable const* v = scopes_.findVariable(tokens_.take().text);
      if (!v || !v->callParam) tokens_.fail("call parameters must be .param variables");
      offsets.push_back(u32(v->offset));
    }
  };
  if (tokens_.accept("(")) {
    parameters(pending.results);
    tokens_.expect(",");
  }
  pending.callee = tokens_.take().text;
  if (tokens_.accept(",") && tokens_.accept("(")) parameters(pending.arguments);
  tokens_.skipPast(";");
  pendingCalls_.push_back(std::move(pending));
}

void Decoder::linkCalls() {
  for (PendingCall const& pending : pendingCalls_) {
    Instruction& in = module_.code[pending.at];
    auto it = module_.functionIndex.find(pending.callee);
    if (it == module_.functionIndex.end()) continue;  // reported if executed
    in.callee = it->second;
    Function const& callee = module_.functions[in.callee];
    std::vector<i32>& callees = module_.functions[pending.caller].callees;
    if (std::find(callees.begin(), callees.end(), in.callee) == callees.end()) callees.push_back(in.callee);
    if (pending.arguments.size() != callee.params.size() || pending.results.size() != callee.results.size())
      throw Error(Fault::Syntax, "call of " + pending.callee + " with the wrong number of parameters");
    in.copiesBegin = u32(module_.copies.size());
    for (size_t i = 0; i < callee.params.size(); ++i)
      module_.copies.push_back({pending.arguments[i], u32(callee.params[i].offset), u32(callee.params[i].size)});
    for (size_t i = 0; i < callee.results.size(); ++i)
      module_.copies.push_back({u32(callee.results[i].offset), pending.results[i], u32(callee.results[i].size)});
    in.argumentCopies = u32(callee.params.size());
    in.resultCopies = u32(callee.results.size());
  }
}

// Four register lists: D, A, B, C. They are stored one after the other; `immediate` keeps the length of A.
void Decoder::matrix(Instruction& in) {
  for (int i = 0; i < 4; ++i) {
    if (i) tokens_.expect(",");
    u32 const before = in.listCount;
    list(in, Type::None, i == 0);
    if (i == 0) in.vectorSize = u8(in.listCount);
    if (i == 1) in.immediate = in.listCount - before;
  }
}

}  // namespace ptx
