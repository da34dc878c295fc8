"""Samples counted on a grid in the plainest way, and distances worked out from their rows in exact arithmetic."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from modelwatch_gpu.measures.cells import Cells
from modelwatch_gpu.measures.rank import RankedSample
from modelwatch_gpu.measures.tails import reach_of, tail_of
from modelwatch_gpu.measures.transport import Transported, finite_span

Array = npt.NDArray[Any]


def knots_of(values: Sequence[float], dtype: str) -> Array:
    """A grid: distinct values in order, and the infinities of a float type."""
    inner = np.unique(np.array(values, dtype=dtype))
    return np.concatenate([[-np.inf], inner, [np.inf]]).astype(dtype) if inner.dtype.kind == "f" else inner


def sample_on(values: Array, knots: Array, *, sums: bool = True) -> RankedSample:
    """One sample on a grid; ``sums``: whether sums of offsets and of tails are kept, as on the fine grid."""
    below, upto = np.searchsorted(knots, values, side="left"), np.searchsorted(knots, values, side="right")
    cells = np.bincount(below + upto, minlength=2 * len(knots) + 1).astype(np.uint64)
    first, last = finite_span(knots)
    gap_sums = np.zeros(len(knots) + 1, dtype=np.uint64)
    tails = [Fraction(0), Fraction(0)]
    for x, gap, end in zip(values.tolist(), below.tolist(), upto.tolist(), strict=True):
        if gap != end or not np.isfinite(x):
            continue
        if gap in (first, last):
            tails[int(gap == last)] += Fraction(x)
            continue
        low, high = Fraction(knots[gap - 1].item()), Fraction(knots[gap].item())
        gap_sums[gap] += np.uint64(round((Fraction(x) - low) / (high - low) * 2**32))
    finite = values[np.isfinite(values)]
    ends = (finite.min().item(), finite.max().item()) if len(finite) else (None, None)
    return RankedSample(cells, gap_sums if sums else None, tails[0], tails[1], *ends)


def together(samples: Sequence[RankedSample], knots: Array) -> Transported:
    """Samples as groups on one grid."""
    first, last = finite_span(knots)
    dense = np.array([s.cells for s in samples])
    kept = samples[0].gap_sums is not None
    tails = []
    for below in (True, False):
        rows = dense[:, 2 * first if below else 2 * last].astype(np.int64)
        edge = knots[first : first + 1] if below else knots[last - 1 : last]
        extremes = [(s.low if below else s.high) for s in samples]
        far = np.array([edge[0].item() if x is None else x for x in extremes], dtype=knots.dtype)
        sums = {g: s.below if below else s.above for g, s in enumerate(samples)} if kept else None
        reach = reach_of(far, edge, rows, below=below)
        tails.append(tail_of(rows, reach, sums, Fraction(edge[0].item()), below=below))
    gaps = np.array([s.gap_sums for s in samples]) if kept else None
    return Transported(Cells.dense(dense, gaps), tails[0], tails[1])


def true_wasserstein(a: Array, b: Array) -> Fraction:
    """The integral of |F - G| over rows, in rational numbers."""
    points = sorted({Fraction(x) for x in [*a.tolist(), *b.tolist()]})
    left, right = ([Fraction(x) for x in sorted(side.tolist())] for side in (a, b))
    total = Fraction(0)
    for low, high in pairwise(points):
        shares = [Fraction(bisect_right(side, low), len(side)) for side in (left, right)]
        total += abs(shares[0] - shares[1]) * (high - low)
    return total


def true_quantile(values: Array, probability: str) -> Any:
    """The smallest value x with F(x) >= p, of the rows."""
    rank = max(1, -(-len(values) * Fraction(probability).numerator // Fraction(probability).denominator))
    return np.sort(values)[rank - 1]
