#pragma once

#include <cstdint>

#include "core/macros.hpp"

namespace modelwatch {

/// A 64-bit hash of bytes: FNV-1a (Fowler, Noll, Vo) and the finaliser of MurmurHash3 (public domain constants).
/// Part of the file format: values kept under a cap are those with the smallest (hash, bytes).
MW_HD std::uint64_t hash_bytes(std::uint8_t const* bytes, std::int64_t size) {
  std::uint64_t h = 0xcbf29ce484222325u;
  for (std::int64_t i = 0; i < size; ++i) h = (h ^ bytes[i]) * 0x100000001b3u;
  h ^= h >> 33;
  h *= 0xff51afd7ed558ccdu;
  h ^= h >> 33;
  h *= 0xc4ceb9fe1a85ec53u;
  return h ^ (h >> 33);
}

}  // namespace modelwatch
