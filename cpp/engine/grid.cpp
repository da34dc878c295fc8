#include "engine/grid.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <type_traits>

#include "core/grid_rule.hpp"
#include "core/key.hpp"
#include "core/error.hpp"

namespace modelwatch {
namespace {

/// What the guide table trades: more buckets, fewer comparisons; too many, and the table leaves the cache.
struct GuideTuning {
  std::uint32_t buckets_per_knot = 4;
  std::uint32_t least = 64;
  std::uint32_t most = 1u << 18;
};

/// A guide and knots of at most this size stay in the second-level cache.
constexpr std::size_t kNearBytes = std::size_t{256} << 10;

constexpr std::uint32_t kMostKnots = 1u << 28;

template <class Value>
std::uint64_t infinity_key(bool positive) {
  return KeyOf<Value>::key(positive ? static_cast<Value>(__builtin_inf()) : -static_cast<Value>(__builtin_inf()));
}

}  // namespace

Grid::Grid(Domain domain, std::vector<std::uint64_t> knots) : domain_(domain), knots_(std::move(knots)) {
  if (knots_.size() > kMostKnots) throw InvalidInput("a grid cannot hold more than 2^28 knots.");
  for (std::size_t k = 1; k < knots_.size(); ++k)
    if (knots_[k] <= knots_[k - 1]) throw InvalidInput("the knots of a grid must be strictly increasing.");
  if (domain_ == Domain::float32 && !knots_.empty() && knots_.back() > 0xffffffffu)
    throw InvalidInput("a float32 grid has a knot key beyond 32 bits.");
  std::uint64_t low = 0;
  std::uint64_t high = ~std::uint64_t{0};
  if (domain_ == Domain::float32) low = infinity_key<float>(false), high = infinity_key<float>(true);
  if (domain_ == Domain::float64) low = infinity_key<double>(false), high = infinity_key<double>(true);
  if (domain_ == Domain::float32 || domain_ == Domain::float64) {
    if (knots_.size() < 2 || knots_.front() != low || knots_.back() != high)
      throw InvalidInput("the first and last knot of a float grid must be -inf and +inf.");
    lower_tail_ = 1;
    upper_tail_ = count() - 1;
  } else {
    upper_tail_ = count();
  }
  switch (domain_) {
    case Domain::float32: build<float>(narrow_); break;
    case Domain::float64: build<double>(wide_); break;
    case Domain::int64: build<std::int64_t>(wide_); break;
    case Domain::uint64: build<std::uint64_t>(wide_); break;
  }
}

template <class Value>
void Grid::build(std::vector<typename KeyOf<Value>::Key>& padded) {
  using Key = typename KeyOf<Value>::Key;
  std::uint32_t const m = count();
  GuideTuning const tuning;
  std::uint32_t const buckets =
      std::clamp(std::bit_ceil(std::max(1u, m) * tuning.buckets_per_knot), tuning.least, tuning.most);
  // Buckets spread over the finite knots only; the infinities fall into the first and the last.
  std::uint64_t const from = m > 0 ? knots_[std::min<std::uint32_t>(lower_tail_, m - 1)] : 0;
  std::uint64_t const to = m > 0 ? std::max(from, knots_[m - 1 - std::min<std::uint32_t>(lower_tail_, m - 1)]) : 0;
  // ... which are no other knot's: with the least one its bucket would take another step of every search.
  std::uint32_t const apart = lower_tail_;
  while (((to - from) >> shift_) + 2 * apart >= buckets) ++shift_;
  std::uint64_t const before = std::uint64_t{apart} << shift_;
  first_ = from - std::min(from, before);
  GridRule<Value> rule{nullptr, nullptr, m, buckets, static_cast<Key>(first_), shift_, Value{0}, Value{0}, 0};
  std::uint32_t fullest = 0;
  auto const fill = [&] {
    std::vector<std::uint32_t> guide(buckets + 1, 0);
    for (std::uint64_t const knot : knots_) {
      auto const key = static_cast<Key>(knot);
      ++guide[rule.bucket_of(KeyOf<Value>::value(key), key) + 1];
    }
    fullest = *std::max_element(guide.begin(), guide.end());
    std::partial_sum(guide.begin(), guide.end(), guide.begin());
    return guide;
  };
  guide_ = fill();
  if constexpr (std::is_floating_point_v<Value>) {
    // Keys are fair to every octave, values to where bell-shaped data lies: the shorter search wins.
    Value const low = KeyOf<Value>::value(static_cast<Key>(from));
    Value const scale = static_cast<Value>(buckets - 3 * apart) / (KeyOf<Value>::value(static_cast<Key>(to)) - low);
    Value const origin = low - Value{1.5} / scale;  // the least in the middle of the second bucket, whatever is rounded
    // Not where a bucket is so narrow that a thread which flushes subnormals to zero would look into another.
    using Limits = std::numeric_limits<Value>;
    bool const wide_enough = scale < Limits::epsilon() / 4 / Limits::min();
    if (std::isfinite(origin) && wide_enough && scale > Value{0}) {
      std::uint32_t const by_key = fullest;
      rule.origin = origin;
      rule.scale = scale;
      auto linear = fill();
      if (std::bit_width(fullest) < std::bit_width(by_key)) {
        guide_ = std::move(linear);
        origin_ = static_cast<double>(origin);
        scale_ = static_cast<double>(scale);
      } else {
        fullest = by_key;
      }
    }
  }
  guide_.pop_back();
  buckets_ = static_cast<std::uint32_t>(guide_.size());
  if (m < 1u << 16 && guide_.size() * sizeof(std::uint16_t) + m * sizeof(Key) <= kNearBytes) {
    near_guide_.assign(guide_.begin(), guide_.end());
    near_guide_.push_back(0);  // vectors of look-ups load two at a time
    guide_ = {};
  }
  for (std::uint32_t gap = 0; gap <= m; ++gap) {
    bool const inner = gap > lower_tail_ && gap < upper_tail_;
    auto const knot = [&](std::uint32_t k) { return KeyOf<Value>::value(static_cast<Key>(knots_[k])); };
    gaps_.push_back(inner ? rule_of_gap(knot(gap - 1), knot(gap)) : tail_rule());
    if constexpr (std::is_same_v<Value, double>) gap_scales_.push_back(inner ? gap_scale(knot(gap - 1), knot(gap)) : 1.0);
  }
  if (std::all_of(gap_scales_.begin(), gap_scales_.end(), [](double scale) { return scale == 1.0; })) gap_scales_.clear();
  steps_ = static_cast<std::int32_t>(std::bit_width(fullest));
  padded.reserve(m + (std::size_t{1} << steps_));
  for (std::uint64_t const knot : knots_) padded.push_back(static_cast<Key>(knot));
  padded.resize(m + (std::size_t{1} << steps_), static_cast<Key>(~Key{0}));
  if (!std::is_floating_point_v<Value> || near_guide_.empty() || !gap_scales_.empty()) return;
  for (std::size_t k = 0; k < padded.size(); ++k) records_.push_back({padded[k], k <= m ? gaps_[k] : tail_rule()});
  bucket_cells_ = BucketCells(domain_, knots_);
}

cpu::GridData Grid::data() const {
  void const* const knots = domain_ == Domain::float32 ? static_cast<void const*>(narrow_.data()) : wide_.data();
  return {knots,    guide_.empty() ? nullptr : guide_.data(), near_guide_.empty() ? nullptr : near_guide_.data(), count(),
          buckets_, first_,                                   shift_,                                             steps_,
          origin_,  scale_,                                   domain_,                                            gaps_.data(),
          gap_scales_.empty() ? nullptr : gap_scales_.data(),     records_.empty() ? nullptr : records_.data()};
}

}  // namespace modelwatch
