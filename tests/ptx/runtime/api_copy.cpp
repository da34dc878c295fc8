// Copies and fills, of rows and of strips of rows, and variables of a module by name.
#include "state.hpp"

using namespace ptx;
using namespace ptx::runtime;

namespace {

enum class Side { Host, Device };

// Rows of a copy or fill. One of height 1 is the ordinary case, whose pitches do not matter.
struct Shape {
  u64 width = 0, height = 1, toPitch = 0, fromPitch = 0;
  bool empty() const { return width == 0 || height == 0; }
  u64 span(u64 pitch) const { return pitch * (height - 1) + width; }
  bool pitchesFit() const { return height < 2 || (toPitch >= width && fromPitch >= width); }
};

// Which side a pointer is on. Pinned and managed memory count as either.
bool isOn(State& state, void const* pointer, u64 bytes, Side side) {
  bool const device = state.isDevicePointer(pointer);
  if (side == Side::Host) return !device;
  if (device) return state.resolveDevice(pointer, bytes) != nullptr;
  return state.find(pointer, bytes) != nullptr;
}

bool isPageable(State& state, void const* pointer) {
  return !state.isDevicePointer(pointer) && !state.find(pointer, 1);
}

bool directionMatches(State& state, void* to, void const* from, Shape const& shape, cudaMemcpyKind kind) {
  u64 const toBytes = shape.span(shape.toPitch), fromBytes = shape.span(shape.fromPitch);
  bool const toDevice = isOn(state, to, toBytes, Side::Device), toHost = isOn(state, to, toBytes, Side::Host);
  bool const fromDevice = isOn(state, from, fromBytes, Side::Device),
             fromHost = isOn(state, from, fromBytes, Side::Host);
  switch (kind) {
    case cudaMemcpyHostToHost:
      return toHost && fromHost;
    case cudaMemcpyHostToDevice:
      return toDevice && fromHost;
    case cudaMemcpyDeviceToHost:
      return toHost && fromDevice;
    case cudaMemcpyDeviceToDevice:
      return toDevice && fromDevice;
    case cudaMemcpyDefault:
      return (toHost || toDevice) && (fromHost || fromDevice);
    default:
      return false;
  }
}

void copyNow(State& state, void* to, void const* from, Shape const& shape) {
  u8* destination = state.storage(to, shape.span(shape.toPitch));
  u8* source = state.storage(from, shape.span(shape.fromPitch));
  if (!destination || !source) throw Error(Fault::OutOfBounds, "a queued copy uses memory that has been freed");
  for (u64 row = 0; row < shape.height; ++row) {
    u64 const toOffset = row * shape.toPitch, fromOffset = row * shape.fromPitch;
    std::memmove(destination + toOffset, source + fromOffset, shape.width);
    state.markWritten(static_cast<u8*>(to) + toOffset, static_cast<u8 const*>(from) + fromOffset, shape.width);
  }
}

cudaError_t copy(State& state, void* to, void const* from, Shape const& shape, cudaMemcpyKind kind, cudaStream_t handle,
                 bool async) {
  Stream* stream = state.stream(handle);
  if (!stream) return cudaErrorInvalidResourceHandle;
  if (!shape.pitchesFit()) return cudaErrorInvalidPitchValue;
  if (shape.empty()) return cudaSuccess;
  if (!to || !from) return cudaErrorInvalidValue;
  if (!directionMatches(state, to, from, shape, kind))
    return kind > cudaMemcpyDefault ? cudaErrorInvalidMemcpyDirection : cudaErrorInvalidValue;
  if (state.injected(ptxFailCopy)) return cudaErrorUnknown;
  if (async && isPageable(state, from)) {
    // Pageable memory is read before the call returns.
    u8 const* begin = static_cast<u8 const*>(from);
    auto staged = std::make_shared<std::vector<u8>>(begin, begin + shape.span(shape.fromPitch));
    state.enqueue(stream, {[&state, to, staged, shape] { copyNow(state, to, staged->data(), shape); }});
  } else {
    state.enqueue(stream, {[&state, to, from, shape] { copyNow(state, to, from, shape); }});
  }
  // Copies into pageable memory, and all synchronous ones, are complete when the call returns.
  if (!async || isPageable(state, to)) state.drain(stream);
  return cudaSuccess;
}

cudaError_t copy(State& state, void* to, void const* from, u64 bytes, cudaMemcpyKind kind, cudaStream_t handle,
                 bool async) {
  return copy(state, to, from, Shape{.width = bytes}, kind, handle, async);
}

cudaError_t fill(State& state, void* to, int value, Shape const& shape, cudaStream_t handle, bool async) {
  Stream* stream = state.stream(handle);
  if (!stream) return cudaErrorInvalidResourceHandle;
  if (!shape.pitchesFit()) return cudaErrorInvalidPitchValue;
  if (shape.empty()) return cudaSuccess;
  if (!isOn(state, to, shape.span(shape.toPitch), Side::Device)) return cudaErrorInvalidValue;
  if (state.injected(ptxFailCopy)) return cudaErrorUnknown;
  state.enqueue(stream, {[&state, to, value, shape] {
                  u8* destination = state.storage(to, shape.span(shape.toPitch));
                  if (!destination) throw Error(Fault::OutOfBounds, "a queued fill uses memory that has been freed");
                  for (u64 row = 0; row < shape.height; ++row) {
                    std::memset(destination + row * shape.toPitch, value, shape.width);
                    state.markWritten(static_cast<u8*>(to) + row * shape.toPitch, nullptr, shape.width);
                  }
                }});
  if (!async) state.drain(stream);
  return cudaSuccess;
}

// Device address and size of a registered variable.
cudaError_t symbolAddress(State& state, void const* symbol, u64& address, u64& bytes) {
  auto it = state.symbols.find(symbol);
  if (it == state.symbols.end()) return cudaErrorInvalidSymbol;
  Machine* machine = state.machineOf(it->second.module, state.device());
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

}  // namespace

cudaError_t cudaMemcpy(void* to, void const* from, size_t bytes, cudaMemcpyKind kind) {
  return api([&](State& s) { return copy(s, to, from, bytes, kind, nullptr, false); });
}
cudaError_t cudaMemcpyAsync(void* to, void const* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  return api([&](State& s) { return copy(s, to, from, bytes, kind, stream, true); });
}
cudaError_t cudaMemcpy2D(void* to, size_t toPitch, void const* from, size_t fromPitch, size_t width, size_t height,
                         cudaMemcpyKind kind) {
  return api([&](State& s) {
    return copy(s, to, from, Shape{width, height, toPitch, fromPitch}, kind, nullptr, false);
  });
}
cudaError_t cudaMemcpy2DAsync(void* to, size_t toPitch, void const* from, size_t fromPitch, size_t width, size_t height,
                              cudaMemcpyKind kind, cudaStream_t stream) {
  return api([&](State& s) { return copy(s, to, from, Shape{width, height, toPitch, fromPitch}, kind, stream, true); });
}
cudaError_t cudaMemcpyPeerAsync(void* to, int toDevice, void const* from, int fromDevice, size_t bytes,
                                cudaStream_t stream) {
  return api([&](State& s) {
    if (!s.deviceAt(toDevice) || !s.deviceAt(fromDevice)) return cudaErrorInvalidDevice;
    return copy(s, to, from, bytes, cudaMemcpyDeviceToDevice, stream, true);
  });
}
cudaError_t cudaMemcpyPeer(void* to, int toDevice, void const* from, int fromDevice, size_t bytes) {
  return api([&](State& s) {
    if (!s.deviceAt(toDevice) || !s.deviceAt(fromDevice)) return cudaErrorInvalidDevice;
    return copy(s, to, from, bytes, cudaMemcpyDeviceToDevice, nullptr, false);
  });
}
cudaError_t cudaMemset(void* to, int value, size_t bytes) {
  return api([&](State& s) { return fill(s, to, value, Shape{.width = bytes}, nullptr, false); });
}
cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t stream) {
  return api([&](State& s) { return fill(s, to, value, Shape{.width = bytes}, stream, true); });
}
cudaError_t cudaMemset2D(void* to, size_t pitch, int value, size_t width, size_t height) {
  return api([&](State& s) { return fill(s, to, value, Shape{width, height, pitch, pitch}, nullptr, false); });
}
cudaError_t cudaMemset2DAsync(void* to, size_t pitch, int value, size_t width, size_t height, cudaStream_t stream) {
  return api([&](State& s) { return fill(s, to, value, Shape{width, height, pitch, pitch}, stream, true); });
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
