#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "core/error.hpp"
#include "cuda/kernels/device_grid.hpp"
#include "cuda/runtime/device.hpp"
#include "cuda/runtime/memory.hpp"
#include "cuda/runtime/stream.hpp"
#include "engine/grid.hpp"

namespace modelwatch::cuda {

/// A grid's tables on a device.
class UploadedGrid {
 public:
  UploadedGrid(Grid const& grid, cudaStream_t stream);
  DeviceGrid const& view() const { return view_; }

 private:
  DeviceArray<std::uint8_t> knots_;
  DeviceArray<std::uint32_t> guide_;
  DeviceArray<GapRule> gaps_;
  DeviceArray<double> gap_scales_;
  DeviceGrid view_;
};

/// One device as this process uses it: its stream, and what is kept there between calls.
/// One call at a time: hold `Use` from the first to the last.
class Session {
 public:
  explicit Session(int device);

  DeviceInfo const& info() const { return info_; }
  cudaStream_t stream() const { return stream_.handle(); }
  void wait() const { stream_.wait(); }
  /// The tables of a grid, uploaded when it is first asked for and kept as long as the grid lives.
  DeviceGrid grid(std::shared_ptr<Grid const> const& grid);
  /// Rows that a host column is fed in at a time at most; halved where memory does not suffice.
  std::int64_t chunk_rows() const { return chunk_rows_; }
  void set_chunk_rows(std::int64_t rows) { chunk_rows_ = rows; }
  /// Where memory did not suffice; says so by what on_halving was given.
  void halve_chunk();

 private:
  friend class Use;
  struct Kept {
    std::weak_ptr<Grid const> grid;
    std::unique_ptr<UploadedGrid> tables;
  };

  DeviceInfo info_;
  Stream stream_;
  std::unordered_map<Grid const*, Kept> grids_;
  std::int64_t chunk_rows_ = std::int64_t{1} << 22;
  std::recursive_mutex mutex_;
};

/// What is called with the rows that chunks have from now on, where they had to be halved.
void on_halving(std::function<void(std::int64_t)> notice);

/// The right to use a device in this thread, until it ends.  Throws InvalidInput in a forked child, where CUDA's state is
/// its parent's, and DeviceError where there is no such device.
class Use {
 public:
  explicit Use(int device);
  Session* operator->() const { return session_; }
  Session& operator*() const { return *session_; }

 private:
  DeviceScope scope_;
  Session* session_;
  std::unique_lock<std::recursive_mutex> lock_;
};

}  // namespace modelwatch::cuda
