"""Groups of one numeric column, and of several columns in one line, so that what costs a call costs it once.

What is ragged (ranks, transport between knots) is worked out a column at a time; everything that is an array over
groups takes all columns of a batch at once. A number is the same whichever batch its column is in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from modelwatch_gpu import _core
from modelwatch_gpu.measures import moments, refined, transport
from modelwatch_gpu.measures.cells import Cells, Counts, Ints, beside
from modelwatch_gpu.measures.quantiles import Knots
from modelwatch_gpu.measures.weighted import GroupWeights
from modelwatch_gpu.profile.columns import NumericColumn
from modelwatch_gpu.profile.tables import NumericTable


@dataclass(frozen=True, eq=False)
class NumericGroups:
    """Groups of one column, or of several: cell counts on a grid, missing rows, and what else was kept; (groups,)
    arrays.

    ``grid``: "fine" or "coarse". ``ranked``: whether a group has values, so that ``low`` and ``high`` say the keys of
    its smallest and largest. ``tails``: by group, sums of the values beyond the finite knots, in units of 2^-1074.
    ``weights``: where rows have some; then all counts are sums of stored weights.
    """

    grid: str
    cells: Cells
    nan: Ints
    null: Ints
    ranked: npt.NDArray[np.bool_]
    low: Counts
    high: Counts
    tails: dict[int, tuple[int, int]]
    moments: moments.GroupMoments
    weights: GroupWeights | None = None

    @property
    def groups(self) -> int:
        """How many groups there are."""
        return self.cells.groups

    @property
    def count(self) -> Ints:
        """Rows with a value, infinities included."""
        return self.cells.total

    @cached_property
    def missing(self) -> Ints:
        """Null rows and NaN rows."""
        return self.nan + self.null

    @cached_property
    def rows(self) -> Ints:
        """All rows, missing ones included."""
        return self.count + self.missing

    @property
    def slots(self) -> Ints:
        """(groups, slots) all counts, those of NaN and null last."""
        return np.concatenate([self.cells.counts, self.nan[:, None], self.null[:, None]], axis=1)

    def take(self, begin: int, end: int) -> NumericGroups:
        """The groups from ``begin`` to ``end``, not included."""
        own = {g - begin: sums for g, sums in self.tails.items() if begin <= g < end}
        at = slice(begin, end)
        return NumericGroups(
            grid=self.grid,
            cells=self.cells.take(begin, end),
            nan=self.nan[at],
            null=self.null[at],
            ranked=self.ranked[at],
            low=self.low[at],
            high=self.high[at],
            tails=own,
            moments=self.moments.take(begin, end),
            weights=None if self.weights is None else self.weights.take(begin, end),
        )

    @classmethod
    def joined(cls, columns: Sequence[NumericGroups]) -> NumericGroups:
        """The groups of one column after those of another, on one kind of grid, all or none with moments and none with
        weights; of a single column they stay what they are."""
        if len(columns) == 1:
            return columns[0]
        tails: dict[int, tuple[int, int]] = {}
        first = 0
        for own in columns:
            tails.update({first + g: sums for g, sums in own.tails.items()})
            first += own.groups
        arrays: dict[str, Any] = {
            name: np.concatenate([getattr(own, name) for own in columns])
            for name in ("nan", "null", "ranked", "low", "high")
        }
        return cls(
            grid=columns[0].grid,
            cells=Cells.joined([own.cells for own in columns]),
            tails=tails,
            moments=moments.joined([own.moments for own in columns]),
            **arrays,
        )


def numeric_groups(
    column: NumericColumn, table: NumericTable, begin: int, end: int, grid: str, weights: GroupWeights | None = None
) -> NumericGroups:
    """Reads the groups from ``begin`` to ``end`` of a table counted on ``grid``. ``weights``: of all groups."""
    fine, groups = grid == "fine", end - begin
    size = (column.slots if fine else column.coarse_slots) - 2
    rows, gaps = table.cells, table.gaps
    starts, slot, count, offset, nan, null = _core.read_cells(
        (rows.bounds(begin, end), rows.index, rows.value),
        (gaps.bounds(begin, end), gaps.index, gaps.value) if fine else None,
        size,
    )
    low, high = np.zeros(groups, dtype=np.uint64), np.zeros(groups, dtype=np.uint64)
    known = np.zeros(groups, dtype=bool)
    lowest, highest = table.lowest[begin:end], table.highest[begin:end]
    here = np.flatnonzero(lowest <= highest)
    low[here], high[here], known[here] = lowest[here], highest[here], True
    own = {g - begin: sums for g, sums in table.tails.items() if begin <= g < end} if fine else {}
    cells = Cells(starts, slot, count, size, offset)
    weighed = None if weights is None else weights.take(begin, end)
    return NumericGroups(grid, cells, nan, null, known, low, high, own, moments.folded(table, begin, end), weighed)


def coarsened(column: NumericColumn, fine: NumericGroups) -> NumericGroups:
    """The same groups on the coarse grid: what the baseline is compared as where a window was counted coarsely."""
    size = column.coarse_slots - 2
    dense = np.zeros((fine.groups, size), dtype=np.int64)
    np.add.at(dense, (fine.cells.group, column.to_coarse[fine.cells.cell]), fine.cells.count)
    return NumericGroups(
        "coarse",
        Cells.dense(dense),
        fine.nan,
        fine.null,
        fine.ranked,
        fine.low,
        fine.high,
        {},
        fine.moments,
        fine.weights,
    )


@dataclass(frozen=True, eq=False)
class Compared:
    """One column: groups, what they are held against (one group, or as many), and the sketches of these groups.
    ``alone``: whether it must not be in a batch with others."""

    column: NumericColumn
    baseline: NumericGroups
    current: NumericGroups
    sketches: refined.GroupSketches
    alone: bool = False

    @cached_property
    def knots(self) -> npt.NDArray[Any]:
        """Of the grid both are on, in the domain's dtype."""
        return knots_on(self.column, self.current.grid)

    @property
    def kind(self) -> tuple[Any, ...]:
        """Columns of one kind can be in one batch; one that is like no other stands alone."""
        first, last = transport.finite_span(self.knots)
        if self.alone or self.column.scale or last <= first or self.current.weights is not None:
            return (self.column.name,)
        return self.column.domain, self.baseline.moments.kept, self.current.moments.kept


def knots_on(column: NumericColumn, grid: str) -> npt.NDArray[Any]:
    """The knots of one of a column's grids, as values of its domain."""
    return column.values if grid == "fine" else column.values[column.coarse]


@dataclass(frozen=True, eq=False)
class Batch:
    """Columns of one kind. ``baseline``: what they are held against, column after column, as ``current`` is."""

    columns: tuple[Compared, ...]
    baseline: NumericGroups
    current: NumericGroups

    @classmethod
    def of(cls, columns: Sequence[Compared], baseline: NumericGroups | None = None) -> Batch:
        """``baseline``: the joined groups of the baselines, if somebody has them already."""
        both = baseline or NumericGroups.joined([c.baseline for c in columns])
        current = NumericGroups.joined([c.current for c in columns])
        if len(columns) > 1:
            current.cells.rank_apart(both.cells, [(c.baseline.cells, c.current.cells) for c in columns])
        return cls(tuple(columns), both, current)

    @property
    def column(self) -> NumericColumn:
        """The first, whose domain is that of all."""
        return self.columns[0].column

    @cached_property
    def begin(self) -> Ints:
        """(columns + 1,) where each column's groups begin."""
        return np.cumsum([0, *(c.current.groups for c in self.columns)])

    @cached_property
    def which(self) -> Ints:
        """(groups,) the column of each group."""
        return np.repeat(np.arange(len(self.columns)), np.diff(self.begin))

    @cached_property
    def of_baseline(self) -> Ints:
        """(groups,) the group of ``baseline`` that each is held against."""
        if self.baseline.groups == len(self.columns):
            return self.which
        return beside(self.baseline.groups, self.current.groups)

    @cached_property
    def knots(self) -> Knots:
        """Of every group's grid."""
        return Knots.of([c.knots for c in self.columns], self.which)

    @property
    def baseline_knots(self) -> Knots:
        """Of the grid of every group of ``baseline``."""
        which = np.repeat(np.arange(len(self.columns)), [c.baseline.groups for c in self.columns])
        return Knots(self.knots.values, self.knots.begin, which)

    @property
    def sketches(self) -> refined.Columns:
        """Of the current side."""
        return [(c.sketches, c.current.groups) for c in self.columns]

    def inner(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """(groups,) bounds of Wasserstein-1 between the finite knots, a column at a time."""
        both = [transport.inner_bounds(c.baseline.cells, c.current.cells, c.knots) for c in self.columns]
        return (
            both[0] if len(both) == 1 else (np.concatenate([x for x, _ in both]), np.concatenate([x for _, x in both]))
        )


def same_bins(batch: Batch) -> Iterator[tuple[Ints, Ints]]:
    """Columns that have as many bins, whose histograms stand in one table: (groups of these columns, edges) at which
    knots bins are cut, and which groups."""
    every = [edges_on(c.column, c.current.grid) for c in batch.columns]
    for size in dict.fromkeys(map(len, every)):
        columns = [i for i, edges in enumerate(every) if len(edges) == size]
        groups = np.flatnonzero(np.isin(batch.which, columns))
        row = np.searchsorted(columns, batch.which[groups])
        yield np.stack([every[i] for i in columns]).astype(np.int64)[row], groups


def edges_on(column: NumericColumn, grid: str) -> npt.NDArray[np.uint32]:
    """The default edges as indices of a grid's knots."""
    return column.edges if grid == "fine" else column.coarse_edges
