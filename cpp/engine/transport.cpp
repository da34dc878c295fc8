// Wasserstein-1 between the knots of a grid, see distances.hpp.

#include <algorithm>
#include <cmath>

#include "core/error.hpp"
#include "engine/distances.hpp"
#include "engine/pairwise_sum.hpp"

namespace modelwatch {
namespace {

/// Below this product of sample sizes, differences of cumulative counts are exact in 64 bits.
constexpr double kSafeProduct = 0x1p61;

/// F - G from cumulative counts, b of n and c of m.  Where n m < 2^61 only the division rounds.
struct Difference {
  Difference(std::int64_t rows_b, std::int64_t rows_c)
      : n(static_cast<double>(rows_b)),
        m(static_cast<double>(rows_c)),
        n_rows(static_cast<std::uint64_t>(rows_b)),
        m_rows(static_cast<std::uint64_t>(rows_c)),
        product(n * m) {}

  double operator()(std::int64_t b, std::int64_t c) const {
    if (product >= kSafeProduct) return static_cast<double>(b) / n - static_cast<double>(c) / m;
    auto const apart = static_cast<std::int64_t>(static_cast<std::uint64_t>(b) * m_rows - static_cast<std::uint64_t>(c) * n_rows);
    return static_cast<double>(apart) / product;
  }

  double n, m;
  std::uint64_t n_rows, m_rows;
  double product;
};

/// Below this product every product of rows of one side and a cumulative count of the other is exact in a double.
constexpr double kExactProduct = 0x1p53;
/// Gaps of the baseline that are worked on at a time.
constexpr std::size_t kStrip = 128;

/// The larger one, and what is no number where one is none.
double larger(double a, double b) { return a >= b || std::isnan(a) ? a : b; }
double smaller(double a, double b) { return a <= b || std::isnan(a) ? a : b; }

/// The largest mean of |x| over x between `least` < 0 and `most` > 0 with this mean: |x| is convex, so it lies below the
/// line through its ends.
double chord_of(double mean, double least, double most) {
  double const inside = smaller(larger(mean, least), most);
  return (-least * (most - inside) + most * (inside - least)) / (most - least);
}

/// Rows of one side in a gap.
struct Held {
  std::int64_t count;
  std::uint64_t offset;
  bool known;  // whether sums of offsets were kept
};

/// What the mean of a side's share over its gap is at least and at most; `share` is that at the gap's end.
struct MeanShare {
  double share, low, high;
};

MeanShare mean_share(Held const& held, double rows) {
  double const share = static_cast<double>(held.count) / rows;
  // Below 2^32 rows a sum of fractions of 2^32 cannot have wrapped; above, it says nothing.
  if (!held.known || held.count >= std::int64_t{1} << 32) return {share, 0.0, share};
  double const offset = static_cast<double>(held.offset) * 0x1p-32 / rows;
  double const slack = share * 0x1p-32;
  return {share, share - offset - slack, share - offset + slack};
}

struct Interval {
  double lower, upper;
};

/// Bounds of the mean of |F - G| over a gap where it begins with `start`.
Interval mean_distance(double start, MeanShare const& f, MeanShare const& g) {
  double const mean_low = start + f.low - g.high;
  double const mean_high = start + f.high - g.low;
  double const least = start - g.share;  // where F - G can be inside the gap
  double const most = start + f.share;
  double const lower = larger(0.0, larger(mean_low, -mean_high));
  double const upper = least < 0 && most > 0 ? larger(chord_of(mean_low, least, most), chord_of(mean_high, least, most))
                                             : larger(std::fabs(mean_low), std::fabs(mean_high));
  return {lower, larger(lower, upper)};
}

/// Where the cells of a grid stand: a knot is where it is, gap g lies between the knots g - 1 and g.
template <class Position>
struct Axis {
  Position const* position;
  std::int64_t first, last;

  std::int64_t first_end() const { return 2 * first + 1; }
  std::int64_t last_end() const { return 2 * last - 1; }
  bool inner(std::int64_t cell) const { return cell > 2 * first && cell < 2 * last; }
  Position begin(std::int64_t cell) const { return position[std::clamp((cell - 1) / 2, first, last - 1)]; }
  Position end(std::int64_t cell) const { return position[std::clamp(cell / 2, first, last - 1)]; }
};

/// Sums of terms of one group: gaps that hold rows, as far as one side has them.
struct GapTerms {
  std::vector<double> lower, upper;

  void clear() {
    lower.clear();
    upper.clear();
  }
  void push(double width, Interval const& mean) {
    lower.push_back(width * mean.lower);
    upper.push_back(width * mean.upper);
  }
};

/// The baseline's occupied cells and both ends of the finite knots.
template <class Position>
class Baseline {
 public:
  Baseline(OccupiedCells const& cells, Axis<Position> const& axis) : axis_(axis), offsets_(cells.offset != nullptr) {
    std::int64_t const end = cells.begin[1];
    std::int64_t next = axis.first_end();
    auto const place = [&](std::int64_t cell, std::int64_t count, std::uint64_t offset) {
      cell_.push_back(cell);
      count_.push_back(count);
      offset_.push_back(offset);
    };
    auto const place_ends = [&](std::int64_t before) {
      while (next <= axis.last_end() && next < before) {
        place(next, 0, 0);
        next = next < axis.last_end() ? axis.last_end() : axis.last_end() + 1;
      }
    };
    for (std::int64_t i = cells.begin[0]; i < end; ++i) {
      place_ends(cells.cell[i]);
      if (cells.cell[i] == next) next = next < axis.last_end() ? axis.last_end() : axis.last_end() + 1;
      place(cells.cell[i], cells.count[i], offsets_ ? cells.offset[i] : 0);
    }
    place_ends(axis.last_end() + 1);
    std::int64_t total = 0;
    for (std::size_t i = 0; i < cell_.size(); ++i) {
      total += count_[i];
      upto_.push_back(total);
      bool const holds = axis.inner(cell_[i]) && cell_[i] < axis.last_end() && i + 1 < cell_.size();
      stretch_.push_back(holds ? static_cast<double>(axis.begin(cell_[i + 1]) - axis.end(cell_[i])) : 0.0);
      upto_number_.push_back(static_cast<double>(total));
    }
    for (std::size_t i = 0; i < cell_.size(); ++i) {
      if (cell_[i] % 2 != 0 || !axis.inner(cell_[i])) continue;
      MeanShare const held = mean_share({count_[i], offset_[i], offsets_}, static_cast<double>(total));
      auto const width = static_cast<double>(axis.end(cell_[i]) - axis.begin(cell_[i]));
      gaps_.push_back({i, static_cast<double>(upto_[i] - count_[i]), width, held});
    }
    apart_.resize(cell_.size());
    still_.resize(cell_.size());
    here_.resize(cell_.size());
    own_.lower.reserve(gaps_.size());
    own_.upper.reserve(gaps_.size());
  }

  /// Bounds against the entries [from, to) of the current groups.
  Interval against(OccupiedCells const& current, std::int64_t from, std::int64_t to) {
    std::int64_t rows = 0;
    for (std::int64_t i = from; i < to; ++i) rows += current.count[i];
    Difference const difference(upto_.back(), rows);
    own_.clear();
    new_.clear();
    fresh_.clear();
    place(current, from, to);
    if (difference.product > 0 && difference.product < kExactProduct && rows < std::int64_t{1} << 32 && current.offset != nullptr)
      add_exact(current, difference);
    else
      add_each(current, difference);
    add_fresh(current, difference);
    double total = 0.0 + pairwise_sum(still_.data(), still_.size());
    if (!pieces_.empty()) total += group_sum(pieces_.data(), pieces_.size());
    Interval out{total, total};
    for (auto const* gaps : {&own_, &new_}) {
      out.lower += group_sum(gaps->lower.data(), gaps->lower.size());
      out.upper += group_sum(gaps->upper.data(), gaps->upper.size());
    }
    return out;
  }

 private:
  /// What a current group has up to the end of one of the baseline's cells, and in it.
  struct Here {
    std::int64_t upto;
    std::int64_t entry;  // -1: none
  };
  /// A gap between two finite knots: the place of its cell, rows before it, and the baseline's share of it.
  struct Gap {
    std::size_t at;
    double before;
    double width;
    MeanShare held;
  };
  /// An entry in a cell that the baseline does not occupy: it cuts the stretch after cell `before`.
  struct Fresh {
    std::int64_t entry;
    std::size_t before;
    std::int64_t upto;
  };

  /// Puts the entries of a current group to the baseline's cells.
  void place(OccupiedCells const& current, std::int64_t from, std::int64_t to) {
    std::int64_t entry = from;
    std::int64_t upto = 0;
    for (std::size_t i = 0; i < cell_.size(); ++i) {
      for (; entry < to && current.cell[entry] < cell_[i]; ++entry) {
        upto += current.count[entry];
        if (axis_.inner(current.cell[entry])) fresh_.push_back({entry, i - 1, upto});
      }
      bool const hit = entry < to && current.cell[entry] == cell_[i];
      if (hit) upto += current.count[entry];
      here_[i] = {upto, hit ? entry : -1};
      if (hit) ++entry;
    }
  }

  void add_each(OccupiedCells const& current, Difference const& difference) {
    for (std::size_t i = 0; i < cell_.size(); ++i) {
      apart_[i] = difference(upto_[i], here_[i].upto);
      still_[i] = std::fabs(apart_[i]) * stretch_[i];
    }
    for (auto const& gap : gaps_) {
      Here const& here = here_[gap.at];
      Held const c{here.entry < 0 ? 0 : current.count[here.entry],
                   here.entry < 0 || current.offset == nullptr ? 0 : current.offset[here.entry], current.offset != nullptr};
      double const start = difference(upto_[gap.at] - count_[gap.at], here.upto - c.count);
      own_.push(gap.width, mean_distance(start, gap.held, mean_share(c, difference.m)));
    }
  }

  /// The same where no number is rounded before it is divided, none is none, and sums of offsets were kept: the same
  /// operations in loops without branches.
  void add_exact(OccupiedCells const& current, Difference const& difference) {
    double const n = difference.n;
    double const m = difference.m;
    double const product = difference.product;
    for (std::size_t i = 0; i < cell_.size(); ++i) {
      apart_[i] = (upto_number_[i] * m - static_cast<double>(here_[i].upto) * n) / product;
      still_[i] = std::fabs(apart_[i]) * stretch_[i];
    }
    own_.lower.resize(gaps_.size());
    own_.upper.resize(gaps_.size());
    double count[kStrip], offset[kStrip], before[kStrip];
    double mean_low[kStrip], mean_high[kStrip], least[kStrip], most[kStrip], lower[kStrip], upper[kStrip];
    for (std::size_t first = 0; first < gaps_.size(); first += kStrip) {
      std::size_t const size = std::min(kStrip, gaps_.size() - first);
      Gap const* const gaps = gaps_.data() + first;
      for (std::size_t k = 0; k < size; ++k) {
        Here const& here = here_[gaps[k].at];
        std::int64_t const rows = here.entry < 0 ? 0 : current.count[here.entry];
        count[k] = static_cast<double>(rows);
        offset[k] = here.entry < 0 ? 0.0 : static_cast<double>(current.offset[here.entry]);
        before[k] = static_cast<double>(here.upto - rows);
      }
      for (std::size_t k = 0; k < size; ++k) {
        double const share = count[k] / m;
        double const part = offset[k] * 0x1p-32 / m;
        double const slack = share * 0x1p-32;
        double const start = (gaps[k].before * m - before[k] * n) / product;
        mean_low[k] = start + gaps[k].held.low - (share - part + slack);
        mean_high[k] = start + gaps[k].held.high - (share - part - slack);
        least[k] = start - share;
        most[k] = start + gaps[k].held.share;
        lower[k] = std::max(0.0, std::max(mean_low[k], -mean_high[k]));
        upper[k] = std::max(std::fabs(mean_low[k]), std::fabs(mean_high[k]));
      }
      for (std::size_t k = 0; k < size; ++k) {
        if (least[k] < 0 && most[k] > 0)
          upper[k] = std::max(chord_of(mean_low[k], least[k], most[k]), chord_of(mean_high[k], least[k], most[k]));
        own_.lower[first + k] = gaps[k].width * lower[k];
        own_.upper[first + k] = gaps[k].width * std::max(lower[k], upper[k]);
      }
    }
  }

  /// Cells that the baseline does not occupy cut its stretches; the other stretches stay as they are.
  void add_fresh(OccupiedCells const& current, Difference const& difference) {
    pieces_.clear();
    for (std::size_t j = 0; j < fresh_.size(); ++j) {
      Fresh const& one = fresh_[j];
      std::int64_t const cell = current.cell[one.entry];
      Position const begin = axis_.begin(cell);
      Position const end = axis_.end(cell);
      bool const more = j + 1 < fresh_.size() && fresh_[j + 1].before == one.before;
      Position const following = more ? axis_.begin(current.cell[fresh_[j + 1].entry]) : axis_.begin(cell_[one.before + 1]);
      double piece = std::fabs(difference(upto_[one.before], one.upto)) * static_cast<double>(following - end);
      if (j == 0 || fresh_[j - 1].before != one.before) {
        piece += std::fabs(apart_[one.before]) * static_cast<double>(begin - axis_.end(cell_[one.before]));
        still_[one.before] = 0.0;
      }
      pieces_.push_back(piece);
      if (cell % 2 != 0) continue;
      Held const c{current.count[one.entry], current.offset == nullptr ? 0 : current.offset[one.entry], current.offset != nullptr};
      double const start = difference(upto_[one.before], one.upto - c.count);
      MeanShare const none = mean_share({0, 0, offsets_}, difference.n);
      new_.push(static_cast<double>(end - begin), mean_distance(start, none, mean_share(c, difference.m)));
    }
  }

  Axis<Position> axis_;
  bool offsets_;
  std::vector<std::int64_t> cell_, count_, upto_;  // upto_: rows up to the end of a cell
  std::vector<std::uint64_t> offset_;
  std::vector<double> stretch_;  // from the end of a cell to the next one, 0 for the last inner one and beyond
  std::vector<double> upto_number_;
  std::vector<Gap> gaps_;
  // Of one current group:
  std::vector<double> apart_, still_, pieces_;
  std::vector<Here> here_;
  std::vector<Fresh> fresh_;
  GapTerms own_, new_;
};

template <class Position>
Bounds bounds_of(OccupiedCells const& baseline, OccupiedCells const& current, Axis<Position> const& axis) {
  Baseline<Position> one(baseline, axis);
  Bounds out;
  for (std::size_t g = 0; g < current.groups; ++g) {
    Interval const found = one.against(current, current.begin[g], current.begin[g + 1]);
    out.lower.push_back(found.lower);
    out.upper.push_back(found.upper);
  }
  return out;
}

}  // namespace

Bounds transport_between_knots(OccupiedCells const& baseline, OccupiedCells const& current, KnotAxis const& axis) {
  if (baseline.groups != 1) throw InvalidInput("the baseline must be one group.");
  if (axis.last - axis.first < 2) throw InvalidInput("there must be two finite knots.");
  if (axis.values != nullptr) return bounds_of(baseline, current, Axis<double>{axis.values, axis.first, axis.last});
  return bounds_of(baseline, current, Axis<std::uint64_t>{axis.keys, axis.first, axis.last});
}

}  // namespace modelwatch
