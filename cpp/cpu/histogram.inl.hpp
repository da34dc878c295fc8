// The histogram kernels.  Included by kernels.inl.hpp, and the same holds: no standard library, every function static.

#include <cstdint>

#include "core/key.hpp"
#include "core/views.hpp"
#include "cpu/bin_data.hpp"
#include "cpu/ordered.hpp"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#if defined(__clang__)
#define MW_OUTLINE __attribute__((noinline))
#else
// A clone for the 32 rows of a lookup makes GCC 12 warn of iterations that there are not.
#define MW_OUTLINE __attribute__((noinline, noclone))
#endif

namespace modelwatch::cpu {
namespace {

/// Rows whose buckets are guessed together, in vectors, before one loop counts them.
constexpr int kBinBlock = 512;

/// Not inlined: it has several callers, and one of them must stay small.
template <class Stored, Guess kGuess>
MW_OUTLINE void count_guided(Stored const* values, Validity const& validity, std::int64_t begin, int rows,
                                                  BinGuide const& guide, std::uint32_t* tables) {
  using Order = Ordered<Stored>;
  using Key = typename Order::Key;
  Key const* const cuts = static_cast<Key const*>(guide.cuts);
  auto const origin = static_cast<typename Order::Wide>(guide.origin);
  float const scale = guide.scale;
  float const last = static_cast<float>(guide.buckets) - 0.5f;
  float const beyond = static_cast<float>(guide.buckets) + 0.5f;
  Key keys[kBinBlock];
  std::int32_t buckets[kBinBlock];
  for (int i = 0; i < rows; ++i) {
    Stored const x = values[i];
    keys[i] = Order::key(x);
    float t = placed<Stored, kGuess>(x, origin, scale);
    t = t > 0.5f ? t : 0.5f;
    t = t < last ? t : last;
    t = x == x ? t : beyond;
    buckets[i] = static_cast<std::int32_t>(t);
  }
  if (validity.bits != nullptr)
    for (int i = 0; i < rows; ++i) buckets[i] = validity.valid(begin + i) ? buckets[i] : guide.buckets + 1;
  int const slots = guide.slots();
  std::uint32_t* const table[kBinTables] = {tables, tables + slots, tables + 2 * slots, tables + 3 * slots};
  auto const slot = [&](int i) { return 2 * buckets[i] + static_cast<std::int32_t>(keys[i] >= cuts[buckets[i]]); };
  int i = 0;
  for (; i + kBinTables <= rows; i += kBinTables) {
    ++table[0][slot(i)];
    ++table[1][slot(i + 1)];
    ++table[2][slot(i + 2)];
    ++table[3][slot(i + 3)];
  }
  for (; i < rows; ++i) ++table[0][slot(i)];
}

#if defined(__AVX2__)

/// The slot of one value that is not null.
template <class Stored, Guess kGuess>
MW_HD std::int32_t guided_slot(Stored x, BinGuide const& guide) {
  using Order = Ordered<Stored>;
  if (!(x == x)) return 2 * guide.buckets;
  float t = placed<Stored, kGuess>(x, static_cast<typename Order::Wide>(guide.origin), guide.scale);
  t = t > 0.5f ? t : 0.5f;
  float const last = static_cast<float>(guide.buckets) - 0.5f;
  auto const bucket = static_cast<std::int32_t>(t < last ? t : last);
  auto const cut = static_cast<typename Order::Key const*>(guide.cuts)[bucket];
  return 2 * bucket + static_cast<std::int32_t>(Order::key(x) >= cut);
}

/// Eight times what `looked_up` gives.
template <class Stored, Guess kGuess>
struct EightSteps {
  typename Ordered<Stored>::Wide scale, shift;
  MW_HD __m256 operator()(Stored const* x) const {
    float out[8];
    for (int i = 0; i < 8; ++i) out[i] = looked_up<Stored, kGuess>(x[i], scale, shift);
    return _mm256_loadu_ps(out);
  }
};
template <>
struct EightSteps<float, Guess::value> {
  float scale, shift;
  MW_HD __m256 operator()(float const* x) const {
    return _mm256_fmadd_ps(_mm256_loadu_ps(x), _mm256_set1_ps(scale), _mm256_set1_ps(shift));
  }
};
template <>
struct EightSteps<float, Guess::bits> {
  float scale, shift;
  MW_HD __m256 operator()(float const* x) const {
    __m256i const b = _mm256_loadu_si256(reinterpret_cast<__m256i const*>(x));
    __m256i const flip = _mm256_srli_epi32(_mm256_srai_epi32(b, 31), 1);
    return _mm256_fmadd_ps(_mm256_cvtepi32_ps(_mm256_xor_si256(b, flip)), _mm256_set1_ps(scale), _mm256_set1_ps(shift));
  }
};
template <>
struct EightSteps<double, Guess::value> {
  double scale, shift;
  MW_HD __m256 operator()(double const* x) const {
    auto const four = [&](double const* at) {
      return _mm256_cvtpd_ps(_mm256_fmadd_pd(_mm256_loadu_pd(at), _mm256_set1_pd(scale), _mm256_set1_pd(shift)));
    };
    return _mm256_set_m128(four(x + 4), four(x));
  }
};

constexpr int kLookupRows = 32;

/// Counts a whole number of kLookupRows rows.  Returns how many of them the guide had to count.
template <class Stored, Guess kGuess>
int count_looked_up(Stored const* values, int rows, BinGuide const& guide, BinLookup const& lookup, BinCounters const& counters) {
  using Wide = typename Ordered<Stored>::Wide;
  EightSteps<Stored, kGuess> const eight{static_cast<Wide>(lookup.scale), static_cast<Wide>(lookup.shift)};
  auto const table = [](void const* half) {
    return _mm256_broadcastsi128_si256(_mm_loadu_si128(static_cast<__m128i const*>(half)));
  };
  __m256i const bins_low = table(lookup.bins), bins_high = table(lookup.bins + 16);
  __m256i const steps_low = table(lookup.steps), steps_high = table(lookup.steps + 16);
  __m256i const low = _mm256_set1_epi16(lookup.low), high = _mm256_set1_epi16(lookup.high);
  // The pairs of one round are counted while the next ones are computed: the two use different parts of a core.
  alignas(32) std::uint64_t pairs[2][kLookupRows / 8];
  struct Doubt {
    std::uint32_t lanes;
    int at;
  };
  Doubt doubts[kBinBlock / kLookupRows];
  int noted = 0;
  for (int at = 0; at < rows; at += kLookupRows) {
    Stored const* const x = values + at;
    auto const step = [&](int i) { return _mm256_cvttps_epi32(eight(x + i)); };
    // Packing saturates; a step beyond 32 bits and NaN become the smallest one, which is never sure.
    __m256i const a = _mm256_packs_epi32(step(0), step(8));
    __m256i const b = _mm256_packs_epi32(step(16), step(24));
    __m256i const bucket =
        _mm256_min_epu8(_mm256_packus_epi16(_mm256_srai_epi16(a, 7), _mm256_srai_epi16(b, 7)), _mm256_set1_epi8(31));
    __m256i const inner = _mm256_set1_epi16(127);
    __m256i const offset = _mm256_packus_epi16(_mm256_and_si256(a, inner), _mm256_and_si256(b, inner));
    // A shuffle reads four bits of an index and gives 0 where its highest bit is set.
    __m256i const in_low = _mm256_add_epi8(bucket, _mm256_set1_epi8(0x70));
    __m256i const in_high = _mm256_sub_epi8(bucket, _mm256_set1_epi8(16));
    __m256i const base = _mm256_or_si256(_mm256_shuffle_epi8(bins_low, in_low), _mm256_shuffle_epi8(bins_high, in_high));
    __m256i const cut = _mm256_or_si256(_mm256_shuffle_epi8(steps_low, in_low), _mm256_shuffle_epi8(steps_high, in_high));
    __m256i const bin = _mm256_sub_epi8(base, _mm256_cmpgt_epi8(offset, cut));
    auto const beyond = [&](__m256i s) { return _mm256_or_si256(_mm256_cmpgt_epi16(low, s), _mm256_cmpgt_epi16(s, high)); };
    __m256i const doubt = _mm256_or_si256(_mm256_cmpeq_epi8(offset, cut), _mm256_packs_epi16(beyond(a), beyond(b)));
    auto const lanes = static_cast<std::uint32_t>(_mm256_movemask_epi8(doubt));
    // Noted without a branch, which would be guessed wrong about as often as it is taken.
    doubts[noted] = {lanes, at};
    noted += lanes != 0 ? 1 : 0;
    __m256i const sure = _mm256_min_epu8(_mm256_or_si256(bin, doubt), _mm256_set1_epi8(BinLookup::kMostBins));
    int const round = at / kLookupRows;
    // first + 64 * second
    _mm256_store_si256(reinterpret_cast<__m256i*>(pairs[round & 1]), _mm256_maddubs_epi16(sure, _mm256_set1_epi16(64 * 256 + 1)));
    if (round > 0) count_pairs<kLookupRows>(pairs[(round - 1) & 1], counters.pairs);
  }
  if (rows > 0) count_pairs<kLookupRows>(pairs[(rows / kLookupRows - 1) & 1], counters.pairs);
  int settled = 0;
  for (int i = 0; i < noted; ++i)
    for (std::uint32_t lanes = doubts[i].lanes; lanes != 0; lanes &= lanes - 1, ++settled) {
      int const lane = __builtin_ctz(lanes);
      // Packing twice within halves of 16 bytes leaves rows 0-3, 8-11, 16-19 and 24-27 in the lower half.
      int const row = (lane & 3) | ((lane & 16) >> 2) | ((lane & 12) << 1);
      ++counters.guided[guided_slot<Stored, kGuess>(values[doubts[i].at + row], guide)];
    }
  return settled;
}

#endif

template <class Stored, Guess kGuess>
void count_stored(NumericView const& column, std::int64_t begin, std::int64_t rows, BinRule const& rule,
                  BinCounters const& counters) {
  Stored const* const values = static_cast<Stored const*>(column.values);
  std::int64_t const end = begin + rows;
#ifdef MW_AVX512
  if (rule.search.usable && column.validity.bits == nullptr) {
    std::int64_t const whole = rows - rows % kSearchRows;
    count_searched(values + begin, whole, rule.search, counters.pairs);
    begin += whole;
  }
#endif
  [[maybe_unused]] int pause = 0;  // blocks for which the lookup is not tried, since it was of little use
  for (std::int64_t at = begin; at < end; at += kBinBlock) {
    int const n = end - at < kBinBlock ? static_cast<int>(end - at) : kBinBlock;
    int done = 0;
#if defined(__AVX2__)
    BinLookup const& lookup = rule.lookup;
    if (sizeof(typename Ordered<Stored>::Wide) == sizeof(Stored) && lookup.usable && pause == 0 && column.validity.bits == nullptr) {
      done = n - n % kLookupRows;
      pause = 8 * count_looked_up<Stored, kGuess>(values + at, done, rule.guide, lookup, counters) > n ? 31 : 0;
    } else if (pause > 0) {
      --pause;
    }
#endif
    if (done < n) count_guided<Stored, kGuess>(values + at + done, column.validity, at + done, n - done, rule.guide, counters.guided);
  }
}

template <class Stored>
void count_floats(NumericView const& column, std::int64_t begin, std::int64_t rows, BinRule const& rule,
                  BinCounters const& counters) {
  if (rule.guide.guess == Guess::bits)
    count_stored<Stored, Guess::bits>(column, begin, rows, rule, counters);
  else
    count_stored<Stored, Guess::value>(column, begin, rows, rule, counters);
}

void count_binned(NumericView const& column, std::int64_t begin, std::int64_t rows, BinRule const& rule,
                  BinCounters const& counters) {
  constexpr Guess kValue = Guess::value;
  switch (column.storage) {
    case Storage::int8: return count_stored<std::int8_t, kValue>(column, begin, rows, rule, counters);
    case Storage::int16: return count_stored<std::int16_t, kValue>(column, begin, rows, rule, counters);
    case Storage::int32: return count_stored<std::int32_t, kValue>(column, begin, rows, rule, counters);
    case Storage::int64: return count_stored<std::int64_t, kValue>(column, begin, rows, rule, counters);
    case Storage::uint8: return count_stored<std::uint8_t, kValue>(column, begin, rows, rule, counters);
    case Storage::uint16: return count_stored<std::uint16_t, kValue>(column, begin, rows, rule, counters);
    case Storage::uint32: return count_stored<std::uint32_t, kValue>(column, begin, rows, rule, counters);
    case Storage::uint64: return count_stored<std::uint64_t, kValue>(column, begin, rows, rule, counters);
    case Storage::float32: return count_floats<float>(column, begin, rows, rule, counters);
    case Storage::float64: return count_floats<double>(column, begin, rows, rule, counters);
  }
}

}  // namespace
}  // namespace modelwatch::cpu
