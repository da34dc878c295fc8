// Memory of the devices and of the host: allocations, which bytes hold values, and pools.
#include "state.hpp"

namespace ptx::runtime {
namespace {

// Addresses are never reused: a stale pointer is caught even after other allocations.
constexpr u64 kAllocationAlignment = 512;

}  // namespace

cudaError_t State::allocate(AllocationKind kind, u64 bytes, void** out, Device* owner, MemoryPool* pool) {
  if (!out) return cudaErrorInvalidValue;
  *out = nullptr;
  if (injected(ptxFailAllocation)) return cudaErrorMemoryAllocation;
  if (bytes == 0) return cudaSuccess;
  Device& on = owner ? *owner : device();
  bool const onDevice = kind == AllocationKind::Device;
  if (onDevice && bytes > settings.device.memoryBytes - on.bytesInUse) return cudaErrorMemoryAllocation;
  Allocation a;
  a.bytes = bytes;
  a.kind = kind;
  a.device = &on;
  a.pool = pool;
  a.storage = std::make_unique_for_overwrite<u8[]>(bytes + kAllocationAlignment);
  a.host = reinterpret_cast<u8*>(alignUp(u64(a.storage.get()), kAllocationAlignment));
  std::memset(a.host, 0xCD, bytes);  // so that reads of memory never written are likely to show
  a.begin = u64(a.host);
  if (onDevice) {
    // The host may write pinned and managed memory unseen, so only device memory is followed.
    if (settings.followWrites) a.written = std::make_unique<u8[]>(bytes);
    a.begin = nextDeviceAddress_;
    nextDeviceAddress_ = alignUp(nextDeviceAddress_ + bytes, kAllocationAlignment) + kAllocationAlignment;
    on.bytesInUse += bytes;
  }
  if (pool) {
    pool->used += bytes;
    pool->usedHigh = std::max(pool->usedHigh, pool->used);
    pool->reserved = std::max(pool->reserved, pool->used);
    pool->reservedHigh = std::max(pool->reservedHigh, pool->reserved);
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
  a.device = &device();
  a.host = static_cast<u8*>(host);
  allocations_.emplace(a.begin, std::move(a));
  return cudaSuccess;
}

cudaError_t State::release(void const* pointer, bool device) {
  if (!pointer) return cudaSuccess;
  auto it = allocations_.find(u64(pointer));
  if (it == allocations_.end()) return cudaErrorInvalidValue;
  Allocation const& a = it->second;
  if ((a.kind == AllocationKind::Pinned) == device) return cudaErrorInvalidValue;
  if (a.kind == AllocationKind::Device) a.device->bytesInUse -= a.bytes;
  if (a.pool) {
    a.pool->used -= a.bytes;
    a.pool->reserved = std::max(a.pool->used, std::min(a.pool->reserved, a.pool->releaseThreshold));
  }
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
  for (auto& module : modules_)
    for (auto& machine : module->machines) {
      if (!machine) continue;
      Module const& m = machine->module();
      if (u64(pointer) >= m.globalBase && u64(pointer) + bytes <= m.globalBase + m.globals.size())
        return const_cast<u8*>(m.globals.data()) + (u64(pointer) - m.globalBase);
    }
  return nullptr;
}

u8* State::storage(void const* pointer, u64 bytes) {
  return isDevicePointer(pointer) ? resolveDevice(pointer, bytes) : static_cast<u8*>(const_cast<void*>(pointer));
}

void State::markWritten(void* to, void const* from, u64 bytes) {
  Allocation* target = find(to, bytes);
  if (!target || !target->written) return;
  u8* at = target->written.get() + (u64(to) - target->begin);
  Allocation* source = from ? find(from, bytes) : nullptr;
  if (source && source->written)
    std::memmove(at, source->written.get() + (u64(from) - source->begin), bytes);
  else
    std::memset(at, 1, bytes);
}

MemoryPool* State::createPool(Device* device) {
  auto pool = std::make_unique<MemoryPool>();
  pool->device = device;
  MemoryPool* raw = pool.get();
  pools_[raw] = std::move(pool);
  return raw;
}

bool State::destroyPool(MemoryPool* pool) {
  auto it = pools_.find(pool);
  if (it == pools_.end()) return false;
  for (Device& device : devices_)
    if (device.pool == pool) device.pool = &device.defaultPool;
  for (auto& [begin, a] : allocations_)  // what is still allocated lives on
    if (a.pool == pool) a.pool = nullptr;
  pools_.erase(it);
  return true;
}

MemoryPool* State::poolOf(cudaMemPool_t handle) {
  MemoryPool* pool = reinterpret_cast<MemoryPool*>(handle);
  for (Device& device : devices_)
    if (pool == &device.defaultPool) return pool;
  return pools_.contains(pool) ? pool : nullptr;
}

}  // namespace ptx::runtime
