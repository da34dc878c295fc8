#include "memory.hpp"

#include <algorithm>

namespace ptx {
namespace {

bool startsBefore(u64 address, Region const& region) { return address < region.begin; }

}  // namespace

void GlobalMemory::add(Region const& region) {
  regions_.insert(std::upper_bound(regions_.begin(), regions_.end(), region.begin, startsBefore), region);
}

void GlobalMemory::remove(u64 begin) {
  std::erase_if(regions_, [&](Region const& r) { return r.begin == begin; });
  recent_ = {};
}

bool GlobalMemory::select(u64 address, u64 bytes) {
  // Regions of NumPy views may overlap, so look at every one that starts at or before the address.
  for (auto it = std::upper_bound(regions_.begin(), regions_.end(), address, startsBefore); it != regions_.begin();) {
    --it;
    if (address + bytes <= it->end && it->host) {
      recent_ = *it;
      return true;
    }
  }
  return false;
}

std::string GlobalMemory::describe(u64 address) const {
  auto it = std::upper_bound(regions_.begin(), regions_.end(), address, startsBefore);
  if (it == regions_.begin()) return "no allocation lies below it";
  --it;
  u64 const size = it->end - it->begin;
  return std::to_string(address - it->begin) + " bytes into an allocation of " + std::to_string(size) + " bytes" +
         (it->host ? "" : " on another device");
}

SharedMemory::Layout::Layout(Function const& kernel, u64 dynamic) : staticEnd(kernel.sharedEnd), dynamicBytes(dynamic) {
  u64 const staticBytes = staticEnd - kSharedBase;
  state.assign(staticBytes, kGap);
  for (auto& [begin, end] : kernel.sharedRanges)
    std::fill(state.begin() + (begin - kSharedBase), state.begin() + (end - kSharedBase), u8(kUninitialised));
  state.resize(staticBytes + dynamicBytes, kUninitialised);
}

SharedMemory::SharedMemory(Layout const& layout, bool detectRaces)
    : layout_(layout), storage_(layout.state.size() + 1, 0xCD), state_(layout.state) {
  if (detectRaces) races_ = std::make_unique<RaceDetector>(storage_.size());
}

u8* SharedMemory::accessSlow(u64 index, u32 bytes, bool read, bool write, SharedFault& fault) {
  u8* state = &state_[index];
  for (u32 i = 0; i < bytes; ++i)
    if (state[i] == kGap) return nullptr;
  if (read) {
    fault = SharedFault::Uninitialised;
    return nullptr;
  }  // at least one byte is not initialised
  if (write) std::fill_n(state, bytes, u8(kInitialised));
  return &storage_[index];
}

}  // namespace ptx
