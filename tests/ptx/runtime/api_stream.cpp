// Streams, events and host functions.
#include <chrono>

#include "state.hpp"

using namespace ptx;
using namespace ptx::runtime;

namespace {

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

Event* eventOf(State& state, cudaEvent_t handle) {
  Event* event = reinterpret_cast<Event*>(handle);
  return state.isEvent(event) ? event : nullptr;
}

// Calls body(state, stream), or fails for a handle that is not a stream.
template <class F>
cudaError_t withStream(cudaStream_t handle, F&& body) {
  return api([&](State& s) {
    Stream* stream = s.stream(handle);
    if (!stream) return cudaErrorInvalidResourceHandle;
    cudaError_t const failure = stream->device->failure();
    return failure == cudaSuccess ? body(s, stream) : failure;
  });
}
template <class F>
cudaError_t withEvent(cudaEvent_t handle, F&& body) {
  return api([&](State& s) {
    Event* event = eventOf(s, handle);
    return event ? body(s, event) : cudaErrorInvalidResourceHandle;
  });
}

}  // namespace

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  return api([&](State& s) {
    if (!stream || (flags & ~unsigned(cudaStreamNonBlocking))) return cudaErrorInvalidValue;
    *stream = reinterpret_cast<cudaStream_t>(s.createStream(flags & cudaStreamNonBlocking));
    return cudaSuccess;
  });
}
cudaError_t cudaStreamCreate(cudaStream_t* stream) { return cudaStreamCreateWithFlags(stream, cudaStreamDefault); }
cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int) {
  return cudaStreamCreateWithFlags(stream, flags);
}
cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  return api([&](State&) {
    *least = 0;
    *greatest = 0;
    return cudaSuccess;
  });
}
cudaError_t cudaStreamDestroy(cudaStream_t handle) {
  return releasing([&](State& s) {
    Stream* stream = s.stream(handle);
    return stream && s.destroyStream(stream) ? cudaSuccess : cudaErrorInvalidResourceHandle;
  });
}
cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
  return withStream(handle, [](State& s, Stream* stream) {
    s.drain(stream);
    return cudaSuccess;
  });
}
cudaError_t cudaStreamQuery(cudaStream_t handle) {
  // Asking makes progress, so that polling loops end.
  return withStream(handle,
                    [](State& s, Stream* stream) { return s.runOne(stream) ? cudaErrorNotReady : cudaSuccess; });
}
cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t eventHandle, unsigned) {
  return withStream(handle, [&](State& s, Stream* stream) {
    Event* event = eventOf(s, eventHandle);
    if (!event) return cudaErrorInvalidResourceHandle;
    s.enqueue(stream, {nullptr, event, event->recorded});
    return cudaSuccess;
  });
}
cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus* status) {
  return withStream(handle, [&](State&, Stream*) {
    *status = cudaStreamCaptureStatusNone;
    return cudaSuccess;
  });
}
cudaError_t cudaStreamGetDevice(cudaStream_t handle, int* device) {
  return withStream(handle, [&](State&, Stream* stream) {
    *device = stream->device->number;
    return cudaSuccess;
  });
}
cudaError_t cudaStreamGetFlags(cudaStream_t handle, unsigned* flags) {
  return withStream(handle, [&](State&, Stream* stream) {
    *flags = stream->nonBlocking ? cudaStreamNonBlocking : cudaStreamDefault;
    return cudaSuccess;
  });
}
cudaError_t cudaStreamGetPriority(cudaStream_t handle, int* priority) {
  return withStream(handle, [&](State&, Stream*) {
    *priority = 0;
    return cudaSuccess;
  });
}
cudaError_t cudaStreamGetId(cudaStream_t handle, unsigned long long* id) {
  return withStream(handle, [&](State&, Stream* stream) {
    *id = stream->id;
    return cudaSuccess;
  });
}
cudaError_t cudaStreamAddCallback(cudaStream_t handle, cudaStreamCallback_t function, void* data, unsigned) {
  return withStream(handle, [&](State& s, Stream* stream) {
    s.enqueue(stream, {[function, data, handle] { function(handle, cudaSuccess, data); }});
    return cudaSuccess;
  });
}
cudaError_t cudaLaunchHostFunc(cudaStream_t handle, cudaHostFn_t function, void* data) {
  return withStream(handle, [&](State& s, Stream* stream) {
    s.enqueue(stream, {[function, data] { function(data); }});
    return cudaSuccess;
  });
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  return api([&](State& s) {
    if (!event) return cudaErrorInvalidValue;
    *event = reinterpret_cast<cudaEvent_t>(s.createEvent(!(flags & cudaEventDisableTiming)));
    return cudaSuccess;
  });
}
cudaError_t cudaEventCreate(cudaEvent_t* event) { return cudaEventCreateWithFlags(event, cudaEventDefault); }
cudaError_t cudaEventDestroy(cudaEvent_t handle) {
  return releasing([&](State& s) {
    Event* event = eventOf(s, handle);
    return event && s.destroyEvent(event) ? cudaSuccess : cudaErrorInvalidResourceHandle;
  });
}
cudaError_t cudaEventRecord(cudaEvent_t handle, cudaStream_t streamHandle) {
  return withEvent(handle, [&](State& s, Event* event) {
    Stream* stream = s.stream(streamHandle);
    if (!stream || stream->device != event->device) return cudaErrorInvalidResourceHandle;
    u64 const record = ++event->recorded;
    event->stream = stream;
    s.enqueue(stream, {[&s, event, record] {
                if (!s.isEvent(event)) return;
                event->completed = record;
                event->seconds = now();
              }});
    return cudaSuccess;
  });
}
cudaError_t cudaEventRecordWithFlags(cudaEvent_t event, cudaStream_t stream, unsigned) {
  return cudaEventRecord(event, stream);
}
cudaError_t cudaEventSynchronize(cudaEvent_t handle) {
  return withEvent(handle, [](State& s, Event* event) {
    s.complete(event, event->recorded);
    return cudaSuccess;
  });
}
cudaError_t cudaEventQuery(cudaEvent_t handle) {
  return withEvent(handle, [](State& s, Event* event) {
    if (event->completed == event->recorded) return cudaSuccess;
    if (event->stream) s.runOne(event->stream);
    return cudaErrorNotReady;
  });
}
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  return api([&](State& s) {
    Event *from = eventOf(s, start), *to = eventOf(s, end);
    if (!from || !to || !from->timing || !to->timing || !from->recorded || !to->recorded)
      return cudaErrorInvalidResourceHandle;
    if (from->completed != from->recorded || to->completed != to->recorded) return cudaErrorNotReady;
    *milliseconds = float(1e3 * (to->seconds - from->seconds));  // of the host: means nothing about a device
    return cudaSuccess;
  });
}
