#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <utility>
#include <vector>

#include "cuda/runtime/error.hpp"

namespace modelwatch::cuda {

/// Device memory of one stream: taken and given back in its order, so work that is queued there may still use it.
template <class Item>
class DeviceArray {
 public:
  DeviceArray() = default;
  /// Not set to anything.
  DeviceArray(std::size_t size, cudaStream_t stream) : size_(size), stream_(stream) {
    // Nothing is nothing: a pointer of no items is not followed.
    if (size_ != 0) check(cudaMallocAsync(reinterpret_cast<void**>(&items_), size_ * sizeof(Item), stream_), "take device memory");
  }
  ~DeviceArray() {
    if (items_ != nullptr) cudaFreeAsync(items_, stream_);
  }
  DeviceArray(DeviceArray&& other) noexcept
      : items_(std::exchange(other.items_, nullptr)), size_(std::exchange(other.size_, 0)), stream_(other.stream_) {}
  DeviceArray& operator=(DeviceArray&& other) noexcept {
    std::swap(items_, other.items_);
    std::swap(size_, other.size_);
    std::swap(stream_, other.stream_);
    return *this;
  }

  Item* data() const { return items_; }
  std::size_t size() const { return size_; }
  std::size_t bytes() const { return size_ * sizeof(Item); }

  void zero() {
    if (size_ != 0) check(cudaMemsetAsync(items_, 0, bytes(), stream_), "clear device memory");
  }
  /// `from` may be reused at once where it is not pinned; pinned memory must stay until the stream has come here.
  void upload(Item const* from, std::size_t count) {
    if (count != 0) check(cudaMemcpyAsync(items_, from, count * sizeof(Item), cudaMemcpyHostToDevice, stream_), "copy to the device");
  }
  /// Waits until the copy is there.
  void download(Item* to, std::size_t count) const {
    if (count == 0) return;
    check(cudaMemcpyAsync(to, items_, count * sizeof(Item), cudaMemcpyDeviceToHost, stream_), "copy from the device");
    check(cudaStreamSynchronize(stream_), "finish its work");
  }
  /// One of them; waits until the copy is there.
  Item download_one(std::size_t i) const {
    Item out{};
    check(cudaMemcpyAsync(&out, items_ + i, sizeof out, cudaMemcpyDeviceToHost, stream_), "copy from the device");
    check(cudaStreamSynchronize(stream_), "finish its work");
    return out;
  }
  std::vector<Item> download() const {
    std::vector<Item> out(size_);
    download(out.data(), size_);
    return out;
  }

 private:
  Item* items_ = nullptr;
  std::size_t size_ = 0;
  cudaStream_t stream_ = nullptr;
};

template <class Item>
DeviceArray<Item> uploaded(std::vector<Item> const& from, cudaStream_t stream) {
  DeviceArray<Item> out(from.size(), stream);
  out.upload(from.data(), from.size());
  return out;
}

/// Host memory that the device copies from and to by itself.
template <class Item>
class PinnedArray {
 public:
  PinnedArray() = default;
  explicit PinnedArray(std::size_t size) : size_(size) {
    if (size_ != 0) check(cudaMallocHost(reinterpret_cast<void**>(&items_), size_ * sizeof(Item)), "pin host memory");
  }
  ~PinnedArray() {
    if (items_ != nullptr) cudaFreeHost(items_);
  }
  PinnedArray(PinnedArray&& other) noexcept : items_(std::exchange(other.items_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  PinnedArray& operator=(PinnedArray&& other) noexcept {
    std::swap(items_, other.items_);
    std::swap(size_, other.size_);
    return *this;
  }

  Item* data() const { return items_; }
  std::size_t size() const { return size_; }

 private:
  Item* items_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace modelwatch::cuda
