// The order of values by their bytes, against std::sort.

#include <algorithm>
#include <set>
#include <string>

#include "check.hpp"
#include "columns.hpp"  // Random
#include "engine/byte_order.hpp"

using namespace modelwatch;
using namespace modelwatch::test;

namespace {

/// In an order that has nothing to do with their bytes.
void check_order(std::set<std::string> const& distinct, std::uint64_t seed) {
  std::vector<std::string> values(distinct.begin(), distinct.end());
  Random random{seed};
  shuffle(values, random);
  // Each in memory that ends where the value does.
  std::vector<std::vector<char>> memory;
  for (auto const& value : values) memory.emplace_back(value.begin(), value.end());
  std::vector<std::string_view> views;
  for (auto const& bytes : memory) views.emplace_back(bytes.data(), bytes.size());
  std::vector<std::string> found;
  for (auto const place : places_by_bytes(views)) found.push_back(values[place]);
  CHECK(found == std::vector<std::string>(distinct.begin(), distinct.end()));
}

std::set<std::string> drawn(std::size_t many, std::uint64_t seed, auto make) {
  Random random{seed};
  std::set<std::string> out;
  for (std::size_t i = 0; i < many; ++i) out.insert(make(random));
  return out;
}

}  // namespace

TEST("values of one letter are in the order of their lengths") {
  for (char const letter : {'\0', 'a', '\xff'}) {
    std::set<std::string> values;
    for (std::size_t size = 0; size < 1500; ++size) values.emplace(size, letter);
    check_order(values, 401);
  }
}

TEST("values are put in order whatever they begin with, however many there are") {
  for (std::size_t const many : {0u, 1u, 2u, 15u, 16u, 17u, 300u, 1023u, 1024u, 5000u, 40'000u})
    for (std::size_t const common : {0u, 1u, 7u, 8u, 9u, 33u}) {
      std::string const prefix = std::string("customer-of-a-shop-with-a-long-name-").substr(0, common);
      check_order(drawn(many, many + common, [&](Random& random) { return prefix + std::to_string(random.below(1'000'000)); }), 402);
    }
}

TEST("bytes are not signed, and a zero comes after the end of a value") {
  check_order({"", std::string(1, '\0'), std::string(2, '\0'), "a", std::string("a\0", 2), "a\x7f", "a\x80", "a\xff", "b", "\xff"}, 403);
  for (std::size_t const most : {2u, 9u, 20u})
    check_order(drawn(20'000, most, [&](Random& random) {
      std::string value(random.below(most + 1), '\0');
      for (auto& byte : value) byte = "\0\1\x7f\x80\xff"[random.below(5)];
      return value;
    }), 404);
}

TEST("values of some thousand groups that begin alike are put in order") {
  check_order(drawn(30'000, 405, [](Random& random) {
    std::string value = "region-" + std::to_string(random.below(3)) + "/shop-" + std::to_string(random.below(40)) + "/customer-";
    value += std::to_string(random.below(100'000));
    return random.below(10) == 0 ? value + std::string(random.below(30), '\0') : value;
  }), 406);
}

TEST("values that are each the beginning of the next, and then differ, are put in order") {
  std::set<std::string> values;
  std::string value;
  for (int i = 0; i < 600; ++i) {
    value += std::to_string(i % 7) + "abcdefg";
    values.insert(value);
    values.insert(value + '\0');
    values.insert(value.substr(0, value.size() - 3) + "\xff");
  }
  check_order(values, 407);
}
