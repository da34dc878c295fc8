// Allocation, copies, fills, pointer queries and symbols.
#include "state.hpp"

using namespace ptx;
using namespace ptx::runtime;

namespace {

enum class Side { Host, Device };

// Which side a pointer is on. Pinned and managed memory count as either.
bool isOn(State& state, void const* pointer, u64 bytes, Side side) {
  bool const device = state.isDevicePointer(pointer);
  if (side == Side::Host) return !device;
  if (device) return state.resolveDevice(pointer, bytes) != nullptr;
  Allocation* a = state.find(pointer, bytes);
  return a != nullptr;
}

u8* storage(State& state, void const* pointer, u64 bytes) {
  return state.isDevicePointer(pointer) ? state.resolveDevice(pointer, bytes)
                                        : static_cast<u8*>(const_cast<void*>(pointer));
}

bool isPageable(State& state, void const* pointer) {
  return !state.isDevicePointer(pointer) && !state.find(pointer, 1);
}

bool directionMatches(State& state, void* to, void const* from, u64 bytes, cudaMemcpyKind kind) {
  auto device = [&](void const* p) { return isOn(state, p, bytes, Side::Device); };
  auto host = [&](void const* p) { return isOn(state, p, bytes, Side::Host); };
  switch (kind) {
    case cudaMemcpyHostToHost:
      return host(to) && host(from);
    case cudaMemcpyHostToDevice:
      return device(to) && host(from);
    case cudaMemcpyDeviceToHost:
      return host(to) && device(from);
    case cudaMemcpyDeviceToDevice:
      return device(to) && device(from);
    case cudaMemcpyDefault:
      return (state.isDevicePointer(to) ? device(to) : true) && (state.isDevicePointer(from) ? device(from) : true);
    default:
      return false;
  }
}

void copyNow(State& state, void* to, void const* from, u64 bytes) {
  u8 *destination = storage(state, to, bytes), *source = storage(state, from, bytes);
  if (!destination || !source) throw Error(Fault::OutOfBounds, "a queued copy uses memory that has been freed");
  std::memmove(destination, source, bytes);
}

cudaError_t copy(State& state, void* to, void const* from, u64 bytes, cudaMemcpyKind kind, cudaStream_t handle,
                 bool async) {
  Stream* stream = state.stream(handle);
  if (!stream) return cudaErrorInvalidResourceHandle;
  if (bytes == 0) return cudaSuccess;
  if (!to || !from) return cudaErrorInvalidValue;
  if (!directionMatches(state, to, from, bytes, kind))
    return kind > cudaMemcpyDefault ? cudaErrorInvalidMemcpyDirection : cudaErrorInvalidValue;
  if (state.injected(ptxFailCopy)) return cudaErrorUnknown;
  if (async && isPageable(state, from)) {
    // Pageable memory is read before the call returns.
    auto staged = std::make_shared<std::vector<u8>>(static_cast<u8 const*>(from), static_cast<u8 const*>(from) + bytes);
    state.enqueue(stream, {[&state, to, staged, bytes] { copyNow(state, to, staged->data(), bytes); }});
  } else {
    state.enqueue(stream, {[&state, to, from, bytes] { copyNow(state, to, from, bytes); }});
  }
  // Copies into pageable memory, and all synchronous ones, are complete when the call returns.
  if (!async || isPageable(state, to)) state.drain(stream);
  return cudaSuccess;
}

cudaError_t fill(State& state, void* to, int value, u64 bytes, cudaStream_t handle, bool async) {
  Stream* stream = state.stream(handle);
  if (!stream) return cudaErrorInvalidResourceHandle;
  if (bytes == 0) return cudaSuccess;
  if (!isOn(state, to, bytes, Side::Device)) return cudaErrorInvalidValue;
  if (state.injected(ptxFailCopy)) return cudaErrorUnknown;
  state.enqueue(stream, {[&state, to, value, bytes] {
                  u8* destination = storage(state, to, bytes);
                  if (!destination) throw Error(Fault::OutOfBounds, "a queued fill uses memory that has been freed");
                  std::memset(destination, value, bytes);
                }});
  if (!async) state.drain(stream);
  return cudaSuccess;
}

// Device address and size of a registered variable.
cudaError_t symbolAddress(State& state, void const* symbol, u64& address, u64& bytes) {
  auto it = state.symbols.find(symbol);
  if (it == state.symbols.end()) return cudaErrorInvalidSymbol;
  Machine* machine = state.machineOf(it->second.module);
  if (!machine) return cudaErrorNoKernelImageForDevice;
  auto variable = machine->module().variables.find(it->second.name);
  if (variable == machine->module().variables.end()) return cudaErrorInvalidSymbol;
  address = variable->second.offset;
  bytes = variable->second.size;
  return cudaSuccess;
}

cudaError_t copySymbol(State& state, void const* symbol, void* other, u64 count, u64 offset, bool toSymbol,
                       cudaMemcpyKind kind, cudaStream_t stream, bool async) {
  u64 address = 0, bytes = 0;
  if (cudaError_t e = symbolAddress(state, symbol, address, bytes)) return e;
  if (offset > bytes || count > bytes - offset) return cudaErrorInvalidValue;
  void* device = reinterpret_cast<void*>(address + offset);
  return toSymbol ? copy(state, device, other, count, kind, stream, async)
                  : copy(state, other, device, count, kind, stream, async);
}

cudaError_t allocatePinned(void** pointer, size_t bytes) {
  return api([&](State& s) { return s.allocate(AllocationKind::Pinned, bytes, pointer); });
}

}  // namespace

cudaError_t cudaMalloc(void** pointer, size_t bytes) {
  return api([&](State& s) { return s.allocate(AllocationKind::Device, bytes, pointer); });
}
cudaError_t cudaMallocManaged(void** pointer, size_t bytes, unsigned) {
  return api([&](State& s) { return s.allocate(AllocationKind::Managed, bytes, pointer); });
}
cudaError_t cudaMallocHost(void** pointer, size_t bytes) { return allocatePinned(pointer, bytes); }
cudaError_t cudaHostAlloc(void** pointer, size_t bytes, unsigned) { return allocatePinned(pointer, bytes); }
cudaError_t cudaMallocAsync(void** pointer, size_t bytes, cudaStream_t stream) {
  return api([&](State& s) {
    return s.stream(stream) ? s.allocate(AllocationKind::Device, bytes, pointer) : cudaErrorInvalidResourceHandle;
  });
}
cudaError_t cudaMallocFromPoolAsync(void** pointer, size_t bytes, cudaMemPool_t, cudaStream_t stream) {
  return cudaMallocAsync(pointer, bytes, stream);
}
cudaError_t cudaFree(void* pointer) {
  return api([&](State& s) {
    s.drainAll();
    return s.release(pointer, true);
  });  // freeing waits for the device
}
cudaError_t cudaFreeHost(void* pointer) {
  return api([&](State& s) {
    s.drainAll();
    return s.release(pointer, false);
  });
}
cudaError_t cudaFreeAsync(void* pointer, cudaStream_t handle) {
  return api([&](State& s) {
    Stream* stream = s.stream(handle);
    if (!stream) return cudaErrorInvalidResourceHandle;
    if (!pointer) return cudaSuccess;
    Allocation* a = s.find(pointer, 1);
    if (!a || a->begin != u64(pointer) || a->kind != AllocationKind::Device) return cudaErrorInvalidValue;
    s.enqueue(stream, {[&s, pointer] {
                if (s.release(pointer, true) != cudaSuccess)
                  throw Error(Fault::OutOfBounds, "cudaFreeAsync of memory already freed");
              }});
    return cudaSuccess;
  });
}
cudaError_t cudaHostRegister(void* pointer, size_t bytes, unsigned) {
  return api([&](State& s) { return s.registerHost(pointer, bytes); });
}
cudaError_t cudaHostUnregister(void* pointer) {
  return api([&](State& s) {
    s.drainAll();
    return pointer ? s.release(pointer, false) : cudaErrorInvalidValue;
  });
}
cudaError_t cudaHostGetDevicePointer(void** device, void* host, unsigned) {
  return api([&](State& s) {
    if (!s.find(host, 1)) return cudaErrorInvalidValue;
    *device = host;
    return cudaSuccess;
  });
}

cudaError_t cudaMemcpy(void* to, void const* from, size_t bytes, cudaMemcpyKind kind) {
  return api([&](State& s) { return copy(s, to, from, bytes, kind, nullptr, false); });
}
cudaError_t cudaMemcpyAsync(void* to, void const* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  return api([&](State& s) { return copy(s, to, from, bytes, kind, stream, true); });
}
cudaError_t cudaMemset(void* to, int value, size_t bytes) {
  return api([&](State& s) { return fill(s, to, value, bytes, nullptr, false); });
}
cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t stream) {
  return api([&](State& s) { return fill(s, to, value, bytes, stream, true); });
}

cudaError_t cudaMemcpyToSymbol(void const* symbol, void const* from, size_t count, size_t offset, cudaMemcpyKind kind) {
  return api([&](State& s) {
    return copySymbol(s, symbol, const_cast<void*>(from), count, offset, true, kind, nullptr, false);
  });
}
cudaError_t cudaMemcpyFromSymbol(void* to, void const* symbol, size_t count, size_t offset, cudaMemcpyKind kind) {
  return api([&](State& s) { return copySymbol(s, symbol, to, count, offset, false, kind, nullptr, false); });
}
cudaError_t cudaMemcpyToSymbolAsync(void const* symbol, void const* from, size_t count, size_t offset,
                                    cudaMemcpyKind kind, cudaStream_t stream) {
  return api([&](State& s) {
    return copySymbol(s, symbol, const_cast<void*>(from), count, offset, true, kind, stream, true);
  });
}
cudaError_t cudaMemcpyFromSymbolAsync(void* to, void const* symbol, size_t count, size_t offset, cudaMemcpyKind kind,
                                      cudaStream_t stream) {
  return api([&](State& s) { return copySymbol(s, symbol, to, count, offset, false, kind, stream, true); });
}
cudaError_t cudaGetSymbolAddress(void** pointer, void const* symbol) {
  return api([&](State& s) {
    u64 address = 0, bytes = 0;
    cudaError_t const e = symbolAddress(s, symbol, address, bytes);
    *pointer = reinterpret_cast<void*>(address);
    return e;
  });
}
cudaError_t cudaGetSymbolSize(size_t* size, void const* symbol) {
  return api([&](State& s) {
    u64 address = 0, bytes = 0;
    cudaError_t const e = symbolAddress(s, symbol, address, bytes);
    *size = bytes;
    return e;
  });
}

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  return api([&](State& s) {
    *total = s.settings.device.memoryBytes;
    *free = *total - s.bytesInUse();
    return cudaSuccess;
  });
}
cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, void const* pointer) {
  return api([&](State& s) {
    *attributes = {};
    attributes->device = 0;
    Allocation* a = s.find(pointer, 1);
    if (!a) {
      attributes->type = cudaMemoryTypeUnregistered;
      attributes->device = -2;  // what the runtime documents for unregistered host memory
      attributes->hostPointer = const_cast<void*>(pointer);
      return cudaSuccess;
    }
    attributes->type = a->kind == AllocationKind::Device   ? cudaMemoryTypeDevice
                       : a->kind == AllocationKind::Pinned ? cudaMemoryTypeHost
                                                           : cudaMemoryTypeManaged;
    attributes->devicePointer = const_cast<void*>(pointer);
    attributes->hostPointer = a->kind == AllocationKind::Device ? nullptr : const_cast<void*>(pointer);
    return cudaSuccess;
  });
}

// There is one pool, without behaviour of its own.
cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* pool, int device) {
  return api([&](State& s) {
    *pool = reinterpret_cast<cudaMemPool_t>(&s);
    return device == 0 ? cudaSuccess : cudaErrorInvalidDevice;
  });
}
cudaError_t cudaDeviceGetMemPool(cudaMemPool_t* pool, int device) { return cudaDeviceGetDefaultMemPool(pool, device); }
cudaError_t cudaMemPoolTrimTo(cudaMemPool_t, size_t) {
  return api([](State&) { return cudaSuccess; });
}
cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t, cudaMemPoolAttr, void*) {
  return api([](State&) { return cudaSuccess; });
}
