#include "cuda/backend/feed_columns.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "cuda/backend/staging.hpp"

namespace modelwatch::cuda {
namespace {

/// Where one chunk of every column of the host lies on its way, one column after the other.
struct Slot {
  PinnedArray<std::uint8_t> pinned;
  DeviceArray<std::uint8_t> device;
  Event copied;
};

std::int64_t rows_together(Session const& session, std::size_t columns) {
  std::int64_t const rows = session.chunk_rows() / static_cast<std::int64_t>(columns) / kTileRows * kTileRows;
  return std::max<std::int64_t>(kTileRows, rows);
}

/// Rows of a column that lies on the device already.
NumericView part_of(NumericView const& column, std::int64_t begin, std::int64_t rows) {
  auto const* const values = static_cast<std::uint8_t const*>(column.values) + static_cast<std::size_t>(begin) * bytes_of(column.storage);
  return {values, {column.validity.bits, column.validity.offset + begin}, rows, column.storage};
}

std::array<Slot, 2> make_slots(Session& session, std::vector<ColumnInput> const& columns, std::int64_t all_rows, std::size_t hosts) {
  while (true) {
    std::int64_t const rows = std::min(all_rows, rows_together(session, hosts));
    std::size_t bytes = 0;
    for (auto const& column : columns)
      if (!column.on_device) bytes += staged_bytes(column.view.storage, rows);
    try {
      std::array<Slot, 2> slots;
      for (auto& slot : slots) {
        slot.pinned = PinnedArray<std::uint8_t>(bytes);
        slot.device = DeviceArray<std::uint8_t>(bytes, session.stream());
      }
      return slots;
    } catch (DeviceError const& error) {
      if (!error.out_of_memory() || rows <= kTileRows) throw;
      session.halve_chunk();
    }
  }
}

}  // namespace

void feed_columns(Session& session, std::vector<ColumnInput> const& columns, Poll const& poll,
                  std::function<void(std::vector<NumericView> const&, std::int64_t)> const& f) {
  if (columns.empty() || columns.front().view.rows == 0) return;
  std::int64_t const all_rows = columns.front().view.rows;
  auto const hosts = static_cast<std::size_t>(
      std::count_if(columns.begin(), columns.end(), [](ColumnInput const& column) { return !column.on_device; }));
  std::vector<NumericView> chunks(columns.size());
  if (hosts == 0) {
    std::transform(columns.begin(), columns.end(), chunks.begin(), [](ColumnInput const& column) { return column.view; });
    return f(chunks, 0);
  }
  auto slots = make_slots(session, columns, all_rows, hosts);
  std::size_t next = 0;
  for (std::int64_t begin = 0; begin < all_rows;) {
    if (poll) poll();
    std::int64_t const rows = std::min(rows_together(session, hosts), all_rows - begin);
    Slot& slot = slots[next];
    slot.copied.wait();  // what it held has left the host
    std::size_t at = 0;
    for (std::size_t i = 0; i < columns.size(); ++i) {
      NumericView const part = part_of(columns[i].view, begin, rows);
      if (columns[i].on_device) {
        chunks[i] = part;
        continue;
      }
      chunks[i] = staged(part, slot.pinned.data() + at, slot.device.data() + at);
      at += staged_bytes(part.storage, rows);
    }
    slot.device.upload(slot.pinned.data(), at);
    slot.copied.record(session.stream());
    f(chunks, begin);
    next = 1 - next;
    begin += rows;
  }
  session.wait();
}

}  // namespace modelwatch::cuda
