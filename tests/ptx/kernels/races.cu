// Kernels whose threads meet in global memory. Marked as bugs.cu is: a line with "BUG: <pattern>" must be reported,
// a kernel without one must run clean, with detection of global races on.
#define KERNEL extern "C" __global__ void

KERNEL every_thread_its_own(const int* a, int* o) {
  o[blockIdx.x * blockDim.x + threadIdx.x] = a[threadIdx.x];
}
KERNEL blocks_overlap(const int* a, int* o) {  // the partition of blocks is missing from the index
  o[threadIdx.x] = a[threadIdx.x] + blockIdx.x;  // BUG: global memory race: write .* not ordered with the write by
}
KERNEL tails_overlap(const int* a, int* o) {  // each block writes one element of the next one's share
  int first = blockIdx.x * blockDim.x;
  o[first + threadIdx.x] = a[threadIdx.x];  // BUG: global memory race
  if (threadIdx.x == 0) o[first + blockDim.x] = -1;  // BUG: global memory race
}
KERNEL last_byte_overlaps(const int* a, int* o) {
  unsigned char* bytes = reinterpret_cast<unsigned char*>(o);
  if (threadIdx.x == 0) {
    for (int i = 0; i <= 7; ++i) bytes[blockIdx.x * 7 + i] = a[i];  // BUG: global memory race
  }
}
KERNEL bytes_meet_without_overlap(const int* a, int* o) {
  unsigned char* bytes = reinterpret_cast<unsigned char*>(o);
  if (threadIdx.x == 0) {
    for (int i = 0; i < 7; ++i) bytes[blockIdx.x * 7 + i] = a[i];
  }
}
KERNEL wide_store_overlaps(const int* a, int* o) {
  reinterpret_cast<int4*>(o)[blockIdx.x * blockDim.x + threadIdx.x] = make_int4(a[0], a[1], a[2], a[3]);  // BUG: global memory race
  if (threadIdx.x == 1) o[4 * blockIdx.x * blockDim.x + 3] = 0;  // BUG: global memory race
}
KERNEL lost_update(const int* a, int* o) {
  o[0] = o[0] + a[0];  // BUG: global memory race
}
KERNEL atomic_update(const int* a, int* o) { atomicAdd(&o[0], a[threadIdx.x]); }
KERNEL atomic_then_plain_read(const int* a, int* o) {
  atomicAdd(&o[0], a[threadIdx.x]);  // BUG: global memory race: atomic .* not ordered with the read by
  o[64 + blockIdx.x * blockDim.x + threadIdx.x] = o[0];  // BUG: global memory race: read
}
KERNEL plain_clear_before_atomic(const int* a, int* o) {
  if (threadIdx.x == 0) o[0] = 0;  // BUG: global memory race: write
  __syncthreads();
  atomicAdd(&o[0], a[threadIdx.x]);  // BUG: global memory race: atomic
}
KERNEL block_clears_its_own_before_atomic(const int* a, int* o) {
  if (threadIdx.x == 0) o[blockIdx.x] = 0;
  __syncthreads();
  atomicAdd(&o[blockIdx.x], a[threadIdx.x]);
}
KERNEL exchange_without_barrier(const int* a, int* o) {
  int* mine = o + blockIdx.x * blockDim.x;
  mine[threadIdx.x] = a[threadIdx.x];  // BUG: global memory race
  int v = mine[blockDim.x - 1 - threadIdx.x];  // BUG: global memory race
  __syncthreads();
  mine[threadIdx.x] = v;
}
KERNEL exchange_with_barrier(const int* a, int* o) {
  int* mine = o + blockIdx.x * blockDim.x;
  mine[threadIdx.x] = a[threadIdx.x];
  __syncthreads();
  int v = mine[blockDim.x - 1 - threadIdx.x];
  __syncthreads();
  mine[threadIdx.x] = v;
}
KERNEL exchange_in_a_warp(const int* a, int* o) {
  int* mine = o + blockIdx.x * blockDim.x;
  mine[threadIdx.x] = a[threadIdx.x];
  __syncwarp();
  int v = mine[threadIdx.x ^ 1];
  __syncwarp();
  mine[threadIdx.x] = v;
}
KERNEL warp_sync_between_warps(const int* a, int* o) {
  int* mine = o + blockIdx.x * blockDim.x;
  mine[threadIdx.x] = a[threadIdx.x];  // BUG: global memory race
  __syncwarp();
  int v = mine[threadIdx.x ^ 32];  // BUG: global memory race
  __syncthreads();
  mine[threadIdx.x] = v;
}
KERNEL overwrite_of_the_input(const int* a, int* o) {  // in place, but the neighbour's block may have run
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  int left = i ? o[i - 1] : a[0];  // BUG: global memory race
  __syncthreads();
  o[i] = left + 1;  // BUG: global memory race
}
__device__ unsigned arrived;
__device__ int last_sum(const int* o) {
  int sum = 0;
  for (unsigned block = 0; block < gridDim.x; ++block) sum += o[block];
  return sum;
}
KERNEL last_block_adds_up(const int* a, int* o) {  // published by fences: clean
  if (threadIdx.x == 0) {
    o[blockIdx.x] = a[blockIdx.x];
    __threadfence();
    bool last = atomicAdd(&arrived, 1u) == gridDim.x - 1;
    __threadfence();
    if (last) {
      o[100] = last_sum(o);
      arrived = 0;
    }
  }
}
KERNEL last_block_without_fence(const int* a, int* o) {
  if (threadIdx.x == 0) {
    o[blockIdx.x] = a[blockIdx.x];
    if (atomicAdd(&arrived, 1u) == gridDim.x - 1) {
      for (unsigned block = 0; block < gridDim.x; ++block) o[100] += o[block];  // BUG: global memory race: read
    }
  }
}
