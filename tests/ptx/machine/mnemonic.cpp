// The table of opcodes and the meaning of every modifier that may follow one.
#include <algorithm>
#include <sstream>

#include "decoder.hpp"

namespace ptx {

// Tables are never destroyed: reports at exit may decode a module that nobody has used before, and what is built after
// the reports were registered would be gone by then.

Type typeFromName(std::string const& name) {
  static auto const& types = *new std::unordered_map<std::string, Type> const{
      {"pred", Type::Pred}, {"b8", Type::B8},   {"b16", Type::B16},     {"b32", Type::B32},       {"b64", Type::B64},
      {"u8", Type::U8},     {"u16", Type::U16}, {"u32", Type::U32},     {"u64", Type::U64},       {"s8", Type::S8},
      {"s16", Type::S16},   {"s32", Type::S32}, {"s64", Type::S64},     {"f16", Type::F16},       {"bf16", Type::BF16},
      {"f32", Type::F32},   {"f64", Type::F64}, {"f16x2", Type::F16x2}, {"bf16x2", Type::BF16x2}, {"tf32", Type::TF32}};
  auto it = types.find(name);
  return it == types.end() ? Type::None : it->second;
}

namespace {

using O = Opcode;
using F = Form;

std::unordered_map<std::string, Mnemonic> const& opcodes() {
  static auto const& table = *new std::unordered_map<std::string, Mnemonic> const{
      {"abs", {O::Abs, F::Values, 1}},
      {"activemask", {O::Activemask, F::Values, 0}},
      {"add", {O::Add, F::Values, 2}},
      {"addc", {O::Addc, F::Values, 2}},
      {"and", {O::And, F::Values, 2}},
      {"atom", {O::Atom, F::Atomic}},
      {"bar", {O::Bar, F::Barrier}},
      {"barrier", {O::Bar, F::Barrier}},
      {"bfe", {O::Bfe, F::Values, 3}},
      {"bfi", {O::Bfi, F::Values, 4}},
      {"bfind", {O::Bfind, F::Values, 1}},
      {"bmsk", {O::Bmsk, F::Values, 2}},
      {"bra", {O::Bra, F::Branch}},
      {"brev", {O::Brev, F::Values, 1}},
      {"brx", {O::BrxIdx, F::IndexedBranch}},
      {"call", {O::Call, F::Call}},
      {"clz", {O::Clz, F::Values, 1}},
      {"cnot", {O::Cnot, F::Values, 1}},
      {"copysign", {O::Copysign, F::Values, 2}},
      {"cos", {O::Cos, F::Values, 1}},
      {"cp", {O::CpAsync, F::CopyAsync}},
      {"cvt", {O::Cvt, F::Values, 1}},
      {"cvta", {O::Cvta, F::Values, 1}},
      {"div", {O::Div, F::Values, 2}},
      {"dp2a", {O::Dp2a, F::Values, 3}},
      {"dp4a", {O::Dp4a, F::Values, 3}},
      {"elect", {O::Elect, F::PairValues, 0}},
      {"ex2", {O::Ex2, F::Values, 1}},
      {"exit", {O::Exit, F::Sources, 0}},
      {"fma", {O::Fma, F::Values, 3}},
      {"fns", {O::Fns, F::Values, 3}},
      {"isspacep", {O::Isspacep, F::Values, 1}},
      {"ld", {O::Ld, F::Load}},
      {"ldu", {O::Ld, F::Load}},
      {"lg2", {O::Lg2, F::Values, 1}},
      {"lop3", {O::Lop3, F::Values, 4}},
      {"mad", {O::Mad, F::Values, 3}},
      {"mad24", {O::Mad24, F::Values, 3}},
      {"madc", {O::Madc, F::Values, 3}},
      {"match", {O::Match, F::PairValues, 1}},
      {"max", {O::Max, F::Values, 2}},
      {"min", {O::Min, F::Values, 2}},
      {"mma", {O::Mma, F::Matrix}},
      {"mov", {O::Mov, F::Move}},
      {"mul", {O::Mul, F::Values, 2}},
      {"mul24", {O::Mul24, F::Values, 2}},
      {"neg", {O::Neg, F::Values, 1}},
      {"not", {O::Not, F::Values, 1}},
      {"or", {O::Or, F::Values, 2}},
      {"popc", {O::Popc, F::Values, 1}},
      {"prmt", {O::Prmt, F::Values, 3}},
      {"rcp", {O::Rcp, F::Values, 1}},
      {"red", {O::Red, F::Reduce}},
      {"redux", {O::Redux, F::Values, 1}},
      {"rem", {O::Rem, F::Values, 2}},
      {"ret", {O::Ret, F::Sources, 0}},
      {"rsqrt", {O::Rsqrt, F::Values, 1}},
      {"sad", {O::Sad, F::Values, 3}},
      {"selp", {O::Selp, F::Values, 3}},
      {"set", {O::Set, F::Values, 2}},
      {"setp", {O::Setp, F::PairValues, 2}},
      {"shf", {O::Shf, F::Values, 3}},
      {"shfl", {O::Shfl, F::PairValues, 3}},
      {"shl", {O::Shl, F::Values, 2}},
      {"shr", {O::Shr, F::Values, 2}},
      {"sin", {O::Sin, F::Values, 1}},
      {"slct", {O::Slct, F::Values, 3}},
      {"sqrt", {O::Sqrt, F::Values, 1}},
      {"st", {O::St, F::Store}},
      {"sub", {O::Sub, F::Values, 2}},
      {"subc", {O::Subc, F::Values, 2}},
      {"szext", {O::Szext, F::Values, 2}},
      {"tanh", {O::Tanh, F::Values, 1}},
      {"testp", {O::Testp, F::Values, 1}},
      {"trap", {O::Trap, F::Sources, 0}},
      {"vote", {O::Vote, F::Values, 1}},
      {"xor", {O::Xor, F::Values, 2}},
      // Memory is sequentially consistent, so fences matter to the race detector only.
      {"membar", {O::Fence, F::Ignore}},
      {"fence", {O::Fence, F::Ignore}},
      // There is no cache, so these change nothing.
      {"prefetch", {O::Nop, F::Ignore}},
      {"prefetchu", {O::Nop, F::Ignore}},
      {"nanosleep", {O::Nop, F::Ignore}},
      {"discard", {O::Nop, F::Ignore}},
      {"applypriority", {O::Nop, F::Ignore}},
      {"pmevent", {O::Nop, F::Ignore}},
      {"brkpt", {O::Nop, F::Ignore}},
      {"griddepcontrol", {O::Nop, F::Ignore}}};
  return table;
}

// Whether the words make an instruction strong, and order memory beyond the block.
void applyOrdering(std::vector<std::string> const& words, Instruction& in) {
  auto has = [&](std::initializer_list<char const*> names) {
    return std::any_of(words.begin() + 1, words.end(), [&](std::string const& word) {
      return std::find(names.begin(), names.end(), word) != names.end();
    });
  };
  bool const wide = has({"gpu", "sys", "gl", "cluster"}), orders = has({"acquire", "release", "acq_rel"});
  in.strong = orders || has({"volatile", "mmio", "relaxed", "mmio"});
  in.fences = in.op == O::Fence ? wide && !has({"proxy"}) : wide && orders;
}

std::vector<std::string> splitAtDots(std::string const& text) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, '.');) parts.push_back(part);
  return parts;
}

// Cache, ordering and scope hints that cannot matter here.
bool isHint(std::string const& word) {
  static char const* hints[] = {"uni",  "aligned", "volatile", "relaxed", "acquire", "release", "acq_rel",
                                "weak", "gpu",     "cta",      "sys",     "cluster", "nc",      "ca",
                                "cg",   "cs",      "cv",       "lu",      "wb",      "wt",      "L1",
                                "L2",   "noftz",   "sync",     "lo",      "full",    "unified"};
  for (char const* hint : hints)
    if (word == hint) return true;
  return word.starts_with("L1::") || word.starts_with("L2::") || word.starts_with("level::");
}

template <class E>
bool pick(std::string const& word, std::initializer_list<std::pair<char const*, E>> names, E& out) {
  for (auto& [name, value] : names)
    if (word == name) {
      out = value;
      return true;
    }
  return false;
}

bool spaceModifier(std::string const& word, Instruction& in) {
  return pick(word,
              {{"global", Space::Global},
               {"shared", Space::Shared},
               {"shared::cta", Space::Shared},
               {"local", Space::Local},
               {"param", Space::KernelParam},
               {"param::entry", Space::KernelParam},
               {"param::func", Space::KernelParam},
               {"const", Space::Const}},
              in.space);
}

bool roundingModifier(std::string const& word, Instruction& in) {
  std::string base = word;
  if (word.size() == 3 && word[0] == 'r' && word[2] == 'i') {
    base = word.substr(0, 2);
    in.roundToInteger = true;
  }
  if (!pick(base,
            {{"rn", Rounding::Nearest},
             {"rz", Rounding::Zero},
             {"rm", Rounding::Down},
             {"rp", Rounding::Up},
             {"rna", Rounding::NearestAway}},
            in.rounding))
    return false;
  in.hasRounding = true;
  return true;
}

// Modifiers whose meaning depends on the opcode. Checked before the general ones.
bool opcodeModifier(std::string const& word, Instruction& in) {
  switch (in.op) {
    case O::Setp:
    case O::Set:
      return pick(word,
                  {{"eq", Compare::Eq},
                   {"ne", Compare::Ne},
                   {"lt", Compare::Lt},
                   {"le", Compare::Le},
                   {"gt", Compare::Gt},
                   {"ge", Compare::Ge},
                   {"lo", Compare::Lt},
                   {"ls", Compare::Le},
                   {"hi", Compare::Gt},
                   {"hs", Compare::Ge},
                   {"equ", Compare::Equ},
                   {"neu", Compare::Neu},
                   {"ltu", Compare::Ltu},
                   {"leu", Compare::Leu},
                   {"gtu", Compare::Gtu},
                   {"geu", Compare::Geu},
                   {"num", Compare::Num},
                   {"nan", Compare::Nan}},
                  in.compare) ||
             pick(word, {{"and", Logic::And}, {"or", Logic::Or}, {"xor", Logic::Xor}}, in.logic);
    case O::Atom:
    case O::Red:
    case O::Redux:
      return pick(word,
                  {{"add", AtomicOp::Add},
                   {"min", AtomicOp::Min},
                   {"max", AtomicOp::Max},
                   {"and", AtomicOp::And},
                   {"or", AtomicOp::Or},
                   {"xor", AtomicOp::Xor},
                   {"inc", AtomicOp::Inc},
                   {"dec", AtomicOp::Dec},
                   {"exch", AtomicOp::Exch},
                   {"cas", AtomicOp::Cas}},
                  in.atomic);
    case O::Shfl:
      return pick(word,
                  {{"up", ShflMode::Up}, {"down", ShflMode::Down}, {"bfly", ShflMode::Bfly}, {"idx", ShflMode::Idx}},
                  in.shfl);
    case O::Vote:
      return pick(
          word, {{"all", VoteMode::All}, {"any", VoteMode::Any}, {"uni", VoteMode::Uni}, {"ballot", VoteMode::Ballot}},
          in.vote);
    case O::Match:
      if (word == "all") return in.modeAll = true;
      return word == "any";
    case O::Bar:
      if (word == "warp") {
        in.op = O::BarWarp;
        return true;
      }
      return word == "sync" || word == "red" ||
             pick(word,
                  {{"arrive", BarMode::Arrive},
                   {"popc", BarMode::RedPopc},
                   {"and", BarMode::RedAnd},
                   {"or", BarMode::RedOr}},
                  in.bar);
    case O::Testp:
      return pick(word,
                  {{"finite", TestKind::Finite},
                   {"infinite", TestKind::Infinite},
                   {"number", TestKind::Number},
                   {"notanumber", TestKind::NotANumber},
                   {"normal", TestKind::Normal},
                   {"subnormal", TestKind::Subnormal}},
                  in.test);
    case O::Prmt:
      return pick(word,
                  {{"f4e", PrmtMode::F4e},
                   {"b4e", PrmtMode::B4e},
                   {"rc8", PrmtMode::Rc8},
                   {"ecl", PrmtMode::Ecl},
                   {"ecr", PrmtMode::Ecr},
                   {"rc16", PrmtMode::Rc16}},
                  in.prmt);
    case O::Mul:
    case O::Mad:
    case O::Madc:
    case O::Mul24:
    case O::Mad24:
    case O::Dp2a:
      if (word == "hi") return in.high = true;
      if (word == "wide") return in.wide = true;
      return word == "lo";
    case O::Shf:
      if (word == "l") return in.left = true;
      if (word == "r") return true;
      [[fallthrough]];
    case O::Bmsk:
    case O::Szext:
      if (word == "wrap") return in.wrap = true;
      return word == "clamp";
    case O::Bfind:
      if (word == "shiftamt") return in.shiftAmount = true;
      return false;
    case O::Cvta:
      if (word == "to") return in.toSpace = true;
      return false;
    case O::BrxIdx:
      return word == "idx";
    case O::CpAsync:
      return word == "async" || word == "ca" || word == "cg";
    case O::Cvt:
      if (word == "pack") {
        in.op = O::CvtPack;
        return true;
      }
      return false;
    case O::Mma:
      return word == "m16n8k8" || word == "m16n8k16" || word == "row" || word == "col" || word == "sync" ||
             word == "aligned";
    default:
      return false;
  }
}

bool generalModifier(std::string const& word, Instruction& in) {
  if (spaceModifier(word, in) || roundingModifier(word, in)) return true;
  if (word == "ftz") return in.ftz = true;
  if (word == "sat" || word == "satfinite") return in.saturate = true;
  if (word == "approx") return in.approximate = true;
  if (word == "full") return in.approximate = true;
  if (word == "cc") return in.setsCarry = true;
  if (word == "NaN") return in.nanPropagates = true;
  if (word == "relu") return in.relu = true;
  if (word == "v2") {
    in.vectorSize = 2;
    return true;
  }
  if (word == "v4") {
    in.vectorSize = 4;
    return true;
  }
  if (word == "v8") {
    in.vectorSize = 8;
    return true;
  }
  return isHint(word);
}

}  // namespace

bool decodeMnemonic(std::string const& text, Mnemonic& mnemonic, Instruction& in) {
  std::vector<std::string> const parts = splitAtDots(text);
  auto entry = opcodes().find(parts[0]);
  if (entry == opcodes().end()) return false;
  mnemonic = entry->second;
  in.op = mnemonic.op;
  if (parts[0] == "cp") {
    if (parts.size() < 2 || parts[1] != "async") return false;
    if (parts.size() > 2 && (parts[2] == "commit_group" || parts[2] == "wait_group" || parts[2] == "wait_all")) {
      mnemonic = {O::Nop, F::Ignore};  // copies complete at once
      in.op = O::Nop;
      return true;
    }
  }
  // Cluster barriers, mbarrier forms and the like share a first word with simpler operations.
  if (parts.size() > 1 && (parts[1] == "cluster" || parts[1] == "bulk" || parts[1] == "mbarrier")) return false;
  applyOrdering(parts, in);
  if (in.op == O::Nop || in.op == O::Fence) return true;
  in.unaligned = parts[0] == "barrier" && text.find(".aligned") == std::string::npos;
  bool known = true;
  for (size_t i = 1; i < parts.size(); ++i) {
    if (Type type = typeFromName(parts[i]); type != Type::None) {
      if (in.type == Type::None)
        in.type = type;
      else if (in.sourceType == Type::None)
        in.sourceType = type;  // mma names two more, which follow from these
      continue;
    }
    known &= opcodeModifier(parts[i], in) || generalModifier(parts[i], in);
  }
  if (in.op == O::Addc || in.op == O::Subc || in.op == O::Madc) in.usesCarry = true;
  return known;
}

}  // namespace ptx
