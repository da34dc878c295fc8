"""Cell counts of many groups on one grid, and sums over the cells of each group.

A *cell array* has 2M+1 counts for M knots: even cells are gaps, odd cells are knots (DESIGN 3.1). Most are zero, so
groups are kept as their occupied cells in order, one group after the other. What a measure does with them costs as much
as there are occupied cells, and never depends on which other groups are there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from modelwatch_gpu import _core

Counts = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: Cells of groups that are worked on at a time: what bounds the memory of an evaluation.
CHUNK_CELLS: Final = 1 << 20


def chunks_of(upto: Ints) -> list[tuple[int, int]]:
    """Ranges of groups with at most ``CHUNK_CELLS`` cells each, or one group. ``upto``: (groups + 1,) how many cells
    there are before each group."""
    out, begin, groups = [], 0, len(upto) - 1
    while begin < groups:
        end = int(np.searchsorted(upto, upto[begin] + CHUNK_CELLS, side="right")) - 1
        out.append((begin, max(begin + 1, end)))
        begin = out[-1][1]
    return out


def beside(baseline: int, groups: int) -> Ints:
    """(groups,) which group of a baseline each is held against: its only one, or the one of its own number."""
    return np.zeros(groups, dtype=np.int64) if baseline == 1 else np.arange(groups)


def sum_by_group(values: npt.NDArray[Any], begin: Ints) -> npt.NDArray[Any]:
    """(groups,) sums of ``values[begin[g]:begin[g + 1]]``; floats are added pairwise. 0 for an empty group."""
    out = np.zeros(len(begin) - 1, dtype=values.dtype)
    filled = begin[:-1] < begin[1:]
    if len(values):
        out[filled] = np.add.reduceat(values, begin[:-1][filled])
    return out


def max_by_group(values: npt.NDArray[Any], begin: Ints) -> npt.NDArray[Any]:
    """(groups,) maxima of ``values[begin[g]:begin[g + 1]]``, none below 0."""
    out = np.zeros(len(begin) - 1, dtype=values.dtype)
    filled = begin[:-1] < begin[1:]
    if len(values):
        out[filled] = np.maximum(np.maximum.reduceat(values, begin[:-1][filled]), 0)
    return out


@dataclass(frozen=True, eq=False)
class Cells:
    """Occupied cells of groups. ``begin``: (groups + 1,) where each group's entries begin. ``cell``, ``count``:
    (entries,) int64, cells increasing within a group. ``cells``: of the grid, 2M+1; of the largest where groups are on
    several.

    ``offset``: (entries,) uint64, for gaps the sum of offsets of their rows in units of 2^-32; None where the sums were
    not kept. ``made``: what was made of these cells and will be asked for again, by name. ``sizes``: (groups,) the
    cells of each group's grid, None where there is one grid.
    """

    begin: Ints
    cell: Ints
    count: Ints
    cells: int
    offset: Counts | None = None
    made: dict[str, Any] = field(default_factory=dict)
    sizes: Ints | None = None

    @classmethod
    def joined(cls, columns: Sequence[Cells]) -> Cells:
        """The groups of one grid after those of another."""
        ends = np.cumsum([0, *(len(c.cell) for c in columns)])
        begin = np.concatenate([[0], *(c.begin[1:] + first for c, first in zip(columns, ends, strict=False))])
        offsets = [c.offset for c in columns if c.offset is not None]
        return cls(
            begin,
            np.concatenate([c.cell for c in columns]),
            np.concatenate([c.count for c in columns]),
            max(c.cells for c in columns),
            np.concatenate(offsets) if len(offsets) == len(columns) else None,
            sizes=np.repeat([c.cells for c in columns], [c.groups for c in columns]),
        )

    @classmethod
    def dense(cls, counts: npt.NDArray[Any], gap_sums: npt.NDArray[Any] | None = None) -> Cells:
        """From (2M+1,) or (groups, 2M+1) counts, and (M+1,) or (groups, M+1) sums of offsets."""
        counts = np.atleast_2d(counts)
        group, cell = np.nonzero(counts)
        begin = np.searchsorted(group, np.arange(len(counts) + 1)).astype(np.int64)
        offset = None
        if gap_sums is not None:
            gaps = np.atleast_2d(gap_sums)
            offset = np.where(cell % 2 == 0, gaps[group, cell // 2], 0).astype(np.uint64)
        return cls(begin, cell.astype(np.int64), counts[group, cell].astype(np.int64), counts.shape[1], offset)

    @property
    def counts(self) -> Ints:
        """(groups, 2M+1) all counts."""
        dense = np.zeros((self.groups, self.cells), dtype=np.int64)
        dense[self.group, self.cell] = self.count
        return dense

    @property
    def groups(self) -> int:
        """How many groups there are."""
        return len(self.begin) - 1

    @cached_property
    def group(self) -> Ints:
        """(entries,) the group of each entry."""
        return np.repeat(np.arange(self.groups), np.diff(self.begin))

    @cached_property
    def upto(self) -> Ints:
        """(entries,) rows of the group up to the end of each entry's cell."""
        return self.line[1:] - np.repeat(self.line[self.begin[:-1]], np.diff(self.begin))

    @cached_property
    def line(self) -> Ints:
        """(entries + 1,) rows before each entry and after the last, of all groups in one line."""
        line = np.zeros(len(self.count) + 1, dtype=np.int64)
        np.cumsum(self.count, out=line[1:])
        return line

    @cached_property
    def knots(self) -> tuple[Ints, Ints]:
        """(groups,) how many knots have rows; (entries + 1,) as ``line``, of the rows on knots alone."""
        return _core.rows_on_knots(self.entries)

    @cached_property
    def total(self) -> Ints:
        """(groups,) rows."""
        return np.diff(self.line[self.begin])

    @cached_property
    def key(self) -> Ints:
        """(entries,) group and cell in one increasing number."""
        return self.group * self.cells + self.cell

    @cached_property
    def ties(self) -> tuple[Floats, Floats]:
        """(groups,) SUM of (own mid-rank - own rank)^2: of rows on knots, and where those of a gap are tied too."""
        return _core.rank_ties(self.entries)

    @property
    def entries(self) -> tuple[Ints, Ints, Ints, Counts | None]:
        """All of it, as the engine takes it."""
        return self.begin, self.cell, self.count, self.offset

    def at(self, group: Ints, cell: Ints) -> tuple[Ints, Ints]:
        """(rows in a cell, rows up to its end) for pairs of group and cell; a single group answers for all."""
        if self.groups == 1:
            group = np.zeros(len(cell), dtype=np.int64)
        if not len(self.cell):
            return np.zeros(len(cell), dtype=np.int64), np.zeros(len(cell), dtype=np.int64)
        end, begin = _core.find_cells(self.entries, group, cell), self.begin[group]
        last = np.maximum(end - 1, 0)
        here = (begin < end) & (self.cell[last] == cell)
        return np.where(here, self.count[last], 0), self.line[end] - self.line[begin]

    def ranked_beside(self, baseline: Cells) -> dict[str, Any]:
        """What ``_core.rank_distances`` says of these groups and a baseline."""
        kept = self.made.get("ranked")
        if kept is None or kept[0] is not baseline:
            kept = self.made["ranked"] = (baseline, _core.rank_distances(baseline.entries, self.entries))
        found: dict[str, Any] = kept[1]
        return found

    def rank_apart(self, baseline: Cells, pairs: Sequence[tuple[Cells, Cells]]) -> None:
        """Makes what ``ranked_beside`` says of these joined groups and their joined baselines, a grid at a time where
        one of a baseline's groups stands for many."""
        if baseline.groups == self.groups:
            return
        every = [_core.rank_distances(base.entries, own.entries) for base, own in pairs]
        ranked: dict[str, Any] = {}
        for name, first in every[0].items():
            if isinstance(first, tuple):
                ranked[name] = tuple(np.concatenate(halves) for halves in zip(*(r[name] for r in every), strict=True))
            else:
                ranked[name] = np.concatenate([r[name] for r in every])
        self.made["ranked"] = (baseline, ranked)

    def beyond(self) -> npt.NDArray[np.bool_]:
        """(groups,) whether rows stand in the first or last two cells: infinities and what lies next to them."""
        groups, size = np.arange(self.groups), self.cells if self.sizes is None else self.sizes
        low, high = (self.at(groups, np.broadcast_to(end, self.groups))[1] for end in (1, size - 3))
        found: npt.NDArray[np.bool_] = low + self.total > high
        return found

    def sum(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """(groups,) sums of a number for each entry."""
        return sum_by_group(values, self.begin)

    def first(self) -> Ints:
        """(groups,) the first occupied cell; the number of cells where there is none."""
        out = np.full(self.groups, self.cells, dtype=np.int64)
        filled = self.begin[:-1] < self.begin[1:]
        out[filled] = self.cell[self.begin[:-1][filled]]
        return out

    def last(self) -> Ints:
        """(groups,) the last occupied cell; -1 where there is none."""
        out = np.full(self.groups, -1, dtype=np.int64)
        filled = self.begin[:-1] < self.begin[1:]
        out[filled] = self.cell[self.begin[1:][filled] - 1]
        return out

    def take(self, begin: int, end: int) -> Cells:
        """The groups from ``begin`` to ``end``, not included."""
        a, b = int(self.begin[begin]), int(self.begin[end])
        offset = None if self.offset is None else self.offset[a:b]
        return Cells(self.begin[begin : end + 1] - a, self.cell[a:b], self.count[a:b], self.cells, offset)

    def binned(self, edges: Ints, groups: Ints) -> Ints:
        """(groups asked for, edges + 1) rows of bins that end with the cells ``edges``, these included: (edges,), or
        (groups asked for, edges)."""
        # Entries up to each edge, and up to the end of the group.
        asked = np.broadcast_to(edges, (len(groups), edges.shape[-1]))
        places = _core.find_cells(self.entries, np.repeat(groups, asked.shape[1]), asked.ravel())
        at = places.reshape(asked.shape)
        ends = self.line[np.column_stack([self.begin[groups], at, self.begin[groups + 1]])]
        out: Ints = np.diff(ends, axis=1)
        return out
