"""Wasserstein distances as statistics of cells: the integral of |F - G| over a column's coarse grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from modelwatch_gpu.checks.cell_values import tail_distances
from modelwatch_gpu.checks.statistics import Statistic, shares_upto
from modelwatch_gpu.checks.units import block_counts
from modelwatch_gpu.measures.moments import folded
from modelwatch_gpu.measures.results import Block
from modelwatch_gpu.measures.transport import finite_span
from modelwatch_gpu.measures.value import Bools, Floats
from modelwatch_gpu.profile.baseline import Baseline
from modelwatch_gpu.profile.columns import Column, NumericColumn
from modelwatch_gpu.profile.parts import Part
from modelwatch_gpu.profile.tables import NumericTable

MEASURES = ("wasserstein", "wasserstein_sd")


def transport_statistic(baseline: Baseline, merged: Part, column: Column, measure: str, grid: str) -> Statistic | None:
    """Of ``wasserstein`` and ``wasserstein_sd``; None for any other measure. ``grid``: of the log's windows.

    Only how much the distance varies is taken from the coarse grid, not the distance: between two knots F - G runs from
    one end to the other. Beyond the knots rows are as far out as they are on average in the log.
    """
    if measure not in MEASURES or not isinstance(column, NumericColumn):
        return None
    placed = Placed.of(baseline, merged, column, grid, scaled=measure == "wasserstein_sd")
    return Statistic(_values_upto, placed.apart, shares_upto, cumulative=True)


def _values_upto(_: Column, counts: Floats, __: Bools) -> Floats:
    """(units, cells) rows up to the end of every cell of a number; missing rows left out."""
    return np.cumsum(counts[:, :-2], axis=1)


@dataclass(frozen=True, eq=False)
class Placed:
    """Where the coarse cells of a number lie, in its units. ``width``: (cells,) of a gap between knots, and of the gaps
    beyond them how far out rows are; 0 of knots. ``tail``: (cells,) which gaps are beyond the knots. ``middle``:
    (cells,). ``sd``: what a standard deviation from cells is multiplied by, None where none is divided by."""

    width: Floats
    tail: Bools
    middle: Floats
    sd: float | None

    @classmethod
    def of(cls, baseline: Baseline, merged: Part, column: NumericColumn, grid: str, *, scaled: bool) -> Placed:
        """Of a column of both sides."""
        knots = column.values[column.coarse]
        first, last = finite_span(knots)
        unit = 10.0**-column.scale
        place = np.where(np.isfinite(knots.astype(np.float64)), knots.astype(np.float64), 0.0) * unit
        cells = 2 * len(knots) + 1
        width, tail, middle = np.zeros(cells), np.zeros(cells, dtype=bool), np.zeros(cells)
        middle[1::2] = place
        if last > first:
            width[2 * first + 2 : 2 * last : 2] = np.diff(place[first:last])
            middle[2 * first + 2 : 2 * last : 2] = (place[first : last - 1] + place[first + 1 : last]) / 2
            tail[[2 * first, 2 * last]] = True
            out = tail_distances(column, merged, grid)
            width[2 * first], width[2 * last] = out
            middle[2 * first], middle[2 * last] = place[first] - out[0], place[last - 1] + out[1]
        found = cls(width, tail, middle, None)
        if not scaled:
            return found
        return cls(width, tail, middle, _times(baseline, column, found))

    def apart(self, before: Floats, after: Floats) -> Floats:
        """(replicates,) distances of (replicates, cells) distribution functions."""
        difference = np.subtract(before, after, out=after)
        begin = np.concatenate([np.zeros((len(difference), 1)), difference[:, :-1]], axis=1)
        height = (np.abs(begin) + np.abs(difference)) / 2
        height[:, self.tail] = np.abs(difference - begin)[:, self.tail]
        found: Floats = height @ self.width
        if self.sd is None:
            return found
        with np.errstate(divide="ignore", invalid="ignore"):
            return found / (self.sd * self.deviation(before))

    def deviation(self, upto: Floats) -> Floats:
        """(replicates,) standard deviations of (replicates, cells) distribution functions, rows in the middle of their
        cells; NaN where that is 0."""
        share = np.diff(upto, axis=1, prepend=0.0)
        centre = float(share[0] @ self.middle) if len(share) else 0.0
        own = self.middle - centre
        spread = share @ own**2 - (share @ own) ** 2
        return np.sqrt(np.where(spread > 0, spread, np.nan))


def _times(baseline: Baseline, column: NumericColumn, placed: Placed) -> float:
    """The baseline's standard deviation over that from its cells."""
    table, counts = baseline.part.tables.get(("window", column.name)), block_counts(baseline.part, column)
    if not isinstance(table, NumericTable) or counts is None:
        return 1.0
    sd = float(folded(table, 0, 1).sd[0]) * 10.0**-column.scale
    own = placed.deviation(shares_upto(_values_upto(column, counts.sum(axis=0)[None], counts[0] > 0)))
    return sd / float(own[0]) if sd > 0 and own[0] > 0 else 1.0


def row_variances(block: Block, measure: str, n: Floats, m: Floats) -> tuple[Floats, Floats]:
    """What independent rows of either side add to the variance of a distance, at most; NaN where it is not known.

    The distance is the difference of the means of a function of the values that nowhere rises by more than they do
    (Kantorovich and Rubinstein 1958), so its variance is at most theirs. ``n``, ``m``: (groups,) rows of either side.
    """
    scaled, ratio = block.values["wasserstein_sd"].value, block.values["sd_ratio"].value
    with np.errstate(divide="ignore", invalid="ignore"):
        unit = np.ones(len(block)) if measure == "wasserstein_sd" else block.values["wasserstein"].value / scaled
        return unit**2 / n, (unit * ratio) ** 2 / m
