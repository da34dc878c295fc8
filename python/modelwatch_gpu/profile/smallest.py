"""The distinct keys with the smallest hashes, with exact counts: a mergeable sample of what repeats (DESIGN 3.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

UInt64 = npt.NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class Smallest:
    """At most ``cap`` distinct 64-bit hashes, the smallest ones, and how many rows have each.

    A hash that is kept has never been given up before, so its count is of all rows, and any order and split of the
    rows gives the same. ``key``: (kept,) sorted. ``count``: (kept,) rows. ``low``, ``high``: name -> (kept,) the
    smallest and largest of what came with the rows of a key.
    """

    cap: int
    key: UInt64
    count: UInt64
    low: dict[str, UInt64] = field(default_factory=dict)
    high: dict[str, UInt64] = field(default_factory=dict)

    @classmethod
    def empty(cls, cap: int, names: Sequence[str] = ()) -> Smallest:
        """Nothing yet; ``names``: what will come with the rows."""
        none = np.empty(0, dtype=np.uint64)
        return cls(cap, none, none, dict.fromkeys(names, none), dict.fromkeys(names, none))

    @property
    def whole(self) -> bool:
        """Whether no key was given up: then this is no sample."""
        return len(self.key) < self.cap

    @property
    def limit(self) -> int:
        """Keys up to this hash are all here."""
        return (1 << 64) - 1 if self.whole else int(self.key[-1])

    def plus(self, keys: UInt64, attached: Mapping[str, UInt64] | None = None) -> Smallest:
        """With more rows: (rows,) hashes and what comes with each."""
        attached = attached or {}
        near = np.flatnonzero(keys <= np.uint64(self.limit))
        if not len(near):
            return self
        ones = np.ones(len(near), dtype=np.uint64)
        own = {name: values[near] for name, values in attached.items()}
        return self._merged([Smallest(self.cap, keys[near], ones, own, own)])

    def merged(self, others: Sequence[Smallest]) -> Smallest:
        """The smallest keys of all rows of which these are."""
        return self._merged(others) if others else self

    def _merged(self, others: Sequence[Smallest]) -> Smallest:
        every = [self, *others]
        keys = np.concatenate([s.key for s in every])
        if not len(keys):
            return self
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        begin = np.flatnonzero(np.append(True, keys[1:] != keys[:-1]))
        kept = begin[: self.cap]

        def reduced(by: np.ufunc, arrays: Sequence[UInt64]) -> UInt64:
            found: UInt64 = by.reduceat(np.concatenate(arrays)[order], begin)[: self.cap]
            return found

        names = sorted({name for s in every for name in s.low if len(s.key)})
        there = [s for s in every if len(s.key)]
        nothing = {len(s.key): np.zeros(len(s.key), dtype=np.uint64) for s in there}
        return Smallest(
            self.cap,
            keys[kept],
            reduced(np.add, [s.count for s in every]),
            {n: reduced(np.minimum, [s.low.get(n, nothing[len(s.key)]) for s in there]) for n in names},
            {n: reduced(np.maximum, [s.high.get(n, nothing[len(s.key)]) for s in there]) for n in names},
        )

    @property
    def rows(self) -> int:
        """Rows of the kept keys."""
        return int(self.count.sum())

    @property
    def repeated(self) -> float:
        """Share of rows beyond the first of their key: exact where ``whole``, else of the kept keys."""
        return 1 - len(self.key) / self.rows if self.rows else 0.0

    def shared_with(self, other: Smallest) -> tuple[int, int]:
        """How many keys of this one the other has too, and out of how many: those that both would have kept."""
        limit = np.uint64(min(self.limit, other.limit))
        own = self.key[self.key <= limit]
        return int(np.isin(own, other.key).sum()), len(own)

    def arrays(self) -> dict[str, UInt64]:
        """Named arrays for a file."""
        named = {f"low/{name}": values for name, values in sorted(self.low.items())}
        named |= {f"high/{name}": values for name, values in sorted(self.high.items())}
        return {"key": self.key, "count": self.count, **named}

    @classmethod
    def from_arrays(cls, cap: int, arrays: Mapping[str, npt.NDArray[np.generic]]) -> Smallest:
        """The inverse of ``arrays``; raises KeyError or ValueError where they do not fit together."""
        own = {name: array.astype(np.uint64) for name, array in arrays.items()}
        key, count = own.pop("key"), own.pop("count")
        if any(len(array) != len(key) for array in (count, *own.values())) or len(key) > cap:
            raise ValueError("hashes and their counts differ in length")
        if np.any(key[1:] <= key[:-1]):
            raise ValueError("hashes are not sorted")
        by: dict[str, dict[str, UInt64]] = {"low": {}, "high": {}}
        for name, array in own.items():
            side, _, rest = name.partition("/")
            by[side][rest] = array
        return cls(cap, key, count, by["low"], by["high"])
