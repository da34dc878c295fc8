"""From a baseline and a counted log to the measures of every group and column."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from modelwatch_gpu.measures import categorical, numeric, refined
from modelwatch_gpu.measures.against_labels import AgainstLabels
from modelwatch_gpu.measures.batch import Batch, Compared, NumericGroups
from modelwatch_gpu.measures.categorical import CategoryGroups
from modelwatch_gpu.measures.cells import chunks_of
from modelwatch_gpu.measures.effects import EFFECTS, Effect, Effects, Shift, Shifts, category_effects, numeric_effects
from modelwatch_gpu.measures.embedding import embedding_block
from modelwatch_gpu.measures.reference import Groups, Reference, groups_of
from modelwatch_gpu.measures.results import (
    BASELINE,
    CONSECUTIVE,
    OTHER_LABEL,
    Block,
    Place,
    Result,
    Results,
    Summary,
    segment_text,
)
from modelwatch_gpu.measures.value import NOT_THERE, Values, concatenated, split
from modelwatch_gpu.measures.weighted import GroupWeights, reworded
from modelwatch_gpu.profile.baseline import Baseline
from modelwatch_gpu.profile.columns import CategoricalColumn, Column, NumericColumn
from modelwatch_gpu.profile.parts import UNTIMED, Part, SetSpec
from modelwatch_gpu.profile.profile import Profile
from modelwatch_gpu.profile.tables import Table

__all__ = [
    "BASELINE",
    "CONSECUTIVE",
    "OTHER_LABEL",
    "Effect",
    "Result",
    "Results",
    "Shift",
    "Summary",
    "baseline_histogram",
    "evaluate",
    "segment_text",
]

#: Reasons of a comparison with the window before, for those with the baseline.
_EARLIER: Final = {"baseline_all_missing": "earlier_all_missing", "constant_baseline": "constant_earlier"}

#: Cells that a group costs in time and memory before it has any.
_CELLS_PER_GROUP: Final = 64
#: Cells of columns that are worked on together: with more, what a call costs is little beside what it does, and numbers
#: no longer lie in memory that is near.
_BATCH_CELLS: Final = 1 << 19


def baseline_histogram(baseline: Baseline, column: Column) -> npt.NDArray[np.uint64]:
    """The baseline's counts over the bins of a numeric column, or over null, other and the categories."""
    counts = baseline.part.tables[("window", column.name)].of_group(0, column.slots)
    return numeric.binned(column, counts, "fine") if isinstance(column, NumericColumn) else counts


def segment_columns(spec: SetSpec) -> tuple[str, ...] | None:
    """The columns a set cuts windows by; () for windows themselves, None for sets that are not reported."""
    if spec.labelled:
        return None
    return spec.columns if spec.columns or spec.name == "window" else None


def evaluate(baseline: Baseline, profile: Profile, merged: Part, *, consecutive: bool = False) -> Results:
    """Every group of windows and segments against the baseline, windows first, columns in schema order.

    ``consecutive``: then every window against the window before it that has rows. Rows without a timestamp are left
    out where windows are asked for.
    """
    reference = Reference.of(baseline)
    found: list[Block] = []
    later: list[Block] = []
    labels = AgainstLabels.of(baseline)
    for spec in profile.sets:
        by = segment_columns(spec)
        if by is None:
            continue
        groups = merged.groups.get(spec.name, [])
        first = next((i for i, key in enumerate(groups) if key[0] != UNTIMED), len(groups))
        rows = merged.group_rows.get(spec.name, np.zeros(len(groups), dtype=np.uint64))
        place = Place.of(by, groups[first:], rows[first:])
        weights = GroupWeights.of(rows, merged.weights[spec.name]) if spec.name in merged.weights else None
        runs = [
            _Run(c, spec.grid, merged, merged.tables.get((spec.name, c.name)), first, weights) for c in baseline.columns
        ]
        made = against_baseline(runs, place, reference)
        then = against_earlier(runs, place) if consecutive and not by and len(place) > 1 else []
        # A projection is what its embedding stands for.
        own, earlier = ([b for b in blocks if b.column.role != "embedding"] for blocks in (made, then))
        projected, before = (
            {b.column.name: b for b in blocks if b.column.role == "embedding"} for blocks in (made, then)
        )
        if labels is not None:
            own = labels.added(own, spec.grid, merged, spec.name, first)
            earlier = labels.added(earlier, spec.grid, merged, spec.name, first) if earlier else earlier
        for vectors in baseline.embeddings:
            sums = merged.embeddings.get((spec.name, vectors.name))
            own.append(embedding_block(baseline, vectors, merged, sums, place, first, spec.grid, projected))
            if consecutive and not by and len(place) > 1:
                earlier.append(
                    embedding_block(baseline, vectors, merged, sums, place, first, spec.grid, before, earlier=True)
                )
        found += own
        later += earlier
    return Results([*found, *later])


def evaluate_part(baseline: Baseline, part: Part) -> Results:
    """A part of one window on the fine grid against the baseline: the baseline's own part says what it is itself."""
    place = Place.of((), part.groups["window"], part.group_rows["window"])
    weights = GroupWeights.of(part.group_rows["window"], part.weights["window"]) if "window" in part.weights else None
    runs = [_Run(c, "fine", part, part.tables.get(("window", c.name)), 0, weights) for c in baseline.columns]
    return Results(against_baseline(runs, place, Reference.of(baseline)))


@dataclass(frozen=True, eq=False)
class _Measured:
    """What comes of one chunk of groups."""

    counted: npt.NDArray[np.int64]
    values: dict[str, Values]
    effects: dict[str, Effects]
    shifts: Shifts
    numbers: dict[str, npt.NDArray[Any]]
    quantiles: dict[str, Values]

    def split(self, begin: npt.NDArray[np.int64]) -> list[_Measured]:
        """The groups of each column of a batch of numbers. ``begin``: (columns + 1,) where they begin."""
        every = zip(split(self.values, begin), split(self.quantiles, begin), strict=True)
        out = []
        for (values, quantiles), (first, last) in zip(every, pairwise(begin.tolist()), strict=True):
            at = slice(first, last)
            effects = {name: own.at(at) for name, own in self.effects.items()}
            numbers = {name: own[at] for name, own in self.numbers.items()}
            shifts = Shifts(self.shifts.before[at], self.shifts.after[at])
            out.append(_Measured(self.counted[at], values, effects, shifts, numbers, quantiles))
        return out


@dataclass(frozen=True, eq=False)
class _Run:
    """One column of one set; ``first``: the number of the first group that is evaluated. ``weights``: of all groups,
    where rows have some."""

    column: Column
    grid: str
    merged: Part
    table: Table | None
    first: int
    weights: GroupWeights | None = None

    def chunks(self, groups: int) -> list[tuple[int, int]]:
        """Ranges of so many groups that are worked on at a time; none where the column is not there."""
        return [] if self.table is None else chunks_of(self.cells(groups))

    def pairs(self, groups: int) -> list[tuple[int, int]]:
        """The same where every group is held against the one before it."""
        return [] if self.table is None else chunks_of(2 * self.cells(groups)[1:])

    def groups(self, begin: int, end: int) -> Groups:
        """Some of the groups that are evaluated."""
        assert self.table is not None
        return groups_of(self.column, self.table, self.first + begin, self.first + end, self.grid, self.weights)

    def sketches(self, begin: int) -> refined.GroupSketches:
        """Those of the groups from ``begin`` on."""
        assert self.table is not None
        return refined.GroupSketches(self.table.sketches, self.first + begin)

    def cells(self, groups: int) -> npt.NDArray[np.int64]:
        """(groups + 1,) how many cells there are to work on before each group: the occupied ones of a number, with some
        for what a group costs anyway, all slots of a category."""
        assert self.table is not None
        if isinstance(self.column, NumericColumn):
            before = self.table.cells.bounds(self.first, self.first + groups)
            return 2 * before + _CELLS_PER_GROUP * np.arange(groups + 1)
        slots = self.column.slots if self.grid == "fine" else self.column.coarse_slots
        return slots * np.arange(groups + 1)

    def block(self, place: Place, chunks: Sequence[_Measured], compared_with: str, first: int) -> Block:
        rows = place.rows
        weights = None if self.weights is None else self.weights.take(first, first + len(place))
        values = {"row_count": Values.exact(rows.astype(np.float64), rows)}
        counted = np.zeros(len(place), dtype=np.int64)
        effects: dict[str, Effects] = {}
        shifts: Shifts | None = None
        numbers: dict[str, npt.NDArray[Any]] = {}
        quantiles: dict[str, Values] = {}
        if chunks:
            counted = np.concatenate([c.counted for c in chunks])
            values = _where_counted(concatenated([c.values for c in chunks]), counted, values["row_count"])
            if weights is not None:
                values = {n: v.replaced(weights.total == 0, "weightless") for n, v in values.items()} | {
                    "row_count": values["row_count"]
                }
            effects = {
                name: _joined_effects([c.effects[name] for c in chunks], counted > 0) for name in chunks[0].effects
            }
            shifts = _joined_shifts([c.shifts for c in chunks])
            numbers = {name: np.concatenate([c.numbers[name] for c in chunks]) for name in chunks[0].numbers}
            quantiles = concatenated([c.quantiles for c in chunks])
        return Block(
            place=place,
            column=self.column,
            compared_with=compared_with,
            grid=self.grid,
            present=_presence(counted, rows) if weights is None else _presence(counted, weights.total),
            absent_reason="incomparable" if self.column.name in self.merged.incomparable else "gone",
            values=values,
            effects=effects,
            shifts=shifts,
            numbers=numbers,
            quantiles=quantiles,
            table=self.table,
            first=first,
            weighted=weights is not None,
        )


#: One column on both sides, a chunk of groups: of numbers, and of categories with their sketches.
_Side = Compared | tuple[CategoricalColumn, CategoryGroups, CategoryGroups, refined.GroupSketches]


def against_baseline(runs: Sequence[_Run], place: Place, reference: Reference) -> list[Block]:
    """Every column in every group against the baseline, a block for each column."""

    def side(run: _Run, begin: int, end: int) -> _Side:
        return _beside(run, reference.groups(run.column, run.grid), run.groups(begin, end), begin, alone=False)

    chunks = [run.chunks(len(place)) for run in runs]
    measured = _measured_of(runs, chunks, side, lambda batch: Batch.of(batch, reference.joined(batch)), BASELINE)
    return [run.block(place, own, BASELINE, run.first) for run, own in zip(runs, measured, strict=True)]


def against_earlier(runs: Sequence[_Run], place: Place) -> list[Block]:
    """Every column in every group but the first against the group before it, a block for each column."""

    def side(run: _Run, begin: int, end: int) -> _Side:
        both = run.groups(begin, end + 1)
        return _beside(run, both.take(0, end - begin), both.take(1, end - begin + 1), begin, alone=True)

    chunks, after = [run.pairs(len(place)) for run in runs], place.after(1)
    measured = _measured_of(runs, chunks, side, Batch.of, CONSECUTIVE)
    return [run.block(after, own, CONSECUTIVE, run.first + 1) for run, own in zip(runs, measured, strict=True)]


def _beside(run: _Run, baseline: Groups, current: Groups, begin: int, *, alone: bool) -> _Side:
    column = run.column
    if isinstance(column, NumericColumn):
        assert isinstance(baseline, NumericGroups)
        assert isinstance(current, NumericGroups)
        return Compared(column, baseline, current, run.sketches(begin), alone=alone)
    assert isinstance(baseline, CategoryGroups)
    assert isinstance(current, CategoryGroups)
    return column, baseline, current, run.sketches(begin)


def _measured_of(
    runs: Sequence[_Run],
    chunks: Sequence[Sequence[tuple[int, int]]],
    side: Callable[[_Run, int, int], _Side],
    joined: Callable[[list[Compared]], Batch],
    compared_with: str,
) -> list[list[_Measured]]:
    """What comes of every chunk of every column. Numeric columns that are one chunk are worked on together while they
    are small."""
    out: list[list[_Measured]] = [[] for _ in runs]
    waiting: dict[tuple[Any, ...], list[tuple[int, Compared]]] = {}

    def work_off() -> None:
        for batch in waiting.values():
            found = _of_numbers(joined([c for _, c in batch]), compared_with)
            for (number, _), own in zip(batch, found, strict=True):
                out[number].append(own)
        waiting.clear()

    held = 0
    for number, (run, ranges) in enumerate(zip(runs, chunks, strict=True)):
        for begin, end in ranges:
            own = side(run, begin, end)
            if not isinstance(own, Compared):
                out[number].append(_of_categories(*own, compared_with))
                continue
            size = len(own.current.cells.cell) + _CELLS_PER_GROUP * own.current.groups
            if len(ranges) > 1 or held + size > _BATCH_CELLS:
                work_off()
                held = 0
            waiting.setdefault(own.kind, []).append((number, own))
            held += size
    work_off()
    return out


def _presence(counted: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """(groups,) share of the rows for which a column was there; 1 where no row counts."""
    return np.where(rows > 0, counted / np.maximum(rows, 1), 1.0)


def _where_counted(values: dict[str, Values], counted: npt.NDArray[np.int64], row_count: Values) -> dict[str, Values]:
    """Groups in which the column is not there have a row count, and no other measure."""
    gone = counted == 0
    if not gone.any():
        return values
    found = {name: own.replaced(gone, NOT_THERE) for name, own in values.items()}
    own = values["row_count"]
    rows, n = np.where(gone, row_count.value, own.value), np.where(gone, row_count.n, own.n)
    found["row_count"] = Values.exact(rows, n)
    return found


def _joined_effects(chunks: Sequence[Effects], where: npt.NDArray[np.bool_]) -> Effects:
    if len(chunks) == 1:
        return chunks[0].only(where)
    joined = Effects(*(np.concatenate([getattr(c, name) for c in chunks]) for name in EFFECTS))
    return joined.only(where)


def _joined_shifts(chunks: Sequence[Shifts]) -> Shifts:
    which = [c.which for c in chunks if c.which is not None]
    return Shifts(
        np.concatenate([c.before for c in chunks]),
        np.concatenate([c.after for c in chunks]),
        np.concatenate(which) if which else None,
    )


def _of_numbers(batch: Batch, compared_with: str) -> list[_Measured]:
    """Every measure of the columns of a batch; what a group says of itself only where it is compared with the
    baseline."""
    baseline, current, own = batch.baseline, batch.current, compared_with == BASELINE
    numbers: dict[str, npt.NDArray[Any]] = {}
    quantiles: dict[str, Values] = {}
    binned = numeric.histograms(batch)
    values = numeric.numeric_measures(batch, binned)
    if own:
        estimates = refined.estimates(batch.sketches)
        values["distinct"] = refined.distinct(values["distinct"], estimates, numeric.on_knots(current))
        numbers, quantiles = numeric.profile_numbers(batch)
    elif current.grid == "fine":
        one = batch.columns[0]  # alone, since its window before is another one for every group
        values = refined.pairs(values, one.column.values, baseline.cells, current.cells, one.sketches)
    effects, shifts = numeric_effects(batch, binned, values["ks"])
    found = _finished(current, current.count, values, effects, shifts, numbers, quantiles, own=own)
    return [found] if len(batch.columns) == 1 else found.split(batch.begin)


def _of_categories(
    column: CategoricalColumn,
    baseline: CategoryGroups,
    current: CategoryGroups,
    sketches: refined.GroupSketches,
    compared_with: str,
) -> _Measured:
    """The same of a chunk of groups of a category."""
    own = compared_with == BASELINE
    paired = categorical.Paired.of(baseline, current)
    values = categorical.category_measures(column, baseline, current, paired, against_fit=own)
    effects, shifts = category_effects(baseline, current, paired)
    if own:
        estimates = refined.estimates([(sketches, current.groups)])
        values["distinct"] = refined.distinct(values["distinct"], estimates, categorical.counted_values(current))
    return _finished(current, current.rows - current.missing, values, effects, shifts, {}, {}, own=own)


def _finished(
    current: Groups,
    count: npt.NDArray[np.int64],
    values: dict[str, Values],
    effects: dict[str, Effects],
    shifts: Shifts,
    numbers: dict[str, npt.NDArray[Any]],
    quantiles: dict[str, Values],
    *,
    own: bool,
) -> _Measured:
    """What was measured, in words for weighted rows and for the window before where these are meant. ``count``: rows
    with a value. ``own``: whether the groups tell of themselves."""
    missing = current.missing
    if current.weights is not None:
        values, quantiles = reworded(values, current.weights), reworded(quantiles, current.weights)
        missing = current.weights.in_rows(missing)
        count = current.weights.in_rows(current.rows) - missing
    if own:
        numbers = {"count": count, "missing": missing, **numbers}
    else:
        values = {name: found.renamed(_EARLIER) for name, found in values.items()}
    return _Measured(current.rows, values, effects, shifts, numbers, quantiles)
