#include <array>
#include <map>
#include <set>

#include "check.hpp"
#include "core/hash.hpp"
#include "engine/category_state.hpp"
#include "engine/numeric_state.hpp"
#include "engine/row_hash.hpp"
#include "hand_made_arrow.hpp"
#include "reference/reference.hpp"
#include "registers.hpp"

using namespace modelwatch;
using namespace modelwatch::test;

namespace {

Ranks ranks_at(std::vector<std::uint8_t> const& registers, std::size_t group) {
  Ranks out;
  std::copy_n(registers.begin() + static_cast<std::ptrdiff_t>(group * kRegisters), kRegisters, out.begin());
  return out;
}

template <class Value>
NumericPlan plan_of(std::vector<Value> const& knots) {
  auto const grid = make_grid(as_knots(knots));
  return {grid, {}, {}, grid->slots(), 0, 0, KeyOf<Value>::key(Value{0})};
}

std::uint64_t hash_text(std::string const& text) {
  return hash_bytes(reinterpret_cast<std::uint8_t const*>(text.data()), static_cast<std::int64_t>(text.size()));
}

}  // namespace

TEST("buckets keep the order of values and are at most a 128th of them wide") {
  Random random{71};
  for (int i = 0; i < 20'000; ++i) {
    auto const a = random_value<double>(random);
    auto const b = random_value<double>(random);
    if (a <= b) CHECK(bucket_of(a) <= bucket_of(b));
    if (a >= 1e-300 && a <= 1e300 && b >= a && bucket_of(a) == bucket_of(b)) CHECK(b - a <= a / 128);
  }
  CHECK_EQ(bucket_of(-0.0), bucket_of(0.0));
  CHECK_EQ(bucket_of(1.0) + 128, bucket_of(2.0));
}

TEST("a register takes the place of the first set bit behind the bits that name it") {
  CHECK_EQ(register_of(0).index, 0u);
  CHECK_EQ(static_cast<int>(register_of(0).rank), 53);
  CHECK_EQ(register_of(~std::uint64_t{0}).index, kRegisters - 1);
  CHECK_EQ(static_cast<int>(register_of(~std::uint64_t{0}).rank), 1);
  CHECK_EQ(static_cast<int>(register_of(std::uint64_t{1}).rank), 52);
  Random random{72};
  for (int i = 0; i < 1000; ++i) {
    std::uint64_t const hash = random.next() >> random.below(60);
    Ranks ranks{};
    raise(ranks, hash);
    CHECK_EQ(ranks[register_of(hash).index], register_of(hash).rank);
  }
}

TEST("sketches hold the values between knots, each once, for any cut into batches") {
  each_domain([]<class Value>(Value) {
    Random random{73};
    auto const rows = sprinkled_rows<Value>(3000, random);
    std::vector<Value> knots;
    for (std::size_t k = 0; k < 40; ++k)
      if (auto const& x = rows[random.below(rows.size())]; x && *x == *x) knots.push_back(*x);
    knots = as_knots(knots);
    std::vector<std::int32_t> groups;
    for (std::size_t i = 0; i < rows.size(); ++i) groups.push_back(static_cast<std::int32_t>(random.below(3)) - 1);
    std::map<std::uint32_t, std::map<std::uint32_t, std::uint64_t>> buckets;
    std::map<std::uint32_t, Ranks> ranks;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (groups[i] < 0 || !rows[i] || *rows[i] != *rows[i] || reference::cell(*rows[i], knots) % 2 == 1) continue;
      auto const group = static_cast<std::uint32_t>(groups[i]);
      ++buckets[group][bucket_of(static_cast<double>(*rows[i]))];
      raise(ranks[group], hash_number(*rows[i]));
    }
    auto const column = make_column(rows, 4);
    for (std::int64_t const step : {3000, 100, 1}) {
      NumericState state(plan_of(knots), {{false, false, true}});
      for (std::int64_t begin = 0; begin < 3000; begin += step) {
        NumericView part = column.view();
        part.values = column.values.data() + begin;
        part.validity.offset += begin;
        part.rows = step;
        state.add(part, {groups.data() + begin});
      }
      auto const result = state.finish(0);
      for (std::size_t g = 0; g < result.group.size(); ++g) {
        std::map<std::uint32_t, std::uint64_t> found;
        for (std::uint64_t i = result.bucket_begin[g]; i < result.bucket_begin[g + 1]; ++i) found[result.bucket[i]] = result.bucket_count[i];
        CHECK(found == buckets[result.group[g]]);
      }
      CHECK_EQ(result.register_group.size(), ranks.size());
      for (std::size_t g = 0; g < result.register_group.size(); ++g)
        CHECK(ranks_at(result.registers, g) == ranks[result.register_group[g]]);
    }
  });
}

TEST("a row of weight w counts as w rows do") {
  each_domain([]<class Value>(Value) {
    Random random{74};
    reference::Rows<Value> const rows = sprinkled_rows<Value>(2500, random);
    std::vector<Value> knots;
    for (std::size_t k = 0; k < 30; ++k)
      if (auto const& x = rows[random.below(rows.size())]; x && *x == *x) knots.push_back(*x);
    knots = as_knots(knots);
    std::vector<std::int32_t> groups, many_groups;
    std::vector<std::uint32_t> weights;
    reference::Rows<Value> many;
    for (auto const& x : rows) {
      auto const weight = static_cast<std::uint32_t>(random.below(4));
      weights.push_back(weight);
      groups.push_back(weight == 0 ? -1 : static_cast<std::int32_t>(random.below(2)));
      for (std::uint32_t i = 0; i < weight; ++i) {
        many.push_back(x);
        many_groups.push_back(groups.back());
      }
    }
    NumericState weighted(plan_of(knots), {{false, true, true}});
    NumericState repeated(plan_of(knots), {{false, true, true}});
    auto const column = make_column(rows, 1);
    auto const long_column = make_column(many, 1);
    weighted.add(column.view(), {groups.data()}, weights.data());
    repeated.add(long_column.view(), {many_groups.data()});
    auto const a = weighted.finish(0);
    auto const b = repeated.finish(0);
    CHECK(a.group == b.group && a.cell == b.cell && a.count == b.count && a.gap == b.gap && a.gap_sum == b.gap_sum);
    CHECK(a.low == b.low && a.high == b.high && a.bucket == b.bucket && a.bucket_count == b.bucket_count && a.registers == b.registers);
    CHECK_EQ(a.tail_group, b.tail_group);
    for (std::size_t i = 0; i < a.tail_lower.size(); ++i) {
      CHECK(std::memcmp(&a.tail_lower[i], &b.tail_lower[i], sizeof(WideSum)) == 0);
      CHECK(std::memcmp(&a.tail_upper[i], &b.tail_upper[i], sizeof(WideSum)) == 0);
    }
    for (std::size_t i = 0; i < a.moments.size(); ++i) {
      CHECK_EQ(a.moments[i].count, b.moments[i].count);
      if (!std::isfinite(b.moments[i].m4) || b.moments[i].count == 0) continue;
      double const spread = std::sqrt(b.moments[i].m2 / static_cast<double>(b.moments[i].count));
      CHECK(std::abs(a.moments[i].mean - b.moments[i].mean) <= 1e-12 * (spread + std::abs(b.moments[i].mean)));
      CHECK(std::abs(a.moments[i].m2 - b.moments[i].m2) <= 1e-11 * b.moments[i].m2);
    }
  });
}

TEST("weights of one give the bits of no weights") {
  Random random{75};
  auto const rows = sprinkled_rows<double>(2500, random);
  std::vector<std::uint32_t> const ones(rows.size(), 1);
  std::vector<std::int32_t> groups;
  for (std::size_t i = 0; i < rows.size(); ++i) groups.push_back(static_cast<std::int32_t>(random.below(2)));
  NumericState weighted(plan_of<double>({0.0, 1.0}), {{false, true}});
  NumericState plain(plan_of<double>({0.0, 1.0}), {{false, true}});
  auto const column = make_column(rows, 0);
  weighted.add(column.view(), {groups.data()}, ones.data());
  plain.add(column.view(), {groups.data()});
  for (std::size_t g = 0; g < 2; ++g) CHECK(same_bits(weighted.finish(0).moments[g], plain.finish(0).moments[g]));
}

TEST("categories beyond the cap stay in the registers, whatever their order, and weights multiply") {
  std::vector<std::string> values;
  for (int i = 0; i < 60; ++i) values.push_back("v" + std::to_string(i));
  std::set<std::pair<std::uint64_t, std::string>> ranked;
  for (auto const& v : values) ranked.emplace(hash_text(v), v);
  Ranks expected{};
  std::size_t place = 0;
  for (auto const& [hash, v] : ranked)
    if (place++ >= 5) raise(expected, hash);
  Random random{76};
  for (int round = 0; round < 5; ++round) {
    shuffle(values, random);
    CategoryPlan plan;
    plan.unseen_cap = 5;
    CategoryState state(plan, {{false, false, true}});
    for (std::size_t begin = 0; begin < values.size(); begin += 7) {
      std::vector<std::optional<std::string>> dictionary;
      std::vector<std::int32_t> codes;
      std::vector<std::uint32_t> weights;
      for (std::size_t i = begin; i < std::min(values.size(), begin + 7); ++i) {
        codes.push_back(static_cast<std::int32_t>(dictionary.size()));
        dictionary.emplace_back(values[i]);
        weights.push_back(3);
      }
      auto const owner = owner_of(batch_node({coded_node(codes, text_node(dictionary))}));
      state.add(category_view(column_of(*owner, 0)), owner, {nullptr}, weights.data());
    }
    auto const result = state.finish(0);
    CHECK_EQ(result.unseen.size(), std::size_t{5});
    CHECK_EQ(result.cell, (std::vector<std::uint32_t>{kOtherSlot}));
    CHECK_EQ(result.count, (std::vector<std::uint64_t>{3 * 55}));
    CHECK_EQ(result.unseen_count, (std::vector<std::uint64_t>{3, 3, 3, 3, 3}));
    CHECK_EQ(result.register_group.size(), std::size_t{1});
    CHECK(ranks_at(result.registers, 0) == expected);
  }
}

TEST("sketches of a coarse set are refused") {
  auto plan = plan_of<std::int64_t>({0});
  plan.to_coarse = {0, 1, 2, 3, 4};
  plan.coarse_slots = 5;
  CHECK_REFUSED(NumericState(plan, {{true, false, true}}), "coarse grid");
  CHECK_REFUSED(CategoryState(CategoryPlan{}, {{true, false, true}}), "coarse grid");
}

TEST("rows of equal values hash alike in any dictionary and number type, and others do not") {
  auto const hashes = [](Node numbers, Node codes) { return hash_rows(owner_of(batch_node({std::move(numbers), std::move(codes)}))); };
  auto const one = hashes(numbers_node<std::int32_t>({1, 2, 1, 1}), coded_node<std::int8_t>({0, 0, 1, 0}, text_node({"a", "b"})));
  auto const two = hashes(numbers_node<std::int64_t>({1, 2, 1, 1}), coded_node<std::int32_t>({1, 1, 0, 1}, text_node({"b", "a"})));
  CHECK(one == two);
  CHECK_EQ(one[0], one[3]);
  CHECK_EQ((std::set<std::uint64_t>(one.begin(), one.end()).size()), std::size_t{3});
  auto const floats = hash_rows(owner_of(batch_node({numbers_node<float>({0.0f, -0.0f, 1.5f})})));
  auto const doubles = hash_rows(owner_of(batch_node({numbers_node<double>({-0.0, 0.0, 1.5})})));
  CHECK(floats == doubles && floats[0] == floats[1]);
}
