#include <cstring>
#include <exception>
#include <iostream>
#include <string>

#include "check.hpp"

namespace {

using namespace modelwatch::test;

enum class Outcome { passed, failed, skipped };

Outcome run(Test const& test) {
  failures_of_test = 0;
  try {
    test.body();
  } catch (Skipped const& skipped) {
    std::cout << "skipped: " << test.name << " (" << skipped.reason << ")\n";
    return Outcome::skipped;
  } catch (Abandoned const&) {
  } catch (std::exception const& error) {
    std::cout << "threw: " << error.what() << "\n";
    ++failures_of_test;
  } catch (...) {
    std::cout << "threw something that is not an exception\n";
    ++failures_of_test;
  }
  if (failures_of_test == 0) return Outcome::passed;
  std::cout << "FAILED: " << test.name << "\n";
  return Outcome::failed;
}

}  // namespace

/// core_tests [--list] [WORDS]: runs the tests whose name holds the words, all without any.
int main(int count, char** arguments) {
  bool const list = count > 1 && std::strcmp(arguments[1], "--list") == 0;
  char const* const words = count > 1 && !list ? arguments[1] : "";
  int passed = 0;
  int failed = 0;
  int skipped = 0;
  for (auto const& test : all_tests()) {
    if (list) {
      std::cout << test.name << "\n";
      continue;
    }
    if (std::strstr(test.name, words) == nullptr) continue;
    Outcome const outcome = run(test);
    passed += outcome == Outcome::passed;
    failed += outcome == Outcome::failed;
    skipped += outcome == Outcome::skipped;
  }
  if (list) return 0;
  std::cout << passed << " passed, " << failed << " failed";
  if (skipped > 0) std::cout << ", " << skipped << " skipped";
  std::cout << "\n";
  return failed == 0 && passed + skipped > 0 ? 0 : 1;
}
