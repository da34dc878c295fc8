#pragma once
// Who works on a tile together.  A tile's algorithm is written once over a Team (DESIGN 3.10):
//
//   rank(), size()   which of how many threads this is; rows are dealt out as rank, rank + size, ...
//   sync()           everything written before is seen by all threads of the team after
//   add, add_one, raise, lower
//                    atomic; of 32 bits on the tile's memory or on memory that all teams share, of 64 bits on the latter
//   add_before       adds and returns what was there
//   peek             what is there, or was a moment ago: worth a look before an atomic that would seldom change anything
//
// A body reads nothing that another thread writes between two syncs, and calls sync where all threads do.  Results must
// not depend on the size: integers are added in any order, floating-point chains have one owner each.
// HostTeam is one thread, CudaTeam a thread block; the tests have a team of real threads.

#include <cstdint>

#include "core/macros.hpp"

namespace modelwatch {

/// One thread that does all the work.
struct HostTeam {
  MW_HD int rank() const { return 0; }
  MW_HD int size() const { return 1; }
  MW_HD void sync() const {}
  template <class Number>
  MW_HD void add(Number* at, Number by) const {
    *at += by;
  }
  template <class Number>
  MW_HD void add_one(Number* at) const {
    ++*at;
  }
  MW_HD std::uint32_t add_before(std::uint32_t* at, std::uint32_t by) const {
    std::uint32_t const before = *at;
    *at += by;
    return before;
  }
  template <class Number>
  MW_HD Number peek(Number const* at) const {
    return *at;
  }
  template <class Number>
  MW_HD void raise(Number* at, Number to) const {
    *at = *at < to ? to : *at;
  }
  template <class Number>
  MW_HD void lower(Number* at, Number to) const {
    *at = to < *at ? to : *at;
  }
};

#if defined(__CUDACC__)

/// A thread block of one dimension.
struct CudaTeam {
  __device__ __forceinline__ int rank() const { return static_cast<int>(threadIdx.x); }
  __device__ __forceinline__ int size() const { return static_cast<int>(blockDim.x); }
  __device__ __forceinline__ void sync() const { __syncthreads(); }
  __device__ __forceinline__ void add(std::uint32_t* at, std::uint32_t by) const { atomicAdd(at, by); }
  __device__ __forceinline__ void add(std::uint64_t* at, std::uint64_t by) const { atomicAdd(wide(at), by); }
  /// By a constant: the hardware counts the lanes that hit one counter of shared memory instead of adding one by one.
  __device__ __forceinline__ void add_one(std::uint32_t* at) const { atomicAdd(at, 1u); }
  __device__ __forceinline__ void add_one(std::uint64_t* at) const { atomicAdd(wide(at), 1ull); }
  __device__ __forceinline__ std::uint32_t add_before(std::uint32_t* at, std::uint32_t by) const { return atomicAdd(at, by); }
  /// From where the atomics are done, as the nearest cache may keep what was there long ago; and without racing them:
  /// CUDA's memory model takes a volatile load for a relaxed one.
  template <class Number>
  __device__ __forceinline__ Number peek(Number const* at) const {
    __builtin_assume(__isGlobal(at));
    return *static_cast<Number const volatile*>(at);
  }
  __device__ __forceinline__ void raise(std::uint32_t* at, std::uint32_t to) const { atomicMax(at, to); }
  __device__ __forceinline__ void raise(std::uint64_t* at, std::uint64_t to) const { atomicMax(wide(at), to); }
  __device__ __forceinline__ void lower(std::uint32_t* at, std::uint32_t to) const { atomicMin(at, to); }
  __device__ __forceinline__ void lower(std::uint64_t* at, std::uint64_t to) const { atomicMin(wide(at), to); }

 private:
  /// The type that CUDA's functions of 64 bits take.  A block's own memory has no such instructions, only a loop that
  /// compares and swaps, which the compiler need not make ready for where it knows that the address is not there.
  static __device__ __forceinline__ unsigned long long* wide(std::uint64_t* at) {
    __builtin_assume(__isGlobal(at));
    return reinterpret_cast<unsigned long long*>(at);
  }
};

#endif

}  // namespace modelwatch
