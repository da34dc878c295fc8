"""The state of one column in one counter set: flat integer tables, sorted by group and cell.

Groups are numbered by the part that holds the table (``Part.groups``). Everything here is *exact* state: merging is
addition, any order gives the same bytes. Moments are *ordered* state (DESIGN 3.5): a table keeps one row per
(group, origin), and only ``fold_moments`` adds them, in the order of the origins' fingerprints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

UInt32 = npt.NDArray[np.uint32]
UInt64 = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float64]
Counts = UInt64
Moments = tuple[int, float, float, float, float]
Arrays = dict[str, npt.NDArray[Any]]

#: The last bit of a wide sum is worth 2^-1074 (cpp/core/wide_sum.hpp).
WIDE_UNIT_BIT = 1074


def _empty32() -> UInt32:
    return np.empty(0, dtype=np.uint32)


def _empty64() -> UInt64:
    return np.empty(0, dtype=np.uint64)


def _added(groups: UInt32, index: UInt32, values: UInt64) -> tuple[UInt32, UInt32, UInt64]:
    """Sums ``values`` that share (group, index); sorted by both."""
    key = (groups.astype(np.uint64) << np.uint64(32)) | index.astype(np.uint64)
    order = np.argsort(key, kind="stable")
    key, values = key[order], values[order]
    first = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]])) if len(key) else np.empty(0, dtype=np.int64)
    sums = np.add.reduceat(values, first) if len(first) else _empty64()
    kept = key[first]
    return (kept >> np.uint64(32)).astype(np.uint32), (kept & np.uint64(0xFFFFFFFF)).astype(np.uint32), sums


def _expand(groups: UInt32, begin: UInt64) -> UInt32:
    """The group of every entry of a table with row starts."""
    ends = begin.astype(np.int64)
    return np.repeat(groups, ends[1:] - ends[:-1])


def _wide_sum(limbs: UInt64) -> int:
    """A two's complement wide sum as a Python integer, in units of 2^-1074."""
    return int.from_bytes(limbs.astype("<u8").tobytes(), "little", signed=True)


@dataclass
class NumericTable:
    """Counts, gap sums, ranges, tails and moments of a numeric column. All arrays are one-dimensional.

    ``cells``: (cell_group, cell, count). ``gaps``: (gap_group, gap, gap_sum), sums of offsets in units of 2^-32.
    ``ranges``: (range_group, low, high) keys; low > high where no value was ranked. ``tails``: group ->
    (sum of values below the finite knots, sum above), integers in units of 2^-1074. ``moments``: one row
    (mean, m2, m3, m4) and one count per (moment_group, moment_origin).
    """

    cell_group: UInt32 = field(default_factory=_empty32)
    cell: UInt32 = field(default_factory=_empty32)
    count: UInt64 = field(default_factory=_empty64)
    gap_group: UInt32 = field(default_factory=_empty32)
    gap: UInt32 = field(default_factory=_empty32)
    gap_sum: UInt64 = field(default_factory=_empty64)
    range_group: UInt32 = field(default_factory=_empty32)
    low: UInt64 = field(default_factory=_empty64)
    high: UInt64 = field(default_factory=_empty64)
    tails: dict[int, tuple[int, int]] = field(default_factory=dict)
    moment_group: UInt32 = field(default_factory=_empty32)
    moment_origin: UInt32 = field(default_factory=_empty32)
    moment_count: UInt64 = field(default_factory=_empty64)
    moments: Floats = field(default_factory=lambda: np.empty((0, 4)))

    kind: ClassVar[str] = "numeric"

    @classmethod
    def from_engine(cls, r: dict[str, Any]) -> NumericTable:
        """From what ``_core.Counter.numeric`` returns."""
        groups = r["group"]
        moments = len(r["moment_count"]) > 0
        return cls(
            cell_group=_expand(groups, r["cell_begin"]),
            cell=r["cell"],
            count=r["count"],
            gap_group=_expand(groups, r["gap_begin"]),
            gap=r["gap"],
            gap_sum=r["gap_sum"],
            range_group=groups,
            low=r["low"],
            high=r["high"],
            tails={
                int(g): (_wide_sum(below), _wide_sum(above))
                for g, below, above in zip(r["tail_group"], r["tail_lower"], r["tail_upper"], strict=True)
            },
            moment_group=groups if moments else _empty32(),
            moment_origin=np.zeros(len(r["moment_count"]), dtype=np.uint32),
            moment_count=r["moment_count"],
            moments=r["moments"],
        )

    @property
    def entries(self) -> int:
        """Rows of the largest table: what merging costs."""
        return len(self.cell)

    def regrouped(self, to: UInt32) -> NumericTable:
        """The same table with group g renumbered to ``to[g]``; groups that meet are added."""
        return merge_numeric([self], [to], [None])

    def of_group(self, group: int, slots: int) -> UInt64:
        """Dense counts of one group: (slots,)."""
        begin, end = np.searchsorted(self.cell_group, [group, group + 1])
        dense = np.zeros(slots, dtype=np.uint64)
        dense[self.cell[begin:end]] = self.count[begin:end]
        return dense

    def gap_sums(self, group: int, gaps: int) -> UInt64:
        """Dense gap sums of one group: (gaps,)."""
        begin, end = np.searchsorted(self.gap_group, [group, group + 1])
        dense = np.zeros(gaps, dtype=np.uint64)
        dense[self.gap[begin:end]] = self.gap_sum[begin:end]
        return dense

    def range_of(self, group: int) -> tuple[int, int] | None:
        """Smallest and largest key of one group; None where nothing was ranked."""
        at = int(np.searchsorted(self.range_group, group))
        if at == len(self.range_group) or self.range_group[at] != group or self.low[at] > self.high[at]:
            return None
        return int(self.low[at]), int(self.high[at])

    def fold_moments(self, group: int) -> tuple[int, float, float, float, float]:
        """(count, mean, m2, m3, m4) of one group, origins folded in their order (Pebay, SAND2008-6212)."""
        begin, end = np.searchsorted(self.moment_group, [group, group + 1])
        total = (0, 0.0, 0.0, 0.0, 0.0)
        for at in range(begin, end):
            mean, m2, m3, m4 = (float(v) for v in self.moments[at])
            total = merge_moments(total, (int(self.moment_count[at]), mean, m2, m3, m4))
        return total

    def arrays(self) -> Arrays:
        """Named arrays for a file."""
        tail_groups = sorted(self.tails)
        sums = [_signed_bytes(part) for g in tail_groups for part in self.tails[g]]
        return {
            "cell_group": self.cell_group,
            "cell": self.cell,
            "count": self.count,
            "gap_group": self.gap_group,
            "gap": self.gap,
            "gap_sum": self.gap_sum,
            "range_group": self.range_group,
            "low": self.low,
            "high": self.high,
            "tail_group": np.array(tail_groups, dtype=np.uint32),
            "tail_size": np.array([len(b) for b in sums], dtype=np.uint32),
            "tail_bytes": np.frombuffer(b"".join(sums), dtype=np.uint8),
            "moment_group": self.moment_group,
            "moment_origin": self.moment_origin,
            "moment_count": self.moment_count,
            "moments": self.moments.reshape(-1),
        }

    @classmethod
    def from_arrays(cls, a: Arrays) -> NumericTable:
        """The inverse of ``arrays``; raises KeyError or ValueError where they do not fit together."""
        ends = np.cumsum(a["tail_size"], dtype=np.int64)
        raw = a["tail_bytes"].tobytes()
        parts = [
            int.from_bytes(raw[end - size : end], "little", signed=True)
            for end, size in zip(ends.tolist(), a["tail_size"].tolist(), strict=True)
        ]
        groups = a["tail_group"].tolist()
        if len(parts) != 2 * len(groups):
            raise ValueError("tail sums and groups differ in length")
        table = cls(
            **_typed(a),
            tails={g: (parts[2 * i], parts[2 * i + 1]) for i, g in enumerate(groups)},
            moments=a["moments"].astype(np.float64).reshape(-1, 4),
        )
        for names in (("cell_group", "cell", "count"), ("gap_group", "gap", "gap_sum"), ("range_group", "low", "high")):
            if len({len(getattr(table, n)) for n in names}) != 1:
                raise ValueError(f"{names[0]} and its table differ in length")
        if not len(table.moment_group) == len(table.moment_origin) == len(table.moment_count) == len(table.moments):
            raise ValueError("moments differ in length")
        return table


_UINT32 = ("cell_group", "cell", "gap_group", "gap", "range_group", "moment_group", "moment_origin")
_UINT64 = ("count", "gap_sum", "low", "high", "moment_count")


def _typed(a: Arrays) -> dict[str, Any]:
    return {
        **{name: a[name].astype(np.uint32) for name in _UINT32},
        **{name: a[name].astype(np.uint64) for name in _UINT64},
    }


def _signed_bytes(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 8) // 8, "little", signed=True)


def merge_moments(a: Moments, b: Moments) -> Moments:
    """The fold of ``cpp/core/moments.hpp``, operation by operation."""
    if b[0] == 0:
        return a
    if a[0] == 0:
        return b
    na, nb = float(a[0]), float(b[0])
    n = na + nb
    delta = b[1] - a[1]
    step = delta / n
    step2 = step * step
    cross = delta * step * na * nb
    m4 = (
        a[4]
        + b[4]
        + cross * step2 * (na * na - na * nb + nb * nb)
        + 6.0 * step2 * (na * na * b[2] + nb * nb * a[2])
        + 4.0 * step * (na * b[3] - nb * a[3])
    )
    m3 = a[3] + b[3] + cross * step * (na - nb) + 3.0 * step * (na * b[2] - nb * a[2])
    return (a[0] + b[0], a[1] + step * nb, a[2] + b[2] + cross, m3, m4)


def merge_numeric(
    tables: Sequence[NumericTable], groups: Sequence[UInt32], origins: Sequence[UInt32 | None]
) -> NumericTable:
    """Adds tables whose group g of table i is ``groups[i][g]`` in the result."""
    cell_group, cell, count = _added(
        np.concatenate([to[t.cell_group] for t, to in zip(tables, groups, strict=True)]),
        np.concatenate([t.cell for t in tables]),
        np.concatenate([t.count for t in tables]),
    )
    gap_group, gap, gap_sum = _added(
        np.concatenate([to[t.gap_group] for t, to in zip(tables, groups, strict=True)]),
        np.concatenate([t.gap for t in tables]),
        np.concatenate([t.gap_sum for t in tables]),
    )
    range_group = np.concatenate([to[t.range_group] for t, to in zip(tables, groups, strict=True)])
    order = np.argsort(range_group, kind="stable")
    range_group = range_group[order]
    low = np.concatenate([t.low for t in tables])[order]
    high = np.concatenate([t.high for t in tables])[order]
    first = np.flatnonzero(np.concatenate([[True], range_group[1:] != range_group[:-1]])) if len(order) else order
    tails: dict[int, tuple[int, int]] = {}
    for t, to in zip(tables, groups, strict=True):
        for group, (below, above) in t.tails.items():
            old = tails.get(int(to[group]), (0, 0))
            tails[int(to[group])] = (old[0] + below, old[1] + above)
    moment_group = np.concatenate([to[t.moment_group] for t, to in zip(tables, groups, strict=True)])
    moment_origin = np.concatenate(
        [t.moment_origin if to is None else to[t.moment_origin] for t, to in zip(tables, origins, strict=True)]
    )
    moment_count = np.concatenate([t.moment_count for t in tables])
    moments = np.concatenate([t.moments for t in tables])
    # Rows that share group and origin (groups collapsed under a cap) stand in the order of their bits: one order.
    by = [moments[:, i].view(np.uint64) for i in range(3, -1, -1)]
    order = np.lexsort([*by, moment_count, moment_origin, moment_group])
    return NumericTable(
        cell_group,
        cell,
        count,
        gap_group,
        gap,
        gap_sum,
        range_group[first].astype(np.uint32),
        np.minimum.reduceat(low, first) if len(first) else low,
        np.maximum.reduceat(high, first) if len(first) else high,
        dict(sorted(tails.items())),
        moment_group[order].astype(np.uint32),
        moment_origin[order].astype(np.uint32),
        moment_count[order],
        np.ascontiguousarray(moments[order]),
    )


@dataclass
class CategoryTable:
    """Counts of a categorical column. ``cells``: (cell_group, cell, count), cells are slots of
    ``cpp/engine/category_state.hpp``. ``unseen``: values the baseline does not know, sorted by bytes, with their counts
    (unseen_group, unseen_index, unseen_count)."""

    cell_group: UInt32 = field(default_factory=_empty32)
    cell: UInt32 = field(default_factory=_empty32)
    count: UInt64 = field(default_factory=_empty64)
    unseen: tuple[bytes, ...] = ()
    unseen_group: UInt32 = field(default_factory=_empty32)
    unseen_index: UInt32 = field(default_factory=_empty32)
    unseen_count: UInt64 = field(default_factory=_empty64)

    kind: ClassVar[str] = "categorical"

    @classmethod
    def from_engine(cls, r: dict[str, Any]) -> CategoryTable:
        """From what ``_core.Counter.category`` returns."""
        return cls(
            _expand(r["group"], r["cell_begin"]),
            r["cell"],
            r["count"],
            tuple(r["unseen"]),
            r["unseen_group"],
            r["unseen_index"],
            r["unseen_count"],
        )

    @property
    def entries(self) -> int:
        """Rows of the largest table: what merging costs."""
        return len(self.cell) + len(self.unseen_count)

    def regrouped(self, to: UInt32) -> CategoryTable:
        """The same table with group g renumbered to ``to[g]``; groups that meet are added."""
        return merge_categories([self], [to], cap=max(1, len(self.unseen)))

    def of_group(self, group: int, slots: int) -> UInt64:
        """Dense counts of one group without unseen values: (slots,)."""
        begin, end = np.searchsorted(self.cell_group, [group, group + 1])
        dense = np.zeros(slots, dtype=np.uint64)
        dense[self.cell[begin:end]] = self.count[begin:end]
        return dense

    def unseen_of(self, group: int) -> dict[bytes, int]:
        """Unseen values of one group with their counts, by bytes."""
        begin, end = np.searchsorted(self.unseen_group, [group, group + 1])
        return {
            self.unseen[int(i)]: int(n)
            for i, n in zip(self.unseen_index[begin:end], self.unseen_count[begin:end], strict=True)
        }

    def arrays(self) -> Arrays:
        """Named arrays for a file."""
        return {
            "cell_group": self.cell_group,
            "cell": self.cell,
            "count": self.count,
            "unseen_size": np.array([len(v) for v in self.unseen], dtype=np.uint32),
            "unseen_bytes": np.frombuffer(b"".join(self.unseen), dtype=np.uint8),
            "unseen_group": self.unseen_group,
            "unseen_index": self.unseen_index,
            "unseen_count": self.unseen_count,
        }

    @classmethod
    def from_arrays(cls, a: Arrays) -> CategoryTable:
        """The inverse of ``arrays``; raises KeyError or ValueError where they do not fit together."""
        unseen = split_bytes(a["unseen_bytes"].tobytes(), a["unseen_size"])
        table = cls(
            a["cell_group"].astype(np.uint32),
            a["cell"].astype(np.uint32),
            a["count"].astype(np.uint64),
            unseen,
            a["unseen_group"].astype(np.uint32),
            a["unseen_index"].astype(np.uint32),
            a["unseen_count"].astype(np.uint64),
        )
        if not len(table.cell_group) == len(table.cell) == len(table.count):
            raise ValueError("cell_group and its table differ in length")
        if not len(table.unseen_group) == len(table.unseen_index) == len(table.unseen_count):
            raise ValueError("unseen values differ in length")
        if len(table.unseen_index) and int(table.unseen_index.max()) >= len(unseen):
            raise ValueError("an unseen value is missing from its list")
        return table


def split_bytes(joined: bytes, sizes: npt.NDArray[Any]) -> tuple[bytes, ...]:
    """Cuts joined byte strings apart; raises ValueError where the sizes do not add up."""
    ends = np.cumsum(sizes, dtype=np.int64).tolist()
    if (ends[-1] if ends else 0) != len(joined):
        raise ValueError("sizes and bytes differ in length")
    return tuple(joined[end - size : end] for end, size in zip(ends, sizes.tolist(), strict=True))


def merge_categories(tables: Sequence[CategoryTable], groups: Sequence[UInt32], *, cap: int) -> CategoryTable:
    """Adds tables; of more than ``cap`` unseen values those with the smallest (hash, bytes) survive, the others are
    counted as `other` (DESIGN 3.3)."""
    from modelwatch_gpu import _core
    from modelwatch_gpu.profile.columns import OTHER_SLOT

    union = sorted({value for t in tables for value in t.unseen})
    kept = union
    if len(union) > cap:
        kept = sorted(sorted(union, key=lambda v: (_core.hash_bytes(v), v))[:cap])
    index = {value: i for i, value in enumerate(kept)}
    cell_groups = [to[t.cell_group] for t, to in zip(tables, groups, strict=True)]
    cells, counts = [t.cell for t in tables], [t.count for t in tables]
    unseen_groups, unseen_indices, unseen_counts = [], [], []
    for t, to in zip(tables, groups, strict=True):
        target = np.array([index.get(v, -1) for v in t.unseen], dtype=np.int64)
        at = target[t.unseen_index] if len(t.unseen) else np.empty(0, dtype=np.int64)
        survives = at >= 0
        unseen_groups.append(to[t.unseen_group][survives])
        unseen_indices.append(at[survives].astype(np.uint32))
        unseen_counts.append(t.unseen_count[survives])
        cell_groups.append(to[t.unseen_group][~survives])
        cells.append(np.full(int((~survives).sum()), OTHER_SLOT, dtype=np.uint32))
        counts.append(t.unseen_count[~survives])
    cell_group, cell, count = _added(np.concatenate(cell_groups), np.concatenate(cells), np.concatenate(counts))
    unseen_group, unseen_index, unseen_count = _added(
        np.concatenate(unseen_groups), np.concatenate(unseen_indices), np.concatenate(unseen_counts)
    )
    return CategoryTable(cell_group, cell, count, tuple(kept), unseen_group, unseen_index, unseen_count)


Table = NumericTable | CategoryTable
