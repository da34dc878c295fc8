#include "cuda/backend/feed.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace modelwatch::cuda {
namespace {

/// Where one chunk lies on its way: values first, then the bytes of its validity.
struct Slot {
  PinnedArray<std::uint8_t> pinned;
  DeviceArray<std::uint8_t> device;
  Event copied;
};

/// Kernels read values 16 bytes at a time, and validity begins where they end.
constexpr std::size_t kAlign = 256;
std::size_t aligned(std::size_t bytes) { return (bytes + kAlign - 1) / kAlign * kAlign; }

std::size_t validity_bytes(Validity const& validity, std::int64_t rows) {
  return validity.bits == nullptr ? 0 : static_cast<std::size_t>((validity.offset % 8 + rows + 7) / 8);
}

NumericView send(Session const& session, Slot& slot, NumericView const& column, std::int64_t begin, std::int64_t rows) {
  std::size_t const size = bytes_of(column.storage);
  std::size_t const values = static_cast<std::size_t>(rows) * size;
  Validity const from{column.validity.bits, column.validity.offset + begin};
  std::size_t const bits = validity_bytes(from, rows);
  slot.copied.wait();  // what it held has left the host
  std::memcpy(slot.pinned.data(), static_cast<std::uint8_t const*>(column.values) + static_cast<std::size_t>(begin) * size, values);
  if (bits != 0) std::memcpy(slot.pinned.data() + aligned(values), from.bits + from.offset / 8, bits);
  slot.device.upload(slot.pinned.data(), bits != 0 ? aligned(values) + bits : values);
  slot.copied.record(session.stream());
  Validity const validity = bits != 0 ? Validity{slot.device.data() + aligned(values), from.offset % 8} : Validity{nullptr, 0};
  return {slot.device.data(), validity, rows, column.storage};
}

std::array<Slot, 2> make_slots(Session& session, NumericView const& column) {
  while (true) {
    std::int64_t const rows = std::min(column.rows, session.chunk_rows());
    std::size_t const bytes = aligned(static_cast<std::size_t>(rows) * bytes_of(column.storage)) + static_cast<std::size_t>(rows / 8 + 2);
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

std::size_t bytes_of(Storage storage) {
  switch (storage) {
    case Storage::int8:
    case Storage::uint8: return 1;
    case Storage::int16:
    case Storage::uint16: return 2;
    case Storage::int32:
    case Storage::uint32:
    case Storage::float32: return 4;
    default: return 8;
  }
}

void feed(Session& session, ColumnInput const& column, Poll const& poll,
          std::function<void(NumericView const&, std::int64_t)> const& f) {
  if (column.view.rows == 0) return;
  if (column.on_device) {
    if (column.device != session.info().index) throw InvalidInput("a column lies on another device than the one that is to count it.");
    return f(column.view, 0);
  }
  auto slots = make_slots(session, column.view);
  std::size_t next = 0;
  for (std::int64_t begin = 0; begin < column.view.rows;) {
    if (poll) poll();
    std::int64_t const rows = std::min(session.chunk_rows(), column.view.rows - begin);
    f(send(session, slots[next], column.view, begin, rows), begin);
    next = 1 - next;
    begin += rows;
  }
  session.wait();
}

}  // namespace modelwatch::cuda
