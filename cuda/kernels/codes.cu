#include <algorithm>

#include "core/hash.hpp"
#include "core/team.hpp"
#include "cuda/kernels/codes.hpp"
#include "cuda/runtime/error.hpp"

namespace modelwatch::cuda {
namespace {

__global__ void __launch_bounds__(CodeTuning::kThreads, 4) count_codes_kernel(CodeLaunch launch) {
  extern __shared__ std::uint32_t memory[];
  __shared__ std::uint32_t valid[kTileWords];
  CudaTeam const team;
  std::int64_t const tiles = (launch.chunk.rows + kTileRows - 1) / kTileRows;
  std::uint32_t const stripe = blockIdx.x % launch.stripes;
  count_codes(team, launch.columns[blockIdx.x / launch.stripes], launch.chunk, tiles * stripe / launch.stripes,
              tiles * (stripe + 1) / launch.stripes, valid, memory, stripe);
}

/// Offset `at` of a column of text.
__device__ std::int64_t offset_of(TextRows const& text, std::int64_t at) {
  return text.wide ? static_cast<std::int64_t const*>(text.offsets)[at] : static_cast<std::int64_t>(static_cast<std::int32_t const*>(text.offsets)[at]);
}

__global__ void __launch_bounds__(CodeTuning::kThreads) text_sizes_kernel(TextRows text, std::uint32_t const* rows, std::uint32_t count, std::uint64_t* sizes) {
  std::uint32_t const i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count) sizes[i] = static_cast<std::uint64_t>(offset_of(text, std::int64_t{rows[i]} + 1) - offset_of(text, rows[i]));
}

__global__ void __launch_bounds__(CodeTuning::kThreads)
    gather_text_kernel(TextRows text, std::uint32_t const* rows, std::uint32_t count, std::uint64_t const* ends, std::uint8_t* out) {
  std::uint32_t const i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= count) return;
  std::uint8_t const* from = text.bytes + (offset_of(text, rows[i]) - text.first);
  for (std::uint64_t to = i == 0 ? 0 : ends[i - 1]; to < ends[i]; ++to) out[to] = *from++;
}

__global__ void __launch_bounds__(CodeTuning::kThreads, 4) look_up_kernel(TextRows text, TextTable table, std::uint32_t* places, std::uint32_t* absent) {
  CudaTeam const team;
  for (std::int64_t row = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; row < text.rows; row += std::int64_t{gridDim.x} * blockDim.x) {
    std::uint32_t place = 0;
    if (text.validity.valid(row)) {
      std::int64_t const begin = offset_of(text, row);
      std::int64_t const size = offset_of(text, row + 1) - begin;
      std::uint8_t const* const value = text.bytes + (begin - text.first);
      place = table.places[table.slot_of(value, size, hash_bytes(value, size))];
      if (place == 0) {
        place = kAbsentPlace;
        absent[1 + team.add_before(absent, 1)] = static_cast<std::uint32_t>(row);
      }
    }
    places[row] = place;
  }
}

}  // namespace

void launch_count_codes(CodeLaunch const& launch, cudaStream_t stream) {
  if (launch.column_count == 0 || launch.chunk.rows == 0) return;
  count_codes_kernel<<<launch.column_count * launch.stripes, CodeTuning::kThreads, launch.memory_bytes, stream>>>(launch);
  check_launch("count_codes");
}

void launch_look_up(TextRows const& text, TextTable const& table, std::uint32_t* places, std::uint32_t* absent, int multiprocessors, cudaStream_t stream) {
  if (text.rows == 0) return;
  std::int64_t const blocks = (text.rows + CodeTuning::kThreads - 1) / CodeTuning::kThreads;
  std::int64_t const most = std::int64_t{multiprocessors} * CodeTuning::kBlocksPerMultiprocessor;
  look_up_kernel<<<static_cast<unsigned>(std::min(blocks, most)), CodeTuning::kThreads, 0, stream>>>(text, table, places, absent);
  check_launch("look_up");
}

void launch_text_sizes(TextRows const& text, std::uint32_t const* rows, std::uint32_t count, std::uint64_t* sizes, cudaStream_t stream) {
  if (count == 0) return;
  text_sizes_kernel<<<(count + CodeTuning::kThreads - 1) / CodeTuning::kThreads, CodeTuning::kThreads, 0, stream>>>(text, rows, count, sizes);
  check_launch("text_sizes");
}

void launch_gather_text(TextRows const& text, std::uint32_t const* rows, std::uint32_t count, std::uint64_t const* ends, std::uint8_t* out,
                        cudaStream_t stream) {
  if (count == 0) return;
  gather_text_kernel<<<(count + CodeTuning::kThreads - 1) / CodeTuning::kThreads, CodeTuning::kThreads, 0, stream>>>(text, rows, count, ends, out);
  check_launch("gather_text");
}

}  // namespace modelwatch::cuda
