#include "engine/category_state.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

#include "core/hash.hpp"
#include "core/error.hpp"
#include "engine/rank.hpp"

namespace modelwatch {
namespace {

/// Dictionaries of at most this many values are counted by code in a run of tiles, whatever its length; larger ones
/// where the run has at least kRowsPerCode rows for each, since their counters are read again at its end.
constexpr std::int64_t kFewCodes = 4096;
constexpr std::int64_t kRowsPerCode = 2;
/// Four counters for each code would leave the second-level cache beyond this many, and take longer to add up than they
/// save where there are few rows for each.
constexpr std::int64_t kMostFourfoldCodes = std::int64_t{1} << 15;
constexpr std::int64_t kRowsPerFourfoldCode = 16;
/// And at most this many tiles at once: their counters have 32 bits.
constexpr std::int64_t kMostRunTiles = std::int64_t{1} << 20;

std::uint64_t hash_of(std::string_view bytes) {
  return hash_bytes(reinterpret_cast<std::uint8_t const*>(bytes.data()), static_cast<std::int64_t>(bytes.size()));
}

}  // namespace

CategoryState::CategoryState(CategoryPlan plan, std::vector<SetPlan> const& sets) : plan_(std::move(plan)) {
  if (plan_.known.size() > (std::size_t{1} << 30)) throw InvalidInput("a column cannot have more than 2^30 categories.");
  if (plan_.unseen_cap == 0) throw InvalidInput("the cap on unseen values must be at least 1.");
  for (std::size_t i = 0; i < plan_.known.size(); ++i) {
    if (i > 0 && plan_.known[i] <= plan_.known[i - 1]) throw InvalidInput("the categories of a baseline must be sorted and distinct.");
    known_.emplace(plan_.known[i], kFirstCategory + static_cast<std::uint32_t>(i));
  }
  for (auto const& set : sets) {
    if (set.coarse && plan_.to_coarse.size() != plan_.known.size()) throw InvalidInput("a category map has the wrong length.");
    if (set.coarse && set.sketches) throw InvalidInput("a counter set on the coarse grid cannot keep sketches.");
    sets_.push_back({set.coarse, set.sketches, {}});
  }
  for (auto const slot : plan_.to_coarse)
    if (slot >= plan_.coarse_slots) throw InvalidInput("a category map leads out of its grid.");
}

std::uint32_t CategoryState::resolve(std::string_view bytes, std::uint64_t& hash) {
  if (auto const known = known_.find(bytes); known != known_.end()) return known->second;
  hash = hash_of(bytes);
  std::tuple const rank(hash, bytes);
  if (plan_.known_is_capped && rank > std::tuple(plan_.known_hash, std::string_view(plan_.known_bytes))) return kOtherSlot;
  if (capped_ && rank > std::tuple(cap_hash_, std::string_view(cap_bytes_))) return kEvicted;
  auto const [at, fresh] = unseen_index_.try_emplace(std::string(bytes), static_cast<std::uint32_t>(unseen_.size()));
  if (fresh) unseen_.push_back({std::string(bytes), hash, false});
  return kFirstCategory + static_cast<std::uint32_t>(plan_.known.size()) + at->second;
}

CategoryState::Group& CategoryState::group_of(Set& set, std::int32_t group) {
  auto const at = static_cast<std::size_t>(group);
  if (at >= set.groups.size()) set.groups.resize(at + 1);
  if (!set.groups[at]) {
    std::uint32_t const slots = set.coarse ? plan_.coarse_slots : kFirstCategory + static_cast<std::uint32_t>(plan_.known.size());
    set.groups[at] = std::make_unique<Group>(Group{SparseArray<std::uint64_t>(slots), {}, {}});
  }
  return *set.groups[at];
}

/// A value is looked up when the first row that uses it is counted: a dictionary may list values that never occur.
std::uint32_t CategoryState::slot_of(CategoryView const& column, std::size_t code) {
  if (slot_of_code_[code] == kUnresolved) {
    auto const at = static_cast<std::int64_t>(code);
    slot_of_code_[code] = column.values.validity.valid(at) ? resolve(column.values.at(at), hash_of_code_[code]) : kNullSlot;
  }
  return slot_of_code_[code];
}

/// Slot of every row of a tile.
template <class Code>
void CategoryState::resolve_tile(CategoryView const& column, std::int64_t begin, int rows, std::uint32_t* slots,
                                 std::uint32_t* row_codes) {
  auto const* const codes = static_cast<Code const*>(column.codes.values) + begin;
  for (int i = 0; i < rows; ++i) {
    if (!column.codes.validity.valid(begin + i)) {
      slots[i] = kNullSlot;
      continue;
    }
    auto const code = static_cast<std::size_t>(codes[i]);
    slots[i] = slot_of(column, code);
    row_codes[i] = static_cast<std::uint32_t>(code);
  }
}

void CategoryState::count(Set const& set, Group& into, std::uint32_t slot, std::uint32_t code, std::uint64_t times) const {
  std::uint32_t const first_unseen = kFirstCategory + static_cast<std::uint32_t>(plan_.known.size());
  if (slot < first_unseen)
    into.cells.add(set.coarse && slot >= kFirstCategory ? plan_.to_coarse[slot - kFirstCategory] : slot, times);
  else if (set.coarse)
    into.cells.add(kCoarseUnseen, times);  // evicted or not: the order of rows must not show
  else if (slot == kEvicted)
    into.cells.add(kOtherSlot, times);
  else
    into.unseen[slot - first_unseen] += times;
  if (set.sketches && (slot == kEvicted || slot == kOtherSlot)) {
    if (!into.beyond) into.beyond = std::make_unique<Registers>();
    into.beyond->add(hash_of_code_[code]);
  }
}

void CategoryState::count_tile(Set& set, std::uint32_t const* slots, std::uint32_t const* codes, std::int32_t const* groups,
                               std::uint32_t const* weights, int rows) {
  std::uint32_t const first_unseen = kFirstCategory + static_cast<std::uint32_t>(plan_.known.size());
  std::int32_t current = -1;
  Group* into = nullptr;
  std::uint64_t* dense = nullptr;
  for (int i = 0; i < rows; ++i) {
    std::int32_t const group = groups == nullptr ? 0 : groups[i];
    if (group < 0) continue;
    if (group != current) {
      into = &group_of(set, group);
      current = group;
      dense = into->cells.dense();
    }
    std::uint64_t const times = weights == nullptr ? 1 : weights[i];
    if (!set.coarse && dense != nullptr && slots[i] < first_unseen && slots[i] != kOtherSlot) {
      dense[slots[i]] += times;  // nearly every row
    } else {
      count(set, *into, slots[i], codes[i], times);
      dense = into->cells.dense();
    }
  }
}

void CategoryState::add(CategoryView const& column, std::shared_ptr<ArrowOwner const> owner, BatchGroups const& groups,
                        std::uint32_t const* weights) {
  if (groups.sets() != sets_.size()) throw InvalidInput("a batch needs the groups of every counter set.");
  if (!last_owner_ || !column.values.same_memory(last_values_)) {
    slot_of_code_.assign(static_cast<std::size_t>(column.values.size), kUnresolved);
    hash_of_code_.assign(slot_of_code_.size(), 0);
    last_owner_ = std::move(owner);
    last_values_ = column.values;
  }
  std::int64_t const size = column.values.size;
  for (std::int64_t t = 0; t < groups.tiles();) {
    std::int64_t const end = weights == nullptr ? std::min(groups.run_end(t), t + kMostRunTiles) : t;
    // What no run can hold goes row by row.
    if (end > t && (size <= kFewCodes || groups.rows_of(t, end) >= kRowsPerCode * size)) {
      count_run(column, groups, t, end);
      t = end;
    } else {
      for (std::int64_t const last = std::max(t + 1, end); t < last; ++t) add_tile(column, groups, t, weights);
    }
  }
  if (unseen_index_.size() > 2 * static_cast<std::size_t>(plan_.unseen_cap)) evict_beyond_cap();
}

/// Tiles that belong to one group in every set: codes are counted, and looked up once at the end.
void CategoryState::count_run(CategoryView const& column, BatchGroups const& groups, std::int64_t from, std::int64_t to) {
  auto const stride = static_cast<std::uint32_t>(column.values.size) + 1;
  std::uint32_t const null = stride - 1;
  std::vector<std::pair<Set*, Group*>> targets;
  for (std::size_t s = 0; s < sets_.size(); ++s)
    if (std::int32_t const id = groups.first(s, from); id >= 0) targets.emplace_back(&sets_[s], &group_of(sets_[s], id));
  if (targets.empty()) return;
  std::int64_t const size = column.values.size;
  bool const fourfold = size <= kFewCodes || (size <= kMostFourfoldCodes && groups.rows_of(from, to) >= kRowsPerFourfoldCode * size);
  std::uint32_t const parts = fourfold ? 4 : 1;
  if (run_counts_.size() < parts * std::size_t{stride}) run_counts_.resize(parts * std::size_t{stride}, 0);
  std::uint8_t valid[kTileRows];
  for (std::int64_t t = from; t < to; ++t) {
    int const rows = static_cast<int>(groups.rows_of(t, t + 1));
    // Tables no distance apart are one.
    cpu::kernels().count_codes(column.codes, t * kTileRows, rows, valid_rows(column.codes, t * kTileRows, rows, valid), null,
                               run_counts_.data(), fourfold ? stride : 0);
  }
  for (std::uint32_t part = 1; part < parts; ++part)
    for (std::uint32_t code = 0; code < stride; ++code) run_counts_[code] += std::exchange(run_counts_[part * stride + code], 0u);
  for (std::uint32_t code = 0; code < stride; ++code) {
    std::uint32_t const times = std::exchange(run_counts_[code], 0u);
    if (times == 0) continue;
    std::uint32_t const slot = code == null ? kNullSlot : slot_of(column, code);
    for (auto const& [set, group] : targets) count(*set, *group, slot, code, times);
  }
}

void CategoryState::add_tile(CategoryView const& column, BatchGroups const& groups, std::int64_t tile, std::uint32_t const* weights) {
  std::uint32_t slots[kTileRows];
  std::uint32_t codes[kTileRows];
  std::int64_t const begin = tile * kTileRows;
  int const rows = static_cast<int>(groups.rows_of(tile, tile + 1));
  switch (column.codes.storage) {
    case Storage::int8: resolve_tile<std::int8_t>(column, begin, rows, slots, codes); break;
    case Storage::int16: resolve_tile<std::int16_t>(column, begin, rows, slots, codes); break;
    case Storage::int32: resolve_tile<std::int32_t>(column, begin, rows, slots, codes); break;
    case Storage::int64: resolve_tile<std::int64_t>(column, begin, rows, slots, codes); break;
    case Storage::uint8: resolve_tile<std::uint8_t>(column, begin, rows, slots, codes); break;
    case Storage::uint16: resolve_tile<std::uint16_t>(column, begin, rows, slots, codes); break;
    case Storage::uint32: resolve_tile<std::uint32_t>(column, begin, rows, slots, codes); break;
    case Storage::uint64: resolve_tile<std::uint64_t>(column, begin, rows, slots, codes); break;
    case Storage::float32:
    case Storage::float64: throw InvalidInput("dictionary codes must be integers.");
  }
  for (std::size_t s = 0; s < sets_.size(); ++s)
    count_tile(sets_[s], slots, codes, groups.from_tile(s, tile), weights == nullptr ? nullptr : weights + begin, rows);
}

void CategoryState::evict_beyond_cap() {
  if (unseen_index_.size() <= plan_.unseen_cap) return;
  std::vector<std::uint32_t> alive;
  for (auto const& [bytes, id] : unseen_index_) alive.push_back(id);
  auto const smaller = [&](std::uint32_t a, std::uint32_t b) {
    return std::tie(unseen_[a].hash, unseen_[a].bytes) < std::tie(unseen_[b].hash, unseen_[b].bytes);
  };
  auto const last = alive.begin() + plan_.unseen_cap - 1;
  std::nth_element(alive.begin(), last, alive.end(), smaller);
  capped_ = true;
  cap_hash_ = unseen_[*last].hash;
  cap_bytes_ = unseen_[*last].bytes;
  for (auto at = last + 1; at != alive.end(); ++at) {
    unseen_[*at].evicted = true;
    unseen_index_.erase(unseen_[*at].bytes);
    unseen_[*at].bytes = {};
  }
  for (auto& set : sets_)
    for (auto& group : set.groups) {
      if (!group) continue;
      for (auto entry = group->unseen.begin(); entry != group->unseen.end();) {
        if (unseen_[entry->first].evicted) {
          group->cells.add(kOtherSlot, entry->second);
          if (set.sketches) {
            if (!group->beyond) group->beyond = std::make_unique<Registers>();
            group->beyond->add(unseen_[entry->first].hash);
          }
          entry = group->unseen.erase(entry);
        } else {
          ++entry;
        }
      }
    }
  last_owner_.reset();  // codes of evicted values must be resolved anew
}

CategoryResult CategoryState::finish(std::size_t set_index) {
  evict_beyond_cap();
  Set const& set = sets_.at(set_index);
  CategoryResult out;
  out.capped = capped_;
  std::vector<std::uint32_t> order;
  for (auto const& [bytes, id] : unseen_index_) order.push_back(id);
  std::sort(order.begin(), order.end(), [&](auto a, auto b) { return unseen_[a].bytes < unseen_[b].bytes; });
  std::vector<std::uint32_t> rank(unseen_.size(), 0);
  for (std::uint32_t i = 0; i < order.size(); ++i) {
    rank[order[i]] = i;
    if (!set.coarse) out.unseen.push_back(unseen_[order[i]].bytes);
  }
  out.cell_begin.push_back(0);
  for (std::size_t g = 0; g < set.groups.size(); ++g) {
    if (!set.groups[g]) continue;
    out.group.push_back(static_cast<std::uint32_t>(g));
    set.groups[g]->cells.each([&](std::uint32_t cell, std::uint64_t count) {
      out.cell.push_back(cell);
      out.count.push_back(count);
    });
    out.cell_begin.push_back(out.cell.size());
    if (set.groups[g]->beyond) {
      auto const& ranks = set.groups[g]->beyond->ranks();
      out.register_group.push_back(static_cast<std::uint32_t>(g));
      out.registers.insert(out.registers.end(), ranks.begin(), ranks.end());
    }
    std::vector<std::pair<std::uint32_t, std::uint64_t>> entries;
    for (auto const& [id, count] : set.groups[g]->unseen) entries.emplace_back(rank[id], count);
    std::sort(entries.begin(), entries.end());
    for (auto const& [index, count] : entries) {
      out.unseen_group.push_back(static_cast<std::uint32_t>(g));
      out.unseen_index.push_back(index);
      out.unseen_count.push_back(count);
    }
  }
  return out;
}

std::size_t CategoryState::bytes() const {
  std::size_t total = unseen_.size() * (sizeof(Unseen) + 64);
  for (auto const& set : sets_)
    for (auto const& group : set.groups)
      if (group) total += sizeof(Group) + group->cells.bytes() + group->unseen.size() * 32;
  return total;
}

}  // namespace modelwatch
