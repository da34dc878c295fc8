#include "cuda/backend/session.hpp"

#include <unistd.h>  // getpid

#include <algorithm>
#include <map>

#include "core/views.hpp"

namespace modelwatch::cuda {
namespace {

std::size_t key_bytes(Domain domain) { return domain == Domain::float32 ? 4 : 8; }

/// Sessions live until the process ends: giving memory back then would meet a runtime that is already gone.
Session& session_of(int device) {
  static std::mutex mutex;
  static auto* const sessions = new std::map<int, std::unique_ptr<Session>>;
  static pid_t const owner = getpid();
  if (owner != getpid()) throw InvalidInput("CUDA cannot be used in a forked process; start workers by 'spawn', or use device='cpu' in them.");
  std::lock_guard const lock(mutex);
  auto& session = (*sessions)[device];
  if (!session) session = std::make_unique<Session>(device);
  return *session;
}

std::function<void(std::int64_t)>& halving_notice() {
  static std::function<void(std::int64_t)> notice;
  return notice;
}

}  // namespace

UploadedGrid::UploadedGrid(Grid const& grid, cudaStream_t stream) {
  cpu::GridData const data = grid.data();
  std::size_t const padded = data.count + (std::size_t{1} << data.steps);
  knots_ = DeviceArray<std::uint8_t>(padded * key_bytes(data.domain), stream);
  knots_.upload(static_cast<std::uint8_t const*>(data.knots), knots_.size());
  std::vector<std::uint32_t> guide(data.buckets);
  for (std::uint32_t b = 0; b < data.buckets; ++b) guide[b] = data.guide != nullptr ? data.guide[b] : data.near_guide[b];
  guide_ = uploaded(guide, stream);
  gaps_ = DeviceArray<GapRule>(data.count + 1, stream);
  gaps_.upload(data.gaps, gaps_.size());
  if (data.gap_scales != nullptr) {
    gap_scales_ = DeviceArray<double>(data.count + 1, stream);
    gap_scales_.upload(data.gap_scales, gap_scales_.size());
  }
  view_ = {knots_.data(), guide_.data(),      gaps_.data(), gap_scales_.data(), data.first,        data.origin,       data.scale,
           data.count,    data.buckets,       data.shift,   data.steps,         grid.lower_tail(), grid.upper_tail(), data.domain};
}

Session::Session(int device) : info_(device_info(device)) {}

DeviceGrid Session::grid(std::shared_ptr<Grid const> const& grid) {
  auto const found = grids_.find(grid.get());
  // Another grid may have come to lie where one that is gone was.
  if (found != grids_.end() && found->second.grid.lock() == grid) return found->second.tables->view();
  std::erase_if(grids_, [](auto const& kept) { return kept.second.grid.expired(); });
  auto& kept = grids_[grid.get()];
  kept = {grid, std::make_unique<UploadedGrid>(*grid, stream())};
  return kept.tables->view();
}

void Session::halve_chunk() {
  chunk_rows_ = std::max<std::int64_t>(kTileRows, chunk_rows_ / 2 / kTileRows * kTileRows);
  if (halving_notice()) halving_notice()(chunk_rows_);
}

void on_halving(std::function<void(std::int64_t)> notice) { halving_notice() = std::move(notice); }

Use::Use(int device) : scope_(device), session_(&session_of(device)), lock_(session_->mutex_) {}

}  // namespace modelwatch::cuda
