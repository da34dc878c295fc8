"""Performance as statistics: answers counted apart for each label, day by day, are drawn again like cells.

Of a score the table has its coarse cells twice: rows of the negative class first, then of the positive one. Of a
prediction it has a cell for every pair of label and prediction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from modelwatch_gpu import keys
from modelwatch_gpu.checks.answer_rows import auc_variances, variances_by_deletion
from modelwatch_gpu.checks.statistics import auc
from modelwatch_gpu.measures import scored
from modelwatch_gpu.measures.answers import Labelled, cell_ends
from modelwatch_gpu.measures.predicted import Predictions, has_bools, of_several, of_two, one, predictions_of
from modelwatch_gpu.measures.scored import ScoreGrids
from modelwatch_gpu.measures.value import HAS_NUMBER, Bools, Floats, Ints, Values
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

#: Some groups of a set, or None for all -> (groups, numbers) their tables.
LaidOut = Callable[[Ints | None], Floats]

#: Groups whose tables are laid out at once.
_MOST_GROUPS: Final = 256


def _numbers(values: Values | None, count: int) -> Floats:
    """(replicates,) NaN where there is no number."""
    if values is None:
        return np.full(count, np.nan)
    found: Floats = np.where(values.reason == HAS_NUMBER, values.value, np.nan)
    return found


class Scores:
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
        laid_out = self.laid_out(part, name, grid)
        return None if laid_out is None else laid_out(groups)

    def laid_out(self, part: Part, name: str, grid: str) -> LaidOut | None:
        """What lays ``tables`` out; None where nothing was counted."""
        crossed, column = Labelled.of(part, name), self.column
        table = part.tables.get((LABELLED_PREFIX + name, column.name))
        if crossed is None or not isinstance(table, NumericTable):
            return None
        assert self.scoring.positive is not None
        group, cell = table.cells.group, table.cells.index
        if grid == "fine":
            cell = column.to_coarse[cell]
        known = crossed.known[group]
        base, slots = crossed.base[group][known], column.coarse_slots
        place = crossed.is_class(self.scoring.positive)[group][known] * slots + cell[known].astype(np.int64)
        value = table.cells.value[known]
        if (np.diff(base) < 0).any():
            order = np.argsort(base, kind="stable")
            base, place, value = base[order], place[order], value[order]
        begin = np.searchsorted(base, np.arange(crossed.groups + 1))

        def tables(groups: Ints | None) -> Floats:
            wanted = np.arange(crossed.groups) if groups is None else groups
            sizes = begin[wanted + 1] - begin[wanted]
            row = np.repeat(np.arange(len(wanted)), sizes)
            at = np.arange(len(row)) + np.repeat(begin[wanted] - (np.cumsum(sizes) - sizes), sizes)
            out = np.bincount(row * (2 * slots) + place[at], value[at], len(wanted) * 2 * slots).astype(np.float64)
            return out.reshape(len(wanted), 2, slots)[:, :, :-2].reshape(len(wanted), -1)  # without NaN and null

        return tables

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


def places_of(groups: int, wanted: Ints | None) -> Ints:
    """(groups,) where each group stands among those wanted, -1 where it is none of them."""
    if wanted is None:
        return np.arange(groups)
    place = np.full(groups, -1, dtype=np.int64)
    place[wanted] = np.arange(len(wanted))
    return place


def _variances(
    counted: Scores | Predicted,
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
    weights, laid_out = crossed.known_weights, counted.laid_out(part, name, grid)
    if laid_out is None:
        return out
    for begin in range(0, len(groups), _MOST_GROUPS):
        some = groups[begin : begin + _MOST_GROUPS]
        counts = laid_out(some)
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
class Predicted:
    """Pairs of label and prediction. ``classes``: of both sides, sorted; behind them stands every other value."""

    scoring: Scoring
    column: Column
    measure: str
    classes: tuple[str, ...]

    #: Rows are counted.
    whole = True

    @classmethod
    def of(cls, scoring: Scoring, column: Column, measure: str, *parts: Part) -> Predicted:
        """With the classes that either part knows."""
        names: set[str] = set()
        for part in parts:
            found = predictions_of(scoring, column, "fine", part, "window") if _is_fine(part, column) else None
            names |= set(found.classes) if found is not None else set()
        return cls(scoring, column, measure, tuple(sorted(names)))

    def tables(self, part: Part, name: str, grid: str, groups: Ints | None = None) -> Floats | None:
        """(groups, pairs) rows by label and prediction, of all groups or of these."""
        laid_out = self.laid_out(part, name, grid)
        return None if laid_out is None else laid_out(groups)

    def laid_out(self, part: Part, name: str, grid: str) -> LaidOut | None:
        """What lays ``tables`` out; None where nothing was counted."""
        found = predictions_of(self.scoring, self.column, grid, part, name)
        if found is None:
            return None
        k, place = len(self.classes) + 1, self._places(found)
        label, prediction, count = place[found.label], place[found.prediction], found.count.astype(np.float64)

        def tables(groups: Ints | None) -> Floats:
            at = places_of(found.groups, groups)[found.base]
            out, some = np.zeros((found.groups if groups is None else len(groups), k, k)), at >= 0
            np.add.at(out, (at[some], label[some], prediction[some]), count[some])
            return out.reshape(len(out), -1)

        return tables

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
