#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "cuda/runtime/memory.hpp"
#include "cuda/runtime/stream.hpp"

namespace modelwatch::cuda {

/// Brings what a chunk needs to the device in one copy, through pinned memory, on a stream of its own: the next chunk is
/// made ready and copied while the one before is counted.
///
/// For each chunk: reserve all pieces, open(), fill them at host(), send(), launch what reads them at device(), close().
class Staging {
 public:
  explicit Staging(cudaStream_t compute) : compute_(compute) {}
  /// Memory is given back in the order of the compute stream, of which a copy that is under way knows nothing.
  ~Staging() { cudaStreamSynchronize(copies_.handle()); }
  Staging(Staging const&) = delete;
  Staging& operator=(Staging const&) = delete;

  /// Forgets the pieces of the chunk before.
  void begin() { end_ = 0; }
  /// Room for a piece; where it begins.
  std::size_t reserve(std::size_t bytes);
  std::size_t reserved() const { return end_; }
  /// Memory for all that is reserved, which nobody uses any more.  Throws DeviceError where there is not enough.
  void open();
  template <class Item>
  Item* host(std::size_t at) const {
    return reinterpret_cast<Item*>(slots_[now_].pinned.data() + at);
  }
  template <class Item>
  Item* device(std::size_t at) const {
    return reinterpret_cast<Item*>(slots_[now_].device.data() + at);
  }
  /// Queues the copy; what is launched on the compute stream from here on finds it done.
  void send();
  /// All that reads the chunk has been launched.
  void close();

 private:
  struct Slot {
    PinnedArray<std::uint8_t> pinned;
    DeviceArray<std::uint8_t> device;
    Event copied;
    Event used;
  };

  cudaStream_t compute_;
  Stream copies_;
  std::array<Slot, 2> slots_;
  std::size_t now_ = 0;
  std::size_t end_ = 0;
};

}  // namespace modelwatch::cuda
