// Grids and state: the cell of every value is the reference's, and sparse, spilled and grouped counts are the plain ones.

#include <algorithm>
#include <limits>
#include <map>
#include <numeric>

#include "../core/columns.hpp"  // domain_of, storage_of
#include "bytes.hpp"
#include "core/error.hpp"
#include "core/key.hpp"
#include "core/wide_sum.hpp"
#include "engine/counter.hpp"
#include "engine/sparse_array.hpp"
#include "reference/reference.hpp"

namespace {

using namespace modelwatch;
using namespace modelwatch::fuzz;
using test::domain_of;
using test::kIsFloat;
using test::storage_of;

template <class Value>
Value any_value(Bytes& in) {
  using Limits = std::numeric_limits<Value>;
  switch (in.below(8)) {
    case 0: return static_cast<Value>(in.byte());
    case 1: return static_cast<Value>(static_cast<Value>(0) - static_cast<Value>(in.byte()));
    case 2: {
      Value const hard[] = {Value{0}, Limits::min(), Limits::max(), Limits::lowest(), Limits::epsilon(), Limits::infinity(), Limits::denorm_min(), -Limits::infinity()};
      return hard[in.below(8)];
    }
    case 3: return kIsFloat<Value> ? Limits::quiet_NaN() : Limits::max();
    case 4: return static_cast<Value>(static_cast<Value>(in.byte()) / static_cast<Value>(1 + in.byte()));
    default: return in.number<Value>();
  }
}

/// Knots of any spacing, some of them in long even runs.
template <class Value>
std::vector<Value> any_knots(Bytes& in) {
  std::vector<Value> knots;
  for (std::uint32_t k = in.below(24); k > 0; --k) knots.push_back(any_value<Value>(in));
  if (in.rare(8)) {
    auto const key = static_cast<typename KeyOf<Value>::Key>(in.number<std::uint64_t>());
    std::uint32_t const shift = in.below(8 * sizeof(Value) - 8);
    for (std::uint32_t k = in.below(600); k > 0; --k) {
      auto const moved = static_cast<typename KeyOf<Value>::Key>(key + (static_cast<typename KeyOf<Value>::Key>(k) << shift));
      knots.push_back(KeyOf<Value>::value(moved));
    }
  }
  if constexpr (kIsFloat<Value>) {
    knots.push_back(-std::numeric_limits<Value>::infinity());
    knots.push_back(std::numeric_limits<Value>::infinity());
    std::erase_if(knots, [](Value x) { return x != x; });
  }
  std::sort(knots.begin(), knots.end());
  knots.erase(std::unique(knots.begin(), knots.end()), knots.end());
  return knots;
}

using Cells = std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint64_t>;

Cells cells_of(NumericResult const& result) {
  Cells out;
  for (std::size_t g = 0; g < result.group.size(); ++g)
    for (std::uint64_t i = result.cell_begin[g]; i < result.cell_begin[g + 1]; ++i) out[{result.group[g], result.cell[i]}] = result.count[i];
  return out;
}

/// Rows of one column, many of them on knots or beside one, each in a group or in none.
template <class Value>
struct Sample {
  std::vector<Value> knots;
  std::shared_ptr<Grid const> grid;
  reference::Rows<Value> rows;
  std::vector<Value> memory;
  std::vector<std::uint8_t> bits;
  std::vector<std::int32_t> groups;

  NumericView view(std::size_t begin, std::size_t end) const {
    return {memory.data() + begin, {bits.data(), static_cast<std::int64_t>(begin)}, static_cast<std::int64_t>(end - begin), storage_of<Value>()};
  }
  NumericPlan plan() const {
    NumericPlan out{grid, {}, {}, grid->slots(), 3, 0, KeyOf<Value>::key(Value{0})};
    for (std::uint32_t slot = 0; slot < grid->slots(); ++slot) out.to_coarse.push_back(slot % 3);
    return out;
  }
};

template <class Value>
Sample<Value> any_sample(Bytes& in) {
  Sample<Value> out;
  out.knots = any_knots<Value>(in);
  std::vector<std::uint64_t> keys;
  for (Value const knot : out.knots) keys.push_back(KeyOf<Value>::key(knot));
  out.grid = std::make_shared<Grid const>(domain_of<Value>(), keys);
  auto const& knots = out.knots;
  std::uint32_t const count = in.rare(32) ? 1020 + in.below(20) : in.below(60);
  out.bits.assign(count / 8 + 1, 0);
  for (std::uint32_t i = 0; i < count; ++i) {
    bool const near = !knots.empty() && in.one_in(2);
    Value x = in.left() == 0 && i > 0 ? out.memory[i / 2] : near ? knots[in.below(static_cast<std::uint32_t>(knots.size()))] : any_value<Value>(in);
    if (near && in.one_in(2) && x == x) {
      auto const key = KeyOf<Value>::key(x);
      x = KeyOf<Value>::value(in.one_in(2) ? static_cast<decltype(key)>(key + 1) : static_cast<decltype(key)>(key - 1));
    }
    out.memory.push_back(x);
    bool const null = in.one_in(8);
    if (!null) out.bits[i / 8] = static_cast<std::uint8_t>(out.bits[i / 8] | (1u << (i % 8)));
    out.rows.push_back(null ? std::nullopt : std::optional<Value>(x));
    out.groups.push_back(static_cast<std::int32_t>(in.below(4)) - 1);
  }
  return out;
}

/// What one group keeps of the values that no knot tells apart, in the plainest form.
struct PlainSketch {
  std::map<std::uint32_t, std::uint64_t> buckets;
  std::vector<std::uint8_t> ranks = std::vector<std::uint8_t>(kRegisters, 0);
};

void check_sketches(NumericResult const& result, std::map<std::uint32_t, PlainSketch> const& wanted) {
  for (std::size_t g = 0; g < result.group.size(); ++g) {
    std::map<std::uint32_t, std::uint64_t> found;
    for (std::uint64_t i = result.bucket_begin[g]; i < result.bucket_begin[g + 1]; ++i) found[result.bucket[i]] = result.bucket_count[i];
    auto const own = wanted.find(result.group[g]);
    require(own == wanted.end() ? found.empty() : found == own->second.buckets, "buckets hold the values between knots");
  }
  require(result.register_group.size() == wanted.size(), "a group has registers where a value lies between knots");
  for (std::size_t g = 0; g < wanted.size(); ++g) {
    auto const at = result.registers.begin() + static_cast<std::ptrdiff_t>(g * kRegisters);
    auto const& ranks = wanted.at(result.register_group[g]).ranks;
    require(std::equal(ranks.begin(), ranks.end(), at), "registers hold the largest ranks");
  }
}

template <class Value>
void check_grid(Bytes& in) {
  auto const sample = any_sample<Value>(in);
  auto const& [knots, grid, rows, memory, bits, groups] = sample;
  auto const view = sample.view(0, rows.size());

  auto const cells = rank_cells(view, *grid);
  auto const expected = [&, &knots = knots, &grid = grid, &rows = rows](std::size_t i) {
    if (!rows[i]) return grid->slots() - 1;
    return *rows[i] != *rows[i] ? grid->slots() - 2 : reference::cell(*rows[i], knots);
  };
  for (std::size_t i = 0; i < rows.size(); ++i) require(cells[i] == expected(i), "a cell is the reference's");
  require(count_cells(view, *grid, 1, {}) == reference::count_cells(rows, knots), "the counts are the reference's");

  bool const sketches = in.one_in(2);
  NumericState state(sample.plan(), {{false, true, sketches}, {true, false}}, 1 + in.below(1100));
  std::size_t const half = rows.size() / kTileRows * kTileRows;  // blocks begin where the file's do
  bool const grouped = in.one_in(2);
  for (auto const& [begin, end] : {std::pair{std::size_t{0}, half}, std::pair{half, rows.size()}})
    state.add(sample.view(begin, end), {grouped ? groups.data() + begin : nullptr, groups.data() + begin});
  Cells fine;
  Cells coarse;
  std::map<std::uint32_t, PlainSketch> kept;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (!grouped || groups[i] >= 0) {
      auto const group = grouped ? static_cast<std::uint32_t>(groups[i]) : 0;
      ++fine[{group, cells[i]}];
      if (sketches && rows[i] && *rows[i] == *rows[i] && cells[i] % 2 == 0) {
        ++kept[group].buckets[bucket_of(static_cast<double>(*rows[i]))];
        Register const at = register_of(hash_number(*rows[i]));
        kept[group].ranks[at.index] = std::max(kept[group].ranks[at.index], at.rank);
      }
    }
    if (groups[i] >= 0) ++coarse[{static_cast<std::uint32_t>(groups[i]), cells[i] % 3}];
  }
  auto const result = state.finish(0);
  require(cells_of(result) == fine, "the fine set holds every row of every group once");
  require(cells_of(state.finish(1)) == coarse, "the coarse set holds every row of every group once");
  check_sketches(result, kept);
  for (std::size_t g = 0; g < result.group.size(); ++g) {
    reference::Rows<Value> own;
    // The reference puts rows of other groups aside as nulls, since lanes go by the row's place in the file.
    for (std::size_t i = 0; i < rows.size(); ++i)
      own.push_back(!grouped || groups[i] == static_cast<std::int32_t>(result.group[g]) ? rows[i] : std::nullopt);
    auto const wanted = reference::moments(own, Value{0});
    auto const same = [](double a, double b) { return (a != a && b != b) || __builtin_bit_cast(std::uint64_t, a) == __builtin_bit_cast(std::uint64_t, b); };
    auto const& found = result.moments[g];
    require(found.count == wanted.count && same(found.mean, wanted.mean) && same(found.m2, wanted.m2) && same(found.m3, wanted.m3) && same(found.m4, wanted.m4),
            "moments have the reference's bits");
  }
}

/// A row of weight w counts as w rows do.
template <class Value>
void check_weights(Bytes& in) {
  auto sample = any_sample<Value>(in);
  Sample<Value> repeated{sample.knots, sample.grid, {}, {}, {}, {}};
  std::vector<std::uint32_t> weights;
  for (std::size_t i = 0; i < sample.rows.size(); ++i) {
    weights.push_back(in.below(4));
    if (weights[i] == 0) sample.groups[i] = -1;
    for (std::uint32_t times = weights[i]; times > 0; --times) {
      std::size_t const at = repeated.memory.size();
      repeated.memory.push_back(sample.memory[i]);
      repeated.groups.push_back(sample.groups[i]);
      repeated.bits.resize(at / 8 + 1, 0);
      if (sample.rows[i]) repeated.bits[at / 8] = static_cast<std::uint8_t>(repeated.bits[at / 8] | (1u << (at % 8)));
    }
  }
  std::vector<SetPlan> const sets{{false, true, true}, {true, false, false}};
  NumericState once(sample.plan(), sets, 1 + in.below(1100));
  NumericState often(sample.plan(), sets);
  once.add(sample.view(0, sample.memory.size()), {sample.groups.data(), sample.groups.data()}, weights.data());
  often.add(repeated.view(0, repeated.memory.size()), {repeated.groups.data(), repeated.groups.data()});
  for (std::size_t set = 0; set < sets.size(); ++set) {
    auto const a = once.finish(set);
    auto const b = often.finish(set);
    require(cells_of(a) == cells_of(b), "a weighted row is in its cell as often as its weight says");
    require(a.group == b.group && a.gap == b.gap && a.gap_sum == b.gap_sum && a.low == b.low && a.high == b.high, "weights multiply gap sums");
    require(a.bucket == b.bucket && a.bucket_count == b.bucket_count && a.registers == b.registers, "weights multiply buckets and no registers");
    require(a.tail_group == b.tail_group && a.tail_lower.size() == b.tail_lower.size(), "a weighted tail is a tail");
    for (std::size_t i = 0; i < a.tail_lower.size(); ++i) {
      require(std::memcmp(&a.tail_lower[i], &b.tail_lower[i], sizeof(WideSum)) == 0, "weights multiply lower tails");
      require(std::memcmp(&a.tail_upper[i], &b.tail_upper[i], sizeof(WideSum)) == 0, "weights multiply upper tails");
    }
    for (std::size_t i = 0; i < a.moments.size(); ++i) require(a.moments[i].count == b.moments[i].count, "moments count every weight");
  }
}

/// Keys that are no grid are refused, and what is accepted is sorted.
void check_refusals(Bytes& in) {
  auto const domain = static_cast<Domain>(in.below(4));
  std::vector<std::uint64_t> keys;
  for (std::uint32_t k = in.below(8); k > 0; --k) keys.push_back(in.number<std::uint64_t>());
  bool sound = std::is_sorted(keys.begin(), keys.end()) && std::adjacent_find(keys.begin(), keys.end()) == keys.end();
  if (domain == Domain::float32 || domain == Domain::float64) sound = false;  // the infinities are never met by chance
  try {
    Grid const grid(domain, keys);
    require(sound || (keys.size() >= 2 && std::is_sorted(keys.begin(), keys.end())), "an accepted grid is sorted");
  } catch (InvalidInput const&) {
    require(!sound, "a sorted integer grid is accepted");
  }
}

void check_sparse(Bytes& in) {
  std::uint32_t const size = 1 + in.below(20'000);
  SparseArray<std::uint64_t> array(size);
  std::map<std::uint32_t, std::uint64_t> plain;
  std::uint32_t const stride = 1 + in.below(700);
  for (std::uint32_t run = in.below(12); run > 0; --run) {
    std::uint32_t at = in.below(size);
    for (std::uint32_t n = in.below(600); n > 0; --n, at = (at + stride) % size) {
      std::uint64_t const by = n % 3 == 0 ? std::uint64_t{1} << 40 : n % 5;
      array.add(at, by);
      if (by != 0) plain[at] += by;
    }
  }
  std::map<std::uint32_t, std::uint64_t> found;
  std::int64_t last = -1;
  array.each([&](std::uint32_t index, std::uint64_t value) {
    require(index > last, "a sparse array is read in order");
    last = index;
    found[index] = value;
  });
  require(found == plain, "a sparse array holds what was added");
}

/// A sum of doubles is the same in any order, and nothing is lost.
void check_wide(Bytes& in) {
  std::vector<double> values;
  for (std::uint32_t n = in.below(20); n > 0; --n) {
    double const x = any_value<double>(in);
    if (KeyOf<double>::finite(x)) values.push_back(x);
  }
  WideSum forward{};
  WideSum backward{};
  WideSum none{};
  for (double const x : values) forward.add(x), none.add(x);
  for (auto x = values.rbegin(); x != values.rend(); ++x) backward.add(*x), none.add(-*x);
  require(std::memcmp(&forward, &backward, sizeof forward) == 0, "a wide sum has no order");
  WideSum const zero{};
  require(std::memcmp(&none, &zero, sizeof none) == 0, "a wide sum loses nothing");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  Bytes in(data, size);
  switch (in.below(16)) {
    case 0: check_refusals(in); break;
    case 1: check_sparse(in); break;
    case 2: check_wide(in); break;
    case 3:
    case 4: check_grid<std::int64_t>(in); break;
    case 5:
    case 6: check_grid<std::uint64_t>(in); break;
    case 7:
    case 8: check_grid<float>(in); break;
    case 9: check_weights<std::int64_t>(in); break;
    case 10: check_weights<std::uint64_t>(in); break;
    case 11: check_weights<float>(in); break;
    case 12: check_weights<double>(in); break;
    default: check_grid<double>(in); break;
  }
  return 0;
}
