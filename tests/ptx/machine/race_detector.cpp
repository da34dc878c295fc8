#include "race_detector.hpp"

namespace ptx {
namespace {

constexpr u32 kWarp = kWarpSize;

}  // namespace

RaceReport RaceDetector::accessCell(Cell& cell, Accessor const& by, bool read, bool write, bool atomic) {
  i32 const me = i32(by.thread);
  u32 const myWarp = by.thread / kWarp;
  bool const writeIsRecent = cell.writer >= 0 && cell.writer != me && cell.writeBlockEpoch == by.blockEpoch &&
                             !(u32(cell.writer) / kWarp == myWarp && cell.writeWarpEpoch != by.warpEpoch);
  if (writeIsRecent && !(atomic && cell.writeAtomic)) return {true, true, cell.writer};
  if (write) {
    if (cell.reader != kNobody && cell.readBlockEpoch == by.blockEpoch) {
      bool const manyWarps = cell.reader == kManyWarps;
      bool const sameWarp = !manyWarps && u32(cell.reader) / kWarp == myWarp;
      bool const ordered = sameWarp && cell.readWarpEpoch != by.warpEpoch;
      if (manyWarps || (!ordered && (cell.reader != me || cell.manyLanes)))
        return {true, false, manyWarps || cell.reader == me ? -1 : cell.reader};
    }
    cell.writer = me;
    cell.writeBlockEpoch = by.blockEpoch;
    cell.writeWarpEpoch = by.warpEpoch;
    cell.writeAtomic = atomic;
  } else if (read) {
    // Within an epoch, keep the reader while it stands for all readers so far; otherwise widen the summary.
    bool const sameEpoch = cell.reader != kNobody && cell.readBlockEpoch == by.blockEpoch;
    if (!sameEpoch) {
      cell.reader = me;
      cell.manyLanes = false;
    } else if (cell.reader == kManyWarps || u32(cell.reader) / kWarp != myWarp)
      cell.reader = kManyWarps;
    else if (cell.readWarpEpoch != by.warpEpoch) {
      cell.reader = me;
      cell.manyLanes = false;
    } else if (cell.reader != me)
      cell.manyLanes = true;
    cell.readBlockEpoch = by.blockEpoch;
    cell.readWarpEpoch = by.warpEpoch;
  }
  return {};
}

RaceReport RaceDetector::access(u64 index, u32 bytes, Accessor const& by, bool read, bool write, bool atomic) {
  u64 const end = index + bytes;
  for (u64 word = index / 4; word * 4 < end; ++word) {
    Cell& whole = words_[word];
    u64 const from = index > word * 4 ? index - word * 4 : 0;
    u64 const to = end < word * 4 + 4 ? end - word * 4 : 4;
    if (to - from < 4 && whole.split < 0) {
      bytes_.push_back({whole, whole, whole, whole});
      whole.split = i32(bytes_.size()) - 1;
    }
    if (whole.split < 0) {
      if (RaceReport report = accessCell(whole, by, read, write, atomic); report.found) return report;
      continue;
    }
    for (u64 byte = from; byte < to; ++byte)
      if (RaceReport report = accessCell(bytes_[whole.split][byte], by, read, write, atomic); report.found)
        return report;
  }
  return {};
}

}  // namespace ptx
