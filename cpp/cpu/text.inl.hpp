// Values of text in a table: part of kernels.inl.hpp.

namespace modelwatch::cpu {
namespace {

#ifdef MW_AVX512

/// What one load takes.
constexpr std::uint32_t kTextBlock = 64;
/// Bytes from a value to those fetched while it is read: a core's own guess of what is read next comes too late.
constexpr int kTextAhead = 4096;
/// Tables of at most so many slots stay in a near cache.
constexpr int kNearTextBits = 12;

/// The first bytes of a value, zero beyond its end, where nothing is read.
MW_HD __m512i text_block(char const* bytes, std::uint32_t size) {
  return _mm512_maskz_loadu_epi8(_bzhi_u64(~std::uint64_t{0}, size < kTextBlock ? size : kTextBlock), bytes);
}

/// What changes the eight bytes of each place of a block.
MW_HD constexpr std::uint64_t text_key(int place) { return static_cast<std::uint64_t>(place + 1) * kGoldenRatio; }

/// Of each eight bytes the product of their halves, which a key of their place changes, and they themselves, so that no factor
/// of 0 takes anything along.
MW_HD __m512i text_terms(__m512i words, __m512i keys) {
  __m512i const x = _mm512_xor_si512(words, keys);
  return _mm512_add_epi64(_mm512_maskz_mul_epu32(0xff, x, _mm512_maskz_srli_epi64(0xff, x, 32)), words);
}
MW_HD __m512i text_terms(__m512i words) {
  alignas(64) static constexpr std::uint64_t kKeys[8] = {text_key(0), text_key(1), text_key(2), text_key(3),
                                                         text_key(4), text_key(5), text_key(6), text_key(7)};
  return text_terms(words, _mm512_load_si512(kKeys));
}
/// The sum of the terms of the places from one on that hold nothing.
MW_HD constexpr std::uint64_t no_terms(int from) {
  std::uint64_t sum = 0;
  for (int place = from; place < 8; ++place) sum += (text_key(place) & 0xffffffffu) * (text_key(place) >> 32);
  return sum;
}

MW_HD __m512i mixed_texts(__m512i sums) {
  __m512i const first = _mm512_mullo_epi64(sums, _mm512_set1_epi64(static_cast<long long>(kMixFirst)));
  return _mm512_mullo_epi64(_mm512_xor_si512(first, _mm512_maskz_srli_epi64(0xff, first, 32)), _mm512_set1_epi64(static_cast<long long>(kMixSecond)));
}

std::uint64_t hash_text(char const* bytes, std::uint32_t size) {
  std::uint64_t sum = size;
  for (;; bytes += kTextBlock, size -= kTextBlock) {
    std::uint64_t terms[8];
    _mm512_storeu_si512(terms, text_terms(text_block(bytes, size)));
    for (auto const term : terms) sum += term;
    if (size <= kTextBlock) return mixed_text(sum);
    sum = mixed_text(sum);
  }
}

/// Eight values, of which two vectors hold the first twelve bytes and the size where none has more.
struct EightTexts {
  char const* const* bytes;
  std::uint32_t const* sizes;

  MW_HD __m256i size() const { return _mm256_loadu_si256(reinterpret_cast<__m256i const*>(sizes)); }
  MW_HD bool any_above(std::uint32_t most) const { return _mm256_cmpgt_epu32_mask(size(), _mm256_set1_epi32(static_cast<int>(most))) != 0; }
  MW_HD __mmask64 lanes(int i) const { return _bzhi_u64(~std::uint64_t{0}, sizes[i]); }

  /// hash_text of each, none of more than kTextBlock bytes: their sums are made together.
  MW_HD __m512i hashes() const {
    __m512i of[8];
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      __builtin_prefetch(bytes[i] + kTextAhead);
      of[i] = text_terms(_mm512_maskz_loadu_epi8(lanes(i), bytes[i]));
    }
    auto const pairs = [](__m512i a, __m512i b) { return _mm512_add_epi64(_mm512_maskz_unpacklo_epi64(0xff, a, b), _mm512_maskz_unpackhi_epi64(0xff, a, b)); };
    auto const halves = [](__m512i a, __m512i b) { return _mm512_add_epi64(_mm512_maskz_shuffle_i64x2(0xff, a, b, 0x88), _mm512_maskz_shuffle_i64x2(0xff, a, b, 0xdd)); };
    __m512i const sums = halves(halves(pairs(of[0], of[1]), pairs(of[2], of[3])), halves(pairs(of[4], of[5]), pairs(of[6], of[7])));
    return mixed_texts(_mm512_add_epi64(sums, _mm512_maskz_cvtepu32_epi64(0xff, size())));
  }

  /// The same where none has more than TextSlot::kPrefix bytes; `head` and `rest` as a slot has them.
  MW_HD __m512i short_hashes(__m512i& head, __m512i& rest) const {
    __m128i of[8];
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      __builtin_prefetch(bytes[i] + kTextAhead);
      of[i] = _mm_maskz_loadu_epi8(static_cast<__mmask16>(lanes(i)), bytes[i]);
    }
    auto const four = [](__m128i a, __m128i b, __m128i c, __m128i d) {
      return _mm512_maskz_inserti64x4(0xff, _mm512_castsi256_si512(_mm256_set_m128i(b, a)), _mm256_set_m128i(d, c), 1);
    };
    __m512i const even = four(of[0], of[2], of[4], of[6]);
    __m512i const odd = four(of[1], of[3], of[5], of[7]);
    head = _mm512_maskz_unpacklo_epi64(0xff, even, odd);
    __m512i const next = _mm512_maskz_unpackhi_epi64(0xff, even, odd);
    __m512i const sizes64 = _mm512_maskz_cvtepu32_epi64(0xff, size());
    rest = _mm512_or_si512(next, _mm512_maskz_slli_epi64(0xff, sizes64, 32));
    auto const terms = [](__m512i words, int place) { return text_terms(words, _mm512_set1_epi64(static_cast<long long>(text_key(place)))); };
    __m512i const others = _mm512_add_epi64(sizes64, _mm512_set1_epi64(static_cast<long long>(no_terms(2))));
    return mixed_texts(_mm512_add_epi64(_mm512_add_epi64(terms(head, 0), terms(next, 1)), others));
  }
};

/// Whether a slot of the same size holds the same bytes.
MW_HD bool holds_text(TextSlot const& slot, char const* bytes, std::uint32_t size) {
  char const* held = size <= TextSlot::kPrefix ? reinterpret_cast<char const*>(&slot) : slot.bytes;
  for (;; bytes += kTextBlock, held += kTextBlock, size -= kTextBlock) {
    if (_mm512_cmpneq_epi8_mask(text_block(bytes, size), text_block(held, size)) != 0) return false;
    if (size <= kTextBlock) return true;
  }
}

/// Where the first look did not tell.
__attribute__((noinline)) std::uint32_t find_text(TextSlots const& table, char const* bytes, std::uint32_t size, std::uint64_t hash) {
  std::uint64_t const last = ~std::uint64_t{0} >> table.shift;
  for (std::uint64_t at = hash >> table.shift;; at = (at + 1) & last) {
    TextSlot const& slot = table.slots[at];
    bool const same = slot.hash == hash >> 32 && slot.rest >> 32 == size && holds_text(slot, bytes, size);
    if (same || slot.name == 0) return slot.number();
  }
}

/// The first look at eight slots: which of them hold their values, and the numbers there.
struct EightSlots {
  TextSlot const* slots;
  __m512i at;  // slots x 4

  MW_HD EightSlots(TextSlots const& table, __m512i hashes)
      : slots(table.slots), at(_mm512_maskz_slli_epi64(0xff, _mm512_maskz_srl_epi64(0xff, hashes, _mm_cvtsi32_si128(table.shift)), 2)) {}
  template <class T>
  MW_HD __m512i field(T const TextSlot::*of) const {
    return _mm512_mask_i64gather_epi64(_mm512_setzero_si512(), 0xff, at, &(slots->*of), 8);
  }
  MW_HD __m512i hash_and_name() const { return field(&TextSlot::hash); }

  MW_HD __mmask8 hold(__m512i head, __m512i rest) const {
    return _mm512_mask_cmpeq_epi64_mask(_mm512_cmpeq_epi64_mask(field(&TextSlot::head), head), field(&TextSlot::rest), rest);
  }
  MW_HD __mmask8 hold(EightTexts const& texts, __m512i hashes, __m512i found) const {
    __m256i const size = texts.size();
    __mmask8 const same_hash = _mm512_mask_cmpeq_epi64_mask(_mm512_cmple_epu64_mask(_mm512_maskz_cvtepu32_epi64(0xff, size), _mm512_set1_epi64(kTextBlock)),
                                                            _mm512_and_si512(found, _mm512_set1_epi64(0xffffffff)), _mm512_maskz_srli_epi64(0xff, hashes, 32));
    __mmask8 const likely = _mm256_mask_cmpeq_epu32_mask(same_hash, _mm512_maskz_cvtepi64_epi32(0xff, _mm512_maskz_srli_epi64(0xff, field(&TextSlot::rest), 32)), size);
    // Of the others each value is compared with itself.
    alignas(64) char const* held[8];
    __m512i const own = _mm512_add_epi64(_mm512_maskz_slli_epi64(0xff, at, 3), _mm512_set1_epi64(reinterpret_cast<long long>(slots)));
    __mmask8 const brief = _mm256_cmple_epu32_mask(size, _mm256_set1_epi32(static_cast<int>(TextSlot::kPrefix)));
    __m512i const there = _mm512_mask_mov_epi64(field(&TextSlot::bytes), brief, own);
    _mm512_store_si512(held, _mm512_mask_mov_epi64(_mm512_loadu_si512(texts.bytes), likely, there));
    __m512i different = _mm512_setzero_si512();
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      __mmask64 const lanes = texts.lanes(i);
      different = _mm512_or_si512(different, _mm512_xor_si512(_mm512_maskz_loadu_epi8(lanes, texts.bytes[i]), _mm512_maskz_loadu_epi8(lanes, held[i])));
    }
    return _mm512_test_epi64_mask(different, different) == 0 ? likely : __mmask8{0};
  }
};

void find_texts(char const* const* bytes, std::uint32_t const* sizes, int rows, TextSlots const& table, std::uint32_t* numbers,
                std::uint64_t* hashes) {
  alignas(64) std::uint64_t heads[kTextRows], rests[kTextRows];
  int const whole = rows - rows % 8;
  std::uint32_t brief = 0;  // a bit for each eight of at most twelve bytes
  for (int i = 0; i < whole; i += 8) {
    EightTexts const texts{bytes + i, sizes + i};
    if (!texts.any_above(TextSlot::kPrefix)) {
      __m512i head, rest;
      _mm512_storeu_si512(hashes + i, texts.short_hashes(head, rest));
      _mm512_store_si512(heads + i, head);
      _mm512_store_si512(rests + i, rest);
      brief |= std::uint32_t{1} << i / 8;
    } else if (texts.any_above(kTextBlock)) {
      for (int k = i; k < i + 8; ++k) hashes[k] = hash_text(bytes[k], sizes[k]);
    } else {
      _mm512_storeu_si512(hashes + i, texts.hashes());
    }
  }
  for (int i = whole; i < rows; ++i) hashes[i] = hash_text(bytes[i], sizes[i]);
  if (table.shift < 64 - kNearTextBits)
    for (int i = 0; i < rows; ++i) table.prefetch_two(hashes[i]);
  for (int i = 0; i < whole; i += 8) {
    __m512i const hash = _mm512_loadu_si512(hashes + i);
    EightSlots const slots(table, hash);
    __m512i const found = slots.hash_and_name();
    __mmask8 const held = (brief >> i / 8 & 1) != 0 ? slots.hold(_mm512_load_si512(heads + i), _mm512_load_si512(rests + i))
                                                    : slots.hold({bytes + i, sizes + i}, hash, found);
    __m256i const name = _mm512_maskz_cvtepi64_epi32(0xff, _mm512_maskz_srli_epi64(0xff, found, 32));
    __m256i const number = _mm256_sub_epi32(name, _mm256_set1_epi32(1));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(numbers + i), number);
    __mmask8 const free = _mm256_cmpeq_epi32_mask(number, _mm256_set1_epi32(static_cast<int>(TextSlot::kAbsent)));
    for (std::uint32_t others = static_cast<std::uint8_t>(~(held | free)); others != 0; others &= others - 1) {
      int const k = i + __builtin_ctz(others);
      numbers[k] = find_text(table, bytes[k], sizes[k], hashes[k]);
    }
  }
  for (int i = whole; i < rows; ++i) numbers[i] = find_text(table, bytes[i], sizes[i], hashes[i]);
}

/// A block of each of eight values, and words of all of them at one place.
struct EightBlocks {
  alignas(64) std::uint64_t words[8][8];

  MW_HD void load(char const* const* bytes, std::uint32_t const* sizes, std::uint32_t at) {
    for (int i = 0; i < 8; ++i)
      _mm512_store_si512(words[i], sizes[i] > at ? text_block(bytes[i] + at, sizes[i] - at) : _mm512_setzero_si512());
  }
  MW_HD __m512i of_place(int place) const {
    __m512i const rows = _mm512_setr_epi64(0, 8, 16, 24, 32, 40, 48, 56);
    return _mm512_mask_i64gather_epi64(_mm512_setzero_si512(), 0xff, rows, &words[0][place], 8);
  }
};

/// hash_bytes of 8 x Groups values: a product waits for the one before it, so those of several eights are made between.
template <int Groups>
MW_HD void hash_groups(char const* const* bytes, std::uint32_t const* sizes, std::uint64_t* hashes) {
  std::uint32_t longest = 0;
  for (int i = 0; i < 8 * Groups; ++i) longest = sizes[i] > longest ? sizes[i] : longest;
  __m512i const factor = _mm512_set1_epi64(static_cast<long long>(BytesHash::kFactor));
  __m512i const low = _mm512_set1_epi64(255);
  EightBlocks blocks[Groups];
  __m512i hash[Groups], size[Groups], word[Groups] = {};
  for (int g = 0; g < Groups; ++g) {
    hash[g] = _mm512_set1_epi64(static_cast<long long>(BytesHash::kBegin));
    size[g] = _mm512_maskz_cvtepu32_epi64(0xff, _mm256_loadu_si256(reinterpret_cast<__m256i const*>(sizes + 8 * g)));
  }
  for (std::uint32_t at = 0; at < longest; ++at) {
    if (at % kTextBlock == 0)
      for (int g = 0; g < Groups; ++g) blocks[g].load(bytes + 8 * g, sizes + 8 * g, at);
    if (at % 8 == 0)
      for (int g = 0; g < Groups; ++g) word[g] = blocks[g].of_place(static_cast<int>(at % kTextBlock / 8));
    __m512i const place = _mm512_set1_epi64(at);
#pragma GCC unroll 4
    for (int g = 0; g < Groups; ++g) {
      __m512i const with = _mm512_xor_si512(hash[g], _mm512_and_si512(word[g], low));
      hash[g] = _mm512_mask_mullo_epi64(hash[g], _mm512_cmpgt_epi64_mask(size[g], place), with, factor);
      word[g] = _mm512_maskz_srli_epi64(0xff, word[g], 8);
    }
  }
  auto const mixed = [](__m512i h) { return _mm512_xor_si512(h, _mm512_maskz_srli_epi64(0xff, h, 33)); };
  for (int g = 0; g < Groups; ++g) {
    __m512i const first = _mm512_mullo_epi64(mixed(hash[g]), _mm512_set1_epi64(static_cast<long long>(BytesHash::kFirstMix)));
    __m512i const second = _mm512_mullo_epi64(mixed(first), _mm512_set1_epi64(static_cast<long long>(BytesHash::kSecondMix)));
    _mm512_storeu_si512(hashes + 8 * g, mixed(second));
  }
}

MW_HD int hash_eights(char const* const* bytes, std::uint32_t const* sizes, int rows, std::uint64_t* hashes) {
  int i = 0;
  for (; i + 32 <= rows; i += 32) hash_groups<4>(bytes + i, sizes + i, hashes + i);
  for (; i + 8 <= rows; i += 8) hash_groups<1>(bytes + i, sizes + i, hashes + i);
  return i;
}

#else

MW_HD int hash_eights(char const* const*, std::uint32_t const*, int, std::uint64_t*) { return 0; }
std::uint64_t hash_text(char const*, std::uint32_t) { return 0; }
void find_texts(char const* const*, std::uint32_t const*, int, TextSlots const&, std::uint32_t*, std::uint64_t*) {}

#endif

/// Four values at a time, which do not wait for each other, as far as the shortest of them goes.
void hash_values(char const* const* bytes, std::uint32_t const* sizes, int rows, std::uint64_t* hashes) {
  int i = hash_eights(bytes, sizes, rows, hashes);
  for (; i < rows; i += 4) {
    int const many = rows - i < 4 ? rows - i : 4;
    std::uint8_t const* at[4];
    std::uint32_t size[4];
    std::uint32_t shortest = ~std::uint32_t{0};
    for (int k = 0; k < 4; ++k) {
      int const row = i + (k < many ? k : 0);
      at[k] = reinterpret_cast<std::uint8_t const*>(bytes[row]);
      size[k] = sizes[row];
      shortest = size[k] < shortest ? size[k] : shortest;
    }
    std::uint64_t h[4] = {BytesHash::kBegin, BytesHash::kBegin, BytesHash::kBegin, BytesHash::kBegin};
    for (std::uint32_t b = 0; b < shortest; ++b)
      for (int k = 0; k < 4; ++k) h[k] = (h[k] ^ at[k][b]) * BytesHash::kFactor;
    for (int k = 0; k < many; ++k) {
      for (std::uint32_t b = shortest; b < size[k]; ++b) h[k] = (h[k] ^ at[k][b]) * BytesHash::kFactor;
      hashes[i + k] = BytesHash::end(h[k]);
    }
  }
}

}  // namespace
}  // namespace modelwatch::cpu
