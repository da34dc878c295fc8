// Grids and state: the cell of every value is the reference's, and sparse, spilled and grouped counts are the plain ones.

#include <algorithm>
#include <limits>
#include <map>
#include <numeric>

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

template <class Value>
constexpr bool kIsFloat = std::numeric_limits<Value>::has_infinity;

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
  if (in.one_in(8)) {
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

template <class Value>
constexpr Domain domain_of() {
  if constexpr (std::is_same_v<Value, float>) return Domain::float32;
  if constexpr (std::is_same_v<Value, double>) return Domain::float64;
  return std::is_same_v<Value, std::uint64_t> ? Domain::uint64 : Domain::int64;
}

template <class Value>
constexpr Storage storage_of() {
  if constexpr (std::is_same_v<Value, float>) return Storage::float32;
  if constexpr (std::is_same_v<Value, double>) return Storage::float64;
  return std::is_same_v<Value, std::uint64_t> ? Storage::uint64 : Storage::int64;
}

using Cells = std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint64_t>;

Cells cells_of(NumericResult const& result) {
  Cells out;
  for (std::size_t g = 0; g < result.group.size(); ++g)
    for (std::uint64_t i = result.cell_begin[g]; i < result.cell_begin[g + 1]; ++i) out[{result.group[g], result.cell[i]}] = result.count[i];
  return out;
}

template <class Value>
void check_grid(Bytes& in) {
  auto const knots = any_knots<Value>(in);
  std::vector<std::uint64_t> keys;
  for (Value const knot : knots) keys.push_back(KeyOf<Value>::key(knot));
  auto const grid = std::make_shared<Grid const>(domain_of<Value>(), keys);

  reference::Rows<Value> rows;
  std::vector<Value> memory;
  std::vector<std::int32_t> groups;
  std::uint32_t const count = in.one_in(16) ? 1020 + in.below(20) : in.below(60);
  for (std::uint32_t i = 0; i < count; ++i) {
    bool const near = !knots.empty() && in.one_in(2);
    Value x = in.left() == 0 && i > 0 ? memory[i / 2] : near ? knots[in.below(static_cast<std::uint32_t>(knots.size()))] : any_value<Value>(in);
    if (near && in.one_in(2) && x == x) {
      auto const key = KeyOf<Value>::key(x);
      x = KeyOf<Value>::value(in.one_in(2) ? static_cast<decltype(key)>(key + 1) : static_cast<decltype(key)>(key - 1));
    }
    memory.push_back(x);
    if (in.one_in(8))
      rows.emplace_back();
    else
      rows.emplace_back(x);
    groups.push_back(static_cast<std::int32_t>(in.below(4)) - 1);
  }
  std::vector<std::uint8_t> bits(rows.size() / 8 + 1, 0);
  for (std::size_t i = 0; i < rows.size(); ++i)
    if (rows[i]) bits[i / 8] = static_cast<std::uint8_t>(bits[i / 8] | (1u << (i % 8)));
  NumericView const view{memory.data(), {bits.data(), 0}, static_cast<std::int64_t>(rows.size()), storage_of<Value>()};

  auto const cells = rank_cells(view, *grid);
  auto const expected = [&](std::size_t i) {
    if (!rows[i]) return grid->slots() - 1;
    return *rows[i] != *rows[i] ? grid->slots() - 2 : reference::cell(*rows[i], knots);
  };
  for (std::size_t i = 0; i < rows.size(); ++i) require(cells[i] == expected(i), "a cell is the reference's");
  require(count_cells(view, *grid, 1, {}) == reference::count_cells(rows, knots), "the counts are the reference's");

  NumericPlan plan{grid, {}, {}, grid->slots(), 3, 0, KeyOf<Value>::key(Value{0})};
  for (std::uint32_t slot = 0; slot < grid->slots(); ++slot) plan.to_coarse.push_back(slot % 3);
  NumericState state(plan, {{false, true}, {true, false}}, 1 + in.below(1100));
  std::size_t const half = rows.size() / kTileRows * kTileRows;  // blocks begin where the file's do
  NumericView const first{view.values, view.validity, static_cast<std::int64_t>(half), view.storage};
  NumericView const second{memory.data() + half, {bits.data(), static_cast<std::int64_t>(half)}, static_cast<std::int64_t>(rows.size() - half), view.storage};
  bool const grouped = in.one_in(2);
  for (auto const& [part, from] : {std::pair{first, std::size_t{0}}, std::pair{second, half}})
    state.add(part, {grouped ? groups.data() + from : nullptr, groups.data() + from});
  Cells fine;
  Cells coarse;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (!grouped || groups[i] >= 0) ++fine[{grouped ? static_cast<std::uint32_t>(groups[i]) : 0, cells[i]}];
    if (groups[i] >= 0) ++coarse[{static_cast<std::uint32_t>(groups[i]), cells[i] % 3}];
  }
  auto const result = state.finish(0);
  require(cells_of(result) == fine, "the fine set holds every row of every group once");
  require(cells_of(state.finish(1)) == coarse, "the coarse set holds every row of every group once");
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
  switch (in.below(12)) {
    case 0: check_refusals(in); break;
    case 1: check_sparse(in); break;
    case 2: check_wide(in); break;
    case 3:
    case 4: check_grid<std::int64_t>(in); break;
    case 5:
    case 6: check_grid<std::uint64_t>(in); break;
    case 7:
    case 8: check_grid<float>(in); break;
    default: check_grid<double>(in); break;
  }
  return 0;
}
