#include "cpu/thread_pool.hpp"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/error.hpp"

namespace modelwatch::cpu {
namespace {

constexpr auto kPollEvery = std::chrono::milliseconds(50);
constexpr int kMostThreads = 1024;

thread_local bool is_helper = false;  // this thread belongs to a pool

/// One call of parallel_for.
struct Job {
  Job(std::int64_t tasks_of_job, std::function<void(std::int64_t)> const& task_body) : tasks(tasks_of_job), body(&task_body) {}

  std::int64_t tasks;
  std::function<void(std::int64_t)> const* body;
  std::atomic<std::int64_t> next{0};
  std::atomic<bool> stop{false};
  std::mutex mutex;
  std::condition_variable done;
  int helpers = 0;  // still inside work()
  std::exception_ptr failure;

  void fail(std::exception_ptr error) {
    std::lock_guard lock(mutex);
    if (!failure) failure = std::move(error);
    stop = true;
  }
  void work() {
    while (!stop) {
      std::int64_t const task = next.fetch_add(1);
      if (task >= tasks) return;
      try {
        (*body)(task);
      } catch (...) {
        fail(std::current_exception());
      }
    }
  }
};

class Pool {
 public:
  /// Asks `count` threads for help with a job; starts them the first time they are needed.
  void help(Job& job, int count) {
    std::lock_guard lock(mutex_);
    while (static_cast<int>(threads_.size()) < count) threads_.emplace_back([this] { serve(); });
    job.helpers = count;
    for (int i = 0; i < count; ++i) queue_.push_back(&job);
    wake_.notify_all();
  }

  ~Pool() {
    {
      std::lock_guard lock(mutex_);
      closing_ = true;
    }
    wake_.notify_all();
    for (auto& thread : threads_) thread.join();
  }

 private:
  void serve() {
    // Signals belong to the interpreter's main thread.
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);
    is_helper = true;
    std::unique_lock lock(mutex_);
    for (;;) {
      wake_.wait(lock, [this] { return closing_ || !queue_.empty(); });
      if (closing_) return;
      Job* const job = queue_.back();
      queue_.pop_back();
      lock.unlock();
      job->work();
      {
        std::lock_guard own(job->mutex);
        // Under the job's lock: once the caller sees 0 helpers, the job may be gone.
        if (--job->helpers == 0) job->done.notify_all();
      }
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Job*> queue_;
  std::vector<std::thread> threads_;
  bool closing_ = false;
};

std::atomic<Pool*> shared_pool{nullptr};
std::mutex pool_mutex;

/// After fork the child has no threads but this one: the parent's pool is left behind, untouched, and a new one made.
void forget_pool_in_child() {
  shared_pool = nullptr;
  new (&pool_mutex) std::mutex;
}

Pool& pool() {
  std::lock_guard lock(pool_mutex);
  static bool const registered = pthread_atfork(nullptr, nullptr, forget_pool_in_child) == 0;
  static_cast<void>(registered);
  if (shared_pool == nullptr) shared_pool = new Pool;  // lives until the process ends: joining at exit can deadlock
  return *shared_pool;
}

int affinity_threads() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1u, std::thread::hardware_concurrency());
}

/// cgroup v2 quota in whole CPUs, rounded up; 0 where there is none.
int quota_threads() {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (!(file >> quota >> period) || quota == "max" || period <= 0) return 0;
  return std::max(1, static_cast<int>(std::strtod(quota.c_str(), nullptr) / period + 0.999));
}

}  // namespace

int default_threads() {
  if (char const* const text = std::getenv("MODELWATCH_THREADS"); text != nullptr && *text != '\0') {
    char* end = nullptr;
    long const threads = std::strtol(text, &end, 10);
    if (*end != '\0' || threads < 1 || threads > kMostThreads)
      throw InvalidInput("MODELWATCH_THREADS=" + std::string(text) + " is not a whole number from 1 to 1024.");
    return static_cast<int>(threads);
  }
  int const quota = quota_threads();
  int const threads = quota > 0 ? std::min(quota, affinity_threads()) : affinity_threads();
  return std::min(threads, kMostThreads);
}

void parallel_for(std::int64_t tasks, int threads, std::function<void(std::int64_t)> const& body,
                  std::function<void()> const& poll) {
  if (tasks <= 0) return;
  // A helper that waited for other helpers could wait for itself.
  int const most = is_helper ? 1 : threads > 0 ? threads : default_threads();
  int const wanted = static_cast<int>(std::min<std::int64_t>(most, tasks));
  if (wanted == 1) {
    auto next_poll = std::chrono::steady_clock::now() + kPollEvery;
    for (std::int64_t task = 0; task < tasks; ++task) {
      body(task);
      if (poll && std::chrono::steady_clock::now() >= next_poll) {
        poll();
        next_poll = std::chrono::steady_clock::now() + kPollEvery;
      }
    }
    return;
  }
  Job job(tasks, body);
  pool().help(job, wanted);
  std::unique_lock lock(job.mutex);
  while (!job.done.wait_for(lock, kPollEvery, [&] { return job.helpers == 0; })) {
    if (!poll || job.stop) continue;
    lock.unlock();
    try {
      poll();
    } catch (...) {
      job.fail(std::current_exception());
    }
    lock.lock();
  }
  if (job.failure) std::rethrow_exception(job.failure);
}

}  // namespace modelwatch::cpu
