// Allocation, pools and questions about pointers.
#include "state.hpp"

using namespace ptx;
using namespace ptx::runtime;

namespace {

constexpr u64 kPitchAlignment = 512;

cudaError_t allocateAsync(State& s, void** pointer, size_t bytes, MemoryPool* pool, cudaStream_t handle) {
  Stream* stream = s.stream(handle);
  if (!stream) return cudaErrorInvalidResourceHandle;
  if (!pool) pool = stream->device->pool;
  return s.allocate(AllocationKind::Device, bytes, pointer, pool->device, pool);
}

cudaError_t allocatePinned(void** pointer, size_t bytes) {
  return api([&](State& s) { return s.allocate(AllocationKind::Pinned, bytes, pointer); });
}

template <class F>
cudaError_t withPool(cudaMemPool_t handle, F&& body) {
  return api([&](State& s) {
    MemoryPool* pool = s.poolOf(handle);
    return pool ? body(s, *pool) : cudaErrorInvalidValue;
  });
}

template <class F>
cudaError_t withDevice(int number, F&& body) {
  return api([&](State& s) {
    Device* device = s.deviceAt(number);
    return device ? body(s, *device) : cudaErrorInvalidDevice;
  });
}

}  // namespace

cudaError_t cudaMalloc(void** pointer, size_t bytes) {
  return api([&](State& s) { return s.allocate(AllocationKind::Device, bytes, pointer); });
}
cudaError_t cudaMallocPitch(void** pointer, size_t* pitch, size_t width, size_t height) {
  return api([&](State& s) {
    *pitch = alignUp(width, kPitchAlignment);
    return s.allocate(AllocationKind::Device, *pitch * height, pointer);
  });
}
cudaError_t cudaMallocManaged(void** pointer, size_t bytes, unsigned) {
  return api([&](State& s) { return s.allocate(AllocationKind::Managed, bytes, pointer); });
}
cudaError_t cudaMallocHost(void** pointer, size_t bytes) { return allocatePinned(pointer, bytes); }
cudaError_t cudaHostAlloc(void** pointer, size_t bytes, unsigned) { return allocatePinned(pointer, bytes); }
cudaError_t cudaMallocAsync(void** pointer, size_t bytes, cudaStream_t stream) {
  return api([&](State& s) { return allocateAsync(s, pointer, bytes, nullptr, stream); });
}
cudaError_t cudaMallocFromPoolAsync(void** pointer, size_t bytes, cudaMemPool_t handle, cudaStream_t stream) {
  return withPool(handle, [&](State& s, MemoryPool& pool) { return allocateAsync(s, pointer, bytes, &pool, stream); });
}
cudaError_t cudaFree(void* pointer) {
  return releasing([&](State& s) {
    s.drainAll();  // freeing waits for the device
    return s.release(pointer, true);
  });
}
cudaError_t cudaFreeHost(void* pointer) {
  return releasing([&](State& s) {
    s.drainAll();
    return s.release(pointer, false);
  });
}
cudaError_t cudaFreeAsync(void* pointer, cudaStream_t handle) {
  return releasing([&](State& s) {
    Stream* stream = s.stream(handle);
    if (!stream) return cudaErrorInvalidResourceHandle;
    if (!pointer) return cudaSuccess;
    Allocation* a = s.find(pointer, 1);
    if (!a || a->begin != u64(pointer) || a->kind != AllocationKind::Device) return cudaErrorInvalidValue;
    if (stream->device->failure() != cudaSuccess) return s.release(pointer, true);
    s.enqueue(stream, {.run =
                           [&s, pointer] {
                             if (s.release(pointer, true) != cudaSuccess)
                               throw Error(Fault::OutOfBounds, "cudaFreeAsync of memory already freed");
                           },
                       .releases = true});
    return cudaSuccess;
  });
}
cudaError_t cudaHostRegister(void* pointer, size_t bytes, unsigned) {
  return api([&](State& s) { return s.registerHost(pointer, bytes); });
}
cudaError_t cudaHostUnregister(void* pointer) {
  return releasing([&](State& s) {
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
cudaError_t cudaHostGetFlags(unsigned* flags, void* host) {
  return api([&](State& s) {
    *flags = cudaHostAllocDefault;
    Allocation* a = s.find(host, 1);
    return a && a->kind == AllocationKind::Pinned ? cudaSuccess : cudaErrorInvalidValue;
  });
}

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  return api([&](State& s) {
    *total = s.settings.device.memoryBytes;
    *free = *total - s.device().bytesInUse;
    return cudaSuccess;
  });
}
cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, void const* pointer) {
  return api([&](State& s) {
    *attributes = {};
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
    attributes->device = a->device->number;
    attributes->devicePointer = const_cast<void*>(pointer);
    attributes->hostPointer = a->kind == AllocationKind::Device ? nullptr : const_cast<void*>(pointer);
    return cudaSuccess;
  });
}

// ---- Pools. They keep their books, and hold back no memory.

cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* pool, int number) {
  return withDevice(number, [&](State&, Device& device) {
    *pool = reinterpret_cast<cudaMemPool_t>(&device.defaultPool);
    return cudaSuccess;
  });
}
cudaError_t cudaDeviceGetMemPool(cudaMemPool_t* pool, int number) {
  return withDevice(number, [&](State&, Device& device) {
    *pool = reinterpret_cast<cudaMemPool_t>(device.pool);
    return cudaSuccess;
  });
}
cudaError_t cudaDeviceSetMemPool(int number, cudaMemPool_t handle) {
  return withDevice(number, [&](State& s, Device& device) {
    MemoryPool* pool = s.poolOf(handle);
    if (!pool || pool->device != &device) return cudaErrorInvalidValue;
    device.pool = pool;
    return cudaSuccess;
  });
}
cudaError_t cudaMemPoolCreate(cudaMemPool_t* pool, cudaMemPoolProps const* properties) {
  if (!properties || properties->location.type != cudaMemLocationTypeDevice) return record(cudaErrorInvalidValue);
  return withDevice(properties->location.id, [&](State& s, Device& device) {
    *pool = reinterpret_cast<cudaMemPool_t>(s.createPool(&device));
    return cudaSuccess;
  });
}
cudaError_t cudaMemPoolDestroy(cudaMemPool_t handle) {
  return releasing([&](State& s) {
    return s.destroyPool(reinterpret_cast<MemoryPool*>(handle)) ? cudaSuccess : cudaErrorInvalidValue;
  });
}
cudaError_t cudaMemPoolTrimTo(cudaMemPool_t handle, size_t keep) {
  return withPool(handle, [&](State& s, MemoryPool& pool) {
    s.drainAll(pool.device);
    pool.reserved = std::max(pool.used, std::min<u64>(pool.reserved, keep));
    return cudaSuccess;
  });
}
cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t handle, cudaMemPoolAttr attribute, void* value) {
  return withPool(handle, [&](State&, MemoryPool& pool) {
    switch (attribute) {
      case cudaMemPoolReuseFollowEventDependencies:
      case cudaMemPoolReuseAllowOpportunistic:
      case cudaMemPoolReuseAllowInternalDependencies:
        pool.options[attribute - cudaMemPoolReuseFollowEventDependencies] = *static_cast<int*>(value);
        return cudaSuccess;
      case cudaMemPoolAttrReleaseThreshold:
        pool.releaseThreshold = *static_cast<u64*>(value);
        return cudaSuccess;
      case cudaMemPoolAttrReservedMemHigh:
      case cudaMemPoolAttrUsedMemHigh:
        if (*static_cast<u64*>(value) != 0) return cudaErrorInvalidValue;  // only a reset is possible
        (attribute == cudaMemPoolAttrUsedMemHigh ? pool.usedHigh : pool.reservedHigh) = 0;
        return cudaSuccess;
      default:
        return cudaErrorInvalidValue;
    }
  });
}
cudaError_t cudaMemPoolGetAttribute(cudaMemPool_t handle, cudaMemPoolAttr attribute, void* value) {
  return withPool(handle, [&](State&, MemoryPool& pool) {
    auto answer = [&](u64 number) {
      *static_cast<u64*>(value) = number;
      return cudaSuccess;
    };
    switch (attribute) {
      case cudaMemPoolReuseFollowEventDependencies:
      case cudaMemPoolReuseAllowOpportunistic:
      case cudaMemPoolReuseAllowInternalDependencies:
        *static_cast<int*>(value) = pool.options[attribute - cudaMemPoolReuseFollowEventDependencies];
        return cudaSuccess;
      case cudaMemPoolAttrReleaseThreshold:
        return answer(pool.releaseThreshold);
      case cudaMemPoolAttrReservedMemCurrent:
        return answer(pool.reserved);
      case cudaMemPoolAttrReservedMemHigh:
        return answer(pool.reservedHigh);
      case cudaMemPoolAttrUsedMemCurrent:
        return answer(pool.used);
      case cudaMemPoolAttrUsedMemHigh:
        return answer(pool.usedHigh);
      default:
        return cudaErrorInvalidValue;
    }
  });
}
