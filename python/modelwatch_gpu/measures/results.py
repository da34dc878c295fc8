"""Results of an evaluation: arrays by set and column, and one group's result where somebody looks at it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol, TypeVar, overload

import numpy as np
import numpy.typing as npt

from modelwatch_gpu.measures import numeric
from modelwatch_gpu.measures.cells import Floats, Ints
from modelwatch_gpu.measures.effects import Effect, Effects, Shift, Shifts, slot_name
from modelwatch_gpu.measures.value import Value, Values
from modelwatch_gpu.profile.columns import CategoricalColumn, NumericColumn
from modelwatch_gpu.profile.embeddings import AnyColumn
from modelwatch_gpu.profile.parts import SEGMENT_NULL, SEGMENT_OTHER, GroupKey
from modelwatch_gpu.profile.tables import CategoryTable, NumericTable

#: How the segment of all values beyond the cap is shown.
OTHER_LABEL: Final = "(other)"

#: What a window is compared with: the baseline, or the window before it that has rows.
BASELINE: Final = "BASELINE"
CONSECUTIVE: Final = "CONSECUTIVE"

#: (kind, text) for each segment column.
Segment = tuple[tuple[int, str], ...]
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Summary:
    """A column's own numbers in one group: rows with a value, missing rows, and of numbers the range, mean, population
    standard deviation, skewness and excess kurtosis of the finite ones, and quantiles by name ("p50")."""

    count: int = 0
    missing: int = 0
    minimum: float | None = None
    maximum: float | None = None
    mean: float | None = None
    sd: float | None = None
    skewness: float | None = None
    kurtosis: float | None = None
    quantiles: Mapping[str, Value] = field(default_factory=dict)


_NO_SUMMARY: Final = Summary()


@dataclass(frozen=True, slots=True)
class Result:
    """All measures of one column in one group.

    ``start``: of the window, epoch seconds (or ``WHOLE``). ``segment``: (kind, text) of each of the columns
    ``by``, None where the group is not a segment. ``present``: share of the group's rows for which the column was there
    and comparable. ``histogram``: counts of the window over the baseline's bins or categories, None for segments.
    ``summary``: what the profile says without the baseline. ``compared_with``: ``BASELINE``, or ``CONSECUTIVE`` for the
    window before it that has rows. ``weighted``: whether rows have weights: then shares and the histogram
    are of weights, and ``n`` of a measure is effective rows. ``reference``: the baseline's own numbers of what is held
    against labels, by id. ``remark``: what moved, in words, where no shift says it.
    """

    start: int
    segment: Segment | None
    column: AnyColumn
    rows: int
    present: float
    absent_reason: str
    values: Mapping[str, Value]
    effects: Mapping[str, Effect]
    shift: Shift | None
    histogram: npt.NDArray[np.uint64] | None
    summary: Summary
    by: tuple[str, ...] = ()
    compared_with: str = BASELINE
    weighted: bool = False
    reference: Mapping[str, Value] = field(default_factory=dict)
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Exemplar:
    """A sampled row of a window that is unlike the baseline. ``labels``: its ids, texts and text features, shortened.
    ``distance``: to its fifth nearest sampled row of the baseline."""

    labels: Mapping[str, str | None]
    distance: float


@dataclass(frozen=True, eq=False, slots=True)
class WindowVectors:
    """What a report shows of a window's embedding. ``member``: of the ensemble, the one that stands out most, with the
    ``scores`` of all (1: 5% of permutations are beyond). ``points``, ``baseline_points``: (rows, 2) along the
    baseline's first two principal axes; one column where vectors have one element."""

    member: str
    pvalue: float
    scores: Mapping[str, float]
    exemplars: tuple[Exemplar, ...]
    baseline_points: Floats
    points: Floats


def segment_text(part: tuple[int, str]) -> str | None:
    """A segment's value of one column as it is reported: text, None for null."""
    kind, text = part
    return None if kind == SEGMENT_NULL else OTHER_LABEL if kind == SEGMENT_OTHER else text


def segment_dict(by: Sequence[str], segment: Segment | None) -> dict[str, str | None] | None:
    """A segment as {column: value}; None for all rows."""
    return None if segment is None else dict(zip(by, map(segment_text, segment), strict=True))


def segment_value(segment: Segment) -> str | None:
    """A segment in one text: the values joined by commas. Null alone is None, in a crossing it is "null"."""
    texts = [segment_text(part) for part in segment]
    return texts[0] if len(texts) == 1 else ",".join("null" if t is None else t for t in texts)


class _Column(Protocol[T_co]):
    def there(self, at: int) -> bool: ...
    def __getitem__(self, at: int) -> T_co: ...


class Row(Mapping[str, T]):
    """What one group has of several arrays by name; a number is made when it is asked for."""

    __slots__ = ("_at", "_columns")

    def __init__(self, columns: Mapping[str, _Column[T]], at: int) -> None:
        self._columns, self._at = columns, at

    def __getitem__(self, name: str) -> T:
        column = self._columns[name]
        if not column.there(self._at):
            raise KeyError(name)
        return column[self._at]

    def get(self, name: str, default: Any = None) -> Any:
        column = self._columns.get(name)
        return column[self._at] if column is not None and column.there(self._at) else default

    def __contains__(self, name: object) -> bool:
        column = self._columns.get(name)  # type: ignore[call-overload]
        return column is not None and column.there(self._at)

    def __iter__(self) -> Iterator[str]:
        return (name for name, column in self._columns.items() if column.there(self._at))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return repr(dict(self))


@dataclass(frozen=True, eq=False)
class Place:
    """The groups of a set: (groups,) ``starts`` and ``rows``, and their segments in the columns ``by``, or None."""

    by: tuple[str, ...]
    starts: Ints
    segments: list[Segment] | None
    rows: Ints

    @classmethod
    def of(cls, by: tuple[str, ...], keys: Sequence[GroupKey], rows: npt.NDArray[Any]) -> Place:
        """From the keys of a part's groups."""
        starts = np.array([int(key[0]) for key in keys], dtype=np.int64)
        segments: list[Segment] | None = None
        if by:
            segments = [tuple((int(k), str(t)) for k, t in zip(key[1::2], key[2::2], strict=True)) for key in keys]
        return cls(by, starts, segments, rows.astype(np.int64))

    def after(self, first: int) -> Place:
        """Without the first groups."""
        segments = None if self.segments is None else self.segments[first:]
        return Place(self.by, self.starts[first:], segments, self.rows[first:])

    def __len__(self) -> int:
        return len(self.starts)


@dataclass(frozen=True, eq=False)
class Block:
    """One column in all groups of a set, compared with one thing; (groups,) arrays.

    ``numbers``: the fields of ``Summary`` by name, NaN where there is none; empty where the block does not tell them.
    ``table``, ``first``: where the counts are, and the number of the first group there. ``reference``: the baseline's
    own numbers of what is held against labels, by id. ``remarks``: what moved, in words, of each group. ``vectors``: of
    an embedding, by group.
    """

    place: Place
    column: AnyColumn
    compared_with: str
    grid: str
    present: Floats
    absent_reason: str
    values: dict[str, Values]
    effects: dict[str, Effects]
    shifts: Shifts | None
    numbers: dict[str, npt.NDArray[Any]]
    quantiles: dict[str, Values]
    table: NumericTable | CategoryTable | None
    first: int
    weighted: bool = False
    reference: Mapping[str, Value] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    vectors: Mapping[int, WindowVectors] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.place)

    def result(self, at: int) -> Result:
        """One group of it."""
        return replace(self.row(at), histogram=self._histogram(at), summary=self._summary(at))

    def row(self, at: int) -> Result:
        """One group of it as a check needs it, without histogram and summary."""
        place = self.place
        return Result(
            start=place.starts.item(at),
            segment=None if place.segments is None else place.segments[at],
            column=self.column,
            rows=place.rows.item(at),
            present=self.present.item(at),
            absent_reason=self.absent_reason,
            values=Row(self.values, at),
            effects=Row(self.effects, at),
            shift=self._shift(at),
            histogram=None,
            summary=_NO_SUMMARY,
            by=place.by,
            compared_with=self.compared_with,
            weighted=self.weighted,
            reference=self.reference,
            remark=self.remarks[at] if self.remarks else "",
        )

    def _shift(self, at: int) -> Shift | None:
        s = self.shifts
        if s is None or (before := s.before.item(at)) != before:
            return None
        after = s.after.item(at)
        if s.which is None:
            return Shift("mean", before, after, share=False)
        assert isinstance(self.column, CategoricalColumn)
        assert isinstance(self.table, CategoryTable)
        what = slot_name(self.column, s.which.item(at), self.grid, self.table.unseen)
        return Shift(what, before, after, share=True)

    def _summary(self, at: int) -> Summary:
        numbers = {name: array[at].item() for name, array in self.numbers.items()}
        known: dict[str, Any] = {name: None if number != number else number for name, number in numbers.items()}
        return Summary(**known, quantiles=Row(self.quantiles, at))

    def _histogram(self, at: int) -> npt.NDArray[np.uint64] | None:
        if self.table is None or self.place.segments is not None or not self.present[at]:
            return None
        group = self.first + at
        if isinstance(self.column, NumericColumn):
            slots = self.column.slots if self.grid == "fine" else self.column.coarse_slots
            return numeric.binned(self.column, self.table.of_group(group, slots), self.grid)
        if self.grid != "fine":
            return None
        assert isinstance(self.table, CategoryTable)
        assert isinstance(self.column, CategoricalColumn)
        unseen = sum(self.table.unseen_of(group).values())
        return np.append(self.table.of_group(group, self.column.slots), np.uint64(unseen))


class Results(Sequence[Result]):
    """All results of a run: windows first, columns in schema order, groups in order; those that compare windows with
    one another come last. A ``Result`` is made when it is asked for."""

    def __init__(self, blocks: Sequence[Block] = ()) -> None:
        self.blocks = tuple(blocks)
        self._ends = np.cumsum([len(block) for block in self.blocks], dtype=np.int64)

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    @overload
    def __getitem__(self, index: int) -> Result: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Result, ...]: ...
    def __getitem__(self, index: int | slice) -> Result | tuple[Result, ...]:
        if isinstance(index, slice):
            return tuple(self[i] for i in range(*index.indices(len(self))))
        at = index + len(self) if index < 0 else index
        if not 0 <= at < len(self):
            raise IndexError(index)
        block = int(np.searchsorted(self._ends, at, side="right"))
        return self.blocks[block].result(at - int(self._ends[block]) + len(self.blocks[block]))

    def __iter__(self) -> Iterator[Result]:
        return (block.result(at) for block in self.blocks for at in range(len(block)))

    def compared_with(self, what: str) -> Results:
        """Only those compared with ``BASELINE`` or ``CONSECUTIVE``."""
        return Results([block for block in self.blocks if block.compared_with == what])

    def __repr__(self) -> str:
        return f"Results({len(self):,} of {len(self.blocks)} columns in sets)"
