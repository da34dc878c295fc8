#pragma once
// Memory in pages of 2 MiB where the system has such: a table of a million values is touched in 16,000 places otherwise, each of
// which it must first be given.

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

namespace modelwatch {

/// Asks for large pages behind memory that was not touched yet, where there is enough of it.
inline void ask_for_large_pages([[maybe_unused]] void* memory, [[maybe_unused]] std::size_t bytes) {
#ifdef MADV_HUGEPAGE
  constexpr std::size_t kLeast = std::size_t{1} << 21;
  constexpr std::uintptr_t kPage = 4096;  // a multiple of the system's need not be known: it refuses what is none
  if (bytes < kLeast) return;
  auto const begin = (reinterpret_cast<std::uintptr_t>(memory) + kPage - 1) / kPage * kPage;
  auto const end = (reinterpret_cast<std::uintptr_t>(memory) + bytes) / kPage * kPage;
  // It is a wish: without it everything works, if slower.
  if (end > begin) static_cast<void>(madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE));
#endif
}

/// What leaves memory as it is given where a vector makes values of nothing.
struct LeftAsGiven {
  template <class T>
  void construct(T*) {}
  template <class T, class... From>
  void construct(T* at, From&&... from) {
    std::construct_at(at, static_cast<From&&>(from)...);
  }
};

/// An allocator of such memory.
template <class T>
struct LargePages : LeftAsGiven {
  using value_type = T;
  LargePages() = default;
  template <class U>
  LargePages(LargePages<U> const&) {}

  T* allocate(std::size_t count) {
    T* const memory = std::allocator<T>().allocate(count);
    ask_for_large_pages(memory, count * sizeof(T));
    return memory;
  }
  void deallocate(T* memory, std::size_t count) { std::allocator<T>().deallocate(memory, count); }
  bool operator==(LargePages const&) const { return true; }
};

/// The same, of zeros: what the system gives is zero, and writing that again would touch it twice.
template <class T>
struct ZeroedPages : LeftAsGiven {
  using value_type = T;
  ZeroedPages() = default;
  template <class U>
  ZeroedPages(ZeroedPages<U> const&) {}

  T* allocate(std::size_t count) {
    void* const memory = std::calloc(count, sizeof(T));
    if (memory == nullptr) throw std::bad_alloc();
    ask_for_large_pages(memory, count * sizeof(T));
    return static_cast<T*>(memory);
  }
  void deallocate(T* memory, std::size_t) { std::free(memory); }
  bool operator==(ZeroedPages const&) const { return true; }
};

}  // namespace modelwatch
