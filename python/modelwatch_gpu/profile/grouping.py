"""Which group does each row of a batch belong to: window, block, and segments within a window."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import chain
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from modelwatch_gpu import _core, keys
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.log.roles import not_a_time
from modelwatch_gpu.log.windows import RowWindow, Window
from modelwatch_gpu.profile.adapt import Reading, coded_array, is_supported, reading_of
from modelwatch_gpu.profile.parts import (
    SEGMENT_NULL,
    SEGMENT_VALUE,
    UNTIMED,
    WHOLE,
    GroupKey,
    is_capped,
    other_segment,
    segment_rank,
)
from modelwatch_gpu.profile.planner import SEGMENT_SLACK
from modelwatch_gpu.profile.segmentation import Cut, Segmentation

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

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
    raise not_a_time(name, kind)


@dataclass
class Numbering:
    """Group keys in order of arrival, with the rows of each."""

    keys: list[GroupKey] = field(default_factory=list)
    at: dict[GroupKey, int] = field(default_factory=dict)
    #: How often keys were forgotten: numbers that were noted before may then be of other keys.
    forgotten: int = 0
    #: The first so many keys are of the file before: they are groups of this one where they have rows.
    given: int = 0
    _rows: Int64 = field(default_factory=lambda: np.zeros(64, dtype=np.int64))  # and room for more keys

    @classmethod
    def given_keys(cls, keys: list[GroupKey], at: dict[GroupKey, int]) -> Numbering:
        """Of the keys that the file before had, ``at`` their places, none of which has rows here yet."""
        rows = np.zeros(max(64, 2 * len(keys)), dtype=np.int64)
        return cls(keys.copy(), at.copy(), given=len(keys), _rows=rows)

    @property
    def rows(self) -> Int64:
        """(keys,) rows of each."""
        return self._rows[: len(self.keys)]

    @property
    def counters(self) -> Int64:
        """Where rows are counted, with room for more keys."""
        return self._rows

    def number(self, key: GroupKey) -> int:
        """The number of a key, a new one if it was not seen before."""
        found = self.at.get(key)
        if found is None:
            found = self.at[key] = len(self.keys)
            self.keys.append(key)
            if len(self.keys) > len(self._rows):
                self._rows = np.concatenate([self._rows, np.zeros_like(self._rows)])
        return found

    def number_all(self, keys: Iterable[GroupKey]) -> list[int]:
        """``number`` of many keys: a log that is cut by customer brings thousands with every file."""
        at, own, found = self.at, self.keys, []
        for key in keys:
            number = at.get(key)
            if number is None:
                number = at[key] = len(own)
                own.append(key)
            found.append(number)
        while len(own) > len(self._rows):
            self._rows = np.concatenate([self._rows, np.zeros_like(self._rows)])
        return found

    def add(self, numbers: npt.NDArray[Any], rows: npt.NDArray[Any]) -> None:
        """Counts rows of the keys with these numbers, of which some may be the same."""
        np.add.at(self._rows, numbers, rows)

    def all_in(self, key: GroupKey, rows: int) -> Int32:
        """The number of a key for every one of so many rows, which are counted; a key of no rows gets one too."""
        at = self.number(key)
        self._rows[at] += rows
        return np.full(rows, at, dtype=np.int32)

    def numbers(self, local: Int32, rows: Int64, keys: list[GroupKey]) -> Int32:
        """Global numbers of rows whose local numbers index ``keys``; only keys that occur get one. ``rows``: how often
        each occurs, which is counted. May change ``local``."""
        to = np.full(len(keys), -1, dtype=np.int32)
        used = np.flatnonzero(rows[: len(keys)])
        for i in used.tolist():
            to[i] = self.number(keys[i])
        self.add(to[used], rows[used])
        if not len(used):
            return local
        shifts = to[used] - used
        if (shifts == shifts[0]).all():  # as in a log that is sorted
            local += np.int32(shifts[0])
            return local
        return to[local]

    def take_back(self, numbers: Int32, keys: int) -> None:
        """Forgets the rows with these numbers, and all keys but the first so many: they were not counted after all."""
        self.rows[:] -= np.bincount(numbers, minlength=len(self.keys))
        for key in self.keys[keys:]:
            del self.at[key]
        del self.keys[keys:]
        self.forgotten += 1


@dataclass(frozen=True)
class Seed:
    """What the next file's keys of a set begin with. ``keys``: sorted; ``places``: where each is. ``to``: (keys of the
    file before,) the place of each by its number."""

    keys: list[GroupKey]
    places: dict[GroupKey, int]
    to: Int64


class Combinations:
    """Numbers of combinations of values, remembered from batch to batch: only new ones are looked up one by one."""

    #: Combinations there may be, for their numbers to be remembered: 4 MiB.
    MOST = 1 << 20

    def __init__(self) -> None:
        self._of: Any = None
        self._numbers = np.empty(0, dtype=np.int32)

    def of(
        self,
        base: Int32 | Int64,
        codes: Int32,
        size: int,
        meaning: Any,
        numbering: Numbering,
        look_up: Callable[[Int64], list[int]],
    ) -> Int32:
        """The number of every row, which is counted. ``base``, ``codes``: (rows,) its combination is their pair, one of
        ``size``: base times how many codes there are, and the code. ``meaning``: the values of the codes last; equal
        where combinations mean what they did in the last batch; there may be more of them. ``look_up``: gives the
        numbers of combinations that occur."""
        many = len(meaning[-1])
        if size > self.MOST:
            present, local = compact(base.astype(np.int64) * many + codes, size)
            to = np.array(look_up(present), dtype=np.int32)
            numbering.add(to, np.bincount(local, minlength=len(present)))
            numbers: Int32 = to[local]
            return numbers
        meaning = (meaning, numbering.forgotten)
        if self._of != meaning:
            self._of, self._numbers = meaning, np.empty(0, dtype=np.int32)
        if size > len(self._numbers):
            more = np.full(size - len(self._numbers), -1, dtype=np.int32)
            self._numbers = np.concatenate([self._numbers, more])
        base = base.astype(np.int32, copy=False)
        out, known = _core.known_groups(base, codes, many, self._numbers, numbering.counters)
        if not known:
            new = _core.unknown_pairs(base, codes, many, self._numbers)
            self._numbers[new] = look_up(new)
            out, _ = _core.known_groups(base, codes, many, self._numbers, numbering.counters)
        return out

    def forget(self) -> None:
        """Looks all of them up again."""
        self._of = None

    def renumbered(self, to: npt.NDArray[Any], base_to: npt.NDArray[Any] | None = None) -> Combinations:
        """What is remembered, for a numbering of the next file in which number n is ``to[n]``. ``base_to``: the same
        for what the codes are combined with; None: that has the numbers it had."""
        out = Combinations()
        if self._of is None:
            return out
        meaning, _ = self._of
        numbers = np.append(to, -1).astype(np.int32)[self._numbers]  # -1, the last, stays
        if base_to is not None:
            rows = numbers.reshape(-1, len(meaning[-1]))
            moved = np.full((int(base_to.max(initial=-1)) + 1, rows.shape[1]), -1, dtype=np.int32)
            moved[base_to[: len(rows)]] = rows
            numbers = moved.reshape(-1)
        out._of, out._numbers = (meaning, 0), numbers
        return out


class TimeGroups:
    """Numbers rows by the calendar interval their timestamp falls into."""

    def __init__(self, interval: Window | None, zone: ZoneInfo) -> None:
        self.interval = interval
        self.zone = zone
        self.numbering = Numbering()

    def of(self, ticks: pa.Array | None, per_second: int, rows: int, span: tuple[int, int] | None) -> Int32:
        """Group of every row; without an interval all rows are one group. ``span``: the first and last whole second of
        ``ticks``, None where all are null."""
        if self.interval is None:
            return self.numbering.all_in((WHOLE,), rows)
        if ticks is None or span is None:
            return self.numbering.all_in((UNTIMED,), rows)
        starts = self.interval.boundaries(*span, self.zone)
        keys: list[GroupKey] = [(int(s),) for s in starts[:-1]]
        if len(keys) == 1 and not ticks.null_count:
            return self.numbering.all_in(keys[0], rows)
        local, counts = _core.interval_of(ticks, starts * per_second)
        return self.numbering.numbers(local, counts, [*keys, (UNTIMED,)])


class RowGroups:
    """Numbers rows by the window of consecutive rows they fall into. ``first``: rows of the log before this file."""

    def __init__(self, window: RowWindow, first: int) -> None:
        self.window = window
        self.next = first
        self.numbering = Numbering()

    def of(self, rows: int) -> Int32:
        """Group of every row of the next batch."""
        starts, counts = self.window.cut(self.next, rows)
        self.next += rows
        if len(starts) == 1:
            return self.numbering.all_in((int(starts[0]),), rows)
        local = np.repeat(np.arange(len(starts), dtype=np.int32), counts)
        return self.numbering.numbers(local, counts, [(start,) for start in starts.tolist()])


#: Segments whose key is remembered from one batch to the next, beside those kept apart.
_REMEMBERED = 1 << 16

#: What a column of a segmentation says of a row: (kind, text).
Value = tuple[int, str]
_NULL: Value = (SEGMENT_NULL, "")


class ByValue:
    """Takes a column by its values. What codes stand for is found out once for a dictionary, not for every batch."""

    def __init__(self) -> None:
        self._dictionary: pa.Array | None = None
        self._values: list[Value] = []

    def of(self, array: pa.Array) -> tuple[Int32, list[Value]]:
        """The code of every row, and what each code stands for; the last one is null."""
        coded = coded_array(array)
        if self._dictionary is None or not self._dictionary.equals(coded.dictionary):
            self._dictionary, self._values = coded.dictionary, _values_of(coded.dictionary)
        return _codes(coded.indices, len(self._values) - 1), self._values


def _values_of(dictionary: pa.Array) -> list[Value]:
    large = pa.types.is_large_string(dictionary.type)
    names = dictionary.cast(pa.large_binary() if large else pa.binary()).to_pylist()
    return [
        *(_NULL if v is None else (SEGMENT_VALUE, v.decode("utf-8", errors="surrogateescape")) for v in names), _NULL
    ]  # fmt: skip


def _codes(indices: pa.Array, null: int) -> Int32:
    """Codes as numbers. Arrow's own ways to NumPy import pandas where that is installed, which takes a second."""
    kind, end = np.dtype(str(indices.type)), indices.offset + len(indices)
    stored = np.frombuffer(indices.buffers()[1], dtype=kind, count=end)[indices.offset :]
    codes = stored.astype(np.int32, copy=indices.null_count > 0)
    if indices.null_count:
        bits = np.unpackbits(np.frombuffer(indices.buffers()[0], dtype=np.uint8), count=end, bitorder="little")
        codes[bits[indices.offset :] == 0] = null
    return codes


class _ByInterval:
    """Cuts a numeric column at knots, by comparison in its own type, or in the wider one the data come in."""

    def __init__(self, cut: Cut, reading: Reading) -> None:
        domain, column = reading.lifted or cut.column.domain, cut.column
        values = keys.values_of(cut.knots, column.domain)
        inner = keys.keys_of(values.astype(keys.dtype_of(domain)), domain)
        # A float grid begins and ends with the infinities, which are no edges of ours.
        outer = [keys.infinities(domain)[:1], inner, keys.infinities(domain)[1:]]
        self.grid = _core.Grid(keys.DOMAINS[domain], np.concatenate(outer).astype(np.uint64))
        self.reading = reading
        intervals = len(cut.labels)
        slots = np.arange(self.grid.slots)
        at = slots // 2 - (1 if keys.is_float(domain) else 0)
        self.codes = np.where(slots < self.grid.slots - 2, np.clip(at, 0, intervals - 1), intervals).astype(np.int32)
        self.values: list[Value] = [*((SEGMENT_VALUE, label) for label in cut.labels), _NULL]

    def of(self, array: pa.Array) -> tuple[Int32, list[Value]]:
        try:
            ranked = _core.rank_cells(self.reading.convert(array), self.grid)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            # Values that the baseline's type cannot hold are not compared either.
            return np.full(len(array), len(self.values) - 1, dtype=np.int32), self.values
        return self.codes[ranked], self.values


class SegmentGroups:
    """Numbers rows by (window, segment). Of more than ``cap`` segments those with the smallest (hash, bytes) are kept
    apart; the others are one segment, `other` (DESIGN 3.3).

    ``schema``: of the file; raises InputError for a column of a type that has no values to tell apart. ``before``: of
    the file before, and the numbers its keys get here, so that what both have is looked up once.
    """

    def __init__(
        self, segmentation: Segmentation, schema: pa.Schema, cap: int, before: tuple[SegmentGroups, Seed] | None = None
    ) -> None:
        self.columns = segmentation.columns
        self.cap = cap
        self.numbering = Numbering()
        self._kinds = [schema.field(name).type if name in schema.names else None for name in self.columns]
        self._windows: list[GroupKey] = []
        self._before = before if before is not None and before[0]._kinds == self._kinds else None
        self._readers: list[_ByInterval | ByValue] = []
        self._absent: list[bool] = []
        for name, cut in zip(segmentation.columns, segmentation.cuts, strict=True):
            there = name in schema.names
            kind = schema.field(name).type if there else pa.null()
            reading = reading_of(cut.column, kind) if cut is not None and there else None
            if cut is None and not (is_supported(kind) or pa.types.is_null(kind)):
                raise InputError(f"Cannot segment by '{name}': its type is {kind}, which has no values to tell apart.")
            self._readers.append(_ByInterval(cut, reading) if cut is not None and reading is not None else ByValue())
            self._absent.append(not there or (cut is not None and reading is None))
        self._combinations = Combinations()
        self._tails: dict[tuple[Value, ...], GroupKey] = {}
        self._seen: set[GroupKey] = set()
        self._limit: tuple[int, bytes] | None = None
        if self._before is not None:
            self._readers = self._before[0]._readers

    def of(self, windows: Int32, window_keys: list[GroupKey], batch: pa.RecordBatch) -> Int32:
        """Group of every row; ``windows`` are its window groups, numbered by ``window_keys``."""
        self._windows = window_keys
        if self._before is not None:
            (before, seed), self._before = self._before, None
            # Numbers of combinations go by those of windows.
            if len(before._windows) == 1 and before._windows == window_keys[:1]:
                self.numbering = Numbering.given_keys(seed.keys, seed.places)
                self._combinations = before._combinations.renumbered(seed.to)
        local: Int32 | Int64 = windows
        last = windows  # the codes of the column before
        coded: list[list[Value]] = []
        for name, reader, absent in zip(self.columns, self._readers, self._absent, strict=True):
            if absent:
                codes, values = np.zeros(len(windows), dtype=np.int32), [_NULL]
            else:
                codes, values = reader.of(batch.column(name))
            if coded:
                local = local.astype(np.int64) * len(coded[-1]) + last
            coded.append(values)
            last = codes
        size = len(window_keys) * int(np.prod([len(v) for v in coded], dtype=object))

        def look_up(combinations: Int64) -> list[int]:
            rest, digits = combinations, []
            for values in reversed(coded):
                rest, digit = np.divmod(rest, len(values))
                digits.append([values[i] for i in digit.tolist()])
            starts = [window_keys[w][0] for w in rest.tolist()]
            tails = list(map(self._tail, zip(*reversed(digits), strict=True)))
            return self.numbering.number_all([(start, *tail) for start, tail in zip(starts, tails, strict=True)])

        return self._combinations.of(local, last, size, coded, self.numbering, look_up)

    def _tail(self, values: tuple[Value, ...]) -> GroupKey:
        """What follows the start in the key of a segment: its own values, or those of `other`."""
        tail = self._tails.get(values)
        if tail is None:
            tail = self._admitted(values[0] if len(values) == 1 else tuple(chain.from_iterable(values)))
            if len(self._tails) > _REMEMBERED + 2 * self.cap:
                self._tails.clear()
            self._tails[values] = tail
        return tail

    def _admitted(self, tail: GroupKey) -> GroupKey:
        if not is_capped(tail):
            return tail
        if self._limit is not None and segment_rank(tail) > self._limit:
            return other_segment(len(self.columns))
        self._seen.add(tail)
        if len(self._seen) > self.cap * (1 + SEGMENT_SLACK):
            kept = sorted(self._seen, key=segment_rank)[: self.cap]
            self._seen = set(kept)
            self._limit = segment_rank(kept[-1])
            self._tails.clear()
            self._combinations.forget()
            return tail if tail in self._seen else other_segment(len(self.columns))
        return tail


def compact(values: Int64, size: int) -> tuple[Int64, npt.NDArray[Any]]:
    """The distinct values below ``size``, sorted, and the place of every value among them."""
    if size > 4 * len(values) + 1024:
        present, at = np.unique(values, return_inverse=True)
        return present, at.astype(np.int64)
    present = np.flatnonzero(np.bincount(values, minlength=1))
    place = np.zeros(size + 1, dtype=np.int64)
    place[present] = np.arange(len(present))
    return present, place[values]
