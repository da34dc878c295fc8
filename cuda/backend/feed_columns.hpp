#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "cuda/backend/feed.hpp"

namespace modelwatch::cuda {

/// feed() of several columns of equal length at once: calls f(chunks, first row), one chunk a column.  Columns that lie on
/// the device are cut where those of the host are; where all do, there is one chunk.
void feed_columns(Session& session, std::vector<ColumnInput> const& columns, Poll const& poll,
                  std::function<void(std::vector<NumericView> const&, std::int64_t)> const& f);

}  // namespace modelwatch::cuda
