#pragma once
// What both fuzz targets share: an input read as a sequence of choices, and promises that end the process when broken.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "core/sketch_rule.hpp"  // mixed_bits

namespace modelwatch::fuzz {

/// The fuzzer's input as small decisions.  Past its end every answer is 0, so that any input is a complete case.
class Bytes {
 public:
  Bytes(std::uint8_t const* data, std::size_t size) : data_(data), left_(size) {
    for (std::size_t i = 0; i < size; ++i) hash_ = (hash_ ^ data[i]) * 0x100000001b3u;  // FNV-1a
  }

  std::size_t left() const { return left_; }

  std::uint8_t byte() {
    if (left_ == 0) return 0;
    --left_;
    return *data_++;
  }

  /// 0 ... bound - 1
  std::uint32_t below(std::uint32_t bound) { return (bound > 256 ? byte() * 256u + byte() : byte()) % bound; }

  bool one_in(std::uint32_t chance) { return below(chance) == chance - 1; }

  /// As one_in, by the hash of the whole input: a fuzzer that keeps what reaches more cannot make these frequent, so
  /// it is for cases that cost a hundred times the others.
  bool rare(std::uint32_t chance) {
    hash_ = mixed_bits(hash_);
    return hash_ % chance == 0;
  }

  template <class Number>
  Number number() {
    std::uint8_t raw[sizeof(Number)];
    for (auto& b : raw) b = byte();
    Number out;
    std::memcpy(&out, raw, sizeof out);
    return out;
  }

  std::string text(std::uint32_t most) {
    std::string out(below(most + 1), '\0');
    for (auto& letter : out) letter = static_cast<char>(byte());
    return out;
  }

 private:
  std::uint8_t const* data_;
  std::size_t left_;
  std::uint64_t hash_ = 0xcbf29ce484222325u;
};

/// A promise of the engine: where it is broken the process ends, which is what a fuzzer looks for.
inline void require(bool holds, char const* promise) {
  if (holds) return;
  std::fprintf(stderr, "broken promise: %s\n", promise);
  std::abort();
}

}  // namespace modelwatch::fuzz
