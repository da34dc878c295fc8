#pragma once
// Labels beside predictions, scores of several classes, and queries: what becomes of rows that have all of them.

#include <cstdint>
#include <vector>

#include "core/error_rule.hpp"
#include "cuda/backend/arrays.hpp"  // SharedBytes
#include "cuda/backend/feed.hpp"
#include "cuda/backend/rank.hpp"  // DeviceGroups

namespace modelwatch::cuda {

/// Rows of a regression that have both a label and a prediction, in their order, as columns of float64 on the device.
struct ErrorColumns {
  SharedBytes errors;       // prediction - label; of whole numbers exact before one rounding
  SharedBytes labels;       // less the pivot
  SharedBytes predictions;
  std::int64_t rows;
  std::uint64_t pivot;      // key of the smallest label of whole numbers, of 0 for floats
  Domain domain;            // whose keys these are
  int device;
};
ErrorColumns errors_beside(Session& session, ColumnInput const& labels, ColumnInput const& predictions, Domain domain, Poll const& poll);

/// A column of terms of these rows; pivot: the value of theirs.
SharedBytes error_terms(Session& session, ErrorColumns const& rows, ErrorTerm term, double pivot, double q);

/// The groups of rows that have a value in every column, none of others; groups: nullptr, and all such rows are of group 0.
DeviceGroups only_rows(Session& session, std::vector<ColumnInput> const& columns, DeviceGroups const* groups, Poll const& poll);

/// Groups of the host on the device, numbers below `count`.
DeviceGroups upload_groups(Session& session, std::int32_t const* of_row, std::int64_t rows, std::int32_t count);

/// The groups of both together: of a and b it is a * b.count + b.
DeviceGroups crossed(Session& session, DeviceGroups const& a, DeviceGroups const& b);

/// Group g as to[g], a number below `count`, or negative for none.
DeviceGroups renumbered(Session& session, DeviceGroups const& groups, std::vector<std::int32_t> const& to, std::int32_t count);

/// Rows by how many classes have a higher score than the label's, of equal ones those that come later; counts of as many
/// places as there are columns of scores, of rows that have a group.  class_of_group: which column is a group's.
std::vector<std::uint64_t> places_of_labels(Session& session, std::vector<ColumnInput> const& scores, DeviceGroups const& groups,
                                            std::vector<std::uint32_t> const& class_of_group, Poll const& poll);

/// The same place of every row, as a group; of none where the row has no group.
DeviceGroups place_numbers(Session& session, std::vector<ColumnInput> const& scores, DeviceGroups const& groups,
                           std::vector<std::uint32_t> const& class_of_group, Poll const& poll);

/// Sums of weights by value: keys: distinct ones, increasing; sums: of each, added up in the order of rows; rows: how many took
/// part, those of the group (of any, where it is negative) that have a value and a weight.
struct WeightedKeys {
  std::vector<std::uint64_t> keys;
  std::vector<double> sums;
  std::int64_t rows;
};
/// domain: the column's storage's own.  groups: nullptr, and all rows are taken.
WeightedKeys weighted_keys(Session& session, ColumnInput const& column, Domain domain, ColumnInput const& weights, DeviceGroups const* groups,
                           std::int32_t group, Poll const& poll);

/// The same for groups: the sum of each, 0 where it has no rows.
std::vector<double> weights_of_groups(Session& session, DeviceGroups const& groups, ColumnInput const& weights, Poll const& poll);

/// Rows that have a label, a score and a query, by query and within each from the highest score down.
struct RankedRows {
  std::vector<double> relevance;     // the labels
  std::vector<std::uint8_t> heads;   // 2 where a query begins, 1 where only a score does, else 0
};
RankedRows ranked_rows(Session& session, ColumnInput const& labels, ColumnInput const& scores, ColumnInput const& queries, Poll const& poll);

}  // namespace modelwatch::cuda
