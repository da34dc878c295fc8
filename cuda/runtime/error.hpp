#pragma once

#include <cuda_runtime_api.h>

#include <stdexcept>
#include <string>

namespace modelwatch::cuda {

/// A call of the CUDA runtime failed; the text is a sentence with CUDA's own name and words for it.
class DeviceError : public std::runtime_error {
 public:
  DeviceError(cudaError_t code, char const* what);
  cudaError_t code() const { return code_; }
  /// There was not enough memory: what failed may be tried again with less.
  bool out_of_memory() const { return code_ == cudaErrorMemoryAllocation; }

 private:
  cudaError_t code_;
};

/// Throws DeviceError unless a call went well; `what` completes "could not ...".
void check(cudaError_t result, char const* what);

/// After a launch: throws what the launch itself got wrong (the kernel's own faults come with the next wait).
void check_launch(char const* kernel);

}  // namespace modelwatch::cuda
