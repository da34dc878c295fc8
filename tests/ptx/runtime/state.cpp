#include "state.hpp"

#include <cstdio>
#include <cstdlib>

namespace ptx::runtime {
namespace {

// Device pointers are not host addresses, so host code that follows one crashes, as it would with a real device.
constexpr u64 kDeviceAddressBase = 0x0d00'0000'0000'0000;

thread_local int g_device = 0;
thread_local cudaError_t g_lastError = cudaSuccess;

cudaError_t errorFor(Fault fault) {
  switch (fault) {
    case Fault::OutOfBounds:
      return cudaErrorIllegalAddress;
    case Fault::Misaligned:
      return cudaErrorMisalignedAddress;
    case Fault::Trap:
      return cudaErrorLaunchFailure;
    case Fault::Unsupported:
      return cudaErrorIllegalInstruction;
    case Fault::Syntax:
      return cudaErrorInvalidPtx;
    case Fault::Deadlock:
      return cudaErrorLaunchTimeout;
    default:
      return cudaErrorLaunchFailure;
  }
}

}  // namespace

State& State::get() {
  static State* state = new State;  // never destroyed: registration functions run before and after main
  return *state;
}

State::State() : settings(Settings::fromEnvironment()), nextDeviceAddress_(kDeviceAddressBase) {
  for (int number = 0; number == 0 || number < settings.devices; ++number) {
    Device& device = devices_.emplace_back();
    device.number = number;
    device.legacy.device = device.perThread.device = &device;
    device.defaultPool.device = &device;
    streams_[&device.legacy] = nullptr;
    streams_[&device.perThread] = nullptr;
    if (settings.devices == 0) device.stickyError = cudaErrorNoDevice;
  }
  randomState_ = settings.seed * 2654435761u + 1;
  failAt[ptxFailAllocation] = u32(fromEnvironment("PTX_FAIL_ALLOC", 0));
  failAt[ptxFailCopy] = u32(fromEnvironment("PTX_FAIL_COPY", 0));
  failAt[ptxFailLaunch] = u32(fromEnvironment("PTX_FAIL_LAUNCH", 0));
  failAt[ptxFailDevice] = u32(fromEnvironment("PTX_FAIL_DEVICE", 0));
  // Under the lock: another thread may still be at work.
  std::atexit([] {
    State& state = State::get();
    std::lock_guard lock(state.mutex);
    writeExitReports(state);
  });
}

cudaError_t& State::lastError() { return g_lastError; }
Device& State::device() { return devices_[size_t(g_device)]; }
void State::selectDevice(int number) { g_device = number; }

// ---- Work

Stream* State::stream(cudaStream_t handle) {
  if (handle == nullptr || handle == cudaStreamLegacy) return &device().legacy;
  if (handle == cudaStreamPerThread) return &device().perThread;
  auto it = streams_.find(reinterpret_cast<Stream*>(handle));
  return it == streams_.end() ? nullptr : it->first;
}

void State::enqueue(Stream* stream, Operation operation) {
  // The legacy default stream and the blocking streams of a device wait for each other.
  Stream& legacy = stream->device->legacy;
  if (stream == &legacy) {
    for (auto& [other, owner] : streams_)
      if (other != &legacy && other->device == stream->device && !other->nonBlocking) drain(other);
  } else if (!stream->nonBlocking) {
    drain(&legacy);
  }
  if (stream->device->failure() != cudaSuccess) return;
  stream->queue.push_back(std::move(operation));
  if (!settings.lazyStreams) drain(stream);
}

bool State::runOne(Stream* stream) {
  if (stream->queue.empty() || stream->running) return false;
  Operation operation = std::move(stream->queue.front());
  stream->queue.pop_front();
  stream->running = true;
  try {
    if (operation.waitFor && events_.contains(operation.waitFor)) complete(operation.waitFor, operation.waitRecord);
    if (operation.run && stream->device->failure() == cudaSuccess) operation.run();
  } catch (Error const& error) {
    reportFault(error, *stream->device);
  }
  stream->running = false;
  return true;
}

void State::drain(Stream* stream) {
  while (runOne(stream)) {
  }
}

void State::complete(Event* event, u64 record) {
  while (event->completed < record && event->stream && streams_.contains(event->stream) && runOne(event->stream)) {
  }
}

// Streams are independent, so with a seed their operations are interleaved at random.
void State::drainAll(Device const* only) {
  for (;;) {
    std::vector<Stream*> ready;
    for (auto& [stream, owner] : streams_)
      if ((!only || stream->device == only) && !stream->queue.empty() && !stream->running) ready.push_back(stream);
    if (ready.empty()) return;
    if (!settings.seed) {
      drain(ready.front());
      continue;
    }
    randomState_ = randomState_ * 6364136223846793005u + 1442695040888963407u;
    runOne(ready[(randomState_ >> 33) % ready.size()]);
  }
}

Stream* State::createStream(bool nonBlocking) {
  auto stream = std::make_unique<Stream>();
  stream->device = &device();
  stream->nonBlocking = nonBlocking;
  stream->id = nextStreamId_++;
  Stream* raw = stream.get();
  streams_[raw] = std::move(stream);
  return raw;
}

bool State::destroyStream(Stream* stream) {
  auto it = streams_.find(stream);
  if (it == streams_.end() || !it->second) return false;  // a default stream has no owner
  drain(stream);
  for (auto& [event, owner] : events_)
    if (event->stream == stream) event->stream = nullptr;
  streams_.erase(stream);
  return true;
}

Event* State::createEvent(bool timing) {
  auto event = std::make_unique<Event>();
  event->device = &device();
  event->timing = timing;
  Event* raw = event.get();
  events_[raw] = std::move(event);
  return raw;
}

bool State::destroyEvent(Event* event) {
  if (!events_.contains(event)) return false;
  complete(event, event->recorded);
  events_.erase(event);
  return true;
}

void State::dropWork(Device const* only) {
  for (auto& [stream, owner] : streams_)
    if (!only || stream->device == only) {
      std::deque<Operation> dropped;
      dropped.swap(stream->queue);
      for (Operation& operation : dropped)
        if (operation.releases) operation.run();
    }
}

// ---- Modules

LoadedModule* State::addModule(void const* fatbin) {
  modules_.push_back(std::make_unique<LoadedModule>());
  modules_.back()->fatbin = fatbin;
  modules_.back()->machines.resize(devices_.size());
  return modules_.back().get();
}

Machine* State::machineOf(LoadedModule* module, Device const& device) {
  std::unique_ptr<Machine>& machine = module->machines[size_t(device.number)];
  if (!machine) {
    std::string problem;
    std::string const text = selectPtx(module->fatbin, settings.device.major * 10 + settings.device.minor, problem);
    if (text.empty()) {
      lastFault = problem;
      if (!settings.quiet) std::fprintf(stderr, "ptx runtime: %s\n", problem.c_str());
      return nullptr;
    }
    machine = std::make_unique<Machine>(parseModule(text));
  }
  return machine.get();
}

void State::exposeMemory(Machine& machine, Device const& device) {
  machine.memory().clear();
  for (auto& [begin, a] : allocations_) {
    bool const elsewhere = a.kind == AllocationKind::Device && a.device != &device;
    machine.memory().add({begin, begin + a.bytes, elsewhere ? nullptr : a.host, false, a.written.get()});
  }
  // A kernel may be given the address of another module's variable.
  for (auto& module : modules_) {
    Machine const* other = module->machines[size_t(device.number)].get();
    if (!other || other == &machine || other->module().globals.empty()) continue;
    Module const& m = other->module();
    machine.memory().add({m.globalBase, m.globalBase + m.globals.size(), const_cast<u8*>(m.globals.data())});
  }
}

void State::reportFault(Error const& error, Device& device) {
  lastFault = error.what();
  device.stickyError = errorFor(error.fault);
  if (!settings.quiet) std::fprintf(stderr, "ptx runtime: %s\n", error.what());
  dropWork(&device);
}

}  // namespace ptx::runtime
