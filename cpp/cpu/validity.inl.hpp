// Validity bitmaps as one byte per row: part of kernels.inl.hpp.

namespace modelwatch::cpu {
namespace {

/// valid[i] = 1 or 0 for rows [begin, begin + rows); returns how many are valid.  Only bytes that hold a bit of these
/// rows are read: a bitmap need not be padded.
int expand_validity(Validity const& validity, std::int64_t begin, int rows, std::uint8_t* valid) {
  std::uint64_t constexpr kOnes = 0x0101010101010101u;
  std::uint64_t total = 0;
  for (int i = 0; i < rows; i += 8) {
    std::int64_t const at = begin + i + validity.offset;
    int const n = rows - i < 8 ? rows - i : 8;
    unsigned const two = validity.bits[at >> 3] | static_cast<unsigned>(validity.bits[(at + n - 1) >> 3]) << 8;
    std::uint64_t const byte = (two >> (at & 7)) & (0xffu >> (8 - n));
    // Byte j keeps bit j, then becomes 0 or 1.
    std::uint64_t const bits = (byte * kOnes) & 0x8040201008040201u;
    std::uint64_t const ones = ((bits + 0x7f7f7f7f7f7f7f7fu) >> 7) & kOnes;
    __builtin_memcpy(valid + i, &ones, 8);
    total += (ones * kOnes) >> 56;
  }
  return static_cast<int>(total);
}

}  // namespace
}  // namespace modelwatch::cpu
