// Ordered moments of one tile: part of kernels.inl.hpp.

namespace modelwatch::cpu {
namespace {

/// values[i] = 0 and usable[i] = 0 for a row that is null, NaN or infinite; else all bits of usable[i] are set.
template <class Stored>
int load_floats(NumericView const& column, std::int64_t begin, int rows, std::uint8_t const* valid, double* values,
                std::uint64_t* usable) {
  Stored const* const stored = static_cast<Stored const*>(column.values) + begin;
  int unusable = 0;
  for (int i = 0; i < rows; ++i) unusable += KeyOf<Stored>::finite(stored[i]) ? 0 : 1;
  if (unusable == 0 && valid == nullptr) {
    for (int i = 0; i < rows; ++i) values[i] = static_cast<double>(stored[i]);
    return rows;
  }
  for (int i = 0; i < rows; ++i) {
    Stored const x = KeyOf<Stored>::finite(stored[i]) ? stored[i] : Stored{0};
    values[i] = static_cast<double>(x);
  }
  if (unusable == 0) return rows;
  for (int i = 0; i < rows; ++i) usable[i] = KeyOf<Stored>::finite(stored[i]) ? ~std::uint64_t{0} : 0;
  return rows - unusable;
}

/// The pivot is taken off before the conversion, so integers beyond 2^53 keep their distances.
template <class Stored, class Wide>
int load_integers(NumericView const& column, std::int64_t begin, int rows, Wide pivot, double* values) {
  Stored const* const stored = static_cast<Stored const*>(column.values) + begin;
  for (int i = 0; i < rows; ++i) values[i] = static_cast<double>(static_cast<Wide>(stored[i]) - pivot);
  return rows;
}

/// 64-bit integers: their differences in 64 bits where those of a whole tile fit, since 128 take a call for each.
template <class Stored>
int load_64(NumericView const& column, std::int64_t begin, int rows, Stored pivot, double* values) {
  Stored const* const stored = static_cast<Stored const*>(column.values) + begin;
  std::uint64_t overflowed = 0;
  for (int i = 0; i < rows; ++i) {
    std::uint64_t const difference = static_cast<std::uint64_t>(stored[i]) - static_cast<std::uint64_t>(pivot);
    overflowed |= (stored[i] < pivot ? 1u : 0u) ^ (difference >> 63);
  }
  if (overflowed != 0) return load_integers<Stored, __int128>(column, begin, rows, pivot, values);
  for (int i = 0; i < rows; ++i)
    values[i] = static_cast<double>(static_cast<std::int64_t>(static_cast<std::uint64_t>(stored[i]) - static_cast<std::uint64_t>(pivot)));
  return rows;
}

/// Differences in as few bits as hold them.
template <class Stored>
int load_signed(NumericView const& column, std::int64_t begin, int rows, std::int64_t pivot, double* values) {
  constexpr std::int64_t kNarrow = std::int64_t{1} << 30;
  constexpr std::int64_t kSafe = std::int64_t{1} << 62;
  // 32-bit integers become doubles in vectors, 64-bit ones one at a time.
  if (sizeof(Stored) == 4 && pivot == 0) return load_integers<Stored, Stored>(column, begin, rows, Stored{0}, values);
  if (sizeof(Stored) < 4 && pivot > -kNarrow && pivot < kNarrow)
    return load_integers<Stored, std::int32_t>(column, begin, rows, static_cast<std::int32_t>(pivot), values);
  if (sizeof(Stored) < 8 && pivot > -kSafe && pivot < kSafe)
    return load_integers<Stored, std::int64_t>(column, begin, rows, pivot, values);
  return load_integers<Stored, __int128>(column, begin, rows, pivot, values);
}

int load_values(NumericView const& column, std::int64_t begin, int rows, Domain domain, std::uint64_t pivot_key,
                std::uint8_t const* valid, double* values, std::uint64_t* usable) {
  // Float columns have no pivot; an integer column read on a float grid is exact in double and has none either.
  std::uint64_t const pivot = domain == Domain::int64    ? pivot_key ^ KeyOf<std::int64_t>::kSign
                              : domain == Domain::uint64 ? pivot_key
                                                         : 0;
  auto const signed_pivot = static_cast<std::int64_t>(pivot);
  switch (column.storage) {
    case Storage::int8: return load_signed<std::int8_t>(column, begin, rows, signed_pivot, values);
    case Storage::int16: return load_signed<std::int16_t>(column, begin, rows, signed_pivot, values);
    case Storage::int32: return load_signed<std::int32_t>(column, begin, rows, signed_pivot, values);
    case Storage::int64: return load_64<std::int64_t>(column, begin, rows, signed_pivot, values);
    case Storage::uint8: return load_signed<std::uint8_t>(column, begin, rows, signed_pivot, values);
    case Storage::uint16: return load_signed<std::uint16_t>(column, begin, rows, signed_pivot, values);
    case Storage::uint32: return load_signed<std::uint32_t>(column, begin, rows, signed_pivot, values);
    case Storage::uint64: return load_64<std::uint64_t>(column, begin, rows, pivot, values);
    case Storage::float32: return load_floats<float>(column, begin, rows, valid, values, usable);
    case Storage::float64: return load_floats<double>(column, begin, rows, valid, values, usable);
  }
  return 0;
}

int load_tile(NumericView const& column, std::int64_t begin, int rows, Domain domain, std::uint64_t pivot_key,
              std::uint8_t const* valid, double* values, std::uint64_t* usable) {
  int const loaded = load_values(column, begin, rows, domain, pivot_key, valid, values, usable);
  if (valid == nullptr) return loaded;
  if (loaded == rows)
    for (int i = 0; i < rows; ++i) usable[i] = ~std::uint64_t{0};
  std::uint64_t unusable = 0;
  for (int i = 0; i < rows; ++i) {
    usable[i] &= std::uint64_t{0} - valid[i];
    unusable += usable[i] + 1;  // ~0 becomes 0
  }
  for (int i = 0; i < rows; ++i) values[i] = usable[i] != 0 ? values[i] : 0.0;
  return rows - static_cast<int>(unusable);
}

MW_HD void clear(MomentLanes& lanes) {
  for (int lane = 0; lane < kLanes; ++lane) {
    lanes.count[lane] = 0;
    lanes.sum[lane] = lanes.d1[lane] = lanes.d2[lane] = lanes.d3[lane] = lanes.d4[lane] = 0.0;
  }
}

/// Lanes of a tile as vectors; two of them at a time, since their four sums each have to stay in registers.
#if defined(__AVX512F__)
constexpr int kLanesTogether = 8;
#else
constexpr int kLanesTogether = 4;
#endif
typedef double WideLanes __attribute__((vector_size(8 * kLanesTogether)));
typedef std::int64_t WideBits __attribute__((vector_size(8 * kLanesTogether)));
typedef float WideFloats __attribute__((vector_size(4 * kLanesTogether)));

// By reference throughout: a vector passed by value would change the calling convention where it is wider than a register.
// By memcpy, since the arrays of a tile are aligned as their elements are.
MW_HD void load_wide(double const* from, WideLanes& out) { __builtin_memcpy(&out, from, sizeof out); }
MW_HD void load_wide(float const* from, WideLanes& out) {
#ifdef MW_AVX512
  // The compiler makes of the general form two halves, taken apart and put together.
  out = reinterpret_cast<WideLanes>(_mm512_maskz_cvtps_pd(0xff, _mm256_loadu_ps(from)));
#else
  WideFloats narrow;
  __builtin_memcpy(&narrow, from, sizeof narrow);
  out = __builtin_convertvector(narrow, WideLanes);
#endif
}
MW_HD void put(double* to, WideLanes const& from) { __builtin_memcpy(to, &from, sizeof from); }

/// Deviations of a vector of rows from `row` on; those of unusable rows are 0.
template <bool kAll, class Stored>
MW_HD void deviate(Stored const* values, std::uint64_t const* usable, int row, double mean, WideLanes& out) {
  load_wide(values + row, out);
  out = out - mean;
  if constexpr (!kAll) {
    WideBits mask;
    __builtin_memcpy(&mask, usable + row, sizeof mask);
    out = reinterpret_cast<WideLanes>(reinterpret_cast<WideBits>(out) & mask);
  }
}

template <bool kAll, class Stored>
MW_HD void powers(Stored const* values, std::uint64_t const* usable, int whole, double mean, MomentLanes& lanes) {
  for (int lane = 0; lane < kLanes; lane += 2 * kLanesTogether) {
    WideLanes a1{}, a2{}, a3{}, a4{}, b1{}, b2{}, b3{}, b4{};
    for (int row = lane; row < whole; row += kLanes) {
      WideLanes a, b;
      deviate<kAll>(values, usable, row, mean, a);
      deviate<kAll>(values, usable, row + kLanesTogether, mean, b);
      WideLanes const aa = a * a;
      WideLanes const bb = b * b;
      a1 += a, a2 += aa, a3 += aa * a, a4 += aa * aa;
      b1 += b, b2 += bb, b3 += bb * b, b4 += bb * bb;
    }
    put(lanes.d1 + lane, a1), put(lanes.d1 + lane + kLanesTogether, b1);
    put(lanes.d2 + lane, a2), put(lanes.d2 + lane + kLanesTogether, b2);
    put(lanes.d3 + lane, a3), put(lanes.d3 + lane + kLanesTogether, b3);
    put(lanes.d4 + lane, a4), put(lanes.d4 + lane + kLanesTogether, b4);
  }
}

/// Sums of a tile's lanes; how many rows it has that are whole.  wide: gets those as doubles, or nullptr.
template <class Stored>
MW_HD int sums_of(Stored const* values, int rows, MomentLanes& lanes, double* wide) {
  clear(lanes);
  int const whole = rows - rows % kLanes;
  WideLanes sums[kLanes / kLanesTogether] = {};
  for (int row = 0; row < whole; row += kLanes)
    for (int part = 0; part < kLanes / kLanesTogether; ++part) {
      WideLanes x;
      load_wide(values + row + kLanesTogether * part, x);
      if (wide != nullptr) put(wide + row + kLanesTogether * part, x);
      sums[part] += x;
    }
  for (int part = 0; part < kLanes / kLanesTogether; ++part) put(lanes.sum + kLanesTogether * part, sums[part]);
  for (int row = whole; row < rows; ++row) lanes.sum[row - whole] += static_cast<double>(values[row]);
  return whole;
}

/// wide: the rows that are whole.
template <bool kAll, class Stored>
MW_HD void powers_of(double const* wide, Stored const* values, std::uint64_t const* usable, int whole, int rows, MomentLanes& lanes, Moments& tile) {
  powers<kAll>(wide, usable, whole, tile.mean, lanes);
  for (int row = whole; row < rows; ++row)
    add_deviation(lanes, row - whole, kAll || usable[row] != 0 ? static_cast<double>(values[row]) - tile.mean : 0.0);
  tile_finish(lanes, tile);
}

/// An unusable row is 0.0 in `values`, and adding 0.0 changes no bit of a lane.  usable: read where not all rows are.
void moments_one(double const* values, std::uint64_t const* usable, int rows, int usable_rows, Moments* out) {
  MomentLanes lanes;
  int const whole = sums_of(values, rows, lanes, nullptr);
  lanes.count[0] = static_cast<std::uint64_t>(usable_rows);
  *out = tile_mean(lanes);
  if (usable_rows == rows)
    powers_of<true>(values, values, usable, whole, rows, lanes, *out);
  else
    powers_of<false>(values, values, usable, whole, rows, lanes, *out);
}

template <class Stored>
MW_HD int moments_of_floats(Stored const* values, int rows, Moments* out) {
  int unusable = 0;
  for (int i = 0; i < rows; ++i) unusable |= KeyOf<Stored>::finite(values[i]) ? 0 : 1;
  if (unusable != 0) return 0;
  MomentLanes lanes;
  // Converted once: the ports that convert are those that add and multiply.
  constexpr bool kConverts = sizeof(Stored) < sizeof(double);
  alignas(64) double converted[kConverts ? kTileRows : 1];
  int const whole = sums_of(values, rows, lanes, kConverts ? converted : nullptr);
  lanes.count[0] = static_cast<std::uint64_t>(rows);
  *out = tile_mean(lanes);
  double const* wide = converted;
  if constexpr (!kConverts) wide = values;
  powers_of<true>(wide, values, static_cast<std::uint64_t const*>(nullptr), whole, rows, lanes, *out);
  return 1;
}

int moments_floats(NumericView const& column, std::int64_t begin, int rows, Moments* out) {
  switch (column.storage) {
    case Storage::float32: return moments_of_floats(static_cast<float const*>(column.values) + begin, rows, out);
    case Storage::float64: return moments_of_floats(static_cast<double const*>(column.values) + begin, rows, out);
    default: return 0;
  }
}

/// kWeighted: row i counts weights[i] times.
template <bool kWeighted>
void moments_of_slots(double const* values, std::uint64_t const* usable, std::int32_t const* slots, std::uint32_t const* weights, int rows,
                      int slot_count, MomentLanes* lanes, Moments* out) {
  for (int slot = 0; slot < slot_count; ++slot) clear(lanes[slot]);
  for (int row = 0; row < rows; ++row) {
    if (slots[row] < 0) continue;
    MomentLanes& mine = lanes[slots[row]];
    std::uint32_t const times = kWeighted ? weights[row] : 1;
    mine.count[row % kLanes] += (usable[row] & 1) * std::uint64_t{times};
    mine.sum[row % kLanes] += kWeighted ? values[row] * times : values[row];
  }
  for (int slot = 0; slot < slot_count; ++slot) out[slot] = tile_mean(lanes[slot]);
  for (int row = 0; row < rows; ++row) {
    std::int32_t const slot = slots[row];
    if (slot < 0 || usable[row] == 0) continue;
    if constexpr (kWeighted)
      add_deviation(lanes[slot], row % kLanes, values[row] - out[slot].mean, static_cast<double>(weights[row]));
    else
      add_deviation(lanes[slot], row % kLanes, values[row] - out[slot].mean);
  }
  for (int slot = 0; slot < slot_count; ++slot) tile_finish(lanes[slot], out[slot]);
}

void moments_slots(double const* values, std::uint64_t const* usable, std::int32_t const* slots, std::uint32_t const* weights, int rows,
                   int slot_count, MomentLanes* lanes, Moments* out) {
  if (weights != nullptr)
    moments_of_slots<true>(values, usable, slots, weights, rows, slot_count, lanes, out);
  else
    moments_of_slots<false>(values, usable, slots, weights, rows, slot_count, lanes, out);
}

/// Some groups of a row, as vectors.
struct WideMoments {
  WideLanes count, mean, m2, m3, m4;
};

MW_HD void load_wide(MomentRow const& from, int group, WideMoments& out) {
  load_wide(from.count + group, out.count);
  load_wide(from.mean + group, out.mean);
  load_wide(from.m2 + group, out.m2);
  load_wide(from.m3 + group, out.m3);
  load_wide(from.m4 + group, out.m4);
}
MW_HD void put_wide(WideMoments const& from, int group, MomentRow& out) {
  put(out.count + group, from.count);
  put(out.mean + group, from.mean);
  put(out.m2 + group, from.m2);
  put(out.m3 + group, from.m3);
  put(out.m4 + group, from.m4);
}

/// The operations of Moments::merge, in their order, for all groups at once: what a group without a tile, or with its first
/// one, gets from them is not kept.
MW_HD void merge_wide(WideMoments& a, WideMoments const& b) {
  WideLanes const na = a.count;
  WideLanes const nb = b.count;
  WideLanes const n = na + nb;
  WideLanes const delta = b.mean - a.mean;
  WideLanes const ratio = delta / n;
  WideLanes const square = ratio * ratio;
  WideLanes const cross = delta * ratio * na * nb;
  WideLanes const m4 = a.m4 + b.m4 + cross * square * (na * na - na * nb + nb * nb) + 6.0 * square * (na * na * b.m2 + nb * nb * a.m2) +
                       4.0 * ratio * (na * b.m3 - nb * a.m3);
  WideLanes const m3 = a.m3 + b.m3 + cross * ratio * (na - nb) + 3.0 * ratio * (na * b.m2 - nb * a.m2);
  WideLanes const m2 = a.m2 + b.m2 + cross;
  WideLanes const mean = a.mean + ratio * nb;
  WideBits const none = nb == 0.0;
  WideBits const first = na == 0.0;
  a.count = n;
  a.mean = none ? a.mean : first ? b.mean : mean;
  a.m2 = none ? a.m2 : first ? b.m2 : m2;
  a.m3 = none ? a.m3 : first ? b.m3 : m3;
  a.m4 = none ? a.m4 : first ? b.m4 : m4;
}

/// Two vectors of groups at a time: a step of one waits for its division while the other goes on.
void fold_moments(MomentRow const* steps, int count, MomentRow* into) {
  static_assert(MomentRow::kGroups % (2 * kLanesTogether) == 0);
  for (int group = 0; group < MomentRow::kGroups; group += 2 * kLanesTogether) {
    WideMoments a, b;
    load_wide(*into, group, a);
    load_wide(*into, group + kLanesTogether, b);
    for (int step = 0; step < count; ++step) {
      WideMoments next;
      load_wide(steps[step], group, next);
      merge_wide(a, next);
      load_wide(steps[step], group + kLanesTogether, next);
      merge_wide(b, next);
    }
    put_wide(a, group, *into);
    put_wide(b, group + kLanesTogether, *into);
  }
}

}  // namespace
}  // namespace modelwatch::cpu
