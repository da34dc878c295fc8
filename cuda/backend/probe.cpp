#include "cuda/backend/probe.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <vector>

#include "core/error.hpp"
#include "cuda/kernels/probe.hpp"

namespace modelwatch::cuda {
namespace {

/// The median of the seconds that f takes until the stream has nothing left to do.
template <class F>
double median_seconds(Session& session, int turns, F f) {
  std::vector<double> seconds;
  f();  // once before: first touches, and the kernel's code
  session.wait();
  for (int turn = 0; turn < turns; ++turn) {
    auto const begin = std::chrono::steady_clock::now();
    f();
    session.wait();
    seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  std::nth_element(seconds.begin(), seconds.begin() + turns / 2, seconds.end());
  return seconds[static_cast<std::size_t>(turns / 2)];
}

}  // namespace

Bandwidth measure_bandwidth(Session& session, std::size_t bytes, int turns) {
  if (bytes < 16 || turns < 1) throw InvalidInput("bandwidth is measured over 16 bytes or more, once or more.");
  bytes = bytes / 16 * 16;
  std::vector<std::uint8_t> pageable(bytes, 1);
  PinnedArray<std::uint8_t> pinned(bytes);
  DeviceArray<std::uint8_t> device(bytes, session.stream());
  DeviceArray<std::uint32_t> found(1, session.stream());
  double const size = static_cast<double>(bytes);
  auto const stage = median_seconds(session, turns, [&] { std::memcpy(pinned.data(), pageable.data(), bytes); });
  auto const copy = median_seconds(session, turns, [&] { device.upload(pinned.data(), bytes); });
  auto const read = median_seconds(session, turns, [&] {
    launch_read(device.data(), static_cast<std::int64_t>(bytes / 16), found.data(), session.info().multiprocessors, session.stream());
  });
  return {size / read, size / copy, size / stage};
}

}  // namespace modelwatch::cuda
