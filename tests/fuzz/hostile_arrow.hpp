#pragma once
// Arrow structures that lie.  The one thing an Arrow consumer must believe is that a buffer is as long as the array's
// own length, offset and type make it (the structures do not state sizes), so exactly that much is allocated, to the
// byte: AddressSanitizer then sees a reader that goes further.  Everything else may be wrong.

#include <algorithm>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bytes.hpp"
#include "engine/arrow_abi.hpp"

namespace modelwatch::fuzz {

/// Lengths and offsets beyond this are claimed only where nothing of that size can be accepted.
inline constexpr std::int64_t kMostHonest = 3000;
/// Larger than any array may be: 2^56 rows are refused (cpp/engine/arrow_view.cpp).
inline constexpr std::int64_t kAbsurd = (std::int64_t{1} << 56) + 1;

/// Bytes of exactly the size asked for, at an address that is a multiple of 8, or one byte beyond.
class Buffer {
 public:
  Buffer(Bytes& in, std::int64_t size, bool misaligned) : skip_(misaligned ? 1 : 0), memory_(new std::uint8_t[static_cast<std::size_t>(size) + skip_]) {
    size_ = static_cast<std::size_t>(size);
    // A short pattern, repeated: small inputs make whole columns.
    std::uint8_t pattern[32];
    std::size_t const period = 1 + in.below(sizeof pattern);
    for (std::size_t i = 0; i < period; ++i) pattern[i] = in.byte();
    for (std::size_t i = 0; i < size_; ++i) data()[i] = pattern[i % period];
  }
  std::uint8_t* data() { return memory_.get() + skip_; }
  std::size_t size() const { return size_; }

 private:
  std::size_t skip_;
  std::size_t size_ = 0;
  std::unique_ptr<std::uint8_t[]> memory_;
};

/// One array with its schema and all that they point to.
struct Tree {
  std::string format;
  std::string name;
  std::vector<std::unique_ptr<Buffer>> memory;
  std::vector<void const*> buffers;
  std::vector<std::unique_ptr<Tree>> children;
  std::vector<ArrowSchema*> schemas;
  std::vector<ArrowArray*> arrays;
  std::unique_ptr<Tree> dictionary;
  ArrowSchema schema{};
  ArrowArray array{};
};

/// Bytes of one element; 0 where the type is not one of fixed width that the engine reads.
inline std::int64_t width_of(std::string_view format) {
  static constexpr std::string_view kFixed = "cCsSiIlLfg";
  static constexpr std::int64_t kWidths[] = {1, 1, 2, 2, 4, 4, 8, 8, 4, 8};
  if (format.size() == 1 && kFixed.find(format[0]) != kFixed.npos) return kWidths[kFixed.find(format[0])];
  if (format == "tdD" || format == "tts" || format == "ttm") return 4;
  return !format.empty() && format[0] == 't' ? 8 : 0;
}

inline std::string any_format(Bytes& in, bool text) {
  static constexpr char const* kNumbers[] = {"g", "f", "l", "i", "L", "c", "C", "s", "S", "I", "tsu:UTC", "tsn:", "tdD", "tdm", "tts", "ttu", "tDn"};
  static constexpr char const* kTexts[] = {"u", "U", "z", "Z", "vu", "vz"};
  static constexpr char const* kOthers[] = {"", "n", "b", "e", "+s", "+l", "w:4", "d:38,2", "t", "ts", "tD", "gg", "+r"};
  if (in.one_in(24)) return in.one_in(4) ? in.text(6) : kOthers[in.below(std::size(kOthers))];
  if (in.one_in(16)) text = !text;
  return text ? kTexts[in.below(std::size(kTexts))] : kNumbers[in.below(std::size(kNumbers))];
}

/// A count that is honest, or one that no reader may accept.
inline std::int64_t lying(Bytes& in, std::int64_t honest) {
  if (!in.one_in(24)) return honest;
  switch (in.below(6)) {
    case 0: return -1;
    case 1: return std::numeric_limits<std::int64_t>::min();
    case 2: return std::numeric_limits<std::int64_t>::max();
    case 3: return kAbsurd;
    case 4: return in.below(8);
    default: return honest + in.below(3) - 1;
  }
}

/// Whether something of this size can be there at all.
inline bool possible(std::int64_t size) { return size >= 0 && size <= kMostHonest; }

/// A validity bitmap, or none; and a null count that need not agree with it.
inline void add_bitmap(Bytes& in, Tree& tree, std::int64_t elements) {
  std::uint32_t const kind = in.below(4);
  tree.array.null_count = kind == 0 ? 0 : kind == 1 ? -1 : in.one_in(8) ? in.number<std::int64_t>() : in.below(4);
  bool const absent = kind == 0 || in.one_in(3);
  if (!absent) tree.memory.push_back(std::make_unique<Buffer>(in, (elements + 7) / 8, false));
  tree.buffers.push_back(absent ? nullptr : tree.memory.back()->data());
}

/// Offsets of text and as many bytes as the last one says, whatever the others say.
template <class Offset>
void add_text(Bytes& in, Tree& tree, std::int64_t elements) {
  tree.memory.push_back(std::make_unique<Buffer>(in, (elements + 1) * static_cast<std::int64_t>(sizeof(Offset)), in.one_in(64)));
  Buffer& offsets = *tree.memory.back();
  Offset at = in.one_in(8) ? static_cast<Offset>(in.below(4)) : 0;
  for (std::int64_t i = 0; i <= elements; ++i) {
    Offset const written = in.one_in(48) && i < elements ? in.number<Offset>() : at;
    std::memcpy(offsets.data() + i * static_cast<std::int64_t>(sizeof(Offset)), &written, sizeof(Offset));
    if (i < elements) at = static_cast<Offset>(at + static_cast<Offset>(in.below(4)));
  }
  tree.buffers.push_back(in.one_in(48) ? nullptr : offsets.data());
  bool const absent = in.one_in(32);
  if (!absent) tree.memory.push_back(std::make_unique<Buffer>(in, at, false));
  tree.buffers.push_back(absent ? nullptr : tree.memory.back()->data());
}

/// Views of text, short ones with their bytes inside; a long one leads into one of two buffers, unless it lies.
inline void add_views(Bytes& in, Tree& tree, std::int64_t elements) {
  constexpr std::int64_t kHeld[] = {24, 7};
  tree.memory.push_back(std::make_unique<Buffer>(in, elements * 16, in.one_in(64)));
  std::uint8_t* const views = tree.memory.back()->data();
  for (std::int64_t i = 0; i < elements; ++i) {
    // Size, then twelve bytes; or their first four, which buffer, and where in it.
    std::uint32_t const size = in.one_in(48) ? in.number<std::uint32_t>() : in.one_in(4) ? 13 + in.below(8) : in.below(13);
    std::memcpy(views + 16 * i, &size, 4);
    if (size <= 12) {
      for (std::uint32_t at = 0; at < 12; ++at) views[16 * i + 4 + at] = at < size ? static_cast<std::uint8_t>('a' + in.below(3)) : 0;
      continue;
    }
    std::uint32_t const which = in.one_in(48) ? in.number<std::uint32_t>() : 0;
    std::uint32_t const place = in.one_in(48) ? in.number<std::uint32_t>() : in.below(4);
    std::memcpy(views + 16 * i + 8, &which, 4);
    std::memcpy(views + 16 * i + 12, &place, 4);
  }
  tree.buffers.push_back(in.one_in(48) ? nullptr : views);
  for (std::int64_t const held : kHeld) {
    tree.memory.push_back(std::make_unique<Buffer>(in, held, in.one_in(64)));
    tree.buffers.push_back(in.one_in(48) ? nullptr : tree.memory.back()->data());
  }
  // The last buffer holds the sizes of those before it; a larger size would be believed, as no reader could know better.
  tree.memory.push_back(std::make_unique<Buffer>(in, sizeof kHeld, false));
  std::memcpy(tree.memory.back()->data(), kHeld, sizeof kHeld);
  tree.buffers.push_back(in.one_in(48) ? nullptr : tree.memory.back()->data());
}

/// A column of at least `rows` rows, unless it lies.
inline std::unique_ptr<Tree> any_column(Bytes& in, std::int64_t rows, bool coded, bool text = false) {
  auto tree = std::make_unique<Tree>();
  if (coded && in.one_in(3)) {
    coded = false;
    text = true;
  }
  tree->format = any_format(in, text);
  tree->name = in.one_in(8) ? in.text(5) : "x";
  tree->array.offset = lying(in, in.one_in(4) ? in.below(9) : 0);
  tree->array.length = lying(in, rows + (in.one_in(4) ? in.below(5) : 0));
  // What is impossible must be refused, so its buffers do not matter.
  bool const real = possible(tree->array.length) && possible(tree->array.offset);
  std::int64_t const elements = real ? tree->array.offset + tree->array.length : 8;
  add_bitmap(in, *tree, elements);
  std::int64_t const width = width_of(tree->format);
  if (width != 0) {
    tree->memory.push_back(std::make_unique<Buffer>(in, elements * width, in.one_in(64)));
    tree->buffers.push_back(in.one_in(48) ? nullptr : tree->memory.back()->data());
  } else if (tree->format == "U" || tree->format == "Z") {
    add_text<std::int64_t>(in, *tree, elements);
  } else if (tree->format == "u" || tree->format == "z") {
    add_text<std::int32_t>(in, *tree, elements);
  } else if (tree->format == "vu" || tree->format == "vz") {
    add_views(in, *tree, elements);
  } else {
    for (std::uint32_t extra = in.below(3); extra > 0; --extra) tree->buffers.push_back(nullptr);
  }
  auto const honest = static_cast<std::int64_t>(tree->buffers.size());
  tree->array.n_buffers = in.one_in(48) ? in.below(5) : honest;
  // Views may have any number of buffers, so no reader could know that there are more, or fewer.
  if (tree->format.starts_with('v') && tree->array.n_buffers > 2) tree->array.n_buffers = honest;
  if (coded != in.one_in(32)) tree->dictionary = any_column(in, in.below(6), in.one_in(48), true);
  return tree;
}

/// Sets the pointers of a tree whose parts no longer move.
inline void link(Bytes& in, Tree& tree) {
  for (auto const& child : tree.children) {
    link(in, *child);
    tree.schemas.push_back(in.one_in(64) ? nullptr : &child->schema);
    tree.arrays.push_back(in.one_in(64) ? nullptr : &child->array);
  }
  if (tree.dictionary) link(in, *tree.dictionary);
  tree.schema.format = in.one_in(96) ? nullptr : tree.format.c_str();
  tree.schema.name = in.one_in(16) ? nullptr : tree.name.c_str();
  auto const count = static_cast<std::int64_t>(tree.children.size());
  tree.schema.n_children = count;
  tree.array.n_children = count;
  if (in.one_in(48)) {
    // A lie in both places would be believed; no reader could know better.
    (in.one_in(2) ? tree.schema.n_children : tree.array.n_children) = in.one_in(2) ? -1 : count + 1;
  }
  tree.schema.children = in.one_in(96) ? nullptr : tree.schemas.data();
  tree.array.children = in.one_in(96) ? nullptr : tree.arrays.data();
  tree.array.buffers = in.one_in(96) ? nullptr : tree.buffers.data();
  tree.schema.dictionary = tree.dictionary && !in.one_in(48) ? &tree.dictionary->schema : nullptr;
  tree.array.dictionary = tree.dictionary && !in.one_in(48) ? &tree.dictionary->array : nullptr;
}

/// A record batch whose column i is a dictionary column, or one of plain text, where coded[i].
inline std::unique_ptr<Tree> any_batch(Bytes& in, std::vector<bool> const& coded) {
  auto tree = std::make_unique<Tree>();
  tree->format = in.one_in(64) ? any_format(in, false) : "+s";
  // More than one tile of rows now and then.
  tree->array.length = lying(in, in.rare(64) ? 1000 + in.below(600) : in.below(40));
  tree->array.offset = lying(in, in.one_in(8) ? in.below(9) : 0);
  bool const real = possible(tree->array.length) && possible(tree->array.offset);
  std::int64_t const covered = real ? tree->array.offset + tree->array.length : 8;
  add_bitmap(in, *tree, covered);
  if (!in.one_in(12)) {
    tree->array.null_count = 0;
    tree->buffers[0] = nullptr;
  }
  tree->array.n_buffers = in.one_in(48) ? in.below(3) : 1;
  std::size_t const columns = in.one_in(48) ? in.below(4) : coded.size();
  for (std::size_t i = 0; i < columns; ++i) tree->children.push_back(any_column(in, covered, i < coded.size() && coded[i]));
  link(in, *tree);
  return tree;
}

}  // namespace modelwatch::fuzz
