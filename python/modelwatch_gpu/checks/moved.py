"""Shifts of the mean and ratios of standard deviations as statistics, from sums of values and squares by day."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from modelwatch_gpu.checks.cell_values import ROWS, SQUARES, VALUES, centre_of, sums_of_blocks
from modelwatch_gpu.checks.statistics import Statistic
from modelwatch_gpu.measures.moments import folded
from modelwatch_gpu.measures.value import Bools, Floats, Ints
from modelwatch_gpu.measures.weighted import GroupWeights
from modelwatch_gpu.profile.baseline import Baseline
from modelwatch_gpu.profile.columns import Column, NumericColumn
from modelwatch_gpu.profile.parts import Part
from modelwatch_gpu.profile.tables import NumericTable


def moved_statistic(baseline: Baseline, column: Column, measure: str, grid: str) -> Statistic | None:
    """Of ``mean_shift`` and ``sd_ratio``, judged by their size in either direction; None for any other measure.
    ``grid``: of the log's windows.

    A ratio's spread is taken of its logarithm. Squares are then taken around the mean of each window: around another
    one, what a day adds to the sum of squares and to the sum of values would have to be subtracted from one another,
    and cells keep how much each varies, but not how they vary together.
    """
    if not isinstance(column, NumericColumn) or measure not in ("mean_shift", "sd_ratio"):
        return None
    own = Sums(baseline, column, grid, ratio=measure == "sd_ratio")
    if own.ratio:
        return Statistic(_cells, _ratio, linear=True, low=1.0, own=own, folded=True, logarithm=True)
    return Statistic(_cells, _shift, linear=True, own=own, folded=True)


def _cells(_: Column, counts: Floats, __: Bools) -> Floats:
    return counts


def _mean_and_sd(sums: Floats) -> tuple[Floats, Floats]:
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = sums[:, VALUES] / sums[:, ROWS]
        square = sums[:, SQUARES] / sums[:, ROWS] - mean**2
        return mean, np.sqrt(np.where(square > 0, square, np.nan))


def _shift(before: Floats, after: Floats) -> Floats:
    mean, sd = _mean_and_sd(before)
    found: Floats = (_mean_and_sd(after)[0] - mean) / sd
    return found


def _ratio(before: Floats, after: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = np.log(_mean_and_sd(after)[1] / _mean_and_sd(before)[1])
    return found


@dataclass(frozen=True, eq=False)
class Sums:
    """Rows, sums and sums of squares of a column. ``grid``: of the log's windows. ``ratio``: whether for a ratio of
    deviations."""

    baseline: Baseline
    column: NumericColumn
    grid: str
    ratio: bool

    #: Sums of floating numbers: no whole ones.
    whole = False

    @cached_property
    def _centre(self) -> float:
        return centre_of(self.column, self.baseline.part)

    def tables(self, part: Part, name: str, grid: str) -> Floats | None:
        """(blocks, 3); of other sets nothing is drawn."""
        own = "fine" if part is self.baseline.part else self.grid
        if name != "block":
            return None
        return sums_of_blocks(self.column, part, own, None if self.ratio else self._centre)

    def variances(self, part: Part, name: str, grid: str, groups: Ints) -> Floats:
        """(groups asked for,) of a mean in baseline standard deviations, sd^2 / n; of the logarithm of a standard
        deviation, (kurtosis - 1) / (4 n)."""
        table = part.tables.get((name, self.column.name))
        before = self.baseline.part.tables.get(("window", self.column.name))
        if not isinstance(table, NumericTable) or not isinstance(before, NumericTable):
            return np.full(len(groups), np.nan)
        found = folded(table, 0, table.groups)
        rows = found.count[groups].astype(np.float64)
        if name in part.weights:
            weights = GroupWeights.of(part.group_rows[name].astype(np.int64), part.weights[name])
            rows = rows * weights.per_count[groups]
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.ratio:
                each = (found.kurtosis[groups] + 2) / 4
            else:
                each = (found.sd[groups] / folded(before, 0, 1).sd[0]) ** 2
            return np.where(rows > 1, each / rows, np.nan)
