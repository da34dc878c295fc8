#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "cuda/backend/chunk_groups.hpp"
#include "cuda/backend/counted_rows.hpp"
#include "cuda/backend/far_counters.hpp"
#include "cuda/backend/session.hpp"
#include "cuda/backend/slabs.hpp"
#include "cuda/backend/staging.hpp"
#include "cuda/backend/vocabulary.hpp"
#include "cuda/kernels/codes.hpp"
#include "engine/category_state.hpp"

namespace modelwatch::cuda {

/// The categorical columns of a counter.  The device counts rows by the place of their value in a vocabulary of the column;
/// what a value is to the baseline, and which are beyond a cap, is the engine's to say when counts are brought to it.
class CategoryColumns {
 public:
  CategoryColumns(Session& session, std::vector<SetPlan> const& sets) : session_(session), plans_(sets), far_(session) {}

  /// `state` must stay where it is.
  void add_column(std::size_t column, CategoryState& state);
  bool empty() const { return columns_.empty(); }

  // For each chunk, in this order:
  /// Takes in the dictionaries of a batch, and starts vocabularies anew that have become too large.
  void enter(CountedRows const& rows);
  void reserve(Staging& staging, CountedRows const& rows, std::int64_t begin, std::int64_t count);
  void fill(Staging const& staging, CountedRows const& rows, std::int64_t begin, std::int64_t count, CopyJobs& jobs) const;
  /// After the copy is queued: looks up the text of a chunk; waits for the device where there is some.
  void look_up(Staging const& staging, CountedRows const& rows, std::int64_t begin, std::int64_t count);
  /// Device memory that counters for these groups would take beside what is there.
  std::size_t bytes_for(ChunkGroups const& groups) const;
  void make_slabs(ChunkGroups const& groups);
  void launch(Staging const& staging, CountedRows const& rows, std::int64_t begin, ProfileChunk const& chunk, ChunkGroups const& groups);

  /// Brings all counts to the engine.
  void drain();
  std::size_t slab_bytes() const;
  /// What a row takes on its way to the device, about.
  std::size_t row_bytes(CountedRows const& rows) const;

 private:
  struct Column {
    Column(std::size_t at, CategoryState& counted, cudaStream_t stream) : column(at), state(&counted), vocabulary(stream) {}

    std::size_t column;
    CategoryState* state;
    Vocabulary vocabulary;
    std::size_t room = 0;            // places that counters have
    std::vector<Slabs> slabs;        // of each set; of `room` or of the coarse slots
    DeviceArray<std::uint32_t> seen;
    std::vector<std::uint32_t> coarse;  // coarse slot of each place, as far as it was needed
    DeviceArray<std::uint32_t> device_coarse;
    // The dictionary of the last batch.
    std::shared_ptr<ArrowOwner const> owner;
    StringsView dictionary{};
    DeviceArray<std::uint32_t> places;  // of its codes
    // The chunk's rows.
    std::size_t codes_at = 0;
    std::size_t validity_at = 0;
    std::size_t text_at = 0;
    std::size_t text_bytes = 0;
    DeviceArray<std::uint32_t> row_places;  // of text
    DeviceArray<std::uint32_t> absent;
  };

  void enter_dictionary(Column& own, CategoryView const& view, std::shared_ptr<ArrowOwner const> const& owner);
  void look_up(Column& own, Staging const& staging, StringsView const& view, std::int64_t begin, std::int64_t count);
  void make_counters(Column& own);
  void drain_counts(Column& own);
  void drain(Column& own);
  std::size_t room_for(Column const& own) const;
  CodeColumn describe(Column& own, Staging const& staging, CountedRows const& rows, std::int64_t begin, ProfileChunk const& chunk,
                      ChunkGroups const& groups, std::vector<CodeSet>& sets);

  Session& session_;
  std::vector<SetPlan> plans_;
  std::vector<std::unique_ptr<Column>> columns_;
  FarChunk far_;
  DeviceArray<CodeSet> device_sets_;
  DeviceArray<CodeColumn> device_columns_;
};

}  // namespace modelwatch::cuda
