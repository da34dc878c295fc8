// ld, st and cp.async.
#include "lanes.hpp"
#include "ops.hpp"

namespace ptx {
namespace {

// The frequent cases of Machine::access, kept inline; everything unusual, errors included, goes through access itself.
template <u32 bytes>
inline u8* quickAccess(Machine& m, Space space, u64 address, int lane, bool isWrite) {
  if (space == Space::Global || (space == Space::Generic && !(address & kWindowMask))) {
    if (!(address & (bytes - 1)) && !m.globalRaces())
      if (u8* host = m.memory().find(address, bytes, isWrite);
          host && m.memory().follow(address, bytes, !isWrite, isWrite))
        return host;
  } else if (space == Space::Shared && !(address & (bytes - 1)) && !m.shared().races()) {
    SharedFault fault;
    if (u8* host = m.shared().access(u32(address), bytes, !isWrite, isWrite, fault)) return host;
  }
  return m.access(space, address, bytes, lane, !isWrite, isWrite);
}

bool isCounted(Space space) { return space == Space::Global || space == Space::Shared || space == Space::Generic; }

// One element per lane, in a register of exactly its width.
template <class T>
void loadScalar(Machine& m, Instruction const& in, LaneMask lanes) {
  u64 address[kWarpSize];
  m.addresses(in.address, address);
  if (isCounted(in.space)) m.countRequest(in.space, address, lanes, sizeof(T));
  T* d = m.reg<T>(m.list(in)->slot);
  Space const space = in.space;
  forEachLane(lanes, [&](int lane) {
    std::memcpy(&d[lane], quickAccess<sizeof(T)>(m, space, address[lane], lane, false), sizeof(T));
  });
  if (in.fences) m.fence();  // acquire
}

template <class T>
void storeScalar(Machine& m, Instruction const& in, LaneMask lanes) {
  if (in.fences) m.fence();  // release
  u64 address[kWarpSize];
  m.addresses(in.address, address);
  if (isCounted(in.space)) m.countRequest(in.space, address, lanes, sizeof(T));
  T const* s = m.reg<T>(m.list(in)->slot);
  Space const space = in.space;
  forEachLane(lanes, [&](int lane) {
    std::memcpy(quickAccess<sizeof(T)>(m, space, address[lane], lane, true), &s[lane], sizeof(T));
  });
}

// Writes an element to a register that may be wider: signed types extend their sign, others zeros.
inline void putElement(u8* destination, u8 registerBytes, u8 const* from, int elementBytes, bool extendSign) {
  u64 bits = 0;
  std::memcpy(&bits, from, size_t(elementBytes));
  if (extendSign) {
    int const unused = 64 - 8 * elementBytes;
    bits = u64(i64(bits << unused) >> unused);
  }
  std::memcpy(destination, &bits, registerBytes);
}

void loadVector(Machine& m, Instruction const& in, LaneMask lanes) {
  u64 address[kWarpSize];
  m.addresses(in.address, address);
  int const element = sizeOf(in.type);
  u32 const bytes = u32(element) * in.vectorSize;
  if (isCounted(in.space)) m.countRequest(in.space, address, lanes, bytes);
  ListItem const* items = m.list(in);
  forEachLane(lanes, [&](int lane) {
    u8 const* from = m.access(in.space, address[lane], bytes, lane, true, false);
    for (u32 k = 0; k < in.listCount; ++k)
      putElement(m.reg<u8>(items[k].slot) + lane * items[k].bytes, items[k].bytes, from + k * u32(element), element,
                 isSigned(in.type));
  });
  if (in.fences) m.fence();  // acquire
}

void storeVector(Machine& m, Instruction const& in, LaneMask lanes) {
  if (in.fences) m.fence();  // release
  u64 address[kWarpSize];
  m.addresses(in.address, address);
  u32 const element = u32(sizeOf(in.type)), bytes = element * in.vectorSize;
  if (isCounted(in.space)) m.countRequest(in.space, address, lanes, bytes);
  ListItem const* items = m.list(in);
  forEachLane(lanes, [&](int lane) {
    u8* to = m.access(in.space, address[lane], bytes, lane, false, true);
    for (u32 k = 0; k < in.listCount; ++k)
      std::memcpy(to + k * element, m.reg<u8>(items[k].slot) + lane * items[k].bytes, element);
  });
}

// A kernel parameter is the same for all lanes.
void loadKernelParam(Machine& m, Instruction const& in, LaneMask lanes) {
  int const element = sizeOf(in.type);
  u32 const bytes = u32(element) * in.vectorSize;
  u64 const offset = u64(in.address.offset);
  if (offset + bytes > m.kernelParams().size())
    m.fail(Fault::OutOfBounds, "load beyond the kernel's parameters", lowestLane(lanes));
  ListItem const* items = m.list(in);
  for (u32 k = 0; k < in.listCount; ++k)
    forEachLane(lanes, [&](int lane) {
      putElement(m.reg<u8>(items[k].slot) + lane * items[k].bytes, items[k].bytes,
                 m.kernelParams().data() + offset + k * u32(element), element, isSigned(in.type));
    });
}

// cp.async: the copy happens at once. Bytes beyond the source size are zero.
void copyAsync(Machine& m, Instruction const& in, LaneMask lanes) {
  u64 to[kWarpSize], from[kWarpSize];
  m.addresses(in.address, to);
  m.addresses(in.address2, from);
  m.countRequest(Space::Global, from, lanes, in.immediate);
  m.countRequest(Space::Shared, to, lanes, in.immediate);
  forEachLane(lanes, [&](int lane) {
    u32 const wanted = in.src[0] == kNoSlot ? in.immediate : std::min(m.reg<u32>(in.src[0])[lane], in.immediate);
    u8 data[16] = {};
    if (wanted) std::memcpy(data, m.access(Space::Global, from[lane], in.immediate, lane, true, false), wanted);
    std::memcpy(m.access(Space::Shared, to[lane], in.immediate, lane, false, true), data, in.immediate);
  });
}

}  // namespace

Handler selectMemory(Instruction const& in) {
  switch (in.op) {
    case Opcode::LdKernelParam:
      return &loadKernelParam;
    case Opcode::CpAsync:
      return in.immediate == 4 || in.immediate == 8 || in.immediate == 16 ? &copyAsync : nullptr;
    case Opcode::Ld:
    case Opcode::St: {
      bool const isLoad = in.op == Opcode::Ld;
      // For a single register, srcBytes is its width.
      if (in.vectorSize == 1 && in.srcBytes == sizeOf(in.type)) {
        if (in.srcBytes == 4) return isLoad ? &loadScalar<u32> : &storeScalar<u32>;
        if (in.srcBytes == 8) return isLoad ? &loadScalar<u64> : &storeScalar<u64>;
      }
      return isLoad ? &loadVector : &storeVector;
    }
    default:
      return nullptr;
  }
}

}  // namespace ptx
