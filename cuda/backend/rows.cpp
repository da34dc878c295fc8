#include "cuda/backend/rows.hpp"

#include <string_view>

#include "cuda/kernels/rows.hpp"

namespace modelwatch::cuda {
namespace {

/// Text of a column is sent in parts of about so many bytes.
constexpr std::size_t kTextBytes = std::size_t{32} << 20;

/// Calls f(strings, first row) for one part of the values after another, each in device memory until its stream has come
/// to the end of what f queued.
template <class F>
void feed_strings(Session const& session, StringsView const& strings, Poll const& poll, F f) {
  std::vector<std::uint8_t> bytes;
  std::vector<std::uint8_t> valid;
  std::vector<std::int64_t> begins;
  for (std::int64_t first = 0; first < strings.size;) {
    if (poll) poll();
    bytes.clear();
    valid.clear();
    begins.assign(1, 0);
    std::int64_t row = first;
    for (; row < strings.size && row - first < session.chunk_rows() && bytes.size() < kTextBytes; ++row) {
      valid.push_back(strings.validity.valid(row) ? 1 : 0);
      if (valid.back() != 0) {
        std::string_view const text = strings.at(row);
        bytes.insert(bytes.end(), text.begin(), text.end());
      }
      begins.push_back(static_cast<std::int64_t>(bytes.size()));
    }
    auto const device_bytes = uploaded(bytes, session.stream());
    auto const device_valid = uploaded(valid, session.stream());
    auto const device_begins = uploaded(begins, session.stream());
    f(DeviceStrings{device_bytes.data(), device_begins.data(), device_valid.data(), row - first}, first);
    first = row;
  }
}

}  // namespace

Intervals interval_of(Session& session, ColumnInput const& values, std::vector<std::int64_t> const& boundaries, Poll const& poll) {
  check_intervals(values.view, boundaries);
  std::size_t const intervals = boundaries.empty() ? 0 : boundaries.size() - 1;
  auto const device_boundaries = uploaded(boundaries, session.stream());
  DeviceArray<std::int32_t> of_row(static_cast<std::size_t>(values.view.rows), session.stream());
  DeviceArray<std::uint64_t> rows(intervals + 1, session.stream());
  rows.zero();
  feed(session, values, poll, [&](NumericView const& chunk, std::int64_t first) {
    launch_interval_of(chunk, device_boundaries.data(), static_cast<std::uint32_t>(boundaries.size()), of_row.data() + first, rows.data(),
                       session.info().multiprocessors, session.stream());
  });
  auto const counted = rows.download();
  return {of_row.download(), std::vector<std::int64_t>(counted.begin(), counted.end())};
}

std::vector<std::uint64_t> hash_rows(Session& session, std::shared_ptr<ArrowOwner const> const& batch, Poll const& poll) {
  DeviceArray<std::uint64_t> rows(static_cast<std::size_t>(rows_of(*batch)), session.stream());
  rows.zero();
  int const multiprocessors = session.info().multiprocessors;
  std::int64_t const columns = columns_of(*batch);
  for (std::int64_t i = 0; i < columns; ++i) {
    ArrowColumn const column = column_of(*batch, i);
    if (column.schema->dictionary != nullptr) {
      CategoryView const categories = category_view(column);
      DeviceArray<std::uint64_t> hashes(static_cast<std::size_t>(categories.values.size), session.stream());
      feed_strings(session, categories.values, poll, [&](DeviceStrings const& strings, std::int64_t first) {
        launch_hash_strings(strings, hashes.data() + first, multiprocessors, session.stream());
      });
      feed(session, {categories.codes, false}, poll, [&](NumericView const& chunk, std::int64_t first) {
        launch_hash_codes(chunk, hashes.data(), rows.data() + first, multiprocessors, session.stream());
      });
    } else if (is_text(column)) {
      feed_strings(session, strings_view(column), poll, [&](DeviceStrings const& strings, std::int64_t first) {
        launch_hash_text(strings, rows.data() + first, multiprocessors, session.stream());
      });
    } else {
      feed(session, {numeric_view(column), false}, poll, [&](NumericView const& chunk, std::int64_t first) {
        launch_hash_numbers(chunk, rows.data() + first, multiprocessors, session.stream());
      });
    }
  }
  return rows.download();
}

}  // namespace modelwatch::cuda
