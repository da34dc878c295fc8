#pragma once

#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "cuda/backend/category_columns.hpp"
#include "cuda/backend/chunk_groups.hpp"
#include "cuda/backend/counted_rows.hpp"
#include "cuda/backend/far_counters.hpp"
#include "cuda/backend/session.hpp"
#include "cuda/backend/slabs.hpp"
#include "cuda/backend/staging.hpp"
#include "cuda/kernels/profile.hpp"
#include "engine/counter.hpp"

namespace modelwatch::cuda {

/// Counts batches chunk by chunk on one device.  Its functions are called with the session in use.
class ChunkCounter {
 public:
  ChunkCounter(Session& session, std::vector<ColumnPlan> columns, std::vector<SetPlan> sets);

  std::vector<std::optional<Domain>> const& domains() const { return domains_; }
  std::size_t sets() const { return sets_.size(); }
  void add(CountedRows const& rows, Poll const& poll);
  /// Brings all counts to the host.
  void drain();
  NumericState& numeric(std::size_t column) { return std::get<NumericState>(states_.at(column)); }
  CategoryState& category(std::size_t column) { return std::get<CategoryState>(states_.at(column)); }
  std::size_t bytes() const;
  void set_limits(std::size_t bytes, std::int64_t rows);

 private:
  /// A numeric column on the device.
  struct Numeric {
    std::size_t column;
    DeviceArray<std::uint32_t> to_fine;
    DeviceArray<std::uint32_t> to_coarse;
  };
  struct Set {
    SetPlan plan;
    Slabs slabs;
    std::vector<SlabLayout> layouts;  // of each numeric column
    std::vector<std::size_t> first;   // word of a slab where it begins
    DeviceArray<Moments> moments;     // group by group those of all numeric columns
    std::vector<bool> present;        // groups that ever had a row
  };
  /// Places of a chunk's pieces.
  struct Pieces;

  void add_chunk(CountedRows const& rows, std::int64_t begin, std::int64_t count);
  bool try_chunk(CountedRows const& rows, std::int64_t begin, std::int64_t count, ChunkGroups const& groups);
  bool make_room(ChunkGroups const& groups);
  void make_moments(ChunkGroups const& groups);
  Pieces reserve(CountedRows const& rows, std::int64_t begin, std::int64_t count, ChunkGroups const& groups);
  void fill(CountedRows const& rows, std::int64_t begin, std::int64_t count, ChunkGroups const& groups, Pieces const& pieces);
  std::uint32_t describe(CountedRows const& rows, std::int64_t count, ChunkGroups const& groups, Pieces const& pieces);
  ProfileColumn describe(std::size_t n, NumericView const& values, ChunkGroups const& groups, bool weighted, std::vector<ProfileSet>& sets,
                         std::uint32_t& words);
  void launch(CountedRows const& rows, std::int64_t begin, std::int64_t count, ChunkGroups const& groups, Pieces const& pieces,
              std::uint32_t memory_bytes);
  std::size_t row_bytes(CountedRows const& rows) const;
  std::size_t slab_bytes() const;

  Session& session_;
  std::vector<std::optional<Domain>> domains_;
  std::vector<std::variant<NumericState, CategoryState>> states_;
  std::vector<Numeric> numerics_;
  CategoryColumns categories_;
  std::vector<Set> sets_;
  GroupFinder finder_;
  Staging staging_;
  FarChunk far_;
  DeviceArray<Moments> tile_moments_;
  std::size_t most_slab_bytes_;
  std::int64_t most_rows_;
  bool keeps_moments_ = false;
};

}  // namespace modelwatch::cuda
