// Memory as a kernel sees it: checked global regions, and one block's shared memory with its initialisation state.
#pragma once

#include <memory>
#include <vector>

#include "module.hpp"
#include "race_detector.hpp"

namespace ptx {

// Generic addresses carry the space in bits 60-62; zero means global.
inline constexpr u64 kWindowMask = u64{7} << 60;
inline constexpr u64 kSharedWindow = u64{1} << 60;
inline constexpr u64 kLocalWindow = u64{2} << 60;
inline constexpr u64 kParamWindow = u64{3} << 60;

inline u64 windowOf(Space space) {
  switch (space) {
    case Space::Shared:
      return kSharedWindow;
    case Space::Local:
      return kLocalWindow;
    case Space::KernelParam:
      return kParamWindow;
    default:
      return 0;
  }
}
inline Space spaceOfGeneric(u64 address) {
  switch (address & kWindowMask) {
    case 0:
      return Space::Global;
    case kSharedWindow:
      return Space::Shared;
    case kLocalWindow:
      return Space::Local;
    default:
      return Space::KernelParam;
  }
}

// A stretch of device addresses and the host memory behind it. The two may be equal (NumPy arrays, pinned memory).
struct Region {
  u64 begin = 0, end = 0;
  u8* host = nullptr;  // null: the memory of another device
  bool readOnly = false;
  u8* written = nullptr;  // per byte, whether anything was stored; null where that is not followed
};

class GlobalMemory {
 public:
  void add(Region const& region);
  void remove(u64 begin);
  void clear() {
    regions_.clear();
    recent_ = {};
  }

  // Host pointer for `bytes` at `address`, or null if they are not inside one region (or it is read-only).
  u8* find(u64 address, u64 bytes, bool write) {
    if (address < recent_.begin || address + bytes > recent_.end) {
      if (!select(address, bytes)) return nullptr;
    }
    return write && recent_.readOnly ? nullptr : recent_.host + (address - recent_.begin);
  }
  // After a successful find: whether an access reads only bytes that hold values. Those it writes do from now on.
  bool follow(u64 address, u64 bytes, bool read, bool write) {
    if (!recent_.written) return true;
    u8* state = recent_.written + (address - recent_.begin);
    if (read && std::memchr(state, 0, bytes)) return false;
    if (write) std::memset(state, 1, bytes);
    return true;
  }
  // The region containing or nearest below the address, for messages.
  std::string describe(u64 address) const;

 private:
  bool select(u64 address, u64 bytes);
  std::vector<Region> regions_;  // sorted by begin
  Region recent_;
};

enum class SharedFault : u8 { None, OutOfBounds, Uninitialised };

class SharedMemory {
 public:
  // `image` is the state every block starts in; build it once per launch.
  struct Layout {
    u64 staticEnd = kSharedBase, dynamicBytes = 0;
    std::vector<u8> state;
    Layout() = default;
    Layout(Function const& kernel, u64 dynamicBytes);
  };
  SharedMemory(Layout const& layout, bool detectRaces);

  // Storage for an access, with `fault` saying why it is null. Writes mark the bytes initialised.
  u8* access(u64 address, u32 bytes, bool read, bool write, SharedFault& fault) {
    u64 const index = indexOf(address, bytes);
    fault = SharedFault::OutOfBounds;
    if (index == kBad) return nullptr;
    u8 const* state = &state_[index];
    bool initialised = true;
    if (bytes == 4) {  // by far the most frequent
      u32 word;
      std::memcpy(&word, state, 4);
      initialised = word == 0x01010101u * kInitialised;
    } else {
      for (u32 i = 0; i < bytes; ++i) initialised &= state[i] == kInitialised;
    }
    return initialised ? &storage_[index] : accessSlow(index, bytes, read, write, fault);
  }
  RaceDetector* races() { return races_.get(); }
  u64 indexOf(u64 address, u32 bytes) const {
    if (address >= kDynamicSharedBase) {
      u64 const offset = address - kDynamicSharedBase;
      return offset + bytes <= layout_.dynamicBytes ? offset + (layout_.staticEnd - kSharedBase) : kBad;
    }
    return address >= kSharedBase && address + bytes <= layout_.staticEnd ? address - kSharedBase : kBad;
  }

 private:
  static constexpr u64 kBad = ~u64{0};
  enum State : u8 { kGap = 0, kUninitialised = 1, kInitialised = 3 };
  u8* accessSlow(u64 index, u32 bytes, bool read, bool write, SharedFault& fault);

  Layout const& layout_;
  std::vector<u8> storage_, state_;
  std::unique_ptr<RaceDetector> races_;
};

}  // namespace ptx
