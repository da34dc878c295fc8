#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <barrier>
#include <chrono>
#include <cstdlib>
#include <stdexcept>
#include <thread>

#include "check.hpp"
#include "cpu/thread_pool.hpp"

using namespace modelwatch;
using namespace modelwatch::test;
using cpu::parallel_for;

namespace {

/// How often each task ran.
std::vector<int> times_run(std::int64_t tasks, int threads) {
  std::vector<std::atomic<int>> times(static_cast<std::size_t>(tasks));
  parallel_for(tasks, threads, [&](std::int64_t task) { ++times[static_cast<std::size_t>(task)]; });
  return {times.begin(), times.end()};
}

bool every_task_ran_once(std::int64_t tasks, int threads) {
  return times_run(tasks, threads) == std::vector<int>(static_cast<std::size_t>(tasks), 1);
}

/// What was thrown, as text; "" if nothing was.
template <class Action>
std::string thrown(Action action) {
  try {
    action();
  } catch (std::exception const& error) {
    return error.what();
  }
  return "";
}

/// The variable while this object lives, then what it was.
class Setting {
 public:
  explicit Setting(char const* value) {
    if (char const* const before = std::getenv("MODELWATCH_THREADS")) before_ = before;
    ::setenv("MODELWATCH_THREADS", value, 1);
  }
  ~Setting() { before_.empty() ? ::unsetenv("MODELWATCH_THREADS") : ::setenv("MODELWATCH_THREADS", before_.c_str(), 1); }
  Setting(Setting const&) = delete;
  Setting& operator=(Setting const&) = delete;

 private:
  std::string before_;
};

}  // namespace

TEST("every task runs exactly once whatever the number of threads") {
  for (int const threads : {1, 2, 7})
    for (std::int64_t const tasks : {0, 1, 2, 6, 7, 8, 1000})
      CHECK_ABOUT(every_task_ran_once(tasks, threads), std::to_string(tasks) + " tasks on " + std::to_string(threads) + " threads");
}

TEST("a thousand short calls in a row lose no task") {
  for (int i = 0; i < 1000; ++i) CHECK(every_task_ran_once(3, 2 + i % 3));
}

TEST("a task's exception is rethrown, the rest is dropped, and the next call works") {
  for (int const threads : {1, 2, 7}) {
    std::atomic<int> ran{0};
    CHECK_EQ(thrown([&] {
               parallel_for(100'000, threads, [&](std::int64_t task) {
                 ++ran;
                 if (task == 5) throw std::runtime_error("task 5");
               });
             }),
             std::string("task 5"));
    CHECK(ran < 100'000);
    CHECK(every_task_ran_once(100, threads));
  }
}

TEST("when every task throws, one exception arrives") {
  CHECK_EQ(thrown([] { parallel_for(50, 7, [](std::int64_t) { throw std::runtime_error("always"); }); }), std::string("always"));
  CHECK(every_task_ran_once(50, 7));
}

TEST("a poll that throws stops the work, soon") {
  for (int const threads : {1, 2, 7}) {
    std::atomic<int> ran{0};
    auto const start = std::chrono::steady_clock::now();
    CHECK_EQ(thrown([&] {
               parallel_for(
                   100'000, threads,
                   [&](std::int64_t) {
                     ++ran;
                     std::this_thread::sleep_for(std::chrono::milliseconds(1));
                   },
                   [] { throw Interrupted(); });
             }),
             std::string("interrupted"));
    CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(10));
    CHECK(ran < 100'000);
  }
  CHECK(every_task_ran_once(10, 2));
}

TEST("two threads may use the pool at once") {
  std::atomic<int> wrong{0};
  auto const use = [&] {
    for (int i = 0; i < 200; ++i) wrong += every_task_ran_once(20, 1 + i % 7) ? 0 : 1;
  };
  std::thread other(use);
  use();
  other.join();
  CHECK_EQ(wrong.load(), 0);
}

TEST("a task may itself divide its work") {
  // In a child, so that a deadlock fails this test and not the whole run.
  pid_t const child = ::fork();
  if (child == 0) {
    ::alarm(20);
    std::atomic<int> ran{0};
    std::barrier all_inside(4);
    parallel_for(4, 4, [&](std::int64_t) {
      all_inside.arrive_and_wait();
      parallel_for(4, 4, [&](std::int64_t) { ++ran; });
    });
    ::_exit(ran == 16 ? 0 : 1);
  }
  int status = -1;
  CHECK(::waitpid(child, &status, 0) == child);
  CHECK_EQ(status, 0);
}

TEST("a child after fork has a working pool, and so has its parent") {
  CHECK(every_task_ran_once(50, 3));
  for (int i = 0; i < 5; ++i) {
    pid_t const child = ::fork();
    if (child == 0) {
      ::alarm(20);
      ::_exit(every_task_ran_once(50, 3) && every_task_ran_once(50, 5) ? 0 : 1);
    }
    int status = -1;
    CHECK(::waitpid(child, &status, 0) == child);
    CHECK_EQ(status, 0);
    CHECK(every_task_ran_once(50, 3));
  }
}

TEST("MODELWATCH_THREADS sets the default, and what is not a whole number from 1 to 1024 is refused") {
  {
    Setting const three("3");
    CHECK_EQ(cpu::default_threads(), 3);
  }
  for (char const* const junk : {"0", "-1", "1025", "two", "2x", "2.5", "2 ", "99999999999999999999", "0x4"}) {
    Setting const set(junk);
    CHECK_REFUSED(cpu::default_threads(), "is not a whole number from 1 to 1024");
    CHECK_REFUSED(parallel_for(2, 0, [](std::int64_t) {}), "MODELWATCH_THREADS");
  }
  Setting const empty("");
  CHECK(cpu::default_threads() >= 1);
}
