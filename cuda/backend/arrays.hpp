#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "cuda/backend/session.hpp"
#include "cuda/kernels/arrays.hpp"

namespace modelwatch::cuda {

/// Device memory with several owners; given back in the order of its session's stream.
using SharedBytes = std::shared_ptr<DeviceArray<std::uint8_t> const>;

/// The session's work from now on waits for all work so far of a stream of this device.
/// 1 and 2 are the default streams, as other libraries number them.
void order_after(Session& session, std::uintptr_t stream);

/// The session's work from now on waits for an event.
void order_after_event(Session& session, void* event);

/// The device that memory belongs to; -1 where it is the host's.
int device_of(void const* memory);

/// A column's rows side by side, widened to float32 where the engine reads its numbers so.
SharedBytes gather(Session& session, StridedView const& from);

/// A column in another storage (kernels/arrays.hpp).  Throws InvalidInput where a value would change; `whose` says where.
SharedBytes convert(Session& session, NumericView const& from, Storage storage, std::string const& whose);

/// A byte a row as a bitmap.
SharedBytes pack_mask(Session& session, void const* first, std::int64_t stride, std::int64_t rows);

/// Rows that are not valid.
std::int64_t null_rows(Session& session, Validity const& validity, std::int64_t rows);

/// Copies to the host, and waits for it.
void download(Session& session, void const* from, std::size_t bytes, void* to);

}  // namespace modelwatch::cuda
