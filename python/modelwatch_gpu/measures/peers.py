"""The numbers of other monitoring packages, from their published rules. Nothing here imports or copies a peer.

Every function takes the present values of both sides, as sorted or unsorted NumPy arrays of numbers, or the counts of
both sides over every value of either. ``p`` and ``q`` are shares of the reference and the current side.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import numpy.typing as npt

from modelwatch_gpu.measures import bins

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Shares = tuple[Floats, Floats]

#: Evidently bins numbers where the reference has more distinct values than this.
_EVIDENTLY_DISTINCT = 20
#: Evidently divides by at least this standard deviation.
EVIDENTLY_SD = 1e-3
#: NannyML is exact below this many reference rows, and from there on uses as many bins.
NANNYML_ROWS = 10_000
#: Deepchecks' smallest category and smallest share; what it leaves out at either end of numbers.
_DEEPCHECKS_SHARE = 0.01
_DEEPCHECKS_MARGIN = 0.025


def distinct_counts(a: Array, b: Array) -> tuple[Array, Array, Array]:
    """Distinct values of both sides in order, and how often each side has them."""
    values = np.unique(np.concatenate([a, b]))
    counts = [np.zeros(len(values), dtype=np.uint64) for _ in range(2)]
    for side, into in zip((a, b), counts, strict=True):
        own, times = np.unique(side, return_counts=True)
        into[np.searchsorted(values, own)] = times
    return values, counts[0], counts[1]


def binned(a: Array, b: Array, edges: Floats) -> Shares:
    """Shares of both sides in bins [a, b), the last closed; rows beyond the edges count in the totals only. Raises
    ValueError where the range of the values is too wide for finite edges."""
    if not np.isfinite(edges).all():
        raise ValueError("edges are not finite")
    return np.histogram(a, edges)[0] / len(a), np.histogram(b, edges)[0] / len(b)


def with_leftover(p: Floats, q: Floats) -> Shares:
    """NannyML: what the current side has outside the reference's bins or values is one more bin."""
    left = 1 - float(np.sum(q))
    return (np.append(p, 0.0), np.append(q, left)) if left > 0 else (p, q)


# ---- Evidently -------------------------------------------------------------------------------------------------------


def evidently_shares(a: Array, b: Array) -> Shares:
    """Sturges bins over both sides where the reference has more than 20 distinct values, else one bin a value."""
    if len(np.unique(a)) > _EVIDENTLY_DISTINCT:
        return binned(a, b, np.histogram_bin_edges(np.concatenate([a, b]), "sturges"))
    _, p, q = distinct_counts(a, b)
    return bins.shares(p), bins.shares(q)


def evidently_psi(p: Floats, q: Floats) -> float:
    """SUM (p - q) ln(p / q). Empty bins hold 1e-4; where the smallest share is not above that, a millionth of it."""

    def filled(shares: Floats) -> Floats:
        least = float(np.min(shares[shares > 0], initial=1.0))
        return np.where(shares > 0, shares, least / 1e6 if least <= 1e-4 else 1e-4)

    p, q = filled(p), filled(q)
    return float(np.sum((p - q) * np.log(p / q)))


def js_distance_nats(p: Floats, q: Floats) -> float:
    """Jensen-Shannon distance with the natural logarithm, 0 to sqrt(ln 2) (Evidently, Eurybia)."""
    return float(np.sqrt(bins.js_divergence(p, q) * np.log(2)))


def evidently_hellinger_shares(a: Array, b: Array) -> Shares:
    """Sturges bins of the distinct values of both sides."""
    return binned(a, b, np.histogram_bin_edges(np.unique(np.concatenate([a, b])), "sturges"))


def evidently_wasserstein(distance: float, reference: Array) -> float:
    """Wasserstein-1 over the reference's population standard deviation, which counts as at least 0.001."""
    return distance / max(float(np.std(reference)), EVIDENTLY_SD)


def evidently_chi_square(p: Array, q: Array) -> tuple[float, int]:
    """One-sample chi-square of the current counts against the reference's shares, and its degrees of freedom; infinite
    where the current side has a new value."""
    expected = p.astype(np.float64) * (float(q.sum()) / float(p.sum()))
    gap = (q.astype(np.float64) - expected) ** 2
    with np.errstate(divide="ignore"):
        return float(np.sum(gap / expected)), len(p) - 1


# ---- NannyML ---------------------------------------------------------------------------------------------------------


def nannyml_shares(a: Array, b: Array) -> Shares:
    """Doane bins of the reference in float64, and a leftover."""
    return with_leftover(*binned(a, b, np.histogram_bin_edges(a.astype(np.float64), "doane")))


def nannyml_value_shares(p: Array, q: Array) -> Shares:
    """The reference's values, and a leftover."""
    known = p > 0
    return with_leftover(p[known] / p.sum(), q[known] / q.sum())


def nannyml_ks(a: Array, b: Array) -> float:
    """D at the ends of 10,000 equal bins of the reference's range: what NannyML takes from 10,000 reference rows on."""
    edges = np.linspace(a.min(), a.max(), NANNYML_ROWS + 1)
    p, q = binned(a, b, edges)
    below = np.count_nonzero(b < edges[0]) / len(b)
    return float(np.max(np.abs(np.cumsum(p) - (below + np.cumsum(q)))))


def nannyml_wasserstein(a: Array, b: Array) -> float:
    """The integral of |F - G| over 10,000 equal bins of the reference's range, and the exact mean excess beyond it.

    Where current rows lie below the range, NannyML's G is one row too high inside it; so is this one.
    """
    counts, edges = np.histogram(a, NANNYML_ROWS)
    low, high = edges[0], edges[-1]
    under, over = b[b < low], b[b > high]
    lift = (len(under) + 1) / len(b) if len(under) else 0.0
    apart = np.cumsum(counts / len(a)) - (np.cumsum(np.histogram(b, edges)[0] / len(b)) + lift)
    inside = float(np.sum(np.abs(apart)) * (edges[1] - edges[0]))
    return inside + float(np.sum(low - under) + np.sum(over - high)) / len(b)


def yates_chi_square(p: Array, q: Array) -> tuple[float, int]:
    """Pearson's statistic of the 2 x values table and its degrees of freedom, with Yates's correction where there is
    one (NannyML, through SciPy)."""
    used = (p > 0) | (q > 0)
    freedom = int(np.count_nonzero(used)) - 1
    if freedom != 1:
        return (bins.chi_square(p, q) if freedom else 0.0), freedom
    table = np.stack([p[used], q[used]]).astype(np.float64)
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True) / table.sum()
    gap = np.abs(table - expected)
    return float(np.sum((gap - np.minimum(0.5, gap)) ** 2 / expected)), freedom


# ---- Deepchecks, Frouros, Eurybia, Deequ, TFDV -----------------------------------------------------------------------


def _deepchecks_pooled(p: Array, q: Array) -> tuple[Array, Array]:
    """Counts with the categories of less than 1% of the reference as one, "Other", left out where it is at most 1% on
    both sides."""
    small = bins.shares(p) < _DEEPCHECKS_SHARE
    other = p[small].sum(), q[small].sum()
    kept = p[~small], q[~small]
    if max(other[0] / p.sum(), other[1] / q.sum()) > _DEEPCHECKS_SHARE:
        return np.append(kept[0], other[0]), np.append(kept[1], other[1])
    return kept


def deepchecks_psi(p: Array, q: Array) -> float:
    """Small categories pooled; shares of all rows are clipped at 0.01."""
    rows = p.sum(), q.sum()
    first, second = (np.maximum(c / n, _DEEPCHECKS_SHARE) for c, n in zip(_deepchecks_pooled(p, q), rows, strict=True))
    return float(np.sum((second - first) * np.log(second / first)))


def deepchecks_cramers_v(p: Array, q: Array) -> float:
    """Small categories pooled; the larger side scaled down to the rows of the smaller, in whole rows; two categories
    with Yates' correction; less what chance adds (Bergsma 2013). 0 where there is one category."""
    sizes = int(p.sum()), int(q.sum())
    sides = zip(_deepchecks_pooled(p, q), sizes, strict=True)
    table = np.array([np.rint(side.astype(np.float64) * min(sizes) / size) for side, size in sides])
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2:
        return 0.0
    total = float(table.sum())
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / total
    apart = np.abs(table - expected)
    if table.shape[1] == 2:
        apart = apart - np.minimum(0.5, apart)
    return float(bins.cramers_v(np.sum(apart * apart / expected), table.shape[1], total))


def deepchecks_scaled(a: Array, b: Array) -> Shares:
    """Each side without what lies outside its own quantiles at 2.5% and 97.5%; both scaled to [0, 1] by what is left of
    them together, or 0 where that is one value. Deepchecks' earth mover's distance is Wasserstein-1 of these."""

    def inside(side: Array) -> Floats:
        low, high = np.quantile(side.astype(np.float64), [_DEEPCHECKS_MARGIN, 1 - _DEEPCHECKS_MARGIN])
        kept: Floats = side[(side >= low) & (side <= high)].astype(np.float64)
        return kept

    a, b = inside(a), inside(b)
    low, high = min(a.min(), b.min()), max(a.max(), b.max())
    return ((a - low) / (high - low), (b - low) / (high - low)) if high > low else (a * 0.0, b * 0.0)


def equal_width_shares(a: Array, b: Array, count: int) -> Shares:
    """Equal bins over the range of both sides."""
    return binned(a, b, np.histogram_bin_edges(np.concatenate([a, b]).astype(np.float64), count))


def frouros_psi(p: Floats, q: Floats) -> float:
    """SUM (q - p) ln(q / p); empty bins hold the smallest normal double."""
    p, q = np.where(p > 0, p, sys.float_info.min), np.where(q > 0, q, sys.float_info.min)
    return float(np.sum((q - p) * np.log(q / p)))


def deequ_psi(p: Floats, q: Floats) -> float:
    """SUM (p - q) ln(p / q) without a floor: infinite or undefined where a bin is empty."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.sum((p - q) * np.log(p / q)))


def deequ_ks(d: float, n: int, m: int) -> float:
    """D less 1.8 sqrt((n + m) / (nm)), at least 0."""
    return max(0.0, d - 1.8 * float(np.sqrt((n + m) / (n * m))))


def tfdv_shares(a: Array, b: Array) -> Shares:
    """Ten equal buckets of each side's finite range, split at the other side's boundaries in proportion to width.

    A side with one finite value is a point mass, which shares no bucket with mass that is spread. Mass at the
    infinities is shared with nobody, not even with the other side's; so is mass at NaN where both sides have the same
    boundaries, and where they differ, which is nearly always, NaN is left out.
    """
    finite = [side[np.isfinite(side)].astype(np.float64) for side in (a, b)]
    edges = [np.linspace(f.min(), f.max(), 11) if len(f) and f.min() < f.max() else None for f in finite]
    merged = np.unique(np.concatenate([e for e in edges if e is not None] or [np.empty(0)]))
    points = sorted({float(f[0]) for f, e in zip(finite, edges, strict=True) if len(f) and e is None})
    width = max(0, len(merged) - 1)
    alike = all(len(e) == len(merged) for e in edges if e is not None) and (edges[0] is None) == (edges[1] is None)
    out = []
    for at, (side, own, cut) in enumerate(zip((a, b), finite, edges, strict=True)):
        mass = np.zeros(width + len(points) + 4)
        if cut is not None:
            counts = np.histogram(own, cut)[0]
            into = np.clip(np.searchsorted(cut, merged[:-1], side="right") - 1, 0, 9)
            inside = (merged[:-1] >= cut[0]) & (merged[1:] <= cut[-1])
            spread = counts[into] * np.diff(merged) / np.diff(cut)[into]
            mass[:width] = np.where(inside, spread, 0.0)
        elif len(own):
            mass[width + points.index(float(own[0]))] = len(own)
        missing = int(np.count_nonzero(np.isnan(side)))
        mass[width + len(points) + at] = len(side) - len(own) - missing
        mass[width + len(points) + 2 + at] = missing if alike else 0
        out.append(mass / max(1.0, mass.sum()))
    return out[0], out[1]
