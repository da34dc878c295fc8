#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <optional>

#include "core/views.hpp"

namespace modelwatch::cuda {

/// How the kernels that put arrays in order use the machine.
struct ArraysTuning {
  static constexpr int kThreads = 256;
  /// Rows a thread copies at most before there are blocks enough; more blocks than this many a multiprocessor only wait.
  static constexpr int kBlocksPerMultiprocessor = 16;
};

/// A number as another library stores it: what the engine reads, and two that it reads widened to float32.
struct Element {
  enum class Kind : std::uint8_t { own, float16, bfloat16 };
  Kind kind;
  Storage storage;  // of own; else float32
};

/// One column of an array: row i lies `stride` bytes after row i - 1, or before it.
struct StridedView {
  void const* first;
  std::int64_t stride;
  std::int64_t rows;
  Element element;
};

/// Copies a column to where its rows lie side by side.
void launch_gather(StridedView const& from, void* to, int multiprocessors, cudaStream_t stream);

/// A column as another storage: any as float64, a whole number as int64.  *lossy becomes 1 where a valid value is a whole
/// number that the new type does not hold, or one beyond 2^53 as float64.
void launch_convert(NumericView const& from, Storage storage, void* to, std::uint32_t* lossy, int multiprocessors, cudaStream_t stream);

/// A byte a row, other than 0 where the row is valid, as a bitmap of whole words.
void launch_pack_mask(void const* first, std::int64_t stride, std::int64_t rows, std::uint32_t* words, int multiprocessors,
                      cudaStream_t stream);

/// *count += valid rows.
void launch_count_valid(Validity const& validity, std::int64_t rows, std::uint64_t* count, int multiprocessors, cudaStream_t stream);

}  // namespace modelwatch::cuda
