#include <bit>
#include <map>

#include "check.hpp"
#include "columns.hpp"
#include "registers.hpp"
#include "tables.hpp"
#include "engine/column_moments.hpp"
#include "engine/column_sketch.hpp"
#include "engine/numeric_state.hpp"
#include "reference/reference.hpp"

using namespace modelwatch;
using namespace modelwatch::test;

namespace {

/// In which a stored type is compared, hashed and keyed.
template <class Stored>
using Own = std::conditional_t<kIsFloat<Stored> || std::is_same_v<Stored, std::uint64_t>, Stored, std::int64_t>;

template <class Stored>
bool is_missing(Stored x) {
  return x != x;
}

template <class Stored>
ValueKinds obvious_kinds(reference::Rows<Stored> const& rows) {
  ValueKinds out;
  for (auto const& x : rows) {
    if (!x) {
      ++out.null;
    } else if (is_missing(*x)) {
      ++out.nan;
    } else if (kIsFloat<Stored> && std::isinf(static_cast<double>(*x))) {
      ++(*x > Stored{0} ? out.positive_infinity : out.negative_infinity);
    } else {
      out.zero += *x == Stored{0} ? 1 : 0;
      out.low = std::min(out.low, std::uint64_t{KeyOf<Own<Stored>>::key(static_cast<Own<Stored>>(*x))});
      out.high = std::max(out.high, std::uint64_t{KeyOf<Own<Stored>>::key(static_cast<Own<Stored>>(*x))});
    }
  }
  return out;
}

bool same(ValueKinds const& a, ValueKinds const& b) {
  return a.null == b.null && a.nan == b.nan && a.positive_infinity == b.positive_infinity &&
         a.negative_infinity == b.negative_infinity && a.zero == b.zero && a.low == b.low && a.high == b.high;
}

/// Values of every kind: quiet ones, hard ones, zeros of both signs, subnormals, and NaN whose first bits are an infinity's.
template <class Stored>
reference::Rows<Stored> hard_rows(std::size_t size, std::uint64_t rarity, Random& random) {
  reference::Rows<Stored> rows;
  for (std::size_t i = 0; i < size; ++i) {
    std::uint64_t const kind = random.below(rarity);
    if constexpr (kIsFloat<Stored>) {
      using Bits = typename KeyOf<Stored>::Key;
      if (kind == 0) {
        rows.emplace_back();
      } else if (kind == 1) {
        rows.emplace_back(std::bit_cast<Stored>(static_cast<Bits>(KeyOf<Stored>::kInfinity + 1 + random.below(9))));
      } else if (kind == 2) {
        rows.emplace_back(std::bit_cast<Stored>(static_cast<Bits>(KeyOf<Stored>::kSign | random.below(1 << 20))));
      } else if (kind == 3) {
        rows.emplace_back(random_value<Stored>(random));
      } else {
        rows.emplace_back(static_cast<Stored>(static_cast<double>(random.below(1 << 20)) / 1000.0 - 300.0));
      }
    } else if (kind == 0) {
      rows.emplace_back();
    } else if (kind == 1) {
      rows.emplace_back(static_cast<Stored>(random.next()));
    } else {
      rows.emplace_back(static_cast<Stored>(random.below(100)));
    }
  }
  return rows;
}

template <class F>
void each_storage(F f) {
  each_domain(f);
  f(std::int8_t{});
  f(std::int16_t{});
  f(std::int32_t{});
  f(std::uint8_t{});
  f(std::uint16_t{});
  f(std::uint32_t{});
}

template <class Stored>
reference::Rows<Own<Stored>> widened(reference::Rows<Stored> const& rows) {
  reference::Rows<Own<Stored>> out;
  for (auto const& x : rows) out.push_back(x ? std::optional(static_cast<Own<Stored>>(*x)) : std::nullopt);
  return out;
}

template <class Stored>
void check_moments(reference::Rows<Stored> const& rows, std::string const& about) {
  auto const column = make_column(rows, 3);
  for (auto const* table : runnable())
    for (int const threads : {1, 3}) {
      auto const found = column_moments(column.view(), {}, threads, {}, *table);
      auto const pivot = static_cast<Own<Stored>>(KeyOf<Own<Stored>>::value(static_cast<typename KeyOf<Own<Stored>>::Key>(found.pivot)));
      auto const expected = reference::moments(widened(rows), pivot);
      CHECK_ABOUT(expected.count == 0 ? found.moments.count == 0 : same_bits(found.moments, expected),
                  about + ", " + table->name + ": " + shown(found.moments) + " is not " + shown(expected));
      CHECK_ABOUT(same(found.kinds, obvious_kinds(rows)), about + ", " + table->name);
    }
}

template <class Stored>
void check_sketches(reference::Rows<Stored> const& rows, std::string const& about) {
  auto const column = make_column(rows, 5);
  std::map<std::uint32_t, std::uint64_t> buckets;
  std::uint64_t nan = 0, null = 0, values = 0;
  Ranks ranks{};
  for (auto const& x : rows) {
    null += x ? 0 : 1;
    nan += x && is_missing(*x) ? 1 : 0;
    if (!x || is_missing(*x)) continue;
    ++values;
    ++buckets[bucket_of(static_cast<double>(*x))];
    raise(ranks, hash_number(static_cast<Own<Stored>>(*x)));
  }
  for (auto const* table : runnable())
    for (int const threads : {1, 3}) {
      auto const counts = log_linear_counts(column.view(), threads, {}, *table);
      std::map<std::uint32_t, std::uint64_t> found;
      counts.buckets.each([&](std::uint32_t bucket, std::uint64_t count) { found[bucket] = count; });
      CHECK_ABOUT(found == buckets && counts.nan == nan && counts.null == null, about + ", " + table->name);
      auto const registers = column_registers(column.view(), threads, {}, *table);
      CHECK_ABOUT(registers.registers.ranks() == ranks && registers.values == values, about + ", " + table->name);
    }
}

}  // namespace

TEST("a column's moments and kinds of values are the reference's on every instruction set") {
  each_storage([]<class Stored>(Stored) {
    Random random{91};
    for (std::size_t const size : {0, 1, 7, 17, 1023, 1024, 1025, 5000})
      for (std::uint64_t const rarity : {6, 5000}) check_moments(hard_rows<Stored>(size, rarity, random), std::to_string(size) + " rows");
  });
}

TEST("a column of several stripes has the moments of one thread") {
  Random random{92};
  check_moments(hard_rows<float>(140'000, 40, random), "float");
  check_moments(hard_rows<std::int64_t>(140'000, 1000, random), "int64");
}

TEST("moments of a column about a pivot are those of a counter about it") {
  Random random{93};
  auto const rows = sprinkled_rows<std::int64_t>(9000, random);
  auto const column = make_column(rows);
  auto const grid = make_grid(as_knots<std::int64_t>({1}));
  for (std::int64_t const pivot : {std::int64_t{0}, std::int64_t{500'000}, std::numeric_limits<std::int64_t>::min()}) {
    std::uint64_t const key = KeyOf<std::int64_t>::key(pivot);
    NumericState state({grid, {}, {}, grid->slots(), 0, 0, key}, {{false, true}});
    state.add(column.view(), {nullptr});
    CHECK(same_bits(state.finish(0).moments.at(0), column_moments(column.view(), key, 1, {}).moments));
  }
}

TEST("the first value is the pivot of 64-bit integers, and 0 that of others; floats take no other") {
  Column<std::int64_t> const wide{{7, std::numeric_limits<std::int64_t>::max()}, {2}, 0};
  CHECK_EQ(column_moments(wide.view(), {}, 1, {}).pivot, KeyOf<std::int64_t>::key(std::numeric_limits<std::int64_t>::max()));
  Column<std::int32_t> const narrow{{7, 8}, {}, 0};
  CHECK_EQ(column_moments(narrow.view(), {}, 1, {}).pivot, KeyOf<std::int64_t>::key(0));
  Column<float> const floats{{7, 8}, {}, 0};
  CHECK_REFUSED(column_moments(floats.view(), KeyOf<float>::key(1), 1, {}), "no pivot");
}

TEST("log-linear counts and registers are those of row by row on every instruction set") {
  each_storage([]<class Stored>(Stored) {
    Random random{94};
    for (std::size_t const size : {0, 1, 9, 1024, 3001})
      for (std::uint64_t const rarity : {6, 5000}) check_sketches(hard_rows<Stored>(size, rarity, random), std::to_string(size) + " rows");
  });
}

TEST("a long float32 column is counted by halves where they tell its buckets, and by buckets where not") {
  Random random{95};
  check_sketches(hard_rows<float>(20'000, 1'000'000, random), "quiet");
  check_sketches(hard_rows<float>(20'001, 4000, random), "rare");
  auto rows = hard_rows<float>(140'000, 7, random);
  check_sketches(rows, "hard");
  for (auto& x : rows) {
    x = 0.5f;
    if (random.below(9) == 0) x.reset();
  }
  check_sketches(rows, "constant with nulls");
}
