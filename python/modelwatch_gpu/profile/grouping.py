"""Which group does each row of a batch belong to: window, block, and segment within a window."""

from __future__ import annotations

from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from modelwatch_gpu import _core
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.log.windows import Window
from modelwatch_gpu.profile.adapt import category_array
from modelwatch_gpu.profile.parts import SEGMENT_NULL, SEGMENT_OTHER, SEGMENT_VALUE, UNTIMED, WHOLE, GroupKey
from modelwatch_gpu.profile.planner import SEGMENT_SLACK

Int32 = npt.NDArray[np.int32]

_UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def time_column(array: pa.Array, name: str) -> tuple[pa.Array, int]:
    """A timestamp or date column as int64 and its ticks per second; raises InputError for any other type."""
    kind = array.type
    if pa.types.is_timestamp(kind):
        return array.cast(pa.int64()), _UNITS[kind.unit]
    if pa.types.is_date(kind):
        return array.cast(pa.timestamp("s")).cast(pa.int64()), 1
    if pa.types.is_null(kind):
        return array.cast(pa.int64()), 1
    raise InputError(
        f"Column '{name}' has the role timestamp but its type is {kind}; store it as an Arrow timestamp, "
        "or give another column that role."
    )


@dataclass
class Numbering:
    """Group keys in order of arrival, with the rows of each."""

    keys: list[GroupKey] = field(default_factory=list)
    at: dict[GroupKey, int] = field(default_factory=dict)
    rows: list[int] = field(default_factory=list)

    def number(self, key: GroupKey) -> int:
        """The number of a key, a new one if it was not seen before."""
        found = self.at.get(key)
        if found is None:
            found = self.at[key] = len(self.keys)
            self.keys.append(key)
            self.rows.append(0)
        return found

    def numbers(self, local: Int32, keys: list[GroupKey]) -> Int32:
        """Global numbers of rows whose local numbers index ``keys``; only keys that occur get one. Counts the rows."""
        present = np.bincount(local, minlength=len(keys))
        to = np.full(len(keys), -1, dtype=np.int32)
        for i in np.flatnonzero(present):
            to[i] = self.number(keys[i])
            self.rows[to[i]] += int(present[i])
        return to[local]


class TimeGroups:
    """Numbers rows by the calendar interval their timestamp falls into."""

    def __init__(self, interval: Window | None, zone: ZoneInfo) -> None:
        self.interval = interval
        self.zone = zone
        self.numbering = Numbering()

    def of(self, ticks: pa.Array | None, per_second: int, rows: int) -> Int32:
        """Group of every row; without an interval all rows are one group."""
        if self.interval is None or ticks is None:
            key: GroupKey = (WHOLE,) if self.interval is None else (UNTIMED,)
            at = self.numbering.number(key)
            self.numbering.rows[at] += rows
            return np.full(rows, at, dtype=np.int32)
        span = pc.min_max(ticks)
        if not span["min"].is_valid:
            return self.numbering.numbers(np.zeros(rows, dtype=np.int32), [(UNTIMED,)])
        starts = self.interval.boundaries(
            span["min"].as_py() // per_second, span["max"].as_py() // per_second, self.zone
        )
        local = _core.interval_of(ticks, starts * per_second)
        if ticks.null_count:
            local = np.where(local < 0, len(starts) - 1, local).astype(np.int32)
        keys: list[GroupKey] = [(int(s),) for s in starts[:-1]]
        return self.numbering.numbers(local, [*keys, (UNTIMED,)])


class SegmentGroups:
    """Numbers rows by (window, segment value). Of more than ``cap`` values those with the smallest (hash, bytes) are
    kept apart; the others are one segment, `other` (DESIGN 3.3)."""

    def __init__(self, column: str, cap: int) -> None:
        self.column = column
        self.cap = cap
        self.numbering = Numbering()
        self._seen: dict[bytes, int] = {}
        self._limit: tuple[int, bytes] | None = None

    def of(self, windows: Int32, window_keys: list[GroupKey], values: pa.Array) -> Int32:
        """Group of every row; ``windows`` are its window groups, numbered by ``window_keys``."""
        coded = category_array(values)
        names = coded.dictionary.cast(
            pa.large_binary() if pa.types.is_large_string(coded.dictionary.type) else pa.binary()
        )
        keys: list[tuple[int, str]] = [self._key(v) for v in names.to_pylist()] + [(SEGMENT_NULL, "")]
        codes = coded.indices.fill_null(len(keys) - 1).to_numpy(zero_copy_only=False).astype(np.int64)
        used = np.unique(windows)
        slot = np.zeros(int(used.max()) + 1 if len(used) else 1, dtype=np.int64)
        slot[used] = np.arange(len(used))
        local = (slot[windows] * len(keys) + codes).astype(np.int32)
        full: list[GroupKey] = [(int(window_keys[w][0]), *key) for w in used for key in keys]
        return self.numbering.numbers(local, full)

    def _key(self, value: bytes | None) -> tuple[int, str]:
        if value is None:
            return (SEGMENT_NULL, "")
        text = value.decode("utf-8", errors="surrogateescape")
        if value in self._seen:
            return (SEGMENT_VALUE, text)
        rank = (_core.hash_bytes(value), value)
        if self._limit is not None and rank > self._limit:
            return (SEGMENT_OTHER, "")
        self._seen[value] = rank[0]
        if len(self._seen) > self.cap * (1 + SEGMENT_SLACK):
            kept = sorted((h, v) for v, h in self._seen.items())[: self.cap]
            self._limit = kept[-1]
            self._seen = {v: h for h, v in kept}
            if value not in self._seen:
                return (SEGMENT_OTHER, "")
        return (SEGMENT_VALUE, text)
