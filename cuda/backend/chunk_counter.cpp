#include "cuda/backend/chunk_counter.hpp"

#include <algorithm>
#include <cstring>

#include "cpu/thread_pool.hpp"
#include "cuda/backend/feed.hpp"  // bytes_of, validity_bytes, moved

namespace modelwatch::cuda {
namespace {

/// How a counter uses memory.
struct CounterTuning {
  /// Bytes of a batch that are brought to the device at a time; there are two such buffers, pinned and on the device.
  static constexpr std::size_t kChunkBytes = std::size_t{64} << 20;
  /// Counters may take this part of a device's memory before they are brought to the host.
  static constexpr std::size_t kPartOfMemory = 4;
};

std::vector<bool> sets_with_moments(std::vector<SetPlan> const& sets) {
  std::vector<bool> out;
  for (auto const& set : sets) out.push_back(set.moments);
  return out;
}

template <class Item>
void copy_to(Item* to, std::vector<Item> const& from) {
  if (!from.empty()) std::memcpy(to, from.data(), from.size() * sizeof(Item));
}

}  // namespace

/// Where the pieces of a chunk lie in the staged memory.
struct ChunkCounter::Pieces {
  struct Values {
    std::size_t values;
    std::size_t validity;
  };
  struct Groups {
    std::size_t of_tile;
    std::size_t of_row;
    std::size_t entry_begin;
    std::size_t entry_group;
  };
  std::vector<Values> columns;  // numeric ones
  std::vector<Groups> sets;
  std::size_t weights;
  std::size_t folds;
  std::size_t refs;
  std::size_t group_moments;  // Moments* of each set
  std::size_t chunk_sets;
  std::size_t column_sets;
  std::size_t descriptions;
};

ChunkCounter::ChunkCounter(Session& session, std::vector<ColumnPlan> columns, std::vector<SetPlan> sets)
    : session_(session),
      categories_(session, sets),
      finder_(sets_with_moments(sets)),
      staging_(session.stream()),
      far_(session),
      most_slab_bytes_(session.info().memory / CounterTuning::kPartOfMemory),
      most_rows_(session.chunk_rows()) {
  states_.reserve(columns.size());  // where they are they stay
  for (auto& plan : columns) {
    if (auto* const numeric = std::get_if<NumericPlan>(&plan)) {
      numerics_.push_back({states_.size(), uploaded(numeric->to_fine, session.stream()), uploaded(numeric->to_coarse, session.stream())});
      states_.emplace_back(NumericState(std::move(*numeric), sets));
      domains_.push_back(std::get<NumericState>(states_.back()).domain());
    } else {
      states_.emplace_back(CategoryState(std::move(std::get<CategoryPlan>(plan)), sets));
      domains_.push_back(std::nullopt);
      categories_.add_column(states_.size() - 1, std::get<CategoryState>(states_.back()));
    }
  }
  for (std::size_t s = 0; s < sets.size(); ++s) {
    keeps_moments_ = keeps_moments_ || sets[s].moments;
    std::vector<SlabLayout> layouts;
    std::vector<std::size_t> first;
    std::size_t words = 0;
    for (auto const& own : numerics_) {
      layouts.push_back(numeric(own.column).layout(s));
      first.push_back(words);
      words += layouts.back().words;
    }
    sets_.push_back({sets[s], Slabs(words, session.stream()), std::move(layouts), std::move(first), {}, {}});
  }
}

void ChunkCounter::set_limits(std::size_t bytes, std::int64_t rows) {
  most_slab_bytes_ = bytes;
  most_rows_ = std::max<std::int64_t>(kTileRows, rows / kTileRows * kTileRows);
}

std::size_t ChunkCounter::slab_bytes() const {
  std::size_t total = categories_.slab_bytes();
  for (auto const& set : sets_) total += set.slabs.bytes();
  return total;
}

std::size_t ChunkCounter::bytes() const {
  std::size_t total = slab_bytes();
  for (auto const& state : states_) total += std::visit([](auto const& s) { return s.bytes(); }, state);
  return total;
}

void ChunkCounter::drain() {
  categories_.drain();
  for (std::size_t s = 0; s < sets_.size(); ++s) {
    Set& set = sets_[s];
    set.slabs.drain([&](std::int32_t group, std::uint64_t const* words) {
      for (std::size_t n = 0; n < numerics_.size(); ++n)
        std::get<NumericState>(states_[numerics_[n].column]).absorb(s, group, words + set.first[n]);
    });
    if (set.moments.size() == 0) continue;
    auto const moments = set.moments.download();
    for (std::size_t group = 0; group < set.present.size(); ++group)
      for (std::size_t n = 0; set.present[group] && n < numerics_.size(); ++n)
        std::get<NumericState>(states_[numerics_[n].column])
            .set_moments(s, static_cast<std::int32_t>(group), moments[group * numerics_.size() + n]);
  }
}

std::size_t ChunkCounter::row_bytes(CountedRows const& rows) const {
  std::size_t total = 4 * (rows.groups.size() + 1);
  for (auto const& own : numerics_) total += bytes_of(std::get<NumericView>(rows.columns[own.column]).storage) + 1;
  return total + categories_.row_bytes(rows);
}

void ChunkCounter::add(CountedRows const& rows, Poll const& poll) {
  if (states_.empty()) return;
  std::size_t const each = row_bytes(rows);
  for (std::int64_t begin = 0; begin < rows.rows;) {
    if (poll) poll();
    auto const fit = static_cast<std::int64_t>(CounterTuning::kChunkBytes / each / kTileRows) * kTileRows;
    std::int64_t const most = std::max<std::int64_t>(kTileRows, std::min({fit, most_rows_, session_.chunk_rows()}));
    std::int64_t const count = std::min(most, rows.rows - begin);
    add_chunk(rows, begin, count);
    begin += count;
  }
}

/// Slabs for all groups of a chunk; false where they are more than may be held.
bool ChunkCounter::make_room(ChunkGroups const& groups) {
  auto const wanted = [&] {
    std::size_t total = categories_.bytes_for(groups);
    for (std::size_t s = 0; s < sets_.size(); ++s) total += sets_[s].slabs.bytes_for(groups.sets[s].present);
    return total;
  };
  if (std::size_t const more = wanted(); more != 0 && slab_bytes() + more > most_slab_bytes_) {
    drain();
    if (wanted() > most_slab_bytes_) return false;
  }
  for (std::size_t s = 0; s < sets_.size(); ++s) sets_[s].slabs.make(groups.sets[s].present);
  return true;
}

/// Room for the moments of all groups, and of a chunk's tiles.
void ChunkCounter::make_moments(ChunkGroups const& groups) {
  std::size_t const columns = numerics_.size();
  for (std::size_t s = 0; s < sets_.size(); ++s) {
    Set& set = sets_[s];
    if (!set.plan.moments) continue;
    for (std::int32_t const group : groups.sets[s].present) {
      auto const at = static_cast<std::size_t>(group);
      if (at >= set.present.size()) set.present.resize(at + 1, false);
      set.present[at] = true;
    }
    std::size_t const wanted = set.present.size() * columns;
    if (wanted <= set.moments.size()) continue;
    DeviceArray<Moments> wider(2 * wanted, session_.stream());
    wider.zero();
    if (set.moments.size() != 0)
      check(cudaMemcpyAsync(wider.data(), set.moments.data(), set.moments.bytes(), cudaMemcpyDeviceToDevice, session_.stream()), "copy on the device");
    set.moments = std::move(wider);
  }
  std::size_t const wanted = keeps_moments_ ? groups.moments_of_column * columns : 0;
  if (wanted > tile_moments_.size()) {
    tile_moments_ = {};
    tile_moments_ = DeviceArray<Moments>(wanted, session_.stream());
  }
}

/// Rows [begin, begin + count); where memory does not suffice, in two halves.
void ChunkCounter::add_chunk(CountedRows const& rows, std::int64_t begin, std::int64_t count) {
  std::vector<std::int32_t const*> own;
  for (auto const* const of_row : rows.groups) own.push_back(of_row == nullptr ? nullptr : of_row + begin);
  ChunkGroups const groups = finder_.find(own, count);
  try {
    if (try_chunk(rows, begin, count, groups)) return;
  } catch (DeviceError const& error) {
    if (!error.out_of_memory() || count <= kTileRows) throw;
    drain();
    session_.halve_chunk();
  }
  std::int64_t const half = std::max<std::int64_t>(kTileRows, count / 2 / kTileRows * kTileRows);
  add_chunk(rows, begin, half);
  add_chunk(rows, begin + half, count - half);
}

/// Counts a chunk; false, with nothing counted, where its counters are more than may be held.  Nothing is counted before all
/// memory is there, so what failed for want of it can be tried again.
bool ChunkCounter::try_chunk(CountedRows const& rows, std::int64_t begin, std::int64_t count, ChunkGroups const& groups) {
  categories_.enter(rows);
  if (!make_room(groups)) {
    if (count > kTileRows) return false;
    // A tile's groups are never more than a thousand: they are tried whatever the limit.
    for (std::size_t s = 0; s < sets_.size(); ++s) sets_[s].slabs.make(groups.sets[s].present);
  }
  make_moments(groups);
  Pieces const pieces = reserve(rows, begin, count, groups);
  staging_.open();
  fill(rows, begin, count, groups, pieces);
  std::uint32_t const memory_bytes = describe(rows, count, groups, pieces);
  staging_.send();
  try {
    categories_.look_up(staging_, rows, begin, count);
    categories_.make_slabs(groups);
    launch(rows, begin, count, groups, pieces, memory_bytes);
  } catch (...) {
    staging_.close();
    throw;
  }
  staging_.close();
  return true;
}

ChunkCounter::Pieces ChunkCounter::reserve(CountedRows const& rows, std::int64_t begin, std::int64_t count, ChunkGroups const& groups) {
  Pieces out;
  staging_.begin();
  auto const room = [&](std::size_t items, std::size_t size) { return staging_.reserve(items * size); };
  auto const n = static_cast<std::size_t>(count);
  for (auto const& own : numerics_) {
    auto const& view = std::get<NumericView>(rows.columns[own.column]);
    std::size_t const values = room(n, bytes_of(view.storage));
    out.columns.push_back({values, staging_.reserve(validity_bytes(view.validity, begin, count))});
  }
  for (auto const& set : groups.sets) {
    std::size_t const of_tile = room(set.of_tile.size(), sizeof(std::int32_t));
    std::size_t const of_row = room(set.mixed ? n : 0, sizeof(std::int32_t));
    std::size_t const entry_begin = room(set.entry_begin.size(), sizeof(std::uint32_t));
    out.sets.push_back({of_tile, of_row, entry_begin, room(set.entry_group.size(), sizeof(std::int32_t))});
  }
  categories_.reserve(staging_, rows, begin, count);
  out.weights = room(rows.weights == nullptr ? 0 : n, sizeof(std::uint32_t));
  out.folds = room(groups.folds.size(), sizeof(FoldRow));
  out.refs = room(groups.refs.size(), sizeof(std::uint32_t));
  out.group_moments = room(sets_.size(), sizeof(Moments*));
  out.chunk_sets = room(sets_.size(), sizeof(ProfileGroups));
  out.column_sets = room(sets_.size() * numerics_.size(), sizeof(ProfileSet));
  out.descriptions = room(numerics_.size(), sizeof(ProfileColumn));
  return out;
}

/// Copies the rows, each column by a thread of its own.
void ChunkCounter::fill(CountedRows const& rows, std::int64_t begin, std::int64_t count, ChunkGroups const& groups, Pieces const& pieces) {
  auto const n = static_cast<std::size_t>(count);
  CopyJobs jobs;
  for (std::size_t i = 0; i < numerics_.size(); ++i)
    jobs.emplace_back([&, i] {
      auto const& view = std::get<NumericView>(rows.columns[numerics_[i].column]);
      std::size_t const size = bytes_of(view.storage);
      std::memcpy(staging_.host<std::uint8_t>(pieces.columns[i].values),
                  static_cast<std::uint8_t const*>(view.values) + static_cast<std::size_t>(begin) * size, n * size);
      if (std::size_t const bits = validity_bytes(view.validity, begin, count); bits != 0)
        std::memcpy(staging_.host<std::uint8_t>(pieces.columns[i].validity), view.validity.bits + (view.validity.offset + begin) / 8, bits);
    });
  categories_.fill(staging_, rows, begin, count, jobs);
  cpu::parallel_for(
      static_cast<std::int64_t>(jobs.size()), rows.threads, [&](std::int64_t job) { jobs[static_cast<std::size_t>(job)](); }, {});
  for (std::size_t s = 0; s < sets_.size(); ++s) {
    SetGroups const& set = groups.sets[s];
    copy_to(staging_.host<std::int32_t>(pieces.sets[s].of_tile), set.of_tile);
    if (set.mixed) std::memcpy(staging_.host<std::int32_t>(pieces.sets[s].of_row), rows.groups[s] + begin, n * sizeof(std::int32_t));
    copy_to(staging_.host<std::uint32_t>(pieces.sets[s].entry_begin), set.entry_begin);
    copy_to(staging_.host<std::int32_t>(pieces.sets[s].entry_group), set.entry_group);
  }
  if (rows.weights != nullptr) std::memcpy(staging_.host<std::uint32_t>(pieces.weights), rows.weights + begin, n * sizeof(std::uint32_t));
  copy_to(staging_.host<FoldRow>(pieces.folds), groups.folds);
  copy_to(staging_.host<std::uint32_t>(pieces.refs), groups.refs);
}

/// Writes the descriptions of sets and columns; the shared memory that the kernel needs for them.
std::uint32_t ChunkCounter::describe(CountedRows const& rows, std::int64_t count, ChunkGroups const& groups, Pieces const& pieces) {
  for (std::size_t s = 0; s < sets_.size(); ++s) {
    SetGroups const& set = groups.sets[s];
    staging_.host<Moments*>(pieces.group_moments)[s] = sets_[s].moments.data();
    staging_.host<ProfileGroups>(pieces.chunk_sets)[s] = {staging_.device<std::int32_t>(pieces.sets[s].of_tile),
                                                          set.mixed ? staging_.device<std::int32_t>(pieces.sets[s].of_row) : nullptr,
                                                          staging_.device<std::uint32_t>(pieces.sets[s].entry_begin),
                                                          staging_.device<std::int32_t>(pieces.sets[s].entry_group),
                                                          groups.first_entry[s],
                                                          static_cast<std::uint32_t>(set.least),
                                                          set.span,
                                                          sets_[s].plan.moments};
  }
  std::uint32_t most_words = 0;
  far_.begin(count);
  for (std::size_t n = 0; n < numerics_.size(); ++n) {
    auto const& view = std::get<NumericView>(rows.columns[numerics_[n].column]);
    // A chunk begins at a whole tile of its batch, so its first bit is where the batch's is in its byte.
    Validity const validity = moved(view.validity, 0, staging_.device<std::uint8_t>(pieces.columns[n].validity));
    std::vector<ProfileSet> sets;
    std::uint32_t words = 0;
    ProfileColumn column =
        describe(n, {staging_.device<std::uint8_t>(pieces.columns[n].values), validity, count, view.storage}, groups, rows.weights != nullptr, sets, words);
    column.sets = staging_.device<ProfileSet>(pieces.column_sets) + n * sets_.size();
    column.moments = keeps_moments_ ? tile_moments_.data() + n * groups.moments_of_column : nullptr;
    copy_to(staging_.host<ProfileSet>(pieces.column_sets) + n * sets_.size(), sets);
    staging_.host<ProfileColumn>(pieces.descriptions)[n] = column;
    most_words = std::max(most_words, words);
  }
  return 4 * most_words;
}

/// What the kernel needs to know of one column; `words`: what it may use of the shared memory.
ProfileColumn ChunkCounter::describe(std::size_t n, NumericView const& values, ChunkGroups const& groups, bool weighted,
                                     std::vector<ProfileSet>& sets, std::uint32_t& words) {
  Numeric const& own = numerics_[n];
  NumericPlan const& plan = numeric(own.column).plan();
  DeviceGrid const grid = session_.grid(plan.grid);
  ProfileColumn out{};
  out.values = values;
  out.knots = grid.knots;
  out.guide = grid.guide;
  out.gaps = grid.gaps;
  out.gap_scales = grid.gap_scales;
  out.first = grid.first;
  out.origin = grid.origin;
  out.scale = grid.scale;
  out.pivot = plan.pivot;
  out.count = grid.count;
  out.buckets = grid.buckets;
  out.shift = grid.shift;
  out.steps = grid.steps;
  out.lower_tail = grid.lower_tail;
  out.upper_tail = grid.upper_tail;
  out.gap_shift = plan.gap_shift;
  out.domain = grid.domain;
  out.hashes_whole = plan.gap_shift != 0;
  bool whole = false;  // some tile lies in one group of a set
  for (std::size_t s = 0; s < sets_.size(); ++s) {
    auto const& map = sets_[s].plan.coarse ? own.to_coarse : own.to_fine;
    sets.push_back({sets_[s].slabs.table(), sets_[s].first[n], map.data(), sets_[s].layouts[n], kNotThere, {nullptr, 0, 1}});
    out.fine |= !sets_[s].plan.coarse;
    out.sketches |= sets_[s].plan.sketches;
    for (auto const group : groups.sets[s].of_tile) whole |= group >= 0;
  }

  std::size_t const overhead = profile_overhead(groups.mixed_moments, sets_.size());
  std::size_t const all = session_.info().shared_memory_a_block - overhead;
  std::size_t const part = session_.info().shared_memory_a_block / ProfileTuning::kLeastBlocks - overhead;
  auto const fits = [&](std::size_t more, std::size_t limit) { return 4 * (words + more) <= limit; };
  auto const take = [&](std::size_t more) {
    std::uint32_t const at = words;
    words += static_cast<std::uint32_t>(more);
    return at;
  };
  out.run_counts = out.run_gaps = out.run_tails = out.own_guide = out.own_knots = kNotThere;
  std::size_t const tails = out.fine ? 2 * kTailWords : 0;
  if (whole && !weighted && fits(grid.slots() + tails, std::max(part, std::min(all, ProfileTuning::kMostRunBytes)))) {
    if (out.fine) out.run_tails = take(tails);
    out.run_counts = take(grid.slots());
    std::size_t const gaps = 2 * (std::size_t{grid.count} + 1);
    if (out.fine && fits(gaps, part)) out.run_gaps = take(gaps);
  }
  for (std::size_t s = 0; s < sets_.size(); ++s) {
    SetGroups const& own_groups = groups.sets[s];
    std::size_t const counters = std::size_t{own_groups.span} * sets[s].layout.slots;
    if (weighted) continue;
    if (own_groups.mixed && fits(counters, part))
      sets[s].counters = take(counters);
    else if (own_groups.mixed || out.run_counts == kNotThere)
      sets[s].far = far_.take(sets[s].slabs, sets[s].first, static_cast<std::uint32_t>(own_groups.least), own_groups.span, sets[s].layout.slots);
  }
  out.zeroed = words;
  std::size_t const key_words = grid.domain == Domain::float32 ? 1 : 2;
  std::size_t const knots = key_words * (grid.count + (std::size_t{1} << grid.steps));
  if (fits(1 + knots + grid.buckets, part)) {
    words += words % 2;
    out.own_knots = take(knots);
    out.own_guide = take(grid.buckets);
  }
  return out;
}

void ChunkCounter::launch(CountedRows const& rows, std::int64_t begin, std::int64_t count, ChunkGroups const& groups, Pieces const& pieces,
                          std::uint32_t memory_bytes) {
  auto const columns = static_cast<std::uint32_t>(numerics_.size());
  std::int64_t const tiles = (count + kTileRows - 1) / kTileRows;
  std::int64_t const stripes = std::int64_t{session_.info().multiprocessors} * ProfileTuning::kBlocksPerMultiprocessor / std::max(1u, columns);
  ProfileChunk const chunk{staging_.device<ProfileGroups>(pieces.chunk_sets),
                           rows.weights == nullptr ? nullptr : staging_.device<std::uint32_t>(pieces.weights), count,
                           static_cast<std::int32_t>(sets_.size())};
  categories_.launch(staging_, rows, begin, chunk, groups);
  std::int64_t const most = (tiles + ProfileTuning::kLeastTiles - 1) / ProfileTuning::kLeastTiles;
  launch_profile({staging_.device<ProfileColumn>(pieces.descriptions), chunk, columns,
                  static_cast<std::uint32_t>(std::clamp<std::int64_t>(stripes, 1, most)), memory_bytes, groups.mixed_moments},
                 session_.stream());
  far_.add();
  launch_fold_moments({staging_.device<FoldRow>(pieces.folds), staging_.device<std::uint32_t>(pieces.refs), tile_moments_.data(),
                       staging_.device<Moments*>(pieces.group_moments), static_cast<std::uint32_t>(groups.folds.size()), columns,
                       groups.moments_of_column},
                      session_.stream());
}

}  // namespace modelwatch::cuda
