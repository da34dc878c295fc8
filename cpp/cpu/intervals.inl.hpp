// Keys, and the pieces of intervals they lie in: part of kernels.inl.hpp.

namespace modelwatch::cpu {
namespace {

/// Keys of the rows that have a value, in a domain that the storage fits.
int key_tile(NumericView const& column, std::int64_t begin, int rows, Domain domain, std::uint8_t const* valid, std::uint64_t* keys) {
  return with_rows(column, begin, [=]<class Stored>(Stored const* values) {
    auto const as = [=]<class Value>(Value) {
      return each_value(values, rows, valid, keys, [](Stored x) { return static_cast<std::uint64_t>(KeyOf<Value>::key(static_cast<Value>(x))); });
    };
    if constexpr (static_cast<Stored>(0.5) != Stored{0}) {
      if constexpr (sizeof(Stored) == 8) return as(Stored{});
      if (domain == Domain::float64) return as(double{});
      return as(Stored{});
    } else if constexpr (static_cast<Stored>(-1) > Stored{0} && sizeof(Stored) == 8) {
      return as(std::uint64_t{});
    } else {
      if (domain == Domain::float64) return as(double{});
      return as(std::int64_t{});
    }
  });
}

/// The counters of keys, places.none for those in no interval.
void split_keys(std::uint64_t const* keys, int count, IntervalPlaces const& places, std::uint32_t* counters) {
  std::uint64_t const inner = places.shift == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << places.shift) - 1;
  for (int i = 0; i < count; ++i) {
    std::uint64_t prefix = (places.shift == 64 ? 0 : keys[i] >> places.shift) - places.least;
    prefix = prefix < places.count ? prefix : places.count;
#ifndef MW_AVX512
    MW_SCALAR(prefix);
#endif
    std::uint32_t const at = places.first[prefix];
    auto const counter = static_cast<std::uint32_t>((std::uint64_t{at} << places.split) + ((keys[i] & inner) >> places.piece));
    counters[i] = at == kNoInterval ? places.none : counter;
  }
}

#ifdef MW_AVX512

int filter_keys(std::uint64_t const* keys, int count, KeyFilter const& filter, std::uint64_t* out) {
  __m128i const shift = _mm_cvtsi32_si128(filter.shift);  // by 64 leaves 0
  __m512i const ratio = _mm512_set1_epi64(static_cast<long long>(kGoldenRatio));
  __m256i const low = _mm256_set1_epi32(31);
  int found = 0;
  for (int i = 0; i < count; i += 8) {
    __mmask8 const lanes = static_cast<__mmask8>(lanes_of(count, i));
    __m512i const key = _mm512_maskz_loadu_epi64(lanes, keys + i);
    __m512i const mixed = _mm512_mullo_epi64(_mm512_maskz_srl_epi64(0xff, key, shift), ratio);
    __m256i const place = _mm512_maskz_cvtepi64_epi32(0xff, _mm512_maskz_srli_epi64(0xff, mixed, 64 - KeyFilter::kPlaceBits));
    __m256i const word = _mm256_mmask_i32gather_epi32(_mm256_setzero_si256(), lanes, _mm256_srli_epi32(place, 5), filter.bits, 4);
    __m256i const bit = _mm256_sllv_epi32(_mm256_set1_epi32(1), _mm256_and_si256(place, low));
    __mmask8 const let = _mm256_mask_test_epi32_mask(lanes, word, bit);
    int const through = __builtin_popcount(let);
    _mm512_mask_storeu_epi64(out + found, static_cast<__mmask8>(first_lanes(through)), _mm512_maskz_compress_epi64(let, key));
    found += through;
  }
  return found;
}

#else

int filter_keys(std::uint64_t const* keys, int count, KeyFilter const& filter, std::uint64_t* out) {
  std::uint32_t let[kTileRows];
  for (int i = 0; i < count; ++i) {
    std::uint64_t const prefix = filter.shift == 64 ? 0 : keys[i] >> filter.shift;
    std::uint64_t place = prefix * kGoldenRatio >> (64 - KeyFilter::kPlaceBits);
    MW_SCALAR(place);
    let[i] = filter.bits[place / 32] >> (place % 32) & 1u;
  }
  int found = 0;
  for (int i = 0; i < count; ++i) {
    out[found] = keys[i];
    found += static_cast<int>(let[i]);
  }
  return found;
}

#endif

}  // namespace
}  // namespace modelwatch::cpu
