// The CPU kernels.  Compiled once per instruction set; the including file names the table.
// No standard library in here, and every function is static: see macros.hpp for the reason.

#include <cstdint>

#include "core/golden_ratio.hpp"
#include "core/grid_rule.hpp"
#include "core/hash.hpp"
#include "core/key.hpp"
#include "core/moments.hpp"
#include "core/offset_rule.hpp"
#include "core/sketch_rule.hpp"
#include "core/value_kinds.hpp"
#include "core/views.hpp"
#include "cpu/kernel_table.hpp"
#include "cpu/text_slot.hpp"

#include "cpu/avx512.inl.hpp"
#include "cpu/search.inl.hpp"
#include "cpu/histogram.inl.hpp"
#include "cpu/validity.inl.hpp"
#include "cpu/rank.inl.hpp"
#include "cpu/counts.inl.hpp"
#include "cpu/moments.inl.hpp"
#include "cpu/grouped.inl.hpp"
#include "cpu/blocks.inl.hpp"
#include "cpu/survey.inl.hpp"
#include "cpu/sketch.inl.hpp"
#include "cpu/gaps.inl.hpp"
#include "cpu/run.inl.hpp"
#include "cpu/intervals.inl.hpp"
#include "cpu/vectors.inl.hpp"
#include "cpu/text.inl.hpp"

namespace modelwatch::cpu {

#ifdef MW_AVX512
constexpr bool kSearchesBins = true;
constexpr bool kCountsRuns = true;
constexpr bool kFindsTexts = true;
#else
constexpr bool kSearchesBins = false;
constexpr bool kCountsRuns = false;
constexpr bool kFindsTexts = false;
#endif

extern KernelTable const MW_KERNEL_TABLE;
KernelTable const MW_KERNEL_TABLE = {MW_KERNEL_NAME, kSearchesBins, kCountsRuns, kFindsTexts, expand_validity, rank_tile,   rank_by_table, count_one,       count_four,      count_codes, narrow_entries, map_cells,
                                     load_tile,      moments_one,     moments_floats,  moments_slots, fold_moments, count_block, moments_grouped, gap_rows,    count_run, keys_beyond, add_gaps,        gap_fractions,   sketch_gaps, key_range,
                                     count_binned,   survey_tile,     key_tile,      split_keys,  filter_keys,     bucket_tile,     hash_tile,   count_buckets,
                                     raise_registers, count_halves,   add_features,   center_rows_f32, center_rows_f64, add_rows_f32,    add_rows_f64,
                                     hash_text,       find_texts,    hash_values};

}  // namespace modelwatch::cpu
