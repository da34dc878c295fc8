// Selection of the handler that executes an instruction. One selector per family; each returns null for what is not its
// own, so that an instruction nobody claims is reported as unsupported.
#pragma once

#include "instruction.hpp"

namespace ptx {

Handler selectHandler(Instruction const& in);
bool isControlFlow(Opcode op);

Handler selectInteger(Instruction const& in);
Handler selectBits(Instruction const& in);
Handler selectCompare(Instruction const& in);
Handler selectFloat(Instruction const& in);
Handler selectHalf(Instruction const& in);
Handler selectConvert(Instruction const& in);
Handler selectMemory(Instruction const& in);
Handler selectAtomic(Instruction const& in);
Handler selectWarp(Instruction const& in);
Handler selectMatrix(Instruction const& in);

}  // namespace ptx
