#include "check.hpp"
#include "engine/counter.hpp"
#include "hand_made_arrow.hpp"

using namespace modelwatch;
using namespace modelwatch::test;

namespace {

/// What reading the only column of a batch says.
std::string read_numbers(Node column) {
  auto const owner = owner_of(batch_node({std::move(column)}));
  return refusal([&] { static_cast<void>(numeric_view(column_of(*owner, 0))); });
}

std::string read_categories(Node column) {
  auto const owner = owner_of(batch_node({std::move(column)}));
  return refusal([&] { static_cast<void>(category_view(column_of(*owner, 0))); });
}

template <class Spoil>
Node spoiled(Node node, Spoil spoil) {
  spoil(node);
  return node;
}

Node three_numbers() { return numbers_node<double>({1, 2, 3}, "amount"); }
Node three_codes() { return coded_node<std::int32_t>({0, 1, 0}, text_node({"a", "b"}), "carrier"); }

bool holds(std::string const& text, char const* words) { return text.find(words) != std::string::npos; }

}  // namespace

TEST("sound columns are accepted") {
  CHECK_EQ(read_numbers(three_numbers()), std::string("accepted"));
  CHECK_EQ(read_categories(three_codes()), std::string("accepted"));
  CHECK_EQ(read_numbers(numbers_node<float>({})), std::string("accepted"));
}

TEST("a column with another number of buffers than its type has is refused by name") {
  for (std::int64_t const count : {-1, 0, 1, 3}) {
    auto const said = read_numbers(spoiled(three_numbers(), [&](Node& n) { n.n_buffers = count; }));
    CHECK_ABOUT(holds(said, "'amount'") && holds(said, "malformed"), said);
    CHECK(holds(read_categories(spoiled(three_codes(), [&](Node& n) { n.n_buffers = count; })), "malformed"));
  }
  for (std::int64_t const count : {-1, 0, 2, 4})
    CHECK(holds(read_categories(spoiled(three_codes(), [&](Node& n) { n.dictionary->n_buffers = count; })), "malformed"));
}

TEST("negative lengths and offsets are refused") {
  CHECK(holds(read_numbers(spoiled(three_numbers(), [](Node& n) { n.offset = -1; })), "malformed"));
  CHECK(holds(read_categories(spoiled(three_codes(), [](Node& n) { n.offset = -1; })), "malformed"));
  CHECK(holds(read_categories(spoiled(three_codes(), [](Node& n) { n.dictionary->offset = -1; })), "malformed"));
  CHECK(holds(read_categories(spoiled(three_codes(), [](Node& n) { n.dictionary->length = -1; })), "malformed"));
  auto batch = batch_node({spoiled(three_numbers(), [](Node& n) { n.length = -1; })});
  batch.length = 0;
  CHECK_REFUSED(numeric_view(column_of(*owner_of(batch), 0)), "malformed");
  batch = batch_node({three_numbers()});
  batch.length = -3;
  CHECK_REFUSED(column_of(*owner_of(batch), 0), "malformed");
  batch.length = 3;
  batch.offset = -1;
  CHECK_REFUSED(column_of(*owner_of(batch), 0), "malformed");
}

TEST("offsets so large that adding them overflows are refused") {
  std::int64_t const most = std::numeric_limits<std::int64_t>::max();
  CHECK(holds(read_numbers(spoiled(three_numbers(), [&](Node& n) { n.offset = most; })), "malformed"));
  CHECK(holds(read_categories(spoiled(three_codes(), [&](Node& n) { n.dictionary->offset = most; })), "malformed"));
  auto batch = batch_node({three_numbers()});
  batch.children[0].length = most;
  batch.offset = most - 3;
  CHECK_REFUSED(numeric_view(column_of(*owner_of(batch), 0)), "malformed");
}

TEST("a column shorter than its batch is refused") {
  auto batch = batch_node({three_numbers()});
  batch.length = 4;
  CHECK_REFUSED(numeric_view(column_of(*owner_of(batch), 0)), "shorter than its batch");
  batch.length = 2;
  batch.offset = 2;
  CHECK_REFUSED(numeric_view(column_of(*owner_of(batch), 0)), "shorter than its batch");
}

TEST("the offset of a sliced batch is added to that of its column") {
  auto batch = batch_node({spoiled(numbers_node<std::int32_t>({0, 10, 20, 30, 40}), [](Node& n) {
    n.length = 4;
    n.offset = 1;
    n.null_count = -1;
    n.buffers[0] = bitmap_of({true, true, true, false, true});
  })});
  batch.length = 2;
  batch.offset = 1;
  auto const owner = owner_of(batch);
  auto const view = numeric_view(column_of(*owner, 0));
  CHECK_EQ(view.rows, std::int64_t{2});
  CHECK_EQ(code_at(view, 0), std::int64_t{20});
  CHECK(view.validity.valid(0));
  CHECK(!view.validity.valid(1));
}

TEST("a missing values, offsets or bytes buffer is refused") {
  CHECK(holds(read_numbers(spoiled(three_numbers(), [](Node& n) { n.buffers[1] = nullptr; })), "no values buffer"));
  CHECK(holds(read_categories(spoiled(three_codes(), [](Node& n) { n.buffers[1] = nullptr; })), "no values buffer"));
  CHECK(holds(read_categories(spoiled(three_codes(), [](Node& n) { n.dictionary->buffers[1] = nullptr; })), "no offsets buffer"));
  CHECK(holds(read_categories(spoiled(three_codes(), [](Node& n) { n.dictionary->buffers[2] = nullptr; })), "no bytes buffer"));
}

TEST("memory that is not aligned to its type is refused, and bytes always are") {
  auto const at_odd_address = [](Node column, std::size_t buffer) {
    auto& memory = column.dictionary ? column.dictionary->buffers[buffer] : column.buffers[buffer];
    memory->insert(memory->begin(), 0);
    auto const kept = std::make_shared<hand_made::Export>(batch_node({std::move(column)}));
    auto& holder = kept->children[0]->dictionary ? *kept->children[0]->dictionary : *kept->children[0];
    holder.buffers[buffer] = static_cast<std::uint8_t const*>(holder.buffers[buffer]) + 1;
    return kept;
  };
  auto const said = [](hand_made::Export& batch) {
    auto const& child = *batch.children[0];
    ArrowColumn const column{&child.schema, &child.array, child.array.length, 0, "amount"};
    return refusal([&] { child.dictionary ? static_cast<void>(category_view(column)) : static_cast<void>(numeric_view(column)); });
  };
  CHECK(holds(said(*at_odd_address(three_numbers(), 1)), "'amount': its memory is not aligned"));
  CHECK(holds(said(*at_odd_address(three_codes(), 1)), "not aligned"));
  CHECK_EQ(said(*at_odd_address(numbers_node<std::int8_t>({1, 2, 3}), 1)), std::string("accepted"));
  CHECK_EQ(said(*at_odd_address(three_codes(), 2)), std::string("accepted"));
}

TEST("types that are not numbers, and dictionaries that are not text, are refused by name") {
  for (char const* const format : {"b", "e", "u", "d:38,2", "n", "+l", "", "tiD", "w:4"}) {
    auto const said = read_numbers(spoiled(three_numbers(), [&](Node& n) { n.format = format; }));
    CHECK_ABOUT(holds(said, "'amount'") && holds(said, "is not a number"), said);
  }
  CHECK(holds(read_numbers(three_codes()), "is not a number"));
  CHECK(holds(read_categories(three_numbers()), "expected a dictionary-encoded column"));
  CHECK(holds(read_categories(spoiled(three_codes(), [](Node& n) { n.format = "f"; })), "expected a dictionary-encoded column"));
  CHECK(holds(read_categories(spoiled(three_codes(), [](Node& n) { n.dictionary->format = "l"; })), "not text or bytes"));
}

TEST("a valid dictionary code out of range is refused with its row, and one under a null is not looked at") {
  for (std::int32_t const code : {-1, 2, std::numeric_limits<std::int32_t>::max(), std::numeric_limits<std::int32_t>::min()}) {
    Node column = coded_node<std::int32_t>({0, code, 1}, text_node({"a", "b"}), "carrier");
    auto const said = read_categories(column);
    CHECK_ABOUT(holds(said, "'carrier'") && holds(said, "row 1") && holds(said, "2 values"), said);
    column.buffers[0] = bitmap_of({true, false, true});
    column.null_count = 1;
    CHECK_EQ(read_categories(column), std::string("accepted"));
  }
  CHECK(holds(read_categories(coded_node<std::uint64_t>({~std::uint64_t{0}}, text_node({"a"}))), "row 0"));
  CHECK(holds(read_categories(coded_node<std::int8_t>({0}, text_node({}))), "0 values"));
}

TEST("dictionary offsets that run backwards or begin below zero are refused") {
  auto const with_offsets = [](std::vector<std::int32_t> const& offsets) {
    return read_categories(spoiled(three_codes(), [&](Node& n) { n.dictionary->buffers[1] = memory_of(offsets); }));
  };
  CHECK(holds(with_offsets({0, 2, 1}), "run backwards"));
  CHECK(holds(with_offsets({-1, 1, 2}), "run backwards"));
  CHECK(holds(with_offsets({0, -1, 2}), "run backwards"));
  CHECK_EQ(with_offsets({0, 0, 2}), std::string("accepted"));
}

TEST("a record batch with null rows is refused, however its null count is given") {
  for (std::int64_t const null_count : {1, -1}) {
    auto batch = batch_node({three_numbers()});
    batch.null_count = null_count;
    batch.buffers = {bitmap_of({true, false, true})};
    CHECK_REFUSED(column_of(*owner_of(batch), 0), "null rows");
  }
  auto batch = batch_node({three_numbers()});
  batch.null_count = -1;
  batch.buffers = {bitmap_of({true, true, true})};
  CHECK_EQ(refusal([&] { static_cast<void>(column_of(*owner_of(batch), 0)); }), std::string("accepted"));
}

TEST("what is not a record batch, and columns it does not have, are refused") {
  CHECK_REFUSED(column_of(*owner_of(three_numbers()), 0), "expected an Arrow record batch");
  auto const owner = owner_of(batch_node({three_numbers()}));
  CHECK_REFUSED(column_of(*owner, 1), "fewer columns");
  CHECK_REFUSED(column_of(*owner, -1), "fewer columns");
}

TEST("both structures are released exactly once, by the last owner") {
  Releases releases;
  {
    auto const owner = owner_of(batch_node({three_numbers()}), &releases);
    auto const second = owner;
    CHECK_EQ(releases.array, 0);
  }
  CHECK_EQ(releases.schema, 1);
  CHECK_EQ(releases.array, 1);
}

TEST("taking an array over marks the producer's copies as released") {
  Releases releases;
  auto const kept = std::make_shared<hand_made::Export>(batch_node({three_numbers()}));
  ArrowSchema schema = kept->schema;
  ArrowArray array = kept->array;
  schema.private_data = new hand_made::Hold{kept, &releases};
  schema.release = hand_made::release_schema;
  array.private_data = new hand_made::Hold{kept, &releases};
  array.release = hand_made::release_array;
  {
    ArrowOwner const owner(&schema, &array);
    CHECK(schema.release == nullptr);
    CHECK(array.release == nullptr);
  }
  CHECK_EQ(releases.schema, 1);
  CHECK_EQ(releases.array, 1);
}

TEST("a batch that is refused is released, and leaves the counts as they were") {
  auto const grid = make_grid(as_knots<double>({2}));
  CategoryPlan categories;
  categories.known = {"a", "b"};
  Counter counter({NumericPlan{grid, {}, {}, grid->slots(), 0, 0, 0}, categories}, {{false, false}});
  counter.add(owner_of(batch_node({three_numbers(), three_codes()})), {nullptr}, 2, {});
  Releases releases;
  CHECK_REFUSED(counter.add(owner_of(batch_node({three_numbers(), coded_node<std::int32_t>({0, 9, 0}, text_node({"a"}))}), &releases), {nullptr}, 2, {}),
                "dictionary code 9");
  CHECK_REFUSED(counter.add(owner_of(batch_node({three_numbers()}), &releases), {nullptr}, 2, {}), "another number of columns");
  CHECK_REFUSED(counter.add(owner_of(batch_node({numbers_node<std::int64_t>({1, 2, 3}), three_codes()}), &releases), {nullptr}, 2, {}),
                "cannot be compared with its grid");
  CHECK_REFUSED(counter.add(owner_of(batch_node({three_numbers(), three_codes()}), &releases), {}, 2, {}), "every counter set");
  CHECK_EQ(releases.schema, 4);
  CHECK_EQ(releases.array, 4);
  CHECK_EQ(counter.rows(), std::uint64_t{3});
  CHECK_EQ(counter.numeric(0, 0).count, (std::vector<std::uint64_t>{1, 1, 1}));
  CHECK_EQ(counter.category(1, 0).count, (std::vector<std::uint64_t>{2, 1}));
}

TEST("a fit refuses a column whose type is not that of its domain") {
  DistinctPass distinct({Domain::float32}, 10);
  CHECK_REFUSED(distinct.add(owner_of(batch_node({three_numbers()})), 1, {}), "cannot be compared");
  SplitPass split({IntervalSplitter(Domain::uint64, {0}, 64, 4)});
  CHECK_REFUSED(split.add(owner_of(batch_node({three_numbers()})), 1, {}), "cannot be compared");
}
