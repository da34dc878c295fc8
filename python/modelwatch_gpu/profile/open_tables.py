"""The large tables of a sum of parts while more parts come.

Adding a file's entries to those of the files before reads and writes the sum each time. Where a set has thousands of
groups and most cells of them are used, the sum is counters instead (``cpp/engine/row_sum.hpp``), and ordered moments
wait until all are there. What comes out in the end is what ``merge_parts`` gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from modelwatch_gpu import _core
from modelwatch_gpu.profile.moments import MomentPiece, MomentRows, join_moments
from modelwatch_gpu.profile.parts import GroupKey
from modelwatch_gpu.profile.side_by_side import side_by_side
from modelwatch_gpu.profile.sparse import SparseRows, UInt32
from modelwatch_gpu.profile.tables import CategoryTable, NumericTable, Table

Key = tuple[str, str]

#: Sets of fewer groups are added up in no time.
_LEAST_GROUPS: Final = 1_000
#: Tables of which at least one of so many cells has a count are counters: these take 2 bytes, entries 3 and more.
_USED_OF: Final = 8


@dataclass
class _Open:
    """Of one column in one set: the sums of its cells, and the moments that came."""

    sums: _core.RowSum
    moments: list[MomentPiece]


@dataclass(frozen=True)
class KeysOfSum:
    """The sorted groups of a set, and the place of each."""

    keys: list[GroupKey]
    places: dict[GroupKey, int]

    @classmethod
    def of(cls, keys: list[GroupKey]) -> KeysOfSum:
        """Of sorted keys."""
        return cls(keys, {key: i for i, key in enumerate(keys)})


class OpenTables:
    """Cells and moments of the tables of one sum, which has empty ones meanwhile. Several threads may take tables of
    different columns. ``keys``: of the sets of the sum that had no segment beyond a cap."""

    def __init__(self) -> None:
        self.keys: dict[str, KeysOfSum] = {}
        self._open: dict[Key, _Open] = {}

    def take(
        self, key: Key, tables: Sequence[Table], to: Sequence[UInt32], origins: Sequence[UInt32], groups: int
    ) -> list[Table]:
        """The tables without what is kept here until ``close``: the first is the sum's, where that has the column. The
        arguments are those of ``merge_numeric``."""
        old = self._open.pop(key, None)
        fresh = tables if old is None else tables[1:]
        if not all(_is_countable(t.cells) for t in fresh) or (old is None and not _is_worth_it(tables, groups)):
            return list(tables) if old is None else [_filled(tables[0], old), *fresh]
        own = _Open(_core.RowSum(groups), [])
        if old is not None:
            in_place = old.sums.groups == groups and np.array_equal(to[0], np.arange(groups))
            if in_place:
                own.sums = old.sums
            else:
                own.sums.add_sum(old.sums, to[0])
            own.moments = [p if in_place else p.regrouped(to[0]) for p in old.moments]
            own.moments = [p.from_origins(origins[0]) for p in own.moments]
        hollow = []
        for table, groups_to, origins_to in zip(tables, to, origins, strict=True):
            if len(table.cells):
                own.sums.add((table.cells.begin, table.cells.index, table.cells.value), groups_to)
            if isinstance(table, NumericTable) and len(table.moments_by_origin.sums):
                own.moments.append(MomentPiece(table.moments_by_origin, groups_to, origins_to))
            hollow.append(_hollow(table))
        self._open[key] = own
        return hollow

    def close(self, tables: dict[Key, Table]) -> None:
        """Puts into the sum's tables what they did without."""

        def fill(key: Key) -> None:
            tables[key] = _filled(tables[key], self._open.pop(key))

        side_by_side(fill, list(self._open), 0)


def _is_countable(cells: SparseRows) -> bool:
    """Whether counters can tell these entries: none of them is 0."""
    return int(cells.index.max(initial=0)) < _core.RowSum.MOST_WIDTH and bool(cells.value.all())


def _is_worth_it(tables: Sequence[Table], groups: int) -> bool:
    """Whether counters of all cells are not much larger than entries."""
    width = 1 + max(int(t.cells.index.max(initial=0)) for t in tables)
    return groups >= _LEAST_GROUPS and _USED_OF * sum(len(t.cells) for t in tables) >= groups * width


def _hollow(table: Table) -> Table:
    cells = SparseRows.empty(table.groups)
    if isinstance(table, CategoryTable):
        return replace(table, cells=cells)
    return replace(table, cells=cells, moments_by_origin=MomentRows.empty(table.groups))


def _filled(table: Table, own: _Open) -> Table:
    """The inverse of ``_hollow``. Leaves nothing in ``own``."""
    groups = table.groups
    cells = SparseRows.of(*own.sums.take())
    if isinstance(table, CategoryTable):
        return replace(table, cells=cells)
    pieces, own.moments = own.moments, []
    return replace(table, cells=cells, moments_by_origin=join_moments(pieces, groups))
