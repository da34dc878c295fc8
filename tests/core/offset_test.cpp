#include "check.hpp"
#include "columns.hpp"
#include "core/offset_rule.hpp"

using namespace modelwatch;
using namespace modelwatch::test;

namespace {

constexpr std::uint64_t kWhole = std::uint64_t{1} << 32;

/// Offsets of sorted values of one gap: from 0 at its lower end, never falling, to 2^32 at its upper end.
template <class Value>
void check_gap(Value lower, Value upper, std::vector<Value> inside) {
  std::string const about = shown(lower) + " to " + shown(upper);
  std::sort(inside.begin(), inside.end());
  CHECK_EQ_ABOUT(gap_offset(lower, lower, upper), std::uint64_t{0}, about);
  CHECK_EQ_ABOUT(gap_offset(upper, lower, upper), kWhole, about);
  std::uint64_t last = 0;
  for (auto const x : inside) {
    if (x < lower || x > upper) continue;
    std::uint64_t const offset = gap_offset(x, lower, upper);
    CHECK_ABOUT(offset >= last && offset <= kWhole, about + " at " + shown(x));
    last = offset;
  }
}

}  // namespace

TEST("an offset is 0 at the lower end of its gap, 2^32 at the upper, and never falls between") {
  each_domain([]<class Value>(Value) {
    Random random{21};
    std::vector<Value> probes;
    for (int i = 0; i < 200; ++i) probes.push_back(random_value<Value>(random));
    for (auto const x : hard_values<Value>()) probes.insert(probes.end(), {next_below(x), x, next_above(x)});
    std::erase_if(probes, [](Value x) { return !KeyOf<Value>::finite(x); });
    for (int i = 0; i < 300; ++i) {
      Value const a = probes[random.below(probes.size())];
      Value const b = probes[random.below(probes.size())];
      if (a != b) check_gap(std::min(a, b), std::max(a, b), probes);
    }
  });
}

TEST("an offset is the fraction of the way through the gap, rounded to nearest") {
  CHECK_EQ(gap_offset(0.5, 0.0, 1.0), kWhole / 2);
  CHECK_EQ(gap_offset(2.0f, 1.0f, 5.0f), kWhole / 4);
  CHECK_EQ(gap_offset(std::int64_t{-1}, std::int64_t{-3}, std::int64_t{5}), kWhole / 4);
  CHECK_EQ(gap_offset(1.0, 0.0, 3.0), std::uint64_t{1431655765});
  CHECK_EQ(gap_offset(2.0, 0.0, 3.0), std::uint64_t{2863311531});
}

TEST("offsets of integers beyond 2^53 see every single step") {
  std::int64_t const lower = std::numeric_limits<std::int64_t>::max() - 8;
  std::uint64_t const high = std::numeric_limits<std::uint64_t>::max() - 8;
  for (std::int64_t step = 0; step <= 8; ++step) {
    auto const expected = static_cast<std::uint64_t>(step) * (kWhole / 8);
    CHECK_EQ(gap_offset(lower + step, lower, lower + 8), expected);
    CHECK_EQ(gap_offset(-lower - 8 + step, -lower - 8, -lower), expected);
    CHECK_EQ(gap_offset(high + static_cast<std::uint64_t>(step), high, high + 8), expected);
  }
}

TEST("a gap whose width overflows still has its middle in the middle") {
  double const most = std::numeric_limits<double>::max();
  CHECK_EQ(gap_offset(0.0, -most, most), kWhole / 2);
  CHECK_EQ(gap_offset(most / 2, -most, most), kWhole / 4 * 3);
  std::int64_t const low = std::numeric_limits<std::int64_t>::min();
  CHECK_EQ(gap_offset(std::int64_t{0}, low, -(low + 1)), kWhole / 2);
  CHECK_EQ(gap_offset(0.0f, -std::numeric_limits<float>::max(), std::numeric_limits<float>::max()), kWhole / 2);
}

TEST("a gap between subnormals is divided as finely as its values are") {
  double const tiny = std::numeric_limits<double>::denorm_min();
  CHECK_EQ(gap_offset(tiny, 0.0, 4 * tiny), kWhole / 4);
  CHECK_EQ(gap_offset(3 * tiny, 0.0, 4 * tiny), kWhole / 4 * 3);
  CHECK_EQ(gap_offset(-tiny, -2 * tiny, 0.0), kWhole / 2);
}
