// Rows between knots: part of kernels.inl.hpp.

namespace modelwatch::cpu {
namespace {

/// kScaled: some gap needs a scale of its own.
template <class Value, bool kScaled = false>
int gap_rows_of(std::uint32_t const* cells, std::uint64_t const* keys, int rows, GridData const& grid, GapRows* out) {
  using Keys = KeyOf<Value>;
  using Key = typename Keys::Key;
  int found = 0;
  for (int i = 0; i < rows; ++i) {
    std::uint32_t cell = cells[i];
    MW_SCALAR(cell);
    out->row[found] = static_cast<std::uint32_t>(i);
    out->gap[found] = cell >> 1;
    found += static_cast<int>((cell & 1u) == 0) & static_cast<int>(cell <= 2 * grid.count);
  }
  for (int i = 0; i < found; ++i) {
    std::uint32_t gap = out->gap[i];
    MW_SCALAR(gap);
    Value x = Keys::value(static_cast<Key>(keys[out->row[i]]));
    if constexpr (kScaled) x *= grid.gap_scales[gap];
    out->fraction[i] = gap_offset(x, grid.gaps[gap]);
  }
  return found;
}

int gap_rows(std::uint32_t const* cells, std::uint64_t const* keys, int rows, GridData const& grid, GapRows* out) {
  switch (grid.domain) {
    case Domain::float32: return gap_rows_of<float>(cells, keys, rows, grid, out);
    case Domain::float64:
      if (grid.gap_scales != nullptr) return gap_rows_of<double, true>(cells, keys, rows, grid, out);
      return gap_rows_of<double>(cells, keys, rows, grid, out);
    case Domain::int64: return gap_rows_of<std::int64_t>(cells, keys, rows, grid, out);
    case Domain::uint64: return gap_rows_of<std::uint64_t>(cells, keys, rows, grid, out);
  }
  return 0;
}

}  // namespace
}  // namespace modelwatch::cpu
