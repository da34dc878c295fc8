#include "engine/category_state.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

#include "core/hash.hpp"
#include "core/error.hpp"
#include "core/radix_sort.hpp"
#include "engine/byte_order.hpp"
#include "engine/rank.hpp"

namespace modelwatch {
namespace {

/// Larger dictionaries than kMostRunCodes are counted by code where a run has at least so many rows for each, since their
/// counters are read again at its end.
constexpr std::int64_t kRowsPerCode = 2;
/// Four counters for each code would leave the second-level cache beyond this many, and take longer to add up than they
/// save where there are few rows for each.
constexpr std::int64_t kMostFourfoldCodes = std::int64_t{1} << 15;
constexpr std::int64_t kRowsPerFourfoldCode = 16;

std::uint64_t hash_of(std::string_view bytes) {
  return hash_bytes(reinterpret_cast<std::uint8_t const*>(bytes.data()), static_cast<std::int64_t>(bytes.size()));
}

}  // namespace

CategoryState::CategoryState(CategoryPlan plan, std::vector<SetPlan> const& sets) : plan_(std::move(plan)) {
  if (plan_.known.size() > (std::size_t{1} << 30)) throw InvalidInput("a column cannot have more than 2^30 categories.");
  if (plan_.unseen_cap == 0) throw InvalidInput("the cap on unseen values must be at least 1.");
  table_.reserve(plan_.known.size());
  for (std::size_t i = 0; i < plan_.known.size(); ++i) {
    if (i > 0 && plan_.known[i] <= plan_.known[i - 1]) throw InvalidInput("the categories of a baseline must be sorted and distinct.");
    if (plan_.known[i].size() > static_cast<std::size_t>(StringsView::kMostBytes)) throw InvalidInput("a category is longer than 4 GiB.");
    table_.insert(own_key(plan_.known[i]), kFirstCategory + static_cast<std::uint32_t>(i));
  }
  for (auto const& set : sets) {
    if (set.coarse && plan_.to_coarse.size() != plan_.known.size()) throw InvalidInput("a category map has the wrong length.");
    if (set.coarse && set.sketches) throw InvalidInput("a counter set on the coarse grid cannot keep sketches.");
    sets_.push_back({set.coarse, set.sketches, {}, {}});
  }
  for (auto const slot : plan_.to_coarse)
    if (slot >= plan_.coarse_slots) throw InvalidInput("a category map leads out of its grid.");
}

/// The key of a value in table_.
StringKey CategoryState::own_key(std::string_view bytes) {
  cpu::KernelTable const& kernel = cpu::kernels();
  return kernel.finds_texts ? key_with(bytes, kernel.hash_text(bytes.data(), static_cast<std::uint32_t>(bytes.size()))) : key_of(bytes);
}

std::uint32_t CategoryState::resolve(std::string_view bytes, std::uint64_t& hash) {
  StringKey const key = own_key(bytes);
  std::uint32_t const slot = table_.find(key);
  if (slot != StringTable::kAbsent) return slot;
  if (has_cap()) hash = hash_of(bytes);
  return admit(bytes, key.hash, hash);
}

/// Whether the baseline may have had a value that it does not know, since it was capped.
bool CategoryState::is_beyond_known(std::uint64_t hash, std::string_view bytes) const {
  return std::tuple(hash, bytes) > std::tuple(plan_.known_hash, std::string_view(plan_.known_bytes));
}

/// Whether a value is none of those that are kept.
bool CategoryState::is_beyond_cap(std::uint64_t hash, std::string_view bytes) const {
  return std::tuple(hash, bytes) > std::tuple(cap_hash_, std::string_view(cap_bytes_));
}

/// Where a slot is counted on the coarse grid: evicted or not, the order of rows must not show.
std::uint32_t CategoryState::coarse_of(std::uint32_t slot) const {
  if (slot < kFirstCategory) return slot;
  return slot < first_unseen() ? plan_.to_coarse[slot - kFirstCategory] : kCoarseUnseen;
}

/// The slot of a value that had none when it was looked up: of an unseen one, or what becomes of it beyond a cap.  Its hash
/// decides that, where there is a cap.
std::uint32_t CategoryState::admit(std::string_view value, std::uint64_t table_hash, std::uint64_t hash) {
  if (plan_.known_is_capped && is_beyond_known(hash, value)) return kOtherSlot;
  if (capped_ && is_beyond_cap(hash, value)) return kEvicted;
  return table_.number_of(key_with(value, table_hash), slots_in_use(), [&] {
    unseen_.push_back(arena_->keep(value));
    if (has_cap()) unseen_hashes_.push_back(hash);
    return unseen_.back().data();
  });
}

/// Where a group is counted whose rows do not come among those of many others.
CategoryState::Group& CategoryState::group_of(Set& set, std::int32_t group) {
  auto const at = static_cast<std::size_t>(group);
  if (set.few.has(at)) settle(set, at);
  return made(set, at);
}

CategoryState::Group& CategoryState::made(Set& set, std::size_t at) const {
  if (at >= set.groups.size()) set.groups.resize(at + 1);
  if (!set.groups[at]) {
    set.groups[at] = std::make_unique<Group>();
    set.groups[at]->cells = SparseArray<std::uint64_t>(set.coarse ? plan_.coarse_slots : first_unseen());
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

void CategoryState::count(Set const& set, Group& into, std::uint32_t slot, std::uint64_t times) const {
  if (set.coarse)
    into.cells.add(coarse_of(slot), times);
  else if (slot < first_unseen())
    into.cells.add(slot, times);
  else if (slot == kEvicted)
    into.cells.add(kOtherSlot, times);
  else {
    into.unseen.widen(static_cast<std::uint32_t>(unseen_.size()));
    into.unseen.add(slot - first_unseen(), times);
  }
}

/// A value beyond a cap has no count of its own; it stays in the registers of sets that keep sketches.
void CategoryState::note_beyond(Set const& set, Group& into, std::uint64_t hash) {
  if (!set.sketches) return;
  if (!into.beyond) into.beyond = std::make_unique<Registers>();
  into.beyond->add(hash);
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
  if (groups.any_scattered()) add_scattered(column, groups);
  std::int64_t const size = column.values.size;
  for (std::int64_t t = 0; t < groups.tiles();) {
    std::int64_t const end = weights == nullptr ? std::min(groups.near_end(t), t + kMostRunTiles) : t;
    // What no run can hold goes row by row.
    if (end > t && (size <= kMostRunCodes || groups.rows_of(t, end) >= kRowsPerCode * size)) {
      count_run(column, groups, t, end);
      t = end;
    } else if (std::int64_t const same = weights == nullptr && end == t ? count_together(column, groups, t) : t; same > t) {
      t = same;
    } else {
      for (std::int64_t const last = std::max(t + 1, end); t < last; ++t) add_tile(column, groups, t, weights);
    }
  }
  evict_where_many();
}

CategoryState::Targets CategoryState::targets_of(BatchGroups const& groups, std::int64_t tile) {
  Targets targets;
  for (std::size_t s = 0; s < sets_.size(); ++s)
    if (std::int32_t const id = groups.scattered(s) ? -1 : groups.first(s, tile); id >= 0)
      targets.emplace_back(&sets_[s], &group_of(sets_[s], id));
  return targets;
}

/// Tiles that belong to one group in every set: codes are counted, and looked up once at the end.
void CategoryState::count_run(CategoryView const& column, BatchGroups const& groups, std::int64_t from, std::int64_t to) {
  auto const stride = static_cast<std::uint32_t>(column.values.size) + 1;
  std::uint32_t const null = stride - 1;
  Targets const targets = targets_of(groups, from);
  if (targets.empty()) return;
  std::int64_t const size = column.values.size;
  bool const fourfold = size <= kMostRunCodes || (size <= kMostFourfoldCodes && groups.rows_of(from, to) >= kRowsPerFourfoldCode * size);
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
  resolve_counted(column, run_counts_.data());
  for (std::uint32_t code = 0; code < stride; ++code) {
    std::uint32_t const times = std::exchange(run_counts_[code], 0u);
    if (times == 0) continue;
    std::uint32_t const slot = code == null ? kNullSlot : slot_of(column, code);
    for (auto const& [set, group] : targets) {
      count(*set, *group, slot, times);
      if (is_beyond(slot)) note_beyond(*set, *group, hash_of_code_[code]);
    }
  }
}

/// Hashes of values that came before there was a cap.
void CategoryState::hash_unseen() {
  unseen_hashes_.resize(unseen_.size());
  char const* bytes[cpu::kTextRows];
  std::uint32_t sizes[cpu::kTextRows];
  for (std::size_t first = 0; first < unseen_.size(); first += cpu::kTextRows) {
    auto const rows = static_cast<int>(std::min<std::size_t>(cpu::kTextRows, unseen_.size() - first));
    for (int i = 0; i < rows; ++i) {
      std::string_view const value = unseen_[first + static_cast<std::size_t>(i)];
      bytes[i] = value.data();
      sizes[i] = static_cast<std::uint32_t>(value.size());
    }
    cpu::kernels().hash_values(bytes, sizes, rows, unseen_hashes_.data() + first);
  }
}

void CategoryState::evict_beyond_cap() {
  if (unseen_.size() <= plan_.unseen_cap) return;
  if (!has_cap()) hash_unseen();
  std::vector<std::uint64_t, LargePages<std::uint64_t>> hashes(unseen_hashes_.begin(), unseen_hashes_.end());
  auto const last = hashes.begin() + plan_.unseen_cap - 1;
  std::nth_element(hashes.begin(), last, hashes.end());
  capped_ = true;
  cap_hash_ = *last;
  // Bytes decide between those of the last hash.
  std::size_t smaller = 0;
  std::vector<std::string_view> of_last;
  for (std::size_t i = 0; i < unseen_.size(); ++i) {
    smaller += unseen_hashes_[i] < cap_hash_ ? 1 : 0;
    if (unseen_hashes_[i] == cap_hash_) of_last.push_back(unseen_[i]);
  }
  std::sort(of_last.begin(), of_last.end());
  cap_bytes_ = of_last[plan_.unseen_cap - 1 - smaller];
  // Those who stay close ranks, in the order in which they came, and take their bytes along.
  struct Moved {
    char const* bytes;
    std::uint32_t place;
  };
  std::vector<Moved, LargePages<Moved>> to(unseen_.size());
  auto arena = std::make_shared<StringArena>();
  decltype(unseen_) kept;
  decltype(unseen_hashes_) kept_hashes;
  for (std::uint32_t i = 0; i < unseen_.size(); ++i) {
    to[i].place = kEvicted;
    if (is_beyond_cap(unseen_hashes_[i], unseen_[i])) continue;
    kept.push_back(arena->keep(unseen_[i]));
    to[i] = {kept.back().data(), static_cast<std::uint32_t>(kept.size() - 1)};
    kept_hashes.push_back(unseen_hashes_[i]);
  }
  auto const fetch = [&](std::uint32_t slot) {
    if (slot >= first_unseen()) __builtin_prefetch(&to[slot - first_unseen()]);
  };
  table_.change(
      [&](char const*& bytes, std::uint32_t& slot) {
        if (slot < first_unseen()) return;
        Moved const& moved = to[slot - first_unseen()];
        slot = moved.place == kEvicted ? StringTable::kAbsent : first_unseen() + moved.place;
        if (moved.place != kEvicted) bytes = moved.bytes;
      },
      fetch);
  for (auto& set : sets_)
    for (auto& group : set.groups) {
      if (!group) continue;
      auto const counts = std::exchange(group->unseen, SparseArray<std::uint64_t>::growing());
      group->unseen.widen(plan_.unseen_cap);
      counts.each([&](std::uint32_t place, std::uint64_t times) {
        if (to[place].place != kEvicted) return group->unseen.add(to[place].place, times);
        group->cells.add(kOtherSlot, times);
        note_beyond(set, *group, unseen_hashes_[place]);
      });
    }
  unseen_ = std::move(kept);
  unseen_hashes_ = std::move(kept_hashes);
  arena_ = std::move(arena);
  last_owner_.reset();  // codes must be resolved anew
}

CategoryResult CategoryState::finish(std::size_t set_index, bool narrow, std::span<std::uint32_t const> order) {
  evict_beyond_cap();
  Set& set = sets_.at(set_index);
  CategoryResult out;
  out.capped = capped_;
  std::vector<std::uint32_t> by_bytes;
  if (!set.coarse) by_bytes = places_by_bytes(unseen_);
  out.unseen = TextList(arena_, by_bytes.size());
  for (auto const place : by_bytes) out.unseen.push_back(unseen_[place]);
  std::vector<std::uint32_t> rank;  // of each place
  out.cell_begin.push_back(0);
  auto const push = [&](std::uint32_t cell, std::uint64_t count) {
    out.cell.push_back(cell);
    out.count.push_back(count);
  };
  std::size_t const end = std::max(set.groups.size(), set.few.end());
  std::uint8_t room[FewRows<FewFacts>::kMostSlots];
  auto const whole = [](auto const& group) { return group != nullptr; };
  narrow = narrow && std::none_of(set.groups.begin(), set.groups.end(), whole);
  if (narrow) out.narrow.reserve(set.few.most_entries());
  std::size_t const many = order.empty() ? end : order.size();
  for (std::size_t k = 0; k < many; ++k) {
    std::size_t const g = order.empty() ? k : order[k];
    auto const name = static_cast<std::uint32_t>(k);
    bool const there = g < set.groups.size() && set.groups[g];
    bool const few = set.few.has(g);
    if (!there && !few) continue;
    out.group.push_back(name);
    if (few && !there) {
      if (narrow)
        out.narrow.add(set.few.counted(set.few.at(g, plan_.coarse_slots), room), plan_.coarse_slots);
      else
        each_counted(set.few.counted(set.few.at(g, plan_.coarse_slots), room), plan_.coarse_slots, push);
      out.cell_begin.push_back(narrow ? out.narrow.size() : out.cell.size());
      continue;
    }
    if (few) settle(set, g);
    set.groups[g]->cells.each(push);
    out.cell_begin.push_back(out.cell.size());
    if (set.groups[g]->beyond) {
      auto const& ranks = set.groups[g]->beyond->ranks();
      out.register_group.push_back(name);
      out.registers.insert(out.registers.end(), ranks.begin(), ranks.end());
    }
    auto& counts = set.groups[g]->unseen;
    std::size_t const before = out.unseen_index.size();
    if (std::uint64_t const* const dense = counts.dense()) {
      out.unseen_index.resize(before + by_bytes.size());
      out.unseen_count.resize(before + by_bytes.size());
      std::size_t to = before;
      for (std::uint32_t i = 0; i < by_bytes.size(); ++i) {
        std::uint64_t const count = by_bytes[i] < counts.size() ? dense[by_bytes[i]] : 0;
        out.unseen_index[to] = i;
        out.unseen_count[to] = count;
        to += count != 0 ? 1 : 0;
      }
      out.unseen_index.resize(to);
      out.unseen_count.resize(to);
      out.unseen_group.resize(to, name);
      continue;
    }
    if (rank.empty()) {
      rank.resize(by_bytes.size());
      for (std::uint32_t i = 0; i < by_bytes.size(); ++i) rank[by_bytes[i]] = i;
    }
    std::vector<std::pair<std::uint32_t, std::uint64_t>> entries;
    std::vector<std::pair<std::uint32_t, std::uint64_t>> spare;
    counts.each([&](std::uint32_t place, std::uint64_t count) { entries.emplace_back(rank[place], count); });
    radix_sort(entries, spare, [](auto const& entry) { return entry.first; });
    for (auto const& [index, count] : entries) {
      out.unseen_index.push_back(index);
      out.unseen_count.push_back(count);
    }
    out.unseen_group.resize(out.unseen_index.size(), name);
  }
  return out;
}

std::size_t CategoryState::bytes() const {
  std::size_t total = unseen_.capacity() * sizeof(std::string_view) + unseen_hashes_.capacity() * sizeof(std::uint64_t) + arena_->bytes() + table_.bytes();
  for (auto const& set : sets_) {
    total += set.few.bytes();
    for (auto const& group : set.groups)
      if (group) total += sizeof(Group) + group->cells.bytes() + group->unseen.bytes() + (group->beyond ? sizeof(Registers) : 0);
  }
  return total;
}

}  // namespace modelwatch
