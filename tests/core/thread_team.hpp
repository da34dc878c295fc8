#pragma once
// A team of real threads (core/team.hpp), for ThreadSanitizer: what a body shares without a barrier between is a race
// here as on a device.

#include <atomic>
#include <barrier>
#include <cstddef>
#include <thread>
#include <vector>

namespace modelwatch::test {

/// One of several threads.  Atomics are relaxed, as a device's are: they order nothing but themselves.
class ThreadTeam {
 public:
  ThreadTeam(int rank, int size, std::barrier<>& barrier) : rank_(rank), size_(size), barrier_(&barrier) {}

  int rank() const { return rank_; }
  int size() const { return size_; }
  void sync() const { barrier_->arrive_and_wait(); }
  template <class Number>
  void add(Number* at, Number by) const {
    std::atomic_ref{*at}.fetch_add(by, std::memory_order_relaxed);
  }
  template <class Number>
  Number add_before(Number* at, Number by) const {
    return std::atomic_ref{*at}.fetch_add(by, std::memory_order_relaxed);
  }
  template <class Number>
  void add_one(Number* at) const {
    add(at, Number{1});
  }
  template <class Number>
  Number peek(Number const* at) const {
    // There is no atomic_ref of what is const before C++26.
    return std::atomic_ref{*const_cast<Number*>(at)}.load(std::memory_order_relaxed);
  }
  template <class Number>
  void raise(Number* at, Number to) const {
    replace(at, to, [](Number found, Number wanted) { return found < wanted; });
  }
  template <class Number>
  void lower(Number* at, Number to) const {
    replace(at, to, [](Number found, Number wanted) { return wanted < found; });
  }

 private:
  template <class Number, class Wanted>
  void replace(Number* at, Number to, Wanted wanted) const {
    std::atomic_ref own{*at};
    Number found = own.load(std::memory_order_relaxed);
    while (wanted(found, to) && !own.compare_exchange_weak(found, to, std::memory_order_relaxed)) {
    }
  }

  int rank_;
  int size_;
  std::barrier<>* barrier_;
};

/// Runs body(team) on `size` threads at once, each with its own Team of the kind.
template <class Team = ThreadTeam, class Body>
void with_threads(int size, Body const& body) {
  std::barrier<> barrier{size};
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank) threads.emplace_back([&, rank] { body(Team{rank, size, barrier}); });
  for (auto& thread : threads) thread.join();
}

}  // namespace modelwatch::test
