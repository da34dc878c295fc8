// Whole-program tests of what touches memory and devices: values never written, strips, pools, two devices, loss.
// Run with PTX_DEVICES=2.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include "ptx_runtime.h"

static int passed = 0, failed = 0;
#define CHECK(condition)                                                  \
  do {                                                                    \
    if (condition)                                                        \
      ++passed;                                                           \
    else {                                                                \
      ++failed;                                                           \
      std::printf("FAIL devices_test.cu:%d: %s\n", __LINE__, #condition); \
    }                                                                     \
  } while (0)
#define OK(call) CHECK((call) == cudaSuccess)

__device__ int mark;
__global__ void add_one(int const* from, int* to, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) to[i] = from[i] + 1;
}
__global__ void add_bytes(unsigned char const* from, int* to) { to[threadIdx.x] = from[threadIdx.x]; }
__global__ void count_up(int* at) { atomicAdd(at, 1); }
__global__ void set_mark(int value) { mark = value; }
__global__ void with_shared(int* to) {
  extern __shared__ int own[];
  own[threadIdx.x] = 1;
  to[threadIdx.x] = own[threadIdx.x];
}

static bool fault(char const* text) {
  cudaDeviceSynchronize();
  bool const found = std::strstr(ptxLastFault(), text) != nullptr;
  ptxClearFault();
  return found;
}

static void values_never_written() {
  char const* setting = std::getenv("PTX_UNINITIALISED");
  bool const followed = !(setting && *setting == '0');
  int *a, *b, *sum, host[8] = {};
  OK(cudaMalloc(&a, 32));
  OK(cudaMalloc(&b, 32));
  OK(cudaMalloc(&sum, 4));
  add_one<<<1, 8>>>(a, b, 8);
  CHECK(fault("read of uninitialised global memory") == followed);
  OK(cudaMemcpy(a, host, 28, cudaMemcpyHostToDevice));
  add_one<<<1, 8>>>(a, b, 7);  // what was copied is there
  OK(cudaDeviceSynchronize());
  add_one<<<1, 8>>>(a, b, 8);  // one more is not
  CHECK(fault("28 bytes into an allocation of 32 bytes") == followed);
  OK(cudaMemset(a, 0, 32));
  add_one<<<1, 8>>>(a, b, 8);
  add_one<<<1, 8>>>(b, a, 8);  // what a kernel wrote is there
  OK(cudaDeviceSynchronize());
  count_up<<<1, 1>>>(sum);  // an atomic reads
  CHECK(fault("read of uninitialised global memory") == followed);
  OK(cudaMemset(reinterpret_cast<char*>(sum) + 1, 0, 3));
  add_bytes<<<1, 4>>>(reinterpret_cast<unsigned char*>(sum), b);
  CHECK(fault("0 bytes into an allocation of 4 bytes") == followed);
  // A copy carries what is not there along.
  int *c, *d;
  OK(cudaMalloc(&c, 32));
  OK(cudaMalloc(&d, 32));
  OK(cudaMemcpy(c, d, 32, cudaMemcpyDeviceToDevice));
  add_one<<<1, 8>>>(c, a, 8);
  CHECK(fault("read of uninitialised global memory") == followed);
  for (int* p : {a, b, c, d, sum}) OK(cudaFree(p));
  // The host may write pinned memory unseen.
  int* pinned;
  OK(cudaMallocHost(&pinned, 32));
  std::memset(pinned, 0, 32);
  add_one<<<1, 4>>>(pinned, pinned + 4, 4);
  OK(cudaDeviceSynchronize());
  CHECK(pinned[7] == 1);
  OK(cudaFreeHost(pinned));
}

static void strips() {
  char from[4][8], to[4][16], *device;
  size_t pitch;
  std::memset(to, 'x', sizeof to);
  for (int row = 0; row < 4; ++row)
    for (int column = 0; column < 8; ++column) from[row][column] = char(10 * row + column);
  OK(cudaMallocPitch(reinterpret_cast<void**>(&device), &pitch, 8, 4));
  CHECK(pitch >= 8 && pitch % 256 == 0);
  cudaStream_t stream;
  OK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  OK(cudaMemcpy2DAsync(device, pitch, from, 8, 8, 4, cudaMemcpyHostToDevice, stream));
  OK(cudaMemset2DAsync(device + pitch + 2, pitch, 7, 3, 2, stream));
  OK(cudaMemcpy2DAsync(to, 16, device, pitch, 8, 4, cudaMemcpyDeviceToHost, stream));
  OK(cudaStreamSynchronize(stream));
  CHECK(to[0][7] == 7 && to[3][0] == 30 && to[0][8] == 'x');
  CHECK(to[1][1] == 11 && to[1][2] == 7 && to[2][4] == 7 && to[2][5] == 25 && to[3][2] == 32);
  CHECK(cudaMemcpy2D(device, 4, from, 8, 8, 4, cudaMemcpyHostToDevice) == cudaErrorInvalidPitchValue);
  CHECK(cudaMemcpy2D(device, pitch, from, 8, 8, 5, cudaMemcpyHostToDevice) == cudaErrorInvalidValue);  // beyond its end
  OK(cudaMemcpy2D(device, 8, from, 8, 8, 0, cudaMemcpyHostToDevice));
  cudaGetLastError();
  OK(cudaStreamDestroy(stream));
  OK(cudaFree(device));
}

static void pools() {
  cudaMemPool_t pool, own;
  cudaStream_t stream;
  unsigned long long value = 1 << 20, used, reserved;
  OK(cudaStreamCreate(&stream));
  OK(cudaDeviceGetDefaultMemPool(&pool, 0));
  OK(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &value));
  OK(cudaMemPoolGetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &value));
  CHECK(value == 1 << 20);
  void *a, *b;
  OK(cudaMallocAsync(&a, 1000, stream));
  OK(cudaMallocFromPoolAsync(&b, 500, pool, stream));
  OK(cudaMemPoolGetAttribute(pool, cudaMemPoolAttrUsedMemCurrent, &used));
  CHECK(used == 1500);
  OK(cudaFreeAsync(b, stream));
  OK(cudaStreamSynchronize(stream));
  OK(cudaMemPoolGetAttribute(pool, cudaMemPoolAttrUsedMemCurrent, &used));
  OK(cudaMemPoolGetAttribute(pool, cudaMemPoolAttrReservedMemCurrent, &reserved));
  CHECK(used == 1000 && reserved == 1500);
  OK(cudaMemPoolTrimTo(pool, 0));
  OK(cudaMemPoolGetAttribute(pool, cudaMemPoolAttrReservedMemCurrent, &reserved));
  CHECK(reserved == 1000);
  OK(cudaMemPoolGetAttribute(pool, cudaMemPoolAttrUsedMemHigh, &used));
  CHECK(used == 1500);
  OK(cudaFreeAsync(a, stream));
  OK(cudaStreamSynchronize(stream));
  cudaMemPoolProps properties = {};
  properties.allocType = cudaMemAllocationTypePinned;
  properties.location.type = cudaMemLocationTypeDevice;
  properties.location.id = 0;
  OK(cudaMemPoolCreate(&own, &properties));
  OK(cudaDeviceSetMemPool(0, own));
  OK(cudaMallocAsync(&a, 64, stream));
  OK(cudaMemPoolGetAttribute(own, cudaMemPoolAttrUsedMemCurrent, &used));
  CHECK(used == 64);
  OK(cudaFreeAsync(a, stream));
  OK(cudaStreamSynchronize(stream));
  CHECK(ptxLiveHandles() == 2);  // the stream and the pool
  OK(cudaMemPoolDestroy(own));
  OK(cudaDeviceGetMemPool(&own, 0));
  CHECK(own == pool);
  CHECK(cudaMemPoolTrimTo(reinterpret_cast<cudaMemPool_t>(&value), 0) == cudaErrorInvalidValue);
  cudaGetLastError();
  OK(cudaStreamDestroy(stream));
}

static void two_devices() {
  int count = 0, current = -1, host = 41, where;
  OK(cudaGetDeviceCount(&count));
  CHECK(count == 2);
  int *first, *second;
  size_t free0, free1, total;
  OK(cudaMalloc(&first, 1 << 20));
  OK(cudaMemGetInfo(&free0, &total));
  OK(cudaSetDevice(1));
  OK(cudaGetDevice(&current));
  CHECK(current == 1);
  OK(cudaMemGetInfo(&free1, &total));
  CHECK(free1 == free0 + (1 << 20));  // each has memory of its own
  OK(cudaMalloc(&second, 1 << 20));
  cudaPointerAttributes a;
  OK(cudaPointerGetAttributes(&a, first));
  CHECK(a.device == 0);
  OK(cudaPointerGetAttributes(&a, second));
  CHECK(a.device == 1);
  int can = 1;
  OK(cudaDeviceCanAccessPeer(&can, 0, 1));
  CHECK(can == 0 && cudaDeviceEnablePeerAccess(0, 0) == cudaErrorPeerAccessUnsupported);
  // Streams and events belong to a device; a kernel cannot use another's memory.
  cudaStream_t s1;
  cudaEvent_t e1;
  OK(cudaStreamCreate(&s1));
  OK(cudaEventCreate(&e1));
  OK(cudaStreamGetDevice(s1, &where));
  CHECK(where == 1);
  OK(cudaMemcpyAsync(second, &host, 4, cudaMemcpyHostToDevice, s1));
  add_one<<<1, 1, 0, s1>>>(second, second + 1, 1);
  OK(cudaEventRecord(e1, s1));
  add_one<<<1, 1, 0, s1>>>(first, second, 1);
  CHECK(fault("on another device"));
  // Modules are loaded on each device: variables are not shared.
  set_mark<<<1, 1, 0, s1>>>(11);
  OK(cudaStreamSynchronize(s1));
  OK(cudaSetDevice(0));
  set_mark<<<1, 1>>>(22);
  int value = 0;
  OK(cudaMemcpyFromSymbol(&value, mark, 4));
  CHECK(value == 22);
  OK(cudaSetDevice(1));
  OK(cudaMemcpyFromSymbol(&value, mark, 4));
  CHECK(value == 11);
  OK(cudaSetDevice(0));
  add_one<<<1, 1, 0, s1>>>(first, first, 1);  // a stream of the other device
  CHECK(cudaGetLastError() == cudaErrorInvalidResourceHandle);
  cudaStream_t s0;
  OK(cudaStreamCreate(&s0));
  CHECK(cudaEventRecord(e1, s0) == cudaErrorInvalidResourceHandle);
  OK(cudaStreamWaitEvent(s0, e1, 0));  // but one may wait for the other
  OK(cudaMemcpyPeerAsync(first, 0, second + 1, 1, 4, s0));
  OK(cudaMemcpyAsync(&value, first, 4, cudaMemcpyDeviceToHost, s0));
  OK(cudaStreamSynchronize(s0));
  CHECK(value == 42);
  // The current device and the last error belong to the thread.
  cudaGetLastError();
  CHECK(cudaSetDevice(2) == cudaErrorInvalidDevice);
  std::thread([&] {
    int mine = -1;
    cudaGetDevice(&mine);
    CHECK(mine == 0 && cudaPeekAtLastError() == cudaSuccess);
    cudaSetDevice(1);
    void* p;
    CHECK(cudaMalloc(&p, size_t{1} << 50) == cudaErrorMemoryAllocation);
  }).join();
  OK(cudaGetDevice(&current));
  CHECK(current == 0 && cudaGetLastError() == cudaErrorInvalidDevice && cudaGetLastError() == cudaSuccess);
  OK(cudaStreamDestroy(s0));
  OK(cudaStreamDestroy(s1));
  OK(cudaEventDestroy(e1));
  OK(cudaFree(first));
  OK(cudaFree(second));
  CHECK(ptxLeakCount() == 0 && ptxLiveHandles() == 0);
}

static void loss() {
  int *a, *b, *pinned;
  cudaStream_t stream;
  cudaEvent_t event;
  OK(cudaMalloc(&a, 64));
  OK(cudaMallocHost(&pinned, 64));
  OK(cudaStreamCreate(&stream));
  OK(cudaEventCreate(&event));
  OK(cudaMallocAsync(&b, 64, stream));
  ptxFailNth(ptxFailDevice, 2);
  OK(cudaMemset(a, 0, 64));
  CHECK(cudaMemset(a, 0, 64) == cudaErrorDevicesUnavailable);  // from here on, whatever is asked
  CHECK(cudaDeviceSynchronize() == cudaErrorDevicesUnavailable && cudaMalloc(&a, 4) == cudaErrorDevicesUnavailable);
  count_up<<<1, 1, 0, stream>>>(a);
  CHECK(cudaGetLastError() == cudaErrorDevicesUnavailable && cudaGetLastError() == cudaErrorDevicesUnavailable);
  CHECK(cudaDeviceReset() == cudaErrorDevicesUnavailable);
  // Another device works on, and can be asked for.
  int count = 0;
  OK(cudaGetDeviceCount(&count));
  OK(cudaSetDevice(1));
  void* p;
  OK(cudaMalloc(&p, 4));
  OK(cudaFree(p));
  CHECK(cudaStreamSynchronize(stream) == cudaErrorDevicesUnavailable);
  CHECK(cudaSetDevice(0) == cudaErrorDevicesUnavailable);
  // Cleaning up answers so too, and leaves nothing.
  CHECK(cudaFreeAsync(b, stream) == cudaErrorDevicesUnavailable && cudaFreeHost(pinned) == cudaErrorDevicesUnavailable);
  CHECK(ptxLeakCount() == 1);  // a, whose pointer a failed cudaMalloc has cleared
  CHECK(cudaStreamDestroy(stream) == cudaErrorDevicesUnavailable);
  CHECK(cudaEventDestroy(event) == cudaErrorDevicesUnavailable);
  CHECK(ptxLiveHandles() == 0);
  ptxClearFault();
  OK(cudaDeviceSynchronize());
}

static void occupancy() {
  int grid, block, blocks;
  size_t bytes;
  OK(cudaOccupancyMaxPotentialBlockSize(&grid, &block, with_shared, 0, 0));
  CHECK(block > 0 && block <= 1024 && grid > 0);
  OK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, with_shared, 128, 16 << 10));
  OK(cudaOccupancyAvailableDynamicSMemPerBlock(&bytes, with_shared, blocks, 128));
  CHECK(blocks > 1 && bytes >= 16 << 10);
  OK(cudaFuncSetAttribute(with_shared, cudaFuncAttributeMaxDynamicSharedMemorySize, 64 << 10));
  int* out;
  OK(cudaMalloc(&out, 128));
  with_shared<<<1, 32, 60 << 10>>>(out);
  OK(cudaDeviceSynchronize());
  cudaFuncAttributes attributes;
  OK(cudaFuncGetAttributes(&attributes, with_shared));
  CHECK(attributes.maxDynamicSharedSizeBytes == 64 << 10);
  OK(cudaFree(out));
}

static void no_device() {
  int count = 7;
  void* p = &count;
  CHECK(cudaGetDeviceCount(&count) == cudaErrorNoDevice && count == 0);
  CHECK(cudaGetLastError() == cudaErrorNoDevice && cudaGetLastError() == cudaSuccess);
  CHECK(cudaSetDevice(0) == cudaErrorNoDevice && cudaMalloc(&p, 4) == cudaErrorNoDevice);
}

int main() {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) {
    no_device();
    std::printf("devices: %d passed, %d failed\n", passed, failed);
    return failed != 0;
  }
  values_never_written();
  strips();
  pools();
  two_devices();
  loss();
  occupancy();
  ptxWriteReports();  // what it wrote is not written again at exit
  set_mark<<<1, 1>>>(1);
  OK(cudaDeviceSynchronize());  // but this is
  std::printf("devices: %d passed, %d failed\n", passed, failed);
  return failed != 0;
}
