#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace modelwatch::cuda {

struct DeviceInfo {
  int index;
  std::string name;
  int major;  // compute capability
  int minor;
  int multiprocessors;
  std::size_t memory;                // bytes
  std::size_t shared_memory_a_block; // bytes a block may have when it asks
  int l2_bytes;
};

/// Why no device can be used, as a sentence; empty where one can.  Never throws, and leaves no error behind.
std::string unavailable_reason();

/// How many devices there are; 0 where none can be used.
int device_count();

/// Throws DeviceError where there is no such device.
DeviceInfo device_info(int index);

/// Makes a device the calling thread's, and gives it back the one it had.
class DeviceScope {
 public:
  explicit DeviceScope(int index);
  ~DeviceScope();
  DeviceScope(DeviceScope const&) = delete;
  DeviceScope& operator=(DeviceScope const&) = delete;

 private:
  int before_ = 0;
};

}  // namespace modelwatch::cuda
