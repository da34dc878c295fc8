#pragma once
// A test is a sentence and a body.  A failed check prints where and what, and the test goes on, up to kMostPrinted.

#include <bit>
#include <cstdint>
#include <iostream>
#include <sstream>
#include <string>
#include <type_traits>
#include <vector>

#include "core/error.hpp"    // InvalidInput
#include "core/moments.hpp"  // Moments

namespace modelwatch::test {

struct Test {
  char const* name;
  void (*body)();
};

/// Every test of the program; filled before main() runs.
inline std::vector<Test>& all_tests() {
  static std::vector<Test> tests;
  return tests;
}

struct Registration {
  Registration(char const* name, void (*body)()) { all_tests().push_back({name, body}); }
};

/// Thrown by a test that cannot run on this machine.
struct Skipped {
  std::string reason;
};

/// Thrown when a test has failed so often that more lines would not help.
struct Abandoned {};

inline constexpr int kMostPrinted = 10;
inline int failures_of_test = 0;

inline void failed(char const* file, int line, std::string const& what) {
  std::cout << file << ":" << line << ": " << what << "\n";
  if (++failures_of_test == kMostPrinted) throw Abandoned{};
}

template <class T>
std::string shown(T const& value) {
  std::ostringstream out;
  out.precision(17);
  if constexpr (std::is_enum_v<T>)
    out << static_cast<long long>(value);
  else if constexpr (std::is_integral_v<T> && sizeof(T) == 1)
    out << static_cast<int>(value);
  else
    out << value;
  return out.str();
}

template <class T>
std::string shown(std::vector<T> const& values) {
  std::string text = "[";
  for (std::size_t i = 0; i < values.size() && i < 12; ++i) text += (i > 0 ? ", " : "") + shown(values[i]);
  return text + (values.size() > 12 ? ", ... (" + std::to_string(values.size()) + ")]" : "]");
}

/// Two NaN are the same whatever their payload: its bits are not part of any promise.
inline bool same_bits(double a, double b) {
  return (a != a && b != b) || std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b);
}

inline bool same_bits(Moments const& a, Moments const& b) {
  return a.count == b.count && same_bits(a.mean, b.mean) && same_bits(a.m2, b.m2) && same_bits(a.m3, b.m3) && same_bits(a.m4, b.m4);
}

inline std::string shown(Moments const& m) {
  return "{" + shown(m.count) + ", " + shown(m.mean) + ", " + shown(m.m2) + ", " + shown(m.m3) + ", " + shown(m.m4) + "}";
}

/// The text of the InvalidInput that `action` throws, or "accepted".
template <class Action>
std::string refusal(Action action) {
  try {
    action();
  } catch (InvalidInput const& error) {
    return error.what();
  }
  return "accepted";
}

template <class A, class B>
void check_equal(char const* file, int line, char const* expression, A const& a, B const& b, std::string const& about) {
  if (a == b) return;
  failed(file, line, std::string(expression) + ": " + shown(a) + " is not " + shown(b) + (about.empty() ? "" : "; " + about));
}

}  // namespace modelwatch::test

#define MW_JOIN2(a, b) a##b
#define MW_JOIN(a, b) MW_JOIN2(a, b)
#define TEST(sentence)                                                                                               \
  static void MW_JOIN(test_at_, __LINE__)();                                                                         \
  static ::modelwatch::test::Registration const MW_JOIN(registered_at_, __LINE__){sentence, MW_JOIN(test_at_, __LINE__)}; \
  static void MW_JOIN(test_at_, __LINE__)()
#define CHECK(condition) \
  ((condition) ? void() : ::modelwatch::test::failed(__FILE__, __LINE__, "not true: " #condition))
#define CHECK_ABOUT(condition, about) \
  ((condition) ? void() : ::modelwatch::test::failed(__FILE__, __LINE__, std::string("not true: " #condition "; ") + (about)))
#define CHECK_EQ(a, b) ::modelwatch::test::check_equal(__FILE__, __LINE__, #a " == " #b, a, b, "")
#define CHECK_EQ_ABOUT(a, b, about) ::modelwatch::test::check_equal(__FILE__, __LINE__, #a " == " #b, a, b, about)
/// The action throws InvalidInput, and its text holds these words.
#define CHECK_REFUSED(action, words)                                                                      \
  do {                                                                                                    \
    std::string const said = ::modelwatch::test::refusal([&] { action; });                                \
    if (said.find(words) == std::string::npos)                                                            \
      ::modelwatch::test::failed(__FILE__, __LINE__, #action ": said '" + said + "', not '" + words "'"); \
  } while (false)
