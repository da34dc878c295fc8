// State of the emulated devices: allocations, streams, events, loaded modules, errors and settings.
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
#include "settings.hpp"

namespace ptx::runtime {

struct Device;

enum class AllocationKind : u8 { Device, Pinned, Managed };

struct Allocation {
  u64 begin = 0, bytes = 0;
  AllocationKind kind = AllocationKind::Device;
  Device* device = nullptr;           // that allocated it
  struct MemoryPool* pool = nullptr;  // null: not from a pool
  std::unique_ptr<u8[]> storage;      // null for memory registered by the program
  std::unique_ptr<u8[]> written;      // per byte, whether anything was stored; null where that is not followed
  u8* host = nullptr;
};

struct MemoryPool {
  Device* device = nullptr;
  u64 releaseThreshold = 0, used = 0, usedHigh = 0, reserved = 0, reservedHigh = 0;
  int options[3] = {1, 1, 1};  // the three attributes about reuse, which change nothing here
};

struct Event;

struct Operation {
  std::function<void()> run;
  Event* waitFor = nullptr;  // must have completed up to `waitRecord` first
  u64 waitRecord = 0;
  bool releases = false;  // gives memory back: done even if the device fails first
};

struct Stream {
  Device* device = nullptr;
  std::deque<Operation> queue;
  bool nonBlocking = false;  // does not synchronise with the legacy default stream
  bool running = false;
  u64 id = 0;
};

struct Event {
  Device* device = nullptr;
  u64 recorded = 0, completed = 0;  // number of cudaEventRecord calls issued and executed
  Stream* stream = nullptr;         // where it was last recorded
  double seconds = 0;
  bool timing = true;
};

struct Device {
  int number = 0;
  u64 bytesInUse = 0;
  cudaError_t stickyError = cudaSuccess;
  bool lost = false;
  Stream legacy, perThread;
  MemoryPool defaultPool;
  MemoryPool* pool = &defaultPool;
  cudaError_t failure() const { return lost ? cudaErrorDevicesUnavailable : stickyError; }
};

// Counters of all launches of one kernel on one device.
struct KernelTotals {
  Counters counters;
  u64 launches = 0, blocks = 0, threads = 0;
};

// Every device has its own copy of a module: its own variables, and its own record of what ran.
struct LoadedModule {
  void const* fatbin = nullptr;
  std::vector<std::unique_ptr<Machine>> machines;  // by device, parsed at first use
  std::map<std::pair<Machine const*, std::string>, KernelTotals> totals;
};

struct KernelEntry {
  LoadedModule* module = nullptr;
  std::string name;
  std::map<int, int> maxDynamicShared;  // by device, set by cudaFuncSetAttribute; else the default limit
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
  std::string lastFault;
  u64 launches = 0;

  // Each host thread has its own current device and its own last error.
  static cudaError_t& lastError();
  Device& device();
  Device* deviceAt(int number) { return number >= 0 && number < int(devices_.size()) ? &devices_[number] : nullptr; }
  int deviceCount() const { return int(devices_.size()); }
  void selectDevice(int number);

  // Memory
  cudaError_t allocate(AllocationKind kind, u64 bytes, void** out, Device* owner = nullptr, MemoryPool* pool = nullptr);
  cudaError_t registerHost(void* host, u64 bytes);
  cudaError_t release(void const* pointer, bool device);
  Allocation* find(void const* pointer, u64 bytes);
  bool isDevicePointer(void const* pointer) const;
  u8* resolveDevice(void const* pointer, u64 bytes);        // storage of device memory, module variables included
  u8* storage(void const* pointer, u64 bytes);              // of any pointer; null for device memory that is not there
  void markWritten(void* to, void const* from, u64 bytes);  // null: values known to the host
  size_t allocationCount() const { return allocations_.size(); }
  MemoryPool* createPool(Device* device);
  bool destroyPool(MemoryPool* pool);
  MemoryPool* poolOf(cudaMemPool_t handle);

  // Work
  Stream* stream(cudaStream_t handle);
  void enqueue(Stream* stream, Operation operation);
  void drain(Stream* stream);
  void drainAll(Device const* only = nullptr);
  bool runOne(Stream* stream);  // false if the queue was empty
  void complete(Event* event, u64 record);
  Stream* createStream(bool nonBlocking);
  bool destroyStream(Stream* stream);
  Event* createEvent(bool timing);
  bool destroyEvent(Event* event);
  bool isEvent(Event* event) const { return events_.contains(event); }
  size_t handleCount() const { return streams_.size() - 2 * devices_.size() + events_.size() + pools_.size(); }
  void dropWork(Device const* only = nullptr);

  // Modules
  LoadedModule* addModule(void const* fatbin);
  std::unordered_map<void const*, KernelEntry> kernels;
  std::unordered_map<void const*, SymbolEntry> symbols;
  Machine* machineOf(LoadedModule* module, Device const& device);  // null if the module has no usable PTX
  std::deque<std::unique_ptr<LoadedModule>> const& modules() const { return modules_; }
  void exposeMemory(Machine& machine, Device const& device);

  void reportFault(Error const& error, Device& device);
  bool injected(ptxFailureKind kind) { return failAt[kind] && --failAt[kind] == 0; }
  u32 failAt[4] = {};

 private:
  State();
  std::deque<Device> devices_;
  std::map<u64, Allocation> allocations_;
  std::map<MemoryPool*, std::unique_ptr<MemoryPool>> pools_;
  u64 nextDeviceAddress_, nextStreamId_ = 3;
  std::map<Stream*, std::unique_ptr<Stream>> streams_;
  std::map<Event*, std::unique_ptr<Event>> events_;
  std::deque<std::unique_ptr<LoadedModule>> modules_;
  u64 randomState_ = 0;
};

inline cudaError_t record(cudaError_t result) {
  if (result != cudaSuccess && result != cudaErrorNotReady) State::lastError() = result;
  return result;
}

template <class F>
cudaError_t runBody(State& state, Device& device, F&& body) {
  cudaError_t result = cudaSuccess;
  try {
    result = body(state);
  } catch (Error const& error) {
    state.reportFault(error, device);
    result = device.stickyError;
  } catch (std::bad_alloc const&) {
    result = cudaErrorMemoryAllocation;
  }
  return result;
}

// Wraps the body of an API function: locks, refuses to work on a device that failed or was lost, records the result as
// last error. PTX_FAIL_DEVICE counts these calls.
template <class F>
cudaError_t api(F&& body) {
  State& state = State::get();
  std::lock_guard lock(state.mutex);
  Device& device = state.device();
  if (state.injected(ptxFailDevice)) {
    device.lost = true;
    state.dropWork(&device);
  }
  cudaError_t result = device.failure();
  if (result == cudaSuccess) {
    result = runBody(state, device, body);
    // Work that ran on the way may have failed.
    if (result == cudaSuccess) result = device.failure();
  }
  return record(result);
}

// For functions that give something back: on a device that failed they answer so, but what they name is gone with it,
// so that a program which cleans up leaves nothing behind.
template <class F>
cudaError_t releasing(F&& body) {
  State& state = State::get();
  std::lock_guard lock(state.mutex);
  Device& device = state.device();
  if (device.failure() == cudaSuccess) return api(body);
  runBody(state, device, body);
  return record(device.failure());
}

// For questions that a failed device answers too.
template <class F>
cudaError_t query(F&& body) {
  State& state = State::get();
  std::lock_guard lock(state.mutex);
  return record(runBody(state, state.device(), body));
}

// The PTX text in a fat binary that suits the device best; empty if there is none.
std::string selectPtx(void const* fatbin, int computeCapability, std::string& problem);

// What PTX_REPORT, PTX_COVERAGE and PTX_COUNTERS ask for at exit (exit_reports.cpp).
void writeExitReports(State& state);
void countLaunch(State& state, LoadedModule& module, Machine& machine, std::string const& kernel, u64 blocks,
                 u64 threads);

}  // namespace ptx::runtime
