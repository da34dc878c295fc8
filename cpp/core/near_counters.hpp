#pragma once
// Counting into more counters than fit the memory of a team.

#include <cstdint>

#include "core/macros.hpp"

namespace modelwatch {

/// A part of the counters near by: those that a team names before it counts, the highest number where several would take
/// one place.  Names stay as they are while it counts, so nobody fights for a place, and what is named after a first look
/// at the rows is nearly all that is met often.
template <std::uint32_t kPlaces>
struct NearCounters {
  std::uint32_t names[kPlaces];  // the counter's number plus 1; 0: none counts here
  std::uint32_t counts[kPlaces];

  /// The team syncs after each of these.
  template <class Team>
  MW_HD void clear(Team const& team) {
    for (std::uint32_t i = static_cast<std::uint32_t>(team.rank()); i < kPlaces; i += static_cast<std::uint32_t>(team.size()))
      names[i] = counts[i] = 0;
  }
  template <class Team>
  MW_HD void name(Team const& team, std::uint32_t number) {
    team.raise(&names[number % kPlaces], number + 1);
  }
  /// Adds one: here where the counter is named, else to far[number].  Fewer than 2^32 times between a clear and a flush.
  template <class Team>
  MW_HD void add_one(Team const& team, std::uint32_t number, std::uint64_t* far) {
    if (names[number % kPlaces] == number + 1)
      team.add_one(&counts[number % kPlaces]);
    else
      team.add_one(&far[number]);
  }
  /// Adds what is here to far.
  template <class Team>
  MW_HD void flush(Team const& team, std::uint64_t* far) {
    for (std::uint32_t i = static_cast<std::uint32_t>(team.rank()); i < kPlaces; i += static_cast<std::uint32_t>(team.size()))
      if (counts[i] != 0) team.add(&far[names[i] - 1], std::uint64_t{counts[i]});
  }
};

}  // namespace modelwatch
