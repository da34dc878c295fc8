"""Everything that is held against labels, for all groups of a run: the numbers, the baseline's beside, the change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from modelwatch_gpu.measures.answers import Labelled, score_measures
from modelwatch_gpu.measures.multiscored import class_score_measures
from modelwatch_gpu.measures.predicted import prediction_measures
from modelwatch_gpu.measures.registry import MEASURES
from modelwatch_gpu.measures.residuals import error_measures
from modelwatch_gpu.measures.results import BASELINE, Block
from modelwatch_gpu.measures.value import HAS_NUMBER, NOT_THERE, REASON_CODES, Value, Values
from modelwatch_gpu.measures.weighted import reworded
from modelwatch_gpu.profile.baseline import Baseline
from modelwatch_gpu.profile.columns import NumericColumn
from modelwatch_gpu.profile.parts import Part
from modelwatch_gpu.profile.scoring import Scoring

#: Measures of every group of a set, by column and id.
ByColumn = dict[str, dict[str, Values]]


@dataclass(frozen=True, eq=False)
class AgainstLabels:
    """What a baseline knows of performance; adds it to the results of a run."""

    baseline: Baseline
    scoring: Scoring

    @classmethod
    def of(cls, baseline: Baseline) -> AgainstLabels | None:
        """That of this baseline, kept as long as it is; None where there is nothing to hold against labels."""
        scoring = baseline.scoring
        return None if scoring is None else baseline.kept("labels", lambda: cls(baseline, scoring))

    @cached_property
    def reference(self) -> dict[str, dict[str, Value]]:
        """The baseline's own numbers, by column and id."""
        found = measured(self.baseline, self.scoring, "fine", self.baseline.part, "window")
        return {
            column: {name: values[0] for name, values in own.items() if len(values)} for column, own in found.items()
        }

    def added(self, blocks: Sequence[Block], grid: str, part: Part, name: str, first: int) -> list[Block]:
        """The blocks of one set with what the labels say; ``first``: the group that comes first in those of the
        baseline, in those of the window before it is the next."""
        found = measured(self.baseline, self.scoring, grid, part, name)
        out = []
        for block in blocks:
            own = found.get(block.column.name, {})
            if not own or not len(block):
                out.append(block)
                continue
            begin = first if block.compared_with == BASELINE else first + 1
            now = {measure: _slice(values, begin, begin + len(block)) for measure, values in own.items()}
            if block.compared_with == BASELINE:
                reference = self.reference.get(block.column.name, {})
                then = {measure: _constant(reference[measure], len(block)) for measure in now if measure in reference}
                values = {**now, **_changes(now, then, "baseline_without")}
                out.append(replace(block, values={**block.values, **values}, reference=reference))
            else:
                then = {measure: _slice(own[measure], begin - 1, begin - 1 + len(block)) for measure in now}
                out.append(replace(block, values={**block.values, **_changes(now, then, "earlier_without")}))
        return out


def measured(baseline: Baseline, scoring: Scoring, grid: str, part: Part, name: str) -> ByColumn:
    """Every measure of every group of a set of a part, by the column that it is told of."""
    if scoring.task == "numbers":
        return error_measures(baseline, scoring, grid, part, name)
    crossed = Labelled.of(part, name)
    if crossed is None:
        return {}
    found: ByColumn = {scoring.label: {"labelled": crossed.coverage}}
    if scoring.task == "binary":
        for score in scoring.scores:
            column = baseline.by_name[score]
            assert isinstance(column, NumericColumn)
            assert scoring.positive is not None
            own = score_measures(scoring, column, grid, part, name, scoring.positive)
            if own is not None:
                found[score] = own
    elif scoring.scores:
        for score, own in class_score_measures(baseline, scoring, grid, part, name).items():
            found[score] = {**found.get(score, {}), **own}
    if scoring.prediction is not None:
        own = prediction_measures(scoring, baseline.by_name[scoring.prediction], grid, part, name)
        if own is not None:
            found[scoring.prediction] = own
    weights = crossed.known_weights
    if weights is None:
        return found
    return {
        column: {m: v for m, v in reworded(own, weights).items()} if column != scoring.label else own
        for column, own in found.items()
    }


def _slice(values: Values, begin: int, end: int) -> Values:
    keep = slice(begin, end)
    value = values.value[keep]
    lower = value if values.lower is values.value else values.lower[keep]
    upper = value if values.upper is values.value else values.upper[keep]
    return Values(value, lower, upper, values.n[keep], values.reason[keep])


def _constant(value: Value, count: int) -> Values:
    """One number for every group."""
    number, lower, upper = (np.nan if v is None else v for v in (value.value, value.lower, value.upper))
    code = HAS_NUMBER if value.reason is None else REASON_CODES[value.reason]
    sides = [np.full(count, side, dtype=np.float64) for side in (number, lower, upper)]
    return Values(
        sides[0], sides[1], sides[2], np.full(count, value.n, dtype=np.int64), np.full(count, code, dtype=np.uint8)
    )


def _changes(now: Mapping[str, Values], then: Mapping[str, Values], without: str) -> dict[str, Values]:
    """The change of every measure that has one: positive is worse where one direction is."""
    out = {}
    for name, values in now.items():
        info = MEASURES[name]
        if info.change is None:
            continue
        before = then.get(name)
        if before is None:
            continue
        sides = (values.value - before.value, values.lower - before.upper, values.upper - before.lower)
        if info.better == "higher":
            sides = (-sides[0], -sides[2], -sides[1])
        there = values.reason == HAS_NUMBER
        reason = np.where(there & (before.reason != HAS_NUMBER), REASON_CODES[without], values.reason)
        reason = np.where(values.reason == NOT_THERE, NOT_THERE, reason).astype(np.uint8)
        out[info.change] = Values(*sides, values.n, reason)
    return out
