#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "core/text_table.hpp"
#include "core/tile_codes.hpp"

namespace modelwatch::cuda {

/// How the kernels of categorical columns use the machine.
struct CodeTuning {
  static constexpr int kThreads = 256;
  static constexpr int kBlocksPerMultiprocessor = 6;
  /// Tiles of a stripe at least: counters are cleared and added up once a stripe.
  static constexpr int kLeastTiles = 4;
  /// Bytes of a block's counters at most; larger tables are counted in the second-level cache.
  static constexpr std::size_t kMemoryBytes = std::size_t{24} << 10;
};

struct CodeLaunch {
  CodeColumn const* columns;
  ProfileChunk chunk;
  std::uint32_t column_count;
  std::uint32_t stripes;       // of each column
  std::uint32_t memory_bytes;  // the most that a column wants
};

/// Counts a chunk's codes into all sets of all categorical columns.
void launch_count_codes(CodeLaunch const& launch, cudaStream_t stream);

/// A column of plain text; arrays in device memory.
struct TextRows {
  void const* offsets;         // rows + 1
  std::uint8_t const* bytes;   // where offset `first` is
  Validity validity;
  std::int64_t rows;
  std::int64_t first;
  bool wide;                   // offsets have 64 bits
};

/// Writes the place of every row's value: 0 for null, kAbsentPlace where the table has none, which `absent` lists: their
/// number, then their rows in no order.
inline constexpr std::uint32_t kAbsentPlace = 0xffffffffu;
void launch_look_up(TextRows const& text, TextTable const& table, std::uint32_t* places, std::uint32_t* absent, int multiprocessors, cudaStream_t stream);

/// The sizes of the values of some rows, in bytes.
void launch_text_sizes(TextRows const& text, std::uint32_t const* rows, std::uint32_t count, std::uint64_t* sizes, cudaStream_t stream);
/// The values of some rows one behind the other, each up to its end.
void launch_gather_text(TextRows const& text, std::uint32_t const* rows, std::uint32_t count, std::uint64_t const* ends, std::uint8_t* out,
                        cudaStream_t stream);

}  // namespace modelwatch::cuda
