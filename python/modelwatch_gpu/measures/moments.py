"""Moments of many groups: folded from the partials of a table, and the numbers made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from modelwatch_gpu.measures.cells import Floats, Ints
from modelwatch_gpu.profile.moments import MomentRows, Moments, merge_moments, merged_sums
from modelwatch_gpu.profile.tables import NumericTable

#: Groups up to which they are folded one after the other: a call of NumPy takes as long as ten operations on numbers.
_FEW = 8


@dataclass(frozen=True, eq=False)
class GroupMoments:
    """Of finite values: (groups,) each. ``mean`` is relative to the column's pivot; ``m2``, ``m3``, ``m4``: sums of
    powers of the distance from the mean. ``kept``: whether the set keeps moments at all."""

    count: Ints
    mean: Floats
    m2: Floats
    m3: Floats
    m4: Floats
    kept: bool = True

    @cached_property
    def sd(self) -> Floats:
        """Population standard deviations; NaN where there is no finite value."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.count > 0, np.sqrt(np.maximum(0.0, self.m2) / self.count), np.nan)

    @property
    def skewness(self) -> Floats:
        """(m3 / n) / sd^3, of the population; NaN where sd is 0 or the number cannot be written."""
        return self._standardised(self.m3, 3)

    @property
    def kurtosis(self) -> Floats:
        """(m4 / n) / sd^4 - 3, of the population; NaN where sd is 0 or the number cannot be written."""
        return self._standardised(self.m4, 4) - 3.0

    def _standardised(self, power: Floats, order: int) -> Floats:
        sd = self.sd
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            found = power / self.count
            for _ in range(order):  # one at a time, since the power of a small sd is 0
                found = found / sd
        return np.where((sd > 0) & np.isfinite(found), found, np.nan)

    def take(self, begin: int, end: int) -> GroupMoments:
        """The groups from ``begin`` to ``end``, not included."""
        return replace(_at(self, slice(begin, end)), kept=self.kept)


def folded(table: NumericTable, begin: int, end: int) -> GroupMoments:
    """Moments of the groups of a table from ``begin`` to ``end``: origins folded in their order (Pebay,
    SAND2008-6212), every group's k-th partial at once. The same bits as one group after the other."""
    rows = table.moments_by_origin
    starts, groups = rows.bounds(begin, end), end - begin
    mean, m2, m3, m4 = (np.zeros(groups) for _ in range(4))
    total = GroupMoments(np.zeros(groups, dtype=np.int64), mean, m2, m3, m4, len(rows.sums) > 0)
    if groups <= _FEW:
        for group in range(groups):
            _fold_one(total, rows, group, int(starts[group]), int(starts[group + 1]))
        return total
    most = int(np.max(np.diff(starts), initial=0))
    for k in range(most):
        here = np.flatnonzero(starts[:-1] + k < starts[1:])
        at = starts[here] + k
        count = rows.count[at].astype(np.int64)
        if k == 0 and count.all():  # the first is what there is
            total.count[here] = count
            for power, own in zip((total.mean, total.m2, total.m3, total.m4), rows.sums[at].T, strict=True):
                power[here] = own
            continue
        mean, m2, m3, m4 = rows.sums[at].T
        _fold(total, here, GroupMoments(count, mean, m2, m3, m4))
    return total


def _fold_one(total: GroupMoments, rows: MomentRows, group: int, begin: int, end: int) -> None:
    """One group, whose partials are the rows from ``begin`` to ``end``."""
    own: Moments = (0, 0.0, 0.0, 0.0, 0.0)
    for count, sums in zip(rows.count[begin:end].tolist(), rows.sums[begin:end].tolist(), strict=True):
        own = merge_moments(own, (count, *sums))
    total.count[group], total.mean[group], total.m2[group], total.m3[group], total.m4[group] = own


def joined(columns: Sequence[GroupMoments]) -> GroupMoments:
    """The groups of one column after those of another, all or none with moments."""
    sums: dict[str, Any] = {
        name: np.concatenate([getattr(m, name) for m in columns]) for name in ("count", "mean", "m2", "m3", "m4")
    }
    return GroupMoments(**sums, kept=columns[0].kept)


def _at(moments: GroupMoments, where: Any) -> GroupMoments:
    """Some of the groups."""
    m = moments
    return GroupMoments(m.count[where], m.mean[where], m.m2[where], m.m3[where], m.m4[where])


def _fold(total: GroupMoments, here: npt.NDArray[np.intp], b: GroupMoments) -> None:
    """Adds a partial to the groups ``here``."""
    keep = b.count > 0
    if not keep.all():
        here, b = here[keep], _at(b, keep)
    a = _at(total, here)
    na, nb = a.count.astype(np.float64), b.count.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        both = merged_sums(na, (a.mean, a.m2, a.m3, a.m4), nb, (b.mean, b.m2, b.m3, b.m4))
    first = a.count == 0
    total.count[here] = a.count + b.count
    for name, merged in zip(("mean", "m2", "m3", "m4"), both, strict=True):
        getattr(total, name)[here] = np.where(first, getattr(b, name), merged)
