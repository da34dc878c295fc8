#include "cuda/backend/feed.hpp"

#include <algorithm>
#include <cstring>

#include "core/error.hpp"
#include "cuda/backend/staging.hpp"

namespace modelwatch::cuda {
namespace {

/// Where a chunk of a host column lies in the staged memory.
struct Piece {
  std::size_t values;
  std::size_t validity;
};

/// Room for a chunk of every host column; false where it does not fit.
bool open(Staging& staging, std::vector<ColumnInput> const& columns, std::int64_t begin, std::int64_t rows, std::vector<Piece>& pieces) {
  staging.begin();
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (columns[i].on_device) continue;
    pieces[i].values = staging.reserve(static_cast<std::size_t>(rows) * bytes_of(columns[i].view.storage));
    pieces[i].validity = staging.reserve(validity_bytes(columns[i].view.validity, begin, rows));
  }
  try {
    staging.open();
  } catch (DeviceError const& error) {
    if (!error.out_of_memory() || rows <= kTileRows) throw;
    return false;
  }
  return true;
}

}  // namespace

NumericView part_of(NumericView const& column, std::int64_t begin, std::int64_t rows) {
  auto const* const values = static_cast<std::uint8_t const*>(column.values) + static_cast<std::size_t>(begin) * bytes_of(column.storage);
  return {values, {column.validity.bits, column.validity.offset + begin}, rows, column.storage};
}

std::size_t validity_bytes(Validity const& validity, std::int64_t begin, std::int64_t rows) {
  return validity.bits == nullptr ? 0 : static_cast<std::size_t>(((validity.offset + begin) % 8 + rows + 7) / 8);
}

Validity moved(Validity const& validity, std::int64_t begin, std::uint8_t const* to) {
  return validity.bits == nullptr ? Validity{nullptr, 0} : Validity{to, (validity.offset + begin) % 8};
}

void feed_columns(Session& session, std::vector<ColumnInput> const& columns, Poll const& poll,
                  std::function<void(std::vector<NumericView> const&, std::int64_t)> const& f) {
  if (columns.empty() || columns.front().view.rows == 0) return;
  std::int64_t hosts = 0;
  for (auto const& column : columns) {
    hosts += column.on_device ? 0 : 1;
    if (column.on_device && column.device != session.info().index)
      throw InvalidInput("a column lies on another device than the one that is to count it.");
  }
  std::int64_t const all_rows = columns.front().view.rows;
  std::vector<NumericView> chunks(columns.size());
  if (hosts == 0) {
    std::transform(columns.begin(), columns.end(), chunks.begin(), [](ColumnInput const& column) { return column.view; });
    return f(chunks, 0);
  }
  Staging staging(session.stream());
  std::vector<Piece> pieces(columns.size());
  for (std::int64_t begin = 0; begin < all_rows;) {
    if (poll) poll();
    std::int64_t const most = std::max<std::int64_t>(kTileRows, session.chunk_rows() / hosts / kTileRows * kTileRows);
    std::int64_t const rows = std::min(most, all_rows - begin);
    if (!open(staging, columns, begin, rows, pieces)) {
      session.halve_chunk();
      continue;
    }
    for (std::size_t i = 0; i < columns.size(); ++i) {
      NumericView const& column = columns[i].view;
      NumericView const part = part_of(column, begin, rows);
      chunks[i] = part;
      if (columns[i].on_device) continue;
      std::memcpy(staging.host<std::uint8_t>(pieces[i].values), part.values, static_cast<std::size_t>(rows) * bytes_of(column.storage));
      if (std::size_t const bits = validity_bytes(column.validity, begin, rows); bits != 0)
        std::memcpy(staging.host<std::uint8_t>(pieces[i].validity), column.validity.bits + (column.validity.offset + begin) / 8, bits);
      chunks[i].values = staging.device<std::uint8_t>(pieces[i].values);
      chunks[i].validity = moved(column.validity, begin, staging.device<std::uint8_t>(pieces[i].validity));
    }
    staging.send();
    f(chunks, begin);
    staging.close();
    begin += rows;
  }
  session.wait();
}

void feed(Session& session, ColumnInput const& column, Poll const& poll,
          std::function<void(NumericView const&, std::int64_t)> const& f) {
  feed_columns(session, {column}, poll, [&](std::vector<NumericView> const& chunks, std::int64_t first) { f(chunks.front(), first); });
}

}  // namespace modelwatch::cuda
