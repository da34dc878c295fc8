#include "check.hpp"
#include "columns.hpp"
#include "core/hash.hpp"

using namespace modelwatch;
using namespace modelwatch::test;

namespace {

template <class Value>
void check_order(std::vector<Value> const& values) {
  using Keys = KeyOf<Value>;
  for (auto const a : values)
    for (auto const b : values) {
      CHECK_EQ_ABOUT(Keys::key(a) < Keys::key(b), a < b, shown(a) + " against " + shown(b));
      CHECK_EQ_ABOUT(Keys::key(a) == Keys::key(b), a == b, shown(a) + " against " + shown(b));
    }
}

}  // namespace

TEST("keys of hard values are ordered as the values are") {
  each_domain([]<class Value>(Value) { check_order(hard_values<Value>()); });
}

TEST("keys of random bit patterns are ordered as the values are") {
  each_domain([]<class Value>(Value) {
    Random random{11};
    std::vector<Value> values;
    for (int i = 0; i < 300; ++i) {
      values.push_back(random_value<Value>(random));
      values.push_back(next_above(values.back()));
    }
    check_order(values);
  });
}

TEST("a key gives back its value") {
  each_domain([]<class Value>(Value) {
    Random random{12};
    auto values = hard_values<Value>();
    for (int i = 0; i < 10'000; ++i) values.push_back(random_value<Value>(random));
    for (auto const x : values) CHECK_EQ(KeyOf<Value>::value(KeyOf<Value>::key(x)), x);
  });
}

TEST("neighbouring floats have neighbouring keys, across zero too") {
  auto const check = []<class Value>(Value) {
    for (auto const x : hard_values<Value>()) {
      if (!std::isfinite(x)) continue;
      CHECK_EQ_ABOUT(KeyOf<Value>::key(next_above(x)) - KeyOf<Value>::key(x), x == 0 ? 1u : KeyOf<Value>::key(next_above(x)) == KeyOf<Value>::key(Value{0}) ? 2u : 1u,
                     shown(x));
    }
  };
  check(float{});
  check(double{});
}

TEST("minus zero has the key of zero and comes back as zero") {
  CHECK_EQ(KeyOf<float>::key(-0.0f), KeyOf<float>::key(0.0f));
  CHECK_EQ(KeyOf<double>::key(-0.0), KeyOf<double>::key(0.0));
  CHECK(!std::signbit(KeyOf<float>::value(KeyOf<float>::key(-0.0f))));
  CHECK(!std::signbit(KeyOf<double>::value(KeyOf<double>::key(-0.0))));
}

TEST("every NaN is missing, whatever its sign and payload, and nothing else is") {
  for (std::uint32_t const bits : {0x7fc00000u, 0xffc00000u, 0x7f800001u, 0xff800001u, 0x7fffffffu, 0xffffffffu}) {
    CHECK(KeyOf<float>::missing(std::bit_cast<float>(bits)));
    CHECK(!KeyOf<float>::finite(std::bit_cast<float>(bits)));
  }
  for (std::uint64_t const bits : {0x7ff8000000000000u, 0xfff8000000000000u, 0x7ff0000000000001u, 0xfff0000000000001u, 0xffffffffffffffffu}) {
    CHECK(KeyOf<double>::missing(std::bit_cast<double>(bits)));
    CHECK(!KeyOf<double>::finite(std::bit_cast<double>(bits)));
  }
  each_domain([]<class Value>(Value) {
    for (auto const x : hard_values<Value>()) {
      CHECK(!KeyOf<Value>::missing(x));
      CHECK_EQ(KeyOf<Value>::finite(x), std::isfinite(static_cast<double>(x)) && x >= std::numeric_limits<Value>::lowest() && x <= std::numeric_limits<Value>::max());
    }
  });
}

TEST("the hash of bytes is the one of the file format") {
  auto const hash = [](std::string_view bytes) {
    return hash_bytes(reinterpret_cast<std::uint8_t const*>(bytes.data()), static_cast<std::int64_t>(bytes.size()));
  };
  CHECK_EQ(hash(""), 0xefd01f60ba992926u);
  CHECK_EQ(hash("a"), 0x82a2a958a9bece5bu);
  CHECK_EQ(hash(std::string_view("\xff\x00z", 3)), 0xbb81025c898c6611u);
}
