#include "engine/column_moments.hpp"

#include <algorithm>
#include <vector>

#include "core/error.hpp"
#include "core/key.hpp"
#include "engine/stripes.hpp"

namespace modelwatch {
namespace {

std::uint64_t key_of_zero(Domain domain) {
  switch (domain) {
    case Domain::float32: return KeyOf<float>::key(0);
    case Domain::float64: return KeyOf<double>::key(0);
    case Domain::int64: return KeyOf<std::int64_t>::key(0);
    case Domain::uint64: return 0;
  }
  return 0;
}

std::uint64_t first_value(NumericView const& column) {
  std::int64_t row = 0;
  while (row < column.rows && !column.validity.valid(row)) ++row;
  return pivot_at(column.storage, row < column.rows ? static_cast<std::uint64_t const*>(column.values) + row : nullptr);
}

/// Scratch of one tile.
struct Tile {
  std::uint8_t valid[kTileRows];
  double values[kTileRows];
  std::uint64_t usable[kTileRows];
};

}  // namespace

Domain own_domain(Storage storage) {
  switch (storage) {
    case Storage::float32: return Domain::float32;
    case Storage::float64: return Domain::float64;
    case Storage::uint64: return Domain::uint64;
    default: return Domain::int64;
  }
}

std::optional<std::uint64_t> fixed_pivot(Storage storage, std::optional<std::uint64_t> pivot) {
  Domain const domain = own_domain(storage);
  bool const floats = domain == Domain::float32 || domain == Domain::float64;
  if (floats && pivot && *pivot != key_of_zero(domain)) throw InvalidInput("moments of floats have no pivot.");
  if (pivot || storage == Storage::int64 || storage == Storage::uint64) return pivot;
  return key_of_zero(domain);
}

std::uint64_t pivot_at(Storage storage, void const* value) {
  if (value == nullptr) return key_of_zero(own_domain(storage));
  if (storage == Storage::uint64) return *static_cast<std::uint64_t const*>(value);
  return KeyOf<std::int64_t>::key(*static_cast<std::int64_t const*>(value));
}

ColumnMoments column_moments(NumericView const& column, std::optional<std::uint64_t> pivot, int threads, Poll const& poll,
                             cpu::KernelTable const& kernel) {
  Domain const domain = own_domain(column.storage);
  auto const fixed = fixed_pivot(column.storage, pivot);
  ColumnMoments out{{}, {}, fixed ? *fixed : first_value(column)};
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
