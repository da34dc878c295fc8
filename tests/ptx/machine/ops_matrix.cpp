// mma.sync: D = A * B + C for 16x8 tiles with f32 accumulators; tf32 (k = 4, 8), f16 and bf16 (k = 8, 16).
//
// Products are exact in double and summed in double with C, then rounded once to f32. Hardware leaves order and
// intermediate precision unspecified, so compare with a tolerance.
#include "lanes.hpp"
#include "ops.hpp"

namespace ptx {
namespace {

constexpr int kRows = 16, kColumns = 8;

struct Tile {
  int k;        // inner dimension
  int perWord;  // elements in a 32-bit register
};

double element(u32 word, int part, Type type) {
  switch (type) {
    case Type::TF32:
      return std::bit_cast<float>(word & 0xffffe000u);
    case Type::F16:
      return halfToFloat(u16(word >> (16 * part)));
    default:
      return bfloatToFloat(u16(word >> (16 * part)));
  }
}

// In all these shapes lane = 4 * group + t; a register of A holds row `group` (or group + 8), and consecutive k from
// perWord * t; the next pair of registers continues 4 * perWord columns further. B is the transpose of that.
void multiplyTiles(Machine& m, Instruction const& in, LaneMask lanes) {
  if (lanes != kAllLanes) m.fail(Fault::Divergence, "mma.sync executed by part of a warp", lowestLane(lanes));
  Type const type = in.sourceType;
  Tile const tile{type == Type::TF32 ? int(in.immediate) * 2 : int(in.immediate) * 4, type == Type::TF32 ? 1 : 2};
  ListItem const* items = m.list(in);
  ListItem const *dItems = items, *aItems = items + 4, *bItems = aItems + in.immediate,
                 *cItems = bItems + in.immediate / 2;
  double a[kRows][16], b[16][kColumns];
  for (int lane = 0; lane < kWarpSize; ++lane) {
    int const group = lane / 4, t = lane % 4;
    for (u32 r = 0; r < in.immediate; ++r)
      for (int p = 0; p < tile.perWord; ++p)
        a[group + (r % 2) * 8][int(r / 2) * 4 * tile.perWord + t * tile.perWord + p] =
            element(m.reg<u32>(aItems[r].slot)[lane], p, type);
    for (u32 r = 0; r < in.immediate / 2; ++r)
      for (int p = 0; p < tile.perWord; ++p)
        b[int(r) * 4 * tile.perWord + t * tile.perWord + p][group] = element(m.reg<u32>(bItems[r].slot)[lane], p, type);
  }
  for (int lane = 0; lane < kWarpSize; ++lane)
    for (int r = 0; r < 4; ++r) {
      int const row = lane / 4 + (r / 2) * 8, column = (lane % 4) * 2 + r % 2;
      double sum = m.reg<float>(cItems[r].slot)[lane];
      for (int k = 0; k < tile.k; ++k) sum += a[row][k] * b[k][column];
      m.reg<float>(dItems[r].slot)[lane] = float(sum);
    }
}

}  // namespace

Handler selectMatrix(Instruction const& in) {
  if (in.op != Opcode::Mma) return nullptr;
  bool const typesKnown = in.type == Type::F32 &&
                          (in.sourceType == Type::TF32 || in.sourceType == Type::F16 || in.sourceType == Type::BF16);
  bool const countsKnown =
      in.vectorSize == 4 && (in.immediate == 2 || in.immediate == 4) && in.listCount == 8 + in.immediate * 3 / 2;
  return typesKnown && countsKnown ? &multiplyTiles : nullptr;
}

}  // namespace ptx
