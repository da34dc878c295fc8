#include "cuda/backend/vectors.hpp"

#include <algorithm>

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

}  // namespace

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
  std::int64_t const strips = std::max<std::int64_t>(1, kPartialBytes / (pairs * kTileSums * static_cast<std::int64_t>(sizeof(double))));
  std::int64_t const most = std::min(kMostRows, strips * Tuning::kStripRows);
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
  if (rows.on_device && rows.device != session->info().index) throw InvalidInput("a matrix lies on another device than the one that is to read it.");
  Group& own = this->group(*session, group);
  if (rows.wide)
    add_rows(*session, own, static_cast<double const*>(rows.values), rows.on_device, hand, poll);
  else
    add_rows(*session, own, static_cast<float const*>(rows.values), rows.on_device, hand, poll);
}

VectorSums VectorAdder::sums(std::int64_t group) {
  Use const session(device_);
  auto const d = static_cast<std::size_t>(dimensions_);
  VectorSums out{std::vector<double>(d * d, 0.0), std::vector<double>(d, 0.0), std::vector<double>(features(), 0.0)};
  auto const& groups = held(*session).groups;
  auto const found = groups.find(group);
  if (found == groups.end()) return out;
  auto const tiled = found->second.products.download();
  auto const tiles = static_cast<std::size_t>(TilePairs(dimensions_).tiles);
  constexpr std::size_t kTile = Tuning::kTile;
  std::size_t at = 0;
  for (std::size_t i = 0; i < tiles; ++i)
    for (std::size_t j = i; j < tiles; ++j, at += kTile * kTile)
      for (std::size_t r = 0; r < kTile && i * kTile + r < d; ++r)
        for (std::size_t c = 0; c < kTile && j * kTile + c < d; ++c)
          if (j * kTile + c >= i * kTile + r) out.products[(i * kTile + r) * d + j * kTile + c] = tiled[at + r * kTile + c];
  out.total = found->second.total.download();
  out.features = found->second.features.download();
  return out;
}

}  // namespace modelwatch::cuda
