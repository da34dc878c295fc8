#pragma once
// Structures by which other libraries hand on arrays of a device, fixed by their specifications:
// https://dmlc.github.io/dlpack/latest/c_api.html and https://arrow.apache.org/docs/format/CDeviceDataInterface.html.

#include <cstdint>

#include "engine/arrow_abi.hpp"

namespace modelwatch::cuda::binding {

inline constexpr std::int32_t kDlCuda = 2;
inline constexpr std::int32_t kDlCudaManaged = 13;
inline constexpr std::uint8_t kDlInt = 0;
inline constexpr std::uint8_t kDlUnsigned = 1;
inline constexpr std::uint8_t kDlFloat = 2;
inline constexpr std::uint8_t kDlBfloat = 4;

struct DlTensor {
  void* data;
  std::int32_t device_type;
  std::int32_t device_id;
  std::int32_t dimensions;
  std::uint8_t code;
  std::uint8_t bits;
  std::uint16_t lanes;
  std::int64_t* shape;
  std::int64_t* strides;  // in items; nullptr: in C's order
  std::uint64_t byte_offset;
};

struct DlManaged {
  DlTensor tensor;
  void* context;
  void (*deleter)(DlManaged*);
};

struct DlManagedVersioned {
  std::uint32_t major;
  std::uint32_t minor;
  void* context;
  void (*deleter)(DlManagedVersioned*);
  std::uint64_t flags;
  DlTensor tensor;
};

inline constexpr std::int32_t kArrowCuda = 2;
inline constexpr std::int32_t kArrowCudaManaged = 13;

struct ArrowDeviceArray {
  ArrowArray array;
  std::int64_t device_id;
  std::int32_t device_type;
  void* sync_event;
  std::int64_t reserved[3];
};

}  // namespace modelwatch::cuda::binding
