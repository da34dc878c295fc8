// Moments of the groups of a tile whose rows are in some hundred of them: part of kernels.inl.hpp.

namespace modelwatch::cpu {
namespace {

/// The first four powers of a row's deviation, side by side: what a place holds is added to another's at once.
typedef double FourPowers __attribute__((vector_size(32)));

/// Rows of no value are 0.0; -0.0 is 0.0 in sums that begin at 0.0, and so it is here.
MW_HD void values_in_order(double const* values, GroupedTile const& by, int rows, double* out) {
  for (int p = 0; p < rows; ++p) out[p] = values[by.order[p]] + 0.0;
}

/// kAll: all rows are usable.
template <bool kAll>
MW_HD void powers_in_order(double const* values, std::uint64_t const* usable, double const* mean, GroupedTile const& by, int rows, FourPowers* out) {
  int p = 0;
#ifdef MW_AVX512
  __m512i const first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
  __m512i const second = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
  for (; p + 8 <= rows; p += 8) {
    __m256i const row = _mm256_maskz_cvtepu16_epi32(0xff, _mm_loadu_si128(reinterpret_cast<__m128i const*>(by.order + p)));
    __m256i const group = _mm256_maskz_cvtepu16_epi32(0xff, _mm_loadu_si128(reinterpret_cast<__m128i const*>(by.group + p)));
    __m512d const zero = _mm512_setzero_pd();
    __m512d const x = _mm512_mask_i32gather_pd(zero, 0xff, row, values, 8);
    __mmask8 used = 0xff;
    if constexpr (!kAll) {
      __m512i const bits = _mm512_mask_i32gather_epi64(_mm512_setzero_si512(), 0xff, row, usable, 8);
      used = _mm512_test_epi64_mask(bits, bits);
    }
    __m512d const d = _mm512_maskz_sub_pd(used, x, _mm512_mask_i32gather_pd(zero, 0xff, group, mean, 8));
    __m512d const square = _mm512_mul_pd(d, d);
    __m512d const cube = _mm512_add_pd(_mm512_mul_pd(square, d), zero);
    __m512d const fourth = _mm512_mul_pd(square, square);
    __m512d const one = _mm512_add_pd(d, zero);
    __m512d const even = _mm512_maskz_unpacklo_pd(0xff, one, square);
    __m512d const odd = _mm512_maskz_unpackhi_pd(0xff, one, square);
    __m512d const more_even = _mm512_maskz_unpacklo_pd(0xff, cube, fourth);
    __m512d const more_odd = _mm512_maskz_unpackhi_pd(0xff, cube, fourth);
    __m512d const even_first = _mm512_permutex2var_pd(even, first, more_even);  // rows 0 and 2
    __m512d const odd_first = _mm512_permutex2var_pd(odd, first, more_odd);     // 1 and 3
    __m512d const even_second = _mm512_permutex2var_pd(even, second, more_even);
    __m512d const odd_second = _mm512_permutex2var_pd(odd, second, more_odd);
    double* const to = reinterpret_cast<double*>(out + p);
    _mm512_storeu_pd(to, _mm512_maskz_shuffle_f64x2(0xff, even_first, odd_first, 0x44));
    _mm512_storeu_pd(to + 8, _mm512_maskz_shuffle_f64x2(0xff, even_first, odd_first, 0xee));
    _mm512_storeu_pd(to + 16, _mm512_maskz_shuffle_f64x2(0xff, even_second, odd_second, 0x44));
    _mm512_storeu_pd(to + 24, _mm512_maskz_shuffle_f64x2(0xff, even_second, odd_second, 0xee));
  }
#endif
  for (; p < rows; ++p) {
    bool const used = kAll || usable[by.order[p]] != 0;
    double const d = used ? values[by.order[p]] - mean[by.group[p]] : 0.0;
    double const square = d * d;
    out[p] = FourPowers{d + 0.0, square, square * d + 0.0, square * square};
  }
}

/// Adds what places hold to others, in the order of the tree.
template <class Held>
MW_HD void add_in_order(GroupedTile const& by, Held* held) {
  for (int i = 0; i < by.add_count; ++i) held[by.adds[2 * i]] += held[by.adds[2 * i + 1]];
}

/// How many usable rows each group has.
MW_HD void counts_of(std::uint64_t const* usable, GroupedTile const& by, int rows, double* counts) {
  for (int g = 0; g < by.groups; ++g) counts[g] = usable != nullptr ? 0.0 : static_cast<double>(by.begin[g + 1] - by.begin[g]);
  if (usable == nullptr) return;
  for (int p = 0; p < rows; ++p) counts[by.group[p]] += usable[by.order[p]] != 0 ? 1.0 : 0.0;
}

void moments_grouped(double const* values, std::uint64_t const* usable, GroupedTile const& by, MomentRow* into) {
  int const rows = by.begin[by.groups];
  double counts[GroupedTile::kMostGroups];
  double means[GroupedTile::kMostGroups];
  double x[kTileRows + 1];
  alignas(64) FourPowers held[kTileRows + 1];
  counts_of(usable, by, rows, counts);
  values_in_order(values, by, rows, x);
  x[rows] = 0.0;  // where groups without rows begin
  held[rows] = FourPowers{};
  add_in_order(by, x);
  for (int g = 0; g < by.groups; ++g) means[g] = counts[g] != 0.0 ? x[by.begin[g]] / counts[g] : 0.0;
  if (usable == nullptr)
    powers_in_order<true>(values, usable, means, by, rows, held);
  else
    powers_in_order<false>(values, usable, means, by, rows, held);
  add_in_order(by, held);
  double const* const sums = reinterpret_cast<double const*>(held);
  for (int first = 0; first < by.groups; first += MomentRow::kGroups) {
    MomentRow step;
    int const some = by.groups - first < MomentRow::kGroups ? by.groups - first : MomentRow::kGroups;
    if (some < MomentRow::kGroups) __builtin_memset(&step, 0, sizeof step);  // 0.0 is all zeros
    for (int i = 0; i < some; ++i) {
      double const n = counts[first + i];
      int const at = 4 * by.begin[first + i];
      double const rest = sums[at];
      step.count[i] = n;
      step.mean[i] = means[first + i];
      step.m2[i] = sums[at + 1] - (n != 0.0 ? rest * rest / n : 0.0);
      step.m3[i] = sums[at + 2];
      step.m4[i] = sums[at + 3];
    }
    fold_moments(&step, 1, into + first / MomentRow::kGroups);
  }
}

}  // namespace
}  // namespace modelwatch::cpu
