#include "cuda/kernels/far.hpp"
#include "cuda/runtime/error.hpp"

namespace modelwatch::cuda {
namespace {

__global__ void __launch_bounds__(FarTuning::kThreads) add_far_kernel(FarSum const* sums) {
  FarSum const& own = sums[blockIdx.y];
  std::uint32_t const w = blockIdx.x * blockDim.x + threadIdx.x;
  if (w >= own.words) return;
  std::uint64_t total = 0;
  for (std::uint32_t copy = 0; copy < own.from.copies; ++copy) total += own.from.copy(copy)[w];
  // Groups that no row of the chunk is in have no slab.
  if (total != 0) own.slabs[own.first_group + w / own.slots][own.first + w % own.slots] += total;
}

}  // namespace

void launch_add_far(FarSum const* sums, std::uint32_t count, std::uint32_t most_words, cudaStream_t stream) {
  if (count == 0) return;
  dim3 const blocks((most_words + FarTuning::kThreads - 1) / FarTuning::kThreads, count);
  add_far_kernel<<<blocks, FarTuning::kThreads, 0, stream>>>(sums);
  check_launch("add_far");
}

}  // namespace modelwatch::cuda
