// What is reported for each source line: which ran, and what its memory requests cost.
#define KERNEL extern "C" __global__ void

__device__ __forceinline__ int doubled(int x) {
  return x * 2;  // LINE inlined
}
__device__ __noinline__ int rarely(int x) {
  return x / 3 - 1;  // LINE called
}
KERNEL branches(const int* a, int* o, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  int v = a[i];  // LINE streaming
  if (n == 12345) {
    v = rarely(v) * 7;  // LINE never
  }
  o[i] = doubled(v);  // LINE store
}
KERNEL strided(const int* a, int* o, int stride) {
  int i = threadIdx.x;
  o[i] = a[i * stride];  // LINE strided
}
KERNEL wide(const int4* a, int* o) {
  int4 v = a[threadIdx.x];  // LINE wide
  o[threadIdx.x] = v.x + v.y + v.z + v.w;
}
KERNEL not_launched(int* o) {
  o[threadIdx.x] = 1;  // LINE unused
}
