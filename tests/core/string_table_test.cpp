#include <map>
#include <string>

#include "check.hpp"
#include "columns.hpp"  // Random
#include "core/radix_sort.hpp"
#include "engine/string_table.hpp"

using namespace modelwatch;
using namespace modelwatch::test;

namespace {

/// Every value in one place.
struct NoHash {
  static std::uint64_t of(StringKey const&) { return 0; }
};

/// Four places, all at the end of the table, so that a search must go on at its beginning.
struct WeakHash {
  static std::uint64_t of(StringKey const& key) { return ~std::uint64_t{0} - (std::uint64_t{key.size() & 3} << 30); }
};

/// Values of 0 to 64 bytes that begin alike, differ late, and hold zeros.
std::string any_value(Random& random) {
  std::string value(random.below(65), 'a');
  for (std::uint64_t changes = random.below(3); changes > 0 && !value.empty(); --changes)
    value[random.below(value.size())] = "\0b\xff"[random.below(3)];
  return value;
}

template <class Hash>
void check_numbers(int values, std::uint64_t seed) {
  StringTable table;
  StringArena arena;
  std::map<std::string, std::uint32_t> expected;
  Random random{seed};
  for (int i = 0; i < values; ++i) {
    std::string const value = any_value(random);
    std::uint32_t const found = table.find(key_of<Hash>(value));
    auto const [at, fresh] = expected.try_emplace(value, static_cast<std::uint32_t>(expected.size()));
    CHECK_EQ(found, fresh ? StringTable::kAbsent : at->second);
    if (fresh) table.insert(key_of<Hash>(arena.keep(value)), at->second);
  }
  // Odd numbers go, the others are halved and their bytes move.
  StringArena moved;
  table.change([&](char const*& bytes, std::uint32_t& number) {
    auto const at = std::find_if(expected.begin(), expected.end(), [&](auto const& entry) { return entry.second == number; });
    number = number % 2 == 1 ? StringTable::kAbsent : number / 2;
    bytes = moved.keep(at->first).data();
  });
  arena = StringArena();
  for (auto const& [value, number] : expected)
    CHECK_EQ(table.find(key_of<Hash>(value)), number % 2 == 1 ? StringTable::kAbsent : number / 2);
}

template <class Key>
void check_sorted(std::vector<Key> const& keys) {
  std::vector<std::pair<Key, std::uint32_t>> items;
  for (std::uint32_t i = 0; i < keys.size(); ++i) items.emplace_back(keys[i], i);
  auto expected = items;
  std::stable_sort(expected.begin(), expected.end(), [](auto const& a, auto const& b) { return a.first < b.first; });
  std::vector<std::pair<Key, std::uint32_t>> spare;
  radix_sort(items, spare, [](auto const& item) { return item.first; });
  CHECK(items == expected);
}

}  // namespace

TEST("values are told apart by their bytes, however their hashes collide") {
  check_numbers<StringHash>(4000, 301);
  check_numbers<WeakHash>(1500, 302);
  check_numbers<NoHash>(1000, 303);
}

TEST("values that differ in one byte, in their length or in a zero at their end have numbers of their own") {
  auto const check = []<class Hash>(Hash) {
    StringTable table;
    StringArena arena;
    std::uint32_t next = 0;
    auto const add = [&](std::string const& value) {
      CHECK_EQ(table.find(key_of<Hash>(value)), StringTable::kAbsent);
      table.insert(key_of<Hash>(arena.keep(value)), next++);
      CHECK_EQ(table.find(key_of<Hash>(value)), next - 1);
    };
    for (std::size_t size = 0; size <= 64; ++size) {
      add(std::string(size, 'a'));
      if (size > 0) add(std::string(size, '\0'));
      for (std::size_t at = 0; at < size; ++at) {
        std::string value(size, 'a');
        value[at] = 'b';
        add(value);
      }
    }
  };
  check(StringHash{});
  check(NoHash{});
}

TEST("a value has one key whether its prefix is read at once or copied") {
  Random random{304};
  for (int round = 0; round < 2000; ++round) {
    std::string const value = any_value(random);
    // What follows a value must not show; and its own memory ends where it does.
    std::string const longer = value + "followed by other values";
    std::vector<char> const exact(value.begin(), value.end());
    StringKey whole;
    StringKey copied;
    auto const size = static_cast<std::uint32_t>(value.size());
    set_key(whole, longer.data(), longer.data(), size);
    set_key_at_end(copied, exact.data(), size);
    CHECK_EQ(whole.head, copied.head);
    CHECK_EQ(whole.rest, copied.rest);
    CHECK_EQ(whole.hash, copied.hash);
    CHECK_EQ(whole.size(), size);
  }
}

TEST("numbers in a row and words of one alphabet spread over a table") {
  // As many in one of 1,024 places as chance would put there, with 64 on average: more than 128 are beyond belief.
  for (int const kind : {0, 1, 2, 3}) {
    std::vector<int> places(1024, 0);
    for (int i = 0; i < 65'536; ++i) {
      std::string value = std::to_string(kind == 1 ? i * 1000 : 1'000'000 + i);
      if (kind == 2) value = std::string(20, 'x') + value;
      if (kind == 3) value = {static_cast<char>('a' + i % 16), static_cast<char>('a' + i / 16 % 16), static_cast<char>('a' + i / 256 % 16), static_cast<char>('a' + i / 4096)};
      ++places[key_of(value).hash >> 54];
    }
    for (int const count : places) CHECK(count < 128);
  }
}

TEST("sorting by digits is stable, and the same as sorting by comparison") {
  Random random{305};
  for (std::size_t const size : {0u, 1u, 2u, 1000u, 1023u, 1024u, 5000u}) {
    for (std::uint64_t const mask : {~std::uint64_t{0}, std::uint64_t{0xff}, std::uint64_t{0xfff0000000000000u}, std::uint64_t{0}}) {
      std::vector<std::uint64_t> keys;
      for (std::size_t i = 0; i < size; ++i) keys.push_back((random.next() & mask) + (random.below(50) == 0 ? ~mask : 0));
      check_sorted(keys);
      check_sorted(std::vector<std::uint32_t>(keys.begin(), keys.end()));
    }
  }
}
