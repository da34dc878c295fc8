#include "cuda/backend/arrays.hpp"

#include "cuda/backend/feed.hpp"  // bytes_of

namespace modelwatch::cuda {
namespace {

std::shared_ptr<DeviceArray<std::uint8_t>> room(Session const& session, std::size_t bytes) {
  return std::make_shared<DeviceArray<std::uint8_t>>(bytes, session.stream());
}

}  // namespace

void order_after(Session& session, std::uintptr_t stream) {
  Event reached;
  reached.record(reinterpret_cast<cudaStream_t>(stream));
  reached.hold_back(session.stream());  // which keeps what it waits for when the event goes
}

void order_after_event(Session& session, void* event) {
  check(cudaStreamWaitEvent(session.stream(), static_cast<cudaEvent_t>(event), 0), "wait for the producer's event");
}

int device_of(void const* memory) {
  cudaPointerAttributes found{};
  check(cudaPointerGetAttributes(&found, memory), "tell whose memory it is");
  return found.type == cudaMemoryTypeDevice || found.type == cudaMemoryTypeManaged ? found.device : -1;
}

SharedBytes gather(Session& session, StridedView const& from) {
  auto out = room(session, static_cast<std::size_t>(from.rows) * bytes_of(from.element.storage));
  launch_gather(from, out->data(), session.info().multiprocessors, session.stream());
  return out;
}

SharedBytes convert(Session& session, NumericView const& from, Storage storage, std::string const& whose) {
  auto out = room(session, static_cast<std::size_t>(from.rows) * bytes_of(storage));
  DeviceArray<std::uint32_t> lossy(1, session.stream());
  lossy.zero();
  launch_convert(from, storage, out->data(), lossy.data(), session.info().multiprocessors, session.stream());
  if (lossy.download()[0] != 0) throw InvalidInput(whose);
  return out;
}

SharedBytes pack_mask(Session& session, void const* first, std::int64_t stride, std::int64_t rows) {
  std::int64_t const words = (rows + 31) / 32;
  auto out = room(session, static_cast<std::size_t>(words) * sizeof(std::uint32_t));
  launch_pack_mask(first, stride, rows, reinterpret_cast<std::uint32_t*>(out->data()), session.info().multiprocessors, session.stream());
  return out;
}

std::int64_t null_rows(Session& session, Validity const& validity, std::int64_t rows) {
  if (validity.bits == nullptr) return 0;
  DeviceArray<std::uint64_t> valid(1, session.stream());
  valid.zero();
  launch_count_valid(validity, rows, valid.data(), session.info().multiprocessors, session.stream());
  return rows - static_cast<std::int64_t>(valid.download()[0]);
}

void download(Session& session, void const* from, std::size_t bytes, void* to) {
  if (bytes == 0) return;
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, session.stream()), "copy from the device");
  session.wait();
}

}  // namespace modelwatch::cuda
