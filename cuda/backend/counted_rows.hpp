#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "core/views.hpp"
#include "engine/counter.hpp"

namespace modelwatch::cuda {

/// The rows of a batch with all that is counted by.
struct CountedRows {
  std::shared_ptr<ArrowOwner const> owner;
  std::vector<ColumnView> columns;
  std::vector<std::int32_t const*> groups;
  std::uint32_t const* weights;
  std::int64_t rows;
  int threads;
};

/// Copies of a chunk into staged memory, which threads share among them.
using CopyJobs = std::vector<std::function<void()>>;

/// Bytes of the bitmap of rows from `begin` on, which begins with the byte that has the first one's bit.
inline std::size_t validity_bytes(Validity const& validity, std::int64_t begin, std::int64_t rows) {
  return validity.bits == nullptr ? 0 : static_cast<std::size_t>(((validity.offset + begin) % 8 + rows + 7) / 8);
}
/// That bitmap at another place.
inline Validity moved(Validity const& validity, std::int64_t begin, std::uint8_t const* to) {
  return validity.bits == nullptr ? Validity{nullptr, 0} : Validity{to, (validity.offset + begin) % 8};
}

}  // namespace modelwatch::cuda
