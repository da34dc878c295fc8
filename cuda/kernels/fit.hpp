#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "core/interval_rule.hpp"
#include "core/views.hpp"

namespace modelwatch::cuda {

/// How the passes of a fit use the machine.
struct FitTuning {
  static constexpr int kThreads = 256;
  static constexpr int kBlocksPerMultiprocessor = 4;
  /// Counters that a block keeps in shared memory (16 KiB with their names).
  static constexpr std::uint32_t kNearCounters = 2048;
};

/// Rows that have no value.
struct Missing {
  std::uint64_t nulls;
  std::uint64_t nans;
};

/// Rows of one group, or, where it is negative, all that have one; of_row: of the rows of a column, or nullptr, and all are
/// taken.
struct GroupRows {
  std::int32_t const* of_row;
  std::int32_t group;

  MW_HD bool takes(std::int64_t row) const {
    return of_row == nullptr || (group < 0 ? of_row[row] >= 0 : of_row[row] == group);
  }
};

/// The key of every row of a column (device memory), all ones where it has none; adds those up.  Rows of other groups
/// count as null.
/// top: if not nullptr, counters of the first 16 bits of the keys.  Key is that of the domain.
void launch_keys(NumericView const& column, Domain domain, GroupRows const& rows, void* keys, Missing* missing, std::uint64_t* top,
                 int multiprocessors, cudaStream_t stream);

/// flags[i] = 1 where a sorted key differs from the one before it, else 0.
template <class Key>
void launch_run_heads(Key const* keys, std::int64_t count, std::uint32_t* flags, int multiprocessors, cudaStream_t stream);
/// The key and the first place of each run; before: the sums of the flags.
template <class Key>
void launch_runs(Key const* keys, std::int64_t count, std::uint32_t const* flags, std::uint32_t const* before, std::uint64_t* run_keys,
                 std::uint32_t* run_begins, int multiprocessors, cudaStream_t stream);

/// Counts the rows of every piece: intervals are cut into 2^split, of `piece` bits each.
void launch_split(NumericView const& column, Domain domain, IntervalsView const& intervals, int split, int piece, std::uint64_t* counts,
                  int multiprocessors, cudaStream_t stream);

/// flags[row] = 1 where its key lies in an interval; keys of all rows.
void launch_keep_flags(NumericView const& column, Domain domain, IntervalsView const& intervals, std::uint64_t* keys,
                       std::uint32_t* flags, int multiprocessors, cudaStream_t stream);
/// kept[before[i]] = keys[i] where flags[i].
void launch_keep(std::uint64_t const* keys, std::uint32_t const* flags, std::uint32_t const* before, std::int64_t count,
                 std::uint64_t* kept, int multiprocessors, cudaStream_t stream);

/// Raises *most to the largest |i m - j n| at a value of a, which has n sorted keys, b m (engine/rank.hpp: sup_distance).
template <class Key>
void launch_sup_distance(Key const* a, std::int64_t n, Key const* b, std::int64_t m, std::uint64_t* most, int multiprocessors,
                         cudaStream_t stream);

}  // namespace modelwatch::cuda
