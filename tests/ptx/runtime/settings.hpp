// What the environment asks of the runtime stand-in, read once.
#pragma once

#include <string>

#include "machine.hpp"

namespace ptx::runtime {

// What the machine pretends to be. Only limits and sizes that programs base decisions on.
struct DeviceModel {
  int major = 12, minor = 0;
  int multiprocessors = 4;  // few, so that grid-stride code is exercised with small inputs
  int threadsPerMultiprocessor = 1536, blocksPerMultiprocessor = 24;
  u64 memoryBytes = u64{8} << 30;
  u64 sharedPerBlock = 48 << 10, sharedOptIn = 99 << 10, sharedPerMultiprocessor = 100 << 10;
};
DeviceModel modelFor(int computeCapability);

struct Settings {
  Options schedule;
  bool lazyStreams = false;
  u32 seed = 0;
  bool quiet = false;
  bool followWrites = true;  // report reads of device memory that nothing was stored in
  bool report = false;
  int devices = 1;
  DeviceModel device;
  std::string coveragePath, countersPath;
  bool countersOfEachLaunch = false;
  static Settings fromEnvironment();
};

u64 fromEnvironment(char const* name, u64 fallback);

}  // namespace ptx::runtime
