#include "cuda/backend/labelled.hpp"

#include <algorithm>
#include <memory>

#include "core/error.hpp"
#include "core/key.hpp"
#include "cuda/kernels/labelled.hpp"
#include "cuda/kernels/sort.hpp"
#include "engine/column_moments.hpp"  // own_domain

namespace modelwatch::cuda {
namespace {

using Views = std::vector<NumericView>;

void check_rows(std::vector<ColumnInput> const& columns) {
  for (auto const& column : columns)
    if (column.view.rows != columns.front().view.rows) throw InvalidInput("columns that stand beside each other have as many rows.");
}

/// Calls f(parts, their first row) for parts of the rows of all columns, in device memory.
template <class F>
void each_part(Session& session, std::vector<ColumnInput> const& columns, Poll const& poll, F f) {
  check_rows(columns);
  feed_columns(session, columns, poll, [&](Views const& chunks, std::int64_t first) {
    Views parts(chunks.size());
    for (std::int64_t begin = 0; begin < chunks.front().rows; begin += kMostPart) {
      std::int64_t const rows = std::min(kMostPart, chunks.front().rows - begin);
      std::transform(chunks.begin(), chunks.end(), parts.begin(), [&](NumericView const& chunk) { return part_of(chunk, begin, rows); });
      f(parts, first + begin);
    }
  });
}

/// Which rows of a part have all values, and how many do before each.
struct Kept {
  DeviceArray<NumericView> views;
  Beside beside;
  DeviceArray<std::uint32_t> flags;
  DeviceArray<std::uint32_t> before;

  Kept(Session& session, Views const& parts, std::int32_t const* groups = nullptr, std::int32_t group = -1)
      : views(uploaded(parts, session.stream())), beside{views.data(), static_cast<std::uint32_t>(parts.size()), parts.front().rows},
        flags(static_cast<std::size_t>(parts.front().rows), session.stream()), before(flags.size(), session.stream()) {
    launch_there(beside, groups, group, flags.data(), session.info().multiprocessors, session.stream());
  }
  /// Fills in `before`; how many rows are kept.
  std::int64_t add_up(Session& session) {
    sum_before(flags.data(), before.data(), static_cast<std::int64_t>(flags.size()), session.stream());
    return std::int64_t{before.download_one(before.size() - 1)} + flags.download_one(flags.size() - 1);
  }
};

std::shared_ptr<DeviceArray<std::uint8_t>> doubles(Session const& session, std::int64_t rows) {
  return std::make_shared<DeviceArray<std::uint8_t>>(static_cast<std::size_t>(rows) * sizeof(double), session.stream());
}

double* as_doubles(DeviceArray<std::uint8_t> const& bytes) { return reinterpret_cast<double*>(bytes.data()); }

/// Throws InvalidInput unless every group's class has a column of scores.
void check_classes(Session const& session, std::vector<ColumnInput> const& scores, DeviceGroups const& groups,
                   std::vector<std::uint32_t> const& class_of_group) {
  if (scores.empty()) throw InvalidInput("there are no columns.");
  check_groups(session, groups, scores.front().view.rows);
  if (class_of_group.size() < static_cast<std::size_t>(groups.count)) throw InvalidInput("every group needs its class.");
  for (std::uint32_t const own : class_of_group)
    if (own >= scores.size()) throw InvalidInput("a group's class has no scores.");
}

std::uint64_t zero_key(Domain domain) {
  return domain == Domain::float32 ? KeyOf<float>::key(0.0F) : domain == Domain::float64 ? KeyOf<double>::key(0.0) : KeyOf<std::int64_t>::key(0);
}

}  // namespace

ErrorColumns errors_beside(Session& session, ColumnInput const& labels, ColumnInput const& predictions, Domain domain, Poll const& poll) {
  std::vector<ColumnInput> const columns{labels, predictions};
  for (auto const& column : columns)
    if (!fits(column.view.storage, domain)) throw InvalidInput("labels and predictions cannot be subtracted: their types differ.");
  int const multiprocessors = session.info().multiprocessors;
  std::uint64_t pivot = zero_key(domain);
  if (domain == Domain::int64 || domain == Domain::uint64) {
    auto const least = uploaded(std::vector<std::uint64_t>(1, ~std::uint64_t{0}), session.stream());
    each_part(session, columns, poll, [&](Views const& parts, std::int64_t) {
      Kept const kept(session, parts);
      launch_least_key(parts[0], domain, kept.flags.data(), least.data(), multiprocessors, session.stream());
    });
    pivot = least.download()[0];
  }
  auto const rows = labels.view.rows;
  auto errors = doubles(session, rows);
  auto less = doubles(session, rows);
  auto guesses = doubles(session, rows);
  std::int64_t kept_rows = 0;
  each_part(session, columns, poll, [&](Views const& parts, std::int64_t) {
    Kept kept(session, parts);
    std::int64_t const count = kept.add_up(session);
    ErrorRows const out{as_doubles(*errors) + kept_rows, as_doubles(*less) + kept_rows, as_doubles(*guesses) + kept_rows};
    launch_errors(kept.beside, domain, pivot, kept.flags.data(), kept.before.data(), out, multiprocessors, session.stream());
    kept_rows += count;
  });
  return {std::move(errors), std::move(less), std::move(guesses), kept_rows, pivot, domain, session.info().index};
}

SharedBytes error_terms(Session& session, ErrorColumns const& rows, ErrorTerm term, double pivot, double q) {
  auto out = doubles(session, rows.rows);
  launch_error_terms({as_doubles(*rows.errors), as_doubles(*rows.labels), as_doubles(*rows.predictions)}, rows.rows, term, pivot, q,
                     as_doubles(*out), session.info().multiprocessors, session.stream());
  return out;
}

DeviceGroups only_rows(Session& session, std::vector<ColumnInput> const& columns, DeviceGroups const* groups, Poll const& poll) {
  if (columns.empty()) throw InvalidInput("there are no columns.");
  std::int64_t const rows = columns.front().view.rows;
  if (groups != nullptr) check_groups(session, *groups, rows);
  auto out = std::make_shared<DeviceArray<std::int32_t>>(static_cast<std::size_t>(rows), session.stream());
  each_part(session, columns, poll, [&](Views const& parts, std::int64_t first) {
    auto const views = uploaded(parts, session.stream());
    launch_only_rows({views.data(), static_cast<std::uint32_t>(parts.size()), parts.front().rows},
                     groups == nullptr ? nullptr : groups->of_row->data() + first, out->data() + first, session.info().multiprocessors,
                     session.stream());
  });
  return {std::move(out), rows, groups == nullptr ? 1 : groups->count, session.info().index};
}

DeviceGroups upload_groups(Session& session, std::int32_t const* of_row, std::int64_t rows, std::int32_t count) {
  if (std::any_of(of_row, of_row + rows, [&](std::int32_t group) { return group >= count; })) throw InvalidInput("a row's group is not among the groups.");
  auto out = std::make_shared<DeviceArray<std::int32_t>>(static_cast<std::size_t>(rows), session.stream());
  out->upload(of_row, out->size());
  return {std::move(out), rows, count, session.info().index};
}

DeviceGroups crossed(Session& session, DeviceGroups const& a, DeviceGroups const& b) {
  check_groups(session, a, b.rows);
  check_groups(session, b, a.rows);
  std::int64_t const count = std::int64_t{a.count} * b.count;
  if (count > 0x7fffffff) throw InvalidInput("there are too many groups of labels.");
  auto out = std::make_shared<DeviceArray<std::int32_t>>(static_cast<std::size_t>(a.rows), session.stream());
  launch_cross(a.of_row->data(), b.of_row->data(), b.count, a.rows, out->data(), session.info().multiprocessors, session.stream());
  return {std::move(out), a.rows, static_cast<std::int32_t>(count), session.info().index};
}

DeviceGroups renumbered(Session& session, DeviceGroups const& groups, std::vector<std::int32_t> const& to, std::int32_t count) {
  check_groups(session, groups, groups.rows);
  if (to.size() < static_cast<std::size_t>(groups.count)) throw InvalidInput("every group needs a number.");
  if (std::any_of(to.begin(), to.end(), [&](std::int32_t number) { return number >= count; })) throw InvalidInput("a number is not among the groups.");
  auto const numbers = uploaded(to, session.stream());
  auto out = std::make_shared<DeviceArray<std::int32_t>>(static_cast<std::size_t>(groups.rows), session.stream());
  launch_renumber(groups.of_row->data(), numbers.data(), groups.rows, out->data(), session.info().multiprocessors, session.stream());
  return {std::move(out), groups.rows, count, session.info().index};
}

std::vector<std::uint64_t> places_of_labels(Session& session, std::vector<ColumnInput> const& scores, DeviceGroups const& groups,
                                            std::vector<std::uint32_t> const& class_of_group, Poll const& poll) {
  check_classes(session, scores, groups, class_of_group);
  auto const classes = uploaded(class_of_group, session.stream());
  DeviceArray<std::uint64_t> counts(scores.size(), session.stream());
  counts.zero();
  each_part(session, scores, poll, [&](Views const& parts, std::int64_t first) {
    auto const views = uploaded(parts, session.stream());
    launch_places({views.data(), static_cast<std::uint32_t>(parts.size()), parts.front().rows}, groups.of_row->data() + first, classes.data(),
                  counts.data(), session.info().multiprocessors, session.stream());
  });
  return counts.download();
}

DeviceGroups place_numbers(Session& session, std::vector<ColumnInput> const& scores, DeviceGroups const& groups,
                           std::vector<std::uint32_t> const& class_of_group, Poll const& poll) {
  check_classes(session, scores, groups, class_of_group);
  auto const classes = uploaded(class_of_group, session.stream());
  auto out = std::make_shared<DeviceArray<std::int32_t>>(static_cast<std::size_t>(groups.rows), session.stream());
  each_part(session, scores, poll, [&](Views const& parts, std::int64_t first) {
    auto const views = uploaded(parts, session.stream());
    launch_place_numbers({views.data(), static_cast<std::uint32_t>(parts.size()), parts.front().rows}, groups.of_row->data() + first, classes.data(),
                         out->data() + first, session.info().multiprocessors, session.stream());
  });
  return {std::move(out), groups.rows, static_cast<std::int32_t>(scores.size()), session.info().index};
}

RankedRows ranked_rows(Session& session, ColumnInput const& labels, ColumnInput const& scores, ColumnInput const& queries, Poll const& poll) {
  std::int64_t const rows = labels.view.rows;
  if (rows > kMostSorted) throw InvalidInput("rankings of so many rows are not sorted together; pass some of the queries.");
  auto const size = static_cast<std::size_t>(rows);
  auto const stream = session.stream();
  int const multiprocessors = session.info().multiprocessors;
  DeviceArray<std::uint64_t> score_keys(size, stream);
  DeviceArray<std::uint64_t> query_keys(size, stream);
  DeviceArray<double> relevance(size, stream);
  DeviceArray<std::uint32_t> numbers(size, stream);
  std::int64_t count = 0;
  each_part(session, {labels, scores, queries}, poll, [&](Views const& parts, std::int64_t) {
    Kept kept(session, parts);
    std::int64_t const more = kept.add_up(session);
    RankingRows const out{score_keys.data() + count, query_keys.data() + count, relevance.data() + count, numbers.data() + count};
    launch_ranking_rows(parts[0], parts[1], parts[2], kept.flags.data(), kept.before.data(), static_cast<std::uint32_t>(count), out, multiprocessors, stream);
    count += more;
  });
  if (count == 0) return {};
  auto const kept = static_cast<std::size_t>(count);
  DeviceArray<std::uint64_t> sorted(kept, stream);
  DeviceArray<std::uint64_t> spare(kept, stream);
  DeviceArray<std::uint32_t> spare_numbers(kept, stream);
  RankingRows const all{score_keys.data(), query_keys.data(), relevance.data(), numbers.data()};
  launch_pick(score_keys.data(), numbers.data(), count, sorted.data(), multiprocessors, stream);
  sort_pairs(sorted, spare, numbers, spare_numbers, count, scores.view.storage == Storage::float32 ? 32 : 64, stream);
  launch_pick(query_keys.data(), numbers.data(), count, sorted.data(), multiprocessors, stream);
  sort_pairs(sorted, spare, numbers, spare_numbers, count, 64, stream);
  DeviceArray<double> in_order(kept, stream);
  DeviceArray<std::uint8_t> heads(kept, stream);
  launch_ranked(all, numbers.data(), count, in_order.data(), heads.data(), multiprocessors, stream);
  return {in_order.download(), heads.download()};
}

WeightedKeys weighted_keys(Session& session, ColumnInput const& column, Domain domain, ColumnInput const& weights, DeviceGroups const* groups,
                           std::int32_t group, Poll const& poll) {
  std::int64_t const rows = column.view.rows;
  if (own_domain(column.view.storage) != domain) throw InvalidInput("the values cannot be compared: their types differ.");
  if (rows > kMostSorted) throw InvalidInput("there are too many rows.");
  if (groups != nullptr) check_groups(session, *groups, rows);
  auto const size = static_cast<std::size_t>(rows);
  auto const stream = session.stream();
  int const multiprocessors = session.info().multiprocessors;
  DeviceArray<std::uint64_t> keys(size, stream);
  DeviceArray<double> held(size, stream);
  DeviceArray<std::uint32_t> numbers(size, stream);
  std::int64_t count = 0;
  each_part(session, {column, weights}, poll, [&](Views const& parts, std::int64_t first) {
    Kept kept(session, parts, groups == nullptr ? nullptr : groups->of_row->data() + first, group);
    std::int64_t const more = kept.add_up(session);
    launch_weighted_rows(parts[0], parts[1], kept.flags.data(), kept.before.data(), static_cast<std::uint32_t>(count),
                         {keys.data() + count, held.data() + count, numbers.data() + count}, multiprocessors, stream);
    count += more;
  });
  if (count == 0) return {};
  auto const kept = static_cast<std::size_t>(count);
  DeviceArray<std::uint64_t> spare(size, stream);
  DeviceArray<std::uint32_t> spare_numbers(size, stream);
  sort_pairs(keys, spare, numbers, spare_numbers, count, domain == Domain::float32 ? 32 : 64, stream);
  DeviceArray<std::uint32_t> heads(kept, stream);
  DeviceArray<std::uint32_t> before(kept, stream);
  launch_heads(keys.data(), count, heads.data(), multiprocessors, stream);
  sum_before(heads.data(), before.data(), count, stream);
  std::size_t const runs = std::size_t{before.download_one(kept - 1)} + heads.download_one(kept - 1);
  DeviceArray<double> sums(runs, stream);
  launch_run_sums({keys.data(), held.data(), numbers.data()}, heads.data(), before.data(), count, spare.data(), sums.data(), multiprocessors, stream);
  WeightedKeys out{std::vector<std::uint64_t>(runs), sums.download(), count};
  spare.download(out.keys.data(), runs);
  return out;
}

std::vector<double> weights_of_groups(Session& session, DeviceGroups const& groups, ColumnInput const& weights, Poll const& poll) {
  NumericView const numbers{groups.of_row->data(), {nullptr, 0}, groups.rows, Storage::int32};
  auto const found = weighted_keys(session, {numbers, true, groups.device}, Domain::int64, weights, &groups, -1, poll);
  std::vector<double> out(static_cast<std::size_t>(groups.count), 0.0);
  for (std::size_t i = 0; i < found.keys.size(); ++i) out[static_cast<std::size_t>(KeyOf<std::int64_t>::value(found.keys[i]))] = found.sums[i];
  return out;
}

}  // namespace modelwatch::cuda
