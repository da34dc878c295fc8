#include <array>
#include <cstring>

#include "check.hpp"
#include "columns.hpp"
#include "core/wide_sum.hpp"

using namespace modelwatch;
using namespace modelwatch::test;

namespace {

/// The same number the slow way: one signed counter per bit, carried only at the end.
class BitCounters {
 public:
  void add(double x) {
    int exponent = 0;
    double const fraction = std::frexp(std::fabs(x), &exponent);
    auto const magnitude = static_cast<std::uint64_t>(std::ldexp(fraction, 53));
    add_bits(magnitude, exponent - 53 + kWideUnitBit, x < 0);
  }
  void add(std::int64_t x) {
    for (int bit = 0; bit < 64; ++bit)
      if (((static_cast<std::uint64_t>(x) >> bit) & 1) != 0) at(bit + kWideUnitBit) += bit == 63 ? -1 : 1;
  }
  void add(std::uint64_t x) { add_bits(x, kWideUnitBit, false); }

  WideSum sum() const {
    WideSum out{};
    std::int64_t carry = 0;
    for (int bit = 0; bit < 64 * kWideLimbs; ++bit) {
      std::int64_t const digit = bits_[static_cast<std::size_t>(bit)] + carry;
      carry = digit >> 1;
      out.limbs[bit / 64] |= static_cast<std::uint64_t>(digit & 1) << (bit % 64);
    }
    return out;
  }

 private:
  std::int64_t& at(int bit) { return bits_[static_cast<std::size_t>(bit)]; }
  void add_bits(std::uint64_t magnitude, int first, bool negative) {
    for (int bit = 0; bit < 64; ++bit)
      if (((magnitude >> bit) & 1) != 0) at(first + bit) += negative ? -1 : 1;
  }
  std::array<std::int64_t, 64 * kWideLimbs> bits_{};
};

bool same(WideSum const& a, WideSum const& b) { return std::memcmp(a.limbs, b.limbs, sizeof a.limbs) == 0; }
bool is_zero(WideSum const& sum) { return same(sum, WideSum{}); }

template <class Value>
WideSum sum_of(std::vector<Value> const& values) {
  WideSum out{};
  for (auto const x : values) out.add(x);
  return out;
}

template <class Value>
std::vector<Value> finite_values(std::size_t size, std::uint64_t seed) {
  Random random{seed};
  std::vector<Value> values;
  while (values.size() < size) {
    Value const x = random_value<Value>(random);
    if (KeyOf<Value>::finite(x)) values.push_back(x);
  }
  return values;
}

}  // namespace

TEST("a wide sum equals one signed counter per bit, after every addition") {
  each_domain([]<class Value>(Value) {
    WideSum sum{};
    BitCounters slow;
    for (auto const x : finite_values<Value>(300, 31)) {
      sum.add(x);
      if constexpr (std::is_same_v<Value, float>)
        slow.add(static_cast<double>(x));
      else
        slow.add(x);
      CHECK_ABOUT(same(sum, slow.sum()), shown(x));
    }
  });
}

TEST("a wide sum of every power of two, up and down, is exact and comes back to zero") {
  WideSum sum{};
  BitCounters slow;
  for (double const sign : {1.0, -1.0})
    for (int exponent = -1074; exponent <= 1023; ++exponent) {
      double const x = std::ldexp(sign, exponent);
      sum.add(x);
      slow.add(x);
      CHECK_ABOUT(same(sum, slow.sum()), shown(x));
    }
  CHECK(is_zero(sum));
}

TEST("the smallest subnormal survives beside 1e308 and everything cancels to exactly zero") {
  double const tiny = std::numeric_limits<double>::denorm_min();
  WideSum sum = sum_of<double>({1e308, tiny, 1e308, -1e308, -1e308});
  CHECK_EQ(sum.limbs[0], std::uint64_t{1});
  sum.add(-tiny);
  CHECK(is_zero(sum));
  sum.add(-tiny);
  CHECK(same(sum, sum_of<double>({-tiny})));
  for (auto const limb : sum.limbs) CHECK_EQ(limb, ~std::uint64_t{0});
}

TEST("a wide sum does not depend on the order of its terms") {
  each_domain([]<class Value>(Value) {
    auto values = finite_values<Value>(500, 32);
    WideSum const expected = sum_of(values);
    Random random{33};
    for (int i = 0; i < 20; ++i) {
      shuffle(values, random);
      CHECK(same(sum_of(values), expected));
    }
  });
}

TEST("the extremes of 64-bit integers add exactly") {
  using Limits = std::numeric_limits<std::int64_t>;
  CHECK(same(sum_of<std::int64_t>({Limits::min(), Limits::max()}), sum_of<std::int64_t>({-1})));
  CHECK(is_zero(sum_of<std::int64_t>({Limits::min(), Limits::max(), 1})));
  WideSum twice = sum_of<std::uint64_t>({~std::uint64_t{0}, ~std::uint64_t{0}});
  twice.add(std::int64_t{2});
  CHECK(same(twice, sum_of<double>({std::ldexp(1.0, 65)})));
}

TEST("zeros of either sign add nothing") {
  CHECK(is_zero(sum_of<double>({0.0, -0.0})));
  CHECK(is_zero(sum_of<float>({0.0f, -0.0f})));
  CHECK(is_zero(sum_of<std::int64_t>({0})));
}
