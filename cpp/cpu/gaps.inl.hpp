// Rows between knots: part of kernels.inl.hpp.

namespace modelwatch::cpu {
namespace {

int gap_rows(std::uint32_t const* cells, int rows, std::uint32_t end_cell, GapRows* out) {
  std::uint32_t some = 0;
  for (int i = 0; i < rows; ++i) some |= static_cast<std::uint32_t>((cells[i] & 1u) == 0) & static_cast<std::uint32_t>(cells[i] < end_cell);
  if (some == 0) return 0;  // as in a column of few values
  int found = 0;
  for (int i = 0; i < rows; ++i) {
    std::uint32_t cell = cells[i];
    MW_SCALAR(cell);
    out->row[found] = static_cast<std::uint32_t>(i);
    out->gap[found] = cell >> 1;
    found += static_cast<int>((cell & 1u) == 0) & static_cast<int>(cell < end_cell);
  }
  return found;
}

/// kScaled: some gap needs a scale of its own.
template <class Value, bool kScaled, bool kSums, bool kSketch>
int add_gaps_of(GapRows const& rows, int from, int count, std::uint64_t const* keys, GridData const& grid, bool whole, GapSums* sums,
                SketchData const* sketch) {
  using Keys = KeyOf<Value>;
  using Key = typename Keys::Key;
  // Copies, which a store to a counter cannot change.
  GapRule const* const rules = grid.gaps;
  std::uint64_t* const into = kSums ? sums->sums : nullptr;
  std::uint64_t low = kSums ? sums->low : 0;
  std::uint64_t high = kSums ? sums->high : 0;
  SketchData const to = kSketch ? *sketch : SketchData{};
  int i = from;
  for (; i < count; ++i) {
    std::uint64_t const key = keys[rows.row[i]];
    Value const x = Keys::value(static_cast<Key>(key));
    if constexpr (kSketch) {
      std::uint32_t const bucket = bucket_of(static_cast<double>(x));
      std::uint32_t const page = (bucket >> kBucketPageBits) - to.first_page;
      if (page >= to.pages || to.places[page] == 0) break;
      Register const at = register_of(whole ? hash_whole(static_cast<double>(x)) : hash_number(x));
      ++to.counts[((std::uint64_t{to.places[page]} - 1) << kBucketPageBits) + (bucket & (kBucketPage - 1))];
      std::uint8_t const rank = to.ranks[at.index];
      to.ranks[at.index] = rank < at.rank ? at.rank : rank;
    }
    if constexpr (kSums) {
      std::uint32_t const gap = rows.gap[i];
      Value scaled = x;
      if constexpr (kScaled) scaled *= grid.gap_scales[gap];
      into[gap] += gap_offset(scaled, rules[gap]);
      low = key < low ? key : low;
      high = key > high ? key : high;
    }
  }
  if constexpr (kSums) {
    sums->low = low;
    sums->high = high;
  }
  return i;
}

template <class Value, bool kScaled = false>
int add_gaps_in(GapRows const& rows, int from, int count, std::uint64_t const* keys, GridData const& grid, bool whole, GapSums* sums,
                SketchData const* sketch) {
  if (sums == nullptr) return add_gaps_of<Value, kScaled, false, true>(rows, from, count, keys, grid, whole, sums, sketch);
  if (sketch == nullptr) return add_gaps_of<Value, kScaled, true, false>(rows, from, count, keys, grid, whole, sums, sketch);
  return add_gaps_of<Value, kScaled, true, true>(rows, from, count, keys, grid, whole, sums, sketch);
}

int add_gaps(GapRows const& rows, int from, int count, std::uint64_t const* keys, GridData const& grid, bool whole, GapSums* sums,
             SketchData const* sketch) {
  switch (grid.domain) {
    case Domain::float32: return add_gaps_in<float>(rows, from, count, keys, grid, whole, sums, sketch);
    case Domain::float64:
      if (grid.gap_scales != nullptr) return add_gaps_in<double, true>(rows, from, count, keys, grid, whole, sums, sketch);
      return add_gaps_in<double>(rows, from, count, keys, grid, whole, sums, sketch);
    case Domain::int64: return add_gaps_in<std::int64_t>(rows, from, count, keys, grid, whole, sums, sketch);
    case Domain::uint64: return add_gaps_in<std::uint64_t>(rows, from, count, keys, grid, whole, sums, sketch);
  }
  return count;
}

}  // namespace
}  // namespace modelwatch::cpu
