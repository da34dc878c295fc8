// The kernel that looks values of text up, against the table's own search.

#include <sys/mman.h>

#include <cstring>
#include <string>
#include <vector>

#include "check.hpp"
#include "columns.hpp"  // Random
#include "core/hash.hpp"
#include "cpu/kernel_table.hpp"
#include "engine/string_table.hpp"
#include "tables.hpp"

using namespace modelwatch;
using namespace modelwatch::test;

namespace {

std::vector<cpu::KernelTable const*> finders() {
  auto tables = runnable();
  std::erase_if(tables, [](auto const* table) { return !table->finds_texts; });
  return tables;
}

/// Few values of each size, which differ in one byte.
std::string any_value(Random& random, std::uint64_t most) {
  std::string value(random.below(most + 1), 'a');
  if (!value.empty()) value[random.below(value.size())] = "a\0b\xff"[random.below(4)];
  return value;
}

StringKey hashed(cpu::KernelTable const& kernel, std::string_view value) {
  return key_with(value, kernel.hash_text(value.data(), static_cast<std::uint32_t>(value.size())));
}

struct Found {
  std::vector<std::uint32_t> numbers;
  std::vector<std::uint64_t> hashes;
};
Found found(cpu::KernelTable const& kernel, StringTable const& table, std::vector<std::string_view> const& values) {
  std::vector<char const*> bytes;
  std::vector<std::uint32_t> sizes;
  for (auto const value : values) {
    bytes.push_back(value.data());
    sizes.push_back(static_cast<std::uint32_t>(value.size()));
  }
  Found out{std::vector<std::uint32_t>(values.size()), std::vector<std::uint64_t>(values.size())};
  kernel.find_texts(bytes.data(), sizes.data(), static_cast<int>(values.size()), table.places(), out.numbers.data(), out.hashes.data());
  return out;
}

}  // namespace

TEST("a kernel finds the numbers of values of any size among few and many others") {
  for (auto const* kernel : finders())
    for (std::uint64_t const most : {4u, 12u, 40u, 64u, 200u})
      for (int const inserted : {0, 1, 100, 4000}) {
        Random random{most + static_cast<std::uint64_t>(inserted)};
        StringTable table;
        StringArena arena;
        for (std::uint32_t i = 0; i < static_cast<std::uint32_t>(inserted); ++i) {
          std::string const value = any_value(random, most);
          StringKey const key = hashed(*kernel, arena.keep(value));
          if (table.find(key) == StringTable::kAbsent) table.insert(key, i);
        }
        for (int round = 0; round < 60; ++round) {
          std::vector<std::string> values(1 + random.below(cpu::kTextRows));
          for (auto& value : values) value = any_value(random, random.below(4) == 0 ? 12 : most);
          Found const got = found(*kernel, table, {values.begin(), values.end()});
          for (std::size_t i = 0; i < values.size(); ++i) {
            StringKey const key = hashed(*kernel, values[i]);
            CHECK_EQ(got.hashes[i], key.hash);
            CHECK_EQ(got.numbers[i], table.find(key));
          }
        }
      }
}

TEST("values of one hash and one size are told apart by their bytes") {
  for (auto const* kernel : finders())
    for (std::size_t const size : {3u, 12u, 13u, 64u, 65u, 150u}) {
      std::string const here(size, 'a');
      for (std::size_t at = 0; at < size; ++at) {
        std::string other = here;
        other[at] = 'b';
        StringTable table;
        // The other one in the place of this, which comes behind it.
        std::uint64_t const hash = hashed(*kernel, here).hash;
        table.insert(key_with(other, hash), 1);
        CHECK_EQ(found(*kernel, table, std::vector<std::string_view>(9, here)).numbers, std::vector<std::uint32_t>(9, StringTable::kAbsent));
        table.insert(key_with(here, hash), 2);
        CHECK_EQ(found(*kernel, table, std::vector<std::string_view>(9, here)).numbers, std::vector<std::uint32_t>(9, 2));
      }
    }
}

TEST("nothing is read beyond the end of a value") {
  constexpr std::size_t kPage = 4096;
  auto* const pages = static_cast<char*>(mmap(nullptr, 2 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  CHECK(pages != MAP_FAILED);
  CHECK_EQ(mprotect(pages + kPage, kPage, PROT_NONE), 0);
  std::memset(pages, 'x', kPage);
  for (auto const* kernel : finders())
    for (std::size_t size = 0; size <= 140; ++size) {
      std::string_view const value(pages + kPage - size, size);
      std::string const copy(value);
      StringTable table;
      table.insert(hashed(*kernel, value), 5);
      CHECK_EQ(found(*kernel, table, std::vector<std::string_view>(17, value)).numbers, std::vector<std::uint32_t>(17, 5));
      CHECK_EQ(found(*kernel, table, std::vector<std::string_view>(17, copy)).numbers, std::vector<std::uint32_t>(17, 5));
    }
  munmap(pages, 2 * kPage);
}

TEST("the hash that decides what is kept is the same of one value and of many at a time, on every instruction set") {
  CHECK_EQ(hash_bytes(nullptr, 0), 0xefd01f60ba992926u);  // the finaliser of FNV-1a's first number
  for (auto const* kernel : runnable())
    for (std::uint64_t const most : {0u, 3u, 8u, 40u, 64u, 200u})
      for (int const rows : {1, 3, 4, 7, 8, 9, 31, 32, 33, 128}) {
        Random random{most + static_cast<std::uint64_t>(rows)};
        std::vector<std::vector<char>> values;  // memory that ends where the value does
        std::vector<char const*> bytes;
        std::vector<std::uint32_t> sizes;
        for (int i = 0; i < rows; ++i) {
          std::string const value = any_value(random, most);
          values.emplace_back(value.begin(), value.end());
          bytes.push_back(values.back().data());
          sizes.push_back(static_cast<std::uint32_t>(value.size()));
        }
        std::vector<std::uint64_t> found(values.size());
        kernel->hash_values(bytes.data(), sizes.data(), rows, found.data());
        for (std::size_t i = 0; i < values.size(); ++i)
          CHECK_EQ(found[i], hash_bytes(reinterpret_cast<std::uint8_t const*>(bytes[i]), static_cast<std::int64_t>(sizes[i])));
      }
}

TEST("the kernels' hashes spread numbers in a row, words of one alphabet and pairs of whole numbers over a table") {
  // As many in one of 1,024 places as chance would put there, with 64 on average: more than 128 are beyond belief.
  for (auto const* kernel : finders())
    for (int const kind : {0, 1, 2, 3, 4}) {
      std::vector<int> places(1024, 0);
      for (int i = 0; i < 65'536; ++i) {
        std::string value = std::to_string(kind == 1 ? i * 1000 : 1'000'000 + i);
        if (kind == 2) value = std::string(70, 'x') + value;
        if (kind == 3) value = {static_cast<char>('a' + i % 16), static_cast<char>('a' + i / 16 % 16), static_cast<char>('a' + i / 256 % 16), static_cast<char>('a' + i / 4096)};
        if (kind == 4) {
          value.assign(16, '\0');
          value[7] = static_cast<char>(i);
          value[15] = static_cast<char>(i >> 8);
        }
        ++places[hashed(*kernel, value).hash >> 54];
      }
      for (int const count : places) CHECK(count < 128);
    }
}
