#include "engine/column_moments.hpp"

#include <algorithm>
#include <vector>

#include "core/error.hpp"
#include "core/key.hpp"
#include "engine/stripes.hpp"

namespace modelwatch {
namespace {

/// The domain a storage has of its own.
Domain domain_of(Storage storage) {
  switch (storage) {
    case Storage::float32: return Domain::float32;
    case Storage::float64: return Domain::float64;
    case Storage::uint64: return Domain::uint64;
    default: return Domain::int64;
  }
}

std::uint64_t key_of_zero(Domain domain) {
  switch (domain) {
    case Domain::float32: return KeyOf<float>::key(0);
    case Domain::float64: return KeyOf<double>::key(0);
    case Domain::int64: return KeyOf<std::int64_t>::key(0);
    case Domain::uint64: return 0;
  }
  return 0;
}

std::uint64_t chosen_pivot(NumericView const& column, Domain domain) {
  bool const wide = column.storage == Storage::int64 || column.storage == Storage::uint64;
  for (std::int64_t row = 0; wide && row < column.rows; ++row) {
    if (!column.validity.valid(row)) continue;
    if (column.storage == Storage::uint64) return static_cast<std::uint64_t const*>(column.values)[row];
    return KeyOf<std::int64_t>::key(static_cast<std::int64_t const*>(column.values)[row]);
  }
  return key_of_zero(domain);
}

/// Scratch of one tile.
struct Tile {
  std::uint8_t valid[kTileRows];
  double values[kTileRows];
  std::uint64_t usable[kTileRows];
};

}  // namespace

ColumnMoments column_moments(NumericView const& column, std::optional<std::uint64_t> pivot, int threads, Poll const& poll,
                             cpu::KernelTable const& kernel) {
  Domain const domain = domain_of(column.storage);
  bool const floats = domain == Domain::float32 || domain == Domain::float64;
  if (floats && pivot && *pivot != key_of_zero(domain)) throw InvalidInput("moments of floats have no pivot.");
  ColumnMoments out{{}, {}, pivot ? *pivot : chosen_pivot(column, domain)};
  std::vector<ValueKinds> kinds(static_cast<std::size_t>(stripes_of(column.rows, threads)));
  std::vector<Moments> tiles(static_cast<std::size_t>((std::min(column.rows, kSlice) + kTileRows - 1) / kTileRows));
  each_tile(
      column.rows, threads, poll,
      [&](std::size_t stripe, std::int64_t begin, int rows) {
        Tile tile;
        std::uint8_t const* const valid = valid_rows(column, begin, rows, tile.valid);
        kernel.survey_tile(column, begin, rows, valid, &kinds[stripe]);
        int const usable = kernel.load_tile(column, begin, rows, domain, out.pivot, valid, tile.values, tile.usable);
        kernel.moments_one(tile.values, tile.usable, rows, usable, &tiles[static_cast<std::size_t>(begin % kSlice / kTileRows)]);
      },
      [&](std::int64_t, std::int64_t rows) {
        for (std::int64_t t = 0; t * kTileRows < rows; ++t) out.moments.merge(tiles[static_cast<std::size_t>(t)]);
      });
  for (auto const& own : kinds) out.kinds.merge(own);
  return out;
}

}  // namespace modelwatch
