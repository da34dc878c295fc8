#pragma once

#include <cstdint>
#include <functional>

namespace modelwatch::cpu {

/// Threads this process may use: MODELWATCH_THREADS, else the CPUs of its affinity mask and cgroup quota.
/// Throws InvalidInput if MODELWATCH_THREADS is not a whole number from 1 to 1024.
int default_threads();

/// Runs body(0) ... body(tasks - 1), each once, on at most `threads` threads (0: default_threads()).
/// Which thread runs a task is not fixed, so a task must write only what is its own: then results do not depend on
/// the number of threads.  The first exception of a task is rethrown after the others have stopped.
/// Called from a task, it runs its own tasks on the task's thread.
/// `poll` is called by the calling thread about every 50 ms; if it throws, no new task begins.
void parallel_for(std::int64_t tasks, int threads, std::function<void(std::int64_t)> const& body,
                  std::function<void()> const& poll = {});

}  // namespace modelwatch::cpu
