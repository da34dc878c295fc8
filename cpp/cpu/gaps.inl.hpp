// Rows between knots: part of kernels.inl.hpp.

namespace modelwatch::cpu {
namespace {

/// Rows whose fractions are found before they are added.
#ifdef MW_AVX512
constexpr int kGapStrip = 64;
#else
constexpr int kGapStrip = 8;
#endif

int gap_rows(std::uint32_t const* cells, std::uint64_t const* keys, int rows, std::uint32_t end_cell, GapRows* out) {
#ifdef MW_AVX512
  return gap_rows_together(cells, keys, rows, end_cell, out);
#else
  int wanted = 0;
  for (int i = 0; i < rows; ++i) wanted += static_cast<int>((cells[i] & 1u) == 0) & static_cast<int>(cells[i] < end_cell);
  if (wanted == 0) return 0;  // as in a column of few values
  if (wanted == rows) {
    for (int i = 0; i < rows; ++i) out->row[i] = static_cast<std::uint32_t>(i);
    for (int i = 0; i < rows; ++i) out->gap[i] = cells[i] >> 1;
    __builtin_memcpy(out->key, keys, sizeof(std::uint64_t) * static_cast<unsigned long>(rows));
    return rows;
  }
  int found = 0;
  for (int i = 0; i < rows; ++i) {
    std::uint32_t cell = cells[i];
    MW_SCALAR(cell);
    out->row[found] = static_cast<std::uint32_t>(i);
    out->gap[found] = cell >> 1;
    out->key[found] = keys[i];
    found += static_cast<int>((cell & 1u) == 0) & static_cast<int>(cell < end_cell);
  }
  return found;
#endif
}

/// The fractions of `rows` rows from `first`.  kScaled: some gap needs a scale of its own.
template <class Value, bool kScaled>
MW_HD void fractions_of(GapRows const& all, int first, int rows, GridData const& grid, std::uint64_t* fractions) {
  using Keys = KeyOf<Value>;
  using Key = typename Keys::Key;
#ifdef MW_AVX512
  std::uint64_t lower[kGapStrip];
  double units[kGapStrip];
  rules_of(all.gap + first, rows, grid, lower, units);
#endif
  for (int i = 0; i < rows; ++i) {
    std::uint32_t gap = all.gap[first + i];
    Value x = Keys::value(static_cast<Key>(all.key[first + i]));
#ifdef MW_AVX512
    GapRule const rule{lower[i], units[i]};
#else
    MW_SCALAR(gap);
    GapRule const rule = grid.gaps[gap];
#endif
    if constexpr (kScaled) x *= grid.gap_scales[gap];
    fractions[i] = gap_offset(x, rule);
  }
}

template <class Value, bool kScaled>
void add_gaps_of(GapRows const& rows, int count, GridData const& grid, GapSums* out) {
  std::uint64_t low = out->low;
  std::uint64_t high = out->high;
  for (int i = 0; i < count; ++i) {
    low = rows.key[i] < low ? rows.key[i] : low;
    high = rows.key[i] > high ? rows.key[i] : high;
  }
  out->low = low;
  out->high = high;
  // Fractions before sums, a strip at a time: a load behind the store of a sum would wait to see whether that went there.
  for (int first = 0; first < count; first += kGapStrip) {
    int const n = count - first < kGapStrip ? count - first : kGapStrip;
    std::uint64_t fractions[kGapStrip];
    fractions_of<Value, kScaled>(rows, first, n, grid, fractions);
    for (int i = 0; i < n; ++i) {
      std::uint32_t gap = rows.gap[first + i];
      MW_SCALAR(gap);
      out->sums[gap] += fractions[i];
    }
  }
}

/// Calls of.template operator()<Value, kScaled>() for a grid's values.
template <class F>
MW_HD void with_gaps(GridData const& grid, F const& of) {
  switch (grid.domain) {
    case Domain::float32: return of.template operator()<float, false>();
    case Domain::float64:
      if (grid.gap_scales != nullptr) return of.template operator()<double, true>();
      return of.template operator()<double, false>();
    case Domain::int64: return of.template operator()<std::int64_t, false>();
    case Domain::uint64: return of.template operator()<std::uint64_t, false>();
  }
}

void add_gaps(GapRows const& rows, int count, GridData const& grid, GapSums* out) {
  with_gaps(grid, [&]<class Value, bool kScaled>() { add_gaps_of<Value, kScaled>(rows, count, grid, out); });
}

void gap_fractions(GapRows const& rows, int count, GridData const& grid, std::uint64_t* fractions) {
  with_gaps(grid, [&]<class Value, bool kScaled>() {
    for (int first = 0; first < count; first += kGapStrip)
      fractions_of<Value, kScaled>(rows, first, count - first < kGapStrip ? count - first : kGapStrip, grid, fractions + first);
  });
}

template <class Value>
void sketch_gaps_of(GapRows const& rows, int count, bool whole, std::uint32_t* buckets, std::uint64_t* hashes) {
  using Keys = KeyOf<Value>;
  using Key = typename Keys::Key;
  for (int i = 0; i < count; ++i) buckets[i] = bucket_of(static_cast<double>(Keys::value(static_cast<Key>(rows.key[i]))));
  if (whole) {
    for (int i = 0; i < count; ++i) hashes[i] = hash_whole(static_cast<double>(Keys::value(static_cast<Key>(rows.key[i]))));
    return;
  }
  for (int i = 0; i < count; ++i) hashes[i] = hashed_bits(Keys::value(static_cast<Key>(rows.key[i])));
  mix(hashes, count);
}

void sketch_gaps(GapRows const& rows, int count, Domain domain, bool whole, std::uint32_t* buckets, std::uint64_t* hashes) {
  switch (domain) {
    case Domain::float32: return sketch_gaps_of<float>(rows, count, whole, buckets, hashes);
    case Domain::float64: return sketch_gaps_of<double>(rows, count, whole, buckets, hashes);
    case Domain::int64: return sketch_gaps_of<std::int64_t>(rows, count, whole, buckets, hashes);
    case Domain::uint64: return sketch_gaps_of<std::uint64_t>(rows, count, whole, buckets, hashes);
  }
}

}  // namespace
}  // namespace modelwatch::cpu
