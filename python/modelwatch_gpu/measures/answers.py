"""Answers beside labels: from the tables that are crossed with the label to measures of every group.

Nothing here looks at rows. A row without a label takes part in ``labelled`` alone, a row without an answer in no
measure of that answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from modelwatch_gpu import keys
from modelwatch_gpu.measures.cells import Floats, Ints
from modelwatch_gpu.measures.scored import ScoreGrids, binary_measures
from modelwatch_gpu.measures.value import Values, concatenated
from modelwatch_gpu.measures.weighted import GroupWeights
from modelwatch_gpu.profile.columns import NumericColumn
from modelwatch_gpu.profile.parts import LABELLED_PREFIX, SEGMENT_NULL, SEGMENT_VALUE, GroupKey, Part
from modelwatch_gpu.profile.scoring import Scoring
from modelwatch_gpu.profile.tables import NumericTable

#: Cells of all groups of a chunk: what bounds the memory of an evaluation.
_CHUNK: Final = 1 << 22
#: Rows in a gap are known to 2^-32 of it each, rounded to the nearest.
_HALF_STEP: Final = 2.0**-33


@dataclass(frozen=True, eq=False)
class Labelled:
    """The groups of one set and those crossed with the label. ``base``: (L,) the group that each crossed group is of.
    ``labels``: (L,) its (kind, text). ``rows``: (L,) its rows. ``groups``: how many groups the set has."""

    name: str
    base: Ints
    labels: list[tuple[int, str]]
    rows: Ints
    groups: int
    weights: GroupWeights | None

    @classmethod
    def of(cls, part: Part, name: str) -> Labelled | None:
        """Of a set of a part; None where it is not crossed with the label."""
        crossed = LABELLED_PREFIX + name
        if crossed not in part.groups:
            return None
        at = {key: i for i, key in enumerate(part.groups[name])}
        own = part.groups[crossed]
        base = np.array([at[key[:-2]] for key in own], dtype=np.int64)
        sums = part.weights.get(crossed)
        rows = part.group_rows[crossed].astype(np.int64)
        return cls(
            name=crossed,
            base=base,
            labels=[_label_of(key) for key in own],
            rows=rows,
            groups=len(at),
            weights=GroupWeights.of(rows, sums) if sums is not None else None,
        )

    @cached_property
    def known(self) -> npt.NDArray[np.bool_]:
        """(L,) whether there is a label."""
        return np.array([kind != SEGMENT_NULL for kind, _ in self.labels], dtype=bool)

    def is_class(self, text: str) -> npt.NDArray[np.bool_]:
        """(L,) whether the label is this class."""
        return np.array([label == (SEGMENT_VALUE, text) for label in self.labels], dtype=bool)

    @cached_property
    def known_weights(self) -> GroupWeights | None:
        """Of the rows with a label of each group of the set; None where rows have no weights."""
        if self.weights is None:
            return None
        rows, total = np.zeros(self.groups, dtype=np.int64), np.zeros(self.groups, dtype=np.int64)
        squares = [0] * self.groups
        used = self.base[self.known]
        np.add.at(rows, used, self.rows[self.known])
        np.add.at(total, used, self.weights.total[self.known])
        for at in np.flatnonzero(self.known).tolist():
            squares[int(self.base[at])] += self.weights.squares[at]
        return GroupWeights(rows, total, squares)

    @cached_property
    def coverage(self) -> Values:
        """(groups,) share of the rows, or of their weight, that have a label."""
        mass = self.rows if self.weights is None else self.weights.total
        total, own = np.zeros(self.groups, dtype=np.int64), np.zeros(self.groups, dtype=np.int64)
        np.add.at(total, self.base, mass)
        np.add.at(own, self.base[self.known], mass[self.known])
        found = Values.exact(own / np.maximum(total, 1), total)
        return found.replaced(total == 0, "empty")


def _label_of(key: GroupKey) -> tuple[int, str]:
    return int(key[-2]), str(key[-1])


def score_measures(
    scoring: Scoring, column: NumericColumn, grid: str, part: Part, name: str, positive: str
) -> dict[str, Values] | None:
    """Measures of the scores of one class against the rest, in every group of a set; None where nothing was counted."""
    crossed = Labelled.of(part, name)
    table = part.tables.get((LABELLED_PREFIX + name, column.name))
    if crossed is None or not isinstance(table, NumericTable):
        return None
    is_positive = crossed.is_class(positive)
    chunks = []
    for begin, end in chunks_of_groups(crossed, table, slots_of(column, grid)):
        grids = score_grids(column, grid, table, crossed, is_positive, begin, end, scoring.threshold)
        chunks += [binary_measures(some, scoring.costs) for some in grids.pieces()]
    if not chunks:
        return {}
    return concatenated(chunks)


def slots_of(column: NumericColumn, grid: str) -> int:
    """Cells of a column's grid, and those of missing values."""
    return column.slots if grid == "fine" else column.coarse_slots


def chunks_of_groups(crossed: Labelled, table: NumericTable, slots: int) -> list[tuple[int, int]]:
    """Ranges of groups whose occupied cells, at most ``slots``, are few enough together: all groups of a range have a
    place for each."""
    out, begin, most = [], 0, 0
    size = np.zeros(crossed.groups, dtype=np.int64)
    np.add.at(size, crossed.base, table.cells.sizes[: len(crossed.base)])
    for end, own in enumerate(size.tolist(), start=1):
        most += own
        if min(most, slots) * (end - begin) > _CHUNK and end - begin > 1:
            out.append((begin, end - 1))
            begin, most = end - 1, own
    if begin < crossed.groups:
        out.append((begin, crossed.groups))
    return out


def score_grids(
    column: NumericColumn,
    grid: str,
    table: NumericTable,
    crossed: Labelled,
    positive: npt.NDArray[np.bool_],
    begin: int,
    end: int,
    threshold: float,
) -> ScoreGrids:
    """The scores of the groups from ``begin`` to ``end``. ``positive``: (L,) which labels are the positive class; all
    other labels are the negative one."""
    knots = column.knots if grid == "fine" else column.knots[column.coarse]
    inside = (crossed.base >= begin) & (crossed.base < end) & crossed.known
    group = table.cells.group.astype(np.int64)
    cell, count = table.cells.index.astype(np.int64), table.cells.value.astype(np.int64)
    used = inside[group] & (cell < 2 * len(knots) + 1)
    group, cell, count = group[used], cell[used], count[used]
    occupied, at = _ranked(cell, 2 * len(knots) + 1)
    shape = (end - begin, len(occupied))
    base, hit = crossed.base[group] - begin, positive[group]
    positives, negatives = (_dense(shape, base[side], at[side], count[side]) for side in (hit, ~hit))
    first, last, low, high = cell_ends(column, knots, occupied)
    knot = occupied % 2 == 1
    sums = []
    for counts, side in ((positives, positive), (negatives, ~positive)):
        offsets = None if grid == "coarse" else _offsets(table, crossed, inside & side, begin, occupied, shape)
        sums.append(_sums(counts, low, high, knot, offsets))
    key = keys.edge_key(threshold, column.domain, right_closed=False, scale=column.scale)
    cut = 2 * len(knots) + 1 if key is None else 2 * int(np.searchsorted(knots, np.uint64(key))) + 1
    dtype = keys.dtype_of(column.domain)
    return ScoreGrids(
        positives=positives,
        negatives=negatives,
        first=first,
        last=last,
        knot=knot,
        low=low,
        high=high,
        positive_sums=sums[0],
        negative_sums=sums[1],
        cut=int(np.searchsorted(occupied, cut)),
        epsilon=float(np.finfo(dtype if dtype.kind == "f" else np.float64).eps),
        weighted=crossed.weights is not None,
    )


def _ranked(cell: Ints, cells: int) -> tuple[Ints, Ints]:
    """The cells that occur, of so many, in order, and where each of ``cell`` stands among them."""
    there = np.zeros(cells, dtype=np.bool_)
    there[cell] = True
    return np.flatnonzero(there), (np.cumsum(there) - 1)[cell]


def _dense(shape: tuple[int, int], row: Ints, column: npt.NDArray[Any], values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Values added up at their places, in their order."""
    out = np.zeros(shape[0] * shape[1], dtype=values.dtype)
    np.add.at(out, row * shape[1] + column, values)
    return out.reshape(shape)


def cell_ends(
    column: NumericColumn, knots: npt.NDArray[np.uint64], cells: Ints
) -> tuple[Floats, Floats, Floats, Floats]:
    """(C,) each: the smallest and the largest score in a cell, and the knots that a gap lies between; in the column's
    units. The ends of the outermost gaps of whole numbers are those of their type."""
    at = cells // 2
    on = cells % 2 == 1
    top = np.uint64((1 << keys.key_bits(column.domain)) - 1)
    below = np.where(at > 0, knots[np.maximum(at - 1, 0)], np.uint64(0))
    above = np.where(at < len(knots), knots[np.minimum(at, len(knots) - 1)], top)

    def units(of: npt.NDArray[np.uint64]) -> Floats:
        values = keys.values_of(of, column.domain)
        if column.scale:
            return np.array([column.in_units(v) for v in values.tolist()], dtype=np.float64)
        return values.astype(np.float64)

    own = units(above)  # of a knot: its value, for the knot of cell 2k + 1 is the one above gap k
    low, high = np.where(on, own, units(below)), own
    one = np.uint64(1)
    first = np.where(on, own, units(np.minimum(below + one, above)))
    last = np.where(on, own, units(np.maximum(above - one, below)))
    return first, last, low, high


def _offsets(
    table: NumericTable,
    crossed: Labelled,
    wanted: npt.NDArray[np.bool_],
    begin: int,
    occupied: Ints,
    shape: tuple[int, int],
) -> Floats:
    """(G, C) sums of the offsets of rows in gaps, in units of the gap."""
    group = table.gaps.group.astype(np.int64)
    used = wanted[group]
    group, gap = group[used], table.gaps.index.astype(np.int64)[used]
    offsets = table.gaps.value[used].astype(np.float64) * 2.0**-32
    return _dense(shape, crossed.base[group] - begin, np.searchsorted(occupied, 2 * gap), offsets)


def _sums(counts: Ints, low: Floats, high: Floats, knot: npt.NDArray[np.bool_], offsets: Floats | None) -> Floats:
    """(2, G, C) the least and the largest sum of scores of the rows in each cell."""
    a, b = np.clip(low, -1e300, 1e300), np.clip(high, -1e300, 1e300)
    if offsets is None:
        return np.stack([counts * a, counts * b])
    width = np.where(knot, 0.0, b - a)
    middle = counts * a + offsets * width
    slack = counts * width * _HALF_STEP
    return np.stack([middle - slack, middle + slack])
