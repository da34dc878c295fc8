#include "ops.hpp"

#include "machine.hpp"

namespace ptx {

bool isControlFlow(Opcode op) {
  switch (op) {
    case Opcode::Bra:
    case Opcode::BrxIdx:
    case Opcode::Call:
    case Opcode::Ret:
    case Opcode::Exit:
    case Opcode::Bar:
    case Opcode::Trap:
      return true;
    default:
      return false;
  }
}

Handler selectHandler(Instruction const& in) {
  if (in.op == Opcode::Nop) return [](Machine&, Instruction const&, LaneMask) {};
  if (in.op == Opcode::Fence)
    return [](Machine& m, Instruction const& fence, LaneMask) {
      if (fence.fences) m.fence();
    };
  for (auto select : {selectMemory, selectAtomic, selectWarp, selectMatrix, selectConvert, selectCompare, selectBits,
                      selectHalf, selectFloat, selectInteger})
    if (Handler handler = select(in)) return handler;
  return nullptr;
}

}  // namespace ptx
