"""Ordered moments: one row per group and file, folded in the order of the files' fingerprints (DESIGN 3.5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from modelwatch_gpu.profile.sparse import Int64, Narrow, UInt32, begins, narrow

Floats = npt.NDArray[np.float64]
#: count, mean, m2, m3, m4
Moments = tuple[int, float, float, float, float]


def merged_sums(na: Any, a: Sequence[Any], nb: Any, b: Sequence[Any]) -> tuple[Any, Any, Any, Any]:
    """The fold of ``cpp/core/moments.hpp``, operation by operation: (mean, m2, m3, m4) of ``na`` values with the sums
    ``a`` and ``nb`` values with the sums ``b``, both counts above 0. Floats, or float64 arrays of one shape."""
    n = na + nb
    delta = b[0] - a[0]
    step = delta / n
    step2 = step * step
    cross = delta * step * na * nb
    m4 = (
        a[3]
        + b[3]
        + cross * step2 * (na * na - na * nb + nb * nb)
        + 6.0 * step2 * (na * na * b[1] + nb * nb * a[1])
        + 4.0 * step * (na * b[2] - nb * a[2])
    )
    m3 = a[2] + b[2] + cross * step * (na - nb) + 3.0 * step * (na * b[1] - nb * a[1])
    return a[0] + step * nb, a[1] + b[1] + cross, m3, m4


def merge_moments(a: Moments, b: Moments) -> Moments:
    """Moments of the values of both."""
    if b[0] == 0:
        return a
    if a[0] == 0:
        return b
    return (a[0] + b[0], *merged_sums(float(a[0]), a[1:], float(b[0]), b[1:]))


@dataclass(frozen=True, eq=False)
class MomentRows:
    """One row (mean, m2, m3, m4) and one count per (group, origin), in this order.

    ``begin``: (groups + 1,) where each group's rows begin. ``origin``, ``count``: (rows,). ``sums``: (rows, 4).
    """

    begin: Int64
    origin: Narrow
    count: Narrow
    sums: Floats

    @classmethod
    def empty(cls, groups: int) -> MomentRows:
        """No rows: a set that keeps no moments."""
        none = np.empty(0, dtype=np.uint8)
        return cls(np.zeros(groups + 1, dtype=np.int64), none, none, np.empty((0, 4)))

    @classmethod
    def of(
        cls, group: npt.NDArray[Any], origin: npt.NDArray[Any], count: npt.NDArray[Any], sums: Floats, groups: int
    ) -> MomentRows:
        """Sorted from rows in any order. Rows that share group and origin (groups collapsed under a cap) stand in the
        order of their bits: one order."""
        key = (group.astype(np.int64) << 32) | origin.astype(np.int64)
        if (key[1:] <= key[:-1]).any():
            order = np.argsort(key, kind="stable")
            if (np.diff(key[order]) == 0).any():
                bits = [np.ascontiguousarray(sums[:, i]).view(np.uint64) for i in range(3, -1, -1)]
                order = np.lexsort([*bits, count, origin, group])
            group, origin, count, sums = group[order], origin[order], count[order], sums[order]
        begin = begins(np.bincount(group.astype(np.int64), minlength=groups))
        return cls(begin, narrow(origin), narrow(count), np.ascontiguousarray(sums))

    @classmethod
    def of_one_origin(cls, group: UInt32, count: npt.NDArray[Any], sums: Floats, groups: int) -> MomentRows:
        """A row for each of these groups, which are sorted and differ."""
        sizes = np.zeros(groups, dtype=np.int64)
        sizes[group] = 1
        return cls(begins(sizes), np.zeros(len(group), dtype=np.uint8), narrow(count), sums)

    @property
    def group(self) -> UInt32:
        """(rows,) the group of each row."""
        return np.repeat(np.arange(len(self.begin) - 1, dtype=np.uint32), self.begin[1:] - self.begin[:-1])

    def bounds(self, begin: int, end: int) -> Int64:
        """As ``SparseRows.bounds``."""
        return self.begin[np.minimum(np.arange(begin, end + 1), len(self.begin) - 1)]

    def fold(self, group: int) -> Moments:
        """(count, mean, m2, m3, m4) of one group, origins folded in their order (Pebay, SAND2008-6212)."""
        total: Moments = (0, 0.0, 0.0, 0.0, 0.0)
        if group + 1 >= len(self.begin):
            return total
        for at in range(int(self.begin[group]), int(self.begin[group + 1])):
            mean, m2, m3, m4 = (float(v) for v in self.sums[at])
            total = merge_moments(total, (int(self.count[at]), mean, m2, m3, m4))
        return total


@dataclass(frozen=True, eq=False)
class MomentPiece:
    """Moments of which group g is group ``to[g]`` of a sum, and origin o its origin ``origins[o]``, None: o."""

    rows: MomentRows
    to: npt.NDArray[Any]
    origins: npt.NDArray[Any] | None

    def regrouped(self, to: npt.NDArray[Any]) -> MomentPiece:
        """The same, in a sum of which the group ``to[g]`` is what g was."""
        return replace(self, to=to[self.to])

    def from_origins(self, origins: npt.NDArray[Any]) -> MomentPiece:
        """The same, where the origin ``origins[o]`` is what o was."""
        return replace(self, origins=origins if self.origins is None else origins[self.origins])


def join_moments(pieces: Sequence[MomentPiece], groups: int) -> MomentRows:
    """All of them as one, of a sum of so many groups."""
    if not any(len(p.rows.sums) for p in pieces):
        return MomentRows.empty(groups)
    return MomentRows.of(
        np.concatenate([np.repeat(p.to, p.rows.begin[1:] - p.rows.begin[:-1]) for p in pieces]),
        np.concatenate([p.rows.origin if p.origins is None else p.origins[p.rows.origin] for p in pieces]),
        np.concatenate([p.rows.count for p in pieces]),
        np.concatenate([p.rows.sums for p in pieces]),
        groups,
    )
