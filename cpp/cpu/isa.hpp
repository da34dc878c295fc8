#pragma once

#include <string>
#include <vector>

namespace modelwatch::cpu {

/// Names of the instruction sets this build has kernels for and this machine can run, weakest first.
std::vector<std::string> available_isas();

/// The chosen one: the last of available_isas(), or MODELWATCH_ISA.  Throws InvalidInput if that names another.
std::string chosen_isa();

}  // namespace modelwatch::cpu
