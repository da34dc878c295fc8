"""Answers counted apart for each label: which sets there are, and which group each row of a batch belongs to.

For every set of groups (windows, blocks, segments) there is one more, whose groups are those crossed with the label.
Only scores and the prediction are counted in it. A row without a label is in the group of null: it is unlabelled.

Of a predicted number nothing is counted again. Where rows have weights, its sets tell rows that have an error from
those that have none, so that their weights are known apart.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from modelwatch_gpu import _core
from modelwatch_gpu.device import engine
from modelwatch_gpu.log.residuals import error_columns
from modelwatch_gpu.profile.adapt import Reading, is_supported
from modelwatch_gpu.profile.columns import Column
from modelwatch_gpu.profile.grouping import ByValue, Combinations, Numbering, Seed, Value, compact
from modelwatch_gpu.profile.parts import (
    LABELLED_PREFIX,
    SEGMENT_NULL,
    SEGMENT_OTHER,
    SEGMENT_VALUE,
    GroupKey,
    SetSpec,
    segment_rank,
)
from modelwatch_gpu.profile.scoring import LABEL_CAP, Scoring

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]

_NULL: Final[Value] = (SEGMENT_NULL, "")
_OTHER: Final[Value] = (SEGMENT_OTHER, "")
_THERE: Final[Value] = (SEGMENT_VALUE, "")
#: Of a dictionary with more values those that no row of the batch has are left out first.
_FEW_LABELS: Final = 1024


def labelled_sets(sets: Sequence[SetSpec], scoring: Scoring | None, *, weighted: bool) -> tuple[SetSpec, ...]:
    """The sets, and behind them one for each that is crossed with the label. ``weighted``: whether rows have some."""
    if scoring is None or not (scoring.counted or weighted):
        return tuple(sets)
    by = crossed_column(scoring)
    crossed = [SetSpec(LABELLED_PREFIX + s.name, s.grid, False, (*s.columns, by)) for s in sets]
    return (*sets, *crossed)


def crossed_column(scoring: Scoring) -> str:
    """The column that groups are crossed with: the label; of predicted numbers the error, which is there or not."""
    if scoring.task == "numbers":
        return error_columns(str(scoring.prediction), scoring.label)[0]
    return scoring.label


class LabelledCounter:
    """Counts the answers of one file in the groups of ``sets``, which are all crossed with the label.

    ``columns``, ``readings``: of the file; those with the names ``scoring.counted`` are counted. ``schema``: of the
    file; where it lacks the label, or has it in a type without values to tell apart, every row is unlabelled.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        readings: Sequence[Reading],
        schema: pa.Schema,
        sets: Sequence[SetSpec],
        scoring: Scoring,
        device: str,
    ) -> None:
        self.sets = tuple(sets)
        self.places = [i for i, c in enumerate(columns) if c.name in scoring.counted]
        self.columns = [columns[i] for i in self.places]
        by = crossed_column(scoring)
        self.label = by if by in schema.names else None
        self.presence = scoring.task == "numbers"
        if self.label is not None and not self.presence and not is_supported(schema.field(self.label).type):
            self.label = None
        self.numberings = {s.name: Numbering() for s in self.sets}
        self.plans = [_core.SetPlan(coarse=s.grid == "coarse", moments=False, sketches=False) for s in self.sets]
        #: What counts them on a device. The CPU's counter of all columns counts them with everything else.
        self.counter = None
        if self.columns and device != "cpu":
            self.counter = engine(device).Counter([readings[i].plan for i in self.places], self.plans)
        self._by_value = ByValue()
        self._values: list[Value] | None = None  # of the last dictionary, and where each is among those that occurred
        self._places: Int32 = np.empty(0, dtype=np.int32)
        self._occurred: dict[Value, int] = {}
        self._combinations = {s.name: Combinations() for s in self.sets}
        self._admitted: dict[Value, tuple[int, bytes]] = {}
        self._limit: tuple[int, bytes] | None = None
        self._before: tuple[LabelledCounter, Callable[[str], Seed | None]] | None = None

    def without_counter(self) -> Self:
        """What it knows of groups and labels, for the counter of the next file."""
        out = copy.copy(self)
        out.counter = out._before = None
        return out

    def goes_on(self, before: LabelledCounter, seed: Callable[[str], Seed | None]) -> None:
        """The file before was counted by ``before``; ``seed`` tells what its groups are numbered by from here on."""
        if self.label == before.label and self.sets == before.sets:
            self._by_value, self._values, self._places = before._by_value, before._values, before._places
            self._occurred, self._before = before._occurred, (before, seed)

    def _go_on(self, spec: SetSpec, base: Numbering) -> None:
        """Numbers the pairs of a set by those of the file before, where ``base`` is numbered so too."""
        assert self._before is not None
        before, seed = self._before
        own, of_base = seed(spec.name), seed(spec.name.removeprefix(LABELLED_PREFIX))
        if own is not None and of_base is not None and 0 < base.given == len(of_base.keys):
            self.numberings[spec.name] = Numbering.given_keys(own.keys, own.places)
            self._combinations[spec.name] = before._combinations[spec.name].renumbered(own.to, of_base.to)

    def groups(
        self, batch: pa.RecordBatch, groups: dict[str, Any], numberings: dict[str, Numbering]
    ) -> dict[str, Int32]:
        """The group of every row in each of the sets; ``groups``, ``numberings``: of the sets that are crossed."""
        codes, values = self._codes(batch)
        out = {}
        for spec in self.sets:
            base = spec.name.removeprefix(LABELLED_PREFIX)
            if self._before is not None:
                self._go_on(spec, numberings[base])
            own, pairs = self.numberings[spec.name], self._combinations[spec.name]
            out[spec.name] = self._crossed(groups[base], numberings[base].keys, codes, values, own, pairs)
        self._before = None
        return out

    def add(self, values: pa.RecordBatch, groups: list[Any], threads: int, weights: Any) -> None:
        """Counts the answers among the converted columns of a batch, on a device."""
        if self.counter is not None:
            self.counter.add(values.select(self.places), groups, threads, weights)

    def _codes(self, batch: pa.RecordBatch) -> tuple[Int32, list[Value]]:
        """The label of every row as a number, and what each number stands for."""
        if self.label is None:
            return np.zeros(len(batch), dtype=np.int32), [_NULL]
        if self.presence:
            gone = pc.is_null(batch.column(self.label), nan_is_null=True)
            return gone.cast(pa.int32()).to_numpy(zero_copy_only=False), [_THERE, _NULL]
        codes, values = self._by_value.of(batch.column(self.label))
        if len(values) > _FEW_LABELS:
            present, places = compact(codes.astype(np.int64), len(values))
            return places.astype(np.int32), [values[i] for i in present.tolist()]
        # A dictionary of a byte's 256 values has two labels: combinations of those that occur can be remembered.
        if self._values is not values or len(self._occurred) > _FEW_LABELS:
            self._values, self._places = values, np.full(len(values), -1, dtype=np.int32)
            if len(self._occurred) > _FEW_LABELS:
                self._occurred = {}
        numbers = codes.copy()  # it may be the batch's own
        _core.renumber(numbers, self._places)
        if numbers.min(initial=0) < 0:  # not in every batch: of a byte's 256 values nearly all never come
            for i in np.flatnonzero(np.bincount(codes, minlength=len(values))).tolist():
                if self._places[i] < 0:
                    self._places[i] = self._occurred.setdefault(values[i], len(self._occurred))
            numbers = codes.copy()
            _core.renumber(numbers, self._places)
        return numbers, list(self._occurred) or [_NULL]

    def _label(self, value: Value) -> Value:
        """The label itself, or `other` of those beyond the cap: the same ones whatever the order (DESIGN 3.3)."""
        if value[0] != SEGMENT_VALUE or value in self._admitted:
            return value
        # All are kept while the file is read and capped when it ends, unless there are far too many to keep.
        if len(self._admitted) >= 8 * LABEL_CAP:
            kept = sorted(self._admitted.items(), key=lambda item: item[1])[:LABEL_CAP]
            self._admitted = dict(kept)
            self._limit = kept[-1][1]
        rank = segment_rank(value)
        if self._limit is not None and rank > self._limit:
            return _OTHER
        self._admitted[value] = rank
        return value

    def _crossed(
        self,
        base: Int32,
        base_keys: list[GroupKey],
        codes: Int32,
        values: list[Value],
        own: Numbering,
        combinations: Combinations,
    ) -> Int32:
        """The group of every row by group and label; ``codes`` index ``values``."""
        size = len(base_keys) * len(values)

        def look_up(pairs: Int64) -> list[int]:
            # Two values may be one key: those beyond the cap. The numbering counts their rows together.
            group, code = (part.tolist() for part in np.divmod(pairs, len(values)))
            labels = {c: self._label(values[c]) for c in sorted(set(code))}
            return own.number_all([(*base_keys[g], *labels[c]) for g, c in zip(group, code, strict=True)])

        return combinations.of(base, codes, size, [values], own, look_up)
