#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "cuda/backend/feed.hpp"
#include "cuda/kernels/fit.hpp"  // GroupRows
#include "engine/arrow_view.hpp"
#include "engine/fit.hpp"

namespace modelwatch::cuda {

/// What lies on a device between the calls of a pass; given back with the right to use the device.
template <class Held>
class Resident {
 public:
  explicit Resident(int device) : device_(device) {}
  ~Resident() {
    if (!held_) return;
    try {
      Use const use(device_);
      held_.reset();
    } catch (std::exception const&) {
      // The device is lost, or another process's: its memory went with it.
    }
  }
  Resident(Resident const&) = delete;
  Resident& operator=(Resident const&) = delete;

  std::optional<Held>& held() { return held_; }

 private:
  int device_;
  std::optional<Held> held_;
};

/// What engine/fit.hpp's DistinctValues knows of a column, counted on a device: rows are sorted a chunk at a time.
class DistinctColumn {
 public:
  DistinctColumn(Domain domain, std::uint64_t cap) : domain_(domain), cap_(cap), top_(std::size_t{1} << DistinctValues::kTopBits, 0) {}
  /// rows: which are taken, those of other groups are counted as null.
  void add(Session& session, ColumnInput const& column, Poll const& poll, GroupRows const& rows = {nullptr, 0});

  Domain domain() const { return domain_; }
  bool overflowed() const { return overflowed_; }
  std::uint64_t rows() const { return rows_; }
  std::uint64_t nulls() const { return nulls_; }
  std::uint64_t nans() const { return nans_; }
  std::vector<std::uint64_t> const& top() const { return top_; }
  void sorted(std::vector<std::uint64_t>& keys, std::vector<std::uint64_t>& counts) const {
    keys = keys_;
    counts = counts_;
  }

 private:
  template <class Key>
  void add_keys(Session& session, ColumnInput const& column, Poll const& poll, GroupRows const& rows);
  template <class Key>
  void add_runs(Session& session, DeviceArray<Key> const& sorted, std::int64_t count);
  void merge(std::vector<std::uint64_t> const& keys, std::vector<std::uint64_t> const& counts);

  Domain domain_;
  std::uint64_t cap_;
  std::uint64_t rows_ = 0;
  std::uint64_t nulls_ = 0;
  std::uint64_t nans_ = 0;
  bool overflowed_ = false;
  std::vector<std::uint64_t> top_;
  std::vector<std::uint64_t> keys_;
  std::vector<std::uint64_t> counts_;
};

/// Intervals on a device.
struct DeviceIntervals {
  DeviceArray<std::uint64_t> lows;
  DeviceArray<std::int32_t> widths;

  DeviceIntervals(Session const& session, IntervalSet const& intervals)
      : lows(uploaded(intervals.lows(), session.stream())), widths(uploaded(intervals.widths(), session.stream())) {}
  IntervalsView view() const { return {lows.data(), widths.data(), static_cast<std::uint32_t>(lows.size())}; }
};

/// What IntervalSplitter does, on a device, which keeps the counts.
class SplitColumn {
 public:
  SplitColumn(int device, Domain domain, std::vector<std::uint64_t> lows, int width, int split);
  void add(Session& session, ColumnInput const& column, Poll const& poll);
  Domain domain() const { return domain_; }
  std::vector<std::uint64_t> counts() const;

 private:
  struct Held {
    DeviceIntervals intervals;
    DeviceArray<std::uint64_t> counts;
  };

  Domain domain_;
  int split_;
  int piece_;
  IntervalSet intervals_;
  int device_;
  std::unique_ptr<Resident<Held>> held_;
};

/// What IntervalKeeper does.
class KeepColumn {
 public:
  KeepColumn(Domain domain, std::vector<std::uint64_t> lows, std::vector<int> widths)
      : domain_(domain), intervals_(std::move(lows), std::move(widths)) {}
  void add(Session& session, ColumnInput const& column, Poll const& poll);
  Domain domain() const { return domain_; }
  std::vector<std::uint64_t> const& keys() const { return keys_; }

 private:
  Domain domain_;
  IntervalSet intervals_;
  std::vector<std::uint64_t> keys_;
};

/// A pass over the columns of batches: Column is one of the three above.
template <class Column>
class FitPass {
 public:
  FitPass(int device, std::vector<Column> columns) : device_(device), columns_(std::move(columns)) {}
  void add(std::shared_ptr<ArrowOwner const> const& batch, Poll const& poll);
  Column const& column(std::size_t i) const { return columns_.at(i); }

 private:
  int device_;
  std::vector<Column> columns_;
};

}  // namespace modelwatch::cuda
