#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cuda/backend/feed.hpp"  // Poll
#include "cuda/backend/session.hpp"
#include "cuda/kernels/codes.hpp"

namespace modelwatch::cuda {

/// The values of a column of text that lies on the device, in no order, and how many rows have each.
struct TextCounts {
  std::vector<std::string> values;
  std::vector<std::uint64_t> counts;
  std::uint64_t nulls = 0;
};

/// Counts by bytes, reading the text where it lies.  The host learns each value once: rows that the device cannot find
/// among the values so far are shown to it, a few at first.
TextCounts count_text(Session& session, TextRows const& text, Poll const& poll);

}  // namespace modelwatch::cuda
