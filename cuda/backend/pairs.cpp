#include "cuda/backend/pairs.hpp"

#include <algorithm>

#include "cuda/kernels/pairs.hpp"

namespace modelwatch::cuda {
namespace {

using Tuning = PairsTuning;

/// Partial sums that lie on the device at a time.
constexpr std::int64_t kPartialBytes = std::int64_t{64} << 20;
/// Blocks of a whole run, about, where there are few tiles; part of what fixes the bits.
constexpr std::int64_t kBlocks = 2048;
constexpr std::int64_t kMostStripes = 16;

template <class Value>
DeviceArray<Value> together(Session& session, std::vector<MatrixInput> const& matrices, std::int64_t rows, std::int64_t dimensions) {
  DeviceArray<Value> out(static_cast<std::size_t>(rows * dimensions), session.stream());
  std::int64_t at = 0;
  for (auto const& matrix : matrices) {
    std::int64_t const count = matrix.rows * dimensions;
    if (count != 0)
      check(cudaMemcpyAsync(out.data() + at, matrix.values, static_cast<std::size_t>(count) * sizeof(Value),
                            matrix.on_device ? cudaMemcpyDeviceToDevice : cudaMemcpyHostToDevice, session.stream()),
            "copy to the device");
    at += count;
  }
  DeviceArray<std::uint32_t> found(1, session.stream());
  found.zero();
  launch_find_not_finite(out.data(), at, found.data(), session.info().multiprocessors, session.stream());
  if (found.download()[0] != 0) throw InvalidInput("the samples hold NaN or infinite elements; leave these rows out.");
  return out;
}

std::vector<std::uint64_t> words_of(std::vector<std::uint8_t> const& marks, std::size_t columns, std::int64_t rows, std::int64_t tiles) {
  std::vector<std::uint64_t> out(static_cast<std::size_t>(tiles) * columns, 0);
  for (std::size_t row = 0; row < static_cast<std::size_t>(rows); ++row)
    for (std::size_t c = 0; c < columns; ++c)
      if (marks[row * columns + c] != 0) out[row / Tuning::kTile * columns + c] |= std::uint64_t{1} << (row % Tuning::kTile);
  return out;
}

template <class Value>
MarkedPairSums sums_of(Session& session, std::vector<MatrixInput> const& matrices, std::int64_t rows, std::vector<std::uint8_t> const& marks,
                       std::size_t columns, std::vector<double> const& scales, double closest, Poll const& poll) {
  auto const values = together<Value>(session, matrices, rows, matrices.front().dimensions);
  PairRows<Value> const all{values.data(), rows, matrices.front().dimensions};
  std::int64_t const tiles = all.tiles();
  auto const words = uploaded(words_of(marks, columns, rows, tiles), session.stream());
  int const parts = columns <= 16 ? 16 : columns <= 64 ? 4 : 1;
  PairMarks const marked{words.data(), static_cast<int>(columns), parts};
  auto const sums = static_cast<std::size_t>(marked.sums());
  auto const stripes = std::clamp<std::int64_t>(kBlocks / std::max<std::int64_t>(tiles, 1), 1, kMostStripes);
  MarkedPairSums out{std::vector<double>(scales.size(), 0.0), std::vector<double>(scales.size() * columns, 0.0), {}};
  out.touching = out.within;
  for (std::size_t first = 0; first < scales.size(); first += Tuning::kFunctions) {
    PairFunctions functions{};
    functions.closest = closest;
    for (std::size_t f = first; f < std::min<std::size_t>(scales.size(), first + Tuning::kFunctions); ++f)
      functions.scales[functions.count++] = scales[f];
    auto const of_tile = static_cast<std::size_t>(functions.count) * sums;
    std::int64_t const most = std::max<std::int64_t>(1, kPartialBytes / (stripes * static_cast<std::int64_t>(of_tile * sizeof(double))));
    for (std::int64_t tile = 0; tile < tiles; tile += most) {
      if (poll) poll();
      std::int64_t const count = std::min(most, tiles - tile);
      DeviceArray<double> partials(static_cast<std::size_t>(stripes * count) * of_tile, session.stream());
      partials.zero();
      launch_pair_sums(all, marked, functions, tile, count, static_cast<int>(stripes), partials.data(), session.stream());
      auto const found = partials.download();
      for (std::size_t at = 0; at < found.size(); at += sums) {
        std::size_t const f = first + at / sums % static_cast<std::size_t>(functions.count);
        out.total[f] += found[at];
        for (std::size_t item = 0; item < columns * static_cast<std::size_t>(parts); ++item) {
          out.within[f * columns + item % columns] += found[at + 1 + item];
          out.touching[f * columns + item % columns] += found[at + 1 + columns * static_cast<std::size_t>(parts) + item];
        }
      }
    }
  }
  return out;
}

/// All rows of samples that are read together.
std::int64_t rows_of(Session const& session, std::vector<MatrixInput> const& matrices) {
  if (matrices.empty() || matrices.front().dimensions < 1) throw InvalidInput("expected matrices with at least one column.");
  std::int64_t rows = 0;
  for (auto const& matrix : matrices) {
    if (matrix.dimensions != matrices.front().dimensions || matrix.wide != matrices.front().wide)
      throw InvalidInput("both sides must have the same columns, of one type.");
    if (matrix.on_device && matrix.device != session.info().index)
      throw InvalidInput("a matrix lies on another device than the one that is to read it.");
    rows += matrix.rows;
  }
  return rows;
}

template <class Value>
Nearest nearest_of(Session& session, std::vector<MatrixInput> const& rows, std::vector<MatrixInput> const& among, bool same, int k, Poll const& poll) {
  std::int64_t const count = rows_of(session, rows);
  std::int64_t const others = rows_of(session, among);
  auto const values = together<Value>(session, rows, count, rows.front().dimensions);
  auto const theirs = together<Value>(session, same ? std::vector<MatrixInput>{} : among, same ? 0 : others, among.front().dimensions);
  PairRows<Value> const own{values.data(), count, rows.front().dimensions};
  PairRows<Value> const other{same ? values.data() : theirs.data(), others, rows.front().dimensions};
  std::int64_t const most = std::clamp<std::int64_t>(kPartialBytes / std::max<std::int64_t>(8 * others, 1), 1, std::int64_t{1} << 20);
  Nearest out{std::vector<double>(static_cast<std::size_t>(count * k)), std::vector<std::int64_t>(static_cast<std::size_t>(count * k))};
  for (std::int64_t first = 0; first < count; first += most) {
    if (poll) poll();
    std::int64_t const some = std::min(most, count - first);
    auto const found = static_cast<std::size_t>(some * k);
    DeviceArray<double> distances(static_cast<std::size_t>(some * others), session.stream());
    DeviceArray<double> squared(found, session.stream());
    DeviceArray<std::int64_t> index(found, session.stream());
    launch_nearest(own, first, some, other, same, k, distances.data(), squared.data(), index.data(), session.stream());
    squared.download(out.squared.data() + first * k, found);
    index.download(out.index.data() + first * k, found);
  }
  return out;
}

template <class Value>
Balls balls_of(Session& session, MatrixInput const& rows, MatrixInput const& among, std::vector<double> const& squared_radii) {
  auto const values = together<Value>(session, {rows}, rows.rows, rows.dimensions);
  auto const theirs = together<Value>(session, {among}, among.rows, among.dimensions);
  auto const radii = uploaded(squared_radii, session.stream());
  auto const count = static_cast<std::size_t>(rows.rows);
  DeviceArray<std::uint32_t> inside(count, session.stream());
  DeviceArray<double> closest(count, session.stream());
  launch_balls(PairRows<Value>{values.data(), rows.rows, rows.dimensions}, PairRows<Value>{theirs.data(), among.rows, among.dimensions}, radii.data(),
               inside.data(), closest.data(), session.stream());
  return {inside.download(), closest.download()};
}

}  // namespace

Balls balls(Session& session, MatrixInput const& rows, MatrixInput const& among, std::vector<double> const& squared_radii) {
  rows_of(session, {rows, among});
  if (squared_radii.size() != static_cast<std::size_t>(among.rows)) throw InvalidInput("every ball needs its radius.");
  return rows.wide ? balls_of<double>(session, rows, among, squared_radii) : balls_of<float>(session, rows, among, squared_radii);
}

Nearest nearest(Session& session, std::vector<MatrixInput> const& rows, std::vector<MatrixInput> const& among, bool same, int k, Poll const& poll) {
  std::int64_t const others = rows_of(session, among);
  rows_of(session, rows);
  if (rows.front().dimensions != among.front().dimensions || rows.front().wide != among.front().wide)
    throw InvalidInput("both sides must have the same columns, of one type.");
  if (k < 1 || k > others - (same ? 1 : 0)) throw InvalidInput("there are not so many other rows.");
  return rows.front().wide ? nearest_of<double>(session, rows, among, same, k, poll) : nearest_of<float>(session, rows, among, same, k, poll);
}

MarkedPairSums pair_sums(Session& session, std::vector<MatrixInput> const& matrices, std::vector<std::uint8_t> const& marks, std::size_t columns,
                         std::vector<double> const& scales, double closest, Poll const& poll) {
  std::int64_t const rows = rows_of(session, matrices);
  if (marks.size() != static_cast<std::size_t>(rows) * columns) throw InvalidInput("every row needs its marks.");
  return matrices.front().wide ? sums_of<double>(session, matrices, rows, marks, columns, scales, closest, poll)
                               : sums_of<float>(session, matrices, rows, marks, columns, scales, closest, poll);
}

}  // namespace modelwatch::cuda
