// Whole-program tests of the runtime stand-in: an ordinary CUDA program, linked with it instead of libcudart.
#include <cooperative_groups.h>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <vector>

#include "ptx_runtime.h"

static int passed = 0, failed = 0;
#define CHECK(condition)                                                  \
  do {                                                                    \
    if (condition)                                                        \
      ++passed;                                                           \
    else {                                                                \
      ++failed;                                                           \
      std::printf("FAIL runtime_test.cu:%d: %s\n", __LINE__, #condition); \
    }                                                                     \
  } while (0)
#define OK(call) CHECK((call) == cudaSuccess)

__constant__ float scale = 2.0f;
__device__ int counter;
__device__ int table[4] = {1, 2, 3, 4};

template <class T>
__global__ void axpy(const T* x, T* y, int n, T a) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] += a * x[i] * T(scale);
}
__global__ void blockSum(float const* x, float* out, int n) {
  extern __shared__ float s[];
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  s[threadIdx.x] = i < n ? x[i] : 0;
  __syncthreads();
  for (int k = blockDim.x / 2; k; k /= 2) {
    if (threadIdx.x < k) s[threadIdx.x] += s[threadIdx.x + k];
    __syncthreads();
  }
  if (!threadIdx.x) atomicAdd(out, s[0]);
}
__global__ void count() { atomicAdd(&counter, table[threadIdx.x & 3]); }
__global__ void __launch_bounds__(64) small(int* o) { o[threadIdx.x] = 1; }
__global__ void bigStatic(int* o) {
  __shared__ int s[10000];
  s[threadIdx.x] = threadIdx.x;
  __syncthreads();
  o[threadIdx.x] = s[threadIdx.x ^ 1];
}
__global__ void poke(int* p) { *p = 7; }
__global__ void trapIf(int v) {
  if (v) __trap();
}
__global__ void collide(int* p) { *p = int(blockIdx.x); }
struct Big {
  int v[20];
  double d;
};
__global__ void byValue(Big b, char c, double* o) { o[0] = b.v[19] + b.d + c; }

static void memory() {
  float *x, *y, *sum, host = 0;
  int const n = 1000;
  std::vector<float> h(n);
  std::iota(h.begin(), h.end(), 0.0f);
  OK(cudaMalloc(&x, n * 4));
  OK(cudaMalloc(&y, n * 4));
  OK(cudaMalloc(&sum, 4));
  OK(cudaMemcpy(x, h.data(), n * 4, cudaMemcpyHostToDevice));
  OK(cudaMemset(y, 0, n * 4));
  OK(cudaMemset(sum, 0, 4));
  axpy<float><<<(n + 127) / 128, 128>>>(x, y, n, 0.5f);
  blockSum<<<4, 256, 1024>>>(y, sum, n);
  OK(cudaGetLastError());
  OK(cudaMemcpy(&host, sum, 4, cudaMemcpyDeviceToHost));
  CHECK(host == 499500.0f);
  CHECK(cudaMemcpy(&host, sum, 8, cudaMemcpyDeviceToHost) == cudaErrorInvalidValue);  // past the end
  CHECK(cudaMemcpy(&host, sum, 4, cudaMemcpyHostToDevice) == cudaErrorInvalidValue);  // wrong direction
  CHECK(cudaMemcpy(x + 1, y, 4, cudaMemcpyDeviceToDevice) == cudaSuccess);
  CHECK(cudaFree(x + 1) == cudaErrorInvalidValue);
  CHECK(cudaPeekAtLastError() == cudaErrorInvalidValue && cudaGetLastError() == cudaErrorInvalidValue &&
        cudaGetLastError() == cudaSuccess);
  cudaPointerAttributes a;
  OK(cudaPointerGetAttributes(&a, y + 5));
  CHECK(a.type == cudaMemoryTypeDevice);
  OK(cudaPointerGetAttributes(&a, &host));
  CHECK(a.type == cudaMemoryTypeUnregistered);
  size_t free0, free1, total;
  OK(cudaMemGetInfo(&free0, &total));
  OK(cudaFree(y));
  OK(cudaMemGetInfo(&free1, &total));
  CHECK(free1 == free0 + n * 4);
  CHECK(cudaFree(y) == cudaErrorInvalidValue);  // twice
  OK(cudaFree(nullptr));
  OK(cudaFree(x));
  OK(cudaFree(sum));
  void* huge;
  CHECK(cudaMalloc(&huge, size_t(1) << 40) == cudaErrorMemoryAllocation && huge == nullptr);
  float* pinned;
  OK(cudaMallocHost(&pinned, 64));
  pinned[0] = 3;
  OK(cudaPointerGetAttributes(&a, pinned));
  CHECK(a.type == cudaMemoryTypeHost);
  poke<<<1, 1>>>(reinterpret_cast<int*>(pinned));
  OK(cudaDeviceSynchronize());
  CHECK(reinterpret_cast<int*>(pinned)[0] == 7);
  OK(cudaFreeHost(pinned));
  int got = 0, zero = 0;
  OK(cudaMemcpyToSymbol(counter, &zero, 4));
  count<<<3, 64>>>();
  OK(cudaMemcpyFromSymbol(&got, counter, 4));
  CHECK(got == 3 * 16 * 10);
  void* address;
  size_t bytes;
  OK(cudaGetSymbolAddress(&address, table));
  OK(cudaGetSymbolSize(&bytes, table));
  CHECK(bytes == 16);
  OK(cudaMemcpy(&got, static_cast<int*>(address) + 3, 4, cudaMemcpyDeviceToHost));
  CHECK(got == 4);
  Big b{};
  b.v[19] = 5;
  b.d = 0.25;
  double *o, r;
  OK(cudaMalloc(&o, 8));
  byValue<<<1, 1>>>(b, char(-3), o);
  OK(cudaMemcpy(&r, o, 8, cudaMemcpyDeviceToHost));
  CHECK(r == 2.25);
  OK(cudaFree(o));
}

static void streams() {
  cudaStream_t s, t;
  OK(cudaStreamCreate(&s));
  OK(cudaStreamCreateWithFlags(&t, cudaStreamNonBlocking));
  int *d, *host;
  OK(cudaMallocAsync(&d, 4, s));
  OK(cudaMallocHost(&host, 8));
  host[0] = 41;
  host[1] = 0;
  OK(cudaMemcpyAsync(d, host, 4, cudaMemcpyHostToDevice, s));
  bool const lazy = std::getenv("PTX_STREAMS") && !std::strcmp(std::getenv("PTX_STREAMS"), "lazy");
  host[0] = 42;  // a program error: the copy may still be pending. Lazy streams make it visible.
  poke<<<1, 1, 0, t>>>(host + 1);
  cudaEvent_t e, f;
  OK(cudaEventCreate(&e));
  OK(cudaEventCreate(&f));
  OK(cudaEventRecord(e, t));
  OK(cudaStreamWaitEvent(s, e, 0));
  OK(cudaMemcpyAsync(host, d, 4, cudaMemcpyDeviceToHost, s));
  OK(cudaEventRecord(f, s));
  CHECK(cudaEventQuery(f) == (lazy ? cudaErrorNotReady : cudaSuccess));
  OK(cudaEventSynchronize(f));
  CHECK(host[0] == (lazy ? 42 : 41));
  CHECK(host[1] == 7);  // s waited for t
  float ms = -1;
  OK(cudaEventElapsedTime(&ms, e, f));
  CHECK(ms >= 0);
  poke<<<1, 1, 0, s>>>(d);
  int polls = 0;
  while (cudaStreamQuery(s) == cudaErrorNotReady) ++polls;
  CHECK(polls == (lazy ? 1 : 0));
  int value = 0;
  poke<<<1, 1, 0, s>>>(d);
  OK(cudaMemcpy(&value, d, 4, cudaMemcpyDeviceToHost));  // the default stream waits for s
  CHECK(value == 7);
  OK(cudaFreeAsync(d, s));
  OK(cudaStreamSynchronize(s));
  CHECK(cudaFreeAsync(d, s) == cudaErrorInvalidValue);
  cudaGetLastError();
  OK(cudaFreeHost(host));
  OK(cudaEventDestroy(e));
  OK(cudaEventDestroy(f));
  OK(cudaStreamDestroy(s));
  OK(cudaStreamDestroy(t));
  CHECK(cudaStreamSynchronize(s) == cudaErrorInvalidResourceHandle);
  cudaGetLastError();
  CHECK(ptxLiveHandles() == 0);
}

static void limits() {
  int* d;
  OK(cudaMalloc(&d, 4096 * 4));
  auto refused = [](cudaError_t want) { return cudaGetLastError() == want; };
  poke<<<1, 1025>>>(d);
  CHECK(refused(cudaErrorInvalidConfiguration));
  poke<<<1, dim3(1, 1, 65)>>>(d);
  CHECK(refused(cudaErrorInvalidConfiguration));
  poke<<<dim3(1, 65536), 1>>>(d);
  CHECK(refused(cudaErrorInvalidConfiguration));
  poke<<<0, 1>>>(d);
  CHECK(refused(cudaErrorInvalidConfiguration));
  small<<<1, 65>>>(d);
  CHECK(refused(cudaErrorLaunchOutOfResources));
  small<<<1, 64>>>(d);
  CHECK(refused(cudaSuccess));
  poke<<<1, 1, 49153>>>(d);
  CHECK(refused(cudaErrorInvalidValue));
  bigStatic<<<1, 64, 9153>>>(d);
  CHECK(refused(cudaErrorInvalidValue));  // 40000 + 9153 > 48 KiB
  bigStatic<<<1, 64>>>(d);
  CHECK(refused(cudaSuccess));
  cudaDeviceProp p;
  OK(cudaGetDeviceProperties(&p, 0));
  OK(cudaFuncSetAttribute(poke, cudaFuncAttributeMaxDynamicSharedMemorySize, int(p.sharedMemPerBlockOptin)));
  poke<<<1, 1, p.sharedMemPerBlockOptin>>>(d);
  CHECK(refused(cudaSuccess));
  CHECK(cudaFuncSetAttribute(poke, cudaFuncAttributeMaxDynamicSharedMemorySize, int(p.sharedMemPerBlockOptin) + 1) ==
        cudaErrorInvalidValue);
  cudaGetLastError();
  cudaFuncAttributes a;
  OK(cudaFuncGetAttributes(&a, bigStatic));
  CHECK(a.sharedSizeBytes == 40000);
  OK(cudaFuncGetAttributes(&a, small));
  CHECK(a.maxThreadsPerBlock == 64);
  int blocks, value;
  OK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, bigStatic, 128, 0));
  CHECK(blocks == int(p.sharedMemPerMultiprocessor / 41024));
  OK(cudaDeviceGetAttribute(&value, cudaDevAttrComputeCapabilityMajor, 0));
  CHECK(value == p.major);
  OK(cudaGetDeviceCount(&value));
  CHECK(value == 1);
  CHECK(cudaSetDevice(1) == cudaErrorInvalidDevice);
  cudaGetLastError();
  cudaLaunchConfig_t config = {};
  config.gridDim = 1;
  config.blockDim = 1;
  OK(cudaLaunchKernelEx(&config, poke, d));
  OK(cudaDeviceSynchronize());
  CHECK(!std::strcmp(cudaGetErrorName(cudaErrorInvalidValue), "cudaErrorInvalidValue") &&
        *cudaGetErrorString(cudaErrorLaunchFailure));
  OK(cudaFree(d));
}

static void faults() {
  auto sticky = [](cudaError_t want) {
    cudaDeviceSynchronize();
    void* p;
    const bool refuses = cudaMalloc(&p, 4) == want;  // nothing works after a fault
    const bool named = std::strlen(ptxLastFault()) > 0;
    ptxClearFault();
    return refuses && named;
  };
  int onHost = 0, *d;
  OK(cudaMalloc(&d, 4));
  poke<<<1, 1>>>(&onHost);
  CHECK(sticky(cudaErrorIllegalAddress) && onHost == 0);  // host memory given to a kernel
  poke<<<1, 1>>>(d + 1);
  CHECK(sticky(cudaErrorIllegalAddress));
  poke<<<1, 1>>>(reinterpret_cast<int*>(reinterpret_cast<char*>(d) + 2));
  CHECK(sticky(cudaErrorMisalignedAddress));
  trapIf<<<1, 1>>>(1);
  CHECK(sticky(cudaErrorLaunchFailure));
  collide<<<1, 1>>>(d);
  CHECK(cudaDeviceSynchronize() == cudaSuccess);
  collide<<<2, 1>>>(d);  // a race, looked for on request
  char const* races = std::getenv("PTX_RACES");
  if (races && *races == '2')
    CHECK(cudaDeviceSynchronize() == cudaErrorLaunchFailure && std::strstr(ptxLastFault(), "global memory race"));
  else
    CHECK(cudaDeviceSynchronize() == cudaSuccess && !*ptxLastFault());
  ptxClearFault();
  OK(cudaFree(d));
  poke<<<1, 1>>>(d);
  CHECK(sticky(cudaErrorIllegalAddress));  // freed
  CHECK(ptxLeakCount() == 0);
  void *p, *q;
  ptxFailNth(ptxFailAllocation, 2);
  CHECK(cudaMalloc(&p, 4) == cudaSuccess && cudaMalloc(&q, 4) == cudaErrorMemoryAllocation);
  CHECK(cudaGetLastError() == cudaErrorMemoryAllocation);
  CHECK(ptxLeakCount() == 1);
  ptxFailNth(ptxFailCopy, 1);
  CHECK(cudaMemset(p, 0, 4) != cudaSuccess && cudaMemset(p, 0, 4) == cudaSuccess);
  cudaGetLastError();
  ptxFailNth(ptxFailLaunch, 1);
  poke<<<1, 1>>>(static_cast<int*>(p));
  CHECK(cudaGetLastError() == cudaErrorLaunchFailure);
  poke<<<1, 1>>>(static_cast<int*>(p));
  CHECK(cudaGetLastError() == cudaSuccess);
  OK(cudaFree(p));
  CHECK(ptxLeakCount() == 0);
}

int main() {
  memory();
  streams();
  limits();
  faults();
  std::printf("runtime: %d passed, %d failed\n", passed, failed);
  return failed != 0;
}
