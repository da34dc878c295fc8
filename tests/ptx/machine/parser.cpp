// Module-level parsing: directives, variables, functions. Instructions are handed to the Decoder.
#include <atomic>

#include "decoder.hpp"

namespace ptx {
namespace {

std::atomic<u64> g_nextModule{0};

class Parser {
 public:
  explicit Parser(std::string const& text)
      : module_(std::make_unique<Module>()), tokens_(tokenize(text)), decoder_(*module_, tokens_, scopes_) {
    module_->globalBase = kModuleAddressBase + kModuleAddressStride * g_nextModule++;
  }

  std::unique_ptr<Module> parse() {
    scopes_.push();
    while (!tokens_.isKind(TokenKind::End)) moduleStatement();
    link();
    return std::move(module_);
  }

 private:
  void moduleStatement() {
    std::string const word = tokens_.peek().text;
    if (word == ".version") {
      tokens_.take();
      module_->version = tokens_.take().text;
    } else if (word == ".target") {
      tokens_.take();
      module_->target = tokens_.take().text;
      while (tokens_.accept(",")) tokens_.take();
    } else if (word == ".address_size") {
      tokens_.take();
      tokens_.take();
    } else if (word == ".visible" || word == ".extern" || word == ".weak" || word == ".common")
      tokens_.take();
    else if (word == ".global" || word == ".const" || word == ".shared") {
      Variable variable = declaration(spaceOf(tokens_.take().text));
      tokens_.accept(";");
      place(variable, nullptr);
      module_->variables[variable.name] = variable;
      scopes_.add(variable);
    } else if (word == ".func" || word == ".entry") {
      tokens_.take();
      function(word == ".entry");
    } else if (word == ".file")
      fileDirective();
    else if (word == ".section")
      tokens_.skipPast("}");
    else if (word == ".pragma" || word == ".alias")
      tokens_.skipPast(";");
    else if (word == ";")
      tokens_.take();
    else
      tokens_.fail("unexpected '" + word + "' at module scope");
  }

  void fileDirective() {
    tokens_.take();
    int const index = int(tokens_.number().bits);
    module_->files[index] = tokens_.take().text;
    while (tokens_.accept(",")) tokens_.take();
  }

  static Space spaceOf(std::string const& word) {
    if (word == ".global") return Space::Global;
    if (word == ".const") return Space::Const;
    if (word == ".shared") return Space::Shared;
    if (word == ".local") return Space::Local;
    return Space::KernelParam;
  }

  // [.align N] [.ptr [.space] [.align N]] .type name [dims] [= initialiser]
  Variable declaration(Space space) {
    Variable v;
    v.space = space;
    u64 elements = 1, alignment = 0;
    bool describesPointee = false;  // after .ptr, .align is about what the pointer points to
    while (tokens_.peek().text.starts_with('.')) {
      std::string const word = tokens_.take().text;
      if (word == ".align") {
        u64 const value = tokens_.number().bits;
        if (!describesPointee) alignment = value;
      } else if (word == ".ptr")
        describesPointee = true;
      else if (word == ".v2")
        elements = 2;
      else if (word == ".v4")
        elements = 4;
      else if (Type type = typeFromName(word.substr(1)); type != Type::None)
        v.type = type;
    }
    v.alignment = alignment ? alignment : u64(sizeOf(v.type)) * elements;
    v.name = tokens_.take().text;
    while (tokens_.accept("[")) {
      if (tokens_.accept("]")) {
        v.dynamic = true;
        continue;
      }
      elements *= tokens_.number().bits;
      tokens_.expect("]");
    }
    v.size = v.dynamic ? 0 : elements * sizeOf(v.type);
    if (tokens_.accept("=")) initialiser(v);
    if (v.dynamic && !v.initial.empty()) {
      v.size = v.initial.size();
      v.dynamic = false;
    }
    return v;
  }

  void initialiser(Variable& v) {
    if (tokens_.accept("{")) {
      while (!tokens_.accept("}")) {
        initialiser(v);
        tokens_.accept(",");
      }
      return;
    }
    u64 bits = 0;
    if (tokens_.isKind(TokenKind::Identifier)) {
      std::string symbol = tokens_.take().text;
      if (symbol == "generic") {
        tokens_.expect("(");
        symbol = tokens_.take().text;
        tokens_.expect(")");
      }
      if (tokens_.accept("+")) bits = u64(tokens_.signedInteger());
      v.relocations.push_back({v.initial.size(), symbol});
    } else {
      bool const negative = tokens_.accept("-");
      Number const number = tokens_.number();
      bits = number.bits;
      if (number.kind == NumberKind::Float64Bits && v.type == Type::F32)
        bits = std::bit_cast<u32>(float(std::bit_cast<double>(bits)));
      if (negative) bits = isFloat(v.type) ? bits ^ (u64{1} << (8 * sizeOf(v.type) - 1)) : -bits;
    }
    for (int byte = 0; byte < sizeOf(v.type); ++byte) v.initial.push_back(u8(bits >> (8 * byte)));
  }

  // Gives a variable its storage. `function` is null at module scope.
  void place(Variable& v, Function* function) {
    switch (v.space) {
      case Space::Shared: {
        if (v.dynamic) {
          v.offset = kDynamicSharedBase;
          return;
        }
        u64& end = function ? function->sharedEnd : moduleSharedEnd_;
        v.offset = alignUp(end, std::max<u64>(v.alignment, 4));
        end = v.offset + v.size + kRedZone;
        auto& ranges = function ? function->sharedRanges : moduleSharedRanges_;
        ranges.push_back({v.offset, v.offset + v.size});
        if (function) function->staticSharedBytes = alignUp(function->staticSharedBytes, v.alignment) + v.size;
        return;
      }
      case Space::Local:
        module_->localBytes = alignUp(module_->localBytes, std::max<u64>(v.alignment, 8));
        v.offset = module_->localBytes;
        module_->localBytes += v.size;
        return;
      case Space::Global:
      case Space::Const: {
        u64 const begin = alignUp(module_->globals.size(), std::max<u64>(v.alignment, 256));
        module_->globals.resize(begin + v.size);
        std::copy_n(v.initial.begin(), std::min<size_t>(v.initial.size(), v.size), module_->globals.begin() + begin);
        v.offset = module_->globalBase + begin;
        return;
      }
      default:
        return;
    }
  }

  std::vector<Variable> parameterList() {
    std::vector<Variable> list;
    if (!tokens_.accept("(")) return list;
    while (!tokens_.accept(")")) {
      if (tokens_.accept(",")) continue;
      if (tokens_.take().text != ".param") tokens_.fail("only .param parameters are supported");
      list.push_back(declaration(Space::KernelParam));
    }
    return list;
  }

  void function(bool isEntry) {
    Function f;
    f.isEntry = isEntry;
    f.results = parameterList();
    f.name = tokens_.take().text;
    f.params = parameterList();
    while (!tokens_.is("{") && !tokens_.is(";")) {
      std::string const word = tokens_.take().text;
      if (word != ".maxntid" && word != ".reqntid") continue;
      f.maxThreads = u32(tokens_.number().bits);
      while (tokens_.accept(",")) f.maxThreads *= u32(tokens_.number().bits);
    }
    if (tokens_.accept(";")) return;  // prototype
    tokens_.expect("{");

    scopes_.push();
    for (Variable& v : f.params) {
      if (isEntry) {
        v.offset = f.paramBytes = alignUp(f.paramBytes, v.alignment);
        f.paramBytes += v.size;
      } else {
        placeCallParam(v);
      }
      scopes_.add(v);
    }
    for (Variable& v : f.results) {
      placeCallParam(v);
      scopes_.add(v);
    }
    f.begin = u32(module_->code.size());
    f.sharedEnd = moduleSharedEnd_;
    f.sharedRanges = moduleSharedRanges_;
    // A kernel's shared layout follows the module's; a device function's variables belong to the module's.
    FrameBuilder frame(f, frameEnd_);
    decoder_.beginFunction(f, frame);
    body(f, frame);
    decoder_.endFunction();
    f.end = u32(module_->code.size());
    frameEnd_ = u32(alignUp(std::max(f.frameEnd, frameEnd_), 64));
    scopes_.pop();
    module_->functionIndex[f.name] = i32(module_->functions.size());
    module_->functions.push_back(std::move(f));
  }

  void placeCallParam(Variable& v) {
    v.callParam = true;
    v.space = Space::Local;
    place(v, nullptr);
  }

  void body(Function& f, FrameBuilder& frame) {
    while (!tokens_.accept("}")) {
      if (tokens_.isKind(TokenKind::End)) tokens_.fail("unexpected end of text in function " + f.name);
      if (tokens_.accept(";")) continue;
      if (tokens_.accept("{")) {
        scopes_.push();
        body(f, frame);
        scopes_.pop();
        continue;
      }
      std::string const word = tokens_.peek().text;
      if (word == ".reg") {
        tokens_.take();
        registers(f, frame);
      } else if (word == ".loc")
        decoder_.locDirective();
      else if (word == ".pragma")
        tokens_.skipPast(";");
      else if (word == ".shared" || word == ".local" || word == ".param" || word == ".global" || word == ".const") {
        tokens_.take();
        Variable v = declaration(spaceOf(word));
        tokens_.expect(";");
        if (v.space == Space::KernelParam)
          placeCallParam(v);
        else
          place(v, v.space == Space::Shared && f.isEntry ? &f : nullptr);
        scopes_.add(v);
      } else if (tokens_.isKind(TokenKind::Identifier) && tokens_.peek(1).text == ":")
        decoder_.label();
      else
        decoder_.instruction();
    }
  }

  void registers(Function& f, FrameBuilder& frame) {
    Type type = Type::None;
    while (tokens_.peek().text.starts_with('.')) type = typeFromName(tokens_.take().text.substr(1));
    if (type == Type::None) tokens_.fail("unsupported register type");
    do {
      std::string const name = tokens_.take().text;
      u64 count = 1;
      bool const numbered = tokens_.accept("<");
      if (numbered) {
        count = tokens_.number().bits;
        tokens_.expect(">");
      }
      for (u64 i = 0; i < count; ++i)
        scopes_.add(numbered ? name + std::to_string(i) : name, Register{frame.allocate(type), type});
      f.registers += u32(count);
    } while (tokens_.accept(","));
    tokens_.expect(";");
  }

  // Resolves what needed the whole module: calls, initialisers holding addresses, per-kernel totals.
  void link() {
    decoder_.linkCalls();
    for (auto& [name, v] : module_->variables)
      for (auto& [byte, symbol] : v.relocations) {
        auto target = module_->variables.find(symbol);
        if (target == module_->variables.end()) continue;  // a function's address: faults if it is ever called
        u8* where = &module_->globals[v.offset - module_->globalBase + byte];
        u64 value;
        std::memcpy(&value, where, 8);
        value += target->second.offset;
        std::memcpy(where, &value, 8);
      }
    for (Function& f : module_->functions) {
      closeCallees(f);
      std::vector<std::string> uses = f.sharedUses;
      for (i32 callee : f.callees)
        for (std::string const& use : module_->functions[callee].sharedUses) uses.push_back(use);
      std::sort(uses.begin(), uses.end());
      uses.erase(std::unique(uses.begin(), uses.end()), uses.end());
      for (std::string const& use : uses) {
        Variable const& v = module_->variables.at(use);
        f.staticSharedBytes = alignUp(f.staticSharedBytes, v.alignment) + v.size;
      }
    }
  }

  void closeCallees(Function& f) {
    for (size_t i = 0; i < f.callees.size(); ++i)
      for (i32 next : std::vector<i32>(module_->functions[f.callees[i]].callees))
        if (std::find(f.callees.begin(), f.callees.end(), next) == f.callees.end()) f.callees.push_back(next);
  }

  std::unique_ptr<Module> module_;
  TokenStream tokens_;
  Scopes scopes_;
  Decoder decoder_;
  u64 moduleSharedEnd_ = kSharedBase;
  std::vector<std::pair<u64, u64>> moduleSharedRanges_;
  u32 frameEnd_ = 64;  // slot 0 stays unused
};

}  // namespace

std::unique_ptr<Module> parseModule(std::string const& text) { return Parser(text).parse(); }

}  // namespace ptx
