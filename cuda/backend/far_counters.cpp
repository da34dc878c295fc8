#include "cuda/backend/far_counters.hpp"

#include <algorithm>
#include <bit>

namespace modelwatch::cuda {
namespace {

/// Copies begin at lines of the cache.
constexpr std::uint64_t kLine = 32;

}  // namespace

void FarChunk::begin(std::int64_t rows) {
  rows_ = rows;
  left_ = static_cast<std::size_t>(session_.info().l2_bytes) / FarTuning::kPartOfCache;
  memory_.clear();
  sums_.clear();
}

FarCounters FarChunk::take(std::uint64_t* const* slabs, std::uint64_t first, std::uint32_t first_group, std::uint32_t groups, std::uint32_t slots) {
  std::uint64_t const words = std::uint64_t{groups} * slots;
  std::uint64_t const stride = (words + kLine - 1) / kLine * kLine;
  // A counter of a copy has 32 bits, which the rows of one chunk must not exceed.
  if (words == 0 || rows_ > std::int64_t{0xffffffff} || sums_.size() == FarTuning::kMostSums) return {nullptr, 0, 1};
  std::uint64_t const most = std::min<std::uint64_t>({FarTuning::kMostCopies, left_ / (4 * stride),
                                                      static_cast<std::uint64_t>(rows_) / (FarTuning::kRowsPerCounter * words)});
  if (most < 2) return {nullptr, 0, 1};
  std::uint64_t const copies = std::bit_floor(most);
  memory_.emplace_back(copies * stride, session_.stream());
  memory_.back().zero();
  left_ -= 4 * copies * stride;
  FarCounters const out{memory_.back().data(), static_cast<std::uint32_t>(stride), static_cast<std::uint32_t>(copies)};
  sums_.push_back({out, slabs, first, first_group, slots, static_cast<std::uint32_t>(words)});
  return out;
}

void FarChunk::add() {
  if (sums_.empty()) return;
  device_sums_ = uploaded(sums_, session_.stream());
  std::uint32_t most = 0;
  for (auto const& sum : sums_) most = std::max(most, sum.words);
  launch_add_far(device_sums_.data(), static_cast<std::uint32_t>(sums_.size()), most, session_.stream());
}

}  // namespace modelwatch::cuda
