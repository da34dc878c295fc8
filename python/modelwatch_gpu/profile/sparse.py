"""Numbers of (group, index) pairs, most of which are zero: one row of entries per group, in the narrowest types."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from modelwatch_gpu import _core

UInt32 = npt.NDArray[np.uint32]
UInt64 = npt.NDArray[np.uint64]
Int64 = npt.NDArray[np.int64]
#: uint8, uint16, uint32 or uint64, whichever is the narrowest that holds every entry.
Narrow = npt.NDArray[Any]

#: The narrowest type of numbers of so many bytes.
_WIDTHS: Final = tuple(np.dtype(f"u{size}") for size in (1, 1, 2, 4, 4, 8, 8, 8, 8))


def narrow(values: npt.NDArray[Any]) -> Narrow:
    """Unsigned integers in the narrowest type that holds them all."""
    most = int(np.maximum.reduce(values)) if len(values) else 0
    return values.astype(_WIDTHS[(most.bit_length() + 7) // 8], copy=False)


def begins(sizes: npt.NDArray[Any]) -> Int64:
    """(groups + 1,) where each group's entries begin, from (groups,) how many it has."""
    out = np.zeros(len(sizes) + 1, dtype=np.int64)
    np.cumsum(sizes, out=out[1:])
    return out


@dataclass(frozen=True, eq=False)
class SparseRows:
    """``begin``: (groups + 1,) int64 where each group's entries begin. ``index``, ``value``: (entries,), indices
    increasing within a group. Equal content has equal types, so comparing arrays compares content."""

    begin: Int64
    index: Narrow
    value: Narrow

    @classmethod
    def of(cls, begin: npt.NDArray[Any], index: npt.NDArray[Any], value: npt.NDArray[Any]) -> SparseRows:
        """From arrays of any integer type."""
        return cls(begin.astype(np.int64, copy=False), narrow(index), narrow(value))

    @classmethod
    def empty(cls, groups: int) -> SparseRows:
        """No entries at all."""
        return cls.of(np.zeros(groups + 1, dtype=np.int64), np.empty(0, np.uint8), np.empty(0, np.uint8))

    @classmethod
    def from_engine(cls, group: UInt32, begin: UInt64, index: UInt32, value: UInt64, groups: int) -> SparseRows:
        """From rows of the groups that are there, of ``groups`` in all."""
        if len(group) == groups:
            return cls.of(begin, index, value)
        sizes = np.zeros(groups, dtype=np.int64)
        sizes[group] = begin[1:] - begin[:-1]
        return cls.of(begins(sizes), index, value)

    @classmethod
    def from_triples(
        cls, group: npt.NDArray[Any], index: npt.NDArray[Any], value: npt.NDArray[Any], groups: int, name: str
    ) -> SparseRows:
        """From three arrays of equal length, sorted by group and index; raises ValueError where they are not."""
        if not len(group) == len(index) == len(value):
            raise ValueError(f"{name}_group and its table differ in length")
        if len(group) and int(group.max()) >= groups:
            raise ValueError(f"{name}_group names a group that is not there")
        if len(index) and int(index.max()) >= 1 << 32:
            raise ValueError(f"{name} has an index beyond 32 bits")
        if groups == 1:
            key, sizes = index, np.array([len(index)])
        else:
            key = (group.astype(np.int64) << 32) | index.astype(np.int64)
            sizes = np.bincount(group.astype(np.int64), minlength=groups)
        if (key[1:] <= key[:-1]).any():
            raise ValueError(f"{name} is not sorted")
        return cls.of(begins(sizes), index, value)

    @property
    def groups(self) -> int:
        """How many groups there are, with or without entries."""
        return len(self.begin) - 1

    @property
    def group(self) -> UInt32:
        """(entries,) the group of each entry."""
        return np.repeat(np.arange(self.groups, dtype=np.uint32), self.sizes)

    @property
    def sizes(self) -> Int64:
        """(groups,) entries of each group."""
        return self.begin[1:] - self.begin[:-1]

    def bounds(self, begin: int, end: int) -> Int64:
        """(end - begin + 1,) where the entries of each group from ``begin`` to ``end`` begin, and the last ones end;
        groups that are not there have none."""
        return self.begin[np.minimum(np.arange(begin, end + 1), self.groups)]

    @property
    def present(self) -> npt.NDArray[np.bool_]:
        """(groups,) whether a group has any entry."""
        return self.begin[1:] > self.begin[:-1]

    def __len__(self) -> int:
        return len(self.index)

    def row(self, group: int) -> tuple[Narrow, Narrow]:
        """Indices and values of one group; nothing for a group that is not there."""
        if group >= self.groups:
            return self.index[:0], self.value[:0]
        a, b = int(self.begin[group]), int(self.begin[group + 1])
        return self.index[a:b], self.value[a:b]

    def dense(self, group: int, width: int) -> UInt64:
        """All numbers of one group: (width,)."""
        out = np.zeros(width, dtype=np.uint64)
        index, value = self.row(group)
        out[index] = value
        return out

    def select(self, kept: npt.NDArray[np.bool_], index: npt.NDArray[Any]) -> SparseRows:
        """Only some of the entries, under new indices: ``kept`` (entries,), ``index`` one for each kept entry."""
        return SparseRows.of(np.concatenate([[0], np.cumsum(kept)])[self.begin], index, self.value[kept])


def merge_rows(tables: Sequence[SparseRows], to: Sequence[npt.NDArray[Any]], groups: int) -> SparseRows:
    """Adds tables up: group g of table i is group ``to[i][g]`` of ``groups``. Entries that meet are added (uint64)."""
    if len(tables) == 1 and tables[0].groups == groups and np.array_equal(to[0], np.arange(groups)):
        return tables[0]
    return SparseRows.of(*_core.merge_rows([(t.begin, t.index, t.value) for t in tables], to, groups))
