#include "engine/column_sketch.hpp"

#include <bit>
#include <vector>

#include "core/key.hpp"
#include "engine/stripes.hpp"

namespace modelwatch {
namespace {

/// Shorter columns of float32 go by buckets: reading the tables would take longer.
constexpr std::int64_t kHalvesRows = std::int64_t{1} << 14;
constexpr std::uint32_t kStride = cpu::kHalves + 1;

/// What one thread has counted.
struct Stripe {
  LogLinearCounts counts;
  std::vector<std::uint32_t> halves;  // empty, or two tables

  /// Moves what the tables hold to the buckets.
  void flush() {
    if (halves.empty()) return;
    for (std::uint32_t half = 0; half < kStride; ++half) {
      std::uint64_t const rows = std::uint64_t{halves[half]} + halves[kStride + half];
      if (rows == 0) continue;
      float const value = std::bit_cast<float>(half << 16);
      if (half == cpu::kHalves)
        counts.null += rows;
      else if (KeyOf<float>::missing(value))
        counts.nan += rows;
      else
        counts.buckets.add(bucket_of(static_cast<double>(value)), rows);
    }
    std::fill(halves.begin(), halves.end(), 0u);
  }
};

}  // namespace

LogLinearCounts log_linear_counts(NumericView const& column, int threads, Poll const& poll, cpu::KernelTable const& kernel) {
  std::vector<Stripe> stripes(static_cast<std::size_t>(stripes_of(column.rows, threads)));
  bool const by_halves = column.storage == Storage::float32 && column.rows >= kHalvesRows;
  each_tile(
      column.rows, threads, poll,
      [&](std::size_t stripe, std::int64_t begin, int rows) {
        Stripe& mine = stripes[stripe];
        std::uint8_t valid_bytes[kTileRows];
        std::uint8_t const* const valid = valid_rows(column, begin, rows, valid_bytes);
        if (by_halves) {
          if (mine.halves.empty()) mine.halves.assign(2 * kStride, 0);
          if (kernel.count_halves(column, begin, rows, valid, mine.halves.data(), kStride) != 0) return;
        }
        std::uint32_t buckets[kTileRows];
        int const found = kernel.bucket_tile(column, begin, rows, valid, buckets);
        mine.counts.buckets.add(buckets, found);
        int present = rows;
        if (valid != nullptr) {
          present = 0;
          for (int i = 0; i < rows; ++i) present += valid[i];
        }
        mine.counts.null += static_cast<std::uint64_t>(rows - present);
        mine.counts.nan += static_cast<std::uint64_t>(present - found);
      },
      [&](std::int64_t, std::int64_t) {
        for (auto& stripe : stripes) stripe.flush();
      });
  LogLinearCounts out = std::move(stripes.front().counts);
  for (std::size_t i = 1; i < stripes.size(); ++i) {
    out.null += stripes[i].counts.null;
    out.nan += stripes[i].counts.nan;
    stripes[i].counts.buckets.each([&](std::uint32_t bucket, std::uint64_t rows) { out.buckets.add(bucket, rows); });
  }
  return out;
}

ColumnRegisters column_registers(NumericView const& column, int threads, Poll const& poll, cpu::KernelTable const& kernel) {
  std::vector<ColumnRegisters> stripes(static_cast<std::size_t>(stripes_of(column.rows, threads)));
  each_tile(
      column.rows, threads, poll,
      [&](std::size_t stripe, std::int64_t begin, int rows) {
        std::uint8_t valid[kTileRows];
        std::uint64_t hashes[kTileRows];
        int const found = kernel.hash_tile(column, begin, rows, valid_rows(column, begin, rows, valid), hashes);
        stripes[stripe].registers.add(hashes, found, kernel);
        stripes[stripe].values += static_cast<std::uint64_t>(found);
      },
      [](std::int64_t, std::int64_t) {});
  for (std::size_t i = 1; i < stripes.size(); ++i) {
    stripes.front().registers.merge(stripes[i].registers);
    stripes.front().values += stripes[i].values;
  }
  return stripes.front();
}

}  // namespace modelwatch
