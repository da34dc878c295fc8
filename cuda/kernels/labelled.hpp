#pragma once
// Labels beside predictions, scores and queries, row by row.

#include <cuda_runtime_api.h>

#include <cstdint>

#include "core/error_rule.hpp"
#include "core/views.hpp"

namespace modelwatch::cuda {

/// How these kernels use the machine.
struct LabelledTuning {
  static constexpr int kThreads = 256;
  static constexpr int kBlocksPerMultiprocessor = 8;
  /// Places that a block counts in shared memory; those beyond are counted in global memory.
  static constexpr std::uint32_t kNearPlaces = 2048;
};

/// Columns of one chunk: `count` views in device memory, of `rows` rows.
struct Beside {
  NumericView const* columns;
  std::uint32_t count;
  std::int64_t rows;
};

/// flags[row] = 1 where every column has a value, neither null nor NaN, and the row is of the group (of any, where it is
/// negative; all are where groups is nullptr), else 0.
void launch_there(Beside const& beside, std::int32_t const* groups, std::int32_t group, std::uint32_t* flags, int multiprocessors,
                  cudaStream_t stream);

/// out[row]: the row's group (0 where groups is nullptr) where every column has a value, else -1.
void launch_only_rows(Beside const& beside, std::int32_t const* groups, std::int32_t* out, int multiprocessors, cudaStream_t stream);

/// out[row] = a[row] * b_count + b[row], -1 where either is negative.
void launch_cross(std::int32_t const* a, std::int32_t const* b, std::int32_t b_count, std::int64_t rows, std::int32_t* out,
                  int multiprocessors, cudaStream_t stream);

/// out[row] = to[groups[row]], -1 where that group is negative.
void launch_renumber(std::int32_t const* groups, std::int32_t const* to, std::int64_t rows, std::int32_t* out, int multiprocessors,
                     cudaStream_t stream);

/// Lowers *least to the smallest key of the flagged rows of a column of whole numbers.
void launch_least_key(NumericView const& column, Domain domain, std::uint32_t const* flags, std::uint64_t* least, int multiprocessors,
                      cudaStream_t stream);

/// Rows of float64 that have both a label and a prediction.
struct ErrorRows {
  double* errors;       // prediction - label, rounded once
  double* labels;       // less the pivot
  double* predictions;
};

/// Writes the flagged rows behind each other: row i at out + before[i].  sides: labels and predictions, which fit `domain`;
/// pivot: a key of it.
void launch_errors(Beside const& sides, Domain domain, std::uint64_t pivot, std::uint32_t const* flags, std::uint32_t const* before,
                   ErrorRows const& out, int multiprocessors, cudaStream_t stream);

/// out[i] = the term of row i; q: see error_term.
void launch_error_terms(ErrorRows const& rows, std::int64_t count, ErrorTerm term, double pivot, double q, double* out,
                        int multiprocessors, cudaStream_t stream);

/// How many classes have a higher score than the row's label, ties counted for those that come later: counts[that] += 1 for
/// every row that has a group.  Column k: the scores of class k, all of one domain; class_of_group: the label's class.
void launch_places(Beside const& scores, std::int32_t const* groups, std::uint32_t const* class_of_group, std::uint64_t* counts,
                   int multiprocessors, cudaStream_t stream);

/// The same number of each row: out[row], -1 where the row has no group.
void launch_place_numbers(Beside const& scores, std::int32_t const* groups, std::uint32_t const* class_of_group, std::int32_t* out,
                          int multiprocessors, cudaStream_t stream);

/// What a ranking sorts, of the flagged rows, behind each other.
struct RankingRows {
  std::uint64_t* scores;   // keys, inverted: the highest first
  std::uint64_t* queries;  // keys
  double* relevance;
  std::uint32_t* numbers;  // 0, 1, 2, ... from `first` on
};
void launch_ranking_rows(NumericView const& labels, NumericView const& scores, NumericView const& queries, std::uint32_t const* flags,
                         std::uint32_t const* before, std::uint32_t first, RankingRows const& out, int multiprocessors,
                         cudaStream_t stream);

/// to[i] = from[numbers[i]].
void launch_pick(std::uint64_t const* from, std::uint32_t const* numbers, std::int64_t count, std::uint64_t* to, int multiprocessors,
                 cudaStream_t stream);

/// Of rows in order: relevance[i] of row numbers[i]; heads[i]: 2 where a query begins, 1 where only a score does, else 0.
void launch_ranked(RankingRows const& rows, std::uint32_t const* numbers, std::int64_t count, double* relevance, std::uint8_t* heads,
                   int multiprocessors, cudaStream_t stream);

/// What sums of weights sort, of the flagged rows, behind each other.
struct WeightedRows {
  std::uint64_t* keys;     // in the domain of the column's storage
  double* weights;
  std::uint32_t* numbers;  // 0, 1, 2, ... from `first` on
};
void launch_weighted_rows(NumericView const& column, NumericView const& weights, std::uint32_t const* flags, std::uint32_t const* before,
                          std::uint32_t first, WeightedRows const& out, int multiprocessors, cudaStream_t stream);

/// heads[i] = 1 where sorted keys[i] is not as the one before, else 0.
void launch_heads(std::uint64_t const* keys, std::int64_t count, std::uint32_t* heads, int multiprocessors, cudaStream_t stream);

/// Of each run of equal keys, which numbers[i] belong to in the order of rows: its key, and the sum of its rows' weights, added
/// up one after the other as the host does.
void launch_run_sums(WeightedRows const& sorted, std::uint32_t const* heads, std::uint32_t const* before, std::int64_t count, std::uint64_t* keys,
                     double* sums, int multiprocessors, cudaStream_t stream);

}  // namespace modelwatch::cuda
