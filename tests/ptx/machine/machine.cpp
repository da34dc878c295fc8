#include "machine.hpp"

#include <algorithm>
#include <cfenv>
#include <cmath>

namespace ptx {

Machine::Machine(std::unique_ptr<Module> module) : module_(std::move(module)), coverage_(module_->code.size()) {}

void Machine::addresses(Address const& operand, u64* out) {
  u64 const offset = u64(operand.offset);
  if (operand.base == kNoSlot) {
    std::fill_n(out, kWarpSize, offset);
  } else if (operand.baseBytes == 8) {
    u64 const* base = reg<u64>(operand.base);
    for (int lane = 0; lane < kWarpSize; ++lane) out[lane] = base[lane] + offset;
  } else {
    u32 const* base = reg<u32>(operand.base);
    for (int lane = 0; lane < kWarpSize; ++lane) out[lane] = u32(base[lane] + u32(offset));
  }
}

u8* Machine::access(Space space, u64 address, u32 bytes, int lane, bool read, bool write, bool atomic) {
  if (address & (bytes - 1))
    fail(Fault::Misaligned, "misaligned " + std::to_string(bytes) + "-byte access to " + hex(address), lane);
  if (space == Space::Generic) {
    space = spaceOfGeneric(address);
    address &= ~kWindowMask;
  }
  switch (space) {
    case Space::Global:
    case Space::Const: {
      if (u8* host = memory_.find(address, bytes, write)) {
        if (!memory_.follow(address, bytes, read, write))
          fail(Fault::Uninitialised,
               "read of uninitialised global memory at " + hex(address) + " (" + memory_.describe(address) + ")", lane);
        if (globalRaces_) checkGlobalRace(address, bytes, lane, read, write, atomic);
        return host;
      }
      char const* what =
          memory_.find(address, bytes, false) ? "write to read-only memory at " : "global access out of bounds at ";
      fail(Fault::OutOfBounds,
           what + hex(address) + " (" + std::to_string(bytes) + " bytes; " + memory_.describe(address) + ")", lane);
    }
    case Space::Shared: {
      SharedFault fault;
      SharedMemory& shared = *block_->shared;
      address = u32(address);  // the shared window is 32 bits wide
      u8* host = shared.access(address, bytes, read, write, fault);
      if (!host) {
        if (fault == SharedFault::Uninitialised)
          fail(Fault::Uninitialised, "read of uninitialised shared memory at " + hex(address), lane);
        fail(Fault::OutOfBounds, "shared access outside any variable at " + hex(address), lane);
      }
      if (RaceDetector* races = shared.races()) {
        Accessor const by{warp_->id * kWarpSize + u32(lane), block_->epoch, warp_->syncEpoch};
        RaceReport const race = races->access(shared.indexOf(address, bytes), bytes, by, read, write, atomic);
        if (race.found)
          fail(Fault::Race,
               std::string("shared memory race: ") + (write ? "write" : "read") + " at " + hex(address) +
                   " not ordered with the " + (race.otherWrote ? "write" : "read") + " by " +
                   (race.otherThread < 0 ? "several threads" : "thread " + std::to_string(race.otherThread)),
               lane);
      }
      return host;
    }
    case Space::Local:
      address = u32(address);
      if (address + bytes > module_->localBytes)
        fail(Fault::OutOfBounds, "local access out of bounds at " + hex(address), lane);
      return &warp_->local[u64(lane) * module_->localBytes + address];
    case Space::KernelParam:
      address = u32(address);
      if (write || address + bytes > params_.size())
        fail(Fault::OutOfBounds, "bad kernel parameter access at " + hex(address), lane);
      return const_cast<u8*>(params_.data()) + address;
    default:
      fail(Fault::OutOfBounds, "access to an unknown space", lane);
  }
}

void Machine::checkGlobalRace(u64 address, u32 bytes, int lane, bool read, bool write, bool atomic) {
  GlobalAccess const by{.block = block_->index,
                        .thread = warp_->id * kWarpSize + u32(lane),
                        .pc = pc_,
                        .barrierTime = block_->barrierTime,
                        .syncTime = warp_->syncTime,
                        .read = read,
                        .write = write,
                        .strong = atomic || module_->code[pc_].strong};
  auto const race = globalRaces_->access(address, bytes, by, time_);
  if (!race) return;
  std::string text = std::string("global memory race: ") +
                     (atomic  ? "atomic"
                      : write ? "write"
                              : "read") +
                     " at " + hex(address) + " (" + memory_.describe(address) + ") not ordered with the " +
                     (race->otherWrote ? "write" : "read") + " by " + (race->several ? "several threads, last " : "") +
                     "thread " + std::to_string(race->thread) + " of block " + std::to_string(race->block) + ", " +
                     describeInstruction(*module_, race->pc) + ";";
  fail(Fault::Race, text, lane);
}

void Machine::countRequest(Space space, u64 const* addresses, LaneMask lanes, u32 bytes) {
  if (!options_.countTraffic) return;
  if (space == Space::Generic) space = spaceOfGeneric(addresses[lowestLane(lanes)]);
  if (space == Space::Global)
    countGlobal(globalRequest(addresses, lanes, bytes));
  else if (space == Space::Shared)
    countSharedRequest(counters_, addresses, lanes, bytes);
}

void Machine::countGlobal(Traffic const& request) {
  counters_.globalRequests += 1;
  counters_.globalSectors += request.sectors;
  counters_.globalIdealSectors += request.idealSectors;
  coverage_.traffic[pc_].add(request);
  Opcode const op = module_->code[pc_].op;
  if (op == Opcode::Ld || op == Opcode::CpAsync) {
    counters_.loadRequests += 1;
    counters_.loadSectors += request.sectors;
    counters_.loadIdealSectors += request.idealSectors;
    counters_.loadBytes += request.bytes;
  } else if (op == Opcode::St) {
    counters_.storeBytes += request.bytes;
  }
}

u32 Machine::random() {
  randomState_ ^= randomState_ << 13;
  randomState_ ^= randomState_ >> 7;
  randomState_ ^= randomState_ << 17;
  return u32(randomState_ >> 20);
}

// Moves an approximate result by up to the configured number of units in the last place.
double Machine::noisy(double value, bool isDouble) {
  u32 const ulps = options_.approximationNoise;
  if (!ulps || !std::isfinite(value) || value == 0) return value;
  i32 steps = i32(random() % (2 * ulps + 1)) - i32(ulps);
  double const toward = steps > 0 ? INFINITY : -INFINITY;
  for (; steps; steps += steps > 0 ? -1 : 1)
    value = isDouble ? std::nextafter(value, toward) : double(std::nextafterf(float(value), float(toward)));
  return value;
}

u32 Machine::laneOrder(std::array<u8, kWarpSize>& order, LaneMask lanes) {
  u32 count = 0;
  forEachLane(lanes, [&](int lane) { order[count++] = u8(lane); });
  if (options_.randomSchedule)
    for (u32 i = count; i > 1; --i) std::swap(order[i - 1], order[random() % i]);
  else if (options_.reverseWarps)
    std::reverse(order.begin(), order.begin() + count);
  return count;
}

void Machine::warn(std::string const& message) {
  warnings_.insert(message + " at " + describeInstruction(*module_, pc_));
}

void Machine::fail(Fault fault, std::string const& message, int lane) {
  std::fesetround(FE_TONEAREST);  // a handler may be unwinding out of a directed-rounding section
  std::string where = " at " + describeInstruction(*module_, pc_);
  if (block_) {
    where += " in " + kernel_->name + ", block (" + std::to_string(block_->x) + "," + std::to_string(block_->y) + "," +
             std::to_string(block_->z) + ")";
    if (warp_) {
      where += " warp " + std::to_string(warp_->id);
      if (lane >= 0) where += " lane " + std::to_string(lane);
    }
  }
  throw Error(fault, message + where);
}

u8* Machine::moduleVariable(std::string const& name, u64& size) {
  auto it = module_->variables.find(name);
  if (it == module_->variables.end()) return nullptr;
  Variable const& v = it->second;
  if (v.space != Space::Global && v.space != Space::Const) return nullptr;
  size = v.size;
  return &module_->globals[v.offset - module_->globalBase];
}

}  // namespace ptx
