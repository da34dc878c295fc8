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
  std::uint32_t place[kRunStrip];        // of the counter, which is the gap's or that of bucket and gap
  std::uint64_t add[kRunStrip];          // to it
  std::uint64_t raising[kRunStrip + 8];  // hashes that may raise a register, but for their last step
  int raising_rows;
};

/// What a run reads of its grid, and what it gathers.
struct Run {
  GridData const& grid;
  RunCounters& out;
  std::uint64_t few;  // of the first bits of a hash, some one of which is set where it raises no register
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

/// Bytes that are not 0, of these.
MW_HD __mmask16 set_bytes(std::uint8_t const* bytes, __mmask16 lanes) {
  __m128i const all = _mm_maskz_loadu_epi8(lanes, bytes);
  return _mm_test_epi8_mask(all, all);
}

/// mixed_bits of eight, but for its last step: that changes none of the first 31 bits.
MW_HD __m512i nearly_mixed(__m512i bits) {
  auto const all = [](std::uint64_t x) { return _mm512_set1_epi64(static_cast<long long>(x)); };
  bits = _mm512_add_epi64(bits, all(kMixStep));
  bits = _mm512_mullo_epi64(_mm512_xor_si512(bits, _mm512_maskz_srli_epi64(0xff, bits, 30)), all(kMixFirst));
  return _mm512_mullo_epi64(_mm512_xor_si512(bits, _mm512_maskz_srli_epi64(0xff, bits, 27)), all(kMixSecond));
}
constexpr int kLastMixShift = 31;

/// Where the search of each of eight doubles begins, in the guide.
MW_HD __m256i guide_buckets(__m512d x, __m512i key, GridData const& grid) {
  auto const last = static_cast<std::int32_t>(grid.buckets - 1);
  if (grid.scale > 0) {
    __m512d const guess = _mm512_mul_pd(_mm512_sub_pd(x, _mm512_set1_pd(grid.origin)), _mm512_set1_pd(grid.scale));
    __m512d const capped = _mm512_maskz_min_pd(0xff, guess, _mm512_set1_pd(static_cast<double>(last)));
    return _mm512_maskz_cvttpd_epi32(0xff, _mm512_maskz_max_pd(0xff, capped, _mm512_setzero_pd()));
  }
  __m512i const first = _mm512_set1_epi64(static_cast<long long>(grid.first));
  __m512i const above = _mm512_maskz_sub_epi64(_mm512_cmpgt_epu64_mask(key, first), key, first);
  __m512i const piece = _mm512_maskz_srl_epi64(0xff, above, _mm_cvtsi32_si128(grid.shift));
  return _mm512_maskz_cvtepi64_epi32(0xff, _mm512_maskz_min_epu64(0xff, piece, _mm512_set1_epi64(last)));
}

/// The same of sixteen floats on a grid of floats.
MW_HD __m512i guide_buckets(__m512 x, __m512i key, GridData const& grid) {
  auto const last = static_cast<std::int32_t>(grid.buckets - 1);
  if (static_cast<float>(grid.scale) > 0) {
    __m512 const guess = _mm512_mul_ps(_mm512_sub_ps(x, _mm512_set1_ps(static_cast<float>(grid.origin))), _mm512_set1_ps(static_cast<float>(grid.scale)));
    __m512 const capped = _mm512_maskz_min_ps(0xffff, guess, _mm512_set1_ps(static_cast<float>(last)));
    return _mm512_maskz_cvttps_epi32(0xffff, _mm512_maskz_max_ps(0xffff, capped, _mm512_setzero_ps()));
  }
  __m512i const first = _mm512_set1_epi32(static_cast<int>(grid.first));
  __m512i const above = _mm512_maskz_sub_epi32(_mm512_cmpgt_epu32_mask(key, first), key, first);
  __m512i const piece = _mm512_maskz_srl_epi32(0xffff, above, _mm_cvtsi32_si128(grid.shift));
  return _mm512_maskz_min_epu32(0xffff, piece, _mm512_set1_epi32(last));
}

/// One halving of a search (GridRule::halved), and which of the keys met their knot.
MW_HD void halve(__m256i& below, __mmask8& hit, __m512i key, __mmask8 alive, std::uint32_t step, GridData const& grid) {
  __m512i const knot = _mm512_mask_i32gather_epi64(_mm512_setzero_si512(), alive, _mm256_slli_epi32(below, 2), &grid.records[step - 1].upper, 8);
  below = _mm256_mask_add_epi32(below, _mm512_mask_cmple_epu64_mask(alive, knot, key), below, _mm256_set1_epi32(static_cast<int>(step)));
  hit = static_cast<__mmask8>(hit | _mm512_mask_cmpeq_epu64_mask(alive, knot, key));
}
MW_HD void halve(__m512i& below, __mmask16& hit, __m512i key, __mmask16 alive, std::uint32_t step, GridData const& grid) {
  __m512i const knot = _mm512_mask_i32gather_epi32(_mm512_setzero_si512(), alive, _mm512_maskz_slli_epi32(0xffff, below, 3), &grid.records[step - 1].upper, 4);
  below = _mm512_mask_add_epi32(below, _mm512_mask_cmple_epu32_mask(alive, knot, key), below, _mm512_set1_epi32(static_cast<int>(step)));
  hit = static_cast<__mmask16>(hit | _mm512_mask_cmpeq_epu32_mask(alive, knot, key));
}

/// How many knots are at or below each of the keys of some vectors, and which of them are knots: GridRule::cell.  Side by
/// side, since each search is a chain of loads.
template <class Floats, class Lanes, class Below>
MW_HD void search_grid(Floats const (&x)[kSearches], __m512i const (&key)[kSearches], Lanes const (&alive)[kSearches], GridData const& grid,
                       Below (&below)[kSearches], Lanes (&hit)[kSearches]) {
#pragma GCC unroll 4
  for (int v = 0; v < kSearches; ++v) {
    below[v] = guided(grid, alive[v], guide_buckets(x[v], key[v], grid));
    hit[v] = 0;
  }
  for (std::uint32_t step = (1u << grid.steps) >> 1; step != 0; step >>= 1)
#pragma GCC unroll 4
    for (int v = 0; v < kSearches; ++v) halve(below[v], hit[v], key[v], alive[v], step, grid);
}

/// Rows on knots are few: they are counted one by one.
MW_HD void count_knots(std::uint32_t hit, std::uint32_t const* below, std::uint32_t* slots) {
  for (; hit != 0; hit &= hit - 1) ++slots[2 * below[__builtin_ctz(hit)] - 1];
}

/// Notes the buckets of rows that no window holds: seldom any.
MW_HD void note_outside(__m512i key, __mmask8 rows, RunCounters& out) {
  __m256i const bucket = _mm512_maskz_cvtepi64_epi32(0xff, _mm512_maskz_srli_epi64(0xff, key, 64 - kBucketBits));
  int const found = __builtin_popcount(rows);
  _mm256_mask_storeu_epi32(out.outside + out.outside_rows, static_cast<__mmask8>(first_lanes(found)), _mm256_maskz_compress_epi32(rows, bucket));
  out.outside_rows += found;
}

/// The counters of sixteen (eight) rows, and which of them the window holds.
MW_HD __m512i places_of(__m512i key, __m512i below, __mmask16 between, Run const& run, __mmask16* inside) {
  BucketWindow const& window = run.out.window;
  auto const gaps = run.grid.count + 1;
  auto const of_sign = [&](__mmask16 positive, std::uint32_t if_not, std::uint32_t if_so) {
    return _mm512_mask_blend_epi32(positive, _mm512_set1_epi32(static_cast<int>(if_not)), _mm512_set1_epi32(static_cast<int>(if_so)));
  };
  __mmask16 const positive = _mm512_movepi32_mask(key);
  __m512i const bucket = _mm512_maskz_srli_epi32(0xffff, key, kNarrowBucketShift);
  __m512i const at = _mm512_sub_epi32(bucket, of_sign(positive, window.first[0], window.first[1]));
  *inside = _mm512_mask_cmplt_epu32_mask(between, at, of_sign(positive, window.count[0], window.count[1]));
  __m512i const with = _mm512_add_epi32(at, of_sign(positive, gaps, gaps + window.count[0]));
  return _mm512_mask_add_epi32(below, *inside, below, with);
}
MW_HD __m256i places_of(__m512i key, __m256i below, __mmask8 between, Run const& run, __mmask8* inside) {
  BucketWindow const& window = run.out.window;
  auto const gaps = run.grid.count + 1;
  auto const of_sign = [&](__mmask8 positive, std::uint32_t if_not, std::uint32_t if_so) {
    return _mm256_mask_blend_epi32(positive, _mm256_set1_epi32(static_cast<int>(if_not)), _mm256_set1_epi32(static_cast<int>(if_so)));
  };
  __mmask8 const positive = _mm512_movepi64_mask(key);
  __m256i const bucket = _mm512_maskz_cvtepi64_epi32(0xff, _mm512_maskz_srli_epi64(0xff, key, 64 - kBucketBits));
  __m256i const at = _mm256_sub_epi32(bucket, of_sign(positive, window.first[0], window.first[1]));
  *inside = _mm256_mask_cmplt_epu32_mask(between, at, of_sign(positive, window.count[0], window.count[1]));
  __m256i const with = _mm256_add_epi32(at, of_sign(positive, gaps, gaps + window.count[0]));
  return _mm256_mask_add_epi32(below, *inside, below, with);
}

/// Keeps those of eight rows whose hash may raise a register.
MW_HD void hash_eight(__m512i key, __mmask8 between, Run const& run, RunStrip& strip) {
  strip.raising_rows += without_bits(nearly_mixed(key), between, run.few, strip.raising + strip.raising_rows);
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

/// What rows are, beside what they hold.
MW_HD void note_missing(int lanes, int whole, int alive, Run& run) {
  if (alive == lanes) return;
  run.null_rows += static_cast<std::uint64_t>(__builtin_popcount(static_cast<unsigned>(lanes & ~whole)));
  run.nan_rows += static_cast<std::uint64_t>(__builtin_popcount(static_cast<unsigned>(whole & ~alive)));
}

/// Rows of the grid's own type, as many as some vectors hold (fewer at the end of a column).
template <bool kSketches>
MW_HD void look_up(double const* values, int rows, std::uint8_t const* valid, Run& run, RunStrip& strip, int at) {
  __m512d x[kSearches];
  __m512i key[kSearches];
  __m256i below[kSearches];
  __mmask8 alive[kSearches], hit[kSearches];
#pragma GCC unroll 4
  for (int v = 0; v < kSearches; ++v) {
    __mmask8 const lanes = static_cast<__mmask8>(lanes_of(rows, 8 * v));
    __mmask8 const whole = static_cast<__mmask8>(valid == nullptr ? lanes : set_bytes(valid + 8 * v, lanes));
    x[v] = _mm512_maskz_loadu_pd(lanes, values + 8 * v);
    alive[v] = _mm512_mask_cmp_pd_mask(whole, x[v], x[v], _CMP_ORD_Q);
    key[v] = keys_of(x[v]);
    note_missing(lanes, whole, alive[v], run);
  }
  search_grid(x, key, alive, run.grid, below, hit);
#pragma GCC unroll 4
  for (int v = 0; v < kSearches; ++v) {
    int const to = at + 8 * v;
    __mmask8 const between = static_cast<__mmask8>(alive[v] & ~hit[v]);
    _mm512_storeu_si512(strip.add + to, added_to_gaps(x[v], below[v], between, run.grid));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(strip.gap + to), below[v]);
    if (hit[v] != 0) {
      count_knots(hit[v], strip.gap + to, run.out.slots);
      run.knot_rows += __builtin_popcount(hit[v]);
    }
    widen_range(key[v], between, run);
    if constexpr (kSketches) {
      __mmask8 inside;
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(strip.place + to), places_of(key[v], below[v], between, run, &inside));
      if (inside != between) note_outside(key[v], static_cast<__mmask8>(between & ~inside), run.out);
      hash_eight(key[v], between, run, strip);
    }
  }
}

template <bool kSketches>
MW_HD void look_up(float const* values, int rows, std::uint8_t const* valid, Run& run, RunStrip& strip, int at) {
  __m512 x[kSearches];
  __m512i key[kSearches], below[kSearches];
  __mmask16 alive[kSearches], hit[kSearches];
#pragma GCC unroll 4
  for (int v = 0; v < kSearches; ++v) {
    __mmask16 const lanes = lanes_of(rows, 16 * v);
    __mmask16 const whole = valid == nullptr ? lanes : set_bytes(valid + 16 * v, lanes);
    x[v] = _mm512_maskz_loadu_ps(lanes, values + 16 * v);
    alive[v] = _mm512_mask_cmp_ps_mask(whole, x[v], x[v], _CMP_ORD_Q);
    key[v] = keys_of(x[v]);
    note_missing(lanes, whole, alive[v], run);
  }
  search_grid(x, key, alive, run.grid, below, hit);
#pragma GCC unroll 4
  for (int v = 0; v < kSearches; ++v) {
    int const to = at + 16 * v;
    __mmask16 const between = static_cast<__mmask16>(alive[v] & ~hit[v]);
    _mm512_storeu_si512(strip.gap + to, below[v]);
    if (hit[v] != 0) {
      count_knots(hit[v], strip.gap + to, run.out.slots);
      run.knot_rows += __builtin_popcount(hit[v]);
    }
    run.low = _mm512_mask_min_epu32(run.low, between, run.low, key[v]);
    run.high = _mm512_mask_max_epu32(run.high, between, run.high, key[v]);
    __mmask16 inside = between;
    if constexpr (kSketches) _mm512_storeu_si512(strip.place + to, places_of(key[v], below[v], between, run, &inside));
    for (int half = 0; half < 16; half += 8) {
      __m512d const wide = half == 0 ? lower_half(x[v]) : upper_half(x[v]);
      __m256i const own = half == 0 ? _mm512_maskz_extracti32x8_epi32(0xff, below[v], 0) : _mm512_maskz_extracti32x8_epi32(0xff, below[v], 1);
      __mmask8 const some = static_cast<__mmask8>(between >> half);
      _mm512_storeu_si512(strip.add + to + half, added_to_gaps(wide, own, some, run.grid));
      if constexpr (kSketches) {
        if (inside != between) note_outside(keys_of(wide), static_cast<__mmask8>((between & ~inside) >> half), run.out);
        hash_eight(keys_of(wide), some, run, strip);
      }
    }
  }
}

/// Float32 values on a grid of doubles.
struct Widened {
  float const* values;
};
MW_HD Widened operator+(Widened from, int rows) { return {from.values + rows}; }
template <bool kSketches>
MW_HD void look_up(Widened from, int rows, std::uint8_t const* valid, Run& run, RunStrip& strip, int at) {
  double wide[8 * kSearches];
  for (int i = 0; i < rows; i += 16) {
    __m512 const x = _mm512_maskz_loadu_ps(first_lanes(rows - i), from.values + i);
    _mm512_storeu_pd(wide + i, lower_half(x));
    _mm512_storeu_pd(wide + i + 8, upper_half(x));
  }
  look_up<kSketches>(wide, rows, valid, run, strip, at);
}

/// How many rows are looked up at once.
template <class From>
constexpr int kRowsTogether = 8 * kSearches;
template <>
constexpr int kRowsTogether<float const*> = 16 * kSearches;

/// The strip that is a tile further on: what the next tile is read for first would wait for memory.
MW_HD void fetch_ahead(void const* bytes, int size) {
  for (int at = 0; at < size; at += 64) _mm_prefetch(static_cast<char const*>(bytes) + at, _MM_HINT_T0);
}
MW_HD void fetch_ahead(double const* values) { fetch_ahead(values, kRunStrip * static_cast<int>(sizeof *values)); }
MW_HD void fetch_ahead(float const* values) { fetch_ahead(values, kRunStrip * static_cast<int>(sizeof *values)); }
MW_HD void fetch_ahead(Widened from) { fetch_ahead(from.values); }

template <bool kSketches, class From>
MW_HD void count_run_of(From values, int rows, std::uint8_t const* valid, Run& run) {
  constexpr int kStep = kRowsTogether<From>;
  RunCounters& out = run.out;
  RunStrip strip;
  for (int first = 0; first < rows; first += kRunStrip) {
    int const n = rows - first < kRunStrip ? rows - first : kRunStrip;
    strip.raising_rows = 0;
    fetch_ahead(values + (first + kTileRows));
    for (int i = 0; i < n; i += kStep)
      look_up<kSketches>(values + (first + i), n - i < kStep ? n - i : kStep, valid == nullptr ? nullptr : valid + first + i, run, strip, i);
    std::uint32_t const* const places = kSketches ? strip.place : strip.gap;
    for (int i = 0; i < n; ++i) {
      std::uint32_t place = places[i];
      MW_SCALAR(place);
      out.gaps[place] += strip.add[i];
    }
    if constexpr (kSketches) {
      for (int i = 0; i < strip.raising_rows; ++i) strip.raising[i] ^= strip.raising[i] >> kLastMixShift;
      raise_all(strip.raising, strip.raising_rows, out.ranks);
    }
  }
}

template <bool kSketches>
int count_run_of(NumericView const& column, std::int64_t begin, int rows, GridData const& grid, std::uint8_t const* valid, RunCounters* out) {
  bool const narrow = grid.domain == Domain::float32;
  Run run{grid, *out, 0, _mm512_set1_epi64(-1), _mm512_setzero_si512()};
  if constexpr (kSketches) run.few = bits_of_few(out->ranks) & (~std::uint64_t{0} << (64 - kLastMixShift));
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
