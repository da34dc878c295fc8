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
  if (valid == nullptr) {
    for (int i = 0; i < rows; ++i) missing += is_nan(values[i]) ? 1 : 0;
    if (missing == 0) {
      for (int i = 0; i < rows; ++i) out[i] = f(values[i]);
      return rows;
    }
  }
  int found = 0;
  for (int i = 0; i < rows; ++i) {
    out[found] = f(values[i]);
    found += (valid == nullptr || valid[i] != 0) && !is_nan(values[i]) ? 1 : 0;
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

int hash_tile(NumericView const& column, std::int64_t begin, int rows, std::uint8_t const* valid, std::uint64_t* hashes) {
  return with_rows(column, begin, [=]<class Stored>(Stored const* values) {
    return each_value(values, rows, valid, hashes,
                      [](Stored x) { return hash_number(static_cast<typename Hashed<Stored>::Type>(x)); });
  });
}

void raise_registers(std::uint64_t const* hashes, int count, std::uint8_t* ranks) {
  for (int i = 0; i < count; ++i) {
    Register const at = register_of(hashes[i]);
    // Seldom true once there have been some values, so it costs less than a store.
    if (at.rank > ranks[at.index]) ranks[at.index] = at.rank;
  }
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
  auto const half = [&](int i) { return __builtin_bit_cast(std::uint32_t, values[i]) >> 16; };
  if (valid == nullptr) {
    int i = 0;
    for (; i + 4 <= rows; i += 4) {
      ++counters[half(i)];
      ++counters[stride + half(i + 1)];
      ++counters[half(i + 2)];
      ++counters[stride + half(i + 3)];
    }
    for (; i < rows; ++i) ++counters[half(i)];
  } else {
    for (int i = 0; i < rows; ++i) ++counters[valid[i] != 0 ? half(i) : kHalves];
  }
  return 1;
}

}  // namespace
}  // namespace modelwatch::cpu
