#pragma once

#include <cstdint>

#include "core/grid_rule.hpp"
#include "core/offset_rule.hpp"
#include "core/views.hpp"

namespace modelwatch::cuda {

/// A grid in device memory, without its key type; plain data, passed to kernels by value.
struct DeviceGrid {
  void const* knots;  // padded, see GridRule
  std::uint32_t const* guide;
  GapRule const* gaps;       // count + 1
  double const* gap_scales;  // of each gap, or nullptr where all are 1
  std::uint64_t first;
  double origin;
  double scale;
  std::uint32_t count;
  std::uint32_t buckets;
  std::int32_t shift;
  std::int32_t steps;
  std::uint32_t lower_tail;  // gaps up to this one, and from upper_tail on, reach to infinity
  std::uint32_t upper_tail;
  Domain domain;

  std::uint32_t slots() const { return 2 * count + 3; }
  template <class Value>
  MW_HD GridRule<Value> rule() const {
    using Key = typename KeyOf<Value>::Key;
    return {static_cast<Key const*>(knots), guide, count, buckets, static_cast<Key>(first), shift, static_cast<Value>(origin), static_cast<Value>(scale), steps};
  }
};

/// Calls f(Value{}) with the type of a domain.
template <class F>
void with_domain(Domain domain, F f) {
  switch (domain) {
    case Domain::float32: return f(float{});
    case Domain::float64: return f(double{});
    case Domain::int64: return f(std::int64_t{});
    case Domain::uint64: return f(std::uint64_t{});
  }
}

}  // namespace modelwatch::cuda
