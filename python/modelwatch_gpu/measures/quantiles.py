"""Quantiles of many groups from cell counts, with bounds where a gap hides them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from modelwatch_gpu.measures.cells import Cells, Floats, Ints
from modelwatch_gpu.measures.value import HAS_NUMBER, REASON_CODES, Values

#: What a profile row shows, by name.
SHOWN: Final = {"p1": 0.01, "p5": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95, "p99": 0.99}


@cache
def _as_written(probability: float) -> Fraction:
    return Fraction(str(probability))


def rank_of(probability: float, counts: Ints) -> Ints:
    """(groups,) the rank r, from 1, of the smallest value x with F(x) >= p: max(1, ceil(p n)), with p as written."""
    ranks: Ints = ranks_of([probability], counts)[0]
    return ranks


def ranks_of(probabilities: Sequence[float], counts: Ints) -> Ints:
    """(quantiles, groups) ``rank_of`` each."""
    shares = [_as_written(p) for p in probabilities]
    for share, probability in zip(shares, probabilities, strict=True):
        if not 0 <= share <= 1:
            raise ValueError(f"a quantile needs a probability between 0 and 1, not {probability}")
    above, below = (
        np.array([s.numerator for s in shares])[:, None],
        np.array([s.denominator for s in shares])[:, None],
    )
    if int(np.max(counts, initial=0)) * max(1, int(above.max())) < 1 << 62:
        ranks: Ints = np.maximum(1, -(-counts * above // below))
        return ranks
    exact = [[max(1, -(-n * s.numerator // s.denominator)) for n in counts.tolist()] for s in shares]
    return np.array(exact, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Located:
    """Where quantiles stand: (quantiles, groups) each. ``entry``: of the ``Cells``, the one that holds the ``rank``; 0
    for groups without rows."""

    rank: Ints
    entry: Ints


def located(cells: Cells, probabilities: Sequence[float]) -> Located:
    """The occupied cells that hold quantiles; there must be one."""
    some = cells.total > 0
    rank = ranks_of(probabilities, cells.total)
    # Rows of all groups in one line: the entry that holds a rank is found in one search.
    entry = np.searchsorted(cells.line[1:], cells.line[cells.begin[:-1]] + np.where(some, rank, 1), side="left")
    return Located(rank, np.where(some, entry, 0))


def quantile_bounds(
    cells: Cells,
    knots: npt.NDArray[Any],
    probabilities: Sequence[float],
    low: npt.NDArray[Any] | None = None,
    high: npt.NDArray[Any] | None = None,
    where: Located | None = None,
) -> list[Values]:
    """Quantiles by the inverse of the empirical distribution: the smallest value x with F(x) >= p.

    Args:
        cells: Groups of counts on a grid, infinities included.
        knots: (M,) values of the grid's knots, increasing, in the column's dtype.
        probabilities: Of each quantile, 0 to 1; 0 is the smallest value.
        low, high: (groups,) the smallest and largest value of each group, where they are known.
        where: What ``located`` says, if somebody has asked already.

    Returns:
        For every probability the groups' ``Values`` in float64. On a knot the quantile is exact. In a gap ``lower``
        and ``upper`` are the knots around it, no further than ``low`` and ``high``, and ``value`` lies between them
        where equal steps for the gap's rows would put it. A bound or value that is not finite is NaN, and a quantile
        that is infinite is ``not_finite``.
    """
    groups = cells.groups
    if not len(cells.cell):
        return [Values.absent("all_missing", cells.total) for _ in probabilities]
    some = cells.total > 0
    least = np.full(groups, -np.inf) if low is None else np.where(some, low, 0).astype(np.float64)
    most = np.full(groups, np.inf) if high is None else np.where(some, high, 0).astype(np.float64)
    where = where if where is not None else located(cells, probabilities)
    cell, count = cells.cell[where.entry], cells.count[where.entry]
    gap, above = cell % 2 == 0, edges_at(knots, cell // 2 + 1)
    # Cell 2k + 1 is a knot, gap 2k lies between the knot before and it.
    lower = np.where(gap, np.maximum(edges_at(knots, cell // 2), least), above)
    upper = np.where(gap, np.minimum(above, most), lower)
    within = where.rank - (cells.upto[where.entry] - count)
    value, lower, upper = between(lower, upper, within, count, gap)
    known = np.isfinite(lower), np.isfinite(upper)
    value = np.where(known[0] & known[1], value, np.where(known[0], lower, upper))
    finite = some & (known[0] | known[1])
    reason = np.where(finite, HAS_NUMBER, np.where(some, REASON_CODES["not_finite"], REASON_CODES["all_missing"]))
    reason = reason.astype(np.uint8)
    value, lower, upper = (np.where(finite & np.isfinite(x), x, np.nan) for x in (value, lower, upper))
    return [Values(value[i], lower[i], upper[i], cells.total, reason[i]) for i in range(len(probabilities))]


def edges_at(knots: npt.NDArray[Any], gap: Ints) -> Floats:
    """The lower edges of gaps: of gap k the knot k - 1, of the first one -inf; of gap M + 1, beyond the last, inf."""
    knot = knots[np.clip(gap - 1, 0, len(knots) - 1)].astype(np.float64) if len(knots) else np.zeros(gap.shape)
    return np.where(gap < 1, -np.inf, np.where(gap > len(knots), np.inf, knot))


def between(lower: Floats, upper: Floats, within: Ints, count: Ints, gap: Any = True) -> tuple[Floats, Floats, Floats]:
    """Value, lower and upper of the quantiles that are row ``within`` of the ``count`` rows of a cell, which has equal
    steps where it is a ``gap``."""
    upper = np.maximum(lower, upper)
    with np.errstate(invalid="ignore", over="ignore"):
        part = (within - 0.5) / count
        value = np.where(gap, lower * (1 - part) + upper * part, lower)
    return np.minimum(np.maximum(value, lower), upper), lower, upper
