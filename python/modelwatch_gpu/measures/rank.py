"""Distances between distributions from rank counts: Kolmogorov-Smirnov, Cramer-von Mises, Wasserstein-1.

A *cell array* has 2M+1 counts for M knots: even cells are gaps, odd cells are knots (DESIGN 3.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from modelwatch_gpu.measures.value import Value

Counts = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float64]

#: Below this product of sample sizes, differences of cumulative counts are exact in int64.
_INT64_SAFE = 1 << 62


def ks(baseline: Counts, current: Counts) -> Value:
    """Two-sample Kolmogorov-Smirnov distance D = sup |F - G| with certified bounds.

    Args:
        baseline, current: (2M+1,) cell counts of both samples on one grid, without missing values.

    Returns:
        ``lower``: the largest |F - G| at the end of a cell, which is attained, and is D itself where no gap holds rows
        of both samples. ``upper``: what D can be at most inside gaps that do. ``value`` is the lower bound. One
        division, of exact integers.
    """
    used = np.flatnonzero(baseline | current)
    b, c = baseline[used], current[used]
    n, m = int(b.sum()), int(c.sum())
    if n == 0 or m == 0:
        return Value.absent("baseline_all_missing" if n == 0 else "all_missing", m)
    kind: Any = np.int64 if n * m < _INT64_SAFE else object
    ends_b, ends_c = np.cumsum(b).astype(kind) * m, np.cumsum(c).astype(kind) * n
    lower = int(np.max(np.abs(ends_b - ends_c)))
    upper = lower
    shared = np.flatnonzero((used % 2 == 0) & (b > 0) & (c > 0))
    if len(shared):
        begins_b = ends_b[shared] - b[shared].astype(kind) * m
        begins_c = ends_c[shared] - c[shared].astype(kind) * n
        inside = np.maximum(ends_b[shared] - begins_c, ends_c[shared] - begins_b)
        upper = max(lower, int(np.max(inside)))
    # Integer division is correctly rounded, so equal integers give equal bits everywhere.
    return Value(lower / (n * m), lower / (n * m), upper / (n * m), m)


def ks_noise(n: int, m: int) -> float:
    """What D is on average between two samples of n and m rows of one continuous distribution.

    sqrt(pi/2) ln 2 sqrt((n+m)/(nm)), the mean of the Kolmogorov distribution (Marsaglia, Tsang and Wang 2003).
    """
    return 0.8687311606361592 * float(np.sqrt((n + m) / (n * m)))


def ks_chance(n: int, m: int) -> float:
    """What D exceeds in 1% of pairs of samples of one continuous distribution: 1.6276 sqrt((n+m)/(nm)).

    The 99% point of the Kolmogorov distribution (Smirnov 1948).
    """
    return 1.6276 * float(np.sqrt((n + m) / (n * m)))


def cvm(baseline: Counts, current: Counts) -> Value:
    """Two-sample Cramer-von Mises statistic T with mid-ranks, as ``scipy.stats.cramervonmises_2samp`` (Anderson 1962).

    Exact where no gap holds more than one window row and none of the baseline, else an interval: rows of one gap may
    be tied or not, and stand before or after the other sample's.
    """
    used = np.flatnonzero(baseline | current)
    b, c = baseline[used].astype(np.float64), current[used].astype(np.float64)
    n, m = float(b.sum()), float(c.sum())
    if n == 0 or m == 0:
        return Value.absent("baseline_all_missing" if n == 0 else "all_missing", int(m))
    before_b, before_c = np.cumsum(b) - b, np.cumsum(c) - c
    knot = used % 2 == 1

    def deviations(own: Floats, other: Floats, other_before: Floats) -> tuple[float, float]:
        """SUM over rows of (pooled mid-rank - own rank)^2, at least and at most."""
        ties = (own**3 - own) / 12
        on_knot = own * (other_before + other / 2) ** 2 + ties
        least = np.where(knot, on_knot, own * other_before**2)
        most = np.where(knot, on_knot, own * (other_before + other) ** 2 + ties)
        return float(np.sum(least)), float(np.sum(most))

    b_least, b_most = deviations(b, c, before_c)
    c_least, c_most = deviations(c, b, before_b)
    total, product = n + m, n * m
    shift = (4 * product - 1) / (6 * total)
    lower = (n * b_least + m * c_least) / (product * total) - shift
    upper = (n * b_most + m * c_most) / (product * total) - shift
    # Sums of up to 2^18 doubles, taken pairwise: 2^-49 of the larger term covers what rounding can do.
    slack = (upper + shift) * 2.0**-49
    return Value.between(lower - slack, upper + slack, int(m), value=lower if lower == upper else None)


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


def wasserstein(baseline: RankedSample, current: RankedSample, knots: npt.NDArray[Any]) -> Value:
    """Wasserstein-1 distance, the integral of |F - G|, in the column's units, with certified bounds.

    Args:
        baseline, current: Both samples on one grid.
        knots: (M,) values of the knots, in the column's dtype; a float grid begins with -inf and ends with +inf.

    In a gap of width w between knots, F - G has a known mean (from the sums of offsets) and stays between known ends:
    its absolute value integrates to at least |mean| w, and by convexity to at most the chord over these ends.
    Offsets are rounded to 2^-32 of their gap; the bounds include that. ``value`` is the middle of the bounds.
    """
    n, m = int(baseline.cells.sum()), int(current.cells.sum())
    if n == 0 or m == 0:
        return Value.absent("baseline_all_missing" if n == 0 else "all_missing", m)
    first, last = 0, len(knots)
    if knots.dtype.kind == "f":
        first, last = 1, len(knots) - 1
        for sample in (baseline, current):
            if int(sample.cells[:2].sum()) or int(sample.cells[-2:].sum()):
                return Value.absent("infinite", m)
    finite = knots[first:last]
    if len(finite) == 0:
        return Value.absent("baseline_all_missing", m)
    lower, upper = _tails(baseline, current, finite, first, last, n, m)
    if len(finite) > 1:
        inner = _gap_bounds(baseline, current, first, last, n, m)
        # A width beyond the largest double makes the distance "not_finite", not a warning.
        with np.errstate(over="ignore", invalid="ignore"):
            width = _widths(finite)
            lower += float(np.sum(width * inner[0]))
            upper += float(np.sum(width * inner[1]))
    return Value.between(max(0.0, lower * (1 - 2.0**-45)), upper * (1 + 2.0**-45), m)


def _widths(finite: npt.NDArray[Any]) -> Floats:
    if finite.dtype.kind == "f":
        return np.diff(finite.astype(np.float64))
    return np.diff(finite.view(np.uint64)).astype(np.float64)  # exact: two's complement differences


def _gap_bounds(
    baseline: RankedSample, current: RankedSample, first: int, last: int, n: int, m: int
) -> tuple[Floats, Floats]:
    """Bounds of the mean of |F - G| over every gap between finite knots, per unit of width."""
    gaps = np.arange(first + 1, last)  # gap g lies between knots g-1 and g
    ends: list[Floats] = []
    held: list[Floats] = []
    mean_low, mean_high = np.zeros(len(gaps)), np.zeros(len(gaps))
    for sample, rows, sign in ((baseline, n, 1.0), (current, m, -1.0)):
        ends.append(np.cumsum(sample.cells)[2 * gaps - 1].astype(np.float64) / rows)
        count = sample.cells[2 * gaps]
        share = count.astype(np.float64) / rows
        held.append(share)
        if sample.gap_sums is None:
            low, high = np.zeros(len(gaps)), share
        else:
            # Below 2^32 rows a sum of fractions of 2^32 cannot have wrapped; above, it says nothing.
            trusted = count < np.uint64(1 << 32)
            offset = sample.gap_sums[gaps].astype(np.float64) * 2.0**-32 / rows
            slack = share * 2.0**-32
            low = np.where(trusted, share - offset - slack, 0.0)
            high = np.where(trusted, share - offset + slack, share)
        if sign > 0:
            mean_low, mean_high = mean_low + low, mean_high + high
        else:
            mean_low, mean_high = mean_low - high, mean_high - low
    start = ends[0] - ends[1]
    mean_low, mean_high = start + mean_low, start + mean_high
    least, most = start - held[1], start + held[0]  # where F - G can be inside the gap
    lower = np.maximum(0.0, np.maximum(mean_low, -mean_high))
    crossing = (least < 0) & (most > 0)
    span = np.where(crossing, most - least, 1.0)

    def chord(mean: Floats) -> Floats:
        inside = np.clip(mean, least, most)
        return (-least * (most - inside) + most * (inside - least)) / span

    outside = np.maximum(np.abs(mean_low), np.abs(mean_high))
    upper = np.where(crossing, np.maximum(chord(mean_low), chord(mean_high)), outside)
    return lower, np.maximum(lower, upper)


def _tails(
    baseline: RankedSample, current: RankedSample, finite: npt.NDArray[Any], first: int, last: int, n: int, m: int
) -> tuple[float, float]:
    """Bounds of the integral beyond the finite knots. The baseline's extremes are knots, so only one sample is there
    and the integral is its mean distance to the outermost knot: exact where the sums of its values were kept."""
    lower = upper = 0.0
    for sample, rows in ((baseline, n), (current, m)):
        for cell, end, total, extreme, sign in (
            (2 * first, finite[0], sample.below, sample.low, -1),
            (2 * last, finite[-1], sample.above, sample.high, 1),
        ):
            count = int(sample.cells[cell])
            if count == 0:
                continue
            edge = Fraction(end.item())
            if sample.gap_sums is not None:
                distance = float(sign * (total - count * edge) / rows)
                lower, upper = lower + distance, upper + distance
            elif extreme is not None:
                upper += float(sign * (Fraction(extreme) - edge)) * count / rows
            else:
                upper = float("inf")
    return lower, upper
