#pragma once

#include <cuda_runtime_api.h>

#include <utility>

#include "cuda/runtime/error.hpp"

namespace modelwatch::cuda {

/// A stream of its own: work in it runs in order, and does not wait for the default stream.
class Stream {
 public:
  Stream() { check(cudaStreamCreateWithFlags(&handle_, cudaStreamNonBlocking), "make a stream"); }
  ~Stream() {
    if (handle_ != nullptr) cudaStreamDestroy(handle_);
  }
  Stream(Stream&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Stream(Stream const&) = delete;
  Stream& operator=(Stream const&) = delete;

  cudaStream_t handle() const { return handle_; }
  /// Waits for all work so far; throws what it got wrong.
  void wait() const { check(cudaStreamSynchronize(handle_), "finish its work"); }

 private:
  cudaStream_t handle_ = nullptr;
};

/// A point in a stream that others can wait for.
class Event {
 public:
  Event() { check(cudaEventCreateWithFlags(&handle_, cudaEventDisableTiming), "make an event"); }
  ~Event() {
    if (handle_ != nullptr) cudaEventDestroy(handle_);
  }
  Event(Event&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Event(Event const&) = delete;
  Event& operator=(Event const&) = delete;

  void record(cudaStream_t stream) { check(cudaEventRecord(handle_, stream), "record an event"); }
  /// The host waits; at once where nothing was recorded.
  void wait() const { check(cudaEventSynchronize(handle_), "wait for an event"); }
  void hold_back(cudaStream_t stream) const { check(cudaStreamWaitEvent(stream, handle_, 0), "order two streams"); }

 private:
  cudaEvent_t handle_ = nullptr;
};

}  // namespace modelwatch::cuda
