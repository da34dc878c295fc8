// Block inclusive/exclusive scan with warp shuffles + split selection with ballot/match/redux
#include <cstdint>
template <class T>
__device__ T warp_incl(T v) {
#pragma unroll
  for (int o = 1; o < 32; o <<= 1) {
    T u = __shfl_up_sync(0xffffffffu, v, o);
    if ((threadIdx.x & 31) >= o) v += u;
  }
  return v;
}
template <class T>
__device__ T block_incl(T v, T* sh) {
  int lane = threadIdx.x & 31, w = threadIdx.x >> 5;
  v = warp_incl(v);
  if (lane == 31) sh[w] = v;
  __syncthreads();
  if (w == 0) {
    T s = lane < (blockDim.x + 31) / 32 ? sh[lane] : T(0);
    s = warp_incl(s);
    sh[lane] = s;
  }
  __syncthreads();
  if (w > 0) v += sh[w - 1];
  return v;
}
extern "C" __global__ void scan_i32(int const* in, int* out, int n) {
  __shared__ int sh[32];
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  int v = i < n ? in[i] : 0;
  v = block_incl(v, sh);
  if (i < n) out[i] = v;
}
// best split: scan G,H doubles, gain, argmax via shfl_xor, tie-break lower index
extern "C" __global__ void best_split(double2 const* hist, int nbins, double lambda, double* gain, int* bin) {
  __shared__ double shg[32], shh[32];
  __shared__ double bg[32];
  __shared__ int bi[32];
  __shared__ double tot[2];
  int t = threadIdx.x;
  double2 const* h = hist + (size_t)blockIdx.x * nbins;
  double2 v = t < nbins ? h[t] : make_double2(0, 0);
  double G = block_incl(v.x, shg), H = block_incl(v.y, shh);
  if (t == blockDim.x - 1) {
    tot[0] = G;
    tot[1] = H;
  }
  __syncthreads();
  double Gr = tot[0] - G, Hr = tot[1] - H;
  double s = -1.0;
  if (t < nbins - 1 && H > 0 && Hr > 0)
    s = G * G / (H + lambda) + Gr * Gr / (Hr + lambda) - tot[0] * tot[0] / (tot[1] + lambda);
  int b = t;
#pragma unroll
  for (int o = 16; o; o >>= 1) {
    double s2 = __shfl_xor_sync(~0u, s, o);
    int b2 = __shfl_xor_sync(~0u, b, o);
    if (s2 > s || (s2 == s && b2 < b)) {
      s = s2;
      b = b2;
    }
  }
  if ((t & 31) == 0) {
    bg[t >> 5] = s;
    bi[t >> 5] = b;
  }
  __syncthreads();
  if (t == 0) {
    for (int w = 1; w < (int)(blockDim.x + 31) / 32; ++w)
      if (bg[w] > s) {
        s = bg[w];
        b = bi[w];
      }
    gain[blockIdx.x] = s;
    bin[blockIdx.x] = b;
  }
}
// stable stream compaction with ballot/popc; warp-aggregated atomics with match_any (sm_70+), redux (sm_80+)
extern "C" __global__ void partition(int const* rows, uint8_t const* bins, int n, int thr, int* left, int* cursor,
                                     int* classcnt, int* wsum) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  bool in = i < n;
  int r = in ? rows[i] : 0;
  int b = in ? bins[r] : 255;
  bool go = in && b <= thr;
  unsigned m = __ballot_sync(~0u, go);
  int lane = threadIdx.x & 31, base = 0;
  if (lane == 0 && m) base = atomicAdd(cursor, __popc(m));
  base = __shfl_sync(~0u, base, 0);
  if (go) left[base + __popc(m & ((1u << lane) - 1))] = r;
#if __CUDA_ARCH__ >= 700
  if (in) {
    unsigned peers = __match_any_sync(__activemask(), b & 7);
    if (lane == __ffs(peers) - 1) atomicAdd(&classcnt[b & 7], __popc(peers));
  }
  __syncwarp();
#endif
#if __CUDA_ARCH__ >= 800
  int s = __reduce_add_sync(~0u, in ? b : 0);
#else
  int s = in ? b : 0;
  for (int o = 16; o; o >>= 1) s += __shfl_down_sync(~0u, s, o);
#endif
  if (lane == 0) wsum[i >> 5] = s;
  int any = __any_sync(~0u, go), all = __syncthreads_or(go), c = __syncthreads_count(go);
  if (threadIdx.x == 0) atomicAdd(&cursor[1], any + all + c);
}
