#include "cuda/runtime/device.hpp"

#include "cuda/runtime/error.hpp"

namespace modelwatch::cuda {

std::string unavailable_reason() {
  int count = 0;
  cudaError_t const result = cudaGetDeviceCount(&count);
  cudaGetLastError();
  if (result == cudaSuccess && count > 0) return {};
  if (result == cudaSuccess || result == cudaErrorNoDevice) return "CUDA found no device.";
  return std::string("CUDA found no device: ") + cudaGetErrorName(result) + ", " + cudaGetErrorString(result) + ".";
}

int device_count() {
  int count = 0;
  cudaError_t const result = cudaGetDeviceCount(&count);
  cudaGetLastError();
  return result == cudaSuccess ? count : 0;
}

DeviceInfo device_info(int index) {
  cudaDeviceProp found{};
  check(cudaGetDeviceProperties(&found, index), "describe the device");
  return {index,
          found.name,
          found.major,
          found.minor,
          found.multiProcessorCount,
          found.totalGlobalMem,
          found.sharedMemPerBlockOptin,
          found.l2CacheSize};
}

DeviceScope::DeviceScope(int index) {
  check(cudaGetDevice(&before_), "tell the current device");
  check(cudaSetDevice(index), "use the device");
}

DeviceScope::~DeviceScope() { cudaSetDevice(before_); }

}  // namespace modelwatch::cuda
