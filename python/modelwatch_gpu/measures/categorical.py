"""All measures of one categorical column, of many groups at once, from state alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from modelwatch_gpu.measures import bins
from modelwatch_gpu.measures.cells import Floats, Ints, beside, sum_by_group
from modelwatch_gpu.measures.numeric import missing_measures
from modelwatch_gpu.measures.value import Values
from modelwatch_gpu.measures.weighted import GroupWeights
from modelwatch_gpu.profile.columns import (
    COARSE_UNSEEN,
    FIRST_CATEGORY,
    NULL_SLOT,
    OTHER_SLOT,
    CategoricalColumn,
)
from modelwatch_gpu.profile.tables import CategoryTable


@dataclass(frozen=True, eq=False)
class CategoryGroups:
    """Groups of one column. ``slots``: (groups, slots) counts by slot of the grid.

    Values the baseline lacks, on the fine grid: those of group g are the entries from ``begin[g]`` to ``begin[g + 1]``
    of ``index`` (into the table's list of them, increasing) and ``count``. ``weights``: where rows have some; then all
    counts are sums of stored weights.
    """

    grid: str
    slots: Ints
    begin: Ints
    index: Ints
    count: Ints
    weights: GroupWeights | None = None

    @property
    def groups(self) -> int:
        """How many groups there are."""
        return len(self.slots)

    @cached_property
    def group(self) -> Ints:
        """(entries,) the group of each entry of an unseen value."""
        return np.repeat(np.arange(self.groups), np.diff(self.begin))

    @cached_property
    def unseen(self) -> Ints:
        """(groups,) rows with an unseen value that is known by name."""
        return sum_by_group(self.count, self.begin)

    @cached_property
    def rows(self) -> Ints:
        """(groups,) all rows, nulls included."""
        rows: Ints = self.slots.sum(axis=1) + self.unseen
        return rows

    @property
    def missing(self) -> Ints:
        """(groups,) null rows."""
        return self.slots[:, NULL_SLOT]

    @property
    def nan(self) -> Ints:
        """(groups,) none: a NaN is a number."""
        return np.zeros(self.groups, dtype=np.int64)

    def take(self, begin: int, end: int) -> CategoryGroups:
        """The groups from ``begin`` to ``end``, not included."""
        a, b = int(self.begin[begin]), int(self.begin[end])
        weights = None if self.weights is None else self.weights.take(begin, end)
        starts = self.begin[begin : end + 1] - a
        return CategoryGroups(self.grid, self.slots[begin:end], starts, self.index[a:b], self.count[a:b], weights)


def category_groups(
    column: CategoricalColumn,
    table: CategoryTable,
    begin: int,
    end: int,
    grid: str,
    weights: GroupWeights | None = None,
) -> CategoryGroups:
    """Reads the groups from ``begin`` to ``end`` of a table counted on ``grid``. ``weights``: of all groups."""
    fine, groups = grid == "fine", end - begin
    slots = np.zeros((groups, column.slots if fine else column.coarse_slots), dtype=np.int64)
    cells, unseen = table.cells, table.unseen_rows
    bounds = cells.bounds(begin, end)
    at = slice(*bounds[[0, -1]].tolist())
    slots[np.repeat(np.arange(groups), np.diff(bounds)), cells.index[at]] = cells.value[at]
    bounds = unseen.bounds(begin, end) if fine else np.zeros(groups + 1, dtype=np.int64)
    at, starts = slice(*bounds[[0, -1]].tolist()), bounds - bounds[0]
    index, count = (a[at].astype(np.int64) for a in (unseen.index, unseen.value))
    return CategoryGroups(grid, slots, starts, index, count, None if weights is None else weights.take(begin, end))


def coarsened(column: CategoricalColumn, fine: CategoryGroups) -> CategoryGroups:
    """The same groups on the coarse grid."""
    slots = np.zeros((fine.groups, column.coarse_slots), dtype=np.int64)
    slots[:, :FIRST_CATEGORY] = fine.slots[:, :FIRST_CATEGORY]
    slots[:, COARSE_UNSEEN] = fine.unseen
    if column.cap is None:  # then `other` holds unseen values beyond the cap, and nothing else
        slots[:, COARSE_UNSEEN] += slots[:, OTHER_SLOT]
        slots[:, OTHER_SLOT] = 0
    np.add.at(slots.T, column.to_coarse.astype(np.int64), fine.slots[:, FIRST_CATEGORY:].T)
    nothing = np.zeros(fine.groups + 1, dtype=np.int64)
    return CategoryGroups("coarse", slots, nothing, fine.index[:0], fine.count[:0], fine.weights)


@dataclass(frozen=True, eq=False)
class Paired:
    """Groups side by side: histograms over every value of either; null is a value of its own. ``unseen``: which unseen
    value each of the extra bins is (index into the table's list)."""

    histograms: bins.Histograms
    unseen: Ints

    @classmethod
    def of(cls, baseline: CategoryGroups, current: CategoryGroups) -> Paired:
        """Both sides must be on one grid, and their unseen values of one list."""
        if baseline.groups == 1 and len(baseline.index) and current.groups > 1:
            raise ValueError("a baseline has no values that it lacks")
        per_count = None
        if baseline.weights is not None and current.weights is not None:
            per_count = baseline.weights.per_count, current.weights.per_count
        if not len(baseline.index) and not len(current.index):
            return cls(bins.Histograms(baseline.slots, current.slots, per_count=per_count), current.index)
        keys = [(g.group << 32) | g.index for g in (baseline, current)]
        every = np.union1d(*keys)
        sides = []
        for key, side in zip(keys, (baseline, current), strict=True):
            counts = np.zeros(len(every), dtype=np.int64)
            counts[np.searchsorted(every, key)] = side.count
            sides.append(counts)
        begin = np.searchsorted(every, np.arange(current.groups + 1) << 32)
        extra = bins.Extra(begin.astype(np.int64), *sides)
        return cls(bins.Histograms(baseline.slots, current.slots, extra, per_count), every & 0xFFFFFFFF)


def category_measures(
    column: CategoricalColumn, baseline: CategoryGroups, current: CategoryGroups, paired: Paired, *, against_fit: bool
) -> dict[str, Values]:
    """Every categorical measure of DESIGN 7 by id. Both sides must be on one grid; the baseline is one group, or as
    many.

    ``against_fit``: the baseline is what the grid was fitted on, so it is known to lack what the grid lacks.
    """
    m, base_rows = current.rows, np.broadcast_to(baseline.rows, current.groups)
    out = missing_measures(baseline, current, beside(baseline.groups, current.groups))
    del out["nan"]
    with np.errstate(divide="ignore", invalid="ignore"):
        measured = {name: Values.exact(value, m) for name, value in bins.bin_measures(paired.histograms).items()}
        _bound_pooled(measured, paired.histograms, [OTHER_SLOT, *([COARSE_UNSEEN] if current.grid == "coarse" else [])])
    present = m - current.missing
    seen = _unseen_of_fit(column, current) if against_fit else _unseen_of_earlier(baseline, current, paired)
    with np.errstate(divide="ignore", invalid="ignore"):
        lower, upper = seen[0] / present, seen[1] / present
    measured["unseen"] = Values.between(lower, upper, present, value=lower).replaced(present == 0, "all_missing")
    measured["distinct"] = _distinct(current, present)
    for name, values in measured.items():
        out[name] = values.replaced(base_rows == 0, "baseline_all_missing")
    return out


def _bound_pooled(out: dict[str, Values], h: bins.Histograms, hidden: list[int]) -> None:
    """Several values share a cell, so what they did to each other is unseen.

    Pooling can only shrink a divergence of the f family, so the number is a lower bound; the upper one takes the two
    shares of the cell as disjoint. Floored sums (psi, kl) can move either way and have no bounds.
    """
    groups = len(h.current)
    sides = [np.broadcast_to(s, (groups, s.shape[1])) for s in (h.baseline, h.current)]
    pooled = np.zeros(groups, dtype=bool)
    for side in sides:
        pooled |= side[:, hidden].sum(axis=1) > 0
    if not pooled.any():
        return
    apart = bins.bin_measures(_disjoint(h, sides, hidden))
    for name in ("js_divergence", "js_distance", "tv", "hellinger"):
        value = out[name]
        upper = np.where(pooled, np.maximum(value.value, apart[name]), value.value)
        out[name] = Values(value.value, value.value, upper, value.n, value.reason)
    whole, certain = out["l_infinity"], h.largest(bins.change, without=hidden)
    most: Floats = np.max([np.max(s[:, hidden], axis=1) for s in np.broadcast_arrays(*h.shares)], axis=0)
    lower = np.where(pooled, certain, whole.value)
    upper = np.where(pooled, np.maximum(certain, most), whole.value)
    out["l_infinity"] = Values(np.clip(whole.value, lower, upper), lower, upper, whole.n, whole.reason)
    mixed = pooled & ((sides[0][:, hidden] > 0) & (sides[1][:, hidden] > 0)).any(axis=1)
    chi = out["chi_square"]
    out["chi_square"] = Values(chi.value, chi.value, np.where(mixed, np.nan, chi.value), chi.n, chi.reason)
    for name in ("psi", "kl"):
        bound = np.where(pooled, np.nan, out[name].value)
        out[name] = Values(out[name].value, bound, bound, out[name].n, out[name].reason)


def _disjoint(h: bins.Histograms, sides: list[npt.NDArray[Any]], hidden: list[int]) -> bins.Histograms:
    """The same with the two counts of every pooled slot in bins of their own."""
    moved, nothing = sides[1][:, hidden], np.zeros((len(h.current), len(hidden)), dtype=np.int64)
    left, right = np.concatenate([sides[0], nothing], axis=1), np.concatenate([sides[1], moved], axis=1)
    right[:, hidden] = 0
    return bins.Histograms(left, right, h.extra)


def _unseen_of_fit(column: CategoricalColumn, current: CategoryGroups) -> tuple[Ints, Ints]:
    """Rows whose value the baseline does not have, at least and at most. On the fine grid `other` holds unseen values
    beyond the cap; where the baseline kept only some of its own categories, `other` may be known values or unseen
    ones."""
    rows = current.slots[:, COARSE_UNSEEN] if current.grid == "coarse" else current.unseen
    other = current.slots[:, OTHER_SLOT]
    if column.cap is not None:
        return rows, rows + other
    return (rows, rows) if current.grid == "coarse" else (rows + other, rows + other)


def _unseen_of_earlier(baseline: CategoryGroups, current: CategoryGroups, paired: Paired) -> tuple[Ints, Ints]:
    """Rows whose value does not occur in the group before, at least and at most: rows of a pooled slot that occurs
    there may or may not be of the same values."""
    pooled = [OTHER_SLOT, *([COARSE_UNSEEN] if current.grid == "coarse" else [])]
    new = np.where(baseline.slots == 0, current.slots, 0)
    new[:, NULL_SLOT] = 0
    certain: Ints = new.sum(axis=1)
    extra = paired.histograms.extra
    if extra is not None:
        certain = certain + sum_by_group(np.where(extra.baseline == 0, extra.current, 0), extra.begin)
    hidden = np.where(baseline.slots[:, pooled] > 0, current.slots[:, pooled], 0)
    return certain, certain + hidden.sum(axis=1)


def counted_values(current: CategoryGroups) -> Ints:
    """(groups,) values with a count of their own, on the fine grid."""
    known: Ints = np.count_nonzero(current.slots[:, FIRST_CATEGORY:], axis=1) + np.diff(current.begin)
    return known


def _distinct(current: CategoryGroups, present: Ints) -> Values:
    """Distinct values; a pooled cell with c rows holds between 1 and c."""
    hidden, first = [OTHER_SLOT], FIRST_CATEGORY
    if current.grid == "coarse":
        hidden, first = [OTHER_SLOT, COARSE_UNSEEN], COARSE_UNSEEN + 1
    known = np.count_nonzero(current.slots[:, first:], axis=1) + np.diff(current.begin)
    pooled = current.slots[:, hidden]
    lower = (known + np.count_nonzero(pooled, axis=1)).astype(np.float64)
    upper = (known + pooled.sum(axis=1)).astype(np.float64)
    return Values.between(lower, upper, present, value=np.where(lower == upper, lower, np.nan))
