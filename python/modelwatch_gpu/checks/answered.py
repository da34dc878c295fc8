"""The statistic of a measure that is held against labels: what is summed, and how both sides are held together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final, Protocol

import numpy as np

from modelwatch_gpu.checks.answers import Predicted, Scores
from modelwatch_gpu.checks.class_scores import scores_together
from modelwatch_gpu.checks.errors import Errors
from modelwatch_gpu.checks.statistics import OwnTables, Statistic, drop, growth, rise
from modelwatch_gpu.measures.registry import MEASURES, PERFORMANCE
from modelwatch_gpu.measures.value import Bools, Floats
from modelwatch_gpu.profile.baseline import Baseline
from modelwatch_gpu.profile.columns import Column, NumericColumn
from modelwatch_gpu.profile.parts import Part
from modelwatch_gpu.profile.scoring import Scoring

#: Sums and maxima of absolute differences: noise alone makes them larger.
GAIN_BY_NOISE: Final = ("ece", "score_separation")
#: Measures that no drawing of units says anything of, and coverage, which is no performance.
NOT_DRAWN: Final = ("max_error", "labelled", "best_threshold", "lowest_cost", "cheapest_threshold")


class _Counted(OwnTables, Protocol):
    """Numbers that add up over groups, and a measure of them."""

    def measured(self, counts: Floats) -> Floats: ...


def answer_statistic(
    baseline: Baseline, merged: Part, column: Column, measure: str, *, grid: str, relative: bool = False
) -> Statistic | None:
    """A measure that is held against labels, or its change; None for anything else. ``grid``: of the log's windows.

    ``relative``: for its growth over what it is in the baseline; of measures that can be negative, in the measure's own
    units, as so much of it as the baseline has.
    """
    scoring, base = baseline.scoring, MEASURES[measure].of or measure
    if scoring is None or base not in PERFORMANCE or base in NOT_DRAWN:
        return None
    counted = _counted(baseline, merged, scoring, column, base, grid)
    if counted is None:
        return None
    of: Callable[[Floats, Floats], Floats] = rise
    if MEASURES[measure].of is not None:
        of = drop if MEASURES[base].better == "higher" else rise
    else:
        whole = counted.tables(baseline.part, "window", "fine")
        before = np.nan if whole is None else float(counted.measured(whole[:1])[0])
        if relative and MEASURES[base].least == 0:
            return Statistic(_cells, growth, counted.measured, linear=True, low=-1.0, own=counted, growth=True)
        of = _grown(before) if relative else _above(before)
    linear = base not in GAIN_BY_NOISE
    return Statistic(_cells, of, counted.measured, linear=linear, low=-np.inf, own=counted)


def _counted(
    baseline: Baseline, merged: Part, scoring: Scoring, column: Column, base: str, grid: str
) -> _Counted | None:
    """What a measure of a column is made of."""
    if scoring.task == "numbers":
        own = column.name == scoring.prediction and Errors.known(base)
        return Errors(baseline, scoring, grid, base) if own else None
    if column.name == scoring.prediction:
        return Predicted.of(scoring, column, base, baseline.part, merged)
    if column.name in scoring.scores and isinstance(column, NumericColumn):
        if scoring.task == "classes":
            scoring = replace(scoring, positive=scoring.classes[scoring.scores.index(column.name)])
        return Scores(column, scoring, base)
    return scores_together(baseline, base) if column.name == scoring.label else None


def _cells(_: Column, counts: Floats, __: Bools) -> Floats:
    return counts


def _grown(whole: float) -> Callable[[Floats, Floats], Floats]:
    """How much a number grew, as a share of what it was, times what it is in the whole baseline."""

    def of(before: Floats, after: Floats) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            return (after / before - 1) * whole

    return of


def _above(whole: float) -> Callable[[Floats, Floats], Floats]:
    """How far a number lies above what it is in the whole baseline."""
    return lambda _, after: after - whole
