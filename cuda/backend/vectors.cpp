#include "cuda/backend/vectors.hpp"

#include <algorithm>

#include "cuda/kernels/pairs.hpp"  // launch_find_not_finite
#include "cuda/kernels/vectors.hpp"

namespace modelwatch::cuda {
namespace {

using Tuning = VectorsTuning;

/// Partial products that lie on the device at a time, and rows; they fix the bits, so no device changes them.
constexpr std::int64_t kPartialBytes = std::int64_t{128} << 20;
constexpr std::int64_t kMostRows = std::int64_t{1} << 16;
constexpr std::int64_t kTileSums = std::int64_t{Tuning::kTile} * Tuning::kTile;

template <class Value>
Frequencies<Value> frequencies_in(DeviceArray<float> const& narrow, DeviceArray<double> const& wide, int count, double widest) {
  if constexpr (sizeof(Value) == sizeof(float))
    return {narrow.data(), count, widest};
  else
    return {wide.data(), count, widest};
}

/// Rows whose products are added up at a time, so that partial ones do not take too much.
std::int64_t rows_together(std::int64_t dimensions) {
  std::int64_t const strips = kPartialBytes / (TilePairs(dimensions).count() * kTileSums * static_cast<std::int64_t>(sizeof(double)));
  return std::min(kMostRows, std::max<std::int64_t>(1, strips) * Tuning::kStripRows);
}

/// What the products of pairs of tiles are as one matrix.
std::vector<double> upper_triangle(std::vector<double> const& tiled, std::size_t d) {
  std::vector<double> out(d * d, 0.0);
  auto const tiles = static_cast<std::size_t>(TilePairs(static_cast<std::int64_t>(d)).tiles);
  constexpr std::size_t kTile = Tuning::kTile;
  std::size_t at = 0;
  for (std::size_t i = 0; i < tiles; ++i)
    for (std::size_t j = i; j < tiles; ++j, at += kTile * kTile)
      for (std::size_t r = 0; r < kTile && i * kTile + r < d; ++r)
        for (std::size_t c = 0; c < kTile && j * kTile + c < d; ++c)
          if (j * kTile + c >= i * kTile + r) out[(i * kTile + r) * d + j * kTile + c] = tiled[at + r * kTile + c];
  return out;
}

void check_place(Session const& session, MatrixInput const& rows) {
  if (rows.on_device && rows.device != session.info().index) throw InvalidInput("a matrix lies on another device than the one that is to read it.");
}

/// Looks for numbers that are not finite.
class FiniteCheck {
 public:
  explicit FiniteCheck(Session& session) : session_(session), found_(1, session.stream()) { found_.zero(); }
  template <class Value>
  void look(VectorRows<Value> const& rows) {
    launch_find_not_finite(rows.values, rows.rows * rows.dimensions, found_.data(), session_.info().multiprocessors, session_.stream());
  }
  void end() const {
    if (found_.download_one(0) != 0) throw InvalidInput("the samples hold NaN or infinite elements; leave these rows out.");
  }

 private:
  Session& session_;
  DeviceArray<std::uint32_t> found_;
};

/// Calls f(rows [first, first + count) of a matrix, in device memory), in its own type.
template <class F>
void with_rows(Session& session, MatrixInput const& matrix, std::int64_t first, std::int64_t count, F f) {
  auto const as = [&]<class Value>(Value) {
    Value const* values = static_cast<Value const*>(matrix.values) + first * matrix.dimensions;
    DeviceArray<Value> copied(matrix.on_device ? 0 : static_cast<std::size_t>(count * matrix.dimensions), session.stream());
    copied.upload(values, copied.size());
    f(VectorRows<Value>{matrix.on_device ? values : copied.data(), count, matrix.dimensions});
  };
  if (matrix.wide)
    as(double{});
  else
    as(float{});
}

}  // namespace

CenteredSums centered_sums(Session& session, std::vector<MatrixInput> const& matrices, std::vector<double> const& center, Poll const& poll) {
  std::int64_t dimensions = 0;
  for (auto const& matrix : matrices) {
    check_place(session, matrix);
    if (matrix.dimensions < 1 || matrix.rows != matrices.front().rows) throw InvalidInput("matrices side by side have as many rows.");
    dimensions += matrix.dimensions;
  }
  if (dimensions == 0 || center.size() != static_cast<std::size_t>(dimensions)) throw InvalidInput("every element needs its center.");
  cudaStream_t const stream = session.stream();
  auto const centers = uploaded(center, stream);
  std::int64_t const pairs = TilePairs(dimensions).count();
  std::int64_t const most = rows_together(dimensions);
  DeviceArray<double> products(static_cast<std::size_t>(pairs * kTileSums), stream);
  DeviceArray<double> total(static_cast<std::size_t>(dimensions), stream);
  products.zero();
  total.zero();
  FiniteCheck finite(session);
  for (std::int64_t first = 0; first < matrices.front().rows; first += most) {
    if (poll) poll();
    std::int64_t const count = std::min(most, matrices.front().rows - first);
    DeviceArray<double> rows(static_cast<std::size_t>(count * dimensions), stream);
    std::int64_t element = 0;
    for (auto const& matrix : matrices) {
      with_rows(session, matrix, first, count, [&](auto const& own) {
        finite.look(own);
        launch_center(own, centers.data() + element, dimensions, rows.data() + element, stream);
      });
      element += matrix.dimensions;
    }
    std::int64_t const strips = (count + Tuning::kStripRows - 1) / Tuning::kStripRows;
    DeviceArray<double> partial(static_cast<std::size_t>(strips * pairs * kTileSums), stream);
    DeviceArray<double> partial_total(static_cast<std::size_t>(strips * dimensions), stream);
    launch_add_products(VectorRows<double>{rows.data(), count, dimensions}, partial.data(), partial_total.data(), products.data(), total.data(), stream);
  }
  finite.end();
  return {upper_triangle(products.download(), static_cast<std::size_t>(dimensions)), total.download()};
}

SharedBytes projected(Session& session, MatrixInput const& rows, std::vector<double> const& directions, int count) {
  check_place(session, rows);
  if (count < 1 || directions.size() != static_cast<std::size_t>(rows.dimensions * count)) throw InvalidInput("expected directions of every element.");
  auto const device_directions = uploaded(directions, session.stream());
  auto out = std::make_shared<DeviceArray<std::uint8_t>>(static_cast<std::size_t>(rows.rows * count) * sizeof(double), session.stream());
  FiniteCheck finite(session);
  with_rows(session, rows, 0, rows.rows, [&](auto const& own) {
    finite.look(own);
    launch_project(own, device_directions.data(), count, reinterpret_cast<double*>(out->data()), session.stream());
  });
  finite.end();
  return out;
}

VectorAdder::VectorAdder(int device, std::int64_t dimensions, std::vector<double> frequencies, double widest, int hands)
    : device_(device), dimensions_(dimensions), frequencies_(std::move(frequencies)), widest_(widest), hands_(hands),
      held_(std::make_unique<Resident<Held>>(device)) {
  if (dimensions < 1 || hands < 1 || frequencies_.size() % static_cast<std::size_t>(dimensions) != 0 || !(widest > 0))
    throw InvalidInput("expected frequencies of every element, and at least one hand.");
}

std::size_t VectorAdder::features() const { return static_cast<std::size_t>(hands_) * 2 * Tuning::kBandwidths * (frequencies_.size() / static_cast<std::size_t>(dimensions_)); }

VectorAdder::Held& VectorAdder::held(Session& session) {
  auto& held = held_->held();
  if (!held) held.emplace(Held{uploaded(std::vector<float>(frequencies_.begin(), frequencies_.end()), session.stream()), uploaded(frequencies_, session.stream()), {}});
  return *held;
}

VectorAdder::Group& VectorAdder::group(Session& session, std::int64_t group) {
  auto& groups = held(session).groups;
  auto const found = groups.find(group);
  if (found != groups.end()) return found->second;
  Group made{DeviceArray<double>(static_cast<std::size_t>(TilePairs(dimensions_).count() * kTileSums), session.stream()),
             DeviceArray<double>(static_cast<std::size_t>(dimensions_), session.stream()), DeviceArray<double>(features(), session.stream())};
  made.products.zero();
  made.total.zero();
  made.features.zero();
  return groups.emplace(group, std::move(made)).first->second;
}

template <class Value>
void VectorAdder::add_rows(Session& session, Group& group, Value const* rows, bool on_device, std::vector<std::int32_t> const& hand, Poll const& poll) {
  auto const all = static_cast<std::int64_t>(hand.size());
  std::int64_t const pairs = TilePairs(dimensions_).count();
  std::int64_t const most = rows_together(dimensions_);
  Held& held = this->held(session);
  auto const frequencies = frequencies_in<Value>(held.narrow, held.wide, static_cast<int>(frequencies_.size() / static_cast<std::size_t>(dimensions_)), widest_);
  for (std::int64_t first = 0; first < all; first += most) {
    if (poll) poll();
    std::int64_t const count = std::min(most, all - first);
    // Rows by hand, in their order within one.
    std::vector<std::int32_t> begins(static_cast<std::size_t>(hands_) + 1, 0);
    for (std::int64_t i = 0; i < count; ++i) ++begins[static_cast<std::size_t>(hand[static_cast<std::size_t>(first + i)]) + 1];
    for (std::size_t h = 1; h < begins.size(); ++h) begins[h] += begins[h - 1];
    std::vector<std::int32_t> next(begins.begin(), begins.end() - 1);
    std::vector<std::int32_t> order(static_cast<std::size_t>(count));
    for (std::int64_t i = 0; i < count; ++i)
      order[static_cast<std::size_t>(next[static_cast<std::size_t>(hand[static_cast<std::size_t>(first + i)])]++)] = static_cast<std::int32_t>(i);
    auto const device_order = uploaded(order, session.stream());
    auto const device_begins = uploaded(begins, session.stream());
    Value const* values = rows + first * dimensions_;
    DeviceArray<Value> copied(on_device ? 0 : static_cast<std::size_t>(count * dimensions_), session.stream());
    if (!on_device) {
      copied.upload(values, copied.size());
      values = copied.data();
    }
    VectorRows<Value> const own{values, count, dimensions_};
    std::int64_t const used = (count + Tuning::kStripRows - 1) / Tuning::kStripRows;
    DeviceArray<double> partial(static_cast<std::size_t>(used * pairs * kTileSums), session.stream());
    DeviceArray<double> partial_total(static_cast<std::size_t>(used * dimensions_), session.stream());
    launch_add_products(own, partial.data(), partial_total.data(), group.products.data(), group.total.data(), session.stream());
    launch_add_features(own, frequencies, device_order.data(), device_begins.data(), hands_, group.features.data(), session.stream());
  }
  session.wait();
}

void VectorAdder::add(std::int64_t group, MatrixInput const& rows, std::vector<std::int32_t> const& hand, Poll const& poll) {
  if (rows.dimensions != dimensions_ || rows.rows != static_cast<std::int64_t>(hand.size())) throw InvalidInput("every vector needs its elements and a hand.");
  if (std::any_of(hand.begin(), hand.end(), [&](std::int32_t h) { return h < 0 || h >= hands_; })) throw InvalidInput("a row's hand is not among the hands.");
  Use const session(device_);
  check_place(*session, rows);
  Group& own = this->group(*session, group);
  if (rows.wide)
    add_rows(*session, own, static_cast<double const*>(rows.values), rows.on_device, hand, poll);
  else
    add_rows(*session, own, static_cast<float const*>(rows.values), rows.on_device, hand, poll);
}

VectorSums VectorAdder::sums(std::int64_t group) {
  Use const session(device_);
  auto const d = static_cast<std::size_t>(dimensions_);
  auto const& groups = held(*session).groups;
  auto const found = groups.find(group);
  if (found == groups.end()) return {std::vector<double>(d * d, 0.0), std::vector<double>(d, 0.0), std::vector<double>(features(), 0.0)};
  VectorSums out;
  out.products = upper_triangle(found->second.products.download(), d);
  out.total = found->second.total.download();
  out.features = found->second.features.download();
  return out;
}

}  // namespace modelwatch::cuda
