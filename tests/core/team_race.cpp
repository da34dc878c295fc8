// team_race FAULT: ranks a column on real threads with a fault of the team, for ThreadSanitizer to find.
//   none      no fault, no race
//   barrier N the N-th barrier of the body (from 0) is left out
//   add       counters are added to without atomics
// Exits with 0 if the result is right: a fault may or may not show there, which is why there is a sanitizer.

#include <cstdlib>
#include <cstring>
#include <iostream>
#include <string>

#include "team_bodies.hpp"
#include "thread_team.hpp"

namespace {

using namespace modelwatch;
using namespace modelwatch::test;

int left_out = -1;
bool adds_plainly = false;

struct FaultyTeam : ThreadTeam {
  using ThreadTeam::ThreadTeam;
  mutable int barriers = 0;
  void sync() const {
    if (barriers++ != left_out) ThreadTeam::sync();
  }
  template <class Number>
  void add_one(Number* at) const {
    if (adds_plainly)
      ++*at;
    else
      ThreadTeam::add_one(at);
  }
};

}  // namespace

int main(int count, char** arguments) {
  std::string const fault = count > 1 ? arguments[1] : "";
  if (fault == "barrier" && count > 2) left_out = std::atoi(arguments[2]);
  adds_plainly = fault == "add";
  if (fault != "none" && left_out < 0 && !adds_plainly) {
    std::cerr << "team_race none | barrier N | add\n";
    return 2;
  }
  Random random{5};
  auto const rows = sprinkled_rows<double>(2 * kTileRows, random);
  auto const column = make_column(rows, 3);
  OwnedRule<double> const rule{as_knots(hard_values<double>())};
  RankWork<double> work{2 * kTileRows, rule.slots()};
  with_threads<FaultyTeam>(4, [&](FaultyTeam const& team) { rank_column(team, column.view(), rule.view(), work); });
  return work.result.counts == reference::count_cells(rows, as_knots(hard_values<double>())) ? 0 : 1;
}
