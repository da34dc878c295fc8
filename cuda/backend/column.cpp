#include "cuda/backend/column.hpp"

#include <vector>

#include "core/sketch_rule.hpp"
#include "cuda/kernels/column.hpp"
#include "cuda/kernels/tiling.hpp"

namespace modelwatch::cuda {
namespace {

/// The first value of a column of 64-bit integers, wherever it lies.
std::uint64_t first_value(Session& session, ColumnInput const& column) {
  NumericView const& view = column.view;
  auto const* const values = static_cast<std::uint64_t const*>(view.values);
  std::uint64_t row = 0;
  std::uint64_t value = 0;
  auto const rows = static_cast<std::uint64_t>(view.rows);
  if (!column.on_device) {
    while (row < rows && !view.validity.valid(static_cast<std::int64_t>(row))) ++row;
    if (row < rows) value = values[row];
  } else if (rows != 0) {
    DeviceArray<std::uint64_t> first(1, session.stream());
    launch_first_valid(view.validity, view.rows, first.data(), session.stream());
    first.download(&row, 1);
    if (row < rows) {
      check(cudaMemcpyAsync(&value, values + row, sizeof value, cudaMemcpyDeviceToHost, session.stream()), "copy from the device");
      session.wait();
    }
  }
  return pivot_at(view.storage, row < rows ? &value : nullptr);
}

}  // namespace

ColumnMoments column_moments(Session& session, ColumnInput const& column, std::optional<std::uint64_t> pivot, Poll const& poll) {
  NumericView const& view = column.view;
  auto const fixed = fixed_pivot(view.storage, pivot);
  ColumnMoments out{{}, {}, fixed ? *fixed : first_value(session, column)};
  DeviceArray<Moments> tiles(static_cast<std::size_t>(tiles_of(view.rows)), session.stream());
  auto kinds = uploaded(std::vector<ValueKinds>(1), session.stream());
  feed(session, column, poll, [&](NumericView const& chunk, std::int64_t first) {
    launch_column_moments(chunk, own_domain(view.storage), out.pivot, tiles.data() + first / kTileRows, kinds.data(),
                          session.info().multiprocessors, session.stream());
  });
  // In the order of the tiles, which is what fixes the bits.
  for (Moments const& tile : tiles.download()) out.moments.merge(tile);
  kinds.download(&out.kinds, 1);
  return out;
}

LogLinearCounts log_linear_counts(Session& session, ColumnInput const& column, Poll const& poll) {
  DeviceArray<std::uint64_t> device_counts(kBuckets + 2, session.stream());
  device_counts.zero();
  feed(session, column, poll, [&](NumericView const& chunk, std::int64_t) {
    launch_log_linear(chunk, own_domain(chunk.storage), device_counts.data(), session.info().multiprocessors, session.stream());
  });
  auto const counts = device_counts.download();
  LogLinearCounts out;
  for (std::uint32_t bucket = 0; bucket < kBuckets; ++bucket)
    if (counts[bucket] != 0) out.buckets.add(bucket, counts[bucket]);
  out.nan = counts[kBuckets];
  out.null = counts[kBuckets + 1];
  return out;
}

ColumnRegisters column_registers(Session& session, ColumnInput const& column, Poll const& poll) {
  DeviceArray<std::uint32_t> device_ranks(kRegisters, session.stream());
  DeviceArray<std::uint64_t> values(1, session.stream());
  device_ranks.zero();
  values.zero();
  feed(session, column, poll, [&](NumericView const& chunk, std::int64_t) {
    launch_registers(chunk, own_domain(chunk.storage), device_ranks.data(), values.data(), session.info().multiprocessors, session.stream());
  });
  ColumnRegisters out;
  auto const ranks = device_ranks.download();
  for (std::uint32_t i = 0; i < kRegisters; ++i) out.registers.raise({i, static_cast<std::uint8_t>(ranks[i])});
  values.download(&out.values, 1);
  return out;
}

}  // namespace modelwatch::cuda
