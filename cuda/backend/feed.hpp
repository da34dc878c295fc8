#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "core/views.hpp"
#include "cuda/backend/session.hpp"
#include "engine/rank.hpp"  // Poll

namespace modelwatch::cuda {

/// A column, and whether its memory is the device's.
struct ColumnInput {
  NumericView view;
  bool on_device;
  int device = 0;  // which, where it is one
};

/// Some rows of a column.
NumericView part_of(NumericView const& column, std::int64_t begin, std::int64_t rows);
/// Rows of a chunk that are worked on together where positions have 32 bits: a column that lies on the device is one chunk,
/// however long.
inline constexpr std::int64_t kMostPart = std::int64_t{1} << 30;
/// Bytes of the bitmap of rows from `begin` on, which begins with the byte that has the first one's bit.
std::size_t validity_bytes(Validity const& validity, std::int64_t begin, std::int64_t rows);
/// That bitmap at another place.
Validity moved(Validity const& validity, std::int64_t begin, std::uint8_t const* to);

/// Calls f(chunks, first row) for one chunk of the rows of all columns after another, each in device memory until the
/// session's stream has come to the end of what f queued there.  Columns have equal lengths.  Those of the host go
/// through pinned memory (Staging), in chunks of whole tiles: one is copied while the one before is counted; those of the
/// device are cut alike, and where all are, there is one chunk.  Where memory does not suffice, chunks are halved.
void feed_columns(Session& session, std::vector<ColumnInput> const& columns, Poll const& poll,
                  std::function<void(std::vector<NumericView> const&, std::int64_t)> const& f);

/// The same for one column: calls f(chunk, first row).
void feed(Session& session, ColumnInput const& column, Poll const& poll,
          std::function<void(NumericView const&, std::int64_t)> const& f);

}  // namespace modelwatch::cuda
