#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "cuda/backend/session.hpp"
#include "engine/counter.hpp"

namespace modelwatch::cuda {

class ChunkCounter;

/// engine/counter.hpp's Counter, which counts on a device: the same state, to the byte.
class Counter {
 public:
  Counter(int device, std::vector<ColumnPlan> columns, std::vector<SetPlan> sets);
  ~Counter();
  Counter(Counter const&) = delete;
  Counter& operator=(Counter const&) = delete;

  /// As the engine's.  Returns when the batch's memory is not needed any more; it may still be counted then.
  void add(std::shared_ptr<ArrowOwner const> const& batch, std::vector<std::int32_t const*> const& groups, int threads,
           Poll const& poll, std::uint32_t const* weights = nullptr);
  bool is_numeric(std::size_t column) const;
  NumericResult numeric(std::size_t column, std::size_t set);
  CategoryResult category(std::size_t column, std::size_t set);
  std::uint64_t rows() const { return rows_; }
  std::size_t bytes() const;
  /// Device memory that counters may take before they are brought to the host, and rows counted at a time; for tests.
  void set_limits(std::size_t bytes, std::int64_t rows);

 private:
  int device_;
  std::unique_ptr<ChunkCounter> chunks_;
  std::uint64_t rows_ = 0;
};

}  // namespace modelwatch::cuda
