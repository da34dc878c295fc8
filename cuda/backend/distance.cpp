#include "cuda/backend/distance.hpp"

#include "core/error.hpp"
#include "cuda/kernels/fit.hpp"
#include "cuda/kernels/sort.hpp"
#include "engine/rank.hpp"

namespace modelwatch::cuda {
namespace {

/// The keys of a column's values, sorted; behind them are those of rows that have none.
template <class Key>
struct Side {
  DeviceArray<Key> keys;
  std::int64_t values;
};

template <class Key>
Side<Key> sorted_side(Session& session, ColumnInput const& column, Domain domain, Poll const& poll) {
  std::int64_t const rows = column.view.rows;
  if (rows > kMostSorted) throw InvalidInput("there are too many rows.");
  DeviceArray<Key> keys(static_cast<std::size_t>(rows), session.stream());
  DeviceArray<Missing> missing(1, session.stream());
  missing.zero();
  feed(session, column, poll, [&](NumericView const& chunk, std::int64_t first) {
    launch_keys(chunk, domain, {nullptr, 0}, keys.data() + first, missing.data(), nullptr, session.info().multiprocessors, session.stream());
  });
  DeviceArray<Key> spare(keys.size(), session.stream());
  sort_keys(keys, spare, rows, session.stream());
  Missing found{};
  missing.download(&found, 1);
  return {std::move(keys), rows - static_cast<std::int64_t>(found.nulls + found.nans)};
}

template <class Key>
SortedDistance distance_of(Session& session, ColumnInput const& a, ColumnInput const& b, Domain domain, Poll const& poll) {
  auto const one = sorted_side<Key>(session, a, domain, poll);
  auto const other = sorted_side<Key>(session, b, domain, poll);
  check_pairs(one.values, other.values);
  DeviceArray<std::uint64_t> most(1, session.stream());
  most.zero();
  int const multiprocessors = session.info().multiprocessors;
  launch_sup_distance(one.keys.data(), one.values, other.keys.data(), other.values, most.data(), multiprocessors, session.stream());
  launch_sup_distance(other.keys.data(), other.values, one.keys.data(), one.values, most.data(), multiprocessors, session.stream());
  std::uint64_t found = 0;
  most.download(&found, 1);
  return {static_cast<std::int64_t>(found), one.values, other.values};
}

}  // namespace

SortedDistance sorted_distance(Session& session, ColumnInput const& a, ColumnInput const& b, Domain domain, Poll const& poll) {
  for (auto const* side : {&a, &b})
    if (!fits(side->view.storage, domain)) throw InvalidInput("the values cannot be compared with each other: their types differ.");
  return domain == Domain::float32 ? distance_of<std::uint32_t>(session, a, b, domain, poll)
                                   : distance_of<std::uint64_t>(session, a, b, domain, poll);
}

}  // namespace modelwatch::cuda
