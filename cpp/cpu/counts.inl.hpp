// Counters, and the ends of what was counted: part of kernels.inl.hpp.

namespace modelwatch::cpu {
namespace {

/// Eight cells, before any counter is stored: a load behind a store would wait to see whether that went there.
MW_HD void load_eight(std::uint32_t const* cells, std::uint32_t (&out)[8]) {
  std::uint64_t pairs[4];
  __builtin_memcpy(pairs, cells, sizeof pairs);
  for (int i = 0; i < 4; ++i) {
    out[2 * i] = static_cast<std::uint32_t>(pairs[i]);
    out[2 * i + 1] = static_cast<std::uint32_t>(pairs[i] >> 32);
  }
}

void count_one(std::uint32_t const* cells, int rows, std::uint32_t* counters) {
  int i = 0;
  for (; i + 8 <= rows; i += 8) {
    std::uint32_t at[8];
    load_eight(cells + i, at);
    for (auto const cell : at) ++counters[cell];
  }
  for (; i < rows; ++i) ++counters[cells[i]];
}

/// Whether three of four rows, by a sample, have one cell, and which.
MW_HD bool mostly_one(std::uint32_t const* cells, int rows, std::uint32_t* most) {
  constexpr int kSample = 16;
  if (rows < 4 * kSample) return false;
  int const step = rows / kSample;
  // The majority vote of Boyer and Moore (1981): if there is a majority, this is its cell.
  std::uint32_t candidate = 0;
  int lead = 0;
  for (int i = 0; i < kSample; ++i) {
    if (lead == 0) candidate = cells[i * step];
    lead += cells[i * step] == candidate ? 1 : -1;
  }
  int votes = 0;
  for (int i = 0; i < kSample; ++i) votes += cells[i * step] == candidate ? 1 : 0;
  *most = candidate;
  return votes >= kSample * 3 / 4;
}

/// Keeps the cells that differ from one; returns how many.
MW_HD int others_than(std::uint32_t cell, std::uint32_t const* cells, int rows, std::uint32_t* others) {
#ifdef MW_AVX512
  return others_together(cell, cells, rows, others);
#else
  int found = 0;
  for (int i = 0; i < rows; ++i) {
    std::uint32_t at = cells[i];
    MW_SCALAR(at);
    others[found] = at;
    found += at != cell ? 1 : 0;
  }
  return found;
#endif
}

/// Four counters for each cell, so that equal rows one after the other do not wait for each other.
void count_four(std::uint32_t const* cells, int rows, std::uint32_t* counters, std::uint32_t stride) {
  if (std::uint32_t most; mostly_one(cells, rows, &most)) {
    std::uint32_t others[kTileRows];
    int const found = others_than(most, cells, rows, others);
    counters[most] += static_cast<std::uint32_t>(rows - found);
    return count_one(others, found, counters);
  }
  int i = 0;
  for (; i + 8 <= rows; i += 8) {
    std::uint32_t at[8];
    load_eight(cells + i, at);
    for (int half = 0; half < 8; half += 4) {
      ++counters[at[half]];
      ++counters[stride + at[half + 1]];
      ++counters[2 * stride + at[half + 2]];
      ++counters[3 * stride + at[half + 3]];
    }
  }
  for (; i < rows; ++i) ++counters[cells[i]];
}

template <class Code>
void count_codes_of(Code const* codes, int rows, std::uint8_t const* valid, std::uint32_t null_slot, std::uint32_t* counters,
                    std::uint32_t stride) {
  // Valid codes are not negative, so those of 32 bits are cells as they lie.
  if constexpr (sizeof(Code) == 4)
    if (valid == nullptr) return count_four(reinterpret_cast<std::uint32_t const*>(codes), rows, counters, stride);
  std::uint32_t cells[kTileRows];
  if (valid == nullptr)
    for (int i = 0; i < rows; ++i) cells[i] = static_cast<std::uint32_t>(codes[i]);
  else
    for (int i = 0; i < rows; ++i) cells[i] = valid[i] != 0 ? static_cast<std::uint32_t>(codes[i]) : null_slot;
  count_four(cells, rows, counters, stride);
}

/// count_four of the codes of rows [begin, begin + rows); null rows are counted in null_slot, whatever their code.
void count_codes(NumericView const& codes, std::int64_t begin, int rows, std::uint8_t const* valid, std::uint32_t null_slot,
                 std::uint32_t* counters, std::uint32_t stride) {
  void const* const all = codes.values;
  switch (codes.storage) {
    case Storage::int8: return count_codes_of(static_cast<std::int8_t const*>(all) + begin, rows, valid, null_slot, counters, stride);
    case Storage::int16: return count_codes_of(static_cast<std::int16_t const*>(all) + begin, rows, valid, null_slot, counters, stride);
    case Storage::int32: return count_codes_of(static_cast<std::int32_t const*>(all) + begin, rows, valid, null_slot, counters, stride);
    case Storage::int64: return count_codes_of(static_cast<std::int64_t const*>(all) + begin, rows, valid, null_slot, counters, stride);
    case Storage::uint8: return count_codes_of(static_cast<std::uint8_t const*>(all) + begin, rows, valid, null_slot, counters, stride);
    case Storage::uint16: return count_codes_of(static_cast<std::uint16_t const*>(all) + begin, rows, valid, null_slot, counters, stride);
    case Storage::uint32: return count_codes_of(static_cast<std::uint32_t const*>(all) + begin, rows, valid, null_slot, counters, stride);
    case Storage::uint64: return count_codes_of(static_cast<std::uint64_t const*>(all) + begin, rows, valid, null_slot, counters, stride);
    case Storage::float32:
    case Storage::float64: return;  // codes are integers
  }
}

/// A good part of the counters is used: all are written, and the next takes the place of one that is not.
int narrow_entries(std::uint8_t const* counters, std::uint32_t slots, std::uint16_t* cells, std::uint8_t* counts) {
#ifdef MW_AVX512
  return narrow_entries_together(counters, slots, cells, counts);
#else
  int used = 0;
  for (std::uint32_t slot = 0; slot < slots; ++slot) {
    cells[used] = static_cast<std::uint16_t>(slot);
    counts[used] = counters[slot];
    used += counters[slot] != 0 ? 1 : 0;
  }
  return used;
#endif
}

void map_cells(std::uint32_t const* cells, int rows, std::uint32_t const* map, std::uint32_t* out) {
  for (int i = 0; i < rows; ++i) out[i] = map[cells[i]];
}

void key_range(std::uint32_t const* cells, std::uint64_t const* keys, int rows, std::uint32_t end_cell, std::uint64_t* low,
               std::uint64_t* high) {
  std::uint64_t smallest = *low;
  std::uint64_t largest = *high;
  for (int i = 0; i < rows; ++i) {
    bool const ranked = cells[i] < end_cell;
    std::uint64_t const below = ranked ? keys[i] : smallest;
    std::uint64_t const above = ranked ? keys[i] : largest;
    smallest = below < smallest ? below : smallest;
    largest = above > largest ? above : largest;
  }
  *low = smallest;
  *high = largest;
}

}  // namespace
}  // namespace modelwatch::cpu
