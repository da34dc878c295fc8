"""Changes of performance as statistics: answers counted apart for each label, day by day, are drawn again like cells.

Of a score the table has its coarse cells twice: rows of the negative class first, then of the positive one. Of a
prediction it has a cell for every pair of label and prediction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from modelwatch_gpu import keys
from modelwatch_gpu.checks.statistics import Statistic, auc, drop, rise
from modelwatch_gpu.measures import scored
from modelwatch_gpu.measures.answers import Labelled, cell_ends
from modelwatch_gpu.measures.predicted import Predictions, has_bools, of_several, of_two, one, predictions_of
from modelwatch_gpu.measures.registry import MEASURES
from modelwatch_gpu.measures.scored import ScoreGrids
from modelwatch_gpu.measures.value import HAS_NUMBER, Bools, Floats, Values
from modelwatch_gpu.profile.baseline import Baseline
from modelwatch_gpu.profile.columns import Column, NumericColumn
from modelwatch_gpu.profile.parts import LABELLED_PREFIX, Part
from modelwatch_gpu.profile.scoring import Scoring
from modelwatch_gpu.profile.tables import NumericTable

#: Measures of scores that have a function of their own; the others are ratios of what happens at the threshold.
_OF_SCORES: Final[dict[str, Callable[[ScoreGrids], Values]]] = {
    "roc_auc": scored.roc_auc,
    "average_precision": scored.average_precision,
    "score_separation": scored.score_separation,
    "log_loss": scored.log_loss,
    "brier": scored.brier,
    "ece": scored.ece,
    "calibration_gap": scored.calibration_gap,
    "cumulative_gain": scored.cumulative_gain,
}

#: Sums and maxima of absolute differences: noise alone makes them larger.
_GAIN_BY_NOISE: Final = ("ece", "score_separation")

#: Tables of a part, by the name of a set and its grid; and a measure of (replicates, cells) sums of them.
_Tables = Callable[[Part, str, str], Floats | None]
_Measured = Callable[[Floats], Floats]


def answer_statistic(baseline: Baseline, merged: Part, column: Column, measure: str) -> Statistic | None:
    """The change of a measure of scores of two classes, or of predicted classes; None for anything else."""
    base = next((name for name, info in MEASURES.items() if info.change == measure), None)
    scoring = baseline.scoring
    if base is None or scoring is None or scoring.task == "numbers":
        return None
    tables: _Tables
    measured: _Measured
    if column.name == scoring.prediction:
        predicted = _Predicted.of(scoring, column, baseline.part, merged)
        tables, measured = predicted.tables, lambda counts: predicted.measured(base, counts)
    elif column.name in scoring.scores and scoring.task == "binary" and isinstance(column, NumericColumn):
        scores = _Scores(column, scoring)
        tables, measured = scores.tables, lambda counts: scores.measured(base, counts)
        if base == "roc_auc":
            measured = auc
    else:
        return None
    worse = drop if MEASURES[base].better == "higher" else rise
    linear = base not in _GAIN_BY_NOISE
    return Statistic(lambda _, counts, __: counts, worse, measured, linear=linear, low=-np.inf, by_label=tables)


def _numbers(values: Values | None, count: int) -> Floats:
    """(replicates,) NaN where there is no number."""
    if values is None:
        return np.full(count, np.nan)
    found: Floats = np.where(values.reason == HAS_NUMBER, values.value, np.nan)
    return found


class _Scores:
    """The coarse cells of a score of two classes."""

    def __init__(self, column: NumericColumn, scoring: Scoring) -> None:
        self.column, self.scoring = column, scoring
        knots = column.knots[column.coarse]
        cells = np.arange(2 * len(knots) + 1)
        with np.errstate(invalid="ignore"):
            ends = cell_ends(column, knots, cells)
        # Beyond infinity there is nothing; no row is counted there either.
        first, last, low, high = (np.clip(np.nan_to_num(end), -1e300, 1e300) for end in ends)
        self.knot: Bools = cells % 2 == 1
        key = keys.edge_key(scoring.threshold, column.domain, right_closed=False, scale=column.scale)
        dtype = keys.dtype_of(column.domain)
        nothing = np.zeros((0, len(cells)), dtype=np.int64)
        self.grids = ScoreGrids(
            positives=nothing,
            negatives=nothing,
            first=first,
            last=last,
            knot=self.knot,
            low=low,
            high=high,
            positive_sums=np.zeros((2, 0, len(cells))),
            negative_sums=np.zeros((2, 0, len(cells))),
            cut=len(cells) if key is None else 2 * int(np.searchsorted(knots, np.uint64(key))) + 1,
            epsilon=float(np.finfo(dtype if dtype.kind == "f" else np.float64).eps),
        )

    def tables(self, part: Part, name: str, grid: str) -> Floats | None:
        """(groups, 2 coarse cells) rows of the negative and of the positive class."""
        crossed, column = Labelled.of(part, name), self.column
        table = part.tables.get((LABELLED_PREFIX + name, column.name))
        if crossed is None or not isinstance(table, NumericTable):
            return None
        assert self.scoring.positive is not None
        out = np.zeros((crossed.groups, 2, column.coarse_slots))
        group, cell = table.cells.group.astype(np.int64), table.cells.index.astype(np.int64)
        if grid == "fine":
            cell = column.to_coarse[cell].astype(np.int64)
        known, hit = crossed.known[group], crossed.is_class(self.scoring.positive)[group].astype(np.int64)
        at = (crossed.base[group][known], hit[known], cell[known])
        np.add.at(out, at, table.cells.value[known].astype(np.float64))
        return out[:, :, :-2].reshape(crossed.groups, -1)  # without NaN and null

    def measured(self, measure: str, counts: Floats) -> Floats:
        """(replicates,) a measure of (replicates, 2 cells) counts."""
        cells = len(self.knot)
        negatives, positives = (side.astype(np.int64, order="C") for side in (counts[:, :cells], counts[:, cells:]))
        g = self.grids
        grids = replace(
            g,
            positives=positives,
            negatives=negatives,
            positive_sums=np.stack([positives * g.low, positives * g.high]),
            negative_sums=np.stack([negatives * g.low, negatives * g.high]),
        )
        own = _OF_SCORES.get(measure)
        found = own(grids) if own is not None else _outcomes(grids, self.scoring).get(measure)
        return _numbers(found, len(counts))


def _outcomes(grids: ScoreGrids, scoring: Scoring) -> dict[str, Values]:
    return scored.outcome_measures(grids.outcomes, scoring.costs)


@dataclass(frozen=True)
class _Predicted:
    """Pairs of label and prediction. ``classes``: of both sides, sorted; behind them stands every other value."""

    scoring: Scoring
    column: Column
    classes: tuple[str, ...]

    @classmethod
    def of(cls, scoring: Scoring, column: Column, *parts: Part) -> _Predicted:
        """With the classes that either part knows."""
        names: set[str] = set()
        for part in parts:
            found = predictions_of(scoring, column, "fine", part, "window") if _is_fine(part, column) else None
            names |= set(found.classes) if found is not None else set()
        return cls(scoring, column, tuple(sorted(names)))

    def tables(self, part: Part, name: str, grid: str) -> Floats | None:
        """(groups, pairs) rows by label and prediction."""
        found = predictions_of(self.scoring, self.column, grid, part, name)
        if found is None:
            return None
        k = len(self.classes) + 1
        out = np.zeros((found.groups, k, k))
        place = self._places(found)
        np.add.at(out, (found.base, place[found.label], place[found.prediction]), found.count.astype(np.float64))
        return out.reshape(found.groups, -1)

    def _places(self, found: Predictions) -> Any:
        """Where each class of one side stands among those of both."""
        at = {name: i for i, name in enumerate(self.classes)}
        return np.array([*(at.get(name, len(at)) for name in found.classes), len(at)], dtype=np.int64)

    def measured(self, measure: str, counts: Floats) -> Floats:
        """(replicates,) a measure of (replicates, pairs) counts."""
        k, scoring = len(self.classes) + 1, self.scoring
        tables = counts.astype(np.int64).reshape(-1, k, k)
        if scoring.positive is not None and len(scoring.classes) <= 2:
            name = one(scoring.positive, has_bools(scoring))
            positive = self.classes.index(name) if name in self.classes else None
            return _numbers(of_two(tables, positive, scoring.costs).get(measure), len(counts))
        return _numbers(of_several(tables).get(measure), len(counts))


def _is_fine(part: Part, column: Column) -> bool:
    """Whether a part's windows are counted so that unseen predictions keep their names."""
    return ("window", column.name) in part.tables
