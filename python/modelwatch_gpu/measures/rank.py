"""Distances between distributions from rank counts: Kolmogorov-Smirnov, Cramer-von Mises, Wasserstein-1.

``ks``, ``cvm`` and ``wasserstein`` compare one pair of cell arrays; ``ks_of``, ``cvm_of`` and ``wasserstein_of`` (in
``transport``) many groups with one baseline, or with a group each.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from modelwatch_gpu.measures.cells import Cells, Counts, Floats, Ints, begins_among, max_by_group, ties_of
from modelwatch_gpu.measures.transport import RankedSample, wasserstein, without_rows
from modelwatch_gpu.measures.value import Value, Values

__all__ = ["RankedSample", "cvm", "cvm_of", "ks", "ks_chance", "ks_noise", "ks_of", "wasserstein"]

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
    return ks_of(Cells.dense(baseline), Cells.dense(current))[0]


def ks_of(baseline: Cells, current: Cells) -> Values:
    """``ks`` of every group: against one baseline, or group against group."""
    n, m = np.broadcast_to(baseline.total, current.groups).tolist(), current.total.tolist()
    wide = any(a * b >= _INT64_SAFE for a, b in zip(n, m, strict=True))
    least, most = _ks_integers(baseline, current, wide=wide)
    # Integer division is correctly rounded, so equal integers give equal bits everywhere.
    products = [max(1, a * b) for a, b in zip(n, m, strict=True)]
    lower = np.array([d / p for d, p in zip(least.tolist(), products, strict=True)], dtype=np.float64)
    upper = np.array([d / p for d, p in zip(most.tolist(), products, strict=True)], dtype=np.float64)
    return without_rows(
        Values(lower, lower, upper, current.total, np.zeros(current.groups, np.uint8)), baseline, current
    )


def _ks_integers(baseline: Cells, current: Cells, *, wide: bool) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """(groups,) D n m at least and at most, Python integers where they are ``wide``.

    Between two occupied cells of the current sample G stands still and F only grows, so |F - G| is largest at one of
    the ends of that stretch: it is enough to look at the begin and the end of every occupied cell.
    """
    begin, rows = current.begin, np.diff(current.begin)
    n = baseline.total if baseline.groups == 1 else np.repeat(baseline.total, rows)
    m = np.repeat(current.total, rows)
    count, upto = current.beside(baseline)
    # The gaps that may hold rows of both.
    shared = current.gaps[count[current.gaps] > 0]
    # (count up to the end, up to the begin) of every entry's cell, on both sides.
    sides = [upto, upto - count, current.upto, current.upto - current.count]
    if wide:
        # Python integers are slow: shares tell which few entries can be the largest of their group, to far less than
        # twice the rounding of two quotients.
        shares = [side / total for side, total in zip(sides, (n, n, m, m), strict=True)]
        near = np.zeros(len(count), dtype=bool)
        for about in _apart(shares[0], shares[1], shares[2], shares[3], shared):
            near |= about >= np.repeat(max_by_group(about, begin), rows) - 2.0**-48
        sides = [side[near].astype(object) for side in sides]
        n, m = np.broadcast_to(n, len(count))[near].astype(object), m[near].astype(object)
        shared, begin = begins_among(near, shared)[near[shared]], begins_among(near, begin)
    lower, upper = _apart(sides[0] * m, sides[1] * m, sides[2] * n, sides[3] * n, shared)
    return max_by_group(lower, begin), max_by_group(upper, begin)


def _apart(ends_b: Any, begins_b: Any, ends_c: Any, begins_c: Any, shared: Ints) -> tuple[Any, Any]:
    """(entries,) how far both sides are apart at the ends of a cell, and at most within it; ``shared``: entries
    within which they may be further apart."""
    lower = np.maximum(np.abs(ends_b - ends_c), np.abs(begins_b - begins_c))
    if not len(shared):
        return lower, lower
    upper = lower.copy()
    within = np.maximum(ends_b[shared] - begins_c[shared], ends_c[shared] - begins_b[shared])
    upper[shared] = np.maximum(lower[shared], within)
    return lower, upper


def ks_noise(n: Any, m: Any) -> Any:
    """What D is on average between two samples of n and m rows of one continuous distribution.

    sqrt(pi/2) ln 2 sqrt((n+m)/(nm)), the mean of the Kolmogorov distribution (Marsaglia, Tsang and Wang 2003).
    """
    return 0.8687311606361592 * _both(n, m)


def ks_chance(n: Any, m: Any) -> Any:
    """What D exceeds in 1% of pairs of samples of one continuous distribution: 1.6276 sqrt((n+m)/(nm)).

    The 99% point of the Kolmogorov distribution (Smirnov 1948).
    """
    return 1.6276 * _both(n, m)


def _both(n: Any, m: Any) -> Any:
    """sqrt((n+m)/(nm)) of numbers or arrays; in floating point, where n m may pass 2^63."""
    a, b = np.asarray(n, dtype=np.float64), np.asarray(m, dtype=np.float64)
    root = np.sqrt((a + b) / (a * b))
    return root if root.ndim else float(root)


def cvm(baseline: Counts, current: Counts) -> Value:
    """Two-sample Cramer-von Mises statistic T with mid-ranks, as ``scipy.stats.cramervonmises_2samp`` (Anderson 1962).

    Exact where no gap holds more than one window row and none of the baseline, else an interval: rows of one gap may
    be tied or not, and stand before or after the other sample's.
    """
    return cvm_of(Cells.dense(baseline), Cells.dense(current))[0]


def cvm_of(baseline: Cells, current: Cells) -> Values:
    """``cvm`` of every group: against one baseline, or group against group."""
    groups = current.groups
    c, c_end = current.count.astype(np.float64), current.upto.astype(np.float64)
    count, upto = current.beside(baseline)
    b, b_end = count.astype(np.float64), upto.astype(np.float64)
    b_before, c_before = b_end - b, c_end - c
    n, m = baseline.total.astype(np.float64), current.total.astype(np.float64)

    # SUM over rows of (pooled mid-rank - own rank)^2, at least and at most. A cell without rows of the other sample
    # adds its rows times the square of those before it, so baseline rows between two occupied cells go together.
    ties = ties_of(c)
    c_knot = c * _squared(b_before + b / 2) + ties
    following = np.append(b_before[1:], 0.0)
    last = current.begin[1:][np.diff(current.begin) > 0] - 1
    following[last] = np.broadcast_to(n, groups)[current.group[last]]
    between = (following - b_end) * _squared(c_end)
    b_knot = b * _squared(c_before + c / 2) + between
    g = current.gaps
    c_least, c_most = _with_gaps(current, c_knot, c[g] * _squared(b_before[g]), c[g] * _squared(b_end[g]) + ties[g])
    b_gap = [b[g] * _squared(side[g]) + between[g] for side in (c_before, c_end)]
    b_least, b_most = _with_gaps(current, b_knot, *b_gap)
    b_least, b_most = b_least + baseline.ties[0], b_most + baseline.ties[1]

    with np.errstate(divide="ignore", invalid="ignore"):
        total, product = n + m, n * m
        shift = (4 * product - 1) / (6 * total)
        lower = (n * b_least + m * c_least) / (product * total) - shift
        upper = (n * b_most + m * c_most) / (product * total) - shift
        # Sums of up to 2^18 doubles, taken pairwise: 2^-48 of the larger term covers what rounding can do.
        slack = (upper + shift) * 2.0**-48
        value = np.where(lower == upper, lower, np.nan)
        found = Values.between(lower - slack, upper + slack, current.total, value=value)
    return without_rows(found, baseline, current)


def _with_gaps(cells: Cells, values: Floats, *at_gaps: Floats) -> Iterator[Floats]:
    """(groups,) sums of ``values``, each time with other ones for gaps."""
    for own in at_gaps:
        values[cells.gaps] = own
        yield cells.sum(values)


def _squared(values: Floats) -> Floats:
    return values * values


def distinct_of(current: Cells) -> Values:
    """Distinct values of every group: one for every knot that occurs; a gap with c rows holds between 1 and c."""
    lower: Ints = np.diff(current.begin)
    upper: Ints = current.sum(np.where(current.on_knot, 1, current.count))
    least, most = lower.astype(np.float64), upper.astype(np.float64)
    return Values.between(least, most, current.total, value=np.where(lower == upper, least, np.nan))
