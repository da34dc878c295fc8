"""Performance as statistics: answers counted apart for each label, day by day, are drawn again like cells.

Of a score the table has its coarse cells twice: rows of the negative class first, then of the positive one. Of a
prediction it has a cell for every pair of label and prediction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

import numpy as np

from modelwatch_gpu import keys
from modelwatch_gpu.checks.answer_rows import auc_variances, variances_by_deletion
from modelwatch_gpu.checks.errors import Errors
from modelwatch_gpu.checks.statistics import Statistic, auc, drop, growth, rise
from modelwatch_gpu.measures import scored
from modelwatch_gpu.measures.answers import Labelled, cell_ends
from modelwatch_gpu.measures.predicted import Predictions, has_bools, of_several, of_two, one, predictions_of
from modelwatch_gpu.measures.registry import MEASURES, PERFORMANCE
from modelwatch_gpu.measures.scored import ScoreGrids
from modelwatch_gpu.measures.value import HAS_NUMBER, Bools, Floats, Ints, Values
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
    "best_f1": lambda grids: scored.best_threshold(grids)["best_f1"],
}
#: Those that are another one, times so much and less so much.
_SAME_AS: Final = {"gini": ("roc_auc", 2.0, 1.0), "lift": ("cumulative_gain", 1 / scored.TOP_SHARE, 0.0)}

#: Sums and maxima of absolute differences: noise alone makes them larger.
_GAIN_BY_NOISE: Final = ("ece", "score_separation")
#: Measures that no drawing of units says anything of, and coverage, which is no performance.
NOT_DRAWN: Final = ("max_error", "labelled", "best_threshold", "lowest_cost", "cheapest_threshold")
#: Groups whose tables are laid out at once.
_MOST_GROUPS: Final = 256

_Measured = Callable[[Floats], Floats]


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
    linear = base not in _GAIN_BY_NOISE
    return Statistic(_cells, of, counted.measured, linear=linear, low=-np.inf, own=counted)


def _counted(
    baseline: Baseline, merged: Part, scoring: Scoring, column: Column, base: str, grid: str
) -> _Counted | None:
    """What a measure of a column is made of."""
    if scoring.task == "numbers":
        own = column.name == scoring.prediction and Errors.known(base)
        return Errors(baseline, scoring, grid, base) if own else None
    if column.name == scoring.prediction:
        return _Predicted.of(scoring, column, base, baseline.part, merged)
    if column.name in scoring.scores and scoring.task == "binary" and isinstance(column, NumericColumn):
        return _Scores(column, scoring, base)
    return None


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


class _Counted(Protocol):
    """Numbers that add up over groups, and a measure of them."""

    @property
    def whole(self) -> bool: ...
    def tables(self, part: Part, name: str, grid: str) -> Floats | None: ...
    def variances(self, part: Part, name: str, grid: str, groups: Ints) -> Floats: ...
    def measured(self, counts: Floats) -> Floats: ...


def _numbers(values: Values | None, count: int) -> Floats:
    """(replicates,) NaN where there is no number."""
    if values is None:
        return np.full(count, np.nan)
    found: Floats = np.where(values.reason == HAS_NUMBER, values.value, np.nan)
    return found


class _Scores:
    """The coarse cells of a score of two classes."""

    whole = True

    def __init__(self, column: NumericColumn, scoring: Scoring, measure: str) -> None:
        self.column, self.scoring = column, scoring
        self.measure, *times = _SAME_AS.get(measure, (measure,))
        self.times = times or None
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

    def tables(self, part: Part, name: str, grid: str, groups: Ints | None = None) -> Floats | None:
        """(groups, 2 coarse cells) rows of the negative and of the positive class, of all groups or of these."""
        crossed, column = Labelled.of(part, name), self.column
        table = part.tables.get((LABELLED_PREFIX + name, column.name))
        if crossed is None or not isinstance(table, NumericTable):
            return None
        assert self.scoring.positive is not None
        place = _places_of(crossed.groups, groups)
        out = np.zeros((crossed.groups if groups is None else len(groups), 2, column.coarse_slots))
        group, cell = table.cells.group.astype(np.int64), table.cells.index.astype(np.int64)
        if grid == "fine":
            cell = column.to_coarse[cell].astype(np.int64)
        at, hit = place[crossed.base[group]], crossed.is_class(self.scoring.positive)[group].astype(np.int64)
        known = crossed.known[group] & (at >= 0)
        np.add.at(out, (at[known], hit[known], cell[known]), table.cells.value[known].astype(np.float64))
        return out[:, :, :-2].reshape(len(out), -1)  # without NaN and null

    def variances(self, part: Part, name: str, grid: str, groups: Ints) -> Floats:
        """See ``statistics.OwnTables``."""
        found = _variances(self, part, name, grid, groups, auc_variances if self.measure == "roc_auc" else None)
        return found if self.times is None or self.measure != "roc_auc" else found * self.times[0] ** 2

    def measured(self, counts: Floats) -> Floats:
        """(replicates,) the measure of (replicates, 2 cells) counts."""
        if self.times is not None:
            return self.times[0] * self._measured(counts) - self.times[1]
        return self._measured(counts)

    def _measured(self, counts: Floats) -> Floats:
        if self.measure == "roc_auc":
            return auc(counts)
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
        own = _OF_SCORES.get(self.measure)
        found = own(grids) if own is not None else _outcomes(grids, self.scoring).get(self.measure)
        return _numbers(found, len(counts))


def _places_of(groups: int, wanted: Ints | None) -> Ints:
    """(groups,) where each group stands among those wanted, -1 where it is none of them."""
    if wanted is None:
        return np.arange(groups)
    place = np.full(groups, -1, dtype=np.int64)
    place[wanted] = np.arange(len(wanted))
    return place


def _variances(
    counted: _Scores | _Predicted,
    part: Part,
    name: str,
    grid: str,
    groups: Ints,
    formula: Callable[[Floats, Floats], Floats] | None = None,
) -> Floats:
    """By a formula of (groups, cells) counts, else by leaving out rows; some groups at a time."""
    out = np.full(len(groups), np.nan)
    crossed = Labelled.of(part, name)
    if crossed is None:
        return out
    weights = crossed.known_weights
    for begin in range(0, len(groups), _MOST_GROUPS):
        some = groups[begin : begin + _MOST_GROUPS]
        counts = counted.tables(part, name, grid, some)
        if counts is None:
            return out
        per_count = np.ones(len(some)) if weights is None else weights.per_count[some]
        out[begin : begin + _MOST_GROUPS] = (
            formula(counts, per_count)
            if formula is not None
            else variances_by_deletion(counted.measured, counts, per_count)
        )
    return out


def _outcomes(grids: ScoreGrids, scoring: Scoring) -> dict[str, Values]:
    return scored.outcome_measures(grids.outcomes, scoring.costs)


@dataclass(frozen=True)
class _Predicted:
    """Pairs of label and prediction. ``classes``: of both sides, sorted; behind them stands every other value."""

    scoring: Scoring
    column: Column
    measure: str
    classes: tuple[str, ...]

    #: Rows are counted.
    whole = True

    @classmethod
    def of(cls, scoring: Scoring, column: Column, measure: str, *parts: Part) -> _Predicted:
        """With the classes that either part knows."""
        names: set[str] = set()
        for part in parts:
            found = predictions_of(scoring, column, "fine", part, "window") if _is_fine(part, column) else None
            names |= set(found.classes) if found is not None else set()
        return cls(scoring, column, measure, tuple(sorted(names)))

    def tables(self, part: Part, name: str, grid: str, groups: Ints | None = None) -> Floats | None:
        """(groups, pairs) rows by label and prediction, of all groups or of these."""
        found = predictions_of(self.scoring, self.column, grid, part, name)
        if found is None:
            return None
        k = len(self.classes) + 1
        at = _places_of(found.groups, groups)[found.base]
        out = np.zeros((found.groups if groups is None else len(groups), k, k))
        place, some = self._places(found), at >= 0
        where = at[some], place[found.label[some]], place[found.prediction[some]]
        np.add.at(out, where, found.count[some].astype(np.float64))
        return out.reshape(len(out), -1)

    def variances(self, part: Part, name: str, grid: str, groups: Ints) -> Floats:
        """See ``statistics.OwnTables``."""
        return _variances(self, part, name, grid, groups)

    def _places(self, found: Predictions) -> Any:
        """Where each class of one side stands among those of both."""
        at = {name: i for i, name in enumerate(self.classes)}
        return np.array([*(at.get(name, len(at)) for name in found.classes), len(at)], dtype=np.int64)

    def measured(self, counts: Floats) -> Floats:
        """(replicates,) the measure of (replicates, pairs) counts."""
        k, scoring = len(self.classes) + 1, self.scoring
        tables = counts.astype(np.int64).reshape(-1, k, k)
        if scoring.positive is not None and len(scoring.classes) <= 2:
            name = one(scoring.positive, has_bools(scoring))
            positive = self.classes.index(name) if name in self.classes else None
            return _numbers(of_two(tables, positive, scoring.costs).get(self.measure), len(counts))
        return _numbers(of_several(tables).get(self.measure), len(counts))


def _is_fine(part: Part, column: Column) -> bool:
    """Whether a part's windows are counted so that unseen predictions keep their names."""
    return ("window", column.name) in part.tables
