#include "core/team.hpp"
#include "core/tile_profile.hpp"
#include "cuda/kernels/profile.hpp"
#include "cuda/runtime/error.hpp"

namespace modelwatch::cuda {
namespace {

constexpr std::uint32_t aligned(std::uint32_t bytes) { return (bytes + 15) / 16 * 16; }

/// Where the parts of a block's shared memory begin.
struct SharedPlaces {
  std::uint32_t tile;
  std::uint32_t mean;
  std::uint32_t moments;
  std::uint32_t row_groups;
  std::uint32_t columns_sets;
  std::uint32_t chunk_sets;
  std::uint32_t run;
  std::uint32_t next;
  std::uint32_t memory;

  MW_HD SharedPlaces(bool mixed_moments, std::uint32_t sets) {
    std::uint32_t end = 0;
    auto const take = [&](std::uint32_t bytes) {
      std::uint32_t const begin = end;
      end += (bytes + 15) / 16 * 16;
      return begin;
    };
    tile = take(sizeof(RankTile<double>));
    mean = take(sizeof(Moments));
    moments = take(mixed_moments ? sizeof(MomentTile) : sizeof(MomentLanes));
    row_groups = take(mixed_moments ? kTileRows * sizeof(std::int32_t) : 0);
    columns_sets = take(sets * static_cast<std::uint32_t>(sizeof(ProfileSet)));
    chunk_sets = take(sets * static_cast<std::uint32_t>(sizeof(ProfileGroups)));
    run = take(sets * 8);
    next = take(sets * 8);
    memory = end;
  }
};

/// Plain data by words of 32 bits, by all threads.
template <class Item>
__device__ void copy_items(Item* to, Item const* from, std::uint32_t count) {
  static_assert(sizeof(Item) % 4 == 0);
  auto* const out = reinterpret_cast<std::uint32_t*>(to);
  auto const* const in = reinterpret_cast<std::uint32_t const*>(from);
  for (std::uint32_t w = threadIdx.x; w < count * (sizeof(Item) / 4); w += blockDim.x) out[w] = in[w];
}

template <class Value>
__device__ void profile_stripe(ProfileColumn const& column, ProfileChunk const& chunk, SharedPlaces const& at, unsigned char* shared,
                               std::uint32_t stripe, std::int64_t from, std::int64_t to) {
  CudaTeam const team;
  ProfileTile<Value> const tile{reinterpret_cast<RankTile<Value>*>(shared + at.tile),
                                reinterpret_cast<MomentTile*>(shared + at.moments),
                                reinterpret_cast<Moments*>(shared + at.mean),
                                reinterpret_cast<std::int32_t*>(shared + at.row_groups),
                                reinterpret_cast<std::uint64_t**>(shared + at.run),
                                reinterpret_cast<std::uint64_t**>(shared + at.next),
                                reinterpret_cast<std::uint32_t*>(shared + at.memory),
                                stripe};
  ColumnProfiler<Value, CudaTeam>(team, column, chunk, tile).count(from, to);
}

__global__ void __launch_bounds__(ProfileTuning::kThreads, ProfileTuning::kLeastBlocks) profile_kernel(ProfileLaunch launch) {
  extern __shared__ __align__(16) unsigned char shared[];
  __shared__ ProfileColumn column;
  __shared__ ProfileChunk chunk;
  std::uint32_t const stripe = blockIdx.x % launch.stripes;
  auto const sets = static_cast<std::uint32_t>(launch.chunk.set_count);
  SharedPlaces const at(launch.mixed_moments, sets);
  // Descriptions are read all the time, and every atomic makes the compiler read them again.
  ProfileColumn const& own = launch.columns[blockIdx.x / launch.stripes];
  auto* const column_sets = reinterpret_cast<ProfileSet*>(shared + at.columns_sets);
  auto* const chunk_sets = reinterpret_cast<ProfileGroups*>(shared + at.chunk_sets);
  copy_items(&column, &own, 1);
  copy_items(column_sets, own.sets, sets);
  copy_items(chunk_sets, launch.chunk.sets, sets);
  if (threadIdx.x == 0) {
    chunk = launch.chunk;
    chunk.sets = chunk_sets;
  }
  __syncthreads();
  if (threadIdx.x == 0) column.sets = column_sets;
  __syncthreads();
  std::int64_t const tiles = (chunk.rows + kTileRows - 1) / kTileRows;
  std::int64_t const from = tiles * stripe / launch.stripes;
  std::int64_t const to = tiles * (stripe + 1) / launch.stripes;
  switch (column.domain) {
    case Domain::float32: return profile_stripe<float>(column, chunk, at, shared, stripe, from, to);
    case Domain::float64: return profile_stripe<double>(column, chunk, at, shared, stripe, from, to);
    case Domain::int64: return profile_stripe<std::int64_t>(column, chunk, at, shared, stripe, from, to);
    case Domain::uint64: return profile_stripe<std::uint64_t>(column, chunk, at, shared, stripe, from, to);
  }
}

__global__ void __launch_bounds__(ProfileTuning::kFoldThreads) fold_moments_kernel(FoldLaunch launch) {
  std::uint32_t const r = blockIdx.x * blockDim.x + threadIdx.x;
  if (r >= launch.row_count) return;
  FoldRow const row = launch.rows[r];
  Moments const* const tiles = launch.tiles + std::size_t{launch.column_stride} * blockIdx.y;
  Moments* const at = launch.groups[row.set] + static_cast<std::size_t>(row.group) * launch.column_count + blockIdx.y;
  Moments total = *at;
  for (std::uint32_t i = row.begin; i < row.end; ++i) total.merge(tiles[launch.refs[i]]);
  *at = total;
}

}  // namespace

std::size_t profile_overhead(bool mixed_moments, std::size_t sets) {
  // And what a block is charged by the system.
  constexpr std::size_t kReserved = 1024;
  return SharedPlaces(mixed_moments, static_cast<std::uint32_t>(sets)).memory + sizeof(ProfileColumn) + sizeof(ProfileChunk) + kReserved + 16;
}

void launch_profile(ProfileLaunch const& launch, cudaStream_t stream) {
  if (launch.column_count == 0 || launch.chunk.rows == 0) return;
  SharedPlaces const at(launch.mixed_moments, static_cast<std::uint32_t>(launch.chunk.set_count));
  std::uint32_t const bytes = aligned(at.memory + launch.memory_bytes);
  check(cudaFuncSetAttribute(profile_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)),
        "give a kernel its shared memory");
  profile_kernel<<<launch.column_count * launch.stripes, ProfileTuning::kThreads, bytes, stream>>>(launch);
  check_launch("profile");
}

void launch_fold_moments(FoldLaunch const& launch, cudaStream_t stream) {
  if (launch.column_count == 0 || launch.row_count == 0) return;
  dim3 const blocks((launch.row_count + ProfileTuning::kFoldThreads - 1) / ProfileTuning::kFoldThreads, launch.column_count);
  fold_moments_kernel<<<blocks, ProfileTuning::kFoldThreads, 0, stream>>>(launch);
  check_launch("fold_moments");
}

}  // namespace modelwatch::cuda
