#include "cuda/backend/pairs.hpp"

#include <algorithm>

#include "cuda/kernels/pairs.hpp"

namespace modelwatch::cuda {
namespace {

using Tuning = PairsTuning;

/// Rows of either side that lie on the device at a time: enough for any device to be busy, few enough for its memory.
constexpr std::int64_t kStripRows = std::int64_t{1} << 16;
constexpr std::int64_t kStripBytes = std::int64_t{1} << 30;

std::int64_t pieces(std::int64_t rows, std::int64_t size) { return (rows + size - 1) / size; }

template <class Value>
DeviceArray<Value> upload_rows(Session const& session, Value const* rows, std::int64_t count, std::int64_t dimensions) {
  DeviceArray<Value> out(static_cast<std::size_t>(count * dimensions), session.stream());
  out.upload(rows, out.size());
  return out;
}

/// Sums of every tile of x, kSums each, over all of y, whose segments are added in order however long the strips are.
template <class Value>
std::vector<double> sums_of_tiles(Session& session, PairRows<Value> const& all, PairScales const& scales, std::int64_t strip, Poll const& poll) {
  std::vector<double> out(static_cast<std::size_t>(pieces(all.n, Tuning::kTile) * Tuning::kSums), 0.0);
  for (std::int64_t i = 0; i < all.n; i += strip) {
    std::int64_t const n = std::min(strip, all.n - i);
    std::int64_t const tiles = pieces(n, Tuning::kTile);
    auto const x = upload_rows(session, all.x + i * all.dimensions, n, all.dimensions);
    for (std::int64_t j = 0; j < all.m; j += strip) {
      if (poll) poll();
      std::int64_t const m = std::min(strip, all.m - j);
      auto const y = upload_rows(session, all.y + j * all.dimensions, m, all.dimensions);
      auto const of_segment = static_cast<std::size_t>(tiles * Tuning::kSums);
      DeviceArray<double> partials(static_cast<std::size_t>(pieces(m, Tuning::kSegment)) * of_segment, session.stream());
      launch_pair_sums(PairRows<Value>{x.data(), n, y.data(), m, all.dimensions}, scales, partials.data(), tiles, session.stream());
      auto const found = partials.download();
      double* const to = out.data() + i / Tuning::kTile * Tuning::kSums;
      for (std::size_t at = 0; at < found.size(); ++at) to[at % of_segment] += found[at];
    }
  }
  return out;
}

template <class Value>
std::vector<double> sums_in_strips(Session& session, PairRows<Value> const& all, PairScales const& scales, Poll const& poll) {
  std::int64_t const fitting = kStripBytes / (all.dimensions * static_cast<std::int64_t>(sizeof(Value)));
  std::int64_t strip = std::max<std::int64_t>(Tuning::kSegment, std::min(kStripRows, fitting) / Tuning::kSegment * Tuning::kSegment);
  while (true) {
    try {
      auto const tiles = sums_of_tiles(session, all, scales, strip, poll);
      std::vector<double> sums(Tuning::kSums, 0.0);
      for (std::size_t at = 0; at < tiles.size(); ++at) sums[at % Tuning::kSums] += tiles[at];
      return sums;
    } catch (DeviceError const& error) {
      if (!error.out_of_memory() || strip == Tuning::kSegment) throw;
      strip = std::max<std::int64_t>(Tuning::kSegment, strip / 2 / Tuning::kSegment * Tuning::kSegment);
    }
  }
}

}  // namespace

template <class Value>
PairSums pair_sums(Session& session, Value const* x, std::int64_t n, Value const* y, std::int64_t m, std::int64_t dimensions,
                              std::vector<double> const& scales, Poll const& poll) {
  PairSums out{0.0, std::vector<double>(scales.size(), 0.0)};
  if (n == 0 || m == 0) return out;
  for (std::size_t first = 0; first == 0 || first < scales.size(); first += Tuning::kScales) {
    PairScales together{};
    for (std::size_t s = first; s < std::min<std::size_t>(scales.size(), first + Tuning::kScales); ++s)
      together.values[together.count++] = scales[s];
    auto const sums = sums_in_strips(session, PairRows<Value>{x, n, y, m, dimensions}, together, poll);
    out.distance = sums[0];
    for (int s = 0; s < together.count; ++s) out.gaussian[first + static_cast<std::size_t>(s)] = sums[static_cast<std::size_t>(s) + 1];
  }
  return out;
}

template PairSums pair_sums(Session&, float const*, std::int64_t, float const*, std::int64_t, std::int64_t,
                                       std::vector<double> const&, Poll const&);
template PairSums pair_sums(Session&, double const*, std::int64_t, double const*, std::int64_t, std::int64_t,
                                       std::vector<double> const&, Poll const&);

}  // namespace modelwatch::cuda
