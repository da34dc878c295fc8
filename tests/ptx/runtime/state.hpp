// State of the emulated device: allocations, streams, events, loaded modules, errors and settings.
#pragma once

#include <cuda_runtime_api.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "machine.hpp"
#include "ptx_runtime.h"

namespace ptx::runtime {

// What the machine pretends to be. Only limits and sizes that programs base decisions on.
struct DeviceModel {
  int major = 12, minor = 0;
  int multiprocessors = 4;  // few, so that grid-stride code is exercised with small inputs
  int threadsPerMultiprocessor = 1536, blocksPerMultiprocessor = 24;
  u64 memoryBytes = u64{8} << 30;
  u64 sharedPerBlock = 48 << 10, sharedOptIn = 99 << 10, sharedPerMultiprocessor = 100 << 10;
};
DeviceModel modelFor(int computeCapability);

// Settings read once from the environment.
struct Settings {
  Options schedule;
  bool lazyStreams = false;
  u32 seed = 0;
  bool quiet = false;
  DeviceModel device;
  static Settings fromEnvironment();
};

enum class AllocationKind : u8 { Device, Pinned, Managed };

struct Allocation {
  u64 begin = 0, bytes = 0;
  AllocationKind kind = AllocationKind::Device;
  std::unique_ptr<u8[]> storage;  // null for memory registered by the program
  u8* host = nullptr;
};

struct Event;

struct Operation {
  std::function<void()> run;
  Event* waitFor = nullptr;  // must have completed up to `waitRecord` first
  u64 waitRecord = 0;
};

struct Stream {
  std::deque<Operation> queue;
  bool nonBlocking = false;  // does not synchronise with the legacy default stream
  bool running = false;
};

struct Event {
  u64 recorded = 0, completed = 0;  // number of cudaEventRecord calls issued and executed
  Stream* stream = nullptr;         // where it was last recorded
  double seconds = 0;
  bool timing = true;
};

struct LoadedModule {
  void const* fatbin = nullptr;
  std::unique_ptr<Machine> machine;  // parsed at first use
};

struct KernelEntry {
  LoadedModule* module = nullptr;
  std::string name;
  int maxDynamicShared = 0;  // set by cudaFuncSetAttribute, 0: the default limit
};

struct SymbolEntry {
  LoadedModule* module = nullptr;
  std::string name;
};

class State {
 public:
  static State& get();

  std::recursive_mutex mutex;
  Settings settings;
  cudaError_t lastError = cudaSuccess, stickyError = cudaSuccess;
  std::string lastFault;
  u64 launches = 0;

  // Memory
  cudaError_t allocate(AllocationKind kind, u64 bytes, void** out);
  cudaError_t registerHost(void* host, u64 bytes);
  cudaError_t release(void const* pointer, bool device);
  Allocation* find(void const* pointer, u64 bytes);
  bool isDevicePointer(void const* pointer) const;
  u8* resolveDevice(void const* pointer, u64 bytes);  // storage of device memory, module variables included
  size_t allocationCount() const { return allocations_.size(); }
  u64 bytesInUse() const { return bytesInUse_; }

  // Work
  Stream* stream(cudaStream_t handle);
  void enqueue(Stream* stream, Operation operation);
  void drain(Stream* stream);
  void drainAll();
  bool runOne(Stream* stream);  // false if the queue was empty
  void complete(Event* event, u64 record);
  Stream* createStream(bool nonBlocking);
  bool destroyStream(Stream* stream);
  Event* createEvent(bool timing);
  bool destroyEvent(Event* event);
  bool isEvent(Event* event) const { return events_.contains(event); }
  size_t handleCount() const { return streams_.size() - 2 + events_.size(); }
  void dropWork();

  // Modules
  LoadedModule* addModule(void const* fatbin);
  std::unordered_map<void const*, KernelEntry> kernels;
  std::unordered_map<void const*, SymbolEntry> symbols;
  Machine* machineOf(LoadedModule* module);  // null if the module has no usable PTX
  void exposeMemory(Machine& machine);

  void report();  // what PTX_REPORT=1 prints at exit
  void reportFault(Error const& error);
  bool injected(ptxFailureKind kind);
  u32 failAt[3] = {};

 private:
  State();
  std::map<u64, Allocation> allocations_;
  u64 nextDeviceAddress_, bytesInUse_ = 0;
  Stream legacy_, perThread_;
  std::map<Stream*, std::unique_ptr<Stream>> streams_;
  std::map<Event*, std::unique_ptr<Event>> events_;
  std::deque<std::unique_ptr<LoadedModule>> modules_;
  u64 randomState_ = 0;
};

// Wraps the body of an API function: locks, refuses to work after a sticky error, records the result as last error.
template <class F>
cudaError_t api(F&& body) {
  State& state = State::get();
  std::lock_guard lock(state.mutex);
  cudaError_t result = state.stickyError;
  if (result == cudaSuccess) {
    try {
      result = body(state);
    } catch (Error const& error) {
      state.reportFault(error);
      result = state.stickyError;
    } catch (std::bad_alloc const&) {
      result = cudaErrorMemoryAllocation;
    }
    // Work that ran on the way may have failed.
    if (result == cudaSuccess) result = state.stickyError;
  }
  if (result != cudaSuccess && result != cudaErrorNotReady) state.lastError = result;
  return result;
}

// The PTX text in a fat binary that suits the device best; empty if there is none.
std::string selectPtx(void const* fatbin, int computeCapability, std::string& problem);

}  // namespace ptx::runtime
