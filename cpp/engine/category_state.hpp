#pragma once

#include <algorithm>  // min
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/arrow_view.hpp"
#include "engine/batch_groups.hpp"
#include "engine/few_rows.hpp"
#include "engine/numeric_state.hpp"  // SetPlan
#include "engine/sketch.hpp"
#include "engine/sparse_array.hpp"
#include "engine/string_table.hpp"
#include "engine/text_list.hpp"

namespace modelwatch {

/// Slots of a categorical column: null, `other` (beyond a cap), then the baseline's categories by their bytes.
/// On the coarse grid: null, other (what a capped baseline may have held), unseen, then the categories kept apart.
inline constexpr std::uint32_t kNullSlot = 0;
inline constexpr std::uint32_t kOtherSlot = 1;
inline constexpr std::uint32_t kFirstCategory = 2;
inline constexpr std::uint32_t kCoarseUnseen = 2;

struct CategoryPlan {
  std::vector<std::string> known;         // strictly increasing by bytes
  std::vector<std::uint32_t> to_coarse;   // coarse slot of each known category
  std::uint32_t coarse_slots = 3;
  std::uint32_t unseen_cap = 10'000;
  /// The baseline itself kept only values up to this (hash, bytes): a value beyond it may have been there.
  bool known_is_capped = false;
  std::uint64_t known_hash = 0;
  std::string known_bytes;
};

struct CategoryResult {
  std::vector<std::uint32_t> group;
  std::vector<std::uint64_t> cell_begin;  // groups + 1
  std::vector<std::uint32_t> cell;
  std::vector<std::uint64_t> count;
  NarrowEntries narrow;  // instead of cell and count, where that was asked for and all are small
  TextList unseen;  // by bytes; fine sets only
  std::vector<std::uint32_t> unseen_group;
  std::vector<std::uint32_t> unseen_index;  // into `unseen`
  std::vector<std::uint64_t> unseen_count;
  bool capped = false;
  std::vector<std::uint32_t> register_group;  // groups with a value beyond a cap; sets that keep sketches only
  std::vector<std::uint8_t> registers;        // kRegisters of each
};

/// Counts one categorical column into several sets.  Values the baseline does not know keep exact counts up to
/// `unseen_cap`: those with the smallest (hash, bytes).  A survivor can never have been evicted, so any order of rows
/// and any merge ends in the same state (DESIGN 3.3).
class CategoryState {
 public:
  CategoryState(CategoryPlan plan, std::vector<SetPlan> const& sets);

  /// `owner` keeps the dictionary alive, so that the next batch can be recognised to use the same one.
  void add(CategoryView const& column, std::shared_ptr<ArrowOwner const> owner,
           BatchGroups const& groups, std::uint32_t const* weights = nullptr);
  /// The same for a column by itself, with the arguments of BatchGroups.
  void add(CategoryView const& column, std::shared_ptr<ArrowOwner const> owner, std::vector<std::int32_t const*> groups,
           std::uint32_t const* weights = nullptr) {
    add(column, std::move(owner), BatchGroups(std::move(groups), column.codes.rows, weights != nullptr), weights);
  }

  /// Plain text or bytes; counts what the same values in a dictionary would.
  void add(StringsView const& column, BatchGroups const& groups, std::uint32_t const* weights = nullptr);

  /// Slots of values by which something else has counted, and the hashes of those beyond a cap.
  struct Resolved {
    std::vector<std::uint32_t> slots;
    std::vector<std::uint64_t> hashes;
  };
  /// Of those that were seen.
  Resolved resolve_all(std::vector<std::string_view> const& values, std::vector<bool> const& seen);
  /// Adds what was counted elsewhere by the same rules: of null, then of each value; on the coarse grid of each slot.
  void absorb(Resolved const& values, std::size_t set, std::int32_t group, std::uint64_t const* counts);
  /// Where a value is counted on the coarse grid.
  std::uint32_t coarse_slot(std::string_view bytes) const;
  CategoryPlan const& plan() const { return plan_; }

  /// narrow: cells and counts may be in CategoryResult::narrow.  order: as NumericState::finish.
  CategoryResult finish(std::size_t set, bool narrow = false, std::span<std::uint32_t const> order = {});
  std::size_t bytes() const;

 private:
  /// Dictionaries of at most this many values are counted by code in a run of tiles, whatever its length, and text of as
  /// many slots by slot.
  static constexpr std::int64_t kMostRunCodes = 4096;
  /// And at most this many tiles at once: their counters have 32 bits.
  static constexpr std::int64_t kMostRunTiles = std::int64_t{1} << 20;
  /// And at most this many counters where rows of several groups are counted together.
  static constexpr std::int64_t kMostTogetherCounters = std::int64_t{1} << 15;
  static constexpr std::uint32_t kUnresolved = 0xffffffffu;
  static constexpr std::uint32_t kEvicted = 0xfffffffeu;  // an unseen value beyond the cap

  struct Group {
    SparseArray<std::uint64_t> cells;
    SparseArray<std::uint64_t> unseen = SparseArray<std::uint64_t>::growing();  // by place in unseen_
    std::unique_ptr<Registers> beyond;  // values beyond a cap, which have no count of their own
  };
  struct FewFacts {
    std::uint32_t rows = 0;
  };
  struct Set {
    bool coarse;
    bool sketches;
    std::vector<std::unique_ptr<Group>> groups;
    FewRows<FewFacts> few;  // of sets on the coarse grid
  };
  /// What a tile of text counts into.
  struct TextTile {
    std::uint32_t slots[kTileRows];   // of every row
    std::uint64_t hashes[kTileRows];  // of rows whose value lies beyond a cap
    int beyond;                       // how many these are
  };
  /// The groups that a run of tiles belongs to, one of each set that counts it.
  using Targets = std::vector<std::pair<Set*, Group*>>;

  std::uint32_t first_unseen() const { return kFirstCategory + static_cast<std::uint32_t>(plan_.known.size()); }
  std::uint32_t slots_in_use() const { return first_unseen() + static_cast<std::uint32_t>(unseen_.size()); }
  bool is_beyond_known(std::uint64_t hash, std::string_view bytes) const;
  bool is_beyond_cap(std::uint64_t hash, std::string_view bytes) const;
  std::uint32_t coarse_of(std::uint32_t slot) const;
  static StringKey own_key(std::string_view bytes);
  std::uint32_t resolve(std::string_view bytes, std::uint64_t& hash);
  /// Whether hashes decide what is kept.
  bool has_cap() const { return plan_.known_is_capped || capped_; }
  std::uint32_t admit(std::string_view value, std::uint64_t table_hash, std::uint64_t hash);
  Targets targets_of(BatchGroups const& groups, std::int64_t tile);
  Group& group_of(Set& set, std::int32_t group);
  Group& made(Set& set, std::size_t group) const;
  void settle(Set& set, std::size_t group) const;
  /// Whether a set is counted group by group in a batch.
  bool is_few(BatchGroups const& groups, std::size_t s) const {
    return groups.scattered(s) && sets_[s].coarse && plan_.coarse_slots <= FewRows<FewFacts>::kMostSlots;
  }
  void add_scattered(CategoryView const& column, BatchGroups const& groups);
  void note_scattered(BatchGroups const& groups, std::int64_t tile, std::uint32_t const* slots);
  void count_stretch(Set& set, BatchGroups::Scattered const& by, std::uint16_t const* slots) const;
  std::uint32_t slot_of(CategoryView const& column, std::size_t code);
  void count_run(CategoryView const& column, BatchGroups const& groups, std::int64_t from, std::int64_t to);
  std::int64_t count_together(CategoryView const& column, BatchGroups const& groups, std::int64_t from);
  template <class Code>
  void resolve_tile(CategoryView const& column, std::int64_t begin, int rows, std::uint32_t* slots, std::uint32_t* codes);
  void resolve_rows(CategoryView const& column, std::int64_t begin, int rows, std::uint32_t* slots, std::uint32_t* codes);
  void add_tile(CategoryView const& column, BatchGroups const& groups, std::int64_t tile, std::uint32_t const* weights);
  void resolve_counted(CategoryView const& column, std::uint32_t const* times);
  void read_text(StringsView const& column, std::int64_t begin, int rows, std::uint8_t const* valid, TextTile& tile);
  template <class Reader>
  void read_text(Reader const& reader, std::int64_t begin, int rows, std::uint8_t const* valid, TextTile& tile);
  template <class Reader>
  void find_text(Reader const& reader, std::int64_t begin, int rows, std::uint8_t const* valid, TextTile& tile);
  void count_text_run(StringsView const& column, BatchGroups const& groups, std::int64_t from, std::int64_t to);
  void end_text_run(Targets const& targets, bool few);
  bool has_few_slots() const { return slots_in_use() <= kMostRunCodes; }
  static bool is_beyond(std::uint32_t slot) { return slot == kEvicted || slot == kOtherSlot; }
  void count(Set const& set, Group& into, std::uint32_t slot, std::uint64_t times) const;
  static void note_beyond(Set const& set, Group& into, std::uint64_t hash);
  /// hashes[codes[i]], or hashes[i] without codes, is of row i where its value lies beyond a cap.
  void count_tile(Set& set, std::uint32_t const* slots, std::uint32_t const* codes, std::uint64_t const* hashes,
                  std::int32_t const* groups, std::uint32_t const* weights, int rows);
  void hash_unseen();
  void evict_beyond_cap();
  /// Whether another tile could bring more than about twice the cap: a table's size is a power of two, as a cap may be.
  bool has_many() const {
    std::size_t const cap = plan_.unseen_cap;
    return unseen_.size() > 2 * cap - std::min<std::size_t>(cap / 8, kTileRows);
  }
  void evict_where_many() {
    if (has_many()) evict_beyond_cap();
  }

  CategoryPlan plan_;
  StringTable table_;  // slots; its bytes are those of plan_.known and of the arena
  std::vector<Set> sets_;
  std::vector<std::string_view, LargePages<std::string_view>> unseen_;  // in the arena
  std::vector<std::uint64_t> unseen_hashes_;                            // of each, where a cap is known
  std::shared_ptr<StringArena> arena_ = std::make_shared<StringArena>();
  bool capped_ = false;
  std::uint64_t cap_hash_ = 0;
  std::string cap_bytes_;
  std::shared_ptr<ArrowOwner const> last_owner_;
  StringsView last_values_{};
  std::vector<std::uint32_t> slot_of_code_;
  std::vector<std::uint64_t> hash_of_code_;  // of codes whose value lies beyond a cap
  std::vector<std::uint32_t> run_counts_;    // four counters for every code and for null
  std::vector<std::uint32_t> text_counts_;   // of a run of text: of every slot one, or four
};

}  // namespace modelwatch
