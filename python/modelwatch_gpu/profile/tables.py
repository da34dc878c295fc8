"""The state of one column in one counter set: integer tables, sorted by group and cell.

Groups are numbered by the part that holds the table (``Part.groups``). Everything here is *exact* state: merging is
addition, any order gives the same bytes. Moments are *ordered* state (DESIGN 3.5): a table keeps one row per
(group, origin), and only ``fold_moments`` adds them, in the order of the origins' fingerprints.

Tables are compact (decision 0005): ``SparseRows`` in the narrowest types that hold their numbers. A file keeps them as
flat arrays, one entry a row (``arrays``), which the properties of the same names give.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from modelwatch_gpu import _core
from modelwatch_gpu.profile.columns import OTHER_SLOT
from modelwatch_gpu.profile.moments import Floats, MomentPiece, MomentRows, Moments, join_moments, merge_moments
from modelwatch_gpu.profile.sketches import Sketches, beyond_cap, merge_sketches
from modelwatch_gpu.profile.sparse import SparseRows, UInt32, UInt64, begins, merge_rows

__all__ = [
    "WIDE_UNIT_BIT",
    "Arrays",
    "CategoryTable",
    "Counts",
    "Moments",
    "NumericTable",
    "Table",
    "UInt32",
    "UInt64",
    "merge_categories",
    "merge_moments",
    "merge_numeric",
    "split_bytes",
]

Counts = UInt64
Arrays = dict[str, npt.NDArray[Any]]

#: The last bit of a wide sum is worth 2^-1074 (cpp/core/wide_sum.hpp).
WIDE_UNIT_BIT = 1074

#: Lowest and highest key of a group in which nothing was ranked.
NO_LOW, NO_HIGH = (1 << 64) - 1, 0


def _wide_sum(limbs: UInt64) -> int:
    """A two's complement wide sum as a Python integer, in units of 2^-1074."""
    return int.from_bytes(limbs.astype("<u8").tobytes(), "little", signed=True)


@dataclass
class NumericTable:
    """Counts, gap sums, ranges, tails and moments of a numeric column.

    ``cells``: counts by cell. ``gaps``: sums of offsets by gap, in units of 2^-32. ``lowest``, ``highest``: (groups,)
    keys, lowest > highest where no value was ranked. ``tails``: group -> (sum of values below the finite knots, sum
    above), integers in units of 2^-1074. ``moments_by_origin``: ordered state. ``sketches``: of values between knots,
    in windows on the fine grid.
    """

    cells: SparseRows
    gaps: SparseRows
    lowest: UInt64
    highest: UInt64
    moments_by_origin: MomentRows
    tails: dict[int, tuple[int, int]] = field(default_factory=dict)
    sketches: Sketches = field(default_factory=Sketches)

    kind: ClassVar[str] = "numeric"

    @classmethod
    def from_engine(cls, r: dict[str, Any], groups: int) -> NumericTable:
        """From what ``_core.Counter.numeric`` returns for a set of so many groups."""
        there: UInt32 = r["group"]
        if len(there) == groups:
            lowest, highest = r["low"], r["high"]
        else:
            lowest, highest = _no_range(groups)
            lowest[there], highest[there] = r["low"], r["high"]
        moments = MomentRows.empty(groups)
        if len(r["moment_count"]):
            moments = MomentRows.of_one_origin(there, r["moment_count"], r["moments"], groups)
        return cls(
            cells=SparseRows.from_engine(there, r["cell_begin"], r["cell"], r["count"], groups),
            gaps=SparseRows.from_engine(there, r["gap_begin"], r["gap"], r["gap_sum"], groups),
            lowest=lowest,
            highest=highest,
            moments_by_origin=moments,
            tails={
                int(g): (_wide_sum(below), _wide_sum(above))
                for g, below, above in zip(r["tail_group"], r["tail_lower"], r["tail_upper"], strict=True)
            },
            sketches=Sketches.from_engine(r),
        )

    @property
    def groups(self) -> int:
        """Groups of the set, counted here or not."""
        return self.cells.groups

    @property
    def entries(self) -> int:
        """Rows of the largest table: what merging costs."""
        return len(self.cells)

    @property
    def cell_group(self) -> UInt32:
        """(entries,) group of each counted cell."""
        return self.cells.group

    @property
    def gap_group(self) -> UInt32:
        """(gap entries,) group of each gap with an offset."""
        return self.gaps.group

    @property
    def range_group(self) -> UInt32:
        """(ranges,) groups that were counted here."""
        return np.flatnonzero(self.cells.present).astype(np.uint32)

    @property
    def low(self) -> UInt64:
        """(ranges,) their smallest key."""
        return self.lowest[self.cells.present]

    @property
    def high(self) -> UInt64:
        """(ranges,) their largest key."""
        return self.highest[self.cells.present]

    @property
    def moment_group(self) -> UInt32:
        """(rows,) group of each row of moments."""
        return self.moments_by_origin.group

    @property
    def moment_origin(self) -> UInt32:
        """(rows,) its origin: which of ``Part.origins``."""
        return self.moments_by_origin.origin.astype(np.uint32)

    @property
    def moment_count(self) -> UInt64:
        """(rows,) finite values."""
        return self.moments_by_origin.count.astype(np.uint64)

    @property
    def moments(self) -> Floats:
        """(rows, 4) mean, m2, m3, m4."""
        return self.moments_by_origin.sums

    def regrouped(self, to: UInt32, groups: int) -> NumericTable:
        """The same table with group g renumbered to ``to[g]``, of ``groups``; groups that meet are added."""
        if groups == self.groups and np.array_equal(to, np.arange(groups)):
            return self
        return merge_numeric([self], [to], [None], groups)

    def of_group(self, group: int, slots: int) -> UInt64:
        """Dense counts of one group: (slots,)."""
        return self.cells.dense(group, slots)

    def gap_sums(self, group: int, gaps: int) -> UInt64:
        """Dense gap sums of one group: (gaps,)."""
        return self.gaps.dense(group, gaps)

    def range_of(self, group: int) -> tuple[int, int] | None:
        """Smallest and largest key of one group; None where nothing was ranked."""
        if group >= self.groups or self.lowest[group] > self.highest[group]:
            return None
        return int(self.lowest[group]), int(self.highest[group])

    def fold_moments(self, group: int) -> Moments:
        """(count, mean, m2, m3, m4) of one group, origins folded in their order."""
        return self.moments_by_origin.fold(group)

    def arrays(self) -> Arrays:
        """Named arrays for a file."""
        tail_groups = sorted(self.tails)
        sums = [_signed_bytes(part) for g in tail_groups for part in self.tails[g]]
        return {
            "cell_group": self.cell_group,
            "cell": self.cells.index,
            "count": self.cells.value,
            "gap_group": self.gap_group,
            "gap": self.gaps.index,
            "gap_sum": self.gaps.value,
            "range_group": self.range_group,
            "low": self.low,
            "high": self.high,
            "tail_group": np.array(tail_groups, dtype=np.uint32),
            "tail_size": np.array([len(b) for b in sums], dtype=np.uint32),
            "tail_bytes": np.frombuffer(b"".join(sums), dtype=np.uint8),
            "moment_group": self.moment_group,
            "moment_origin": self.moments_by_origin.origin,
            "moment_count": self.moments_by_origin.count,
            "moments": self.moments.reshape(-1),
            **self.sketches.arrays(),
        }

    @classmethod
    def from_arrays(cls, a: Arrays, groups: int) -> NumericTable:
        """The inverse of ``arrays``; raises KeyError or ValueError where they do not fit together or the groups."""
        ends = np.cumsum(a["tail_size"], dtype=np.int64)
        raw = a["tail_bytes"].tobytes()
        parts = [
            int.from_bytes(raw[end - size : end], "little", signed=True)
            for end, size in zip(ends.tolist(), a["tail_size"].tolist(), strict=True)
        ]
        tail_groups = a["tail_group"].tolist()
        if len(parts) != 2 * len(tail_groups):
            raise ValueError("tail sums and groups differ in length")
        there, lowest, highest = a["range_group"].astype(np.int64), *_no_range(groups)
        if not len(there) == len(a["low"]) == len(a["high"]):
            raise ValueError("range_group and its table differ in length")
        origin, moments = a["moment_origin"], a["moments"].astype(np.float64).reshape(-1, 4)
        if not len(a["moment_group"]) == len(origin) == len(a["moment_count"]) == len(moments):
            raise ValueError("moments differ in length")
        for named in (there, a["moment_group"], a["tail_group"]):
            if len(named) and int(named.max()) >= groups:
                raise ValueError("a table names a group that is not there")
        lowest[there], highest[there] = a["low"], a["high"]
        return cls(
            cells=SparseRows.from_triples(a["cell_group"], a["cell"], a["count"], groups, "cell"),
            gaps=SparseRows.from_triples(a["gap_group"], a["gap"], a["gap_sum"], groups, "gap"),
            lowest=lowest,
            highest=highest,
            moments_by_origin=MomentRows.of(a["moment_group"], origin, a["moment_count"], moments, groups),
            tails={g: (parts[2 * i], parts[2 * i + 1]) for i, g in enumerate(tail_groups)},
            sketches=Sketches.from_arrays(a, groups),
        )


def _no_range(groups: int) -> tuple[UInt64, UInt64]:
    return np.full(groups, NO_LOW, dtype=np.uint64), np.full(groups, NO_HIGH, dtype=np.uint64)


def _signed_bytes(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 8) // 8, "little", signed=True)


def merge_numeric(
    tables: Sequence[NumericTable], to: Sequence[UInt32], origins: Sequence[UInt32 | None], groups: int
) -> NumericTable:
    """Adds tables whose group g of table i is group ``to[i][g]`` of ``groups`` in the result."""
    lowest, highest = _no_range(groups)
    target = np.concatenate(to)
    np.minimum.at(lowest, target, np.concatenate([t.lowest for t in tables]))
    np.maximum.at(highest, target, np.concatenate([t.highest for t in tables]))
    tails: dict[int, tuple[int, int]] = {}
    for t, own in zip(tables, to, strict=True):
        for group, (below, above) in t.tails.items():
            old = tails.get(int(own[group]), (0, 0))
            tails[int(own[group])] = (old[0] + below, old[1] + above)
    pieces = [MomentPiece(t.moments_by_origin, own, o) for t, own, o in zip(tables, to, origins, strict=True)]
    return NumericTable(
        cells=merge_rows([t.cells for t in tables], to, groups),
        gaps=merge_rows([t.gaps for t in tables], to, groups),
        lowest=lowest,
        highest=highest,
        moments_by_origin=join_moments(pieces, groups),
        tails=dict(sorted(tails.items())),
        sketches=merge_sketches([t.sketches for t in tables], to),
    )


@dataclass
class CategoryTable:
    """Counts of a categorical column. ``cells``: counts by slot of ``cpp/engine/category_state.hpp``. ``unseen``:
    values the baseline does not know, sorted by bytes; ``unseen_rows``: their counts by index into it. ``sketches``:
    registers of the values beyond a cap, in windows on the fine grid."""

    cells: SparseRows
    unseen: tuple[bytes, ...]
    unseen_rows: SparseRows
    sketches: Sketches = field(default_factory=Sketches)

    kind: ClassVar[str] = "categorical"

    @classmethod
    def from_engine(cls, r: dict[str, Any], groups: int) -> CategoryTable:
        """From what ``_core.Counter.category`` returns for a set of so many groups."""
        sizes = np.bincount(r["unseen_group"].astype(np.int64), minlength=groups)
        return cls(
            SparseRows.from_engine(r["group"], r["cell_begin"], r["cell"], r["count"], groups),
            tuple(r["unseen"]),
            SparseRows.of(begins(sizes), r["unseen_index"], r["unseen_count"]),
            Sketches.from_engine(r),
        )

    @property
    def groups(self) -> int:
        """Groups of the set, counted here or not."""
        return self.cells.groups

    @property
    def entries(self) -> int:
        """Rows of the largest table: what merging costs."""
        return len(self.cells) + len(self.unseen_rows)

    @property
    def cell_group(self) -> UInt32:
        """(entries,) group of each counted slot."""
        return self.cells.group

    @property
    def unseen_group(self) -> UInt32:
        """(unseen entries,) group of each count of an unseen value."""
        return self.unseen_rows.group

    def regrouped(self, to: UInt32, groups: int) -> CategoryTable:
        """The same table with group g renumbered to ``to[g]``, of ``groups``; groups that meet are added."""
        if groups == self.cells.groups and np.array_equal(to, np.arange(groups)):
            return self
        return merge_categories([self], [to], groups, cap=max(1, len(self.unseen)))

    def of_group(self, group: int, slots: int) -> UInt64:
        """Dense counts of one group without unseen values: (slots,)."""
        return self.cells.dense(group, slots)

    def unseen_of(self, group: int) -> dict[bytes, int]:
        """Unseen values of one group with their counts, by bytes."""
        index, count = self.unseen_rows.row(group)
        return {self.unseen[i]: n for i, n in zip(index.tolist(), count.tolist(), strict=True)}

    def arrays(self) -> Arrays:
        """Named arrays for a file."""
        return {
            "cell_group": self.cell_group,
            "cell": self.cells.index,
            "count": self.cells.value,
            "unseen_size": np.array([len(v) for v in self.unseen], dtype=np.uint32),
            "unseen_bytes": np.frombuffer(b"".join(self.unseen), dtype=np.uint8),
            "unseen_group": self.unseen_group,
            "unseen_index": self.unseen_rows.index,
            "unseen_count": self.unseen_rows.value,
            **self.sketches.arrays(),
        }

    @classmethod
    def from_arrays(cls, a: Arrays, groups: int) -> CategoryTable:
        """The inverse of ``arrays``; raises KeyError or ValueError where they do not fit together or the groups."""
        unseen = split_bytes(a["unseen_bytes"].tobytes(), a["unseen_size"])
        table = cls(
            SparseRows.from_triples(a["cell_group"], a["cell"], a["count"], groups, "cell"),
            unseen,
            SparseRows.from_triples(a["unseen_group"], a["unseen_index"], a["unseen_count"], groups, "unseen"),
            Sketches.from_arrays(a, groups),
        )
        if len(table.unseen_rows) and int(table.unseen_rows.index.max()) >= len(unseen):
            raise ValueError("an unseen value is missing from its list")
        return table


def split_bytes(joined: bytes, sizes: npt.NDArray[Any]) -> tuple[bytes, ...]:
    """Cuts joined byte strings apart; raises ValueError where the sizes do not add up."""
    ends = np.cumsum(sizes, dtype=np.int64).tolist()
    if (ends[-1] if ends else 0) != len(joined):
        raise ValueError("sizes and bytes differ in length")
    return tuple(joined[end - size : end] for end, size in zip(ends, sizes.tolist(), strict=True))


def merge_categories(
    tables: Sequence[CategoryTable], to: Sequence[UInt32], groups: int, *, cap: int, sketched: bool = False
) -> CategoryTable:
    """Adds tables; of more than ``cap`` unseen values those with the smallest (hash, bytes) survive, the others are
    counted as `other` (DESIGN 3.3), and stay in the registers where the tables are ``sketched``."""
    union = sorted({value for t in tables for value in t.unseen})
    kept = union
    if len(union) > cap:
        kept = sorted(sorted(union, key=lambda v: (_core.hash_bytes(v), v))[:cap])
    place = {value: i for i, value in enumerate(kept)}
    survivors: list[SparseRows] = []
    cells, cells_to = [t.cells for t in tables], list(to)
    sketches, sketches_to = [t.sketches for t in tables], list(to)
    for t, own in zip(tables, to, strict=True):
        target = np.array([place.get(v, -1) for v in t.unseen], dtype=np.int64)
        at = target[t.unseen_rows.index] if len(t.unseen) else np.empty(0, dtype=np.int64)
        if not (at < 0).any():
            survivors.append(SparseRows.of(t.unseen_rows.begin, at, t.unseen_rows.value))
        else:
            survivors.append(t.unseen_rows.select(at >= 0, at[at >= 0]))
            cells.append(t.unseen_rows.select(at < 0, np.full(int((at < 0).sum()), OTHER_SLOT)))
            cells_to.append(own)
            if sketched:
                gone = t.unseen_rows.select(at < 0, t.unseen_rows.index[at < 0])
                sketches.append(beyond_cap(gone.group, gone.index, t.unseen))
                sketches_to.append(own)
    merged = merge_sketches(sketches, sketches_to)
    return CategoryTable(merge_rows(cells, cells_to, groups), tuple(kept), merge_rows(survivors, to, groups), merged)


Table = NumericTable | CategoryTable
