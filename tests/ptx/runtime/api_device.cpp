// Device queries, error queries and the stand-in's own controls.
#include <cstdio>

#include "state.hpp"

using namespace ptx;
using namespace ptx::runtime;

namespace {

struct ErrorText {
  cudaError_t code;
  char const *name, *text;
};

#define PTX_ERROR(code, text) \
  ErrorText { code, #code, text }
constexpr ErrorText kErrors[] = {
    PTX_ERROR(cudaSuccess, "no error"),
    PTX_ERROR(cudaErrorInvalidValue, "invalid argument"),
    PTX_ERROR(cudaErrorMemoryAllocation, "out of memory"),
    PTX_ERROR(cudaErrorInvalidConfiguration, "invalid configuration argument"),
    PTX_ERROR(cudaErrorInvalidSymbol, "invalid device symbol"),
    PTX_ERROR(cudaErrorInvalidMemcpyDirection, "invalid copy direction for memcpy"),
    PTX_ERROR(cudaErrorInvalidDeviceFunction, "invalid device function"),
    PTX_ERROR(cudaErrorMissingConfiguration, "__global__ function call is not configured"),
    PTX_ERROR(cudaErrorInvalidPitchValue, "invalid pitch argument"),
    PTX_ERROR(cudaErrorDevicesUnavailable, "CUDA-capable device(s) is/are busy or unavailable"),
    PTX_ERROR(cudaErrorPeerAccessUnsupported, "peer access is not supported between these two devices"),
    PTX_ERROR(cudaErrorPeerAccessNotEnabled, "peer access has not been enabled"),
    PTX_ERROR(cudaErrorNoDevice, "no CUDA-capable device is detected"),
    PTX_ERROR(cudaErrorInvalidDevice, "invalid device ordinal"),
    PTX_ERROR(cudaErrorNoKernelImageForDevice, "no kernel image is available for execution on the device"),
    PTX_ERROR(cudaErrorInvalidPtx, "a PTX JIT compilation failed"),
    PTX_ERROR(cudaErrorInvalidResourceHandle, "invalid resource handle"),
    PTX_ERROR(cudaErrorNotReady, "device not ready"),
    PTX_ERROR(cudaErrorIllegalAddress, "an illegal memory access was encountered"),
    PTX_ERROR(cudaErrorLaunchOutOfResources, "too many resources requested for launch"),
    PTX_ERROR(cudaErrorLaunchTimeout, "the launch timed out and was terminated"),
    PTX_ERROR(cudaErrorHostMemoryAlreadyRegistered, "part or all of the requested memory range is already mapped"),
    PTX_ERROR(cudaErrorIllegalInstruction, "an illegal instruction was encountered"),
    PTX_ERROR(cudaErrorMisalignedAddress, "misaligned address"),
    PTX_ERROR(cudaErrorLaunchFailure, "unspecified launch failure"),
    PTX_ERROR(cudaErrorCooperativeLaunchTooLarge, "too many blocks in cooperative launch"),
    PTX_ERROR(cudaErrorNotSupported, "operation not supported"),
    PTX_ERROR(cudaErrorUnknown, "unknown error"),
};
#undef PTX_ERROR

ErrorText const* describe(cudaError_t code) {
  for (ErrorText const& e : kErrors)
    if (e.code == code) return &e;
  return nullptr;
}

constexpr int kRegisters = 65536;
constexpr int kReservedShared = 1024;

}  // namespace

cudaError_t cudaGetDeviceCount(int* count) {
  return query([&](State& s) {
    *count = s.settings.devices;
    return *count ? cudaSuccess : cudaErrorNoDevice;
  });
}
cudaError_t cudaGetDevice(int* device) {
  return query([&](State& s) {
    *device = s.device().number;
    return s.settings.devices ? cudaSuccess : cudaErrorNoDevice;
  });
}
// Another device may be chosen after one failed; choosing the one that failed says so.
cudaError_t cudaSetDevice(int number) {
  State& s = State::get();
  {
    std::lock_guard lock(s.mutex);
    if (!s.settings.devices) return record(cudaErrorNoDevice);
    if (number >= s.settings.devices || number < 0) return record(cudaErrorInvalidDevice);
    s.selectDevice(number);
  }
  return api([](State&) { return cudaSuccess; });
}
cudaError_t cudaInitDevice(int number, unsigned, unsigned) {
  return api([&](State& s) { return s.deviceAt(number) ? cudaSuccess : cudaErrorInvalidDevice; });
}
cudaError_t cudaDriverGetVersion(int* version) {
  return query([&](State&) {
    *version = CUDART_VERSION;
    return cudaSuccess;
  });
}
cudaError_t cudaRuntimeGetVersion(int* version) { return cudaDriverGetVersion(version); }
cudaError_t cudaSetDeviceFlags(unsigned) {
  return api([](State&) { return cudaSuccess; });
}
cudaError_t cudaGetDeviceFlags(unsigned* flags) {
  return api([&](State&) {
    *flags = cudaDeviceScheduleAuto;
    return cudaSuccess;
  });
}
cudaError_t cudaDeviceSynchronize() {
  return api([](State& s) {
    s.drainAll(&s.device());
    return cudaSuccess;
  });
}
// Clears the error that a kernel left. What hangs off the bus stays lost.
cudaError_t cudaDeviceReset() {
  State& s = State::get();
  std::lock_guard lock(s.mutex);
  s.dropWork(&s.device());
  if (s.settings.devices) s.device().stickyError = cudaSuccess;
  State::lastError() = cudaSuccess;
  return record(s.device().failure());
}
cudaError_t cudaDeviceCanAccessPeer(int* can, int device, int peer) {
  return api([&](State& s) {
    *can = 0;
    return s.deviceAt(device) && s.deviceAt(peer) ? cudaSuccess : cudaErrorInvalidDevice;
  });
}
cudaError_t cudaDeviceEnablePeerAccess(int peer, unsigned) {
  return api([&](State& s) { return s.deviceAt(peer) ? cudaErrorPeerAccessUnsupported : cudaErrorInvalidDevice; });
}
cudaError_t cudaDeviceDisablePeerAccess(int) {
  return api([](State&) { return cudaErrorPeerAccessNotEnabled; });
}
cudaError_t cudaDeviceGetPCIBusId(char* text, int length, int device) {
  return api([&](State& s) {
    if (!s.deviceAt(device)) return cudaErrorInvalidDevice;
    std::snprintf(text, size_t(length), "0000:%02x:00.0", device + 1);
    return cudaSuccess;
  });
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int device) {
  return api([&](State& s) {
    DeviceModel const& d = s.settings.device;
    *p = {};
    std::snprintf(p->name, sizeof p->name, "PTX machine (compute capability %d.%d)", d.major, d.minor);
    p->major = d.major;
    p->minor = d.minor;
    p->totalGlobalMem = d.memoryBytes;
    p->totalConstMem = 64 << 10;
    p->sharedMemPerBlock = d.sharedPerBlock;
    p->sharedMemPerBlockOptin = d.sharedOptIn;
    p->sharedMemPerMultiprocessor = d.sharedPerMultiprocessor;
    p->reservedSharedMemPerBlock = kReservedShared;
    p->regsPerBlock = p->regsPerMultiprocessor = kRegisters;
    p->warpSize = kWarpSize;
    p->maxThreadsPerBlock = 1024;
    p->maxThreadsDim[0] = p->maxThreadsDim[1] = 1024;
    p->maxThreadsDim[2] = 64;
    p->maxGridSize[0] = 0x7fffffff;
    p->maxGridSize[1] = p->maxGridSize[2] = 65535;
    p->multiProcessorCount = d.multiprocessors;
    p->maxThreadsPerMultiProcessor = d.threadsPerMultiprocessor;
    p->maxBlocksPerMultiProcessor = d.blocksPerMultiprocessor;
    p->concurrentKernels = p->unifiedAddressing = p->managedMemory = p->cooperativeLaunch = p->memoryPoolsSupported = 1;
    p->canMapHostMemory = p->hostRegisterSupported = 1;
    p->asyncEngineCount = 2;
    p->memoryBusWidth = 256;
    p->pciBusID = device + 1;
    p->uuid.bytes[15] = char(device + 1);
    p->l2CacheSize = 4 << 20;
    return s.deviceAt(device) ? cudaSuccess : cudaErrorInvalidDevice;
  });
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  return api([&](State& s) {
    if (!s.deviceAt(device)) return cudaErrorInvalidDevice;
    DeviceModel const& d = s.settings.device;
    switch (attribute) {
      case cudaDevAttrMaxThreadsPerBlock:
      case cudaDevAttrMaxBlockDimX:
      case cudaDevAttrMaxBlockDimY:
        *value = 1024;
        break;
      case cudaDevAttrMaxBlockDimZ:
        *value = 64;
        break;
      case cudaDevAttrMaxGridDimX:
        *value = 0x7fffffff;
        break;
      case cudaDevAttrMaxGridDimY:
      case cudaDevAttrMaxGridDimZ:
        *value = 65535;
        break;
      case cudaDevAttrMaxSharedMemoryPerBlock:
        *value = int(d.sharedPerBlock);
        break;
      case cudaDevAttrMaxSharedMemoryPerBlockOptin:
        *value = int(d.sharedOptIn);
        break;
      case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
        *value = int(d.sharedPerMultiprocessor);
        break;
      case cudaDevAttrReservedSharedMemoryPerBlock:
        *value = kReservedShared;
        break;
      case cudaDevAttrTotalConstantMemory:
        *value = 64 << 10;
        break;
      case cudaDevAttrWarpSize:
        *value = kWarpSize;
        break;
      case cudaDevAttrMaxRegistersPerBlock:
      case cudaDevAttrMaxRegistersPerMultiprocessor:
        *value = kRegisters;
        break;
      case cudaDevAttrMultiProcessorCount:
        *value = d.multiprocessors;
        break;
      case cudaDevAttrMaxThreadsPerMultiProcessor:
        *value = d.threadsPerMultiprocessor;
        break;
      case cudaDevAttrMaxBlocksPerMultiprocessor:
        *value = d.blocksPerMultiprocessor;
        break;
      case cudaDevAttrComputeCapabilityMajor:
        *value = d.major;
        break;
      case cudaDevAttrComputeCapabilityMinor:
        *value = d.minor;
        break;
      case cudaDevAttrL2CacheSize:
        *value = 4 << 20;
        break;
      case cudaDevAttrClockRate:
      case cudaDevAttrMemoryClockRate:
        *value = 1000000;
        break;
      case cudaDevAttrConcurrentKernels:
      case cudaDevAttrUnifiedAddressing:
      case cudaDevAttrManagedMemory:
      case cudaDevAttrCooperativeLaunch:
      case cudaDevAttrMemoryPoolsSupported:
      case cudaDevAttrCanMapHostMemory:
        *value = 1;
        break;
      default:
        *value = 0;
    }
    return cudaSuccess;
  });
}

// Error queries work after a sticky error too, so they do not go through api(). Such an error cannot be cleared.
cudaError_t cudaGetLastError() {
  cudaError_t const error = cudaPeekAtLastError();
  State::lastError() = cudaSuccess;
  return error;
}
cudaError_t cudaPeekAtLastError() {
  State& s = State::get();
  std::lock_guard lock(s.mutex);
  cudaError_t const failure = s.settings.devices ? s.device().failure() : cudaSuccess;
  return failure != cudaSuccess ? failure : State::lastError();
}
char const* cudaGetErrorName(cudaError_t code) {
  ErrorText const* e = describe(code);
  return e ? e->name : "unrecognized error code";
}
char const* cudaGetErrorString(cudaError_t code) {
  ErrorText const* e = describe(code);
  return e ? e->text : "unrecognized error code";
}

// ---- Controls (ptx_runtime.h)

void ptxFailNth(ptxFailureKind kind, unsigned n) { State::get().failAt[kind] = n; }
size_t ptxLeakCount() { return State::get().allocationCount(); }
size_t ptxLiveHandles() { return State::get().handleCount(); }
char const* ptxLastFault() { return State::get().lastFault.c_str(); }
size_t ptxLaunchCount() { return State::get().launches; }
void ptxClearFault() {
  State& s = State::get();
  std::lock_guard lock(s.mutex);
  s.dropWork();
  for (int number = 0; Device* device = s.deviceAt(number); ++number) {
    device->stickyError = s.settings.devices ? cudaSuccess : cudaErrorNoDevice;
    device->lost = false;
  }
  State::lastError() = cudaSuccess;
  s.lastFault.clear();
}
void ptxWriteReports() {
  State& s = State::get();
  std::lock_guard lock(s.mutex);
  writeExitReports(s);
}
