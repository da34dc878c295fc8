#include <map>
#include <set>

#include "check.hpp"
#include "core/hash.hpp"
#include "engine/category_state.hpp"
#include "hand_made_arrow.hpp"

using namespace modelwatch;
using namespace modelwatch::test;

namespace {

using Text = std::optional<std::string>;
/// Counts of one group: by text, "(null)" and "(other)" for the two slots that are no category.
using Counts = std::map<std::string, std::uint64_t>;

std::pair<std::uint64_t, std::string> rank_of(std::string const& text) {
  return {hash_bytes(reinterpret_cast<std::uint8_t const*>(text.data()), static_cast<std::int64_t>(text.size())), text};
}

/// v0, v1, ...
std::string word(char letter, std::uint64_t number) {
  std::string text(1, letter);
  return text.append(std::to_string(number));
}

CategoryPlan plan_of(std::vector<std::string> known, std::uint32_t cap) {
  CategoryPlan plan;
  plan.known = std::move(known);
  plan.unseen_cap = cap;
  // Coarse: null, other, unseen, and one slot for all that is known.
  plan.to_coarse.assign(plan.known.size(), 3);
  plan.coarse_slots = 4;
  return plan;
}

void add_node(CategoryState& state, Node column, std::vector<std::int32_t const*> const& groups) {
  auto const owner = owner_of(batch_node({std::move(column)}));
  state.add(category_view(column_of(*owner, 0)), owner, groups);
}

/// The rows as a dictionary column whose dictionary is in the order in which its values are met.
Node encoded(std::vector<Text> const& rows) {
  std::vector<Text> dictionary;
  std::vector<std::int32_t> codes;
  std::vector<bool> valid;
  for (auto const& row : rows) {
    auto at = std::find(dictionary.begin(), dictionary.end(), row);
    if (row && at == dictionary.end()) at = dictionary.insert(at, row);
    codes.push_back(row ? static_cast<std::int32_t>(at - dictionary.begin()) : -1);
    valid.push_back(row.has_value());
  }
  Node node = coded_node(codes, text_node(dictionary));
  node.buffers[0] = bitmap_of(valid);
  node.null_count = -1;
  return node;
}

std::map<std::uint32_t, Counts> counts_of(CategoryResult const& result, std::vector<std::string> const& known) {
  std::map<std::uint32_t, Counts> out;
  for (std::size_t g = 0; g < result.group.size(); ++g)
    for (std::uint64_t i = result.cell_begin[g]; i < result.cell_begin[g + 1]; ++i) {
      std::uint32_t const cell = result.cell[i];
      out[result.group[g]][cell == kNullSlot ? "(null)" : cell == kOtherSlot ? "(other)" : known[cell - kFirstCategory]] = result.count[i];
    }
  for (std::size_t i = 0; i < result.unseen_group.size(); ++i) out[result.unseen_group[i]][std::string(result.unseen[result.unseen_index[i]])] = result.unseen_count[i];
  return out;
}

std::map<std::uint32_t, std::uint64_t> cells_of(CategoryResult const& result) {
  std::map<std::uint32_t, std::uint64_t> out;
  for (std::size_t i = 0; i < result.cell.size(); ++i) out[result.cell[i]] += result.count[i];
  return out;
}

/// The definition: of the values not known, those with the smallest (hash, bytes) keep their counts.
std::map<std::uint32_t, Counts> slow_counts(std::vector<Text> const& rows, std::vector<std::int32_t> const& groups,
                                            std::vector<std::string> const& known, std::size_t cap) {
  std::set<std::pair<std::uint64_t, std::string>> unseen;
  for (auto const& row : rows)
    if (row && std::find(known.begin(), known.end(), *row) == known.end()) unseen.insert(rank_of(*row));
  while (unseen.size() > cap) unseen.erase(std::prev(unseen.end()));
  std::map<std::uint32_t, Counts> out;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (groups[i] < 0) continue;
    bool const kept = rows[i] && (std::find(known.begin(), known.end(), *rows[i]) != known.end() || unseen.count(rank_of(*rows[i])) > 0);
    ++out[static_cast<std::uint32_t>(groups[i])][kept ? *rows[i] : rows[i] ? "(other)" : "(null)"];
  }
  return out;
}

}  // namespace

TEST("of unseen values the smallest by hash and bytes survive, for any order of rows and any cut into batches") {
  std::vector<std::string> const known{"k1", "k2", "k3"};
  Random random{91};
  for (int round = 0; round < 200; ++round) {
    std::vector<Text> rows;
    std::vector<std::int32_t> groups;
    std::uint64_t const distinct = 1 + random.below(40);
    for (int i = 0; i < 250; ++i) {
      std::uint64_t const kind = random.below(10);
      if (kind == 0)
        rows.emplace_back();
      else if (kind < 3)
        rows.emplace_back(known[random.below(3)]);
      else
        rows.emplace_back(word('v', random.below(distinct)));
      groups.push_back(static_cast<std::int32_t>(random.below(4)) - 1);
    }
    auto const cap = static_cast<std::uint32_t>(1 + random.below(12));
    CategoryState state(plan_of(known, cap), {{false, false}, {true, false}});
    std::vector<std::int32_t> const one(rows.size(), 0);
    for (std::size_t begin = 0; begin < rows.size();) {
      std::size_t const end = std::min(rows.size(), begin + 1 + random.below(90));
      auto const at = static_cast<std::ptrdiff_t>(begin);
      add_node(state, encoded({rows.begin() + at, rows.begin() + static_cast<std::ptrdiff_t>(end)}), {groups.data() + begin, nullptr});
      begin = end;
      if (random.below(4) == 0) static_cast<void>(state.finish(0));  // looking changes nothing
    }
    CHECK_ABOUT(counts_of(state.finish(0), known) == slow_counts(rows, groups, known, cap), "round " + std::to_string(round));

    std::map<std::uint32_t, std::uint64_t> coarse;
    for (auto const& row : rows) ++coarse[!row ? kNullSlot : row->front() == 'k' ? 3u : kCoarseUnseen];
    CHECK_ABOUT(cells_of(state.finish(1)) == coarse, "coarse, round " + std::to_string(round));
  }
}

TEST("a result keeps its values while others come and its state evicts") {
  CategoryState state(plan_of({}, 2), {{false, false}});
  add_node(state, encoded({"a", "b"}), {nullptr});
  auto const before = state.finish(0);
  for (std::uint64_t round = 0; round < 40; ++round) {
    std::vector<Text> rows;
    for (std::uint64_t i = 0; i < 500; ++i) rows.push_back(word('x', 500 * round + i));
    add_node(state, encoded(rows), {nullptr});
  }
  CHECK((counts_of(before, {}) == std::map<std::uint32_t, Counts>{{0, {{"a", 1}, {"b", 1}}}}));
}

TEST("a value that a capped baseline may have held is other, on both grids") {
  std::vector<std::string> values;
  for (int i = 0; i < 20; ++i) values.push_back(word('v', static_cast<std::uint64_t>(i)));
  std::sort(values.begin(), values.end(), [](auto const& a, auto const& b) { return rank_of(a) < rank_of(b); });
  auto plan = plan_of({}, 100);
  plan.known_is_capped = true;
  plan.known_hash = rank_of(values[7]).first;
  plan.known_bytes = values[7];
  CategoryState state(plan, {{false, false}, {true, false}});
  std::vector<Text> const rows(values.begin(), values.end());
  add_node(state, encoded(rows), {nullptr, nullptr});
  Counts expected{{"(other)", 12}};
  for (std::size_t i = 0; i <= 7; ++i) expected[values[i]] = 1;
  CHECK((counts_of(state.finish(0), {}) == std::map<std::uint32_t, Counts>{{0, expected}}));
  CHECK((cells_of(state.finish(1)) == std::map<std::uint32_t, std::uint64_t>{{kOtherSlot, 12}, {kCoarseUnseen, 8}}));
}

TEST("the same dictionary in the next batch means the same values, before and after an eviction") {
  std::vector<Text> words;
  for (int i = 0; i < 30; ++i) words.emplace_back(word('w', static_cast<std::uint64_t>(i)));
  Node const dictionary = text_node(words);  // its memory is shared by every batch below
  CategoryState state(plan_of({}, 5), {{false, false}});
  std::vector<Text> rows;
  Random random{92};
  for (int batch = 0; batch < 12; ++batch) {
    std::vector<std::uint8_t> codes;
    for (int i = 0; i < 20; ++i) {
      codes.push_back(static_cast<std::uint8_t>(random.below(batch < 3 ? 8 : 30)));
      rows.push_back(words[codes.back()]);
    }
    add_node(state, coded_node(codes, dictionary), {nullptr});
  }
  CHECK((counts_of(state.finish(0), {}) == slow_counts(rows, std::vector<std::int32_t>(rows.size(), 0), {}, 5)));
}

TEST("another dictionary with the same codes means other values") {
  CategoryState state(plan_of({}, 100), {{false, false}});
  for (char const* const word : {"aa", "bb", "cc", "aa"}) add_node(state, coded_node<std::int16_t>({0}, text_node({word})), {nullptr});
  CHECK((counts_of(state.finish(0), {}) == std::map<std::uint32_t, Counts>{{0, {{"aa", 2}, {"bb", 1}, {"cc", 1}}}}));
}

TEST("a dictionary that shares its bytes with the last one but differs in its nulls or offsets means other values") {
  Node first = text_node({"aa", "bb"});
  Node masked = first;
  masked.buffers[0] = bitmap_of({true, false});
  masked.null_count = 1;
  Node shorter = first;
  shorter.buffers[1] = memory_of<std::int32_t>({0, 1, 4});
  CategoryState state(plan_of({}, 100), {{false, false}});
  for (Node const& dictionary : {first, masked, first, shorter}) add_node(state, coded_node<std::int8_t>({0, 1}, dictionary), {nullptr});
  CHECK((counts_of(state.finish(0), {}) ==
         std::map<std::uint32_t, Counts>{{0, {{"aa", 3}, {"bb", 2}, {"(null)", 1}, {"a", 1}, {"abb", 1}}}}));
}

TEST("a null in the dictionary is a null, like one in the codes") {
  CategoryState state(plan_of({"a"}, 100), {{false, false}});
  Node column = coded_node<std::int32_t>({0, 1, 1, 0, 77}, text_node({"a", {}}));
  column.buffers[0] = bitmap_of({true, true, true, true, false});
  column.null_count = 1;
  add_node(state, column, {nullptr});
  CHECK((counts_of(state.finish(0), {"a"}) == std::map<std::uint32_t, Counts>{{0, {{"a", 2}, {"(null)", 3}}}}));
}

TEST("codes of every integer width, and text of both offset widths, count the same") {
  auto const check = []<class Code>(Code) {
    for (Node dictionary : {strings_node<std::int32_t>({"a", "", "caf\xc3\xa9"}), strings_node<std::int64_t>({"a", "", "caf\xc3\xa9"})}) {
      for (bool const binary : {false, true}) {
        if (binary) dictionary.format = dictionary.format == "U" ? "Z" : "z";
        CategoryState state(plan_of({"a"}, 10), {{false, false}});
        add_node(state, coded_node<Code>({2, 0, 1, 2, 0, 2}, dictionary), {nullptr});
        CHECK((counts_of(state.finish(0), {"a"}) == std::map<std::uint32_t, Counts>{{0, {{"a", 2}, {"", 1}, {"caf\xc3\xa9", 3}}}}));
      }
    }
  };
  check(std::int8_t{});
  check(std::int16_t{});
  check(std::int32_t{});
  check(std::int64_t{});
  check(std::uint8_t{});
  check(std::uint16_t{});
  check(std::uint32_t{});
  check(std::uint64_t{});
}

TEST("values a dictionary lists but no row uses leave no trace") {
  CategoryState state(plan_of({}, 1), {{false, false}});
  add_node(state, coded_node<std::int8_t>({1}, text_node({"x", "y", "z", "q", "r"})), {nullptr});
  auto const result = state.finish(0);
  CHECK(result.unseen == std::vector<std::string>{"y"});
  CHECK(!result.capped);
}

TEST("the result says whether the cap was reached, and lists what is unseen by bytes") {
  CategoryState state(plan_of({}, 2), {{false, false}});
  add_node(state, encoded({"b", "a"}), {nullptr});
  CHECK(!state.finish(0).capped);
  CHECK(state.finish(0).unseen == (std::vector<std::string>{"a", "b"}));
  add_node(state, encoded({"c"}), {nullptr});
  CHECK(state.finish(0).capped);
  CHECK_EQ(state.finish(0).unseen.size(), std::size_t{2});
}

TEST("category plans that make no sense are refused") {
  CHECK_REFUSED(CategoryState(plan_of({"b", "a"}, 1), {}), "sorted and distinct");
  CHECK_REFUSED(CategoryState(plan_of({"a", "a"}, 1), {}), "sorted and distinct");
  CHECK_REFUSED(CategoryState(plan_of({}, 0), {}), "at least 1");
  auto plan = plan_of({"a"}, 1);
  plan.to_coarse = {4};
  CHECK_REFUSED(CategoryState(plan, {{true, false}}), "out of its grid");
  plan.to_coarse = {};
  CHECK_REFUSED(CategoryState(plan, {{true, false}}), "wrong length");
}
