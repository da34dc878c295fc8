#pragma once

#include <cstdint>
#include <functional>

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

/// Bytes of one value.
std::size_t bytes_of(Storage storage);

/// Calls f(chunk, first row) for one chunk of rows after another, each in device memory until the session's stream has
/// come to the end of what f queued there.  A host column goes through pinned memory, in chunks of whole tiles: one is
/// copied while the one before is counted.  A device column is one chunk.
/// Where memory does not suffice, chunks are halved.
void feed(Session& session, ColumnInput const& column, Poll const& poll,
          std::function<void(NumericView const&, std::int64_t)> const& f);

}  // namespace modelwatch::cuda
