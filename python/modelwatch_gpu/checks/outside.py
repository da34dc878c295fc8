"""Shares of values outside the baseline's range as statistics: rows beyond its outermost cells, day by day."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from modelwatch_gpu.checks.statistics import Statistic, share
from modelwatch_gpu.measures.value import Bools, Floats
from modelwatch_gpu.profile.baseline import Baseline
from modelwatch_gpu.profile.columns import Column, NumericColumn
from modelwatch_gpu.profile.tables import NumericTable


def outside_statistic(baseline: Baseline, column: Column, measure: str) -> Statistic | None:
    """Of ``out_of_range``; None for any other measure. The baseline's extremes are knots of both grids, so rows beyond
    them are counted exactly."""
    if measure != "out_of_range" or not isinstance(column, NumericColumn):
        return None
    return Statistic(_outside(_beyond(baseline, column)), share, linear=True, high=1.0)


def _beyond(baseline: Baseline, column: NumericColumn) -> Bools:
    """(coarse cells,) which lie beyond all values of the baseline."""
    cell = np.arange(column.coarse_slots - 2)
    table = baseline.part.tables.get(("window", column.name))
    if not isinstance(table, NumericTable):
        return np.zeros(len(cell), dtype=bool)
    used = column.to_coarse[table.cells.index.astype(np.int64)].astype(np.int64)
    used = used[used < len(cell)]
    if not len(used):
        return np.zeros(len(cell), dtype=bool)
    beyond: Bools = (cell < int(used.min())) | (cell > int(used.max()))
    return beyond


def _outside(beyond: Bools) -> Callable[[Column, Floats, Bools], Floats]:
    def table(_: Column, counts: Floats, __: Bools) -> Floats:
        """(units, 2) rows outside and rows with a value."""
        values = counts[:, :-2]
        return np.stack([values[:, beyond].sum(axis=1), values.sum(axis=1)], axis=1)

    return table
