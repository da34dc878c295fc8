#pragma once
// Arrow arrays built by hand, so that a test can spoil any field.  Memory dies with the last release, as a real
// producer's does, so AddressSanitizer sees a reader that outlives its owner.

#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "columns.hpp"
#include "engine/arrow_view.hpp"

namespace modelwatch::test {

using Memory = std::shared_ptr<std::vector<std::uint8_t>>;

template <class Number>
Memory memory_of(std::vector<Number> const& numbers) {
  auto bytes = std::make_shared<std::vector<std::uint8_t>>(numbers.size() * sizeof(Number) + 1);
  if (!numbers.empty()) std::memcpy(bytes->data(), numbers.data(), numbers.size() * sizeof(Number));
  return bytes;
}

/// One array with its schema; children and dictionary are nodes themselves.
struct Node {
  std::string format;
  std::string name;
  std::int64_t length = 0;
  std::int64_t null_count = 0;
  std::int64_t offset = 0;
  std::vector<Memory> buffers;  // nullptr where the array has none
  std::vector<Node> children;
  std::shared_ptr<Node> dictionary;
  std::optional<std::int64_t> n_buffers;  // instead of buffers.size()
};

/// How often the consumer called each release.
struct Releases {
  int schema = 0;
  int array = 0;
};

namespace hand_made {

/// The structures of a node, and the node's memory.
struct Export {
  Node node;
  std::vector<void const*> buffers;
  std::vector<std::unique_ptr<Export>> children;
  std::vector<ArrowSchema*> schemas;
  std::vector<ArrowArray*> arrays;
  std::unique_ptr<Export> dictionary;
  ArrowSchema schema{};
  ArrowArray array{};

  explicit Export(Node source) : node(std::move(source)) {
    for (auto const& memory : node.buffers) buffers.push_back(memory ? memory->data() : nullptr);
    for (auto const& child : node.children) {
      children.push_back(std::make_unique<Export>(child));
      schemas.push_back(&children.back()->schema);
      arrays.push_back(&children.back()->array);
    }
    if (node.dictionary) dictionary = std::make_unique<Export>(*node.dictionary);
    auto const count = static_cast<std::int64_t>(children.size());
    schema = {node.format.c_str(), node.name.c_str(), nullptr, 2, count, schemas.data(), dictionary ? &dictionary->schema : nullptr, nullptr, nullptr};
    array = {node.length, node.null_count, node.offset, node.n_buffers.value_or(static_cast<std::int64_t>(buffers.size())), count,
             buffers.data(), arrays.data(), dictionary ? &dictionary->array : nullptr, nullptr, nullptr};
  }
};

struct Hold {
  std::shared_ptr<Export> kept;
  Releases* releases;
};

inline void release_schema(ArrowSchema* schema) {
  auto* const hold = static_cast<Hold*>(schema->private_data);
  if (hold->releases != nullptr) ++hold->releases->schema;
  schema->release = nullptr;
  delete hold;
}

inline void release_array(ArrowArray* array) {
  auto* const hold = static_cast<Hold*>(array->private_data);
  if (hold->releases != nullptr) ++hold->releases->array;
  array->release = nullptr;
  delete hold;
}

}  // namespace hand_made

/// Hands the node over as a producer would.
inline std::shared_ptr<ArrowOwner const> owner_of(Node node, Releases* releases = nullptr) {
  auto const kept = std::make_shared<hand_made::Export>(std::move(node));
  ArrowSchema schema = kept->schema;
  ArrowArray array = kept->array;
  schema.private_data = new hand_made::Hold{kept, releases};
  schema.release = hand_made::release_schema;
  array.private_data = new hand_made::Hold{kept, releases};
  array.release = hand_made::release_array;
  return std::make_shared<ArrowOwner const>(&schema, &array);
}

inline Memory bitmap_of(std::vector<bool> const& valid) {
  std::vector<std::uint8_t> bits(valid.size() / 8 + 1, 0);
  for (std::size_t i = 0; i < valid.size(); ++i)
    if (valid[i]) bits[i / 8] = static_cast<std::uint8_t>(bits[i / 8] | (1u << (i % 8)));
  return memory_of(bits);
}

template <class Number>
char const* format_of() {
  static constexpr char const* kFormats[kStorages] = {"c", "s", "i", "l", "C", "S", "I", "L", "f", "g"};
  return kFormats[static_cast<int>(storage_of<Number>())];
}

template <class Number>
Node numbers_node(std::vector<Number> const& values, std::string name = "x") {
  return {format_of<Number>(), std::move(name), static_cast<std::int64_t>(values.size()), 0, 0, {nullptr, memory_of(values)}, {}, {}, {}};
}

template <class Offset>
Node strings_node(std::vector<std::optional<std::string>> const& values) {
  std::vector<Offset> offsets{0};
  std::vector<char> bytes;
  std::vector<bool> valid;
  for (auto const& value : values) {
    if (value) bytes.insert(bytes.end(), value->begin(), value->end());
    offsets.push_back(static_cast<Offset>(bytes.size()));
    valid.push_back(value.has_value());
  }
  bool const nulls = std::find(valid.begin(), valid.end(), false) != valid.end();
  return {sizeof(Offset) == 8 ? "U" : "u", "", static_cast<std::int64_t>(values.size()), nulls ? -1 : 0, 0,
          {nulls ? bitmap_of(valid) : nullptr, memory_of(offsets), memory_of(bytes)}, {}, {}, {}};
}

inline Node text_node(std::vector<std::optional<std::string>> const& values) { return strings_node<std::int32_t>(values); }

/// Text as views of 16 bytes, long values in two buffers in turn.
inline Node views_node(std::vector<std::optional<std::string>> const& values) {
  std::vector<std::int32_t> views;
  std::vector<char> bytes[2];
  std::vector<bool> valid;
  for (auto const& value : values) {
    std::string const text = value.value_or("");
    std::int32_t view[4] = {static_cast<std::int32_t>(text.size()), 0, 0, 0};
    if (text.size() <= 12) {
      std::memcpy(view + 1, text.data(), text.size());
    } else {
      auto& own = bytes[valid.size() % 2];
      std::memcpy(view + 1, text.data(), 4);
      view[2] = static_cast<std::int32_t>(valid.size() % 2);
      view[3] = static_cast<std::int32_t>(own.size());
      own.insert(own.end(), text.begin(), text.end());
    }
    views.insert(views.end(), view, view + 4);
    valid.push_back(value.has_value());
  }
  std::vector<std::int64_t> const sizes{static_cast<std::int64_t>(bytes[0].size()), static_cast<std::int64_t>(bytes[1].size())};
  return {"vu", "", static_cast<std::int64_t>(values.size()), -1, 0,
          {bitmap_of(valid), memory_of(views), memory_of(bytes[0]), memory_of(bytes[1]), memory_of(sizes)}, {}, {}, {}};
}

template <class Code>
Node coded_node(std::vector<Code> const& codes, Node dictionary, std::string name = "x") {
  Node node = numbers_node(codes, std::move(name));
  node.dictionary = std::make_shared<Node>(std::move(dictionary));
  return node;
}

inline Node batch_node(std::vector<Node> columns) {
  std::int64_t const rows = columns.empty() ? 0 : columns[0].length;
  return {"+s", "", rows, 0, 0, {nullptr}, std::move(columns), {}, {}};
}

}  // namespace modelwatch::test
