"""Wasserstein-1 distance, the integral of |F - G|, from cells, sums of offsets, and what is known beyond the knots."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from modelwatch_gpu import _core, keys
from modelwatch_gpu.measures.cells import Cells, Counts, Floats, Ints, beside, sum_by_group
from modelwatch_gpu.measures.tails import Tail, chord_of, tail_bounds, tail_of
from modelwatch_gpu.measures.value import Bools, Value, Values

#: Below this product of sample sizes, differences of cumulative counts are exact in int64.
_INT64_SAFE: Final = 1 << 61


@dataclass(frozen=True)
class RankedSample:
    """One sample on a grid, for Wasserstein-1.

    ``cells``: (2M+1,) counts. ``gap_sums``: (M+1,) sums of offsets in units of 2^-32, or None where they were not
    kept. ``below``, ``above``: exact sums of the finite values beyond the finite knots. ``low``, ``high``: smallest
    and largest finite value, or None.
    """

    cells: Counts
    gap_sums: Counts | None
    below: Fraction = Fraction(0)
    above: Fraction = Fraction(0)
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, eq=False)
class Transported:
    """Groups on one grid, for Wasserstein-1: their cells, and the tails below and above the finite knots."""

    cells: Cells
    below: Tail
    above: Tail

    def take(self, begin: int, end: int) -> Transported:
        """The groups from ``begin`` to ``end``, not included."""
        at = slice(begin, end)
        return Transported(self.cells.take(begin, end), self.below.at(at), self.above.at(at))


def finite_span(knots: npt.NDArray[Any]) -> tuple[int, int]:
    """First and one past the last of the finite knots: a float grid begins with -inf and ends with +inf."""
    return (1, len(knots) - 1) if knots.dtype.kind == "f" else (0, len(knots))


def wasserstein(baseline: RankedSample, current: RankedSample, knots: npt.NDArray[Any]) -> Value:
    """Wasserstein-1 distance, the integral of |F - G|, in the column's units, with certified bounds.

    Args:
        baseline, current: Both samples on one grid.
        knots: (M,) values of the knots, in the column's dtype; a float grid begins with -inf and ends with +inf.

    In a gap of width w between knots, F - G has a known mean (from the sums of offsets) and stays between known ends:
    its absolute value integrates to at least |mean| w, and by convexity to at most the chord over these ends.
    Offsets are rounded to 2^-32 of their gap; the bounds include that. ``value`` is the middle of the bounds.
    """
    return wasserstein_of(_transported(baseline, knots), _transported(current, knots), knots)[0]


def _transported(sample: RankedSample, knots: npt.NDArray[Any]) -> Transported:
    first, last = finite_span(knots)
    tails = []
    for total, extreme, below in ((sample.below, sample.low, True), (sample.above, sample.high, False)):
        rows = sample.cells[[2 * first if below else 2 * last]].astype(np.int64) * (last > first)
        edge = Fraction(knots[first if below else last - 1].item()) if last > first else Fraction(0)
        reach = 0.0 if not rows[0] else np.inf
        if rows[0] and extreme is not None and np.isfinite(extreme):
            reach = float(abs(Fraction(extreme) - edge))
        sums = {0: total} if sample.gap_sums is not None else None
        tails.append(tail_of(rows, np.array([reach]), sums, edge, below=below))
    return Transported(Cells.dense(sample.cells, sample.gap_sums), tails[0], tails[1])


def wasserstein_of(baseline: Transported, current: Transported, knots: npt.NDArray[Any]) -> Values:
    """``wasserstein`` of every group: against one baseline, or group against group."""
    first, last = finite_span(knots)
    if last <= first:
        return Values.absent("baseline_all_missing", current.cells.total)
    of = beside(baseline.cells.groups, current.cells.groups)
    inner = inner_bounds(baseline.cells, current.cells, knots)
    return distances(baseline, current, of, inner, infinities=knots.dtype.kind == "f")


def distances(
    baseline: Transported, current: Transported, of: Ints, inner: tuple[Floats, Floats], *, infinities: bool
) -> Values:
    """The distances of groups, on whichever grids they are.

    Args:
        baseline, current: Both sides.
        of: (groups,) the group of the baseline that each is held against.
        inner: (groups,) bounds of the integral between the finite knots.
        infinities: Whether the outermost knots are infinite, so that rows there leave no distance.
    """
    n, m = baseline.cells.total[of].astype(np.float64), current.cells.total.astype(np.float64)
    lower, upper = np.zeros(len(m)), np.zeros(len(m))
    for f, g in ((baseline.below, current.below), (baseline.above, current.above)):
        tail = tail_bounds(f.at(of), g, n, m)
        lower, upper = lower + tail[0], upper + tail[1]
    lower, upper = lower + inner[0], upper + inner[1]
    # Every term is right to a few 2^-53 of itself and none is negative.
    found = Values.between(np.maximum(0.0, lower * (1 - 2.0**-45)), upper * (1 + 2.0**-45), current.cells.total)
    if infinities:
        found = found.replaced(baseline.cells.beyond()[of] | current.cells.beyond(), "infinite")
    return without_rows(found, baseline.cells, current.cells, of)


def without_rows(values: Values, baseline: Cells, current: Cells, of: Ints) -> Values:
    """Reasons instead of numbers where one of both sides has no rows. ``of``: (groups,) the group of the baseline that
    each is held against."""
    values = values.replaced(current.total == 0, "all_missing")
    return values.replaced((baseline.total == 0)[of], "baseline_all_missing")


@dataclass(frozen=True, eq=False)
class _Axis:
    """Where the cells of a grid stand, between its finite knots ``first`` to ``last - 1``. ``position``: of every knot,
    as float64, or as ordered uint64 keys of whole numbers, whose differences are exact."""

    first: int
    last: int
    position: npt.NDArray[Any]

    @classmethod
    def of(cls, knots: npt.NDArray[Any]) -> _Axis:
        """The axis of a grid's knots."""
        position = knots.astype(np.float64) if knots.dtype.kind == "f" else keys.keys_of(knots, str(knots.dtype))
        return cls(*finite_span(knots), position)

    @property
    def ends(self) -> Ints:
        """The cells of the first and the last finite knot."""
        return np.unique([2 * self.first + 1, 2 * self.last - 1])

    def inner(self, cell: Ints) -> Bools:
        """Which cells are finite knots, or gaps between two."""
        return (cell > 2 * self.first) & (cell < 2 * self.last)

    def span(self, cell: Ints) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Where inner cells begin and end: a knot is where it is, gap g lies between the knots g - 1 and g."""
        low, high = (cell - 1) // 2, cell // 2
        return self.position[low.clip(self.first, self.last - 1)], self.position[high.clip(self.first, self.last - 1)]


@dataclass(frozen=True, eq=False)
class _Gaps:
    """Gaps with rows, one group after the other: (entries,) each. ``start``: F - G where the gap begins. ``b``, ``c``:
    rows of either side, with their sums of offsets where these were kept."""

    group: Ints
    width: Floats
    start: Floats
    b: Ints
    c: Ints
    b_offset: Counts | None
    c_offset: Counts | None


#: What is known between the finite knots: the integral where F - G stands still, (groups,), and gaps with rows.
_Inner = tuple[Floats, list[_Gaps]]


def _difference(b: Ints, c: Ints, n: Ints, m: Ints) -> Floats:
    """F - G from cumulative counts, b of n and c of m. Where n m < 2^61 only the division rounds."""
    product = n.astype(np.float64) * m
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        out: Floats = (b * m - c * n) / product
        wide = product >= _INT64_SAFE
        return np.where(wide, b / n - c / m, out) if wide.any() else out


def inner_bounds(baseline: Cells, current: Cells, knots: npt.NDArray[Any]) -> tuple[Floats, Floats]:
    """Bounds of the integral between the first and the last finite knot; 0 where there is but one.

    After an occupied cell of either side F - G stands still until the next one; what it does inside a gap with rows is
    bounded.
    """
    axis, groups = _Axis.of(knots), current.groups
    if axis.last - axis.first <= 1:
        return np.zeros(groups), np.zeros(groups)
    n = np.broadcast_to(baseline.total, groups)
    with np.errstate(over="ignore"):
        if np.isinf(np.diff(axis.position[axis.first : axis.last])).any():
            return np.full(groups, np.inf), np.full(groups, np.inf)
    if baseline.groups > 1:
        return _bounded(_against_each(baseline, current, axis), n, current.total)
    return _core.transport_between_knots(baseline.entries, current.entries, axis.position, axis.first, axis.last)


def _bounded(inner: _Inner, n: Ints, m: Ints) -> tuple[Floats, Floats]:
    still, every = inner
    lower = upper = still
    for gaps in every:
        if not len(gaps.group):
            continue
        least, most = _gap_bounds(gaps, n, m)
        begin = np.searchsorted(gaps.group, np.arange(len(still) + 1))
        lower = lower + sum_by_group(gaps.width * least, begin)
        upper = upper + sum_by_group(gaps.width * most, begin)
    return lower, upper


def _against_each(baseline: Cells, current: Cells, axis: _Axis) -> _Inner:
    """Group against group: the occupied cells of both sides in one line, and both ends."""
    groups, size = current.groups, current.cells
    ends = (np.arange(groups)[:, None] * size + axis.ends).ravel()
    ours, at, _ = _union(current.key, ends)
    c, c_offset = _placed(len(ours), at, current.count, current.offset)
    key, b_at, c_at = _union(baseline.key, ours)
    b, b_offset = _placed(len(key), b_at, baseline.count, baseline.offset)
    c, c_offset = _placed(len(key), c_at, c, c_offset)
    begin = np.searchsorted(key, np.arange(groups + 1) * size)
    group = np.repeat(np.arange(groups), np.diff(begin))
    cell = key - group * size
    n, m = baseline.total[group], current.total[group]
    upto_b, upto_c = (_running(x, begin, group) for x in (b, c))
    starts, stops = axis.span(cell)
    inner = axis.inner(cell)
    with np.errstate(over="ignore", invalid="ignore"):  # knots may be further apart than a number can say
        stretch = np.where(inner & (cell < axis.ends[-1]), np.append(starts[1:], starts[-1:]) - stops, 0)
        still = np.abs(_difference(upto_b, upto_c, n, m)) * stretch.astype(np.float64)
    gaps = np.flatnonzero(inner & (cell % 2 == 0))
    found = _Gaps(
        group=group[gaps],
        width=(stops[gaps] - starts[gaps]).astype(np.float64),
        start=_difference((upto_b - b)[gaps], (upto_c - c)[gaps], n[gaps], m[gaps]),
        b=b[gaps],
        c=c[gaps],
        b_offset=None if b_offset is None else b_offset[gaps],
        c_offset=None if c_offset is None else c_offset[gaps],
    )
    return sum_by_group(np.where(stretch > 0, still, 0.0), begin), [found]


def _running(values: Ints, begin: Ints, group: Ints) -> Ints:
    """Sums up to each entry within its group."""
    total = np.concatenate([[0], np.cumsum(values)])
    before: Ints = total[begin[:-1]]
    return total[1:] - before[group]


def _union(a: Ints, b: Ints) -> tuple[Ints, Ints, Ints]:
    """Both of two strictly increasing arrays as one, and where the entries of either stand in it."""
    at = np.searchsorted(a, b)
    new = np.ones(len(b), dtype=bool)
    inside = at < len(a)
    new[inside] = a[at[inside]] != b[inside]
    b_at = at + np.cumsum(new) - new
    old = np.ones(len(a) + int(new.sum()), dtype=bool)
    old[b_at[new]] = False
    both = np.empty(len(old), dtype=np.int64)
    both[old] = a
    both[b_at] = b
    return both, np.flatnonzero(old), b_at


def _placed(size: int, at: Ints, count: Ints, offset: Counts | None) -> tuple[Ints, Counts | None]:
    """Counts and sums of offsets at their places, 0 elsewhere."""
    if len(at) == size:
        return count, offset
    counts = np.zeros(size, dtype=np.int64)
    counts[at] = count
    if offset is None:
        return counts, None
    offsets = np.zeros(size, dtype=np.uint64)
    offsets[at] = offset
    return counts, offsets


def _gap_bounds(gaps: _Gaps, n: Ints, m: Ints) -> tuple[Floats, Floats]:
    """Bounds of the mean of |F - G| over gaps that hold rows, per unit of width."""
    held: list[Floats] = []
    mean_low = mean_high = gaps.start
    with np.errstate(divide="ignore", invalid="ignore"):
        for count, sums, total, sign in ((gaps.b, gaps.b_offset, n, 1), (gaps.c, gaps.c_offset, m, -1)):
            rows = total.astype(np.float64)[gaps.group]
            share = count / rows
            held.append(share)
            if sums is None:
                low, high = np.zeros(len(share)), share
            else:
                # Below 2^32 rows a sum of fractions of 2^32 cannot have wrapped; above, it says nothing.
                trusted = count < 1 << 32
                offset = sums.astype(np.float64) * 2.0**-32 / rows
                slack = share * 2.0**-32
                low = np.where(trusted, share - offset - slack, 0.0)
                high = np.where(trusted, share - offset + slack, share)
            if sign > 0:
                mean_low, mean_high = mean_low + low, mean_high + high
            else:
                mean_low, mean_high = mean_low - high, mean_high - low
    least, most = gaps.start - held[1], gaps.start + held[0]  # where F - G can be inside the gap
    lower = np.maximum(0.0, np.maximum(mean_low, -mean_high))
    outside = np.maximum(np.abs(mean_low), np.abs(mean_high))
    chord = np.maximum(chord_of(mean_low, least, most), chord_of(mean_high, least, most))
    upper = np.where((least < 0) & (most > 0), chord, outside)
    return lower, np.maximum(lower, upper)
