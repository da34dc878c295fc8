// Columns of plain text and bytes: counted as their values in a dictionary are.

#include <string>

#include "check.hpp"
#include "engine/category_state.hpp"
#include "engine/row_hash.hpp"
#include "hand_made_arrow.hpp"

using namespace modelwatch;
using namespace modelwatch::test;

namespace {

using Text = std::optional<std::string>;

/// A dictionary column with a code of its own for every row.
Node coded_rows(std::vector<Text> const& rows) {
  std::vector<std::int32_t> codes;
  for (std::size_t i = 0; i < rows.size(); ++i) codes.push_back(static_cast<std::int32_t>(i));
  return coded_node(codes, text_node(rows));
}

Node text_of_kind(std::vector<Text> const& rows, std::uint64_t kind) {
  Node node = kind == 0 ? strings_node<std::int32_t>(rows) : kind == 1 ? strings_node<std::int64_t>(rows) : views_node(rows);
  return node;
}

/// Rows from `offset` on of a longer column.
Node sliced(std::vector<Text> const& rows, std::uint64_t kind, std::int64_t offset) {
  std::vector<Text> longer(static_cast<std::size_t>(offset), Text("in front"));
  longer.insert(longer.end(), rows.begin(), rows.end());
  Node node = text_of_kind(longer, kind);
  node.offset = offset;
  node.length -= offset;
  return node;
}

void add_coded(CategoryState& state, std::vector<Text> const& rows, std::vector<std::int32_t const*> const& groups, std::uint32_t const* weights) {
  auto const owner = owner_of(batch_node({coded_rows(rows)}));
  state.add(category_view(column_of(*owner, 0)), owner, groups, weights);
}

void add_text(CategoryState& state, Node node, std::vector<std::int32_t const*> const& groups, std::uint32_t const* weights) {
  std::int64_t const rows = node.length;
  auto const owner = owner_of(batch_node({std::move(node)}));
  ArrowColumn const column = column_of(*owner, 0);
  CHECK(is_text(column));
  state.add(strings_view(column), BatchGroups(groups, rows), weights);
}

void check_same(CategoryResult const& a, CategoryResult const& b) {
  CHECK_EQ(a.group, b.group);
  CHECK_EQ(a.cell_begin, b.cell_begin);
  CHECK_EQ(a.cell, b.cell);
  CHECK_EQ(a.count, b.count);
  CHECK(a.unseen == b.unseen);
  CHECK_EQ(a.unseen_group, b.unseen_group);
  CHECK_EQ(a.unseen_index, b.unseen_index);
  CHECK_EQ(a.unseen_count, b.unseen_count);
  CHECK_EQ(a.capped, b.capped);
  CHECK_EQ(a.register_group, b.register_group);
  CHECK(a.registers == b.registers);
}

CategoryPlan plan_of(std::vector<std::string> known, std::uint32_t cap) {
  CategoryPlan plan;
  plan.known = std::move(known);
  plan.unseen_cap = cap;
  plan.to_coarse.assign(plan.known.size(), 3);
  plan.coarse_slots = 4;
  return plan;
}

Text any_text(Random& random, std::uint64_t distinct) {
  if (random.below(12) == 0) return {};
  std::uint64_t const number = random.below(distinct);
  if (number == 0) return "";
  std::string value(number % 40, 'p');
  return value.append(std::to_string(number)).append(number % 7 == 0 ? 1 : 0, '\0');
}

std::string refused(Node node) {
  auto const owner = owner_of(batch_node({std::move(node)}));
  try {
    static_cast<void>(strings_view(column_of(*owner, 0)));
  } catch (InvalidInput const& error) {
    return error.what();
  }
  return "accepted";
}

bool holds(std::string const& text, std::string const& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST("text of every layout counts as its values in a dictionary do, for any batches, groups, weights and caps") {
  Random random{401};
  for (int round = 0; round < 60; ++round) {
    std::uint64_t const distinct = 1 + random.below(120);
    auto plan = plan_of({"p1", "pp2", "ppppppppppppppppppppppppp25"}, static_cast<std::uint32_t>(1 + random.below(30)));
    if (random.below(3) == 0) {
      plan.known_is_capped = true;
      plan.known_hash = random.next();
      plan.known_bytes = "p";
    }
    std::vector<SetPlan> const sets{{false, false, true}, {true, false}, {false, false}};
    CategoryState coded(plan, sets);
    CategoryState text(plan, sets);
    for (std::uint64_t batches = 1 + random.below(5); batches > 0; --batches) {
      // One group, runs of tiles, or a group for every row.
      std::size_t const size = random.below(4) == 0 ? 2000 + random.below(3000) : random.below(90);
      std::vector<Text> rows;
      std::vector<std::int32_t> tiles;
      std::vector<std::int32_t> single;
      std::vector<std::uint32_t> weights;
      for (std::size_t i = 0; i < size; ++i) {
        rows.push_back(any_text(random, distinct));
        tiles.push_back(static_cast<std::int32_t>(i / 2048));
        single.push_back(static_cast<std::int32_t>(random.below(3)));
        weights.push_back(static_cast<std::uint32_t>(1 + random.below(5)));
      }
      std::vector<std::int32_t const*> const groups{nullptr, tiles.data(), random.below(2) == 0 ? single.data() : nullptr};
      auto const* const times = random.below(3) == 0 ? weights.data() : nullptr;
      add_coded(coded, rows, groups, times);
      add_text(text, sliced(rows, random.below(3), static_cast<std::int64_t>(random.below(20))), groups, times);
    }
    for (std::size_t s = 0; s < sets.size(); ++s) check_same(text.finish(s), coded.finish(s));
  }
}

TEST("a run of text may outgrow its counters and its cap, more than once") {
  for (std::uint32_t const cap : {1u, 50u, 3000u, 5000u, 100'000u}) {
    Random random{402};
    std::vector<Text> rows;
    for (int i = 0; i < 30'000; ++i) rows.push_back(any_text(random, 1 + static_cast<std::uint64_t>(i)));
    std::vector<SetPlan> const sets{{false, false, true}, {true, false}};
    CategoryState coded(plan_of({"p1"}, cap), sets);
    CategoryState text(plan_of({"p1"}, cap), sets);
    add_coded(coded, rows, {nullptr, nullptr}, nullptr);
    add_text(text, text_node(rows), {nullptr, nullptr}, nullptr);
    for (std::size_t s = 0; s < sets.size(); ++s) check_same(text.finish(s), coded.finish(s));
  }
}

TEST("text and dictionaries may take turns in one column") {
  CategoryState state(plan_of({"a"}, 2), {{false, false}});
  Node const dictionary = text_node({"x", "y", "z", "a"});
  for (int round = 0; round < 3; ++round) {
    auto const owner = owner_of(batch_node({coded_node<std::int8_t>({0, 1, 2, 3}, dictionary)}));
    state.add(category_view(column_of(*owner, 0)), owner, {nullptr});
    add_text(state, text_node({"z", "y", "x", "a", {}, ""}), {nullptr}, nullptr);
  }
  auto const result = state.finish(0);
  CHECK_EQ(result.cell, (std::vector<std::uint32_t>{kNullSlot, kOtherSlot, kFirstCategory}));
  // Of x, y, z and "" two are kept: three of them come six times, "" three times.
  CHECK_EQ(result.count[0], std::uint64_t{3});
  CHECK_EQ(result.count[2], std::uint64_t{6});
  std::uint64_t total = result.count[1];
  for (auto const count : result.unseen_count) total += count;
  CHECK_EQ(total, std::uint64_t{21});
}

TEST("text without any bytes, without rows and of nulls alone is counted") {
  for (std::uint64_t const kind : {0u, 1u, 2u}) {
    CategoryState state(plan_of({}, 10), {{false, false}});
    Node empty = text_of_kind({"", "", ""}, kind);
    if (kind < 2) empty.buffers[2] = nullptr;
    add_text(state, std::move(empty), {nullptr}, nullptr);
    add_text(state, text_of_kind({}, kind), {nullptr}, nullptr);
    add_text(state, text_of_kind({{}, {}}, kind), {nullptr}, nullptr);
    auto const result = state.finish(0);
    CHECK(result.unseen == std::vector<std::string>{""});
    CHECK_EQ(result.unseen_count, std::vector<std::uint64_t>{3});
    CHECK_EQ(result.count, std::vector<std::uint64_t>{2});
  }
}

TEST("rows hash by the values of their text, whatever its layout") {
  std::vector<Text> const rows{"a", {}, "", "a value of more than twelve bytes", "a"};
  auto const expected = hash_rows(owner_of(batch_node({coded_rows(rows)})));
  for (std::uint64_t const kind : {0u, 1u, 2u}) CHECK_EQ(hash_rows(owner_of(batch_node({text_of_kind(rows, kind)}))), expected);
}

TEST("text whose offsets or views lead out of its memory is refused") {
  auto const spoiled = [](std::uint64_t kind, auto spoil) {
    Node node = text_of_kind({"a", "a value of more than twelve bytes", {}}, kind);
    spoil(node);
    return refused(std::move(node));
  };
  CHECK_EQ(spoiled(0, [](Node&) {}), std::string("accepted"));
  CHECK_EQ(spoiled(2, [](Node&) {}), std::string("accepted"));
  CHECK(holds(refused(numbers_node<float>({1.0f})), "not text or bytes"));
  CHECK(holds(spoiled(0, [](Node& n) { n.buffers[1] = nullptr; }), "no offsets buffer"));
  CHECK(holds(spoiled(1, [](Node& n) { n.buffers[2] = nullptr; }), "no bytes buffer"));
  CHECK(holds(spoiled(0, [](Node& n) { n.buffers[1] = memory_of<std::int32_t>({0, 5, 4, 4}); }), "run backwards"));
  CHECK(holds(spoiled(0, [](Node& n) { n.buffers[1] = memory_of<std::int32_t>({-1, 5, 5, 5}); }), "run backwards"));
  // Lengths that only look right because a difference wraps around.
  CHECK(holds(spoiled(0, [](Node& n) { n.buffers[1] = memory_of<std::int32_t>({0, 2'147'483'647, -2'147'483'647, 0}); }), "run backwards"));
  CHECK(holds(spoiled(1, [](Node& n) { n.buffers[1] = memory_of<std::int64_t>({0, 1, std::int64_t{1} << 33, std::int64_t{1} << 33}); }), "longer than 4 GiB"));
  CHECK(holds(spoiled(2, [](Node& n) { n.buffers[1] = nullptr; }), "no views buffer"));
  CHECK(holds(spoiled(2, [](Node& n) { n.n_buffers = 2; }), "malformed"));
  // The second view: its length, buffer and offset in turn.
  for (auto const& view : std::vector<std::vector<std::int32_t>>{{-1, 0, 1, 0}, {34, 0, 1, 0}, {33, 0, 2, 0}, {33, 0, -1, 0}, {33, 0, 1, 1}, {33, 0, 1, -1}, {33, 0, 0, 0}})
    CHECK(holds(spoiled(2, [&](Node& n) { std::memcpy(n.buffers[1]->data() + 16, view.data(), 16); }), "leads out of its buffers"));
  // What a null row's view says is not looked at.
  CHECK_EQ(spoiled(2, [](Node& n) { std::memset(n.buffers[1]->data() + 32, 0xff, 16); }), std::string("accepted"));
}
