#pragma once
// Counts the tiles of one categorical column into every counter set, by the places of its values.

#include <cstdint>

#include "core/macros.hpp"
#include "core/tile_load.hpp"
#include "core/tile_profile.hpp"

namespace modelwatch {

/// One counter set of one categorical column.  Null has place 0.
struct CodeSet {
  std::uint64_t* const* slabs;  // of each group that a row of the chunk is in: counts
  std::uint32_t const* map;     // place -> slot of the set's slabs; nullptr: the same
  std::uint32_t slots;
  std::uint32_t counters;       // place of counters for all groups of the chunk in the team's memory, or kNotThere
  FarCounters far;              // where these do not fit
};

struct CodeColumn {
  NumericView codes;            // of the chunk
  std::uint32_t const* places;  // of each code; nullptr: codes are places
  CodeSet const* sets;
  std::uint32_t* seen;          // of each place: whether a row that is counted has it
  std::uint32_t zeroed;         // words of the team's memory that begin as zero
};

/// A code as it is stored; valid codes are not negative.
MW_HD std::uint32_t code_of_row(NumericView const& codes, std::int64_t row) {
  switch (codes.storage) {
    case Storage::int8: return static_cast<std::uint32_t>(static_cast<std::int8_t const*>(codes.values)[row]);
    case Storage::uint8: return static_cast<std::uint8_t const*>(codes.values)[row];
    case Storage::int16: return static_cast<std::uint32_t>(static_cast<std::int16_t const*>(codes.values)[row]);
    case Storage::uint16: return static_cast<std::uint16_t const*>(codes.values)[row];
    case Storage::int32:
    case Storage::uint32: return static_cast<std::uint32_t const*>(codes.values)[row];
    default: return static_cast<std::uint32_t>(static_cast<std::uint64_t const*>(codes.values)[row]);
  }
}

/// Counts tiles [from, to) of a column.  valid: kTileWords words of the team's memory; own: which of the teams that count
/// the column this is.
template <class Team>
MW_HD void count_codes(Team const& team, CodeColumn const& column, ProfileChunk const& chunk, std::int64_t from, std::int64_t to,
                       std::uint32_t* valid, std::uint32_t* memory, std::uint32_t own) {
  for (auto w = static_cast<std::uint32_t>(team.rank()); w < column.zeroed; w += static_cast<std::uint32_t>(team.size())) memory[w] = 0;
  team.sync();
  for (std::int64_t t = from; t < to; ++t) {
    bool wanted = false;
    for (int s = 0; s < chunk.set_count; ++s) wanted |= chunk.sets[s].of_tile[t] != kNoGroup;
    if (!wanted) continue;
    std::int64_t const begin = t * kTileRows;
    std::int64_t const left = chunk.rows - begin;
    int const rows = static_cast<int>(left < kTileRows ? left : kTileRows);
    load_validity(team, column.codes.validity, begin, rows, valid);
    team.sync();
    for (int i = team.rank(); i < rows; i += team.size()) {
      std::uint32_t place = 0;
      if (is_valid(valid, i)) {
        std::uint32_t const code = code_of_row(column.codes, begin + i);
        place = column.places == nullptr ? code : column.places[code];
      }
      raise_seldom(team, &column.seen[place], std::uint32_t{1});
      for (int s = 0; s < chunk.set_count; ++s) {
        ProfileGroups const& groups = chunk.sets[s];
        std::int32_t group = groups.of_tile[t];
        if (group == kMixedTile) group = groups.of_row[begin + i];
        if (group < 0) continue;
        CodeSet const& set = column.sets[s];
        std::uint32_t const slot = set.map == nullptr ? place : set.map[place];
        if (set.counters != kNotThere)
          team.add_one(&memory[set.counters + (static_cast<std::uint32_t>(group) - groups.first_group) * set.slots + slot]);
        else if (set.far.at != nullptr)
          team.add_one(&set.far.copy(own)[(static_cast<std::uint32_t>(group) - groups.first_group) * set.slots + slot]);
        else if (chunk.weights == nullptr)
          team.add_one(&set.slabs[group][slot]);
        else
          team.add(&set.slabs[group][slot], std::uint64_t{chunk.weights[begin + i]});
      }
    }
    team.sync();  // before the validity is loaded again
  }
  for (int s = 0; s < chunk.set_count; ++s) {
    CodeSet const& set = column.sets[s];
    if (set.counters == kNotThere) continue;
    std::uint32_t const counters = chunk.sets[s].groups * set.slots;
    for (auto c = static_cast<std::uint32_t>(team.rank()); c < counters; c += static_cast<std::uint32_t>(team.size()))
      if (std::uint32_t const times = memory[set.counters + c]; times != 0)
        team.add(&set.slabs[chunk.sets[s].first_group + c / set.slots][c % set.slots], std::uint64_t{times});
  }
}

}  // namespace modelwatch
