"""From a baseline and a counted log to the measures of every group and column."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from modelwatch_gpu.measures import categorical, numeric, refined
from modelwatch_gpu.measures.against_labels import AgainstLabels
from modelwatch_gpu.measures.cells import chunks_of
from modelwatch_gpu.measures.effects import Effect, Effects, Shift, Shifts, category_effects, numeric_effects
from modelwatch_gpu.measures.embedding import embedding_block
from modelwatch_gpu.measures.flat import CategoryRows, NumericRows, Rows, rows_of
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
from modelwatch_gpu.measures.value import NOT_THERE, Values, concatenated
from modelwatch_gpu.measures.weighted import GroupWeights, reworded
from modelwatch_gpu.profile.baseline import Baseline
from modelwatch_gpu.profile.columns import Column, NumericColumn
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

Groups = numeric.NumericGroups | categorical.CategoryGroups


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
    grids = {spec.grid for spec in profile.sets if segment_columns(spec) is not None}
    reference = {
        (column.name, grid): side for column in baseline.columns for grid, side in _on_grids(baseline, column, grids)
    }
    blocks: list[Block] = []
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
        own, earlier = [], []
        projected: dict[str, Block] = {}
        before: dict[str, Block] = {}
        for column in baseline.columns:
            run = _Run(column, spec.grid, merged, merged.tables.get((spec.name, column.name)), first, weights)
            block = run.against_baseline(place, reference[(column.name, spec.grid)])
            if column.role == "embedding":  # a projection, which its embedding stands for
                projected[column.name] = block
                if consecutive and not by and len(place) > 1:
                    before[column.name] = run.against_earlier(place)
                continue
            own.append(block)
            if consecutive and not by and len(place) > 1:
                earlier.append(run.against_earlier(place))
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
        blocks += own
        later += earlier
    return Results([*blocks, *later])


def evaluate_part(baseline: Baseline, part: Part) -> Results:
    """A part of one window on the fine grid against the baseline: the baseline's own part says what it is itself."""
    place = Place.of((), part.groups["window"], part.group_rows["window"])
    weights = GroupWeights.of(part.group_rows["window"], part.weights["window"]) if "window" in part.weights else None
    blocks = []
    for column in baseline.columns:
        run = _Run(column, "fine", part, part.tables.get(("window", column.name)), 0, weights)
        blocks.append(run.against_baseline(place, dict(_on_grids(baseline, column, ("fine",)))["fine"]))
    return Results(blocks)


def _on_grids(baseline: Baseline, column: Column, grids: Collection[str]) -> Iterator[tuple[str, Groups]]:
    """The baseline's own counts on each of the grids that windows and segments are counted on."""
    part, weights = baseline.part, None
    if "window" in part.weights:
        weights = GroupWeights.of(part.group_rows["window"], part.weights["window"])
    fine = _groups(column, rows_of(part.tables[("window", column.name)]), 0, 1, "fine", weights)
    yield "fine", fine
    if "coarse" not in grids:
        return
    if isinstance(fine, numeric.NumericGroups):
        assert isinstance(column, NumericColumn)
        yield "coarse", numeric.coarsened(column, fine)
    else:
        assert not isinstance(column, NumericColumn)
        yield "coarse", categorical.coarsened(column, fine)


def _groups(column: Column, rows: Rows, begin: int, end: int, grid: str, weights: GroupWeights | None = None) -> Groups:
    if isinstance(column, NumericColumn):
        assert isinstance(rows, NumericRows)
        return numeric.numeric_groups(column, rows, begin, end, grid, weights)
    assert isinstance(rows, CategoryRows)
    return categorical.category_groups(column, rows, begin, end, grid, weights)


@dataclass(frozen=True, eq=False)
class _Measured:
    """What comes of one chunk of groups."""

    counted: npt.NDArray[np.int64]
    values: dict[str, Values]
    effects: dict[str, Effects]
    shifts: Shifts
    numbers: dict[str, npt.NDArray[Any]]
    quantiles: dict[str, Values]


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

    def against_baseline(self, place: Place, baseline: Groups) -> Block:
        """Every group against the baseline, a chunk of groups at a time."""
        chunks = []
        if (rows := self._rows) is not None:
            for begin, end in chunks_of(self._cells(rows, len(place))):
                current = _groups(self.column, rows, self.first + begin, self.first + end, self.grid, self.weights)
                chunks.append(_measured(self.column, baseline, current, BASELINE, self._sketches(begin)))
        return self._block(place, chunks, BASELINE, self.first)

    def against_earlier(self, place: Place) -> Block:
        """Every group but the first against the one before it."""
        chunks = []
        if (rows := self._rows) is not None:
            for begin, end in chunks_of(2 * self._cells(rows, len(place))[1:]):
                both = _groups(self.column, rows, self.first + begin, self.first + end + 1, self.grid, self.weights)
                earlier, current = both.take(0, end - begin), both.take(1, end - begin + 1)
                chunks.append(_measured(self.column, earlier, current, CONSECUTIVE, self._sketches(begin)))
        return self._block(place.after(1), chunks, CONSECUTIVE, self.first + 1)

    @cached_property
    def _rows(self) -> Rows | None:
        return None if self.table is None else rows_of(self.table)

    def _sketches(self, begin: int) -> refined.GroupSketches:
        """Those of the groups from ``begin`` on."""
        assert self.table is not None
        return refined.GroupSketches(self.table.sketches, self.first + begin)

    def _cells(self, rows: Rows, groups: int) -> npt.NDArray[np.int64]:
        """(groups + 1,) how many cells there are to work on before each group: the occupied ones of a number, with some
        for what a group costs anyway, all slots of a category."""
        if isinstance(self.column, NumericColumn):
            number = np.arange(groups + 1)
            before: npt.NDArray[np.int64] = np.searchsorted(rows.cell_group, self.first + number)
            return 2 * before + _CELLS_PER_GROUP * number
        slots = self.column.slots if self.grid == "fine" else self.column.coarse_slots
        return slots * np.arange(groups + 1)

    def _block(self, place: Place, chunks: Sequence[_Measured], compared_with: str, first: int) -> Block:
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
    joined = Effects(*(np.concatenate([getattr(c, f.name) for c in chunks]) for f in fields(Effects)))
    return joined.only(where)


def _joined_shifts(chunks: Sequence[Shifts]) -> Shifts:
    which = [c.which for c in chunks if c.which is not None]
    return Shifts(
        np.concatenate([c.before for c in chunks]),
        np.concatenate([c.after for c in chunks]),
        np.concatenate(which) if which else None,
    )


def _measured(
    column: Column, baseline: Groups, current: Groups, compared_with: str, sketches: refined.GroupSketches
) -> _Measured:
    """Every measure of a chunk of groups; what a group says of itself only where it is compared with the baseline."""
    numbers: dict[str, npt.NDArray[Any]] = {}
    quantiles: dict[str, Values] = {}
    own = compared_with == BASELINE
    if isinstance(column, NumericColumn):
        assert isinstance(baseline, numeric.NumericGroups)
        assert isinstance(current, numeric.NumericGroups)
        binned = numeric.histograms(column, baseline, current)
        values = numeric.numeric_measures(column, baseline, current, binned)
        if own:
            values["distinct"] = refined.distinct(values["distinct"], sketches, numeric.on_knots(current))
        elif current.grid == "fine":
            values = refined.pairs(values, column.values, baseline.cells, current.cells, sketches)
        effects, shifts = numeric_effects(column, baseline, current, binned, values["ks"])
        if own:
            numbers, quantiles = numeric.profile_numbers(column, current, sketches)
        count = current.count
    else:
        assert isinstance(baseline, categorical.CategoryGroups)
        assert isinstance(current, categorical.CategoryGroups)
        paired = categorical.Paired.of(baseline, current)
        values = categorical.category_measures(column, baseline, current, paired, against_fit=own)
        effects, shifts = category_effects(baseline, current, paired)
        count = current.rows - current.missing
        if own:
            values["distinct"] = refined.distinct(values["distinct"], sketches, categorical.counted_values(current))
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
