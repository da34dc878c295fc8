// Histograms of few cuts: pairs of rows counted at once, and with AVX-512 a search by halving.  Part of kernels.inl.hpp.

#include <cstdint>

#include "core/macros.hpp"
#include "cpu/bin_data.hpp"
#include "cpu/ordered.hpp"

#if defined(__AVX2__)
namespace modelwatch::cpu {
namespace {

/// Four pairs at a time are read at once: loads and stores are what the loop waits for.
template <int kRows>
MW_HD void count_pairs(std::uint64_t const* pairs, std::uint32_t* counters) {
  for (int i = 0; i < kRows / 8; ++i) {
    std::uint64_t const four = pairs[i];
    ++counters[four & 0xffff];
    ++counters[kPairs + ((four >> 16) & 0xffff)];
    ++counters[(four >> 32) & 0xffff];
    ++counters[kPairs + (four >> 48)];
  }
}

}  // namespace
}  // namespace modelwatch::cpu
#endif

#ifdef MW_AVX512

namespace modelwatch::cpu {
namespace {

/// Rows whose pairs fill one vector: eight words of four pairs.
constexpr int kSearchRows = 64;

/// Bytes from a row to those fetched while it is searched: without, 8 million float32 took half as long again.
constexpr int kAhead = 4096;

/// The keys of Ordered<Stored>, sixteen of 32 bits or eight of 64.
MW_HD __m512i search_keys(float const* x) {
  __m512i const b = _mm512_loadu_si512(x);
  return _mm512_xor_si512(b, _mm512_maskz_srli_epi32(0xffff, _mm512_maskz_srai_epi32(0xffff, b, 31), 1));
}
MW_HD __m512i search_keys(double const* x) {
  __m512i const b = _mm512_loadu_si512(x);
  return _mm512_xor_si512(b, _mm512_maskz_srli_epi64(0xff, _mm512_maskz_srai_epi64(0xff, b, 63), 1));
}
MW_HD __m128i sixteen_bytes(void const* x) { return _mm_loadu_si128(static_cast<__m128i const*>(x)); }
MW_HD __m256i thirty_two_bytes(void const* x) { return _mm256_loadu_si256(static_cast<__m256i const*>(x)); }
MW_HD __m512i search_keys(std::int8_t const* x) { return _mm512_maskz_cvtepi8_epi32(0xffff, sixteen_bytes(x)); }
MW_HD __m512i search_keys(std::uint8_t const* x) { return _mm512_maskz_cvtepu8_epi32(0xffff, sixteen_bytes(x)); }
MW_HD __m512i search_keys(std::int16_t const* x) { return _mm512_maskz_cvtepi16_epi32(0xffff, thirty_two_bytes(x)); }
MW_HD __m512i search_keys(std::uint16_t const* x) { return _mm512_maskz_cvtepu16_epi32(0xffff, thirty_two_bytes(x)); }
MW_HD __m512i search_keys(std::int32_t const* x) { return _mm512_loadu_si512(x); }
MW_HD __m512i search_keys(std::uint32_t const* x) { return _mm512_maskz_cvtepu32_epi64(0xff, thirty_two_bytes(x)); }
MW_HD __m512i search_keys(std::int64_t const* x) { return _mm512_loadu_si512(x); }
MW_HD __m512i search_keys(std::uint64_t const* x) {
  return _mm512_xor_si512(_mm512_loadu_si512(x), _mm512_set1_epi64(static_cast<long long>(std::uint64_t{1} << 63)));
}

/// Paths of the rows of a vector, as BinSearch tells them.
template <class Key>
struct Halving;

template <>
struct Halving<std::int32_t> {
  static constexpr int kLanes = 16;
  __m512i first, second, third, fourth, fifth, sixth;

  explicit MW_HD Halving(BinSearch const& search) {
    auto const narrow = [&](int step) {
      std::int32_t cuts[16];
      for (int i = 0; i < 16; ++i) cuts[i] = static_cast<std::int32_t>(search.cuts[step][i]);
      return _mm512_loadu_si512(cuts);
    };
    first = narrow(0);
    second = _mm512_set1_epi32(static_cast<int>(search.cuts[1][0]));
    third = _mm512_set1_epi32(static_cast<int>(search.cuts[1][1]));
    fourth = narrow(2);
    fifth = narrow(3);
    sixth = narrow(4);
  }

  MW_HD __m512i paths(__m512i keys) const {
    __mmask16 const half = _mm512_cmpge_epi32_mask(keys, first);
    __m512i path = _mm512_maskz_set1_epi32(half, 1);
    auto const step = [&](__m512i cut, int answer) {
      path = _mm512_mask_or_epi32(path, _mm512_cmpge_epi32_mask(keys, cut), path, _mm512_set1_epi32(answer));
    };
    step(_mm512_mask_blend_epi32(half, second, third), 2);
    step(_mm512_maskz_permutexvar_epi32(0xffff, path, fourth), 4);
    step(_mm512_maskz_permutexvar_epi32(0xffff, path, fifth), 8);
    step(_mm512_maskz_permutexvar_epi32(0xffff, path, sixth), 16);
    return path;
  }

  /// The pairs of 64 rows.
  template <class Stored>
  MW_HD __m512i pairs(Stored const* x) const {
    auto const of = [&](int i) { return paths(search_keys(x + i * kLanes)); };
    auto const pair = [](__m512i a, __m512i b) { return _mm512_or_si512(a, _mm512_maskz_slli_epi32(0xffff, b, 6)); };
    return _mm512_or_si512(pair(of(0), of(1)), _mm512_maskz_slli_epi32(0xffff, pair(of(2), of(3)), 16));
  }
};

template <>
struct Halving<std::int64_t> {
  static constexpr int kLanes = 8;
  __m512i first, second, third, fourth, fifth, sixth, seventh;

  explicit MW_HD Halving(BinSearch const& search)
      : first(_mm512_loadu_si512(search.cuts[0])),
        second(_mm512_set1_epi64(search.cuts[1][0])),
        third(_mm512_set1_epi64(search.cuts[1][1])),
        fourth(_mm512_loadu_si512(search.cuts[2])),
        fifth(_mm512_loadu_si512(search.cuts[3])),
        sixth(_mm512_loadu_si512(search.cuts[4])),
        seventh(_mm512_loadu_si512(search.cuts[4] + 8)) {}

  MW_HD __m512i paths(__m512i keys) const {
    __mmask8 const half = _mm512_cmpge_epi64_mask(keys, first);
    __m512i path = _mm512_maskz_set1_epi64(half, 1);
    auto const step = [&](__m512i cut, int answer) {
      path = _mm512_mask_or_epi64(path, _mm512_cmpge_epi64_mask(keys, cut), path, _mm512_set1_epi64(answer));
    };
    step(_mm512_mask_blend_epi64(half, second, third), 2);
    step(_mm512_maskz_permutexvar_epi64(0xff, path, fourth), 4);
    step(_mm512_maskz_permutexvar_epi64(0xff, path, fifth), 8);
    step(_mm512_permutex2var_epi64(sixth, path, seventh), 16);
    return path;
  }

  template <class Stored>
  MW_HD __m512i pairs(Stored const* x) const {
    auto const pair = [&](int i) {
      __m512i const second_row = paths(search_keys(x + (i + 1) * kLanes));
      return _mm512_or_si512(paths(search_keys(x + i * kLanes)), _mm512_maskz_slli_epi64(0xff, second_row, 6));
    };
    auto const two = [&](int i) { return _mm512_or_si512(pair(i), _mm512_maskz_slli_epi64(0xff, pair(i + 2), 16)); };
    return _mm512_or_si512(two(0), _mm512_maskz_slli_epi64(0xff, two(4), 32));
  }
};

/// Counts a whole number of kSearchRows rows.
template <class Stored>
void count_searched(Stored const* values, std::int64_t rows, BinSearch const& search, std::uint32_t* counters) {
  Halving<typename Ordered<Stored>::Key> const halving(search);
  // The pairs of one round are counted while the next ones are searched.
  alignas(64) std::uint64_t pairs[2][kSearchRows / 8];
  std::int64_t const rounds = rows / kSearchRows;
  for (std::int64_t round = 0; round < rounds; ++round) {
    char const* const ahead = reinterpret_cast<char const*>(values + round * kSearchRows) + kAhead;
    for (int line = 0; line < kSearchRows * static_cast<int>(sizeof(Stored)); line += 64) __builtin_prefetch(ahead + line);
    _mm512_store_si512(pairs[round & 1], halving.pairs(values + round * kSearchRows));
    if (round > 0) count_pairs<kSearchRows>(pairs[(round - 1) & 1], counters);
  }
  if (rounds > 0) count_pairs<kSearchRows>(pairs[(rounds - 1) & 1], counters);
}

}  // namespace
}  // namespace modelwatch::cpu
#endif
