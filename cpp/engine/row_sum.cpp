#include "engine/row_sum.hpp"

#include <algorithm>
#include <bit>
#include <functional>
#include <limits>
#include <type_traits>
#include <utility>

#include "core/error.hpp"

namespace modelwatch {
namespace {

/// Whether no two groups are added to the same one, as far as one look tells: those of a log's files keep their order.
bool increasing(std::uint32_t const* to, std::size_t groups) { return std::adjacent_find(to, to + groups, std::greater_equal<>{}) == to + groups; }

void check_targets(std::uint32_t const* to, std::size_t count, std::size_t groups) {
  if (count != 0 && *std::max_element(to, to + count) >= groups) throw InvalidInput("a group leads out of the sum.");
}

/// Calls f with an empty vector of the narrowest of the types of a variant that holds `most`.
template <class... Vectors, class F>
void with_narrowest(std::variant<Vectors...> const&, std::uint64_t most, F f) {
  bool done = false;
  auto const tried = [&]<class Vector>(Vector vector) {
    if (!done && most <= std::numeric_limits<typename Vector::value_type>::max()) {
      done = true;
      f(std::move(vector));
    }
  };
  (tried(Vectors{}), ...);
}

}  // namespace

std::size_t RowSum::bytes() const {
  return std::visit([](auto const& counters) { return counters.size() * sizeof(counters[0]); }, counters_);
}

/// Widens rows to so many counters, and counters where a sum can pass what they hold: each gets at most `most` more, or
/// `terms` times as much where groups are not apart.
void RowSum::make_room(std::uint32_t width, std::uint64_t most, bool apart, std::size_t terms) {
  std::uint64_t const times = apart ? 1 : std::max<std::uint64_t>(terms, 1);
  constexpr std::uint64_t kAll = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t const more = most > kAll / times ? kAll : most * times;
  bound_ = more > kAll - bound_ ? kAll : bound_ + more;
  width = std::max(width, width_);
  std::size_t const bytes = bound_ <= 0xffffu ? 2 : bound_ <= 0xffffffffu ? 4 : 8;
  if (width == width_ && std::visit([&](auto const& counters) { return sizeof(counters[0]) >= bytes; }, counters_)) return;
  auto const old = std::exchange(counters_, {});
  with_narrowest(counters_, bound_, [&](auto wider) {
    wider.resize(groups_ * width, 0);
    std::visit([&](auto const& counters) {
      for (std::size_t g = 0; width_ != 0 && g < groups_; ++g)
        std::transform(counters.data() + g * width_, counters.data() + (g + 1) * width_, wider.data() + g * width,
                       [](auto count) { return static_cast<typename decltype(wider)::value_type>(count); });
    }, old);
    counters_ = std::move(wider);
  });
  width_ = width;
}

void RowSum::add(SparseView const& table) {
  check_targets(table.to, table.groups, groups_);
  std::size_t const first = table.groups == 0 ? 0 : static_cast<std::size_t>(table.begin[0]);
  std::size_t const end = table.groups == 0 ? 0 : static_cast<std::size_t>(table.begin[table.groups]);
  if (first == end) return;
  std::uint64_t last = 0;
  std::uint64_t bits = 0;  // of all values
  bool none = false;
  with_elements(table.index, [&](auto const* index) { last = *std::max_element(index + first, index + end); });
  with_elements(table.value, [&](auto const* value) {
    auto all = value[first];
    for (std::size_t i = first; i < end; ++i) {
      all = static_cast<decltype(all)>(all | value[i]);
      none |= value[i] == 0;
    }
    bits = all;
  });
  if (last >= kMostWidth) throw InvalidInput("an entry has too large an index for a sum of this kind.");
  if (none) throw InvalidInput("an entry of a table is 0.");
  make_room(static_cast<std::uint32_t>(last) + 1, std::bit_width(bits) == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << std::bit_width(bits)) - 1,
            increasing(table.to, table.groups), table.groups);
  std::visit([&](auto& counters) {
    with_elements(table.index, [&](auto const* index) {
      with_elements(table.value, [&](auto const* value) {
        using Counter = std::remove_reference_t<decltype(counters[0])>;
        for (std::size_t g = 0; g < table.groups; ++g) {
          Counter* const row = counters.data() + std::size_t{table.to[g]} * width_;
          for (std::int64_t i = table.begin[g]; i < table.begin[g + 1]; ++i) row[index[i]] = static_cast<Counter>(row[index[i]] + value[i]);
        }
      });
    });
  }, counters_);
}

void RowSum::add(RowSum const& other, std::uint32_t const* to) {
  check_targets(to, other.groups_, groups_);
  if (other.width_ == 0) return;
  make_room(other.width_, other.bound_, increasing(to, other.groups_), other.groups_);
  std::visit([&](auto& counters) {
    std::visit([&](auto const& more) {
      using Counter = std::remove_reference_t<decltype(counters[0])>;
      for (std::size_t g = 0; g < other.groups_; ++g) {
        Counter* const row = counters.data() + std::size_t{to[g]} * width_;
        for (std::uint32_t i = 0; i < other.width_; ++i) row[i] = static_cast<Counter>(row[i] + more[g * other.width_ + i]);
      }
    }, other.counters_);
  }, counters_);
}

RowSum::Rows RowSum::take() {
  Rows out;
  out.begin.assign(groups_ + 1, 0);
  std::uint32_t const width = std::exchange(width_, 0);
  auto const taken = std::exchange(counters_, {});
  bound_ = 0;
  std::visit([&](auto const& counters) {
    std::uint64_t bits = 0;
    std::size_t entries = 0;
    for (std::size_t g = 0; g < groups_; ++g) {
      auto const* const row = counters.data() + g * width;
      std::uint32_t used = 0;
      auto all = std::decay_t<decltype(row[0])>{0};
      for (std::uint32_t i = 0; i < width; ++i) {
        used += row[i] != 0 ? 1 : 0;
        all = static_cast<decltype(all)>(all | row[i]);
      }
      entries += used;
      bits |= all;
      out.begin[g + 1] = static_cast<std::int64_t>(entries);
    }
    // Some group has the last index, since rows are no wider than the entries need.
    with_narrowest(out.index, width == 0 ? 0 : width - 1, [&](auto index) {
      with_narrowest(out.value, bits, [&](auto value) {
        // All places are written, and the next takes the place of one that is 0: there is one more than entries.
        index.resize(entries + 1);
        value.resize(entries + 1);
        std::size_t used = 0;
        for (std::size_t g = 0; g < groups_; ++g) {
          auto const* const row = counters.data() + g * width;
          for (std::uint32_t i = 0; i < width; ++i) {
            index[used] = static_cast<typename decltype(index)::value_type>(i);
            value[used] = static_cast<typename decltype(value)::value_type>(row[i]);
            used += row[i] != 0 ? 1 : 0;
          }
        }
        index.resize(entries);
        value.resize(entries);
        out.index = std::move(index);
        out.value = std::move(value);
      });
    });
  }, taken);
  return out;
}

}  // namespace modelwatch
