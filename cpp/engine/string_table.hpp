#pragma once

#include <algorithm>  // copy_n, max, min
#include <array>
#include <bit>  // bit_cast
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include "core/golden_ratio.hpp"
#include "core/macros.hpp"
#include "cpu/text_slot.hpp"
#include "engine/large_pages.hpp"

namespace modelwatch {

/// A value's first twelve bytes, zero beyond its end, and its length: what equality looks at first, and all of it for a
/// value of at most twelve bytes.
struct StringKey {
  static constexpr std::uint32_t kPrefix = TextSlot::kPrefix;

  std::uint64_t head;  // bytes 0 to 7
  std::uint64_t rest;  // bytes 8 to 11, and the length above them
  char const* bytes;
  std::uint64_t hash;

  std::uint32_t size() const { return static_cast<std::uint32_t>(rest >> 32); }
  std::string_view view() const { return {bytes, size()}; }
};

inline std::uint64_t eight_bytes(char const* at) {
  std::uint64_t word;
  std::memcpy(&word, at, sizeof(word));
  return word;
}

inline std::uint32_t four_bytes(char const* at) {
  std::uint32_t word;
  std::memcpy(&word, at, sizeof(word));
  return word;
}

/// Where a value lies in a table: the first bits of its hash say, of the kernels' hash where they hash text.  It never leaves
/// the process and decides nothing that can be seen: results are in the order of the values' bytes.
struct StringHash {
  static MW_HD std::uint64_t of(StringKey const& key) {
    std::uint64_t const word = key.head ^ key.rest * kGoldenRatio;
    return mixed_text(key.size() <= StringKey::kPrefix ? word : of_rest(key.bytes, key.size(), word));
  }
  static std::uint64_t of_rest(char const* bytes, std::uint32_t size, std::uint64_t hash) {
    std::uint32_t at = StringKey::kPrefix;
    for (; size - at > 16; at += 16) hash = added(hash, bytes + at, bytes + at + 8);
    // The last sixteen bytes, or fewer, some of which may have been taken before.
    return added(hash, bytes + (size < 16 ? 0 : size - 16), bytes + size - 8);
  }

 private:
  /// Both halves of one product, as in wyhash (Wang Yi, public domain): one multiplication for sixteen bytes.
  static MW_HD std::uint64_t added(std::uint64_t hash, char const* first, char const* second) {
    unsigned __int128 const product = static_cast<unsigned __int128>(eight_bytes(first) ^ 0xa0761d6478bd642fu) * (eight_bytes(second) ^ hash);
    // The hash is added once more: a factor of 0 takes nothing of it along.
    return hash + static_cast<std::uint64_t>(product) + static_cast<std::uint64_t>(product >> 64);
  }
};

namespace detail {

/// Ones where a value of so many bytes has bytes among the first twelve.
struct StringMask {
  std::uint64_t head;
  std::uint64_t rest;
};

consteval std::array<StringMask, StringKey::kPrefix + 1> string_masks() {
  std::array<StringMask, StringKey::kPrefix + 1> masks{};
  for (std::uint32_t size = 0; size <= StringKey::kPrefix; ++size) {
    std::array<unsigned char, 16> ones{};
    for (std::uint32_t i = 0; i < size; ++i) ones[i] = 255;
    masks[size] = {std::bit_cast<std::array<std::uint64_t, 2>>(ones)[0], std::bit_cast<std::array<std::uint32_t, 4>>(ones)[2]};
  }
  return masks;
}
inline constexpr auto kStringMasks = string_masks();

}  // namespace detail

/// The key of a value of less than 2^32 bytes, of which twelve bytes of memory may be read from `from`, which begins as
/// the value does.
template <class Hash = StringHash>
MW_HD void set_key(StringKey& key, char const* from, char const* bytes, std::uint32_t size) {
  detail::StringMask const mask = detail::kStringMasks[std::min(size, StringKey::kPrefix)];
  StringKey made;
  made.head = eight_bytes(from) & mask.head;
  made.rest = (four_bytes(from + 8) & mask.rest) | std::uint64_t{size} << 32;
  made.bytes = bytes;
  key.head = made.head;
  key.rest = made.rest;
  key.bytes = bytes;
  key.hash = Hash::of(made);
}

/// The key of a value that something else has hashed.  Nothing is read beyond its end: what has fewer bytes than a word is put
/// together from parts that overlap, since a copy would be read before it is written.
inline StringKey key_with(std::string_view value, std::uint64_t hash) {
  char const* const bytes = value.data();
  auto const size = static_cast<std::uint32_t>(value.size());
  auto const byte = [&](std::uint32_t at) { return std::uint64_t{static_cast<std::uint8_t>(bytes[at])} << 8 * at; };
  StringKey key{0, std::uint64_t{size} << 32, bytes, hash};
  if (size >= 8) {
    key.head = eight_bytes(bytes);
    std::uint32_t const end = std::min(size, StringKey::kPrefix);
    key.rest |= std::uint64_t{four_bytes(bytes + end - 4)} >> 8 * (StringKey::kPrefix - end);
  } else if (size >= 4) {
    key.head = four_bytes(bytes) | std::uint64_t{four_bytes(bytes + size - 4)} << 8 * (size - 4);
  } else if (size > 0) {
    key.head = byte(0) | byte(size / 2) | byte(size - 1);
  }
  return key;
}

/// set_key for a value near the end of its memory.
template <class Hash = StringHash>
void set_key_at_end(StringKey& key, char const* bytes, std::uint32_t size) {
  key = key_with({bytes, size}, 0);
  key.hash = Hash::of(key);
}

template <class Hash = StringHash>
StringKey key_of(std::string_view value) {
  StringKey key;
  set_key_at_end<Hash>(key, value.data(), static_cast<std::uint32_t>(value.size()));
  return key;
}

/// A number for each value, by open addressing.  The values' bytes belong to somebody else and must stay where they are.
class StringTable {
 public:
  static constexpr std::uint32_t kAbsent = TextSlot::kAbsent;

  StringTable() : slots_(std::size_t{1} << kLeastBits) {}

  /// Until the next insertion.
  TextSlots places() const { return {slots_.data(), shift_}; }

  /// kAbsent where the value has none.
  std::uint32_t find(StringKey const& key) const {
    TextSlot const* const slots = slots_.data();
    for (std::size_t at = key.hash >> shift_;; at = (at + 1) & (~std::size_t{0} >> shift_)) {
      TextSlot const& slot = slots[at];
      if (slot.name == 0 || (slot.head == key.head && slot.rest == key.rest && same_rest(slot, key))) return slot.number();
    }
  }

  /// Room for so many values.
  void reserve(std::size_t values) {
    int shift = shift_;
    while (is_full((std::size_t{1} << (64 - shift)), values)) --shift;
    if (shift != shift_) grow(shift);
  }

  /// So many values may come: once it is full, number_of makes it large enough for them at once.
  void expect(std::size_t values) { expected_ = values; }

  /// For a value that has no number yet.
  void insert(StringKey const& key, std::uint32_t number) {
    if (is_full(slots_.size(), used_ + 1)) grow(shift_ - 1);
    put({key.head, key.rest, key.bytes, static_cast<std::uint32_t>(key.hash >> 32), number + 1});
  }

  /// A value's number; where it has none it gets this one, and keep() says where its bytes stay.
  template <class Keep>
  std::uint32_t number_of(StringKey const& key, std::uint32_t number, Keep keep) {
    if (is_full(slots_.size(), used_ + 1)) reserve(std::max(used_ + 1, expected_));
    for (std::size_t at = key.hash >> shift_;; at = (at + 1) & (~std::size_t{0} >> shift_)) {
      TextSlot& slot = slots_[at];
      if (slot.name == 0) {
        slot = {key.head, key.rest, keep(), static_cast<std::uint32_t>(key.hash >> 32), number + 1};
        ++used_;
        return number;
      }
      if (slot.head == key.head && slot.rest == key.rest && same_rest(slot, key)) return slot.number();
    }
  }

  /// Calls change(bytes, number) for every value, which may move the bytes and change the number; kAbsent takes the value
  /// out.  fetch(number) is called for each some time before.
  template <class Change, class Fetch>
  void change(Change change, Fetch fetch) {
    rebuild(shift_, change, fetch);
  }
  template <class Change>
  void change(Change change) {
    rebuild(shift_, change, [](std::uint32_t) {});
  }

  std::size_t bytes() const { return slots_.capacity() * sizeof(TextSlot); }

 private:
  using Slots = std::vector<TextSlot, ZeroedPages<TextSlot>>;
  static constexpr int kLeastBits = 6;
  /// Few values lie far apart, most of them where they are looked for first: a second look is a branch guessed wrong.  What
  /// is never looked at takes no cache.
  static constexpr std::size_t kSparseSlots = std::size_t{1} << 12;

  static bool is_full(std::size_t slots, std::size_t values) { return (slots < kSparseSlots ? 8 : 2) * values > slots; }

  static bool same_rest(TextSlot const& slot, StringKey const& key) {
    return key.size() <= StringKey::kPrefix || (slot.hash == static_cast<std::uint32_t>(key.hash >> 32) && same_bytes(slot.bytes, key.bytes, key.size()));
  }

  /// Of values of more than twelve bytes whose first twelve are the same: sixteen at a time, the last sixteen whatever was
  /// compared before.
  static bool same_bytes(char const* a, char const* b, std::uint32_t size) {
    if (size < sizeof(Sixteen)) return eight_bytes(a + size - 8) == eight_bytes(b + size - 8);
    Sixteen different = sixteen_bytes(a + size - 16) ^ sixteen_bytes(b + size - 16);
    for (std::uint32_t at = StringKey::kPrefix; at + 16 < size; at += 16) different |= sixteen_bytes(a + at) ^ sixteen_bytes(b + at);
    return (different[0] | different[1]) == 0;
  }

  typedef std::uint64_t Sixteen __attribute__((vector_size(16)));
  static Sixteen sixteen_bytes(char const* at) {
    Sixteen words;
    std::memcpy(&words, at, sizeof(words));
    return words;
  }

  void put(TextSlot const& slot) {
    std::size_t const mask = slots_.size() - 1;
    std::size_t at = (std::uint64_t{slot.hash} << 32) >> shift_;
    while (slots_[at].name != 0) at = (at + 1) & mask;
    slots_[at] = slot;
    ++used_;
  }

  void grow(int shift) {
    rebuild(shift, [](char const*&, std::uint32_t&) {}, [](std::uint32_t) {});
  }

  template <class Change, class Fetch>
  void rebuild(int shift, Change change, Fetch fetch) {
    constexpr std::size_t kAhead = 16;
    Slots old(std::size_t{1} << (64 - shift));
    old.swap(slots_);
    shift_ = shift;
    used_ = 0;
    for (std::size_t i = 0; i < old.size(); ++i) {
      if (i + kAhead < old.size() && old[i + kAhead].name != 0) fetch(old[i + kAhead].number());
      TextSlot& slot = old[i];
      if (slot.name == 0) continue;
      std::uint32_t number = slot.number();
      change(slot.bytes, number);
      slot.name = number + 1;
      if (number != kAbsent) put(slot);
    }
  }

  Slots slots_;  // 2^(64 - shift_); at most 2^32, as numbers are
  int shift_ = 64 - kLeastBits;
  std::size_t used_ = 0;
  std::size_t expected_ = 0;
};

/// Bytes that stay where they are until all of them go.
class StringArena {
 public:
  std::string_view keep(std::string_view value) {
    if (value.size() > left_) {
      left_ = std::max(value.size(), std::min<std::size_t>(kMostChunk, std::max<std::size_t>(kLeastChunk, bytes_)));
      chunks_.emplace_back(left_);
      next_ = chunks_.back().data();
      bytes_ += left_;
    }
    char* const at = next_;
    if (!value.empty()) std::memcpy(at, value.data(), value.size());
    next_ += value.size();
    left_ -= value.size();
    return {at, value.size()};
  }
  std::size_t bytes() const { return bytes_; }

 private:
  static constexpr std::size_t kLeastChunk = 1 << 10;
  static constexpr std::size_t kMostChunk = 1 << 22;

  std::vector<std::vector<char, LargePages<char>>> chunks_;
  char* next_ = nullptr;
  std::size_t left_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace modelwatch
