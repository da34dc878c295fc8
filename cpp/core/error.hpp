#pragma once

#include <stdexcept>
#include <string>

namespace modelwatch {

/// The caller's data or options are wrong; the text is a sentence for the person who passed them.
class InvalidInput : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The user asked to stop.  Whoever polls has the reason (a Python KeyboardInterrupt).
class Interrupted : public std::runtime_error {
 public:
  Interrupted() : std::runtime_error("interrupted") {}
};

}  // namespace modelwatch
