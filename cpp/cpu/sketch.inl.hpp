// Log-linear histograms and registers: part of kernels.inl.hpp.  The rules are those of core/sketch_rule.hpp.

namespace modelwatch::cpu {
namespace {

/// Calls f with a pointer to the first row of the type that is stored.
template <class F>
MW_HD int with_rows(NumericView const& column, std::int64_t begin, F f) {
  void const* const all = column.values;
  switch (column.storage) {
    case Storage::int8: return f(static_cast<std::int8_t const*>(all) + begin);
    case Storage::int16: return f(static_cast<std::int16_t const*>(all) + begin);
    case Storage::int32: return f(static_cast<std::int32_t const*>(all) + begin);
    case Storage::int64: return f(static_cast<std::int64_t const*>(all) + begin);
    case Storage::uint8: return f(static_cast<std::uint8_t const*>(all) + begin);
    case Storage::uint16: return f(static_cast<std::uint16_t const*>(all) + begin);
    case Storage::uint32: return f(static_cast<std::uint32_t const*>(all) + begin);
    case Storage::uint64: return f(static_cast<std::uint64_t const*>(all) + begin);
    case Storage::float32: return f(static_cast<float const*>(all) + begin);
    case Storage::float64: return f(static_cast<double const*>(all) + begin);
  }
  return 0;
}

template <class Stored>
MW_HD bool is_nan(Stored x) {
  if constexpr (static_cast<Stored>(0.5) != Stored{0})
    return KeyOf<Stored>::missing(x);
  else
    return false;
}

/// f(x) of the rows that have a value, which `out` keeps together; how many these are.
template <class Stored, class Out, class F>
MW_HD int each_value(Stored const* values, int rows, std::uint8_t const* valid, Out* out, F f) {
  int missing = 0;
  for (int i = 0; i < rows; ++i) missing += is_nan(values[i]) ? 1 : 0;
  for (int i = 0; i < rows; ++i) out[i] = f(values[i]);
  if (missing == 0 && valid == nullptr) return rows;
  std::uint8_t here[kTileRows];
  for (int i = 0; i < rows; ++i) here[i] = is_nan(values[i]) ? 0 : 1;
  if (valid != nullptr)
    for (int i = 0; i < rows; ++i) here[i] &= valid[i];
  int found = 0;
  for (int i = 0; i < rows; ++i) {
    out[found] = out[i];
    found += here[i];
  }
  return found;
}

int bucket_tile(NumericView const& column, std::int64_t begin, int rows, std::uint8_t const* valid, std::uint32_t* buckets) {
  return with_rows(column, begin, [=](auto const* values) {
    return each_value(values, rows, valid, buckets, [](auto x) { return bucket_of(static_cast<double>(x)); });
  });
}

/// Integers hash as the widest integer of their sign, so that equal numbers of every width hash alike.
template <class Stored>
struct Hashed {
  using Type = std::int64_t;
};
template <>
struct Hashed<std::uint64_t> {
  using Type = std::uint64_t;
};
template <>
struct Hashed<float> {
  using Type = float;
};
template <>
struct Hashed<double> {
  using Type = double;
};

/// mixed_bits of each.
MW_HD void mix(std::uint64_t* hashes, int count) {
  int i = 0;
#ifdef MW_AVX512
  // The only one of our instruction sets that multiplies vectors of 64 bits.
  typedef std::uint64_t Words8 __attribute__((vector_size(64)));
  for (; i + 8 <= count; i += 8) {
    Words8 bits;
    __builtin_memcpy(&bits, hashes + i, sizeof bits);
    bits += kMixStep;
    bits = (bits ^ (bits >> 30)) * kMixFirst;
    bits = (bits ^ (bits >> 27)) * kMixSecond;
    bits ^= bits >> 31;
    __builtin_memcpy(hashes + i, &bits, sizeof bits);
  }
#else
  // Half in vectors and half not: neither keeps all multipliers of a core busy.
  typedef std::uint64_t Words4 __attribute__((vector_size(32)));
  for (; i + 8 <= count; i += 8) {
    Words4 bits;
    __builtin_memcpy(&bits, hashes + i, sizeof bits);
    bits += kMixStep;
    bits = (bits ^ (bits >> 30)) * kMixFirst;
    bits = (bits ^ (bits >> 27)) * kMixSecond;
    bits ^= bits >> 31;
    __builtin_memcpy(hashes + i, &bits, sizeof bits);
    for (int j = i + 4; j < i + 8; ++j) {
      std::uint64_t one = hashes[j];
      MW_SCALAR(one);
      hashes[j] = mixed_bits(one);
    }
  }
#endif
  for (; i < count; ++i) hashes[i] = mixed_bits(hashes[i]);
}

int hash_tile(NumericView const& column, std::int64_t begin, int rows, std::uint8_t const* valid, std::uint64_t* hashes) {
  int const found = with_rows(column, begin, [=]<class Stored>(Stored const* values) {
    return each_value(values, rows, valid, hashes,
                      [](Stored x) { return hashed_bits(static_cast<typename Hashed<Stored>::Type>(x)); });
  });
  mix(hashes, found);
  return found;
}

MW_HD void raise(std::uint64_t hash, std::uint8_t* ranks) {
  Register const at = register_of(hash);
  if (at.rank > ranks[at.index]) ranks[at.index] = at.rank;
}

/// Without a branch for each: where there are many, nobody could foretell which of them raise one.
MW_HD void raise_all(std::uint64_t const* hashes, int count, std::uint8_t* ranks) {
  for (int i = 0; i < count; ++i) {
    Register const at = register_of(hashes[i]);
    std::uint8_t const now = ranks[at.index];
    ranks[at.index] = now < at.rank ? at.rank : now;
  }
}

/// Most hashes change nothing once there have been some: those whose rank is not above that of the lowest register are
/// told by one comparison, with the first `least` bits behind those of the register.  A rank above it needs them all to be 0.
MW_HD std::uint64_t bits_of_few(std::uint8_t const* ranks) {
  std::uint8_t least = ranks[0];
  for (std::uint32_t i = 1; i < kRegisters; ++i) least = ranks[i] < least ? ranks[i] : least;
  std::uint64_t const bits = least < 64 - kRegisterBits ? least : 63 - kRegisterBits;
  return ((std::uint64_t{1} << bits) - 1) << (64 - kRegisterBits - bits);
}

void raise_registers(std::uint64_t const* hashes, int count, std::uint8_t* ranks) {
  std::uint64_t const mask = bits_of_few(ranks);
  int i = 0;
#ifdef MW_AVX512
  while (i + 8 <= count) {
    constexpr int kStripRows = 64;
    std::uint64_t kept[kStripRows + 8];
    int found = 0;
    for (int const end = i + kStripRows; i < end && i + 8 <= count; i += 8)
      found += without_bits(_mm512_loadu_si512(hashes + i), 0xff, mask, kept + found);
    raise_all(kept, found, ranks);
  }
#else
  for (; i + 4 <= count; i += 4) {
    std::uint64_t const* const four = hashes + i;
    // Without a branch for each: together they are seldom taken.
    if (((four[0] & mask) == 0) | ((four[1] & mask) == 0) | ((four[2] & mask) == 0) | ((four[3] & mask) == 0))
      for (int j = 0; j < 4; ++j) raise(four[j], ranks);
  }
#endif
  for (; i < count; ++i) raise(hashes[i], ranks);
}

/// How many leading buckets were counted: the rest of them begins with some that have no page, or is short.
MW_HD int count_whole_strips(std::uint32_t const* buckets, int count, BucketPages const& pages, std::uint64_t* counters) {
#ifdef MW_AVX512
  constexpr int kTogether = 16;
#else
  constexpr int kTogether = 8;
#endif
  int i = 0;
  for (; i + kTogether <= count; i += kTogether) {
    // All places before the first counter is stored: a load behind a store would wait to see whether that went there.
    std::uint32_t at[kTogether];
#ifdef MW_AVX512
    if (!places_of(buckets + i, pages, at)) return i;
#else
    std::uint32_t missing = 0;
    for (int j = 0; j < kTogether; ++j) {
      std::uint32_t const page = (buckets[i + j] >> kBucketPageBits) - pages.first;
      std::uint32_t const begin = page < pages.count ? pages.begin[page] : 0u;
      missing |= begin == 0 ? 1u : 0u;
      at[j] = begin + (buckets[i + j] & (kBucketPage - 1));
    }
    if (missing != 0) return i;
#endif
    for (auto const place : at) ++counters[place];
  }
  return i;
}

int count_buckets(std::uint32_t const* buckets, int count, BucketPages const& pages, std::uint64_t* counters) {
  for (int i = count_whole_strips(buckets, count, pages, counters); i < count; ++i) {
    std::uint32_t const page = (buckets[i] >> kBucketPageBits) - pages.first;
    if (page >= pages.count || pages.begin[page] == 0) return i;
    ++counters[pages.begin[page] + (buckets[i] & (kBucketPage - 1))];
  }
  return count;
}

/// What the upper half of a float32 does not tell: the bucket of a subnormal, which is normal as a double, and whether a
/// NaN is not an infinity.
int count_halves(NumericView const& column, std::int64_t begin, int rows, std::uint8_t const* valid, std::uint32_t* counters,
                 std::uint32_t stride) {
  constexpr std::int32_t kLeastNormal = 0x00800000;
  constexpr std::int32_t kInfinity = 0x7f800000;
  float const* const values = static_cast<float const*>(column.values) + begin;
  std::int32_t untold = 0;
  for (int i = 0; i < rows; ++i) {
    std::int32_t const magnitude = __builtin_bit_cast(std::int32_t, values[i]) & 0x7fffffff;
    untold |= (magnitude > 0 ? 1 : 0) & (magnitude < kLeastNormal ? 1 : 0);
    untold |= (magnitude > kInfinity ? 1 : 0) & (magnitude < kInfinity + 0x10000 ? 1 : 0);
  }
  if (untold != 0) return 0;
  if (valid != nullptr) {
    for (int i = 0; i < rows; ++i) ++counters[valid[i] != 0 ? __builtin_bit_cast(std::uint32_t, values[i]) >> 16 : kHalves];
    return 1;
  }
  int i = 0;
  // All eight before the first store, or each load would wait to see whether a store before it went there.
  for (; i + 8 <= rows; i += 8) {
    std::uint64_t pairs[4];
    __builtin_memcpy(pairs, values + i, sizeof pairs);
    for (auto const pair : pairs) {
      ++counters[(pair >> 16) & 0xffff];
      ++counters[stride + (pair >> 48)];
    }
  }
  for (; i < rows; ++i) ++counters[__builtin_bit_cast(std::uint32_t, values[i]) >> 16];
  return 1;
}

}  // namespace
}  // namespace modelwatch::cpu
