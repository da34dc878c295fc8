"""Distances between distributions from rank counts: Kolmogorov-Smirnov, Cramer-von Mises, Wasserstein-1.

``ks``, ``cvm`` and ``wasserstein`` compare one pair of cell arrays; ``ks_of``, ``cvm_of`` and ``wasserstein_of`` (in
``transport``) many groups with one baseline, or with a group each.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from modelwatch_gpu.measures.cells import Cells, Counts, Floats, Ints, beside
from modelwatch_gpu.measures.transport import RankedSample, wasserstein, without_rows
from modelwatch_gpu.measures.value import Value, Values

#: Whole numbers below it are float64s.
_EXACT: Final = 1 << 53

__all__ = ["RankedSample", "cvm", "cvm_of", "ks", "ks_chance", "ks_noise", "ks_of", "wasserstein"]


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


def ks_of(baseline: Cells, current: Cells, of: Ints | None = None) -> Values:
    """``ks`` of every group: against one baseline, or group against group, or as ``of`` says: (groups,) which group of
    the baseline."""
    of = beside(baseline.groups, current.groups) if of is None else of
    ranked = current.ranked_beside(baseline)
    n, m = baseline.total[of], current.total
    lower, upper = (_quotients(high, low, n, m) for high, low in (ranked["ks_least"], ranked["ks_most"]))
    return without_rows(
        Values(lower, lower, upper, current.total, np.zeros(current.groups, np.uint8)), baseline, current, of
    )


def _quotients(high: Counts, low: Counts, n: Ints, m: Ints) -> Floats:
    """Integers of two times 64 bits over n m, 0 / 0 as 0: correctly rounded, so equal integers give equal bits
    everywhere."""
    with np.errstate(over="ignore"):
        product = np.maximum(n * m, 1)
    # A float64 holds both sides of these, and division rounds correctly.
    small = (high == 0) & (low < _EXACT) & (n.astype(np.float64) * m < _EXACT)
    out = low / np.where(small, product, 1)
    rest = np.flatnonzero(~small)
    wide = zip(high[rest].tolist(), low[rest].tolist(), n[rest].tolist(), m[rest].tolist(), strict=True)
    out[rest] = [((h << 64) | x) / max(1, a * b) for h, x, a, b in wide]
    return out


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


def cvm_of(baseline: Cells, current: Cells, of: Ints | None = None) -> Values:
    """``cvm`` of every group, held against groups as for ``ks_of``."""
    of = beside(baseline.groups, current.groups) if of is None else of
    n, m = baseline.total[of].astype(np.float64), current.total.astype(np.float64)
    # SUM over rows of (pooled mid-rank - own rank)^2, at least and at most.
    ranked = current.ranked_beside(baseline)
    c_least, c_most = ranked["current_least"], ranked["current_most"]
    b_least, b_most = ranked["baseline_least"] + baseline.ties[0][of], ranked["baseline_most"] + baseline.ties[1][of]
    with np.errstate(divide="ignore", invalid="ignore"):
        total, product = n + m, n * m
        shift = (4 * product - 1) / (6 * total)
        lower = (n * b_least + m * c_least) / (product * total) - shift
        upper = (n * b_most + m * c_most) / (product * total) - shift
        # Sums of up to 2^18 doubles, taken pairwise: 2^-48 of the larger term covers what rounding can do.
        slack = (upper + shift) * 2.0**-48
        value = np.where(lower == upper, lower, np.nan)
        found = Values.between(lower - slack, upper + slack, current.total, value=value)
    return without_rows(found, baseline, current, of)


def distinct_of(current: Cells) -> Values:
    """Distinct values of every group: one for every knot that occurs; a gap with c rows holds between 1 and c."""
    lower: Ints = np.diff(current.begin)
    knots, line = current.knots
    upper: Ints = knots + current.total - np.diff(line[current.begin])
    least, most = lower.astype(np.float64), upper.astype(np.float64)
    return Values.between(least, most, current.total, value=np.where(lower == upper, least, np.nan))
