#include "cuda/backend/fit.hpp"

#include <algorithm>

#include "core/error.hpp"
#include "cuda/kernels/sort.hpp"
#include "engine/counter.hpp"  // numeric_views

namespace modelwatch::cuda {
namespace {

/// Calls f(part, its first row) for parts of a chunk whose positions 32 bits hold: a column that lies on the device is one
/// chunk, however long.
template <class F>
void each_part(NumericView const& chunk, F f) {
  for (std::int64_t begin = 0; begin < chunk.rows; begin += kMostPart) f(part_of(chunk, begin, std::min(kMostPart, chunk.rows - begin)), begin);
}

}  // namespace

void DistinctColumn::merge(std::vector<std::uint64_t> const& keys, std::vector<std::uint64_t> const& counts) {
  std::vector<std::uint64_t> all_keys;
  std::vector<std::uint64_t> all_counts;
  all_keys.reserve(keys_.size() + keys.size());
  all_counts.reserve(keys_.size() + keys.size());
  for (std::size_t i = 0, j = 0; i < keys_.size() || j < keys.size();) {
    bool const ours = j == keys.size() || (i < keys_.size() && keys_[i] <= keys[j]);
    bool const theirs = i == keys_.size() || (j < keys.size() && keys[j] <= keys_[i]);
    all_keys.push_back(ours ? keys_[i] : keys[j]);
    all_counts.push_back((ours ? counts_[i] : 0) + (theirs ? counts[j] : 0));
    i += ours ? 1 : 0;
    j += theirs ? 1 : 0;
  }
  keys_ = std::move(all_keys);
  counts_ = std::move(all_counts);
  if (keys_.size() <= cap_) return;
  overflowed_ = true;
  keys_ = {};
  counts_ = {};
}

template <class Key>
void DistinctColumn::add_runs(Session& session, DeviceArray<Key> const& keys, std::int64_t count) {
  auto const multiprocessors = session.info().multiprocessors;
  auto const size = static_cast<std::size_t>(count);
  DeviceArray<std::uint32_t> flags(size, session.stream());
  DeviceArray<std::uint32_t> before(size, session.stream());
  launch_run_heads(keys.data(), count, flags.data(), multiprocessors, session.stream());
  sum_before(flags.data(), before.data(), count, session.stream());
  std::uint32_t const runs = before.download_one(size - 1) + flags.download_one(size - 1);
  if (runs > cap_) {
    overflowed_ = true;
    keys_ = {};
    counts_ = {};
    return;
  }
  DeviceArray<std::uint64_t> run_keys(runs, session.stream());
  DeviceArray<std::uint32_t> run_begins(runs, session.stream());
  launch_runs(keys.data(), count, flags.data(), before.data(), run_keys.data(), run_begins.data(), multiprocessors, session.stream());
  auto const begins = run_begins.download();
  std::vector<std::uint64_t> counts(runs);
  for (std::size_t r = 0; r < runs; ++r) counts[r] = (r + 1 < runs ? begins[r + 1] : static_cast<std::uint64_t>(count)) - begins[r];
  merge(run_keys.download(), counts);
}

template <class Key>
void DistinctColumn::add_keys(Session& session, ColumnInput const& column, Poll const& poll, GroupRows const& rows) {
  auto top = uploaded(top_, session.stream());
  feed(session, column, poll, [&](NumericView const& chunk, std::int64_t first) {
    each_part(chunk, [&](NumericView const& part, std::int64_t begin) {
      GroupRows const own{rows.of_row == nullptr ? nullptr : rows.of_row + first + begin, rows.group};
      auto const size = static_cast<std::size_t>(part.rows);
      DeviceArray<Key> keys(size, session.stream());
      DeviceArray<Missing> missing(1, session.stream());
      missing.zero();
      launch_keys(part, domain_, own, keys.data(), missing.data(), top.data(), session.info().multiprocessors, session.stream());
      Missing found{};
      missing.download(&found, 1);
      rows_ += size;
      nulls_ += found.nulls;
      nans_ += found.nans;
      auto const present = static_cast<std::int64_t>(size - found.nulls - found.nans);
      if (overflowed_ || present == 0) return;
      DeviceArray<Key> spare(size, session.stream());
      // Rows without a value are sorted to the end; all rows are, since a value may have their key.
      sort_keys(keys, spare, part.rows, session.stream());
      add_runs(session, keys, present);
    });
  });
  top.download(top_.data(), top_.size());
}

void DistinctColumn::add(Session& session, ColumnInput const& column, Poll const& poll, GroupRows const& rows) {
  if (domain_ == Domain::float32)
    add_keys<std::uint32_t>(session, column, poll, rows);
  else
    add_keys<std::uint64_t>(session, column, poll, rows);
}

SplitColumn::SplitColumn(int device, Domain domain, std::vector<std::uint64_t> lows, int width, int split)
    : domain_(domain), split_(checked_split(width, split)), piece_(width - split), intervals_(lows, std::vector<int>(lows.size(), width)),
      device_(device), held_(std::make_unique<Resident<Held>>(device)) {
  if (intervals_.size() << split_ >= kNoInterval) throw InvalidInput("an interval cannot be cut that finely.");
}

void SplitColumn::add(Session& session, ColumnInput const& column, Poll const& poll) {
  if (intervals_.size() == 0) return;
  auto& held = held_->held();
  if (!held) {
    held.emplace(Held{DeviceIntervals(session, intervals_), DeviceArray<std::uint64_t>(intervals_.size() << split_, session.stream())});
    held->counts.zero();
  }
  feed(session, column, poll, [&](NumericView const& chunk, std::int64_t) {
    launch_split(chunk, domain_, held->intervals.view(), split_, piece_, held->counts.data(), session.info().multiprocessors, session.stream());
  });
}

std::vector<std::uint64_t> SplitColumn::counts() const {
  auto const& held = held_->held();
  if (!held) return std::vector<std::uint64_t>(intervals_.size() << split_, 0);
  Use const use(device_);
  return held->counts.download();
}

void KeepColumn::add(Session& session, ColumnInput const& column, Poll const& poll) {
  DeviceIntervals const intervals(session, intervals_);
  int const multiprocessors = session.info().multiprocessors;
  feed(session, column, poll, [&](NumericView const& chunk, std::int64_t) {
    each_part(chunk, [&](NumericView const& part, std::int64_t) {
      auto const size = static_cast<std::size_t>(part.rows);
      DeviceArray<std::uint64_t> keys(size, session.stream());
      DeviceArray<std::uint32_t> flags(size, session.stream());
      DeviceArray<std::uint32_t> before(size, session.stream());
      launch_keep_flags(part, domain_, intervals.view(), keys.data(), flags.data(), multiprocessors, session.stream());
      sum_before(flags.data(), before.data(), part.rows, session.stream());
      std::uint32_t const count = before.download_one(size - 1) + flags.download_one(size - 1);
      if (count == 0) return;
      DeviceArray<std::uint64_t> kept(count, session.stream());
      launch_keep(keys.data(), flags.data(), before.data(), part.rows, kept.data(), multiprocessors, session.stream());
      keys_.resize(keys_.size() + count);
      kept.download(keys_.data() + keys_.size() - count, count);
    });
  });
}

template <class Column>
void FitPass<Column>::add(std::shared_ptr<ArrowOwner const> const& batch, Poll const& poll) {
  std::vector<Domain> domains;
  for (auto const& column : columns_) domains.push_back(column.domain());
  auto const views = numeric_views(*batch, domains);
  Use const session(device_);
  for (std::size_t i = 0; i < columns_.size(); ++i) columns_[i].add(*session, {views[i], false}, poll);
}

template class FitPass<DistinctColumn>;
template class FitPass<SplitColumn>;
template class FitPass<KeepColumn>;

}  // namespace modelwatch::cuda
