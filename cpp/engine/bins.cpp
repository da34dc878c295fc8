#include "engine/bins.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <optional>
#include <type_traits>

#include "core/error.hpp"
#include "core/key.hpp"
#include "cpu/kernel_table.hpp"
#include "cpu/ordered.hpp"
#include "engine/grid.hpp"
#include "engine/stripes.hpp"

namespace modelwatch {
namespace {

using cpu::BinLookup;
using cpu::BinRule;
using cpu::BinSearch;
using cpu::Guess;
using cpu::Ordered;

/// More buckets, and the tables of a thread leave the second-level cache.
constexpr int kMostBuckets = 4096;

template <class Stored>
Stored stored_of(typename Ordered<Stored>::Key key) {
  if constexpr (std::is_same_v<Stored, float>)
    return std::bit_cast<float>(key ^ static_cast<std::int32_t>(static_cast<std::uint32_t>(key >> 31) >> 1));
  else if constexpr (std::is_same_v<Stored, double>)
    return std::bit_cast<double>(key ^ static_cast<std::int64_t>(static_cast<std::uint64_t>(key >> 63) >> 1));
  else if constexpr (std::is_same_v<Stored, std::uint64_t>)
    return static_cast<std::uint64_t>(key) ^ KeyOf<std::int64_t>::kSign;
  else
    return static_cast<Stored>(key);
}

/// The cuts as the kernels compare them, distinct, and how many of the given ones are at or below the first k of them.
template <class Stored>
struct Cuts {
  using Key = typename Ordered<Stored>::Key;
  std::vector<Key> keys;
  std::vector<std::size_t> upto{0};

  explicit Cuts(std::vector<std::uint64_t> const& sorted) {
    for (std::uint64_t const key : sorted) {
      auto const found = ordered(key);
      if (!found) break;  // above every value of the type, and so are those that follow
      if (keys.empty() || keys.back() != *found) {
        keys.push_back(*found);
        upto.push_back(upto.back());
      }
      ++upto.back();
    }
  }

  static std::optional<Key> ordered(std::uint64_t key) {
    if constexpr (std::is_same_v<Stored, float>) {
      auto const k = static_cast<std::int32_t>(static_cast<std::uint32_t>(key) ^ KeyOf<float>::kSign);
      return k == 0 ? -1 : k;  // -0.0 is as large as 0.0
    } else if constexpr (std::is_same_v<Stored, double>) {
      auto const k = static_cast<std::int64_t>(key ^ KeyOf<double>::kSign);
      return k == 0 ? -1 : k;
    } else {
      auto const k = static_cast<std::int64_t>(key ^ KeyOf<std::int64_t>::kSign);
      if constexpr (std::is_same_v<Stored, std::uint64_t>) {
        return k;
      } else {
        if (k > static_cast<std::int64_t>(std::numeric_limits<Stored>::max())) return {};
        return static_cast<Key>(std::max(k, static_cast<std::int64_t>(std::numeric_limits<Stored>::min())));
      }
    }
  }
};

/// Where the kernels look for the cuts of one column: tables built from the cuts with the kernels' own arithmetic, so that
/// rounding cannot send a value and an equal cut to different places.
template <class Stored>
class Tables {
  using Key = typename Ordered<Stored>::Key;
  using Wide = typename Ordered<Stored>::Wide;

 public:
  Tables(Cuts<Stored> const& cuts, bool searches) : cuts_(cuts) {
    for (int buckets = 64; buckets <= kMostBuckets; buckets *= 2)
      if (guide<Guess::value>(buckets) || guide_by_bits(buckets)) {
        usable_ = true;
        break;
      }
    if (!usable_) return;
    rule_.guide.cuts = compared_.data();
    if (searches && make_search()) return;
    if (sizeof(Wide) != sizeof(Stored) || cuts.keys.size() + 1 > BinLookup::kMostBins) return;
    if (rule_.guide.guess == Guess::value) find_lookup<Guess::value>();
    if constexpr (std::is_floating_point_v<Stored>)
      if (rule_.guide.guess == Guess::bits) find_lookup<Guess::bits>();
  }

  bool usable() const { return usable_; }
  BinRule const& rule() const { return rule_; }

  /// Adds one thread's counters to counts of bins, NaN and null.
  void collect(std::uint32_t const* guided, std::uint32_t const* pairs, std::vector<std::uint64_t>& counts) const {
    int const slots = rule_.guide.slots();
    for (int slot = 0; slot < slots; ++slot) {
      std::uint64_t sum = 0;
      for (int table = 0; table < cpu::kBinTables; ++table) sum += guided[table * slots + slot];
      int const bucket = slot / 2;
      if (bucket >= rule_.guide.buckets) {
        counts[counts.size() - (bucket == rule_.guide.buckets ? 2 : 1)] += sum;
      } else {
        auto const k = static_cast<std::size_t>(bucket);
        counts[cuts_.upto[slot % 2 == 0 ? before_[k] : before_[k + 1]]] += sum;
      }
    }
    if (!rule_.in_pairs()) return;
    std::uint64_t of_bin[BinLookup::kMostBins + 1] = {};
    for (int pair = 0; pair < cpu::kPairs; ++pair)
      for (int table = 0; table < cpu::kPairTables; ++table) {
        std::uint32_t const rows = pairs[table * cpu::kPairs + pair];
        of_bin[pair % 64] += rows;
        of_bin[pair / 64] += rows;
      }
    if (rule_.search.usable) {
      for (std::size_t path = 0; path < kPaths; ++path) add_path(path, of_bin[path], counts);
    } else {
      for (std::size_t bin = 0; bin < cuts_.upto.size(); ++bin) counts[cuts_.upto[bin]] += of_bin[bin];
    }
  }

 private:
  template <Guess kGuess>
  static Wide guessed(Key key) {
    return Ordered<Stored>::template guess<kGuess>(stored_of<Stored>(key));
  }

  /// Where a cut lies; nothing if a thread that flushes subnormals to zero might see it elsewhere.
  template <Guess kGuess>
  static std::optional<float> place(Key key, Wide origin, float scale) {
    Wide const guess = guessed<kGuess>(key);
    float const away = static_cast<float>(guess - origin);
    bool const normal = (guess == 0 || std::isnormal(guess)) && (away == 0 || std::isnormal(away));
    float const t = cpu::placed<Stored, kGuess>(stored_of<Stored>(key), origin, scale);
    if (!normal || !std::isfinite(t)) return {};
    return t;
  }

  bool guide_by_bits(int buckets) {
    if constexpr (std::is_floating_point_v<Stored>) return guide<Guess::bits>(buckets);
    return false;
  }

  template <Guess kGuess>
  bool guide(int buckets) {
    auto const& keys = cuts_.keys;
    Wide const origin = keys.empty() ? Wide{0} : guessed<kGuess>(keys.front());
    Wide const span = keys.empty() ? Wide{0} : guessed<kGuess>(keys.back()) - origin;
    float const scale = span > 0 ? static_cast<float>(static_cast<Wide>(buckets - 2) / span) : 1.0f;
    if (!std::isfinite(origin) || !std::isnormal(scale)) return false;
    std::vector<Key> compared(static_cast<std::size_t>(buckets) + 2, std::numeric_limits<Key>::max());
    std::vector<std::size_t> before(static_cast<std::size_t>(buckets) + 1, 0);
    int last = -1;
    for (Key const key : keys) {
      auto const t = place<kGuess>(key, origin, scale);
      if (!t) return false;
      int const bucket = static_cast<int>(std::clamp(*t, 0.5f, static_cast<float>(buckets) - 0.5f));
      if (bucket <= last) return false;
      last = bucket;
      compared[static_cast<std::size_t>(bucket)] = key;
      before[static_cast<std::size_t>(bucket) + 1] = 1;
    }
    for (std::size_t b = 1; b < before.size(); ++b) before[b] += before[b - 1];
    rule_.guide = {nullptr, buckets, kGuess, static_cast<double>(origin), scale};
    compared_ = std::move(compared);
    before_ = std::move(before);
    return true;
  }

  /// Tries to give every cut a bucket of its own among 30; the outermost two may do without, if values beyond them are rare.
  template <Guess kGuess>
  void find_lookup() {
    std::size_t const n = cuts_.keys.size();
    for (std::size_t const left_out : {0, 1})
      for (int width = 30; n > 2 * left_out && width >= 20; --width)
        for (int phase = 0; phase < 4; ++phase)
          if (lookup<kGuess>(left_out, width, static_cast<float>(phase) / 4)) return;
  }

  template <Guess kGuess>
  bool lookup(std::size_t left_out, int width, float phase) {
    auto const& keys = cuts_.keys;
    std::size_t const end = keys.size() - left_out;
    Wide const from = guessed<kGuess>(keys[left_out]);
    Wide const span = guessed<kGuess>(keys[end - 1]) - from;
    Wide const scale = span > 0 ? (static_cast<Wide>(width * BinLookup::kSteps) - 1) / span : Wide{1};
    Wide const shift = static_cast<Wide>((1.0f + phase) * BinLookup::kSteps) - from * scale;
    if (!std::isnormal(scale) || !std::isfinite(shift)) return false;
    auto const step_of = [&](Key key) { return std::trunc(cpu::looked_up<Stored, kGuess>(stored_of<Stored>(key), scale, shift)); };
    BinLookup found{};
    found.scale = static_cast<double>(scale);
    found.shift = static_cast<double>(shift);
    found.guess = kGuess;
    std::fill(std::begin(found.steps), std::end(found.steps), std::int8_t{-1});
    std::size_t below[BinLookup::kBuckets + 1] = {left_out};
    int last = 0;
    for (std::size_t k = left_out; k < end; ++k) {
      Wide const guess = guessed<kGuess>(keys[k]);
      float const at = step_of(keys[k]);
      // A thread that flushes subnormals to zero must see the cut at the same step.
      if ((guess != 0 && !std::isnormal(guess)) || !(at >= 0 && at < BinLookup::kBuckets * BinLookup::kSteps)) return false;
      int const step = static_cast<int>(at);
      int const bucket = step / BinLookup::kSteps;
      if (bucket <= last || bucket == BinLookup::kBuckets - 1) return false;
      last = bucket;
      found.steps[bucket] = static_cast<std::int8_t>(step % BinLookup::kSteps);
      below[bucket + 1] = 1;
    }
    for (int b = 0; b < BinLookup::kBuckets; ++b) {
      below[b + 1] += below[b];
      // One more where the step is above the cut's, which it always is where there is none.
      found.bins[b] = static_cast<std::uint8_t>(below[b] - (found.steps[b] < 0 ? 1 : 0));
    }
    // Beyond these steps lies what the lookup cannot tell apart: the cuts that were left out, NaN, steps beyond 16 bits.
    float low = -32768.0f;
    float high = 32768.0f;
    auto const bound = [&](Key below_key, Key above_key) {
      low = std::max(low, step_of(below_key));
      // Packing made all steps beyond 16 bits one.
      high = std::min({high, step_of(above_key), 32767.0f});
    };
    if constexpr (kGuess == Guess::bits) {
      using Floats = KeyOf<Stored>;
      Key const infinity = static_cast<Key>(Floats::kInfinity);
      bound(~infinity, infinity);
    }
    if (left_out == 1) bound(keys.front(), keys.back());
    if (!(low < high - 2)) return false;
    found.low = static_cast<std::int16_t>(low + 1);
    found.high = static_cast<std::int16_t>(high - 1);
    found.usable = true;
    rule_.lookup = found;
    return true;
  }

  /// Of floats the keys of NaN lie below and above all others, and are told apart by two cuts more.
  static constexpr bool kHasNan = std::is_floating_point_v<Stored>;
  static constexpr std::size_t kPaths = std::size_t{1} << BinSearch::kSteps;

  bool make_search() {
    std::vector<Key> cuts = cuts_.keys;
    if constexpr (kHasNan) {
      Key const infinity = Ordered<Stored>::key(std::numeric_limits<Stored>::infinity());
      cuts.insert(cuts.begin(), Ordered<Stored>::key(-std::numeric_limits<Stored>::infinity()));
      cuts.push_back(infinity + 1);
    }
    if (cuts.size() > BinSearch::kMostCuts) return false;
    cuts.resize(BinSearch::kMostCuts, std::numeric_limits<Key>::max());
    for (std::size_t step = 0; step < BinSearch::kSteps; ++step)
      for (std::size_t i = 0; i < 16; ++i) {
        std::size_t const path = i % (std::size_t{1} << step);
        rule_.search.cuts[step][i] = cuts[below(path) + (kPaths >> (step + 1)) - 1];
      }
    return rule_.search.usable = true;
  }

  /// How many cuts are surely at or below a key with this path: what its first answer says counts most.
  static std::size_t below(std::size_t path) {
    std::size_t sum = 0;
    for (std::size_t step = 0; step < BinSearch::kSteps; ++step)
      if ((path >> step & 1) != 0) sum += kPaths >> (step + 1);
    return sum;
  }

  void add_path(std::size_t path, std::uint64_t rows, std::vector<std::uint64_t>& counts) const {
    // The largest key is not below the cuts that fill up.
    std::size_t const most = cuts_.keys.size() + (kHasNan ? 2 : 0);
    std::size_t const cuts = std::min(below(path), most);
    bool const nan = kHasNan && (cuts == 0 || cuts == most);
    counts[nan ? counts.size() - 2 : cuts_.upto[cuts - (kHasNan ? 1 : 0)]] += rows;
  }

  Cuts<Stored> const& cuts_;
  BinRule rule_{};
  std::vector<Key> compared_;
  std::vector<std::size_t> before_;  // how many cuts lie in earlier buckets
  bool usable_ = false;
};

/// Nothing if the cuts lie so close that no guess tells them apart.
template <class Stored>
std::optional<std::vector<std::uint64_t>> count_stored(NumericView const& column, std::vector<std::uint64_t> const& sorted, int threads,
                                                       Poll const& poll, cpu::KernelTable const& kernel) {
  Cuts<Stored> const cuts(sorted);
  Tables<Stored> const tables(cuts, kernel.searches_bins);
  if (!tables.usable()) return {};
  auto const guided = static_cast<std::size_t>(cpu::kBinTables * tables.rule().guide.slots());
  std::size_t const pairs = tables.rule().in_pairs() ? cpu::kPairTables * cpu::kPairs : 0;
  std::vector<std::uint64_t> counts(sorted.size() + 3, 0);
  std::vector<std::vector<std::uint32_t>> counters(static_cast<std::size_t>(stripes_of(column.rows, threads)));
  each_stripe(
      column.rows, threads, poll,
      [&](std::size_t stripe, std::int64_t begin, std::int64_t end) {
        auto& mine = counters[stripe];
        mine.assign(guided + pairs, 0);
        kernel.count_binned(column, begin, end - begin, tables.rule(), {mine.data(), mine.data() + guided});
      },
      [&](std::int64_t, std::int64_t) {
        for (auto const& mine : counters) tables.collect(mine.data(), mine.data() + guided, counts);
      });
  return counts;
}

/// By the cells of a grid whose knots are the cuts.
std::vector<std::uint64_t> count_ranked(NumericView const& column, Domain domain, std::vector<std::uint64_t> const& sorted, int threads,
                                        Poll const& poll) {
  CutGrid const cuts(domain, sorted);
  auto const cells = count_cells(column, *cuts.grid(), threads, poll);
  std::vector<std::uint64_t> bins(cuts.bins(), 0);
  for (std::size_t slot = 0; slot < cells.size(); ++slot) bins[cuts.bin_of_slot(static_cast<std::uint32_t>(slot))] += cells[slot];
  std::vector<std::uint64_t> counts(sorted.size() + 3, 0);
  cuts.collect(bins.data(), counts.data());
  return counts;
}

std::optional<std::vector<std::uint64_t>> count_guided(NumericView const& column, Domain domain, std::vector<std::uint64_t> const& sorted,
                                                       int threads, Poll const& poll, cpu::KernelTable const& kernel) {
  auto const as = [&]<class Stored>(Stored) { return count_stored<Stored>(column, sorted, threads, poll, kernel); };
  switch (domain) {
    case Domain::float32: return column.storage == Storage::float32 ? as(float{}) : std::nullopt;
    case Domain::float64: return column.storage == Storage::float64 ? as(double{}) : std::nullopt;
    case Domain::uint64: return column.storage == Storage::uint64 ? as(std::uint64_t{}) : std::nullopt;
    case Domain::int64: break;
  }
  switch (column.storage) {
    case Storage::int8: return as(std::int8_t{});
    case Storage::int16: return as(std::int16_t{});
    case Storage::int32: return as(std::int32_t{});
    case Storage::int64: return as(std::int64_t{});
    case Storage::uint8: return as(std::uint8_t{});
    case Storage::uint16: return as(std::uint16_t{});
    case Storage::uint32: return as(std::uint32_t{});
    default: return {};
  }
}

/// The knots of a grid with these cuts: one each, and of floats the infinities.
std::vector<std::uint64_t> knots_with(Domain domain, std::vector<std::uint64_t> knots) {
  if (domain == Domain::float32) knots.insert(knots.end(), {KeyOf<float>::key(-HUGE_VALF), KeyOf<float>::key(HUGE_VALF)});
  if (domain == Domain::float64) knots.insert(knots.end(), {KeyOf<double>::key(-HUGE_VAL), KeyOf<double>::key(HUGE_VAL)});
  std::sort(knots.begin(), knots.end());
  knots.erase(std::unique(knots.begin(), knots.end()), knots.end());
  return knots;
}

/// Keys of the domain that a float column has none of: those of NaN.
void check_cuts(Domain domain, std::vector<std::uint64_t> const& sorted) {
  if (sorted.empty()) return;
  bool const outside =
      (domain == Domain::float32 && (sorted.front() < KeyOf<float>::key(-HUGE_VALF) || sorted.back() > KeyOf<float>::key(HUGE_VALF))) ||
      (domain == Domain::float64 && (sorted.front() < KeyOf<double>::key(-HUGE_VAL) || sorted.back() > KeyOf<double>::key(HUGE_VAL)));
  if (outside) throw InvalidInput("a cut of a histogram is not a number.");
}

/// The rows of every group and bin, tile by tile.
std::vector<std::uint64_t> count_grouped(NumericView const& column, CutGrid const& cuts, RowGroups const& groups, Poll const& poll) {
  std::vector<std::uint64_t> bins(static_cast<std::size_t>(groups.count) * cuts.bins(), 0);
  std::uint32_t slots[kTileRows];
  std::uint64_t keys[kTileRows];
  std::uint8_t valid[kTileRows];
  for (std::int64_t begin = 0; begin < column.rows; begin += kTileRows) {
    int const rows = static_cast<int>(std::min<std::int64_t>(kTileRows, column.rows - begin));
    cpu::kernels().rank_tile(column, begin, rows, cuts.grid()->data(), valid_rows(column, begin, rows, valid), slots, keys);
    for (int i = 0; i < rows; ++i)
      if (std::int32_t const group = groups.of_row[begin + i]; group >= 0)
        ++bins[static_cast<std::size_t>(group) * cuts.bins() + cuts.bin_of_slot(slots[i])];
    if (poll && begin % kSlice == 0) poll();
  }
  return bins;
}

}  // namespace

std::vector<std::uint64_t> count_bins(NumericView const& column, Domain domain, std::vector<std::uint64_t> cuts, int threads,
                                      Poll const& poll, cpu::KernelTable const& kernel) {
  std::sort(cuts.begin(), cuts.end());
  check_cuts(domain, cuts);
  if (auto counts = count_guided(column, domain, cuts, threads, poll, kernel)) return *std::move(counts);
  return count_ranked(column, domain, cuts, threads, poll);
}

CutGrid::CutGrid(Domain domain, std::vector<std::uint64_t> cuts) : cuts_(cuts.size()) {
  std::sort(cuts.begin(), cuts.end());
  check_cuts(domain, cuts);
  grid_ = std::make_shared<Grid const>(domain, knots_with(domain, cuts));
  upto_.push_back(0);
  for (std::uint64_t const knot : grid_->knots())
    upto_.push_back(static_cast<std::size_t>(std::upper_bound(cuts.begin(), cuts.end(), knot) - cuts.begin()));
}

void CutGrid::collect(std::uint64_t const* bins, std::uint64_t* counts) const {
  for (std::size_t bin = 0; bin < upto_.size(); ++bin) counts[upto_[bin]] += bins[bin];
  counts[cuts_ + 1] += bins[upto_.size()];
  counts[cuts_ + 2] += bins[upto_.size() + 1];
}

void check_groups(RowGroups const& groups, std::int64_t rows) {
  if (groups.of_row == nullptr) return;
  if (groups.rows != rows) throw InvalidInput("every row needs a group.");
  for (std::int64_t row = 0; row < rows; ++row)
    if (groups.of_row[row] >= groups.count) throw InvalidInput("a row's group is not among the groups.");
}

std::vector<std::vector<std::uint64_t>> count_bins_of(std::vector<NumericView> const& columns, Domain domain,
                                                      std::vector<std::vector<std::uint64_t>> const& cuts, RowGroups const& groups,
                                                      int threads, Poll const& poll) {
  if (columns.size() != cuts.size()) throw InvalidInput("every column needs its cuts.");
  std::vector<std::vector<std::uint64_t>> out;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    check_groups(groups, columns[i].rows);
    if (groups.of_row == nullptr) {
      out.push_back(count_bins(columns[i], domain, cuts[i], threads, poll));
      continue;
    }
    if (!fits(columns[i].storage, domain)) throw InvalidInput("the values cannot be compared with the cuts: their types differ.");
    CutGrid const grid(domain, cuts[i]);
    auto const bins = count_grouped(columns[i], grid, groups, poll);
    auto& counts = out.emplace_back(static_cast<std::size_t>(groups.count) * (cuts[i].size() + 3), 0);
    for (std::size_t g = 0; g < static_cast<std::size_t>(groups.count); ++g)
      grid.collect(bins.data() + g * grid.bins(), counts.data() + g * (cuts[i].size() + 3));
  }
  return out;
}

}  // namespace modelwatch
