#include "engine/bucket_cells.hpp"

#include <algorithm>

#include "core/key.hpp"
#include "core/sketch_rule.hpp"

namespace modelwatch {
namespace {

constexpr std::uint32_t kOctave = 128;  // buckets of one
/// Of the values between the least knot and 0, halves lie in one octave after the other.
constexpr std::uint32_t kBelowLeast = 3 * kOctave;
constexpr std::uint32_t kAboveMost = kOctave;
constexpr std::uint32_t kMost = 40 * kOctave;

/// How the buckets of a domain's own keys are numbered.
struct Numbers {
  int shift;
  std::uint32_t last;    // of them all
  std::uint32_t normal;  // the first of positive numbers that the keys of both widths number alike, and the last
  std::uint32_t finite;
  std::uint32_t wide[2];  // what the number of a bucket of doubles is larger by
};

constexpr Numbers numbers_of(Domain domain) {
  constexpr std::uint32_t kHalf = std::uint32_t{1} << (kBucketBits - 1);
  if (domain == Domain::float64) return {64 - kBucketBits, kBuckets - 1, kHalf, kHalf + 2047 * kOctave - 1, {0, 0}};
  constexpr std::uint32_t kSign = std::uint32_t{1} << (31 - kNarrowBucketShift);
  constexpr std::uint32_t kExponents = (1023 - 127) * kOctave;  // between the exponents of the two types
  return {kNarrowBucketShift, 2 * kSign - 1, kSign + kOctave, kSign + 255 * kOctave - 1, {kHalf - kSign - kExponents, kHalf - kSign + kExponents}};
}

}  // namespace

BucketCells::BucketCells(Domain domain, std::vector<std::uint64_t> const& knots) : gaps_(knots.size() + 1) {
  Numbers const numbers = numbers_of(domain);
  std::uint32_t least[2] = {~0u, ~0u};  // of the magnitudes of knots of each sign
  std::uint32_t most[2] = {0, 0};
  for (auto const key : knots) {
    auto const bucket = static_cast<std::uint32_t>(key >> numbers.shift);
    std::size_t const sign = bucket > numbers.last / 2 ? 1 : 0;
    std::uint32_t const magnitude = sign == 1 ? bucket : numbers.last - bucket;
    if (magnitude < numbers.normal || magnitude > numbers.finite) continue;
    least[sign] = std::min(least[sign], magnitude);
    most[sign] = std::max(most[sign], magnitude);
  }
  std::size_t below = 0;
  std::size_t bucket = 0;  // of both signs
  for (std::size_t sign = 0; sign < 2; ++sign) {
    if (least[sign] <= most[sign]) {
      std::uint32_t const top = std::min(most[sign] + kAboveMost, numbers.finite);
      std::uint32_t const bottom = std::max({least[sign] - kBelowLeast, numbers.normal, top - kMost + 1});
      window_.first[sign] = sign == 1 ? bottom : numbers.last - top;
      window_.count[sign] = top - bottom + 1;
    }
    wide_[sign] = numbers.wide[sign];
    for (std::uint32_t i = 0; i < window_.count[sign]; ++i, ++bucket) {
      auto const upto_edge = [&](std::uint32_t number) {
        std::uint64_t const edge = std::uint64_t{number} << numbers.shift;
        while (below < knots.size() && knots[below] < edge) ++below;
        return below;
      };
      upto_edge(window_.first[sign] + i);
      while (gap_of_.size() < bucket + below) gap_of_.push_back(static_cast<std::uint32_t>(gap_of_.size() - bucket));  // never counted
      for (std::size_t gap = below; gap <= upto_edge(window_.first[sign] + i + 1); ++gap) gap_of_.push_back(static_cast<std::uint32_t>(gap));
    }
  }
}

}  // namespace modelwatch
