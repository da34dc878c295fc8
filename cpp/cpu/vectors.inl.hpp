// Sums over vectors: part of kernels.inl.hpp.  Every operation is rounded by itself, and no sum depends on how many lanes
// there are, so the same bits come out everywhere.

namespace modelwatch::cpu {
namespace {

#if defined(__AVX512F__)
constexpr int kLaneBytes = 64;
#elif defined(__AVX2__)
constexpr int kLaneBytes = 32;
#else
constexpr int kLaneBytes = 16;
#endif
constexpr int kFloatLanes = kLaneBytes / 4;
using FloatLanes = float __attribute__((vector_size(kLaneBytes)));
using IntegerLanes = std::int32_t __attribute__((vector_size(kLaneBytes)));

/// Twice the cosine and the sine of |angle| <= 2^20.  The angle loses its multiple of pi / 2, which is taken off in three
/// parts whose products have few digits; on what is left, at most pi / 4, polynomials of least largest error (4e-9).
MW_HD void twice_cosine_and_sine(FloatLanes angle, FloatLanes& cosine, FloatLanes& sine) {
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: what is added to it is rounded to an integer
  FloatLanes const rounded = angle * 0.636619772f + kRound;
  FloatLanes const turns = rounded - kRound;
  FloatLanes const left = ((angle - turns * 1.5703125f) - turns * 0.00048351287841796875f) - turns * 3.1391647326017846e-07f;
  FloatLanes const z = left * left;
  FloatLanes const s = left + left * z * (-0.16666655242443085f + z * (0.008332173340022564f + z * -0.00019516656175255775f));
  FloatLanes const c = 1.0f - 0.5f * z + z * z * (0.04166664555668831f + z * (-0.001388736185617745f + z * 2.4437729734927416e-05f));
  // Every odd quarter exchanges them, and two of four change their signs.
  auto const quarter = __builtin_bit_cast(IntegerLanes, rounded);
  IntegerLanes const odd = -(quarter & 1);
  auto const s_bits = __builtin_bit_cast(IntegerLanes, s + s);
  auto const c_bits = __builtin_bit_cast(IntegerLanes, c + c);
  IntegerLanes const exchanged = (s_bits ^ c_bits) & odd;
  cosine = __builtin_bit_cast(FloatLanes, (c_bits ^ exchanged) ^ (((quarter + 1) & 2) << 30));
  sine = __builtin_bit_cast(FloatLanes, (s_bits ^ exchanged) ^ ((quarter & 2) << 30));
}

/// Beyond, an angle has hardly a digit after the point, and its cosine none.
MW_HD FloatLanes near_angles(FloatLanes angle) {
  constexpr float kFarthest = 1048576.0f;
  angle = angle > kFarthest ? angle - angle + kFarthest : angle;
  return angle < -kFarthest ? angle - angle - kFarthest : angle;
}

using DoubleLanes = double __attribute__((vector_size(kLaneBytes)));
constexpr int kDoubleLanes = kLaneBytes / 8;

/// As many values as there are double lanes, of either type.
template <class Value>
struct Few {
  using Lanes = DoubleLanes;
};
template <>
struct Few<float> {
  using Lanes = float __attribute__((vector_size(kLaneBytes / 2)));
};

/// center_rows of one type.  A row's squares are added up in sixteen lanes, and these by halves.
template <class Value>
MW_HD void centered_rows(Value const* values, std::int64_t rows, std::int64_t dimensions, Value const* center, Value* centered, double* squares,
                         double* lengths) {
  using Lanes = typename Few<Value>::Lanes;
  constexpr int kSums = 16;
  constexpr int kParts = kSums / kDoubleLanes;
  auto const whole = [](DoubleLanes const* parts) {
    double lanes[kSums];
    __builtin_memcpy(lanes, parts, sizeof(lanes));
    for (int half = kSums / 2; half > 0; half /= 2)
      for (int l = 0; l < half; ++l) lanes[l] += lanes[l + half];
    return lanes[0];
  };
  for (std::int64_t row = 0; row < rows; ++row) {
    Value const* const own = values + row * dimensions;
    Value* const out = centered + row * dimensions;
    DoubleLanes about[kParts] = {};
    DoubleLanes origin[kParts] = {};
    std::int64_t i = 0;
    for (; i + kSums <= dimensions; i += kSums)
      for (int p = 0; p < kParts; ++p) {
        Lanes value;
        Lanes middle;
        __builtin_memcpy(&value, own + i + p * kDoubleLanes, sizeof(value));
        __builtin_memcpy(&middle, center + i + p * kDoubleLanes, sizeof(middle));
        Lanes const moved = value - middle;
        __builtin_memcpy(out + i + p * kDoubleLanes, &moved, sizeof(moved));
        auto const wide = __builtin_convertvector(moved, DoubleLanes);
        auto const wide_value = __builtin_convertvector(value, DoubleLanes);
        about[p] += wide * wide;
        origin[p] += wide_value * wide_value;
      }
    for (int l = 0; i + l < dimensions; ++l) {
      Value const moved = own[i + l] - center[i + l];
      out[i + l] = moved;
      about[l / kDoubleLanes][l % kDoubleLanes] += static_cast<double>(moved) * static_cast<double>(moved);
      origin[l / kDoubleLanes][l % kDoubleLanes] += static_cast<double>(own[i + l]) * static_cast<double>(own[i + l]);
    }
    squares[row] = whole(about);
    lengths[row] = whole(origin);
  }
}

void center_rows_f32(float const* values, std::int64_t rows, std::int64_t dimensions, float const* center, float* centered, double* squares,
                     double* lengths) {
  centered_rows(values, rows, dimensions, center, centered, squares, lengths);
}

void center_rows_f64(double const* values, std::int64_t rows, std::int64_t dimensions, double const* center, double* centered, double* squares,
                     double* lengths) {
  centered_rows(values, rows, dimensions, center, centered, squares, lengths);
}

/// Rows ahead that are fetched, for rows of one hand or group lie anywhere.
constexpr int kRowsAhead = 4;

/// add_rows of one type.
template <class Value>
MW_HD void added_rows(Value const* values, std::int64_t rows, std::int64_t dimensions, Value const* center, std::int64_t const* order,
                      std::int64_t const* group, double* totals) {
  using Lanes = typename Few<Value>::Lanes;
  for (std::int64_t at = 0; at < rows; ++at) {
    std::int64_t const row = order == nullptr ? at : order[at];
    std::int64_t const next = at + kRowsAhead < rows ? at + kRowsAhead : rows - 1;
    Value const* const own = values + row * dimensions;
    Value const* const ahead = values + (order == nullptr ? next : order[next]) * dimensions;
    double* const total = totals + group[row] * dimensions;
    std::int64_t i = 0;
    for (; i + kDoubleLanes <= dimensions; i += kDoubleLanes) {
      Lanes value;
      Lanes middle;
      DoubleLanes sum;
      __builtin_prefetch(ahead + i);
      __builtin_memcpy(&value, own + i, sizeof(value));
      __builtin_memcpy(&middle, center + i, sizeof(middle));
      __builtin_memcpy(&sum, total + i, sizeof(sum));
      sum += __builtin_convertvector(value - middle, DoubleLanes);
      __builtin_memcpy(total + i, &sum, sizeof(sum));
    }
    for (; i < dimensions; ++i) total[i] += static_cast<double>(own[i] - center[i]);
  }
}

void add_rows_f32(float const* values, std::int64_t rows, std::int64_t dimensions, float const* center, std::int64_t const* order,
                  std::int64_t const* group, double* totals) {
  added_rows(values, rows, dimensions, center, order, group, totals);
}

void add_rows_f64(double const* values, std::int64_t rows, std::int64_t dimensions, double const* center, std::int64_t const* order,
                  std::int64_t const* group, double* totals) {
  added_rows(values, rows, dimensions, center, order, group, totals);
}

/// Rows that are added up in float before they are added to a sum.
constexpr int kFloatRows = 256;
/// Frequencies whose sums in float stay in the nearest cache.
constexpr int kNearFrequencies = 256;
/// So many angles; 0 beyond the end.
MW_HD FloatLanes some_angles(float const* angles, int lanes) {
  FloatLanes angle;
  if (lanes == kFloatLanes) {
    __builtin_memcpy(&angle, angles, sizeof(angle));
  } else {
    float few[kFloatLanes] = {};
    for (int l = 0; l < lanes; ++l) few[l] = angles[l];
    __builtin_memcpy(&angle, few, sizeof(angle));
  }
  return near_angles(angle);
}

/// Adds the features of one row, or of two of them to each other first, to sums in float.
template <bool kTwo>
MW_HD void add_row_features(float const* one, float const* other, float const* ahead, int frequencies, float (*part)[kNearFrequencies]) {
  for (int f = 0; f < frequencies; f += kFloatLanes) {
    int const lanes = frequencies - f < kFloatLanes ? frequencies - f : kFloatLanes;
    __builtin_prefetch(ahead + f);
    FloatLanes u;
    FloatLanes v;
    FloatLanes w = {};
    FloatLanes x = {};
    twice_cosine_and_sine(some_angles(one + f, lanes), u, v);
    if constexpr (kTwo) twice_cosine_and_sine(some_angles(other + f, lanes), w, x);
    for (int scale = 0; scale < kFeatureScales; ++scale) {
      if (scale > 0) {
        FloatLanes const square = v * v;
        v *= u;
        u = 2.0f - square;
        if constexpr (kTwo) {
          FloatLanes const other_square = x * x;
          x *= w;
          w = 2.0f - other_square;
        }
      }
      FloatLanes sum;
      __builtin_memcpy(&sum, part[2 * scale] + f, sizeof(sum));
      if constexpr (kTwo) {
        sum += u + w;
      } else {
        sum += u;
      }
      __builtin_memcpy(part[2 * scale] + f, &sum, sizeof(sum));
      __builtin_memcpy(&sum, part[2 * scale + 1] + f, sizeof(sum));
      if constexpr (kTwo) {
        sum += v + x;
      } else {
        sum += v;
      }
      __builtin_memcpy(part[2 * scale + 1] + f, &sum, sizeof(sum));
    }
  }
}

void add_features(float const* angles, int rows, int frequencies, std::int32_t const* order, std::int32_t const* hand, double* sums) {
  alignas(64) float part[2 * kFeatureScales][kNearFrequencies];
  for (int near = 0; near < frequencies; near += kNearFrequencies) {
    int const some = frequencies - near < kNearFrequencies ? frequencies - near : kNearFrequencies;
    auto const row_at = [&](int row) { return angles + static_cast<std::int64_t>(order[row < rows ? row : rows - 1]) * frequencies + near; };
    for (int begin = 0; begin < rows;) {
      std::int32_t const own = hand[order[begin]];
      int end = begin + 1;
      while (end < rows && end - begin < kFloatRows && hand[order[end]] == own) ++end;
      __builtin_memset(part, 0, sizeof(part));
      int row = begin;
      for (; row + 2 <= end; row += 2) add_row_features<true>(row_at(row), row_at(row + 1), row_at(row + kRowsAhead), some, part);
      if (row < end) add_row_features<false>(row_at(row), nullptr, row_at(row + kRowsAhead), some, part);
      double* const out = sums + static_cast<std::int64_t>(own) * 2 * kFeatureScales * frequencies + near;
      for (int i = 0; i < 2 * kFeatureScales; ++i)
        for (int f = 0; f < some; ++f) out[static_cast<std::int64_t>(i) * frequencies + f] += 0.5 * static_cast<double>(part[i][f]);
      begin = end;
    }
  }
}

}  // namespace
}  // namespace modelwatch::cpu
