#include "engine/distances.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/error.hpp"
#include "engine/pairwise_sum.hpp"

namespace modelwatch {
namespace {

__extension__ typedef __int128 Wide;

/// Up to here the cube of a count is exact as a double.
constexpr double kExactCube = 208'063;

/// The entries of one group.
struct Group {
  std::int64_t const* cell;
  std::int64_t const* count;
  std::uint64_t const* offset;
  std::size_t size;
};

Group group_of(OccupiedCells const& cells, std::size_t g) {
  std::int64_t const begin = cells.begin[g];
  return {cells.cell + begin, cells.count + begin, cells.offset == nullptr ? nullptr : cells.offset + begin,
          static_cast<std::size_t>(cells.begin[g + 1] - begin)};
}

/// Rows before each entry, and of all.
void run_up(Group const& group, std::vector<std::int64_t>& line) {
  line.resize(group.size + 1);
  line[0] = 0;
  for (std::size_t i = 0; i < group.size; ++i) line[i + 1] = line[i] + group.count[i];
}

void check_groups(OccupiedCells const& baseline, OccupiedCells const& current) {
  if (baseline.groups != 1 && baseline.groups != current.groups)
    throw InvalidInput("a baseline is one group, or has as many as what is compared with it.");
}

/// (c^3 - c) / 12: SUM over c tied ranks of (rank - their mean)^2.
double tied(double count) {
  double const cube = count > kExactCube ? std::pow(count, 3.0) : count * count * count;  // rounded once
  return (cube - count) / 12;
}

double squared(double x) { return x * x; }

/// Finds cells of increasing number among those of a group.
class Finder {
 public:
  Finder(Group const& group, std::size_t asked) : group_(group), far_(asked < group.size / kFar) {}

  /// How many cells lie before `cell`.
  std::size_t before(std::int64_t cell) {
    if (far_)
      at_ = static_cast<std::size_t>(std::lower_bound(group_.cell + at_, group_.cell + group_.size, cell) - group_.cell);
    else
      while (at_ < group_.size && group_.cell[at_] < cell) ++at_;
    return at_;
  }

 private:
  /// Where so many cells lie between two that are asked for, halving is faster than looking at each.
  static constexpr std::size_t kFar = 32;

  Group group_;
  bool far_;
  std::size_t at_ = 0;
};

void push(WideIntegers& out, Wide value) {
  out.low.push_back(static_cast<std::uint64_t>(value));
  out.high.push_back(static_cast<std::uint64_t>(value >> 64));
}

template <class Integer>
Integer distance(Integer a, Integer b) {
  return a < b ? b - a : a - b;
}

/// How many rows of the baseline lie in each cell of a current group, and up to its end.
struct Beside {
  std::vector<std::int64_t> count, upto;
};

/// Between two occupied cells of the current group G stands still and F only grows, so |F - G| is largest at one of the
/// ends of that stretch: the begin and the end of every occupied cell is enough.
template <class Integer>
void add_ks_as(Group const& current, std::vector<std::int64_t> const& line, std::int64_t n, Beside const& beside, RankDistances& out) {
  std::int64_t const m = line.back();
  Integer least = 0;
  Integer inside = 0;
  for (std::size_t i = 0; i < current.size; ++i) {
    Integer const end_b = Integer{beside.upto[i]} * m;
    Integer const begin_b = Integer{beside.upto[i] - beside.count[i]} * m;
    Integer const end_c = Integer{line[i + 1]} * n;
    Integer const begin_c = Integer{line[i]} * n;
    least = std::max({least, distance(end_b, end_c), distance(begin_b, begin_c)});
    Integer const crossed = std::max(end_b - begin_c, end_c - begin_b);
    bool const both = current.cell[i] % 2 == 0 && beside.count[i] > 0;
    inside = std::max(inside, both ? crossed : Integer{0});
  }
  push(out.ks_least, least);
  push(out.ks_most, std::max(least, inside));
}

void add_ks(Group const& current, std::vector<std::int64_t> const& line, std::int64_t n, Beside const& beside, RankDistances& out) {
  // No cumulative count is above n or m.
  bool const narrow = Wide{n} * line.back() <= std::numeric_limits<std::int64_t>::max();
  return narrow ? add_ks_as<std::int64_t>(current, line, n, beside, out) : add_ks_as<Wide>(current, line, n, beside, out);
}

/// Terms of Cramer-von Mises' sums, least and most, of a group's entries.
struct CvmTerms {
  std::vector<double> current_least, current_most, baseline_least, baseline_most;

  void resize(std::size_t size) {
    for (auto* terms : {&current_least, &current_most, &baseline_least, &baseline_most}) terms->resize(size);
  }
};

/// A cell without rows of the other sample adds its rows times the square of those before it, so the baseline's rows
/// between two occupied cells go together.
void add_cvm(Group const& current, std::vector<std::int64_t> const& line, std::int64_t n, Beside const& beside, CvmTerms& terms,
             RankDistances& out) {
  terms.resize(current.size);
  for (std::size_t i = 0; i < current.size; ++i) {
    double const c = static_cast<double>(current.count[i]);
    double const c_end = static_cast<double>(line[i + 1]);
    double const b = static_cast<double>(beside.count[i]);
    double const b_end = static_cast<double>(beside.upto[i]);
    double const b_before = b_end - b;
    double const c_before = c_end - c;
    double const own = tied(c);
    double const following = i + 1 < current.size
                                 ? static_cast<double>(beside.upto[i + 1]) - static_cast<double>(beside.count[i + 1])
                                 : static_cast<double>(n);
    double const between = (following - b_end) * squared(c_end);
    if (current.cell[i] % 2 != 0) {
      terms.current_least[i] = terms.current_most[i] = c * squared(b_before + b / 2) + own;
      terms.baseline_least[i] = terms.baseline_most[i] = b * squared(c_before + c / 2) + between;
    } else {
      terms.current_least[i] = c * squared(b_before);
      terms.current_most[i] = c * squared(b_end) + own;
      terms.baseline_least[i] = b * squared(c_before) + between;
      terms.baseline_most[i] = b * squared(c_end) + between;
    }
  }
  out.current_least.push_back(group_sum(terms.current_least.data(), current.size));
  out.current_most.push_back(group_sum(terms.current_most.data(), current.size));
  out.baseline_least.push_back(group_sum(terms.baseline_least.data(), current.size));
  out.baseline_most.push_back(group_sum(terms.baseline_most.data(), current.size));
}

}  // namespace

RankDistances rank_distances(OccupiedCells const& baseline, OccupiedCells const& current) {
  check_groups(baseline, current);
  RankDistances out;
  std::vector<std::int64_t> base_line;
  std::vector<std::int64_t> line;
  Beside beside;
  CvmTerms terms;
  for (std::size_t g = 0; g < current.groups; ++g) {
    Group const b = group_of(baseline, baseline.groups == 1 ? 0 : g);
    Group const c = group_of(current, g);
    if (g == 0 || baseline.groups != 1) run_up(b, base_line);
    run_up(c, line);
    beside.count.resize(c.size);
    beside.upto.resize(c.size);
    Finder find(b, c.size);
    for (std::size_t i = 0; i < c.size; ++i) {
      std::size_t const at = find.before(c.cell[i]);
      bool const there = at < b.size && b.cell[at] == c.cell[i];
      beside.count[i] = there ? b.count[at] : 0;
      beside.upto[i] = base_line[at] + beside.count[i];
    }
    add_ks(c, line, base_line.back(), beside, out);
    add_cvm(c, line, base_line.back(), beside, terms, out);
  }
  return out;
}

Ties ties_of(OccupiedCells const& groups) {
  Ties out;
  std::vector<double> terms;
  for (std::size_t g = 0; g < groups.groups; ++g) {
    Group const own = group_of(groups, g);
    terms.resize(own.size);
    auto const sum_of = [&](std::int64_t parity) {
      for (std::size_t i = 0; i < own.size; ++i)
        terms[i] = (own.cell[i] & 1) == parity ? tied(static_cast<double>(own.count[i])) : 0.0;
      return group_sum(terms.data(), own.size);
    };
    double const on_knots = sum_of(1);
    out.on_knots.push_back(on_knots);
    out.everywhere.push_back(on_knots + sum_of(0));
  }
  return out;
}

}  // namespace modelwatch
