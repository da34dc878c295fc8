#include "cuda/backend/staging.hpp"

#include <algorithm>

namespace modelwatch::cuda {
namespace {

/// Kernels read values 16 bytes at a time, and a device its memory by lines of 128.
constexpr std::size_t kAlign = 128;

}  // namespace

std::size_t Staging::reserve(std::size_t bytes) {
  std::size_t const at = end_;
  end_ = (end_ + bytes + kAlign - 1) / kAlign * kAlign;
  return at;
}

void Staging::open() {
  Slot& slot = slots_[now_];
  slot.copied.wait();  // what the pinned memory held has left the host
  if (end_ <= slot.pinned.size() && end_ <= slot.device.size()) return;
  // Some more than asked for: chunks are much alike, but not the same.
  std::size_t const bytes = end_ + end_ / 8;
  slot.device = {};  // first, so that old and new need not fit side by side
  slot.pinned = {};
  slot.pinned = PinnedArray<std::uint8_t>(bytes);
  slot.device = DeviceArray<std::uint8_t>(bytes, compute_);
  slot.used.record(compute_);  // the copy must not come before the memory is there
}

void Staging::send() {
  Slot& slot = slots_[now_];
  slot.used.hold_back(copies_.handle());
  check(cudaMemcpyAsync(slot.device.data(), slot.pinned.data(), end_, cudaMemcpyHostToDevice, copies_.handle()), "copy to the device");
  slot.copied.record(copies_.handle());
  slot.copied.hold_back(compute_);
}

void Staging::close() {
  slots_[now_].used.record(compute_);
  now_ = 1 - now_;
}

}  // namespace modelwatch::cuda
