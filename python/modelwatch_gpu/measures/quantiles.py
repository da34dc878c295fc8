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
class Knots:
    """The knots of one or several grids in one line: (knots,) ``values`` in one dtype, those of grid k from
    ``begin[k]`` to ``begin[k + 1]``. ``which``: (groups,) the grid of each group."""

    values: npt.NDArray[Any]
    begin: Ints
    which: Ints

    @classmethod
    def of(cls, grids: Sequence[npt.NDArray[Any]], which: Ints) -> Knots:
        """From the knots of each grid."""
        return cls(np.concatenate(grids) if len(grids) > 1 else grids[0], np.cumsum([0, *map(len, grids)]), which)

    @property
    def sizes(self) -> Ints:
        """(groups,) how many knots each group's grid has."""
        return np.diff(self.begin)[self.which]

    def below(self, gap: Ints, group: Ints) -> Floats:
        """The lower edges of gaps of groups: of gap k the knot k - 1, of the first one -inf; of gap M + 1, beyond the
        last, inf."""
        first, last = self.begin[self.which[group]], self.begin[self.which[group] + 1]
        at = (first + gap - 1).clip(0, max(0, len(self.values) - 1))
        knot = self.values[at].astype(np.float64) if len(self.values) else np.zeros(gap.shape)
        return np.where(gap < 1, -np.inf, np.where(gap > last - first, np.inf, knot))

    def outermost(self, *, below: bool) -> npt.NDArray[Any]:
        """(groups,) the first or the last of the finite knots; a float grid begins with -inf and ends with +inf."""
        beside = 1 if self.values.dtype.kind == "f" else 0
        at = self.begin[self.which] + beside if below else self.begin[self.which + 1] - 1 - beside
        return self.values[at]


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
    knots: npt.NDArray[Any] | Knots,
    probabilities: Sequence[float],
    low: npt.NDArray[Any] | None = None,
    high: npt.NDArray[Any] | None = None,
    where: Located | None = None,
) -> list[Values]:
    """Quantiles by the inverse of the empirical distribution: the smallest value x with F(x) >= p.

    Args:
        cells: Groups of counts on a grid, infinities included.
        knots: (M,) values of the grid's knots, increasing, in the column's dtype; or those of several grids.
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
    own = knots if isinstance(knots, Knots) else Knots.of([knots], np.zeros(groups, dtype=np.int64))
    if not len(cells.cell):
        return [Values.absent("all_missing", cells.total) for _ in probabilities]
    some = cells.total > 0
    least = np.full(groups, -np.inf) if low is None else np.where(some, low, 0).astype(np.float64)
    most = np.full(groups, np.inf) if high is None else np.where(some, high, 0).astype(np.float64)
    where = where if where is not None else located(cells, probabilities)
    cell, count = cells.cell[where.entry], cells.count[where.entry]
    every = np.arange(groups)
    gap, above = cell % 2 == 0, own.below(cell // 2 + 1, every)
    # Cell 2k + 1 is a knot, gap 2k lies between the knot before and it.
    lower = np.where(gap, np.maximum(own.below(cell // 2, every), least), above)
    upper = np.where(gap, np.minimum(above, most), lower)
    within = where.rank - (cells.line[where.entry] - cells.line[cells.begin[:-1]])
    value, lower, upper = between(lower, upper, within, count, gap)
    known = np.isfinite(lower), np.isfinite(upper)
    value = np.where(known[0] & known[1], value, np.where(known[0], lower, upper))
    finite = some & (known[0] | known[1])
    reason = np.where(finite, HAS_NUMBER, np.where(some, REASON_CODES["not_finite"], REASON_CODES["all_missing"]))
    reason = reason.astype(np.uint8)
    value, lower, upper = (np.where(finite & np.isfinite(x), x, np.nan) for x in (value, lower, upper))
    return [Values(value[i], lower[i], upper[i], cells.total, reason[i]) for i in range(len(probabilities))]


def between(lower: Floats, upper: Floats, within: Ints, count: Ints, gap: Any = True) -> tuple[Floats, Floats, Floats]:
    """Value, lower and upper of the quantiles that are row ``within`` of the ``count`` rows of a cell, which has equal
    steps where it is a ``gap``."""
    upper = np.maximum(lower, upper)
    with np.errstate(invalid="ignore", over="ignore"):
        part = (within - 0.5) / count
        value = np.where(gap, lower * (1 - part) + upper * part, lower)
    return np.minimum(np.maximum(value, lower), upper), lower, upper
