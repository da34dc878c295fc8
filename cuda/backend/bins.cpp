#include "cuda/backend/bins.hpp"

#include <algorithm>
#include <memory>

#include "core/error.hpp"
#include "cuda/backend/far_counters.hpp"
#include "cuda/backend/feed.hpp"
#include "cuda/kernels/bins.hpp"

namespace modelwatch::cuda {
namespace {

/// The cuts of one or more columns, and their tables on the device.
struct Tables {
  CutGrid cuts;
  UploadedGrid uploaded;
};

/// Tables of every column; neighbours with the same cuts share them, as all columns of a matrix do.
std::vector<std::shared_ptr<Tables const>> tables_of(Session const& session, Domain domain, std::vector<std::vector<std::uint64_t>> const& cuts) {
  std::vector<std::shared_ptr<Tables const>> out;
  for (std::size_t i = 0; i < cuts.size(); ++i) {
    if (i > 0 && cuts[i] == cuts[i - 1]) {
      out.push_back(out.back());
      continue;
    }
    CutGrid grid(domain, cuts[i]);
    UploadedGrid uploaded(*grid.grid(), session.stream());
    out.push_back(std::make_shared<Tables const>(std::move(grid), std::move(uploaded)));
  }
  return out;
}

/// Copies of a column's counters; none where memory does not suffice, for the counters themselves are there.
FarCounters copies_of(FarChunk& copies, std::uint64_t* const* slabs, std::size_t groups, std::size_t bins) {
  try {
    return copies.take(slabs, 0, 0, static_cast<std::uint32_t>(groups), static_cast<std::uint32_t>(bins));
  } catch (DeviceError const& error) {
    if (!error.out_of_memory()) throw;
    return {nullptr, 0, 1};
  }
}

}  // namespace

std::vector<std::vector<std::uint64_t>> count_bins_of(Session& session, std::vector<ColumnInput> const& columns, Domain domain,
                                                      std::vector<std::vector<std::uint64_t>> const& cuts, RowGroups const& groups,
                                                      Poll const& poll, DeviceGroups const* there, std::int32_t groups_there) {
  if (columns.size() != cuts.size()) throw InvalidInput("every column needs its cuts.");
  for (auto const& column : columns) {
    if (!fits(column.view.storage, domain)) throw InvalidInput("the values cannot be compared with the cuts: their types differ.");
    if (column.view.rows != columns.front().view.rows) throw InvalidInput("columns that are counted together have as many rows.");
    check_groups(groups, column.view.rows);
    if (there != nullptr) check_groups(session, *there, column.view.rows);
  }
  auto const group_count = static_cast<std::size_t>(there != nullptr ? groups_there : groups.of_row == nullptr ? 1 : groups.count);
  auto const tables = tables_of(session, domain, cuts);
  std::vector<std::size_t> begins{0};
  for (auto const& table : tables) begins.push_back(begins.back() + group_count * table->cuts.bins());
  DeviceArray<std::uint64_t> counts(begins.back(), session.stream());
  counts.zero();
  auto const* const of_row = groups.of_row;
  DeviceArray<std::int32_t> device_groups(of_row == nullptr ? 0 : static_cast<std::size_t>(groups.rows), session.stream());
  if (of_row != nullptr) device_groups.upload(of_row, device_groups.size());
  std::int32_t const* const all_groups = there != nullptr ? there->of_row->data() : of_row != nullptr ? device_groups.data() : nullptr;

  // Those whose tables fit shared memory first: they are one launch, and the others are another.
  std::vector<std::size_t> order(columns.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  auto const near_of = [&](std::size_t i) { return near_bytes(tables[i]->uploaded.view(), static_cast<std::uint32_t>(group_count)); };
  auto const far = std::stable_partition(order.begin(), order.end(), [&](std::size_t i) { return near_of(i) <= BinsTuning::kMostNear; });
  auto const near_count = static_cast<std::size_t>(far - order.begin());
  std::size_t near = 0;
  for (std::size_t i = 0; i < near_count; ++i) near = std::max(near, near_of(order[i]));

  // Where the counters of a group begin, for those that are counted in copies.
  std::vector<std::uint64_t*> slabs;
  for (auto at = far; at != order.end(); ++at)
    for (std::size_t g = 0; g < group_count; ++g) slabs.push_back(counts.data() + begins[*at] + g * tables[*at]->cuts.bins());
  auto const device_slabs = uploaded(slabs, session.stream());
  FarChunk copies(session);
  std::vector<BinColumn> batch(columns.size());
  DeviceArray<BinColumn> device_batch(columns.size(), session.stream());
  feed_columns(session, columns, poll, [&](std::vector<NumericView> const& chunks, std::int64_t first) {
    copies.begin(chunks.front().rows);
    for (std::size_t i = 0; i < order.size(); ++i) {
      auto const& table = *tables[order[i]];
      batch[i] = {chunks[order[i]], table.uploaded.view(), counts.data() + begins[order[i]], {nullptr, 0, 1}};
      if (i >= near_count)
        batch[i].far = copies_of(copies, device_slabs.data() + (i - near_count) * group_count, group_count, table.cuts.bins());
    }
    device_batch.upload(batch.data(), batch.size());
    auto const* const of_chunk = all_groups == nullptr ? nullptr : all_groups + first;
    auto const launch = [&](std::size_t begin, std::size_t count, std::size_t bytes) {
      if (count != 0)
        launch_count_bins(device_batch.data() + begin, count, chunks.front().rows, domain, of_chunk,
                          static_cast<std::uint32_t>(group_count), bytes, session.info().multiprocessors, session.stream());
    };
    launch(0, near_count, near);
    launch(near_count, order.size() - near_count, 0);
    copies.add();
  });

  auto const found = counts.download();
  std::vector<std::vector<std::uint64_t>> out;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    std::size_t const width = cuts[i].size() + 3;
    auto& result = out.emplace_back(group_count * width, 0);
    for (std::size_t g = 0; g < group_count; ++g)
      tables[i]->cuts.collect(found.data() + begins[i] + g * tables[i]->cuts.bins(), result.data() + g * width);
  }
  return out;
}

}  // namespace modelwatch::cuda
