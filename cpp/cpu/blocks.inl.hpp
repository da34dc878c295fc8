// Rows of some groups of a stretch of tiles, group by group: part of kernels.inl.hpp.

namespace modelwatch::cpu {
namespace {

MW_HD bool has(ShortRow const& row, std::uint32_t what) { return (row.slot >> RowBlock::kSlotBits & what) != 0; }

/// The moments of a tile's rows of one group, of which `first` is the first.
MW_HD Moments moments_of_tile(RowBlock const& block, int first, int end) {
  int next = first + 1;
  while (next < end && has(block.rows[next], RowBlock::kBehind) && !has(block.rows[next], RowBlock::kFirst)) ++next;
  ShortRow const* const rows = block.rows + first;
  ShortKeys const keys = block.keys;
  return moments_of_some(
      next - first, [=](int i) { return keys.value(rows[i].key); }, [=](int i) { return !has(rows[i], RowBlock::kUnusable); },
      [=](int i) { return static_cast<int>(rows[i].slot >> RowBlock::kSlotBits & RowBlock::kLane); });
}

#ifdef MW_AVX512

/// The slots of a group's rows, 16 bits each.
MW_HD void list_slots(ShortRow const* rows, int count, std::uint8_t* list) {
  __m512i const odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
  for (int i = 0; i < count; i += 16) {
    __mmask16 const lanes = first_lanes(count - i);
    __m512i const a = _mm512_maskz_loadu_epi64(static_cast<__mmask8>(lanes), rows + i);
    __m512i const b = _mm512_maskz_loadu_epi64(static_cast<__mmask8>(lanes >> 8), rows + i + 8);
    _mm256_mask_storeu_epi16(list + 2 * i, lanes, _mm512_maskz_cvtepi32_epi16(0xffff, _mm512_permutex2var_epi32(a, odd, b)));
  }
}

/// Moments::merge with one value in each of these lanes: what is multiplied by its count or added to its sums of powers, which
/// are 0, is left out.  No sum is -0.0, and a group without values has sums of 0.0, so that goes for its first value too: its
/// square is finite.
MW_HD void merge_values(WideMoments& a, __mmask8 lanes, __m512d x) {
  __m512d const one = _mm512_set1_pd(1.0);
  __m512d const na = a.count;
  __m512d const n = _mm512_add_pd(na, one);
  __m512d const delta = _mm512_sub_pd(x, a.mean);
  __m512d const ratio = _mm512_div_pd(delta, n);
  __m512d const square = _mm512_mul_pd(ratio, ratio);
  __m512d const cross = _mm512_mul_pd(_mm512_mul_pd(delta, ratio), na);
  __m512d const fourth = _mm512_mul_pd(_mm512_mul_pd(cross, square), _mm512_add_pd(_mm512_sub_pd(_mm512_mul_pd(na, na), na), one));
  __m512d const of_m2 = _mm512_mul_pd(_mm512_mul_pd(_mm512_set1_pd(6.0), square), a.m2);
  __m512d const of_m3 = _mm512_mul_pd(_mm512_mul_pd(_mm512_set1_pd(4.0), ratio), a.m3);
  __m512d const third = _mm512_mul_pd(_mm512_mul_pd(cross, ratio), _mm512_sub_pd(na, one));
  __m512d const m2_in_m3 = _mm512_mul_pd(_mm512_mul_pd(_mm512_set1_pd(3.0), ratio), a.m2);
  a.count = _mm512_mask_mov_pd(na, lanes, n);
  a.mean = _mm512_mask_add_pd(a.mean, lanes, a.mean, ratio);
  a.m4 = _mm512_mask_sub_pd(a.m4, lanes, _mm512_add_pd(_mm512_add_pd(a.m4, fourth), of_m2), of_m3);
  a.m3 = _mm512_mask_sub_pd(a.m3, lanes, _mm512_add_pd(a.m3, third), m2_in_m3);
  a.m2 = _mm512_mask_add_pd(a.m2, lanes, a.m2, cross);
}

/// ShortKeys::value of sixteen keys.
template <bool kFloats>
MW_HD void values_of(__m512i key, __m512d pivot, __m512d& x, __m512d& y) {
  __m512i const sign = _mm512_set1_epi32(static_cast<int>(ShortKeys::kSign));
  if constexpr (kFloats) {
    __m512i const negative = _mm512_sub_epi32(_mm512_maskz_srli_epi32(0xffff, key, 31), _mm512_set1_epi32(1));
    __m512 const value = _mm512_castsi512_ps(_mm512_xor_si512(key, _mm512_or_si512(negative, sign)));
    x = _mm512_maskz_cvtps_pd(0xff, _mm512_maskz_extractf32x8_ps(0xff, value, 0));
    y = _mm512_maskz_cvtps_pd(0xff, _mm512_maskz_extractf32x8_ps(0xff, value, 1));
  } else {
    __m512i const value = _mm512_xor_si512(key, sign);
    x = _mm512_sub_pd(_mm512_maskz_cvtepi32_pd(0xff, _mm512_maskz_extracti32x8_epi32(0xff, value, 0)), pivot);
    y = _mm512_sub_pd(_mm512_maskz_cvtepi32_pd(0xff, _mm512_maskz_extracti32x8_epi32(0xff, value, 1)), pivot);
  }
}

/// moments_of_some of one or two values, the second only in some lanes.  They are never -0.0.
MW_HD void moments_of_pairs(__mmask8 first, __mmask8 second, __m512d x, __m512d y, WideMoments& out) {
  __m512d const zero = _mm512_setzero_pd();
  __m512d const half = _mm512_set1_pd(0.5);
  __m512d const one = _mm512_set1_pd(1.0);
  __mmask8 const both = static_cast<__mmask8>(first & second);
  out.count = _mm512_mask_add_pd(_mm512_maskz_mov_pd(static_cast<__mmask8>(first | second), one), both, one, one);
  __m512d const mean = _mm512_mul_pd(_mm512_add_pd(x, y), half);
  out.mean = _mm512_mask_mov_pd(_mm512_mask_mov_pd(_mm512_maskz_mov_pd(first, x), static_cast<__mmask8>(second & ~first), y), both, mean);
  __m512d const d = _mm512_sub_pd(x, mean);
  __m512d const e = _mm512_sub_pd(y, mean);
  __m512d const dd = _mm512_mul_pd(d, d);
  __m512d const ee = _mm512_mul_pd(e, e);
  __m512d const rest = _mm512_add_pd(_mm512_add_pd(zero, d), e);
  out.m2 = _mm512_maskz_sub_pd(both, _mm512_add_pd(dd, ee), _mm512_mul_pd(_mm512_mul_pd(rest, rest), half));
  out.m3 = _mm512_maskz_add_pd(both, _mm512_add_pd(zero, _mm512_mul_pd(dd, d)), _mm512_mul_pd(ee, e));
  out.m4 = _mm512_maskz_add_pd(both, _mm512_mul_pd(dd, dd), _mm512_mul_pd(ee, ee));
}

/// Goes through the rows of sixteen groups side by side, one of each at a step.
template <bool kMoments, bool kFloats>
MW_HD void fold_block(RowBlock& block) {
  static_assert(RowBlock::kGroups == 16 && kLanesTogether == 8 && sizeof(ShortRow) == 8);
  __m512i const none = _mm512_setzero_si512();
  __m512i at = _mm512_loadu_si512(block.begin);
  __m512i const end = _mm512_loadu_si512(block.end);
  __m512i low = _mm512_set1_epi32(-1);
  __m512i high = none;
  WideMoments a, b;
  if constexpr (kMoments) load_wide(block.moments, 0, a), load_wide(block.moments, 8, b);
  __m512d const pivot = _mm512_set1_pd(block.keys.pivot);
  auto const mask_of = [](std::uint32_t what) { return _mm512_set1_epi32(static_cast<int>(what << RowBlock::kSlotBits)); };
  for (;;) {
    __mmask16 const active = _mm512_cmplt_epi32_mask(at, end);
    if (active == 0) break;
    __m512i const key = _mm512_mask_i32gather_epi32(none, active, at, &block.rows->key, 8);
    __m512i const slot = _mm512_mask_i32gather_epi32(none, active, at, &block.rows->slot, 8);
    __mmask16 const ranked = _mm512_mask_testn_epi32_mask(active, slot, mask_of(RowBlock::kUnranked));
    low = _mm512_mask_min_epu32(low, ranked, low, key);
    high = _mm512_mask_max_epu32(high, ranked, high, key);
    if constexpr (kMoments) {
      __mmask16 const used = _mm512_mask_testn_epi32_mask(active, slot, mask_of(RowBlock::kUnusable | RowBlock::kBehind));
      __mmask16 const several = _mm512_test_epi32_mask(slot, mask_of(RowBlock::kFirst));
      __m512d x, y;
      values_of<kFloats>(key, pivot, x, y);
      if (several == 0) {
        merge_values(a, static_cast<__mmask8>(used), x);
        merge_values(b, static_cast<__mmask8>(used >> 8), y);
      } else {
        // Most tiles with several rows of a group have two.
        __mmask16 const pairs = _mm512_mask_testn_epi32_mask(several, slot, mask_of(RowBlock::kBehind));
        __m512i const next = _mm512_add_epi32(at, _mm512_set1_epi32(1));
        __m512i const next_slot = _mm512_mask_i32gather_epi32(none, pairs, next, &block.rows->slot, 8);
        __mmask16 const next_used = _mm512_mask_testn_epi32_mask(pairs, next_slot, mask_of(RowBlock::kUnusable));
        __m512d next_x, next_y;
        values_of<kFloats>(_mm512_mask_i32gather_epi32(none, pairs, next, &block.rows->key, 8), pivot, next_x, next_y);
        WideMoments tile, other;
        moments_of_pairs(static_cast<__mmask8>(used), static_cast<__mmask8>(next_used), x, next_x, tile);
        moments_of_pairs(static_cast<__mmask8>(used >> 8), static_cast<__mmask8>(next_used >> 8), y, next_y, other);
        if (__mmask16 const more = static_cast<__mmask16>(several & ~pairs); more != 0) {
          int places[RowBlock::kGroups];
          _mm512_storeu_si512(places, at);
          MomentRow tiles;
          put_wide(tile, 0, tiles), put_wide(other, 8, tiles);
          for (std::uint32_t left = more; left != 0; left &= left - 1) {
            int const g = __builtin_ctz(left);
            Moments const own = moments_of_tile(block, places[g], block.end[g]);
            tiles.count[g] = static_cast<double>(own.count);
            tiles.mean[g] = own.mean;
            tiles.m2[g] = own.m2;
            tiles.m3[g] = own.m3;
            tiles.m4[g] = own.m4;
          }
          load_wide(tiles, 0, tile), load_wide(tiles, 8, other);
        }
        merge_wide(a, tile);
        merge_wide(b, other);
      }
    }
    at = _mm512_add_epi32(at, _mm512_set1_epi32(1));
  }
  _mm512_storeu_si512(block.low, low);
  _mm512_storeu_si512(block.high, high);
  if constexpr (kMoments) put_wide(a, 0, block.moments), put_wide(b, 8, block.moments);
}

void count_block(RowBlock* block, bool moments) {
  for (int g = 0; g < block->groups; ++g)
    if (block->list[g] != nullptr) list_slots(block->rows + block->begin[g], block->end[g] - block->begin[g], block->list[g]);
  if (!moments)
    fold_block<false, true>(*block);
  else if (block->keys.floats)
    fold_block<true, true>(*block);
  else
    fold_block<true, false>(*block);
}

#else

void count_block(RowBlock* block, bool moments) {
  MomentRow steps[RowBlock::kMostRows];
  int most = 0;
  for (int g = 0; g < RowBlock::kGroups; ++g) {
    int const rows = block->end[g] - block->begin[g];
    most = most < rows ? rows : most;
  }
  if (moments) __builtin_memset(steps, 0, static_cast<unsigned long>(most) * sizeof(MomentRow));  // 0.0 is all zeros
  for (int g = 0; g < RowBlock::kGroups; ++g) {
    int const end = block->end[g];
    std::uint8_t* list = block->list[g];
    std::uint32_t low = ~std::uint32_t{0};
    std::uint32_t high = 0;
    int step = 0;
    for (int i = block->begin[g]; i < end; ++i) {
      ShortRow const row = block->rows[i];
      if (list != nullptr) {
        std::uint16_t const slot = static_cast<std::uint16_t>(row.slot);
        __builtin_memcpy(list, &slot, sizeof slot);
        list += sizeof slot;
      }
      bool const ranked = !has(row, RowBlock::kUnranked);
      low = ranked && row.key < low ? row.key : low;
      high = ranked && row.key > high ? row.key : high;
      if (!moments || (has(row, RowBlock::kBehind) && !has(row, RowBlock::kFirst))) continue;
      if (has(row, RowBlock::kFirst)) {
        Moments const own = moments_of_tile(*block, i, end);
        steps[step].count[g] = static_cast<double>(own.count);
        steps[step].mean[g] = own.mean;
        steps[step].m2[g] = own.m2;
        steps[step].m3[g] = own.m3;
        steps[step].m4[g] = own.m4;
      } else if (!has(row, RowBlock::kUnusable)) {
        steps[step].count[g] = 1.0;
        steps[step].mean[g] = block->keys.value(row.key) + 0.0;
      }
      ++step;
    }
    block->low[g] = low;
    block->high[g] = high;
  }
  if (moments) fold_moments(steps, most, &block->moments);
}

#endif

}  // namespace
}  // namespace modelwatch::cpu
