// Rows of one group, ranked, counted, summed and sketched without leaving the registers in between: part of
// kernels.inl.hpp.  What other instruction sets do in passes over a tile; the same integers come out.

namespace modelwatch::cpu {
namespace {

/// Keys beyond two others: of the few tiles that have rows in a tail.
template <class Stored, class Value>
MW_HD int keys_beyond_of(Stored const* values, int rows, std::uint8_t const* valid, std::uint64_t below, std::uint64_t above,
                         std::uint64_t* keys) {
  int found = 0;
  for (int i = 0; i < rows; ++i) {
    Value const x = static_cast<Value>(values[i]);
    std::uint64_t const key = KeyOf<Value>::key(x);
    keys[found] = key;
    bool const there = !KeyOf<Value>::missing(x) && (valid == nullptr || valid[i] != 0);
    found += there && (key < below || key > above) ? 1 : 0;
  }
  return found;
}

int keys_beyond(NumericView const& column, std::int64_t begin, int rows, Domain domain, std::uint8_t const* valid, std::uint64_t below,
                std::uint64_t above, std::uint64_t* keys) {
  if (column.storage == Storage::float64)
    return keys_beyond_of<double, double>(static_cast<double const*>(column.values) + begin, rows, valid, below, above, keys);
  float const* const values = static_cast<float const*>(column.values) + begin;
  if (domain == Domain::float64) return keys_beyond_of<float, double>(values, rows, valid, below, above, keys);
  return keys_beyond_of<float, float>(values, rows, valid, below, above, keys);
}

#ifdef MW_AVX512

/// Rows that are looked up before any is counted: a load behind the store of a counter would wait to see where that went.
constexpr int kRunStrip = 64;

struct RunStrip {
  std::uint32_t gap[kRunStrip];
  std::uint64_t add[kRunStrip];    // to the gap's counter
  std::uint32_t place[kRunStrip];  // of the bucket's counter
  std::uint64_t raising[kRunStrip + 8];  // hashes that may raise a register
  int raising_rows;
};

/// What a run reads of its grid, and what it gathers.
struct Run {
  GridData const& grid;
  RunCounters& out;
  std::uint64_t few;  // the bits of a hash one of which is set where it raises no register
  __m512i low;
  __m512i high;
  std::uint64_t null_rows = 0;
  std::uint64_t nan_rows = 0;
  int knot_rows = 0;
};

/// KeyOf<double>::key and KeyOf<float>::key.
MW_HD __m512i keys_of(__m512d x) {
  __m512i const sign = _mm512_set1_epi64(static_cast<long long>(KeyOf<double>::kSign));
  __m512i const raw = _mm512_castpd_si512(x);
  __m512i const bits = _mm512_maskz_mov_epi64(_mm512_cmpneq_epi64_mask(raw, sign), raw);
  return _mm512_xor_si512(bits, _mm512_or_si512(_mm512_maskz_srai_epi64(0xff, bits, 63), sign));
}
MW_HD __m512i keys_of(__m512 x) {
  __m512i const sign = _mm512_set1_epi32(static_cast<int>(KeyOf<float>::kSign));
  __m512i const raw = _mm512_castps_si512(x);
  __m512i const bits = _mm512_maskz_mov_epi32(_mm512_cmpneq_epi32_mask(raw, sign), raw);
  return _mm512_xor_si512(bits, _mm512_or_si512(_mm512_maskz_srai_epi32(0xffff, bits, 31), sign));
}

MW_HD __m512d lower_half(__m512 x) { return _mm512_maskz_cvtps_pd(0xff, _mm512_maskz_extractf32x8_ps(0xff, x, 0)); }
MW_HD __m512d upper_half(__m512 x) { return _mm512_maskz_cvtps_pd(0xff, _mm512_maskz_extractf32x8_ps(0xff, x, 1)); }

MW_HD std::uint64_t least_of(__m512i x) {
  std::uint64_t each[8];
  _mm512_storeu_si512(each, x);
  for (int i = 1; i < 8; ++i) each[0] = each[i] < each[0] ? each[i] : each[0];
  return each[0];
}
MW_HD std::uint64_t most_of(__m512i x) { return ~least_of(_mm512_xor_si512(x, _mm512_set1_epi64(-1))); }
MW_HD __m512i lower_words(__m512i x) { return _mm512_and_si512(x, _mm512_set1_epi64(0xffffffffll)); }
MW_HD __m512i upper_words(__m512i x) { return _mm512_maskz_srli_epi64(0xff, x, 32); }

/// Bytes that are not 0.
MW_HD __mmask16 set_bytes(std::uint8_t const* bytes, int rows) {
  __m128i const all = _mm_maskz_loadu_epi8(first_lanes(rows), bytes);
  return _mm_test_epi8_mask(all, all);
}

/// mixed_bits of eight.
MW_HD __m512i mixed(__m512i bits) {
  auto const all = [](std::uint64_t x) { return _mm512_set1_epi64(static_cast<long long>(x)); };
  bits = _mm512_add_epi64(bits, all(kMixStep));
  bits = _mm512_mullo_epi64(_mm512_xor_si512(bits, _mm512_maskz_srli_epi64(0xff, bits, 30)), all(kMixFirst));
  bits = _mm512_mullo_epi64(_mm512_xor_si512(bits, _mm512_maskz_srli_epi64(0xff, bits, 27)), all(kMixSecond));
  return _mm512_xor_si512(bits, _mm512_maskz_srli_epi64(0xff, bits, 31));
}

/// How many knots are at or below each of eight doubles, and which of them are knots: GridRule::cell.
MW_HD __m256i knots_below(__m512d x, __m512i key, __mmask8 alive, GridData const& grid, __mmask8* hit) {
  __m512i const none = _mm512_setzero_si512();
  auto const last = static_cast<std::int32_t>(grid.buckets - 1);
  __m256i bucket;
  if (grid.scale > 0) {
    __m512d const guess = _mm512_mul_pd(_mm512_sub_pd(x, _mm512_set1_pd(grid.origin)), _mm512_set1_pd(grid.scale));
    __m512d const capped = _mm512_maskz_min_pd(0xff, guess, _mm512_set1_pd(static_cast<double>(last)));
    bucket = _mm512_maskz_cvttpd_epi32(0xff, _mm512_maskz_max_pd(0xff, capped, _mm512_setzero_pd()));
  } else {
    __m512i const first = _mm512_set1_epi64(static_cast<long long>(grid.first));
    __m512i const above = _mm512_maskz_sub_epi64(_mm512_cmpgt_epu64_mask(key, first), key, first);
    __m512i const piece = _mm512_maskz_srl_epi64(0xff, above, _mm_cvtsi32_si128(grid.shift));
    bucket = _mm512_maskz_cvtepi64_epi32(0xff, _mm512_maskz_min_epu64(0xff, piece, _mm512_set1_epi64(last)));
  }
  __m256i below = guided(grid, alive, bucket);
  *hit = 0;
  for (std::uint32_t step = (1u << grid.steps) >> 1; step != 0; step >>= 1) {
    __m512i const knot = _mm512_mask_i32gather_epi64(none, alive, _mm256_slli_epi32(below, 2), &grid.records[step - 1].upper, 8);
    below = _mm256_mask_add_epi32(below, _mm512_mask_cmple_epu64_mask(alive, knot, key), below, _mm256_set1_epi32(static_cast<int>(step)));
    *hit = static_cast<__mmask8>(*hit | _mm512_mask_cmpeq_epu64_mask(alive, knot, key));
  }
  return below;
}

/// The same of sixteen floats on a grid of floats.
MW_HD __m512i knots_below(__m512 x, __m512i key, __mmask16 alive, GridData const& grid, __mmask16* hit) {
  __m512i const none = _mm512_setzero_si512();
  auto const last = static_cast<std::int32_t>(grid.buckets - 1);
  __m512i bucket;
  if (static_cast<float>(grid.scale) > 0) {
    __m512 const guess = _mm512_mul_ps(_mm512_sub_ps(x, _mm512_set1_ps(static_cast<float>(grid.origin))), _mm512_set1_ps(static_cast<float>(grid.scale)));
    __m512 const capped = _mm512_maskz_min_ps(0xffff, guess, _mm512_set1_ps(static_cast<float>(last)));
    bucket = _mm512_maskz_cvttps_epi32(0xffff, _mm512_maskz_max_ps(0xffff, capped, _mm512_setzero_ps()));
  } else {
    __m512i const first = _mm512_set1_epi32(static_cast<int>(grid.first));
    __m512i const above = _mm512_maskz_sub_epi32(_mm512_cmpgt_epu32_mask(key, first), key, first);
    __m512i const piece = _mm512_maskz_srl_epi32(0xffff, above, _mm_cvtsi32_si128(grid.shift));
    bucket = _mm512_maskz_min_epu32(0xffff, piece, _mm512_set1_epi32(last));
  }
  __m512i below = guided(grid, alive, bucket);
  *hit = 0;
  for (std::uint32_t step = (1u << grid.steps) >> 1; step != 0; step >>= 1) {
    __m512i const knot = _mm512_mask_i32gather_epi32(none, alive, _mm512_maskz_slli_epi32(0xffff, below, 3), &grid.records[step - 1].upper, 4);
    below = _mm512_mask_add_epi32(below, _mm512_mask_cmple_epu32_mask(alive, knot, key), below, _mm512_set1_epi32(static_cast<int>(step)));
    *hit = static_cast<__mmask16>(*hit | _mm512_mask_cmpeq_epu32_mask(alive, knot, key));
  }
  return below;
}

/// Rows on knots are few: they are counted one by one.
MW_HD void count_knots(std::uint32_t hit, std::uint32_t const* below, std::uint32_t* slots) {
  for (; hit != 0; hit &= hit - 1) ++slots[2 * below[__builtin_ctz(hit)] - 1];
}

/// The log-linear bucket and the hash of eight rows: add_to_sketch.
MW_HD void sketch_eight(__m512i key, __mmask8 between, Run& run, RunStrip& strip, std::uint32_t* place) {
  RunCounters& out = run.out;
  __m256i const bucket = _mm512_maskz_cvtepi64_epi32(0xff, _mm512_maskz_srli_epi64(0xff, key, 64 - kBucketBits));
  __m256i const page = _mm256_sub_epi32(_mm256_srli_epi32(bucket, kBucketPageBits), _mm256_set1_epi32(static_cast<int>(out.pages.first)));
  __mmask8 const there = _mm256_mask_cmplt_epu32_mask(between, page, _mm256_set1_epi32(static_cast<int>(out.pages.count)));
  __m256i const begin = _mm256_mmask_i32gather_epi32(_mm256_setzero_si256(), there, page, reinterpret_cast<int const*>(out.pages.begin), 4);
  __m256i const within = _mm256_and_si256(bucket, _mm256_set1_epi32(kBucketPage - 1));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(place), _mm256_add_epi32(begin, within));
  __mmask8 const missed = _mm256_mask_testn_epi32_mask(between, begin, begin);
  if (missed != 0) {
    _mm256_mask_storeu_epi32(out.without_page + out.without_pages, static_cast<__mmask8>(first_lanes(__builtin_popcount(missed))), _mm256_maskz_compress_epi32(missed, bucket));
    out.without_pages += __builtin_popcount(missed);
  }
  __m512i const hash = mixed(key);
  strip.raising_rows += without_bits(hash, between, run.few, strip.raising + strip.raising_rows);
}

/// What is added to the gaps of eight rows between knots.
MW_HD __m512i added_to_gaps(__m512d x, __m256i below, __mmask8 between, GridData const& grid) {
  __m512d const zero = _mm512_setzero_pd();
  __m256i const at = _mm256_slli_epi32(below, 2);
  __m512d const lower = _mm512_mask_i32gather_pd(zero, between, at, &grid.records->rule.lower, 8);
  __m512d const units = _mm512_mask_i32gather_pd(zero, between, at, &grid.records->rule.units_per_width, 8);
  __m512d const offset = _mm512_add_pd(_mm512_mul_pd(_mm512_sub_pd(x, lower), units), _mm512_set1_pd(0.5));
  __m512i const one = _mm512_set1_epi64(1ll << RunCounters::kSumBits);
  return _mm512_maskz_add_epi64(between, _mm512_maskz_cvttpd_epi64(between, offset), one);
}

MW_HD void widen_range(__m512i key, __mmask8 between, Run& run) {
  run.low = _mm512_mask_min_epu64(run.low, between, run.low, key);
  run.high = _mm512_mask_max_epu64(run.high, between, run.high, key);
}

/// Sixteen rows (fewer at the end of a column) of the grid's own type.
template <bool kSketches>
MW_HD void look_up(double const* values, int rows, __mmask16 valid, Run& run, RunStrip& strip, int at) {
  for (int half = 0; half < 16; half += 8) {
    __mmask8 const lanes = static_cast<__mmask8>(first_lanes(rows) >> half);
    __mmask8 const whole = static_cast<__mmask8>(lanes & (valid >> half));
    __m512d const x = _mm512_maskz_loadu_pd(lanes, values + half);
    __mmask8 const alive = _mm512_mask_cmp_pd_mask(whole, x, x, _CMP_ORD_Q);
    __m512i const key = keys_of(x);
    __mmask8 hit;
    __m256i const below = knots_below(x, key, alive, run.grid, &hit);
    __mmask8 const between = static_cast<__mmask8>(alive & ~hit);
    _mm512_storeu_si512(strip.add + at + half, added_to_gaps(x, below, between, run.grid));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(strip.gap + at + half), below);
    if (hit != 0) {
      count_knots(hit, strip.gap + at + half, run.out.slots);
      run.knot_rows += __builtin_popcount(hit);
    }
    if (alive != lanes) {
      run.null_rows += static_cast<std::uint64_t>(__builtin_popcount(lanes & ~whole));
      run.nan_rows += static_cast<std::uint64_t>(__builtin_popcount(whole & ~alive));
    }
    widen_range(key, between, run);
    if constexpr (kSketches) sketch_eight(key, between, run, strip, strip.place + at + half);
  }
}

template <bool kSketches>
MW_HD void look_up(float const* values, int rows, __mmask16 valid, Run& run, RunStrip& strip, int at) {
  __mmask16 const lanes = first_lanes(rows);
  __mmask16 const whole = static_cast<__mmask16>(lanes & valid);
  __m512 const x = _mm512_maskz_loadu_ps(lanes, values);
  __mmask16 const alive = _mm512_mask_cmp_ps_mask(whole, x, x, _CMP_ORD_Q);
  __m512i const key = keys_of(x);
  __mmask16 hit;
  __m512i const below = knots_below(x, key, alive, run.grid, &hit);
  __mmask16 const between = static_cast<__mmask16>(alive & ~hit);
  _mm512_storeu_si512(strip.gap + at, below);
  if (hit != 0) {
    count_knots(hit, strip.gap + at, run.out.slots);
    run.knot_rows += __builtin_popcount(hit);
  }
  if (alive != lanes) {
    run.null_rows += static_cast<std::uint64_t>(__builtin_popcount(lanes & ~whole));
    run.nan_rows += static_cast<std::uint64_t>(__builtin_popcount(whole & ~alive));
  }
  run.low = _mm512_mask_min_epu32(run.low, between, run.low, key);
  run.high = _mm512_mask_max_epu32(run.high, between, run.high, key);
  for (int half = 0; half < 16; half += 8) {
    __m512d const wide = half == 0 ? lower_half(x) : upper_half(x);
    __m256i const own = half == 0 ? _mm512_maskz_extracti32x8_epi32(0xff, below, 0) : _mm512_maskz_extracti32x8_epi32(0xff, below, 1);
    __mmask8 const some = static_cast<__mmask8>(between >> half);
    _mm512_storeu_si512(strip.add + at + half, added_to_gaps(wide, own, some, run.grid));
    if constexpr (kSketches) sketch_eight(keys_of(wide), some, run, strip, strip.place + at + half);
  }
}

/// Float32 values on a grid of doubles.
struct Widened {
  float const* values;
};
MW_HD Widened operator+(Widened from, int rows) { return {from.values + rows}; }
template <bool kSketches>
MW_HD void look_up(Widened from, int rows, __mmask16 valid, Run& run, RunStrip& strip, int at) {
  double wide[16];
  __m512 const x = _mm512_maskz_loadu_ps(first_lanes(rows), from.values);
  _mm512_storeu_pd(wide, lower_half(x));
  _mm512_storeu_pd(wide + 8, upper_half(x));
  look_up<kSketches>(wide, rows, valid, run, strip, at);
}

template <bool kSketches, class From>
MW_HD void count_run_of(From values, int rows, std::uint8_t const* valid, Run& run) {
  RunCounters& out = run.out;
  RunStrip strip;
  for (int first = 0; first < rows; first += kRunStrip) {
    int const n = rows - first < kRunStrip ? rows - first : kRunStrip;
    strip.raising_rows = 0;
    for (int i = 0; i < n; i += 16) {
      __mmask16 const whole = valid == nullptr ? __mmask16{0xffff} : set_bytes(valid + first + i, n - i);
      look_up<kSketches>(values + (first + i), n - i, whole, run, strip, i);
    }
    for (int i = 0; i < n; ++i) {
      std::uint32_t gap = strip.gap[i];
      MW_SCALAR(gap);
      out.gaps[gap] += strip.add[i];
    }
    if constexpr (kSketches) {
      for (int i = 0; i < n; ++i) {
        std::uint32_t place = strip.place[i];
        MW_SCALAR(place);
        ++out.buckets[place];
      }
      raise_all(strip.raising, strip.raising_rows, out.ranks);
    }
  }
}

template <bool kSketches>
int count_run_of(NumericView const& column, std::int64_t begin, int rows, GridData const& grid, std::uint8_t const* valid, RunCounters* out) {
  bool const narrow = grid.domain == Domain::float32;
  Run run{grid, *out, 0, _mm512_set1_epi64(-1), _mm512_setzero_si512()};
  if constexpr (kSketches) run.few = bits_of_few(out->ranks);
  if (column.storage == Storage::float64)
    count_run_of<kSketches>(static_cast<double const*>(column.values) + begin, rows, valid, run);
  else if (narrow)
    count_run_of<kSketches>(static_cast<float const*>(column.values) + begin, rows, valid, run);
  else
    count_run_of<kSketches>(Widened{static_cast<float const*>(column.values) + begin}, rows, valid, run);
  out->slots[2 * grid.count + 1] += static_cast<std::uint32_t>(run.nan_rows);
  out->slots[2 * grid.count + 2] += static_cast<std::uint32_t>(run.null_rows);
  // Without rows in gaps the ends of keys of 32 bits are those of keys of 64.
  std::uint64_t const low = least_of(narrow ? _mm512_maskz_min_epu64(0xff, lower_words(run.low), upper_words(run.low)) : run.low);
  std::uint64_t const high = most_of(narrow ? _mm512_maskz_max_epu64(0xff, lower_words(run.high), upper_words(run.high)) : run.high);
  if (low <= high) {
    out->low = low < out->low ? low : out->low;
    out->high = high > out->high ? high : out->high;
  }
  return run.knot_rows;
}

int count_run(NumericView const& column, std::int64_t begin, int rows, GridData const& grid, std::uint8_t const* valid, RunCounters* out) {
  if (out->ranks == nullptr) return count_run_of<false>(column, begin, rows, grid, valid, out);
  return count_run_of<true>(column, begin, rows, grid, valid, out);
}

#else

int count_run(NumericView const&, std::int64_t, int, GridData const&, std::uint8_t const*, RunCounters*) { return 0; }

#endif

}  // namespace
}  // namespace modelwatch::cpu
