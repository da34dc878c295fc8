"""Sums of values and squares by day, of which blocks keep none: rows of a cell are taken to be worth what such rows are
worth on average in their window, stretched so that rows vary as much as they do."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from modelwatch_gpu.measures.moments import GroupMoments, folded
from modelwatch_gpu.measures.numeric import pivot_of
from modelwatch_gpu.measures.transport import finite_span
from modelwatch_gpu.measures.value import Floats, Ints
from modelwatch_gpu.profile.columns import NumericColumn
from modelwatch_gpu.profile.parts import Part
from modelwatch_gpu.profile.tables import WIDE_UNIT_BIT, NumericTable

#: Of one side: rows, sum of values, sum of squares.
ROWS, VALUES, SQUARES = range(3)


def centre_of(column: NumericColumn, baseline: Part) -> float:
    """What values are taken from before they are squared: the baseline's mean, in the column's units."""
    table = baseline.tables.get(("window", column.name))
    if not isinstance(table, NumericTable):
        return 0.0
    found = folded(table, 0, 1)
    return float((found.mean[0] + pivot_of(column)) * 10.0**-column.scale) if found.count[0] else 0.0


def sums_of_blocks(column: NumericColumn, part: Part, grid: str, centre: float | None) -> Floats | None:
    """(blocks, 3) ``ROWS``, ``VALUES`` and ``SQUARES`` of every block of a part, of values less ``centre`` in the
    column's units, None for the mean of each window; infinite and missing ones are no rows. ``grid``: of its windows.
    None where there are no blocks."""
    blocks = part.tables.get(("block", column.name))
    values = values_of_cells(column, part, grid, centre)
    if not isinstance(blocks, NumericTable) or values is None:
        return None
    starts = np.array([int(key[0]) for key in part.groups["window"]], dtype=np.int64)
    times = np.array([int(key[0]) for key in part.groups["block"]], dtype=np.int64)
    window = np.maximum(0, np.searchsorted(starts, times, side="right") - 1)
    group, cell = blocks.cells.group.astype(np.int64), blocks.cells.index.astype(np.int64)
    return _summed(values, window, group, cell, blocks.cells.value, len(times))


def sums_of_windows(column: NumericColumn, part: Part, grid: str, centre: float) -> Floats | None:
    """(windows, 3) the same of every window."""
    table, values = part.tables.get(("window", column.name)), values_of_cells(column, part, grid, centre)
    if not isinstance(table, NumericTable) or values is None:
        return None
    group, cell = table.cells.group.astype(np.int64), _coarse_cell(column, table, grid)
    return _summed(values, np.arange(table.groups), group, cell, table.cells.value, table.groups)


def _summed(values: Floats, window: Ints, group: Ints, cell: Ints, count: Ints, groups: int) -> Floats:
    own = values[window[group], :, cell] * count.astype(np.float64)[:, None]
    return np.stack([np.bincount(group, own[:, i], minlength=groups) for i in range(3)], axis=1)


def _coarse_cell(column: NumericColumn, table: NumericTable, grid: str) -> Ints:
    cell = table.cells.index.astype(np.int64)
    return column.to_coarse[cell].astype(np.int64) if grid == "fine" else cell


def values_of_cells(column: NumericColumn, part: Part, grid: str, centre: float | None) -> Floats | None:
    """(windows, 3, coarse slots) mean of 1, of value and of square of the rows in each cell, by window; None where the
    column was not counted. Means of gaps are those of the sums of offsets, on the fine grid; mean and variance over all
    rows are what the window's own moments say."""
    table = part.tables.get(("window", column.name))
    if not isinstance(table, NumericTable):
        return None
    group, count = table.cells.group.astype(np.int64), table.cells.value.astype(np.float64)
    mean, width = _positions(column, table, grid)
    moments = folded(table, 0, table.groups)
    own = _means(column, moments) if centre is None else np.full(table.groups, centre)
    mean = mean - own[group]
    real = np.isfinite(mean)
    mean, width = np.where(real, mean, 0.0), np.where(real, width, 0.0)
    with np.errstate(over="ignore"):
        powers = np.stack([real * count, mean * count, (mean**2 + width**2 / 12) * count])
    coarse, slots = _coarse_cell(column, table, grid), column.coarse_slots
    sums = np.stack(
        [
            np.bincount(group * slots + coarse, each, minlength=table.groups * slots).reshape(table.groups, slots)
            for each in (*powers, count)
        ],
        axis=1,
    )
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        found = np.nan_to_num(sums[:, :3] / sums[:, 3:], nan=0.0, posinf=0.0, neginf=0.0)
        for power, (mean, variance) in _powers(column, moments, own).items():
            _made_to_vary(found[:, power], sums[:, 3] * found[:, ROWS], mean, variance)
    return found


def _means(column: NumericColumn, moments: GroupMoments) -> Floats:
    """(windows,) in the column's units, 0 where there is none."""
    return np.where(moments.count > 0, (moments.mean + pivot_of(column)) * 10.0**-column.scale, 0.0)


def _powers(column: NumericColumn, moments: GroupMoments, centre: Floats) -> dict[int, tuple[Floats, Floats]]:
    """(windows,) mean and variance over rows of values, and of squares, less ``centre``."""
    unit = 10.0**-column.scale
    n, d = moments.count.astype(np.float64), (moments.mean + pivot_of(column)) * unit - centre
    m2, m3, m4 = moments.m2 * unit**2, moments.m3 * unit**3, moments.m4 * unit**4
    square = m2 / n + d**2
    fourth = (m4 + 4 * d * m3 + 6 * d**2 * m2) / n + d**4
    return {VALUES: (d, m2 / n), SQUARES: (square, fourth - square**2)}


def _made_to_vary(values: Floats, rows: Floats, mean: Floats, variance: Floats) -> None:
    """Moves and stretches the (windows, cells) values of cells so that rows have this mean and variance: what rows
    differ by within a cell would else be lost."""
    total = rows.sum(axis=1)
    own = (rows * values).sum(axis=1) / total
    spread = (rows * (values - own[:, None]) ** 2).sum(axis=1) / total
    times = np.sqrt(variance / spread)
    times = np.where(np.isfinite(times) & (times > 1), times, 1.0)
    known = np.isfinite(mean) & (total > 0)
    moved = mean[:, None] + times[:, None] * (values - own[:, None])
    values[known] = np.where(rows[known] > 0, moved[known], values[known])


def _positions(column: NumericColumn, table: NumericTable, grid: str) -> tuple[Floats, Floats]:
    """(entries,) mean value and width of each counted cell in the column's units, infinite where rows are not numbers.

    Tails, beyond the finite knots, have no width; without their sums they are as far out as the last knot.
    """
    knots = column.values if grid == "fine" else column.values[column.coarse]
    first, last = finite_span(knots)
    place = knots.astype(np.float64)
    group, cell = table.cells.group.astype(np.int64), table.cells.index.astype(np.int64)
    ranked = cell < 2 * len(knots) + 1
    at = np.minimum(cell // 2, len(knots) - 1)
    high = place[at]
    low = place[np.clip(cell // 2 - 1, 0, len(knots) - 1)]
    knot = cell % 2 == 1
    inner = ~knot & (cell > 2 * first) & (cell < 2 * last) & ranked
    if last > first:
        low, high = np.clip(low, place[first], place[last - 1]), np.clip(high, place[first], place[last - 1])
    width = np.where(inner, high - low, 0.0)
    offset = np.full(len(cell), 0.5)
    if grid == "fine" and len(table.gaps):
        known = (table.gaps.group.astype(np.int64) << 32) | table.gaps.index.astype(np.int64)
        asked = (group << 32) | (cell >> 1)
        found = np.minimum(np.searchsorted(known, asked), len(known) - 1)
        hit = inner & (known[found] == asked)
        with np.errstate(divide="ignore", invalid="ignore"):
            share = table.gaps.value[found].astype(np.float64) * 2.0**-32 / table.cells.value
        offset = np.where(hit, np.clip(share, 0.0, 1.0), np.where(inner, 0.0, offset))
    mean = np.where(knot, place[at], low + offset * width)
    for end, tail in ((2 * first, 0), (2 * last, 1)):
        for entry in np.flatnonzero(ranked & (cell == end) & ~knot).tolist():
            sums = table.tails.get(int(group[entry]))
            if sums is not None and grid == "fine":
                mean[entry] = _tail_mean(sums[tail], int(table.cells.value[entry]))
    return np.where(ranked, mean, np.inf) * 10.0**-column.scale, width * 10.0**-column.scale


def tail_distances(column: NumericColumn, part: Part, grid: str) -> tuple[float, float]:
    """How far the values of all windows beyond the outermost finite knots of the coarse grid lie from these on average,
    below and above, in the column's units; 0 where there are none. ``grid``: of the windows."""
    table = part.tables.get(("window", column.name))
    knots = column.values[column.coarse]
    first, last = finite_span(knots)
    if not isinstance(table, NumericTable) or last <= first:
        return 0.0, 0.0
    mean, _ = _positions(column, table, grid)
    cell, rows = _coarse_cell(column, table, grid), table.cells.value.astype(np.float64)
    ends = knots[[first, last - 1]].astype(np.float64) * 10.0**-column.scale
    found = []
    for at, edge in ((2 * first, ends[0]), (2 * last, ends[1])):
        some = (cell == at) & np.isfinite(mean)
        total = float(rows[some].sum())
        found.append(float(np.abs(mean[some] - edge) @ rows[some]) / total if total else 0.0)
    return found[0], found[1]


def _tail_mean(total: int, rows: int) -> float:
    """Of a sum in units of 2^-1074; 0 where it is beyond all numbers, and so no mean."""
    try:
        return float(Fraction(total, rows << WIDE_UNIT_BIT))
    except OverflowError:
        return 0.0
