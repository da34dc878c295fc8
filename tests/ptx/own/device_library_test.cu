// Device-wide sort, scan and reduction of the CUDA core libraries through the runtime stand-in.
#include <cub/cub.cuh>

#include <algorithm>
#include <cstdio>
#include <numeric>
#include <vector>

static int passed = 0, failed = 0;
static void check(char const* name, int n, bool ok) {
  ok ? ++passed : ++failed;
  if (!ok) std::printf("FAIL %s n=%d: %s\n", name, n, cudaGetErrorString(cudaPeekAtLastError()));
}

// Calls a two-phase library function: size query, then work.
template <class F>
static bool twoPhase(F call) {
  size_t bytes = 0;
  void* temporary = nullptr;
  if (call(temporary, bytes) != cudaSuccess || cudaMalloc(&temporary, bytes) != cudaSuccess) return false;
  bool const ok = call(temporary, bytes) == cudaSuccess && cudaDeviceSynchronize() == cudaSuccess;
  return cudaFree(temporary) == cudaSuccess && ok;
}

int main() {
  for (int n : {1, 100, 3000, 20000}) {
    std::vector<unsigned> keys(n), back(n);
    std::vector<int> index(n), order(n);
    unsigned state = 1;
    for (unsigned& k : keys) k = (state = state * 1664525u + 1013904223u) >> (n % 7);
    std::iota(index.begin(), index.end(), 0);
    unsigned *in, *out, *sum;
    int *vin, *vout;
    const size_t bytes = n * sizeof(unsigned);
    cudaMalloc(&in, bytes);
    cudaMalloc(&out, bytes);
    cudaMalloc(&vin, bytes);
    cudaMalloc(&vout, bytes);
    cudaMalloc(&sum, 4);
    cudaMemcpy(in, keys.data(), bytes, cudaMemcpyHostToDevice);
    cudaMemcpy(vin, index.data(), bytes, cudaMemcpyHostToDevice);
    bool ok =
        twoPhase([&](void* t, size_t& b) { return cub::DeviceRadixSort::SortPairs(t, b, in, out, vin, vout, n); });
    cudaMemcpy(order.data(), vout, bytes, cudaMemcpyDeviceToHost);
    std::stable_sort(index.begin(), index.end(), [&](int a, int b) { return keys[a] < keys[b]; });
    check("sort", n, ok && order == index);
    ok = twoPhase([&](void* t, size_t& b) { return cub::DeviceScan::ExclusiveSum(t, b, in, out, n); });
    cudaMemcpy(back.data(), out, bytes, cudaMemcpyDeviceToHost);
    std::vector<unsigned> want(n);
    std::exclusive_scan(keys.begin(), keys.end(), want.begin(), 0u);
    check("scan", n, ok && back == want);
    ok = twoPhase([&](void* t, size_t& b) { return cub::DeviceReduce::Sum(t, b, in, sum, n); });
    unsigned total = 0;
    cudaMemcpy(&total, sum, 4, cudaMemcpyDeviceToHost);
    check("reduce", n, ok && total == std::accumulate(keys.begin(), keys.end(), 0u));
    for (void* p : {(void*)in, (void*)out, (void*)vin, (void*)vout, (void*)sum}) cudaFree(p);
  }
  std::printf("device library: %d passed, %d failed\n", passed, failed);
  return failed != 0;
}
