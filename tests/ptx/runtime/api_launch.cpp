// Registration of embedded device code, kernel launches and their limits, function attributes, occupancy.
#include <algorithm>

#include "state.hpp"

using namespace ptx;
using namespace ptx::runtime;

extern "C" {
void** __cudaRegisterFatBinary(void* fatbin);
void __cudaRegisterFatBinaryEnd(void** handle);
void __cudaUnregisterFatBinary(void** handle);
char __cudaInitModule(void** handle);
void __cudaRegisterFunction(void** handle, char const* host, char* device, char const* name, int threadLimit,
                            uint3* tid, uint3* bid, dim3* blockDim, dim3* gridDim, int* warpSize);
void __cudaRegisterVar(void** handle, char* host, char* device, char const* name, int isExtern, size_t size,
                       int constant, int global);
unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared, cudaStream_t stream);
cudaError_t __cudaPopCallConfiguration(dim3* grid, dim3* block, size_t* shared, void* stream);
cudaError_t __cudaGetKernel(cudaKernel_t* kernel, void const* function);
cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void** args, size_t shared,
                               cudaStream_t stream);
}

namespace {

struct CallConfiguration {
  dim3 grid, block;
  size_t shared;
  cudaStream_t stream;
};
thread_local std::vector<CallConfiguration> g_configurations;

constexpr u64 kReservedShared = 1024;

struct Kernel {
  KernelEntry* entry = nullptr;
  Machine* machine = nullptr;
  Function const* function = nullptr;
};

cudaError_t resolve(State& s, void const* function, Kernel& kernel) {
  auto it = s.kernels.find(function);
  if (it == s.kernels.end()) return cudaErrorInvalidDeviceFunction;
  kernel.entry = &it->second;
  kernel.machine = s.machineOf(it->second.module, s.device());
  if (!kernel.machine) return cudaErrorNoKernelImageForDevice;
  kernel.function = kernel.machine->module().findKernel(it->second.name);
  return kernel.function ? cudaSuccess : cudaErrorInvalidDeviceFunction;
}

u64 dynamicLimit(State& s, Kernel const& k) {
  auto const raised = k.entry->maxDynamicShared.find(s.device().number);
  if (raised != k.entry->maxDynamicShared.end()) return u64(raised->second);
  u64 const used = k.function->staticSharedBytes;
  return used < s.settings.device.sharedPerBlock ? s.settings.device.sharedPerBlock - used : 0;
}

int threadLimit(Kernel const& k) {
  return k.function->maxThreads ? int(std::min(k.function->maxThreads, 1024u)) : 1024;
}

cudaError_t checkLimits(State& s, Kernel const& k, dim3 grid, dim3 block, size_t shared) {
  u64 const threads = u64(block.x) * block.y * block.z;
  if (threads == 0 || threads > 1024 || block.x > 1024 || block.y > 1024 || block.z > 64)
    return cudaErrorInvalidConfiguration;
  if (!grid.x || !grid.y || !grid.z || grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535)
    return cudaErrorInvalidConfiguration;
  if (threads > u64(threadLimit(k))) return cudaErrorLaunchOutOfResources;
  if (shared > dynamicLimit(s, k)) return cudaErrorInvalidValue;
  return cudaSuccess;
}

int activeBlocks(State& s, Kernel const& k, int threads, size_t dynamicShared) {
  DeviceModel const& d = s.settings.device;
  if (threads < 1 || threads > threadLimit(k) || dynamicShared > dynamicLimit(s, k)) return 0;
  int const warps = (threads + kWarpSize - 1) / kWarpSize;
  int const byThreads = d.threadsPerMultiprocessor / (warps * kWarpSize);
  int const byShared =
      int(d.sharedPerMultiprocessor / (k.function->staticSharedBytes + dynamicShared + kReservedShared));
  return std::min({byThreads, byShared, d.blocksPerMultiprocessor});
}

cudaError_t launch(State& s, void const* function, dim3 grid, dim3 block, void** args, size_t shared,
                   cudaStream_t handle, bool cooperative) {
  Kernel k;
  if (cudaError_t e = resolve(s, function, k)) return e;
  if (cudaError_t e = checkLimits(s, k, grid, block, shared)) return e;
  Stream* stream = s.stream(handle);
  if (!stream || stream->device != &s.device()) return cudaErrorInvalidResourceHandle;
  u64 const blocks = u64(grid.x) * grid.y * grid.z;
  if (cooperative && blocks > u64(activeBlocks(s, k, int(block.x * block.y * block.z), shared)) *
                                  u64(s.settings.device.multiprocessors))
    return cudaErrorCooperativeLaunchTooLarge;
  if (s.injected(ptxFailLaunch)) return cudaErrorLaunchFailure;
  // Arguments are copied now: the caller's variables may change before the kernel runs.
  auto params = std::make_shared<std::vector<u8>>(k.function->paramBytes);
  for (size_t i = 0; i < k.function->params.size(); ++i)
    std::memcpy(params->data() + k.function->params[i].offset, args[i], k.function->params[i].size);
  s.enqueue(
      stream, {[&s, k, grid, block, shared, params, cooperative, blocks, stream] {
        s.exposeMemory(*k.machine, *stream->device);
        Options& options = k.machine->options();
        options = s.settings.schedule;
        options.seed += u32(s.launches++);
        if (cooperative) options.residentBlocks = u32(blocks);
        k.machine->launch({k.entry->name, {grid.x, grid.y, grid.z}, {block.x, block.y, block.z}, shared, *params});
        countLaunch(s, *k.entry->module, *k.machine, k.entry->name, blocks, block.x * block.y * block.z);
      }});
  return cudaSuccess;
}

}  // namespace

// ---- Registration, called by code that nvcc generates.

void** __cudaRegisterFatBinary(void* fatbin) {
  State& s = State::get();
  std::lock_guard lock(s.mutex);
  return reinterpret_cast<void**>(s.addModule(fatbin));
}
void __cudaRegisterFatBinaryEnd(void**) {}
void __cudaUnregisterFatBinary(void**) {}
char __cudaInitModule(void**) { return 1; }
void __cudaRegisterFunction(void** handle, char const* host, char*, char const* name, int, uint3*, uint3*, dim3*, dim3*,
                            int*) {
  State& s = State::get();
  std::lock_guard lock(s.mutex);
  s.kernels[host] = {reinterpret_cast<LoadedModule*>(handle), name, {}};
}
void __cudaRegisterVar(void** handle, char* host, char*, char const* name, int, size_t, int, int) {
  State& s = State::get();
  std::lock_guard lock(s.mutex);
  s.symbols[host] = {reinterpret_cast<LoadedModule*>(handle), name};
}

// ---- Launches

unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared, cudaStream_t stream) {
  g_configurations.push_back({grid, block, shared, stream});
  return 0;
}
cudaError_t __cudaPopCallConfiguration(dim3* grid, dim3* block, size_t* shared, void* stream) {
  if (g_configurations.empty()) return cudaErrorMissingConfiguration;
  CallConfiguration const c = g_configurations.back();
  g_configurations.pop_back();
  *grid = c.grid;
  *block = c.block;
  *shared = c.shared;
  *static_cast<cudaStream_t*>(stream) = c.stream;
  return cudaSuccess;
}
// A kernel handle is simply the host function's address.
cudaError_t __cudaGetKernel(cudaKernel_t* kernel, void const* function) {
  *kernel = reinterpret_cast<cudaKernel_t>(const_cast<void*>(function));
  return cudaSuccess;
}
cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void** args, size_t shared,
                               cudaStream_t stream) {
  return cudaLaunchKernel(reinterpret_cast<void const*>(kernel), grid, block, args, shared, stream);
}
cudaError_t cudaLaunchKernel(void const* function, dim3 grid, dim3 block, void** args, size_t shared,
                             cudaStream_t stream) {
  return api([&](State& s) { return launch(s, function, grid, block, args, shared, stream, false); });
}
cudaError_t cudaLaunchCooperativeKernel(void const* function, dim3 grid, dim3 block, void** args, size_t shared,
                                        cudaStream_t stream) {
  return api([&](State& s) { return launch(s, function, grid, block, args, shared, stream, true); });
}
cudaError_t cudaLaunchKernelExC(cudaLaunchConfig_t const* config, void const* function, void** args) {
  return api([&](State& s) {
    bool cooperative = false;
    for (unsigned i = 0; i < config->numAttrs; ++i) {
      const cudaLaunchAttribute& a = config->attrs[i];
      if (a.id == cudaLaunchAttributeCooperative) cooperative = a.val.cooperative;
      if (a.id == cudaLaunchAttributeClusterDimension &&
          a.val.clusterDim.x * a.val.clusterDim.y * a.val.clusterDim.z > 1)
        return cudaErrorNotSupported;
    }
    return launch(s, function, config->gridDim, config->blockDim, args, config->dynamicSmemBytes, config->stream,
                  cooperative);
  });
}

// ---- Attributes

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, void const* function) {
  return api([&](State& s) {
    Kernel k;
    if (cudaError_t e = resolve(s, function, k)) return e;
    *attributes = {};
    attributes->sharedSizeBytes = k.function->staticSharedBytes;
    attributes->localSizeBytes = k.machine->module().localBytes;
    attributes->maxThreadsPerBlock = threadLimit(k);
    attributes->numRegs = 32;                                                    // only ptxas knows
    attributes->ptxVersion = std::atoi(k.machine->module().target.c_str() + 3);  // "sm_75"
    attributes->binaryVersion = s.settings.device.major * 10 + s.settings.device.minor;
    attributes->maxDynamicSharedSizeBytes = int(dynamicLimit(s, k));
    return cudaSuccess;
  });
}
cudaError_t cudaFuncSetAttribute(void const* function, cudaFuncAttribute attribute, int value) {
  return api([&](State& s) {
    Kernel k;
    if (cudaError_t e = resolve(s, function, k)) return e;
    if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize) return cudaSuccess;
    if (value < 0 || u64(value) + k.function->staticSharedBytes > s.settings.device.sharedOptIn)
      return cudaErrorInvalidValue;
    k.entry->maxDynamicShared[s.device().number] = value;
    return cudaSuccess;
  });
}
cudaError_t cudaFuncSetCacheConfig(void const* function, cudaFuncCache) {
  return api([&](State& s) {
    Kernel k;
    return resolve(s, function, k);
  });
}

// Threads and shared memory limit occupancy here; registers, which only ptxas knows, do not.
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, void const* function, int threads,
                                                                   size_t shared, unsigned) {
  return api([&](State& s) {
    Kernel k;
    if (cudaError_t e = resolve(s, function, k)) return e;
    if (!blocks || threads < 1) return cudaErrorInvalidValue;
    *blocks = activeBlocks(s, k, threads, shared);
    return cudaSuccess;
  });
}
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, void const* function, int threads,
                                                          size_t shared) {
  return cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(blocks, function, threads, shared, 0);
}
cudaError_t cudaOccupancyAvailableDynamicSMemPerBlock(size_t* bytes, void const* function, int blocks, int threads) {
  return api([&](State& s) {
    Kernel k;
    if (cudaError_t e = resolve(s, function, k)) return e;
    if (!bytes || blocks < 1 || threads < 1) return cudaErrorInvalidValue;
    u64 const share = s.settings.device.sharedPerMultiprocessor / u64(blocks);
    u64 const taken = k.function->staticSharedBytes + kReservedShared;
    *bytes = std::min(share > taken ? share - taken : 0, dynamicLimit(s, k));
    return cudaSuccess;
  });
}
