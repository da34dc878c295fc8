// Which rows of a tile are special, and the range of the others: part of kernels.inl.hpp.
// Integers only, so that a host that flushes subnormals changes nothing.

namespace modelwatch::cpu {
namespace {

/// Signed integers in the order of a float's values, and back to the key of core/key.hpp.  -0.0 lies just below 0.0.
template <class Stored>
struct Sorted;
template <>
struct Sorted<float> {
  using Bits = std::int32_t;
};
template <>
struct Sorted<double> {
  using Bits = std::int64_t;
};

template <class Stored>
MW_HD std::uint64_t key_of_sorted(typename Sorted<Stored>::Bits sorted) {
  using Bits = typename Sorted<Stored>::Bits;
  using Key = typename KeyOf<Stored>::Key;
  Bits const bits = sorted < 0 ? static_cast<Bits>(sorted ^ static_cast<Bits>(~KeyOf<Stored>::kSign)) : sorted;
  return KeyOf<Stored>::key(__builtin_bit_cast(Stored, static_cast<Key>(bits)));
}

template <class Stored>
constexpr typename Sorted<Stored>::Bits kMostSorted = static_cast<typename Sorted<Stored>::Bits>(~KeyOf<Stored>::kSign);

template <class Stored>
MW_HD void add_range(typename Sorted<Stored>::Bits low, typename Sorted<Stored>::Bits high, ValueKinds& out) {
  if (low > high) return;
  std::uint64_t const low_key = key_of_sorted<Stored>(low);
  std::uint64_t const high_key = key_of_sorted<Stored>(high);
  out.low = low_key < out.low ? low_key : out.low;
  out.high = high_key > out.high ? high_key : out.high;
}

/// Zeros and range of a tile in which every row is a finite value; false, and nothing is added, where one is not.
template <class Stored>
bool survey_finite(Stored const* values, int rows, ValueKinds& out) {
  using Bits = typename Sorted<Stored>::Bits;
  typedef Bits Lane __attribute__((vector_size(32)));
  constexpr int kWide = static_cast<int>(sizeof(Lane) / sizeof(Bits));
  constexpr Bits kMost = kMostSorted<Stored>;
  constexpr Bits kInfinity = static_cast<Bits>(KeyOf<Stored>::kInfinity);
  constexpr int kShift = static_cast<int>(8 * sizeof(Bits)) - 1;
  Lane low = Lane{} + kMost;
  Lane high = Lane{} - kMost;
  Lane zeros{};
  Lane odd{};
  int row = 0;
  for (; row + kWide <= rows; row += kWide) {
    Lane bits;
    __builtin_memcpy(&bits, values + row, sizeof bits);
    Lane const magnitude = bits & kMost;
    Lane const sorted = bits ^ ((bits >> kShift) & kMost);
    odd |= magnitude >= kInfinity;
    zeros += magnitude == 0;  // true is -1
    low = sorted < low ? sorted : low;
    high = sorted > high ? sorted : high;
  }
  Bits all_low = kMost;
  Bits all_high = -kMost;
  Bits all_zeros = 0;
  Bits all_odd = 0;
  for (int i = 0; i < kWide; ++i) {
    all_low = low[i] < all_low ? low[i] : all_low;
    all_high = high[i] > all_high ? high[i] : all_high;
    all_zeros = static_cast<Bits>(all_zeros - zeros[i]);
    all_odd |= odd[i];
  }
  for (; row < rows; ++row) {
    Bits const bits = __builtin_bit_cast(Bits, values[row]);
    Bits const magnitude = bits & kMost;
    Bits const sorted = bits ^ ((bits >> kShift) & kMost);
    all_odd |= magnitude >= kInfinity ? 1 : 0;
    all_zeros = static_cast<Bits>(all_zeros + (magnitude == 0 ? 1 : 0));
    all_low = sorted < all_low ? sorted : all_low;
    all_high = sorted > all_high ? sorted : all_high;
  }
  if (all_odd != 0) return false;
  out.zero += static_cast<std::uint64_t>(all_zeros);
  add_range<Stored>(all_low, all_high, out);
  return true;
}

/// The same of a tile with rows of every kind.
template <class Stored>
void survey_mixed(Stored const* values, int rows, std::uint8_t const* valid, ValueKinds& out) {
  using Bits = typename Sorted<Stored>::Bits;
  typedef Bits Lane __attribute__((vector_size(32)));
  constexpr int kWide = static_cast<int>(sizeof(Lane) / sizeof(Bits));
  constexpr Bits kMost = kMostSorted<Stored>;
  constexpr Bits kInfinity = static_cast<Bits>(KeyOf<Stored>::kInfinity);
  constexpr int kShift = static_cast<int>(8 * sizeof(Bits)) - 1;
  // -1 of a row that is there, as comparisons have it; a last part of a vector is filled up with rows that are not.
  Bits here[kTileRows + kWide] = {};
  Bits padded[kTileRows + kWide];
  __builtin_memcpy(padded, values, static_cast<std::size_t>(rows) * sizeof(Bits));
  for (int i = 0; i < rows; ++i) here[i] = -1;
  if (valid != nullptr)
    for (int i = 0; i < rows; ++i) here[i] = static_cast<Bits>(-static_cast<Bits>(valid[i]));
  for (int i = 0; i < kWide; ++i) padded[rows + i] = 0;
  Lane low = Lane{} + kMost;
  Lane high = Lane{} - kMost;
  Lane present{}, zeros{}, nans{}, positive{}, negative{};
  for (int row = 0; row < rows; row += kWide) {
    Lane bits, mask;
    __builtin_memcpy(&bits, padded + row, sizeof bits);
    __builtin_memcpy(&mask, here + row, sizeof mask);
    Lane const magnitude = bits & kMost;
    Lane const sorted = bits ^ ((bits >> kShift) & kMost);
    Lane const finite = (magnitude < kInfinity) & mask;
    present += mask;
    zeros += (magnitude == 0) & mask;
    nans += (magnitude > kInfinity) & mask;
    positive += (bits == kInfinity) & mask;
    negative += (sorted == ~kInfinity) & mask;
    Lane const below = (sorted & finite) | (~finite & kMost);
    Lane const above = (sorted & finite) | (~finite & -kMost);
    low = below < low ? below : low;
    high = above > high ? above : high;
  }
  out.null += static_cast<std::uint64_t>(rows);
  for (int i = 0; i < kWide; ++i) {
    out.null += static_cast<std::uint64_t>(static_cast<std::int64_t>(present[i]));
    out.zero -= static_cast<std::uint64_t>(static_cast<std::int64_t>(zeros[i]));
    out.nan -= static_cast<std::uint64_t>(static_cast<std::int64_t>(nans[i]));
    out.positive_infinity -= static_cast<std::uint64_t>(static_cast<std::int64_t>(positive[i]));
    out.negative_infinity -= static_cast<std::uint64_t>(static_cast<std::int64_t>(negative[i]));
    add_range<Stored>(low[i], high[i], out);
  }
}

template <class Stored>
void survey_floats(Stored const* values, int rows, std::uint8_t const* valid, ValueKinds& out) {
  if (valid != nullptr || !survey_finite(values, rows, out)) survey_mixed(values, rows, valid, out);
}

/// Domain: in which the column is compared.
template <class Stored, class DomainValue>
void survey_integers(Stored const* values, int rows, std::uint8_t const* valid, ValueKinds& out) {
  constexpr Stored kLeast = static_cast<Stored>(Stored(-1) < Stored(0) ? std::uint64_t{1} << (8 * sizeof(Stored) - 1) : 0);
  constexpr Stored kMost = static_cast<Stored>(~kLeast);
  Stored low = kMost;
  Stored high = kLeast;
  int zeros = 0;
  int present = rows;
  if (valid == nullptr) {
    for (int i = 0; i < rows; ++i) {
      low = values[i] < low ? values[i] : low;
      high = values[i] > high ? values[i] : high;
    }
    for (int i = 0; i < rows; ++i) zeros += values[i] == 0 ? 1 : 0;
  } else {
    present = 0;
    for (int i = 0; i < rows; ++i) {
      Stored const below = valid[i] != 0 ? values[i] : kMost;
      Stored const above = valid[i] != 0 ? values[i] : kLeast;
      low = below < low ? below : low;
      high = above > high ? above : high;
    }
    for (int i = 0; i < rows; ++i) present += valid[i];
    for (int i = 0; i < rows; ++i) zeros += (values[i] == 0 ? 1 : 0) & valid[i];
  }
  out.null += static_cast<std::uint64_t>(rows - present);
  out.zero += static_cast<std::uint64_t>(zeros);
  if (present == 0) return;
  std::uint64_t const low_key = KeyOf<DomainValue>::key(static_cast<DomainValue>(low));
  std::uint64_t const high_key = KeyOf<DomainValue>::key(static_cast<DomainValue>(high));
  out.low = low_key < out.low ? low_key : out.low;
  out.high = high_key > out.high ? high_key : out.high;
}

void survey_tile(NumericView const& column, std::int64_t begin, int rows, std::uint8_t const* valid, ValueKinds* out) {
  void const* const all = column.values;
  using S = std::int64_t;
  switch (column.storage) {
    case Storage::int8: return survey_integers<std::int8_t, S>(static_cast<std::int8_t const*>(all) + begin, rows, valid, *out);
    case Storage::int16: return survey_integers<std::int16_t, S>(static_cast<std::int16_t const*>(all) + begin, rows, valid, *out);
    case Storage::int32: return survey_integers<std::int32_t, S>(static_cast<std::int32_t const*>(all) + begin, rows, valid, *out);
    case Storage::int64: return survey_integers<std::int64_t, S>(static_cast<std::int64_t const*>(all) + begin, rows, valid, *out);
    case Storage::uint8: return survey_integers<std::uint8_t, S>(static_cast<std::uint8_t const*>(all) + begin, rows, valid, *out);
    case Storage::uint16: return survey_integers<std::uint16_t, S>(static_cast<std::uint16_t const*>(all) + begin, rows, valid, *out);
    case Storage::uint32: return survey_integers<std::uint32_t, S>(static_cast<std::uint32_t const*>(all) + begin, rows, valid, *out);
    case Storage::uint64:
      return survey_integers<std::uint64_t, std::uint64_t>(static_cast<std::uint64_t const*>(all) + begin, rows, valid, *out);
    case Storage::float32: return survey_floats(static_cast<float const*>(all) + begin, rows, valid, *out);
    case Storage::float64: return survey_floats(static_cast<double const*>(all) + begin, rows, valid, *out);
  }
}

}  // namespace
}  // namespace modelwatch::cpu
