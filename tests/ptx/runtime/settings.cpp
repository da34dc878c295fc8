#include "settings.hpp"

#include <algorithm>
#include <cstdlib>

namespace ptx::runtime {
namespace {

std::string textFromEnvironment(char const* name) {
  char const* text = std::getenv(name);
  return text ? text : "";
}

}  // namespace

u64 fromEnvironment(char const* name, u64 fallback) {
  char const* text = std::getenv(name);
  return text && *text ? std::strtoull(text, nullptr, 0) : fallback;
}

DeviceModel modelFor(int cc) {
  DeviceModel d;
  d.major = cc / 10;
  d.minor = cc % 10;
  auto set = [&](int threads, int blocks, u64 optInKiB, u64 totalKiB) {
    d.threadsPerMultiprocessor = threads;
    d.blocksPerMultiprocessor = blocks;
    d.sharedOptIn = optInKiB << 10;
    d.sharedPerMultiprocessor = totalKiB << 10;
  };
  switch (cc) {
    case 75:
      set(1024, 16, 64, 64);
      break;
    case 80:
      set(2048, 32, 163, 164);
      break;
    case 86:
      set(1536, 16, 99, 100);
      break;
    case 89:
      set(1536, 24, 99, 100);
      break;
    case 90:
    case 100:
    case 103:
      set(2048, 32, 227, 228);
      break;
    default:
      break;  // 12.x
  }
  return d;
}

Settings Settings::fromEnvironment() {
  using ptx::runtime::fromEnvironment;
  Settings s;
  s.seed = u32(fromEnvironment("PTX_SEED", 0));
  s.schedule.seed = s.seed;
  s.schedule.randomSchedule = s.seed != 0;
  s.schedule.residentBlocks = u32(fromEnvironment("PTX_RESIDENT_BLOCKS", s.seed ? 3 : 1));
  u64 const races = fromEnvironment("PTX_RACES", 1);
  s.schedule.detectRaces = races > 0;
  s.schedule.detectGlobalRaces = races > 1;
  s.schedule.approximationNoise = u32(fromEnvironment("PTX_NOISE", 0));
  s.schedule.maxWarpInstructions = fromEnvironment("PTX_LIMIT", 0);
  // Blocks start in order unless asked otherwise: library code relies on hardware doing so.
  std::string const order = textFromEnvironment("PTX_BLOCK_ORDER");
  if (order == "reversed") s.schedule.blockOrder = BlockOrder::Reversed;
  if (order == "random") s.schedule.blockOrder = BlockOrder::Random;
  s.lazyStreams = textFromEnvironment("PTX_STREAMS") == "lazy";
  s.quiet = fromEnvironment("PTX_QUIET", 0);
  s.followWrites = fromEnvironment("PTX_UNINITIALISED", 1);
  s.report = fromEnvironment("PTX_REPORT", 0) == 1;
  s.devices = int(std::clamp<u64>(fromEnvironment("PTX_DEVICES", 1), 0, 16));
  s.device = modelFor(int(fromEnvironment("PTX_DEVICE", 120)));
  s.device.memoryBytes = fromEnvironment("PTX_MEMORY", s.device.memoryBytes);
  s.coveragePath = textFromEnvironment("PTX_COVERAGE");
  s.countersPath = textFromEnvironment("PTX_COUNTERS");
  s.countersOfEachLaunch = fromEnvironment("PTX_COUNTERS_EACH", 0);
  return s;
}

}  // namespace ptx::runtime
