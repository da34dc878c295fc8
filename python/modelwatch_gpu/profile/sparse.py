"""Numbers of (group, index) pairs, most of which are zero: one row of entries per group, in the narrowest types."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

UInt32 = npt.NDArray[np.uint32]
UInt64 = npt.NDArray[np.uint64]
Int64 = npt.NDArray[np.int64]
#: uint8, uint16, uint32 or uint64, whichever is the narrowest that holds every entry.
Narrow = npt.NDArray[Any]

#: Entries that a merge works on at a time: what bounds its memory beside its input and output.
MERGE_ENTRIES: Final = 1 << 19

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
        key = (group.astype(np.int64) << 32) | index.astype(np.int64)
        if (key[1:] <= key[:-1]).any():
            raise ValueError(f"{name} is not sorted")
        return cls.of(begins(np.bincount(group.astype(np.int64), minlength=groups)), index, value)

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
    target = np.concatenate(to).astype(np.int64)
    lengths = np.concatenate([t.sizes for t in tables])
    entries = np.zeros(groups, dtype=np.int64)
    np.add.at(entries, target, lengths)
    width = max((int(t.index.max()) + 1 for t in tables if len(t)), default=1)
    if int(entries.sum()) <= MERGE_ENTRIES:
        keys = np.repeat(target * width, lengths) + np.concatenate([t.index for t in tables])
        begin, index, value = _added(keys, np.concatenate([t.value for t in tables]), groups, width)
        return SparseRows.of(begin, index, value)
    orders = [np.argsort(t, kind="stable") for t in to]
    targets = [t[order].astype(np.int64) for t, order in zip(to, orders, strict=True)]
    sizes = np.zeros(groups, dtype=np.int64)
    indices: list[Narrow] = []
    values: list[Narrow] = []
    for first, end in _chunks(entries):
        keys, counts = _gathered(tables, orders, targets, first, end, width)
        begin, index, value = _added(keys, counts, end - first, width)
        sizes[first:end] = np.diff(begin)
        indices.append(narrow(index))
        values.append(narrow(value))
    return SparseRows.of(begins(sizes), np.concatenate(indices), np.concatenate(values))


def _added(keys: Int64, values: Narrow, groups: int, width: int) -> tuple[Int64, Int64, Narrow]:
    """Entries at group * width + index in order, those that meet added: where groups begin, indices, values."""
    if (keys[1:] <= keys[:-1]).any():
        order = np.argsort(keys, kind="stable")
        keys, values = keys[order], values[order]
        new = np.ones(len(keys), dtype=bool)
        np.not_equal(keys[1:], keys[:-1], out=new[1:])
        starts = np.flatnonzero(new)
        keys, values = keys[starts], np.add.reduceat(values, starts, dtype=np.uint64)
    at = np.arange(groups + 1) * width
    begin = np.searchsorted(keys, at)
    return begin, keys - np.repeat(at[:-1], begin[1:] - begin[:-1]), values


def _chunks(entries: Int64) -> Iterator[tuple[int, int]]:
    """Ranges of groups with at most ``MERGE_ENTRIES`` entries each, or one group."""
    ends = np.cumsum(entries)
    first = 0
    while first < len(entries):
        done = int(ends[first - 1]) if first else 0
        end = max(first + 1, int(np.searchsorted(ends, done + MERGE_ENTRIES, side="right")))
        yield first, end
        first = end


def _gathered(
    tables: Sequence[SparseRows],
    orders: Sequence[Int64],
    targets: Sequence[Int64],
    first: int,
    end: int,
    width: int,
) -> tuple[Int64, Narrow]:
    """(target group - first) * width + index, and the value, of every entry whose target lies in [first, end)."""
    keys: list[Int64] = []
    values: list[Narrow] = []
    for table, order, target in zip(tables, orders, targets, strict=True):
        low, high = np.searchsorted(target, [first, end])
        own = order[low:high]
        if not len(own):
            continue
        lengths = table.begin[own + 1] - table.begin[own]
        at: slice | Int64
        if (own[1:] == own[:-1] + 1).all():
            at = slice(int(table.begin[own[0]]), int(table.begin[own[-1] + 1]))
        else:
            shift = table.begin[own] - (np.cumsum(lengths) - lengths)
            at = np.repeat(shift, lengths) + np.arange(int(lengths.sum()))
        keys.append(np.repeat((target[low:high] - first) * width, lengths) + table.index[at].astype(np.int64))
        values.append(table.value[at])
    if not keys:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.uint8)
    return np.concatenate(keys), np.concatenate(values)
