#pragma once
// The obvious loops.  Everything else is tested against them, so they are written to be believed on sight:
// no keys, no guide tables, no tiles that share work, values compared as values.

#include <cmath>
#include <cstdint>
#include <optional>
#include <vector>

#include "core/moments.hpp"  // struct Moments, kLanes
#include "core/views.hpp"

namespace modelwatch::reference {

/// A column as a list: nothing where the row is null.
template <class Value>
using Rows = std::vector<std::optional<Value>>;

/// Cell of x among sorted knots: 2k below knot k, 2k+1 on it.
template <class Value>
std::uint32_t cell(Value x, std::vector<Value> const& knots) {
  std::uint32_t k = 0;
  while (k < knots.size() && knots[k] < x) ++k;
  return k < knots.size() && knots[k] == x ? 2 * k + 1 : 2 * k;
}

/// Counts per cell, then NaN, then null.
template <class Value>
std::vector<std::uint64_t> count_cells(Rows<Value> const& rows, std::vector<Value> const& knots) {
  std::vector<std::uint64_t> counts(2 * knots.size() + 3, 0);
  for (auto const& x : rows) {
    if (!x)
      ++counts[2 * knots.size() + 2];
    else if (*x != *x)
      ++counts[2 * knots.size() + 1];
    else
      ++counts[cell(*x, knots)];
  }
  return counts;
}

/// DESIGN 3.5, word for word: blocks of 1,024 rows, row i to lane i mod 16, lanes added 8-4-2-1, two passes in a
/// block, blocks folded in order.  Infinities and missing rows take no part.
template <class Value>
Moments moments(Rows<Value> const& rows, Value pivot) {
  Moments total{};
  for (std::size_t begin = 0; begin < rows.size(); begin += kTileRows) {
    std::size_t const end = begin + kTileRows < rows.size() ? begin + kTileRows : rows.size();
    auto const usable = [&](std::size_t i) { return rows[i] && std::isfinite(static_cast<double>(*rows[i])); };
    auto const number = [&](std::size_t i) {
      if constexpr (std::is_integral_v<Value>)
        return static_cast<double>(static_cast<__int128>(*rows[i]) - static_cast<__int128>(pivot));
      else
        return static_cast<double>(*rows[i]);
    };
    auto const folded = [&](auto term) {
      double lanes[kLanes] = {};
      for (std::size_t i = begin; i < end; ++i)
        if (usable(i)) lanes[(i - begin) % kLanes] += term(number(i));
      for (int half = kLanes / 2; half != 0; half /= 2)
        for (int lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
      return lanes[0];
    };
    Moments block{};
    for (std::size_t i = begin; i < end; ++i) block.count += usable(i) ? 1 : 0;
    if (block.count == 0) continue;
    double const n = static_cast<double>(block.count);
    block.mean = folded([](double x) { return x; }) / n;
    double const rest = folded([&](double x) { return x - block.mean; });
    block.m2 = folded([&](double x) { return (x - block.mean) * (x - block.mean); }) - rest * rest / n;
    block.m3 = folded([&](double x) { return (x - block.mean) * (x - block.mean) * (x - block.mean); });
    block.m4 = folded([&](double x) { double const d2 = (x - block.mean) * (x - block.mean); return d2 * d2; });
    total.merge(block);
  }
  return total;
}

}  // namespace modelwatch::reference
