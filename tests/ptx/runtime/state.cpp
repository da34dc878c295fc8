#include "state.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace ptx::runtime {
namespace {

// Device pointers are not host addresses, so host code that follows one crashes, as it would with a real device.
// Addresses are never reused: a stale pointer is caught even after other allocations.
constexpr u64 kDeviceAddressBase = 0x0d00'0000'0000'0000;
constexpr u64 kAllocationAlignment = 512;

u64 fromEnvironment(char const* name, u64 fallback) {
  char const* text = std::getenv(name);
  return text && *text ? std::strtoull(text, nullptr, 0) : fallback;
}
std::string textFromEnvironment(char const* name) {
  char const* text = std::getenv(name);
  return text ? text : "";
}

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

DeviceModel modelFor(int cc) {
  DeviceModel d;
  d.major = cc / 10;
  d.minor = cc % 10;
  auto set = [&](int threads, int blocks, u64 optInKiB, u64 totalKiB) {
    d.threadsPerMultiprocessor = threads;
    d.blocksPerMultiprocessor = blocks;
    d.sharedOptIn = optInKiB << 10;
    d.sharedPerMultiprocessor = totalKiB << 10;
  };
  switch (cc) {
    case 75:
      set(1024, 16, 64, 64);
      break;
    case 80:
      set(2048, 32, 163, 164);
      break;
    case 86:
      set(1536, 16, 99, 100);
      break;
    case 89:
      set(1536, 24, 99, 100);
      break;
    case 90:
    case 100:
    case 103:
      set(2048, 32, 227, 228);
      break;
    default:
      break;  // 12.x
  }
  return d;
}

Settings Settings::fromEnvironment() {
  Settings s;
  s.seed = u32(ptx::runtime::fromEnvironment("PTX_SEED", 0));
  s.schedule.seed = s.seed;
  s.schedule.randomSchedule = s.seed != 0;
  s.schedule.residentBlocks = u32(ptx::runtime::fromEnvironment("PTX_RESIDENT_BLOCKS", s.seed ? 3 : 1));
  u64 const races = ptx::runtime::fromEnvironment("PTX_RACES", 1);
  s.schedule.detectRaces = races > 0;
  s.schedule.detectGlobalRaces = races > 1;
  s.schedule.approximationNoise = u32(ptx::runtime::fromEnvironment("PTX_NOISE", 0));
  s.schedule.maxWarpInstructions = ptx::runtime::fromEnvironment("PTX_LIMIT", 0);
  // Blocks start in order unless asked otherwise: library code relies on hardware doing so.
  std::string const order = textFromEnvironment("PTX_BLOCK_ORDER");
  if (order == "reversed") s.schedule.blockOrder = BlockOrder::Reversed;
  if (order == "random") s.schedule.blockOrder = BlockOrder::Random;
  s.lazyStreams = textFromEnvironment("PTX_STREAMS") == "lazy";
  s.quiet = ptx::runtime::fromEnvironment("PTX_QUIET", 0);
  s.device = modelFor(int(ptx::runtime::fromEnvironment("PTX_DEVICE", 120)));
  s.device.memoryBytes = ptx::runtime::fromEnvironment("PTX_MEMORY", s.device.memoryBytes);
  return s;
}

State& State::get() {
  static State* state = new State;  // never destroyed: registration functions run before and after main
  return *state;
}

State::State() : settings(Settings::fromEnvironment()), nextDeviceAddress_(kDeviceAddressBase) {
  streams_[&legacy_] = nullptr;
  streams_[&perThread_] = nullptr;
  randomState_ = settings.seed * 2654435761u + 1;
  failAt[ptxFailAllocation] = u32(ptx::runtime::fromEnvironment("PTX_FAIL_ALLOC", 0));
  failAt[ptxFailCopy] = u32(ptx::runtime::fromEnvironment("PTX_FAIL_COPY", 0));
  failAt[ptxFailLaunch] = u32(ptx::runtime::fromEnvironment("PTX_FAIL_LAUNCH", 0));
  if (textFromEnvironment("PTX_REPORT") == "1") std::atexit([] { State::get().report(); });
}

void State::report() {
  std::fprintf(stderr, "ptx runtime: %llu launches, %zu allocations not freed, %zu streams and events not destroyed\n",
               static_cast<unsigned long long>(launches), allocationCount(), handleCount());
  for (auto& module : modules_) {
    if (!module->machine) continue;
    Module const& m = module->machine->module();
    Coverage const& coverage = module->machine->coverage();
    for (Function const& f : m.functions) {
      if (!f.isEntry || !coverage.executions[f.begin]) continue;
      auto const missed = coverage.missed(f);
      std::fprintf(stderr, "  %s: %zu of %u instructions never executed\n", f.name.c_str(), missed.size(),
                   f.end - f.begin - 1);
      for (u32 pc : missed) std::fprintf(stderr, "    %s\n", describeInstruction(m, pc).c_str());
    }
  }
}

bool State::injected(ptxFailureKind kind) { return failAt[kind] && --failAt[kind] == 0; }

// ---- Memory

cudaError_t State::allocate(AllocationKind kind, u64 bytes, void** out) {
  if (!out) return cudaErrorInvalidValue;
  *out = nullptr;
  if (injected(ptxFailAllocation)) return cudaErrorMemoryAllocation;
  if (bytes == 0) return cudaSuccess;
  if (kind == AllocationKind::Device && bytes > settings.device.memoryBytes - bytesInUse_)
    return cudaErrorMemoryAllocation;
  Allocation a;
  a.bytes = bytes;
  a.kind = kind;
  a.storage = std::make_unique_for_overwrite<u8[]>(bytes + kAllocationAlignment);
  a.host = reinterpret_cast<u8*>(alignUp(u64(a.storage.get()), kAllocationAlignment));
  std::memset(a.host, 0xCD, bytes);  // so that reads of memory never written are likely to show
  a.begin = u64(a.host);
  if (kind == AllocationKind::Device) {
    a.begin = nextDeviceAddress_;
    nextDeviceAddress_ = alignUp(nextDeviceAddress_ + bytes, kAllocationAlignment) + kAllocationAlignment;
    bytesInUse_ += bytes;
  }
  *out = reinterpret_cast<void*>(a.begin);
  u64 const begin = a.begin;
  allocations_.emplace(begin, std::move(a));
  return cudaSuccess;
}

cudaError_t State::registerHost(void* host, u64 bytes) {
  if (!host || !bytes) return cudaErrorInvalidValue;
  if (find(host, 1)) return cudaErrorHostMemoryAlreadyRegistered;
  Allocation a;
  a.begin = u64(host);
  a.bytes = bytes;
  a.kind = AllocationKind::Pinned;
  a.host = static_cast<u8*>(host);
  allocations_.emplace(a.begin, std::move(a));
  return cudaSuccess;
}

cudaError_t State::release(void const* pointer, bool device) {
  if (!pointer) return cudaSuccess;
  auto it = allocations_.find(u64(pointer));
  if (it == allocations_.end() || (it->second.kind == AllocationKind::Pinned) == device) return cudaErrorInvalidValue;
  if (it->second.kind == AllocationKind::Device) bytesInUse_ -= it->second.bytes;
  allocations_.erase(it);
  return cudaSuccess;
}

Allocation* State::find(void const* pointer, u64 bytes) {
  auto it = allocations_.upper_bound(u64(pointer));
  if (it == allocations_.begin()) return nullptr;
  Allocation& a = (--it)->second;
  return u64(pointer) + bytes <= a.begin + a.bytes ? &a : nullptr;
}

bool State::isDevicePointer(void const* pointer) const {
  return u64(pointer) >= kModuleAddressBase && u64(pointer) < kSharedWindow;
}

u8* State::resolveDevice(void const* pointer, u64 bytes) {
  if (Allocation* a = find(pointer, bytes)) return a->host + (u64(pointer) - a->begin);
  for (auto& module : modules_) {
    if (!module->machine) continue;
    Module const& m = module->machine->module();
    if (u64(pointer) >= m.globalBase && u64(pointer) + bytes <= m.globalBase + m.globals.size())
      return const_cast<u8*>(m.globals.data()) + (u64(pointer) - m.globalBase);
  }
  return nullptr;
}

// ---- Work

Stream* State::stream(cudaStream_t handle) {
  if (handle == nullptr || handle == cudaStreamLegacy) return &legacy_;
  if (handle == cudaStreamPerThread) return &perThread_;
  auto it = streams_.find(reinterpret_cast<Stream*>(handle));
  return it == streams_.end() ? nullptr : it->first;
}

void State::enqueue(Stream* stream, Operation operation) {
  // The legacy default stream and blocking streams wait for each other.
  if (stream == &legacy_) {
    for (auto& [other, owner] : streams_)
      if (other != &legacy_ && !other->nonBlocking) drain(other);
  } else if (!stream->nonBlocking) {
    drain(&legacy_);
  }
  if (stickyError != cudaSuccess) return;
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
    if (operation.run && stickyError == cudaSuccess) operation.run();
  } catch (Error const& error) {
    reportFault(error);
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
void State::drainAll() {
  for (;;) {
    std::vector<Stream*> ready;
    for (auto& [stream, owner] : streams_)
      if (!stream->queue.empty() && !stream->running) ready.push_back(stream);
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
  stream->nonBlocking = nonBlocking;
  Stream* raw = stream.get();
  streams_[raw] = std::move(stream);
  return raw;
}

bool State::destroyStream(Stream* stream) {
  if (stream == &legacy_ || stream == &perThread_ || !streams_.contains(stream)) return false;
  drain(stream);
  for (auto& [event, owner] : events_)
    if (event->stream == stream) event->stream = nullptr;
  streams_.erase(stream);
  return true;
}

Event* State::createEvent(bool timing) {
  auto event = std::make_unique<Event>();
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

void State::dropWork() {
  for (auto& [stream, owner] : streams_) stream->queue.clear();
}

// ---- Modules

LoadedModule* State::addModule(void const* fatbin) {
  modules_.push_back(std::make_unique<LoadedModule>());
  modules_.back()->fatbin = fatbin;
  return modules_.back().get();
}

Machine* State::machineOf(LoadedModule* module) {
  if (!module->machine) {
    std::string problem;
    std::string const text = selectPtx(module->fatbin, settings.device.major * 10 + settings.device.minor, problem);
    if (text.empty()) {
      lastFault = problem;
      if (!settings.quiet) std::fprintf(stderr, "ptx runtime: %s\n", problem.c_str());
      return nullptr;
    }
    module->machine = std::make_unique<Machine>(parseModule(text));
  }
  return module->machine.get();
}

void State::exposeMemory(Machine& machine) {
  machine.memory().clear();
  for (auto& [begin, a] : allocations_) machine.memory().add({begin, begin + a.bytes, a.host, false});
  // A kernel may be given the address of another module's variable.
  for (auto& module : modules_)
    if (module->machine && module->machine.get() != &machine && !module->machine->module().globals.empty()) {
      Module const& m = module->machine->module();
      machine.memory().add({m.globalBase, m.globalBase + m.globals.size(), const_cast<u8*>(m.globals.data()), false});
    }
}

void State::reportFault(Error const& error) {
  lastFault = error.what();
  stickyError = errorFor(error.fault);
  if (!settings.quiet) std::fprintf(stderr, "ptx runtime: %s\n", error.what());
  dropWork();
}

}  // namespace ptx::runtime
