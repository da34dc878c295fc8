// Where AVX-512 beats what the compiler makes of the plain loops: part of kernels.inl.hpp.  Look-ups in tables, which
// other instruction sets do one by one; rows kept together by a mask.  The same integers and the same bits come out.

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
#define MW_AVX512 1
#include <immintrin.h>

namespace modelwatch::cpu {
namespace {

MW_HD __mmask16 first_lanes(int n) { return static_cast<__mmask16>(n >= 16 ? 0xffffu : (1u << n) - 1u); }

/// Guides are looked up sixteen (eight) buckets at a time; of those of 16 bits two are loaded and one is kept, so one
/// more follows the last.
MW_HD __m512i guided(GridData const& grid, __mmask16 lanes, __m512i buckets) {
  __m512i const none = _mm512_setzero_si512();
  if (grid.near_guide == nullptr) return _mm512_mask_i32gather_epi32(none, lanes, buckets, grid.guide, 4);
  return _mm512_and_si512(_mm512_mask_i32gather_epi32(none, lanes, buckets, grid.near_guide, 2), _mm512_set1_epi32(0xffff));
}
MW_HD __m256i guided(GridData const& grid, __mmask8 lanes, __m256i buckets) {
  __m256i const none = _mm256_setzero_si256();
  if (grid.near_guide == nullptr) return _mm256_mmask_i32gather_epi32(none, lanes, buckets, grid.guide, 4);
  return _mm256_and_si256(_mm256_mmask_i32gather_epi32(none, lanes, buckets, reinterpret_cast<int const*>(grid.near_guide), 2),
                          _mm256_set1_epi32(0xffff));
}

/// Vectors of rows that are searched for side by side: a search is a chain of loads, and of chains one after the other a
/// core has little more than one under way.
constexpr int kSearches = 4;

/// How many of sixteen (eight) rows from the i-th of them on there are.
MW_HD __mmask16 lanes_of(int rows, int first) { return rows > first ? first_lanes(rows - first) : __mmask16{0}; }

/// GridRule::cell of every row, sixteen at a time.  A key that is a knot meets it on the way: the last halving that moves the
/// search compares with the knot before its end, and knots of earlier buckets equal no key of this one.
MW_HD void cells_of(GridRule<float> const& rule, GridData const& grid, std::uint32_t const* buckets, std::uint32_t const* keys, int rows,
                    std::uint32_t* cells) {
  __m512i const none = _mm512_setzero_si512();
  for (int i = 0; i < rows; i += 16 * kSearches) {
    __m512i key[kSearches], below[kSearches];
    __mmask16 lanes[kSearches], hit[kSearches];
#pragma GCC unroll 4
    for (int v = 0; v < kSearches; ++v) {
      lanes[v] = lanes_of(rows, i + 16 * v);
      key[v] = _mm512_maskz_loadu_epi32(lanes[v], keys + i + 16 * v);
      below[v] = guided(grid, lanes[v], _mm512_maskz_loadu_epi32(lanes[v], buckets + i + 16 * v));
      hit[v] = 0;
    }
    for (std::uint32_t step = (1u << rule.steps) >> 1; step != 0; step >>= 1)
#pragma GCC unroll 4
      for (int v = 0; v < kSearches; ++v) {
        __m512i const knot = _mm512_mask_i32gather_epi32(none, lanes[v], below[v], rule.knots + (step - 1), 4);
        below[v] = _mm512_mask_add_epi32(below[v], _mm512_cmple_epu32_mask(knot, key[v]), below[v], _mm512_set1_epi32(static_cast<int>(step)));
        hit[v] = static_cast<__mmask16>(hit[v] | _mm512_cmpeq_epu32_mask(knot, key[v]));
      }
#pragma GCC unroll 4
    for (int v = 0; v < kSearches; ++v) {
      __m512i const cell = _mm512_add_epi32(below[v], below[v]);
      _mm512_mask_storeu_epi32(cells + i + 16 * v, lanes[v], _mm512_mask_sub_epi32(cell, hit[v], cell, _mm512_set1_epi32(1)));
    }
  }
}

/// The same of keys of 64 bits, eight at a time.
template <class Value>
MW_HD void cells_of(GridRule<Value> const& rule, GridData const& grid, std::uint32_t const* buckets, std::uint64_t const* keys, int rows,
                    std::uint32_t* cells) {
  __m512i const none = _mm512_setzero_si512();
  __m256i const one = _mm256_set1_epi32(1);
  for (int i = 0; i < rows; i += 8 * kSearches) {
    __m512i key[kSearches];
    __m256i below[kSearches];
    __mmask8 lanes[kSearches], hit[kSearches];
#pragma GCC unroll 4
    for (int v = 0; v < kSearches; ++v) {
      lanes[v] = static_cast<__mmask8>(lanes_of(rows, i + 8 * v));
      key[v] = _mm512_maskz_loadu_epi64(lanes[v], keys + i + 8 * v);
      below[v] = guided(grid, lanes[v], _mm256_maskz_loadu_epi32(lanes[v], buckets + i + 8 * v));
      hit[v] = 0;
    }
    for (std::uint32_t step = (1u << rule.steps) >> 1; step != 0; step >>= 1)
#pragma GCC unroll 4
      for (int v = 0; v < kSearches; ++v) {
        __m512i const knot = _mm512_mask_i32gather_epi64(none, lanes[v], below[v], rule.knots + (step - 1), 8);
        below[v] = _mm256_mask_add_epi32(below[v], _mm512_cmple_epu64_mask(knot, key[v]), below[v], _mm256_set1_epi32(static_cast<int>(step)));
        hit[v] = static_cast<__mmask8>(hit[v] | _mm512_cmpeq_epu64_mask(knot, key[v]));
      }
#pragma GCC unroll 4
    for (int v = 0; v < kSearches; ++v) {
      if constexpr (!KeyOf<Value>::kLowestIsKnot) {
        // The largest integer is not below the padding, which is equal to it.
        below[v] = _mm256_min_epu32(below[v], _mm256_set1_epi32(static_cast<int>(rule.count)));
        __mmask8 const some = _mm256_mask_test_epi32_mask(lanes[v], below[v], below[v]);
        hit[v] = _mm512_mask_cmpeq_epu64_mask(some, _mm512_mask_i32gather_epi64(none, some, _mm256_sub_epi32(below[v], one), rule.knots, 8), key[v]);
      }
      __m256i const cell = _mm256_add_epi32(below[v], below[v]);
      _mm256_mask_storeu_epi32(cells + i + 8 * v, lanes[v], _mm256_mask_sub_epi32(cell, hit[v], cell, one));
    }
  }
}

/// gap_rows: what a mask keeps goes to the front of a vector, which is stored whole; the next one is stored over the rest.
MW_HD int gap_rows_together(std::uint32_t const* cells, std::uint64_t const* keys, int rows, std::uint32_t end_cell, GapRows* out) {
  static_assert(kTileRows % 16 == 0);
  __m512i const end = _mm512_set1_epi32(static_cast<int>(end_cell));
  __m512i row = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  int found = 0;
  for (int i = 0; i < rows; i += 16) {
    __mmask16 const lanes = first_lanes(rows - i);
    __m512i const cell = _mm512_maskz_loadu_epi32(lanes, cells + i);
    __mmask16 const even = _mm512_mask_testn_epi32_mask(lanes, cell, _mm512_set1_epi32(1));
    __mmask16 const kept = _mm512_mask_cmplt_epu32_mask(even, cell, end);
    if (kept != 0) {
      __mmask8 const first = static_cast<__mmask8>(kept);
      __mmask8 const second = static_cast<__mmask8>(kept >> 8);
      int const of_first = __builtin_popcount(first);
      _mm512_storeu_si512(out->row + found, _mm512_maskz_compress_epi32(kept, row));
      _mm512_storeu_si512(out->gap + found, _mm512_maskz_compress_epi32(kept, _mm512_maskz_srli_epi32(kept, cell, 1)));
      _mm512_storeu_si512(out->key + found, _mm512_maskz_compress_epi64(first, _mm512_maskz_loadu_epi64(first, keys + i)));
      _mm512_storeu_si512(out->key + found + of_first, _mm512_maskz_compress_epi64(second, _mm512_maskz_loadu_epi64(second, keys + i + 8)));
      found += of_first + __builtin_popcount(second);
    }
    row = _mm512_add_epi32(row, _mm512_set1_epi32(16));
  }
  return found;
}

/// narrow_entries, sixteen counters at a time, in the manner of gap_rows_together.
MW_HD int narrow_entries_together(std::uint8_t const* counters, std::uint32_t slots, std::uint16_t* cells, std::uint8_t* counts) {
  static_assert(kEntryRoom >= 16);
  __m512i slot = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  int found = 0;
  for (std::uint32_t i = 0; i < slots; i += 16) {
    __m128i const own = _mm_maskz_loadu_epi8(first_lanes(static_cast<int>(slots - i)), counters + i);
    __mmask16 const kept = _mm_test_epi8_mask(own, own);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(cells + found), _mm512_maskz_cvtepi32_epi16(0xffff, _mm512_maskz_compress_epi32(kept, slot)));
    __m512i const count = _mm512_maskz_compress_epi32(kept, _mm512_maskz_cvtepu8_epi32(0xffff, own));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(counts + found), _mm512_maskz_cvtepi32_epi8(0xffff, count));
    found += __builtin_popcount(kept);
    slot = _mm512_add_epi32(slot, _mm512_set1_epi32(16));
  }
  return found;
}

/// The cells that differ from one; returns how many.
MW_HD int others_together(std::uint32_t cell, std::uint32_t const* cells, int rows, std::uint32_t* others) {
  __m512i const same = _mm512_set1_epi32(static_cast<int>(cell));
  int found = 0;
  for (int i = 0; i < rows; i += 16) {
    __mmask16 const lanes = first_lanes(rows - i);
    __m512i const here = _mm512_maskz_loadu_epi32(lanes, cells + i);
    __mmask16 const kept = _mm512_mask_cmpneq_epu32_mask(lanes, here, same);
    _mm512_storeu_si512(others + found, _mm512_maskz_compress_epi32(kept, here));
    found += __builtin_popcount(kept);
  }
  return found;
}

/// The rules of up to 64 gaps, taken apart.
MW_HD void rules_of(std::uint32_t const* gaps, int rows, GridData const& grid, std::uint64_t* lower, double* units) {
  static_assert(sizeof(GapRule) == 16);
  for (int i = 0; i < rows; i += 8) {
    __mmask8 const lanes = static_cast<__mmask8>(first_lanes(rows - i < 8 ? rows - i : 8));
    __m256i const at = _mm256_slli_epi32(_mm256_maskz_loadu_epi32(lanes, gaps + i), 1);
    _mm512_storeu_si512(lower + i, _mm512_mask_i32gather_epi64(_mm512_setzero_si512(), lanes, at, &grid.gaps->lower, 8));
    _mm512_storeu_pd(units + i, _mm512_mask_i32gather_pd(_mm512_setzero_pd(), lanes, at, &grid.gaps->units_per_width, 8));
  }
}

/// Where the counters of sixteen log-linear buckets are; false where one has none yet.
MW_HD bool places_of(std::uint32_t const* buckets, BucketPages const& pages, std::uint32_t (&out)[16]) {
  __m512i const bucket = _mm512_loadu_si512(buckets);
  __m512i const page = _mm512_sub_epi32(_mm512_maskz_srli_epi32(0xffff, bucket, kBucketPageBits), _mm512_set1_epi32(static_cast<int>(pages.first)));
  __mmask16 const there = _mm512_cmplt_epu32_mask(page, _mm512_set1_epi32(static_cast<int>(pages.count)));
  __m512i const begin = _mm512_mask_i32gather_epi32(_mm512_setzero_si512(), there, page, pages.begin, 4);
  _mm512_storeu_si512(out, _mm512_add_epi32(begin, _mm512_and_si512(bucket, _mm512_set1_epi32(kBucketPage - 1))));
  asm("" : "+m"(out));  // from memory each place is one load; out of the vector it would be three instructions
  return _mm512_testn_epi32_mask(begin, begin) == 0;
}

/// Puts those of eight hashes that have none of these bits together, and returns how many they are.  Without a branch:
/// which they are could not be foretold.
MW_HD int without_bits(__m512i hashes, __mmask8 lanes, std::uint64_t mask, std::uint64_t* out) {
  __mmask8 const kept = _mm512_mask_testn_epi64_mask(lanes, hashes, _mm512_set1_epi64(static_cast<long long>(mask)));
  _mm512_storeu_si512(out, _mm512_maskz_compress_epi64(kept, hashes));
  return __builtin_popcount(kept);
}

}  // namespace
}  // namespace modelwatch::cpu
#endif
