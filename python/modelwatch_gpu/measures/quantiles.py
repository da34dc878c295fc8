"""Quantiles of many groups from cell counts, with bounds where a gap hides them."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from modelwatch_gpu.measures.cells import Cells, Floats, Ints
from modelwatch_gpu.measures.value import HAS_NUMBER, REASON_CODES, Values

#: What a profile row shows, by name.
SHOWN: Final = {"p1": 0.01, "p5": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95, "p99": 0.99}


def rank_of(probability: float, counts: Ints) -> Ints:
    """(groups,) the rank r, from 1, of the smallest value x with F(x) >= p: max(1, ceil(p n)), with p as written."""
    p = Fraction(str(probability))
    if not 0 <= p <= 1:
        raise ValueError(f"a quantile needs a probability between 0 and 1, not {probability}")
    if int(np.max(counts, initial=0)) * max(p.numerator, 1) < 1 << 62:
        return np.maximum(1, -(-counts * p.numerator // p.denominator))
    exact = [max(1, -(-n * p.numerator // p.denominator)) for n in counts.tolist()]
    return np.array(exact, dtype=np.int64)


def quantile_bounds(
    cells: Cells,
    knots: npt.NDArray[Any],
    probabilities: Sequence[float],
    low: npt.NDArray[Any] | None = None,
    high: npt.NDArray[Any] | None = None,
) -> list[Values]:
    """Quantiles by the inverse of the empirical distribution: the smallest value x with F(x) >= p.

    Args:
        cells: Groups of counts on a grid, infinities included.
        knots: (M,) values of the grid's knots, increasing, in the column's dtype.
        probabilities: Of each quantile, 0 to 1; 0 is the smallest value.
        low, high: (groups,) the smallest and largest value of each group, where they are known.

    Returns:
        For every probability the groups' ``Values`` in float64. On a knot the quantile is exact. In a gap ``lower``
        and ``upper`` are the knots around it, no further than ``low`` and ``high``, and ``value`` lies between them
        where equal steps for the gap's rows would put it. A bound or value that is not finite is NaN, and a quantile
        that is infinite is ``not_finite``.
    """
    groups, positions = cells.groups, np.asarray(knots).astype(np.float64)
    if not len(cells.cell):
        return [Values.absent("all_missing", cells.total) for _ in probabilities]
    some = cells.total > 0
    least = np.full(groups, -np.inf) if low is None else np.where(some, low, 0).astype(np.float64)
    most = np.full(groups, np.inf) if high is None else np.where(some, high, 0).astype(np.float64)
    edges = np.concatenate([[-np.inf], positions, [np.inf]])
    # Rows of all groups in one line: the entry that holds a rank is found in one search.
    offset = np.concatenate([[0], np.cumsum(cells.total)])
    line = np.cumsum(cells.count)
    found = []
    for probability in probabilities:
        rank = rank_of(probability, cells.total)
        at = np.searchsorted(line, offset[:-1] + np.where(some, rank, 1), side="left")
        at = np.where(some, at, 0)
        before = cells.upto[at] - cells.count[at]
        found.append(_quantile(cells.cell[at], rank - before, cells.count[at], edges, (least, most), some, cells.total))
    return found


def _quantile(
    cell: Ints, within: Ints, count: Ints, edges: Floats, ends: tuple[Floats, Floats], some: Any, n: Ints
) -> Values:
    gap = cell % 2 == 0
    # ``edges`` begins with one more end, so cell 2k + 1 is edges[k + 1] and gap 2k lies between edges[k] and it.
    lower = np.where(gap, np.maximum(edges[cell // 2], ends[0]), edges[cell // 2 + 1])
    upper = np.where(gap, np.minimum(edges[cell // 2 + 1], ends[1]), lower)
    upper = np.maximum(lower, upper)
    with np.errstate(invalid="ignore", over="ignore"):
        part = (within - 0.5) / count
        value = np.where(gap, lower * (1 - part) + upper * part, lower)
    value = np.minimum(np.maximum(value, lower), upper)
    known = np.isfinite(lower), np.isfinite(upper)
    value = np.where(known[0] & known[1], value, np.where(known[0], lower, upper))
    finite = some & (known[0] | known[1])
    reason = np.where(finite, HAS_NUMBER, np.where(some, REASON_CODES["not_finite"], REASON_CODES["all_missing"]))
    value, lower, upper = (np.where(finite & np.isfinite(x), x, np.nan) for x in (value, lower, upper))
    return Values(value, lower, upper, n, reason.astype(np.uint8))
