#include "cuda/backend/slabs.hpp"

#include <algorithm>

namespace modelwatch::cuda {
namespace {

/// Slabs come back so many bytes at a time.
constexpr std::size_t kPieceBytes = std::size_t{16} << 20;

}  // namespace

std::size_t Slabs::bytes_for(std::vector<std::int32_t> const& groups) const {
  auto const fresh = std::count_if(groups.begin(), groups.end(), [&](std::int32_t group) { return !has(group); });
  return static_cast<std::size_t>(fresh) * words_ * sizeof(std::uint64_t);
}

std::size_t Slabs::bytes() const {
  std::size_t total = table_.bytes();
  for (auto const& block : blocks_) total += block.memory.bytes();
  return total;
}

void Slabs::make(std::vector<std::int32_t> const& groups) {
  if (words_ == 0) return;  // no column counts into them
  Block block;
  std::size_t end = of_group_.size();
  for (std::int32_t const group : groups) {
    if (!has(group)) block.groups.push_back(group);
    end = std::max(end, static_cast<std::size_t>(group) + 1);
  }
  if (block.groups.empty()) return;
  block.memory = DeviceArray<std::uint64_t>(block.groups.size() * words_, stream_);
  block.memory.zero();
  if (end > table_.size()) table_ = DeviceArray<std::uint64_t*>(2 * end, stream_);
  of_group_.resize(end, nullptr);
  for (std::size_t i = 0; i < block.groups.size(); ++i) of_group_[static_cast<std::size_t>(block.groups[i])] = block.memory.data() + i * words_;
  blocks_.push_back(std::move(block));
  table_.upload(of_group_.data(), of_group_.size());
}

void Slabs::drain(std::function<void(std::int32_t, std::uint64_t const*)> const& f) {
  if (blocks_.empty()) return;
  std::size_t const together = std::max<std::size_t>(1, kPieceBytes / (words_ * sizeof(std::uint64_t)));
  std::vector<std::uint64_t> piece;
  while (!blocks_.empty()) {
    Block const& block = blocks_.back();
    for (std::size_t first = 0; first < block.groups.size(); first += together) {
      std::size_t const count = std::min(together, block.groups.size() - first);
      piece.resize(count * words_);
      check(cudaMemcpyAsync(piece.data(), block.memory.data() + first * words_, piece.size() * sizeof(std::uint64_t), cudaMemcpyDeviceToHost, stream_),
            "copy from the device");
      check(cudaStreamSynchronize(stream_), "finish its work");
      for (std::size_t i = 0; i < count; ++i) f(block.groups[first + i], piece.data() + i * words_);
    }
    blocks_.pop_back();
  }
  std::fill(of_group_.begin(), of_group_.end(), nullptr);
}

}  // namespace modelwatch::cuda
