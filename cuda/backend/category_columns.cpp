#include "cuda/backend/category_columns.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "cuda/backend/feed.hpp"  // bytes_of, validity_bytes, moved

namespace modelwatch::cuda {
namespace {

/// How vocabularies grow.
struct VocabularyTuning {
  /// Counters have room for so many places at least, and for twice as many when these are full.
  static constexpr std::size_t kLeastRoom = 64;
  /// A vocabulary of more values or bytes starts anew with the next chunk: most of them were seen once.
  static constexpr std::size_t kMostValues = std::size_t{1} << 20;
  static constexpr std::size_t kMostBytes = std::size_t{1} << 28;
};

std::int64_t offset_at(StringsView const& view, std::int64_t i) {
  return view.layout == StringLayout::offsets64 ? static_cast<std::int64_t const*>(view.offsets)[i]
                                                : static_cast<std::int64_t>(static_cast<std::int32_t const*>(view.offsets)[i]);
}

/// Bytes of the values of some rows.
std::size_t text_bytes_of(StringsView const& view, std::int64_t begin, std::int64_t count) {
  if (view.layout != StringLayout::views) return static_cast<std::size_t>(offset_at(view, begin + count) - offset_at(view, begin));
  std::size_t total = 0;
  for (std::int64_t i = begin; i < begin + count; ++i)
    if (view.validity.valid(i)) total += view.at(i).size();
  return total;
}

/// Views come as offsets of 64 bits and bytes.
std::size_t offset_bytes(StringsView const& view) { return view.layout == StringLayout::offsets32 ? 4 : 8; }

void copy_views(StringsView const& view, std::int64_t begin, std::int64_t count, std::int64_t* offsets, std::uint8_t* bytes) {
  std::int64_t end = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    offsets[i] = end;
    if (!view.validity.valid(begin + i)) continue;
    std::string_view const value = view.at(begin + i);
    if (!value.empty()) std::memcpy(bytes + end, value.data(), value.size());
    end += static_cast<std::int64_t>(value.size());
  }
  offsets[count] = end;
}

Validity const& validity_of(ColumnView const& view) {
  auto const* const text = std::get_if<StringsView>(&view);
  return text != nullptr ? text->validity : std::get<CategoryView>(view).codes.validity;
}

}  // namespace

void CategoryColumns::add_column(std::size_t column, CategoryState& state) {
  columns_.push_back(std::make_unique<Column>(column, state, session_.stream()));
}

void CategoryColumns::enter(CountedRows const& rows) {
  for (auto& own : columns_) {
    if (own->vocabulary.size() > VocabularyTuning::kMostValues || own->vocabulary.bytes() > VocabularyTuning::kMostBytes) {
      drain(*own);
    }
    if (auto const* const view = std::get_if<CategoryView>(&rows.columns[own->column])) enter_dictionary(*own, *view, rows.owner);
  }
}

/// Every value of a dictionary gets a place, once for all batches that have it.
void CategoryColumns::enter_dictionary(Column& own, CategoryView const& view, std::shared_ptr<ArrowOwner const> const& owner) {
  if (own.owner && view.values.same_memory(own.dictionary)) return;
  std::vector<std::uint32_t> places(static_cast<std::size_t>(view.values.size), 0);
  for (std::size_t i = 0; i < places.size(); ++i)
    if (auto const at = static_cast<std::int64_t>(i); view.values.validity.valid(at)) places[i] = own.vocabulary.place_of(view.values.at(at));
  own.places = uploaded(places, session_.stream());
  own.owner = owner;
  own.dictionary = view.values;
}

void CategoryColumns::reserve(Staging& staging, CountedRows const& rows, std::int64_t begin, std::int64_t count) {
  auto const n = static_cast<std::size_t>(count);
  for (auto& own : columns_) {
    auto const& view = rows.columns[own->column];
    own->validity_at = staging.reserve(validity_bytes(validity_of(view), begin, count));
    if (auto const* const text = std::get_if<StringsView>(&view)) {
      own->text_bytes = text_bytes_of(*text, begin, count);
      own->codes_at = staging.reserve((n + 1) * offset_bytes(*text));
      own->text_at = staging.reserve(own->text_bytes);
    } else {
      own->codes_at = staging.reserve(n * bytes_of(std::get<CategoryView>(view).codes.storage));
    }
  }
}

void CategoryColumns::fill(Staging const& staging, CountedRows const& rows, std::int64_t begin, std::int64_t count, CopyJobs& jobs) const {
  for (auto const& one : columns_) {
    Column const* const own = one.get();
    jobs.emplace_back([=, &staging, &rows] {
      auto const n = static_cast<std::size_t>(count);
      auto const& view = rows.columns[own->column];
      Validity const validity = validity_of(view);
      if (std::size_t const bits = validity_bytes(validity, begin, count); bits != 0)
        std::memcpy(staging.host<std::uint8_t>(own->validity_at), validity.bits + (validity.offset + begin) / 8, bits);
      if (auto const* const category = std::get_if<CategoryView>(&view)) {
        std::size_t const size = bytes_of(category->codes.storage);
        std::memcpy(staging.host<std::uint8_t>(own->codes_at),
                    static_cast<std::uint8_t const*>(category->codes.values) + static_cast<std::size_t>(begin) * size, n * size);
        return;
      }
      auto const& text = std::get<StringsView>(view);
      if (text.layout == StringLayout::views)
        return copy_views(text, begin, count, staging.host<std::int64_t>(own->codes_at), staging.host<std::uint8_t>(own->text_at));
      std::size_t const size = offset_bytes(text);
      std::memcpy(staging.host<std::uint8_t>(own->codes_at), static_cast<std::uint8_t const*>(text.offsets) + static_cast<std::size_t>(begin) * size,
                  (n + 1) * size);
      if (own->text_bytes != 0) std::memcpy(staging.host<std::uint8_t>(own->text_at), text.bytes + offset_at(text, begin), own->text_bytes);
    });
  }
}

void CategoryColumns::look_up(Staging const& staging, CountedRows const& rows, std::int64_t begin, std::int64_t count) {
  for (auto& own : columns_)
    if (auto const* const text = std::get_if<StringsView>(&rows.columns[own->column])) look_up(*own, staging, *text, begin, count);
}

/// The device finds the values it knows, and the host gives places to the others: few, after the first chunks of most columns.
void CategoryColumns::look_up(Column& own, Staging const& staging, StringsView const& view, std::int64_t begin, std::int64_t count) {
  auto const n = static_cast<std::size_t>(count);
  if (own.row_places.size() < n) own.row_places = DeviceArray<std::uint32_t>(n, session_.stream());
  if (own.absent.size() < n + 1) own.absent = DeviceArray<std::uint32_t>(n + 1, session_.stream());
  bool const views = view.layout == StringLayout::views;
  TextRows const text{staging.device<std::uint8_t>(own.codes_at), staging.device<std::uint8_t>(own.text_at),
                      moved(view.validity, begin, staging.device<std::uint8_t>(own.validity_at)), count, views ? 0 : offset_at(view, begin),
                      view.layout != StringLayout::offsets32};
  auto const run = [&] {
    own.absent.zero();
    launch_look_up(text, own.vocabulary.on_device(), own.row_places.data(), own.absent.data(), session_.info().multiprocessors, session_.stream());
    std::uint32_t absent = 0;
    own.absent.download(&absent, 1);
    return absent;
  };
  std::uint32_t const absent = run();
  if (absent == 0) return;
  std::vector<std::uint32_t> list(absent + 1);
  own.absent.download(list.data(), list.size());
  for (std::size_t i = 1; i < list.size(); ++i) own.vocabulary.place_of(view.at(begin + list[i]));
  run();
}

std::size_t CategoryColumns::room_for(Column const& own) const {
  return std::max({own.room, VocabularyTuning::kLeastRoom, std::bit_ceil(own.vocabulary.size() + 1)});
}

std::size_t CategoryColumns::bytes_for(ChunkGroups const& groups) const {
  std::size_t total = 0;
  for (auto const& own : columns_)
    for (std::size_t s = 0; s < plans_.size(); ++s) {
      bool const grows = room_for(*own) != own->room;
      std::size_t const words = plans_[s].coarse ? own->state->plan().coarse_slots : room_for(*own);
      total += grows ? groups.sets[s].present.size() * words * sizeof(std::uint64_t) : own->slabs[s].bytes_for(groups.sets[s].present);
    }
  return total;
}

/// Counters for as many places as the vocabulary has.
void CategoryColumns::make_counters(Column& own) {
  std::size_t const room = room_for(own);
  if (room != own.room) {
    // The values keep their places; only the counts go to the engine.
    if (own.room != 0) drain_counts(own);
    own.slabs.clear();
    for (auto const& plan : plans_) own.slabs.emplace_back(plan.coarse ? own.state->plan().coarse_slots : room, session_.stream());
    own.seen = DeviceArray<std::uint32_t>(room, session_.stream());
    own.seen.zero();
    own.device_coarse = DeviceArray<std::uint32_t>(room, session_.stream());
    own.coarse.clear();
    own.room = room;
  }
  bool const coarse = std::any_of(plans_.begin(), plans_.end(), [](SetPlan const& plan) { return plan.coarse; });
  if (!coarse || own.coarse.size() == own.vocabulary.size() + 1) return;
  if (own.coarse.empty()) own.coarse.push_back(kNullSlot);
  while (own.coarse.size() <= own.vocabulary.size()) own.coarse.push_back(own.state->coarse_slot(own.vocabulary.value(own.coarse.size() - 1)));
  own.device_coarse.upload(own.coarse.data(), own.coarse.size());
}

void CategoryColumns::make_slabs(ChunkGroups const& groups) {
  for (auto& own : columns_) {
    make_counters(*own);
    for (std::size_t s = 0; s < plans_.size(); ++s) own->slabs[s].make(groups.sets[s].present);
  }
}

CodeColumn CategoryColumns::describe(Column& own, Staging const& staging, CountedRows const& rows, std::int64_t begin, ProfileChunk const& chunk,
                                     ChunkGroups const& groups, std::vector<CodeSet>& sets) {
  auto const& view = rows.columns[own.column];
  Validity const validity = moved(validity_of(view), begin, staging.device<std::uint8_t>(own.validity_at));
  CodeColumn out{};
  out.seen = own.seen.data();
  if (auto const* const category = std::get_if<CategoryView>(&view)) {
    out.codes = {staging.device<std::uint8_t>(own.codes_at), validity, chunk.rows, category->codes.storage};
    out.places = own.places.data();
  } else {
    out.codes = {own.row_places.data(), {nullptr, 0}, chunk.rows, Storage::uint32};
  }
  for (std::size_t s = 0; s < plans_.size(); ++s) {
    bool const coarse = plans_[s].coarse;
    // Of the room, only as much as there are values.
    auto const slots = coarse ? own.state->plan().coarse_slots : static_cast<std::uint32_t>(own.vocabulary.size() + 1);
    CodeSet set{own.slabs[s].table(), coarse ? own.device_coarse.data() : nullptr, slots, kNotThere, {nullptr, 0, 1}};
    std::size_t const counters = std::size_t{groups.sets[s].span} * slots;
    if (chunk.weights == nullptr && 4 * (out.zeroed + counters) <= CodeTuning::kMemoryBytes) {
      set.counters = out.zeroed;
      out.zeroed += static_cast<std::uint32_t>(counters);
    } else if (chunk.weights == nullptr) {
      set.far = far_.take(set.slabs, 0, static_cast<std::uint32_t>(groups.sets[s].least), groups.sets[s].span, slots);
    }
    sets.push_back(set);
  }
  return out;
}

void CategoryColumns::launch(Staging const& staging, CountedRows const& rows, std::int64_t begin, ProfileChunk const& chunk, ChunkGroups const& groups) {
  if (columns_.empty()) return;
  std::vector<CodeSet> sets;
  std::vector<CodeColumn> columns;
  std::uint32_t most_words = 0;
  far_.begin(chunk.rows);
  for (auto& own : columns_) {
    columns.push_back(describe(*own, staging, rows, begin, chunk, groups, sets));
    most_words = std::max(most_words, columns.back().zeroed);
  }
  device_sets_ = uploaded(sets, session_.stream());
  for (std::size_t i = 0; i < columns.size(); ++i) columns[i].sets = device_sets_.data() + i * plans_.size();
  device_columns_ = uploaded(columns, session_.stream());
  auto const count = static_cast<std::uint32_t>(columns.size());
  std::int64_t const tiles = (chunk.rows + kTileRows - 1) / kTileRows;
  std::int64_t const stripes = std::int64_t{session_.info().multiprocessors} * CodeTuning::kBlocksPerMultiprocessor / count;
  std::int64_t const most = (tiles + CodeTuning::kLeastTiles - 1) / CodeTuning::kLeastTiles;
  launch_count_codes({device_columns_.data(), chunk, count, static_cast<std::uint32_t>(std::clamp<std::int64_t>(stripes, 1, most)), 4 * most_words},
                     session_.stream());
  far_.add();
}

void CategoryColumns::drain() {
  for (auto& own : columns_) drain(*own);
}

/// Brings the counts of a column to the engine; its vocabulary stays.
void CategoryColumns::drain_counts(Column& own) {
  if (own.room == 0) return;
  std::vector<std::uint32_t> const flags = own.seen.download();
  std::vector<std::string_view> values;
  std::vector<bool> seen;
  for (std::size_t i = 0; i < std::min(own.vocabulary.size(), own.room - 1); ++i) {
    values.push_back(own.vocabulary.value(i));
    seen.push_back(flags[1 + i] != 0);
  }
  auto const resolved = own.state->resolve_all(values, seen);
  for (std::size_t s = 0; s < plans_.size(); ++s)
    own.slabs[s].drain([&](std::int32_t group, std::uint64_t const* counts) { own.state->absorb(resolved, s, group, counts); });
  own.seen.zero();
}

/// And starts the vocabulary anew.
void CategoryColumns::drain(Column& own) {
  drain_counts(own);
  own.vocabulary.clear();
  own.owner.reset();
  own.coarse.clear();
  own.slabs.clear();
  own.room = 0;
}

std::size_t CategoryColumns::row_bytes(CountedRows const& rows) const {
  std::size_t total = 0;
  for (auto const& own : columns_) {
    auto const& view = rows.columns[own->column];
    if (auto const* const category = std::get_if<CategoryView>(&view))
      total += bytes_of(category->codes.storage) + 1;
    else if (auto const& text = std::get<StringsView>(view); rows.rows != 0)
      total += offset_bytes(text) + 1 + text_bytes_of(text, 0, rows.rows) / static_cast<std::size_t>(rows.rows);
  }
  return total;
}

std::size_t CategoryColumns::slab_bytes() const {
  std::size_t total = 0;
  for (auto const& own : columns_)
    for (auto const& slabs : own->slabs) total += slabs.bytes();
  return total;
}

}  // namespace modelwatch::cuda
