#include <cuda_fp16.h>

#include <algorithm>
#include <type_traits>

#include "core/tile_load.hpp"
#include "cuda/kernels/arrays.hpp"
#include "cuda/runtime/error.hpp"

namespace modelwatch::cuda {
namespace {

struct Half {
  std::uint16_t bits;
  __device__ explicit operator float() const { return __half2float(__ushort_as_half(bits)); }
};
struct Bfloat {
  std::uint16_t bits;
  __device__ explicit operator float() const { return __uint_as_float(std::uint32_t{bits} << 16); }
};

__device__ std::int64_t first_row() { return std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; }
__device__ std::int64_t row_step() { return std::int64_t{gridDim.x} * blockDim.x; }

template <class Stored, class Value>
__global__ void __launch_bounds__(ArraysTuning::kThreads) gather_kernel(char const* first, std::int64_t stride, std::int64_t rows, Value* to) {
  for (std::int64_t i = first_row(); i < rows; i += row_step()) to[i] = static_cast<Value>(*reinterpret_cast<Stored const*>(first + i * stride));
}

/// Beyond this, not every whole number is a double.
constexpr std::int64_t kWhole = std::int64_t{1} << 53;

template <class Value, class Stored>
__device__ bool changes(Stored x) {
  if constexpr (!std::is_integral_v<Stored> || sizeof(Stored) < 8) {
    return false;
  } else if constexpr (std::is_same_v<Value, double>) {
    return x > static_cast<Stored>(kWhole) || (std::is_signed_v<Stored> && x < static_cast<Stored>(-kWhole));
  } else {
    return std::is_unsigned_v<Stored> && static_cast<std::int64_t>(x) < 0;
  }
}

template <class Stored, class Value>
__global__ void __launch_bounds__(ArraysTuning::kThreads)
    convert_kernel(Stored const* from, Validity validity, std::int64_t rows, Value* to, std::uint32_t* lossy) {
  for (std::int64_t i = first_row(); i < rows; i += row_step()) {
    Stored const x = from[i];
    to[i] = static_cast<Value>(x);
    if (changes<Value>(x) && validity.valid(i)) atomicOr(lossy, 1u);
  }
}

/// A word a warp: its lanes vote.  Every warp goes as often as its first row says, so all lanes of one vote together.
__global__ void __launch_bounds__(ArraysTuning::kThreads) pack_mask_kernel(char const* first, std::int64_t stride, std::int64_t rows, std::uint32_t* words) {
  int const lane = static_cast<int>(threadIdx.x) % kRowsPerWord;
  for (std::int64_t i = first_row(); i - lane < rows; i += row_step()) {
    bool const valid = i < rows && first[i * stride] != 0;
    std::uint32_t const word = __ballot_sync(0xffffffffu, valid);
    if (lane == 0) words[i / kRowsPerWord] = word;
  }
}

__global__ void __launch_bounds__(ArraysTuning::kThreads) count_valid_kernel(Validity validity, std::int64_t rows, std::uint64_t* count) {
  __shared__ std::uint32_t found;
  if (threadIdx.x == 0) found = 0;
  __syncthreads();
  std::uint32_t own = 0;
  for (std::int64_t w = first_row(); w * kRowsPerWord < rows; w += row_step())
    own += static_cast<std::uint32_t>(__popc(valid_word(validity, w * kRowsPerWord, rows)));
  atomicAdd(&found, own);
  __syncthreads();
  if (threadIdx.x == 0 && found != 0) atomicAdd(reinterpret_cast<unsigned long long*>(count), static_cast<unsigned long long>(found));
}

unsigned blocks_of(std::int64_t items, int multiprocessors) {
  std::int64_t const needed = (items + ArraysTuning::kThreads - 1) / ArraysTuning::kThreads;
  return static_cast<unsigned>(std::clamp<std::int64_t>(needed, 1, std::int64_t{multiprocessors} * ArraysTuning::kBlocksPerMultiprocessor));
}

/// Calls f(Stored{}) with the type of a storage.
template <class F>
void with_storage(Storage storage, F f) {
  switch (storage) {
    case Storage::int8: return f(std::int8_t{});
    case Storage::int16: return f(std::int16_t{});
    case Storage::int32: return f(std::int32_t{});
    case Storage::int64: return f(std::int64_t{});
    case Storage::uint8: return f(std::uint8_t{});
    case Storage::uint16: return f(std::uint16_t{});
    case Storage::uint32: return f(std::uint32_t{});
    case Storage::uint64: return f(std::uint64_t{});
    case Storage::float32: return f(float{});
    case Storage::float64: return f(double{});
  }
}

}  // namespace

void launch_gather(StridedView const& from, void* to, int multiprocessors, cudaStream_t stream) {
  if (from.rows == 0) return;
  unsigned const blocks = blocks_of(from.rows, multiprocessors);
  auto const launch = [&]<class Stored, class Value>(Stored const*, Value* out) {
    gather_kernel<Stored, Value><<<blocks, ArraysTuning::kThreads, 0, stream>>>(static_cast<char const*>(from.first), from.stride, from.rows, out);
  };
  switch (from.element.kind) {
    case Element::Kind::float16: launch(static_cast<Half const*>(nullptr), static_cast<float*>(to)); break;
    case Element::Kind::bfloat16: launch(static_cast<Bfloat const*>(nullptr), static_cast<float*>(to)); break;
    case Element::Kind::own:
      // As bits of one width: nothing is computed.
      with_storage(from.element.storage, [&]<class Stored>(Stored) {
        if constexpr (sizeof(Stored) == 1) launch(static_cast<std::uint8_t const*>(nullptr), static_cast<std::uint8_t*>(to));
        if constexpr (sizeof(Stored) == 2) launch(static_cast<std::uint16_t const*>(nullptr), static_cast<std::uint16_t*>(to));
        if constexpr (sizeof(Stored) == 4) launch(static_cast<std::uint32_t const*>(nullptr), static_cast<std::uint32_t*>(to));
        if constexpr (sizeof(Stored) == 8) launch(static_cast<std::uint64_t const*>(nullptr), static_cast<std::uint64_t*>(to));
      });
  }
  check_launch("gather");
}

void launch_convert(NumericView const& from, Storage storage, void* to, std::uint32_t* lossy, int multiprocessors, cudaStream_t stream) {
  if (from.rows == 0) return;
  unsigned const blocks = blocks_of(from.rows, multiprocessors);
  with_storage(from.storage, [&]<class Stored>(Stored) {
    auto const* const values = static_cast<Stored const*>(from.values);
    if (storage == Storage::float64)
      convert_kernel<<<blocks, ArraysTuning::kThreads, 0, stream>>>(values, from.validity, from.rows, static_cast<double*>(to), lossy);
    else if constexpr (std::is_integral_v<Stored>)
      convert_kernel<<<blocks, ArraysTuning::kThreads, 0, stream>>>(values, from.validity, from.rows, static_cast<std::int64_t*>(to), lossy);
  });
  check_launch("convert");
}

void launch_pack_mask(void const* first, std::int64_t stride, std::int64_t rows, std::uint32_t* words, int multiprocessors,
                      cudaStream_t stream) {
  if (rows == 0) return;
  pack_mask_kernel<<<blocks_of(rows, multiprocessors), ArraysTuning::kThreads, 0, stream>>>(static_cast<char const*>(first), stride, rows, words);
  check_launch("pack_mask");
}

void launch_count_valid(Validity const& validity, std::int64_t rows, std::uint64_t* count, int multiprocessors, cudaStream_t stream) {
  if (rows == 0) return;
  unsigned const blocks = blocks_of((rows + kRowsPerWord - 1) / kRowsPerWord, multiprocessors);
  count_valid_kernel<<<blocks, ArraysTuning::kThreads, 0, stream>>>(validity, rows, count);
  check_launch("count_valid");
}

}  // namespace modelwatch::cuda
