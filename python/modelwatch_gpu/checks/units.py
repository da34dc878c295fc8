"""Resampling units: whole blocks of time, by default local days, and what a profile counted in each of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from modelwatch_gpu.log.windows import Window
from modelwatch_gpu.measures.value import Bools, Floats, Ints
from modelwatch_gpu.profile.columns import COARSE_UNSEEN, NULL_SLOT, CategoricalColumn, Column, NumericColumn
from modelwatch_gpu.profile.parts import UNTIMED, Part

#: The unit that bootstrap and permutation draw, and the shortest one (DESIGN 1).
DAY: Final = Window(1, "d")


@dataclass(frozen=True, eq=False)
class Units:
    """The units of one side. ``block``: (blocks,) numbers of the part's blocks that have a time, in order; ``begin``:
    (units + 1,) where each unit's blocks begin among them."""

    part: Part
    block: Ints
    begin: Ints

    def __len__(self) -> int:
        return len(self.begin) - 1

    def summed(self, by_block: Floats) -> Floats:
        """(units, cells) from (blocks of the part, cells)."""
        dense = by_block[self.block]
        return dense if len(self.block) == len(self) else np.add.reduceat(dense, self.begin[:-1], axis=0)


def block_counts(part: Part, column: Column) -> Floats | None:
    """(blocks, coarse slots) rows of every block of a part in each cell, whole numbers; None where the column was not
    there."""
    table = part.tables.get(("block", column.name))
    if table is None:
        return None
    cells, slots = table.cells, column.coarse_slots
    out = np.zeros((len(part.groups["block"]), slots))
    out.reshape(-1)[cells.group * np.int64(slots) + cells.index] = cells.value
    return out


def used_slots(column: Column, parts: Iterable[Part]) -> Bools:
    """(slots,) which slots of the coarse grid any block of any of these parts uses."""
    used = np.zeros(column.coarse_slots, dtype=bool)
    for part in parts:
        table = part.tables.get(("block", column.name))
        if table is not None:
            used[table.cells.index] = True
    return used


def units_by_window(part: Part, starts: Ints, zone: ZoneInfo, unit: Window) -> Iterator[Units]:
    """The units of every window that begins at one of ``starts``, increasing; of a single window all there are."""
    keys = np.array([int(key[0]) for key in part.groups.get("block", [])], dtype=np.int64)
    timed = np.flatnonzero(keys > UNTIMED)
    order = timed[np.argsort(keys[timed], kind="stable")]
    times = keys[order]
    if not len(times):
        for _ in starts:
            yield Units(part, times, np.zeros(1, dtype=np.int64))
        return
    edges = unit.boundaries(int(times[0]), int(times[-1]), zone)
    number = np.searchsorted(edges, times, side="right")
    ends = np.append(np.searchsorted(times, starts), len(times))
    for begin, end in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True):
        changes = np.flatnonzero(np.diff(number[begin:end])) + 1
        inner = [0, *changes.tolist(), end - begin] if end > begin else [0]
        yield Units(part, order[begin:end], np.array(inner, dtype=np.int64))


def all_units(part: Part, zone: ZoneInfo, unit: Window) -> Units:
    """The units of everything a part counted, as of one window."""
    return next(units_by_window(part, np.array([UNTIMED], dtype=np.int64), zone, unit))


def values_upto(column: Column, counts: Floats, used: Bools) -> Floats:
    """(units, used cells) rows up to the end of each cell of a number; missing rows left out."""
    return np.cumsum(counts[:, :-2][:, used[:-2]], axis=1)


def default_bins(column: Column, counts: Floats, used: Bools) -> Floats:
    """(units, bins) in the bins that divergences are over: (a, b] of a number; all slots of a category."""
    if isinstance(column, CategoricalColumn):
        return counts[:, used]
    ends = 2 * column.coarse_edges.astype(np.int64) + 1
    upto = np.cumsum(counts[:, :-2], axis=1)
    return np.diff(np.concatenate([np.zeros((len(counts), 1)), upto[:, ends], upto[:, -1:]], axis=1), axis=1)


def missing_rows(column: Column, counts: Floats, _: Bools) -> Floats:
    """(units, 2) missing rows and all rows."""
    own = counts[:, -2:].sum(axis=1) if isinstance(column, NumericColumn) else counts[:, NULL_SLOT]
    return np.stack([own, counts.sum(axis=1)], axis=1)


def nan_rows(_: Column, counts: Floats, __: Bools) -> Floats:
    """(units, 2) NaN rows of a number and all rows."""
    return np.stack([counts[:, -2], counts.sum(axis=1)], axis=1)


def unseen_rows(_: Column, counts: Floats, __: Bools) -> Floats:
    """(units, 2) rows with a value that the baseline lacks, and rows with a value."""
    return np.stack([counts[:, COARSE_UNSEEN], counts.sum(axis=1) - counts[:, NULL_SLOT]], axis=1)


def all_rows(_: Column, counts: Floats, __: Bools) -> Floats:
    """(units, 2) rows, and 1 for the unit."""
    return np.stack([counts.sum(axis=1), np.ones(len(counts))], axis=1)
