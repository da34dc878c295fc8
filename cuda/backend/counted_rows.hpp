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

}  // namespace modelwatch::cuda
