#pragma once
// Columns made of the values that break things.

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <type_traits>
#include <vector>

#include "core/key.hpp"
#include "core/views.hpp"
#include "engine/grid.hpp"
#include "reference/reference.hpp"  // Rows

namespace modelwatch::test {

/// SplitMix64 (Steele, Lea, Flood 2014): small, seeded, the same everywhere.
struct Random {
  std::uint64_t state;
  std::uint64_t next() {
    std::uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  /// 0 ... bound - 1
  std::uint64_t below(std::uint64_t bound) { return next() % bound; }
};

template <class Item>
void shuffle(std::vector<Item>& items, Random& random) {
  for (std::size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[random.below(i)]);
}

template <class Value>
inline constexpr bool kIsFloat = std::is_floating_point_v<Value>;

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
  int const first = std::is_signed_v<Value> ? 0 : 4;
  return static_cast<Storage>(first + std::countr_zero(sizeof(Value)));
}

template <class Value>
Value next_below(Value x) {
  if constexpr (kIsFloat<Value>)
    return std::nextafter(x, -std::numeric_limits<Value>::infinity());
  else
    return x == std::numeric_limits<Value>::min() ? x : static_cast<Value>(x - 1);
}

template <class Value>
Value next_above(Value x) {
  if constexpr (kIsFloat<Value>)
    return std::nextafter(x, std::numeric_limits<Value>::infinity());
  else
    return x == std::numeric_limits<Value>::max() ? x : static_cast<Value>(x + 1);
}

/// Sorted, distinct but for the two zeros of floats.
template <class Value>
std::vector<Value> hard_values() {
  using Limits = std::numeric_limits<Value>;
  if constexpr (kIsFloat<Value>) {
    std::vector<Value> const positive{0,
                                      Limits::denorm_min(),
                                      2 * Limits::denorm_min(),
                                      next_below(Limits::min()),
                                      Limits::min(),
                                      next_above(Limits::min()),
                                      static_cast<Value>(0.1),
                                      next_below(Value{1}),
                                      1,
                                      next_above(Value{1}),
                                      16777216,
                                      16777218,
                                      next_below(Limits::max()),
                                      Limits::max(),
                                      Limits::infinity()};
    std::vector<Value> all;
    for (auto x = positive.rbegin(); x != positive.rend(); ++x) all.push_back(-*x);
    all.insert(all.end(), positive.begin(), positive.end());
    return all;
  } else if constexpr (std::is_signed_v<Value>) {
    Value const beyond = static_cast<Value>((std::int64_t{1} << 53) + 1);
    return {Limits::min(), Limits::min() + 1, -beyond, 1 - beyond, -2,         -1,           0,
            1,             2,                 beyond - 1, beyond,  beyond + 1, Limits::max() - 1, Limits::max()};
  } else {
    Value const beyond = (std::uint64_t{1} << 53) + 1;
    Value const half = Value{1} << 63;
    return {0, 1, 2, beyond - 1, beyond, beyond + 1, half - 1, half, half + 1, Limits::max() - 1, Limits::max()};
  }
}

/// Any value but NaN.
template <class Value>
Value random_value(Random& random) {
  auto const hard = hard_values<Value>();
  if (random.below(4) == 0) return hard[random.below(hard.size())];
  for (;;) {
    Value x;
    if constexpr (std::is_same_v<Value, float>)
      x = std::bit_cast<float>(static_cast<std::uint32_t>(random.next()));
    else
      x = std::bit_cast<Value>(random.next());
    if (!KeyOf<Value>::missing(x)) return x;
  }
}

/// Some 100 quiet values in a narrow range, with nulls and, for floats, NaN and infinities sprinkled in.
template <class Value>
reference::Rows<Value> sprinkled_rows(std::size_t size, Random& random) {
  reference::Rows<Value> rows;
  for (std::size_t i = 0; i < size; ++i) {
    std::uint64_t const kind = random.below(20);
    if (kind == 0) {
      rows.emplace_back();
    } else if (kIsFloat<Value> && kind < 4) {
      using Limits = std::numeric_limits<Value>;
      rows.emplace_back(static_cast<Value>(kind == 1 ? Limits::quiet_NaN() : kind == 2 ? Limits::infinity() : -Limits::infinity()));
    } else if (kIsFloat<Value>) {
      rows.emplace_back(static_cast<Value>(static_cast<double>(random.below(1 << 20)) / 1000.0 - 300.0));
    } else {
      rows.emplace_back(static_cast<Value>(random.below(1 << 20)));
    }
  }
  return rows;
}

/// Memory of a column as Arrow would lay it out; the place of a null holds a value that must not be read.
template <class Value>
struct Column {
  std::vector<Value> values;
  std::vector<std::uint8_t> bits;
  int bit_offset = 0;

  NumericView view() const {
    return {values.data(), {bits.empty() ? nullptr : bits.data(), bit_offset}, static_cast<std::int64_t>(values.size()),
            storage_of<Value>()};
  }
};

template <class Value>
Column<Value> make_column(reference::Rows<Value> const& rows, int bit_offset = 0) {
  Column<Value> out;
  out.bit_offset = bit_offset;
  bool nulls = false;
  for (auto const& x : rows) nulls = nulls || !x;
  if (nulls) out.bits.assign((rows.size() + static_cast<std::size_t>(bit_offset)) / 8 + 1, 0);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    out.values.push_back(rows[i].value_or(std::numeric_limits<Value>::max()));
    std::size_t const at = i + static_cast<std::size_t>(bit_offset);
    if (nulls && rows[i]) out.bits[at / 8] = static_cast<std::uint8_t>(out.bits[at / 8] | (1u << (at % 8)));
  }
  return out;
}

/// Sorted and without repeats; floats get the infinities their grids need.
template <class Value>
std::vector<Value> as_knots(std::vector<Value> values) {
  if constexpr (kIsFloat<Value>) {
    values.push_back(-std::numeric_limits<Value>::infinity());
    values.push_back(std::numeric_limits<Value>::infinity());
  }
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return values;
}

template <class Value>
std::vector<std::uint64_t> keys_of(std::vector<Value> const& values) {
  std::vector<std::uint64_t> keys;
  for (auto const x : values) keys.push_back(KeyOf<Value>::key(x));
  return keys;
}

template <class Value>
std::shared_ptr<Grid const> make_grid(std::vector<Value> const& knots) {
  return std::make_shared<Grid const>(domain_of<Value>(), keys_of(knots));
}

/// Calls f with a value of every domain's type.
template <class F>
void each_domain(F f) {
  f(float{});
  f(double{});
  f(std::int64_t{});
  f(std::uint64_t{});
}

}  // namespace modelwatch::test
