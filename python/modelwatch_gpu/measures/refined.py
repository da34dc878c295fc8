"""Measures made sharper by what a group keeps of the values between its knots (decision 0006)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from modelwatch_gpu import keys
from modelwatch_gpu.measures import rank, sketch
from modelwatch_gpu.measures.cells import Cells, Counts, Floats, Ints
from modelwatch_gpu.measures.quantiles import Knots, Located, between
from modelwatch_gpu.measures.value import Values
from modelwatch_gpu.profile.sketches import Sketches, UInt8, UInt32

#: The key of +inf: no bucket's end cuts a gap there.
_INFINITY: Final = keys.infinities("float64")[1]


@dataclass(frozen=True, eq=False)
class GroupSketches:
    """The sketches of a run of groups: group g of the run is group ``first`` + g of the table."""

    sketches: Sketches
    first: int

    def buckets(self, group: int) -> sketch.Buckets:
        """Buckets of the group's values between knots, and their counts."""
        return self.sketches.buckets_of(self.first + group)

    def rows(self, groups: int) -> tuple[Ints, UInt32, Counts]:
        """Buckets of so many groups: (groups + 1,) where each group's begin, (entries,) buckets, and their counts."""
        s = self.sketches
        begin = np.searchsorted(s.bucket_group, np.arange(self.first, self.first + groups + 1, dtype=np.uint32))
        at = slice(int(begin[0]), int(begin[-1]))
        return begin - begin[0], s.bucket[at], s.bucket_count[at]

    def registers(self, groups: int) -> tuple[Ints, UInt8]:
        """Which of so many groups have registers, and these."""
        s = self.sketches
        begin, end = np.searchsorted(s.register_group, [self.first, self.first + groups]).tolist()
        return s.register_group[begin:end].astype(np.int64) - self.first, s.registers[begin:end]


#: Sketches of columns, one after the other, each of so many groups.
Columns = Sequence[tuple[GroupSketches, int]]


def estimates(columns: Columns) -> Floats:
    """(groups,) distinct values without a count of their own; NaN where there is none, or nobody kept registers."""
    sizes = [groups for _, groups in columns]
    out = np.full(sum(sizes), np.nan)
    each = [own.registers(groups) for own, groups in columns]
    at = np.concatenate([place + first for (place, _), first in zip(each, _firsts(sizes), strict=True)])
    if len(at):
        out[at] = sketch.distinct_estimates(np.concatenate([registers for _, registers in each]))
    return out


def _firsts(sizes: Sequence[int]) -> list[int]:
    """Where each of so many begins."""
    return list(accumulate([0, *sizes[:-1]]))


def distinct(found: Values, estimates: Floats, counted: npt.NDArray[Any]) -> Values:
    """Distinct values: ``counted`` (groups,) have counts of their own, the registers estimate the rest. The certified
    bounds of ``found`` stay."""
    if np.isnan(estimates).all():
        return found
    value = np.where(np.isnan(estimates), found.value, counted + np.rint(estimates))
    value = np.minimum(np.maximum(value, found.lower), found.upper)
    return Values(np.where(np.isnan(found.lower), found.value, value), found.lower, found.upper, found.n, found.reason)


def pairs(
    found: dict[str, Values], knots: npt.NDArray[Any], earlier: Cells, current: Cells, own: GroupSketches
) -> dict[str, Values]:
    """KS and CvM of every group against the one before it, on the grid that the knots and the buckets of both make.

    ``earlier``, ``current``: groups 0, 1, ... and 1, 2, ... of ``own``.
    """
    measures = {"ks": rank.ks, "cvm": rank.cvm}
    out = {name: [np.array(a) for a in (v.value, v.lower, v.upper)] for name, v in found.items() if name in measures}
    for g in range(current.groups):
        buckets = [own.buckets(g), own.buckets(g + 1)]
        if not all(len(b) for b, _ in buckets):
            continue  # no gap holds rows of both
        cells = [side.take(g, g + 1).counts[0].astype(np.uint64) for side in (earlier, current)]
        _, finer = sketch.refine(knots, cells, buckets)
        for name, (value, lower, upper) in out.items():
            sharper = measures[name](*finer)
            if sharper.lower is None or sharper.upper is None or not np.isfinite(lower[g] + upper[g]):
                continue
            lower[g], upper[g] = max(lower[g], sharper.lower), min(upper[g], sharper.upper)
            value[g] = sharper.value if sharper.value is not None else lower[g] + (upper[g] - lower[g]) / 2
    sharpened = {
        name: Values(value, lower, upper, found[name].n, found[name].reason)
        for name, (value, lower, upper) in out.items()
    }
    return {**found, **sharpened}


def quantiles(
    found: Sequence[Values],
    where: Located,
    knots: Knots,
    cells: Cells,
    ends: tuple[npt.NDArray[Any], npt.NDArray[Any]],
    columns: Columns,
) -> list[Values]:
    """Quantiles that lie in a gap, between the edges of buckets instead of the knots around the gap."""
    each = [own.rows(groups) for own, groups in columns]
    there = np.concatenate([begin[:-1] < begin[1:] for begin, *_ in each])
    value, lower, upper = (np.stack([getattr(v, name) for v in found]) for name in ("value", "lower", "upper"))
    which, group = np.nonzero((lower < upper) & there)
    if not len(which):
        return list(found)
    rank, entry = where.rank[which, group], where.entry[which, group]
    gap = cells.cell[entry] // 2
    # Rows before the gap are on knots or in buckets.
    upto = cells.knots[1]
    on_knots = upto[entry] - upto[cells.begin[group]]
    bucket, upto_bucket = _bucket_of(each, group, rank - on_knots)
    # Its ends take the place of the gap's, and what is before them that of the rows before these, if they lie inside.
    edges = [knots.below(gap + i, group) for i in (0, 1)]
    rows = [cells.line[entry + i] - cells.line[cells.begin[group]] for i in (0, 1)]
    least, most = (keys.keys_of(edge, "float64") for edge in edges)
    for i in (0, 1):
        cut = (bucket + np.uint64(i)) << sketch.BUCKET_SHIFT
        inside = (least < cut) & (cut <= most) & (cut < _INFINITY)
        edges[i] = np.where(inside, keys.values_of(cut, "float64"), edges[i])
        rows[i] = np.where(inside, upto_bucket[i] + on_knots, rows[i])
    edges[0] = np.maximum(edges[0], ends[0][group].astype(np.float64))
    edges[1] = np.minimum(edges[1], ends[1][group].astype(np.float64))
    new = between(edges[0], edges[1], rank - rows[0], rows[1] - rows[0])
    place = which, group
    lower[place] = np.where(new[1] > lower[place], new[1], lower[place])
    upper[place] = np.where(new[2] < upper[place], new[2], upper[place])
    value[place] = np.minimum(np.maximum(new[0], lower[place]), upper[place])
    return [Values(value[i], lower[i], upper[i], v.n, v.reason) for i, v in enumerate(found)]


def _bucket_of(
    columns: Sequence[tuple[Ints, UInt32, Counts]], group: Ints, rank: Ints
) -> tuple[Counts, tuple[Ints, Ints]]:
    """The buckets that hold rows of groups, of all columns one after the other.

    ``columns``: as ``GroupSketches.rows`` says. ``rank``: of each row among those of its group that are in buckets,
    from 1 on; the first or last bucket has those beyond. Beside the buckets the rows of the group before each and up to
    its end.
    """
    bucket = np.zeros(len(group), dtype=np.uint64)
    before, upto = np.zeros(len(group), dtype=np.int64), np.zeros(len(group), dtype=np.int64)
    first = 0
    for begin, buckets, count in columns:
        own = np.flatnonzero((group >= first) & (group < first + len(begin) - 1))
        line = np.zeros(len(count) + 1, dtype=np.int64)  # a column at a time, which stays in a near cache
        np.cumsum(count.view(np.int64), out=line[1:])
        start, end = begin[group[own] - first], begin[group[own] - first + 1]
        at = np.searchsorted(line[1:], line[start] + rank[own], side="left").clip(start, end - 1)
        bucket[own], before[own], upto[own] = buckets[at], line[at] - line[start], line[at + 1] - line[start]
        first += len(begin) - 1
    return bucket, (before, upto)
