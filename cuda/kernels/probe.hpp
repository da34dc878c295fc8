#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace modelwatch::cuda {

/// How the probe uses the machine.
struct ProbeTuning {
  static constexpr int kThreads = 256;
  static constexpr int kBlocksPerMultiprocessor = 4;
};

/// Reads `words` of 16 bytes once, which is all it does: what a kernel that reads a column can hope for.  `found` (one
/// number) takes what they come to, so that no read can be left out.
void launch_read(void const* from, std::int64_t words, std::uint32_t* found, int multiprocessors, cudaStream_t stream);

}  // namespace modelwatch::cuda
