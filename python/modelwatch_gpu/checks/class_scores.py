"""Scores of several classes as statistics: each class against the rest, and all of them together, told of the label."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from modelwatch_gpu.checks.answer_rows import auc_variances, variances_by_deletion
from modelwatch_gpu.checks.answers import Scores, places_of
from modelwatch_gpu.log.ranks import rank_column
from modelwatch_gpu.measures.answers import Labelled
from modelwatch_gpu.measures.predicted import entries_of
from modelwatch_gpu.measures.registry import TOP_PLACES
from modelwatch_gpu.measures.value import Floats, Ints
from modelwatch_gpu.profile.baseline import Baseline
from modelwatch_gpu.profile.columns import Column, NumericColumn
from modelwatch_gpu.profile.parts import Part

#: Measures of all scores together, and the measure of one score that they are made of.
_TOGETHER: Final = {
    "roc_auc_macro": "roc_auc",
    "roc_auc_weighted": "roc_auc",
    "log_loss_classes": "log_loss",
    "brier_classes": "brier",
}
_TOP: Final = {f"top_{k}_accuracy": k for k in TOP_PLACES}


def scores_together(baseline: Baseline, measure: str) -> Together | TopPlaces | None:
    """What a measure of the scores of several classes is made of; None for any other."""
    scoring = baseline.scoring
    if scoring is None or scoring.task != "classes" or not scoring.scores:
        return None
    if measure in _TOP:
        column = baseline.by_name.get(rank_column(scoring.label))
        return None if column is None else TopPlaces(column, len(scoring.classes), _TOP[measure])
    if measure not in _TOGETHER:
        return None
    each = []
    for name, text in zip(scoring.scores, scoring.classes, strict=True):
        column = baseline.by_name[name]
        assert isinstance(column, NumericColumn)
        each.append(Scores(column, replace(scoring, positive=text), _TOGETHER[measure]))
    return Together(tuple(each), measure)


@dataclass(frozen=True, eq=False)
class Together:
    """``scores``: of every class against the rest."""

    scores: tuple[Scores, ...]
    measure: str

    #: Rows are counted.
    whole = True

    def tables(self, part: Part, name: str, grid: str, groups: Ints | None = None) -> Floats | None:
        """(groups, 2 cells of every score) side by side."""
        found = [one.tables(part, name, grid, groups) for one in self.scores]
        sides = [one for one in found if one is not None]
        return np.concatenate(sides, axis=1) if len(sides) == len(found) else None

    def _split(self, counts: Floats) -> list[Floats]:
        ends = np.cumsum([2 * len(one.knot) for one in self.scores])[:-1]
        return np.split(counts, ends, axis=1)

    def measured(self, counts: Floats) -> Floats:
        """(replicates,) the measure of (replicates, cells) counts; NaN where a class it takes has no number."""
        split = self._split(counts)
        positives = [own[:, own.shape[1] // 2 :] for own in split]
        rows = np.stack([own.sum(axis=1) for own in positives])
        if self.measure == "log_loss_classes":
            alone = [np.concatenate([0 * own, own], axis=1) for own in positives]
            each = np.stack([one.measured(own) for one, own in zip(self.scores, alone, strict=True)])
            return _mean(each, rows)
        each = np.stack([one.measured(own) for one, own in zip(self.scores, split, strict=True)])
        if self.measure == "brier_classes":
            found: Floats = each.sum(axis=0)
            return found
        total = np.stack([own.sum(axis=1) for own in split])
        each = np.where((rows > 0) & (rows < total), each, np.nan)
        return _mean(each, rows if self.measure == "roc_auc_weighted" else np.ones_like(rows))

    def variances(self, part: Part, name: str, grid: str, groups: Ints) -> Floats:
        """See ``statistics.OwnTables``. Scores of one row belong together, which their tables do not tell: as if all
        numbers of a row rose with one another, at most. A row's log-loss is of one score, so that is exact."""
        counts = self.tables(part, name, grid, groups)
        crossed = Labelled.of(part, name)
        if counts is None or crossed is None:
            return np.full(len(groups), np.nan)
        weights = crossed.known_weights
        per_count = np.ones(len(groups)) if weights is None else weights.per_count[groups]
        split = self._split(counts)
        if self.measure == "log_loss_classes":
            alone = [
                np.concatenate([0 * own[:, : len(o.knot)], own[:, len(o.knot) :]], axis=1)
                for o, own in self._pairs(split)
            ]
            return variances_by_deletion(self.measured, np.concatenate(alone, axis=1), per_count)
        with np.errstate(invalid="ignore"):
            if self.measure == "brier_classes":
                each = [variances_by_deletion(one.measured, own, per_count) for one, own in self._pairs(split)]
                found: Floats = np.sqrt(np.stack(each)).sum(axis=0) ** 2
                return found
            deviations = np.sqrt(np.stack([auc_variances(own, per_count) for own in split]))
        rows = np.stack([own[:, own.shape[1] // 2 :].sum(axis=1) for own in split])
        return _mean(deviations, rows if self.measure == "roc_auc_weighted" else np.ones_like(rows)) ** 2

    def _pairs(self, split: list[Floats]) -> list[tuple[Scores, Floats]]:
        return list(zip(self.scores, split, strict=True))


def _mean(each: Floats, weights: Floats) -> Floats:
    """(replicates,) mean over classes of (classes, replicates) numbers; those without weight have no say."""
    total = weights.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = np.where(weights > 0, each * weights, 0.0).sum(axis=0) / total
    return found


@dataclass(frozen=True, eq=False)
class TopPlaces:
    """Rows whose label's score is among the ``k`` highest, and all; ``column``: of the places."""

    column: Column
    classes: int
    k: int

    #: Rows are counted.
    whole = True

    def tables(self, part: Part, name: str, grid: str, groups: Ints | None = None) -> Floats | None:
        """(groups, 2) rows among the first places, and beyond them."""
        table = part.tables.get((name, self.column.name))
        if table is None:
            return None
        texts, group, at, count = entries_of(self.column, grid, table)
        place = np.array([*(int(t) if t.isdigit() else self.classes for t in texts), self.classes], dtype=np.int64)[at]
        to = places_of(len(part.groups[name]), groups)[group]
        out = np.zeros((len(part.groups[name]) if groups is None else len(groups), 2))
        some = to >= 0
        np.add.at(out, (to[some], (place[some] >= self.k).astype(np.int64)), count[some].astype(np.float64))
        return out

    def measured(self, counts: Floats) -> Floats:
        """(replicates,) share of the rows."""
        with np.errstate(divide="ignore", invalid="ignore"):
            found: Floats = counts[:, 0] / counts.sum(axis=1)
        return found

    def variances(self, part: Part, name: str, grid: str, groups: Ints) -> Floats:
        """See ``statistics.OwnTables``."""
        counts = self.tables(part, name, grid, groups)
        crossed = Labelled.of(part, name)
        if counts is None or crossed is None:
            return np.full(len(groups), np.nan)
        weights = crossed.known_weights
        per_count = np.ones(len(groups)) if weights is None else weights.per_count[groups]
        return variances_by_deletion(self.measured, counts, per_count)
