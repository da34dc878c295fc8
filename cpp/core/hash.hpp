#pragma once

#include <cstdint>

#include "core/macros.hpp"

namespace modelwatch {

struct BytesHash {
  static constexpr std::uint64_t kBegin = 0xcbf29ce484222325u;
  static constexpr std::uint64_t kFactor = 0x100000001b3u;
  static constexpr std::uint64_t kFirstMix = 0xff51afd7ed558ccdu;
  static constexpr std::uint64_t kSecondMix = 0xc4ceb9fe1a85ec53u;

  static MW_HD std::uint64_t end(std::uint64_t h) {
    h ^= h >> 33;
    h *= kFirstMix;
    h ^= h >> 33;
    h *= kSecondMix;
    return h ^ (h >> 33);
  }
};

/// A 64-bit hash of bytes: FNV-1a (Fowler, Noll, Vo) and the finaliser of MurmurHash3 (public domain constants).
/// Part of the file format: values kept under a cap are those with the smallest (hash, bytes).
MW_HD std::uint64_t hash_bytes(std::uint8_t const* bytes, std::int64_t size) {
  std::uint64_t h = BytesHash::kBegin;
  for (std::int64_t i = 0; i < size; ++i) h = (h ^ bytes[i]) * BytesHash::kFactor;
  return BytesHash::end(h);
}

}  // namespace modelwatch
