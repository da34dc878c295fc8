#include "cuda/runtime/error.hpp"

namespace modelwatch::cuda {

DeviceError::DeviceError(cudaError_t code, char const* what)
    : std::runtime_error(std::string("CUDA could not ") + what + ": " + cudaGetErrorName(code) + ", " + cudaGetErrorString(code) + "."),
      code_(code) {}

void check(cudaError_t result, char const* what) {
  if (result == cudaSuccess) return;
  cudaGetLastError();  // the runtime remembers it, and would answer with it again
  throw DeviceError(result, what);
}

void check_launch(char const* kernel) {
  cudaError_t const result = cudaGetLastError();
  if (result != cudaSuccess) throw DeviceError(result, (std::string("launch ") + kernel).c_str());
}

}  // namespace modelwatch::cuda
