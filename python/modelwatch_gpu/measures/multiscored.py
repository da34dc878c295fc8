"""Scores of several classes, one column each, beside labels: each class against the rest."""

from __future__ import annotations

import numpy as np

from modelwatch_gpu.log.ranks import rank_column
from modelwatch_gpu.measures import scored
from modelwatch_gpu.measures.answers import Labelled, chunks_of_groups, score_grids, score_measures, slots_of
from modelwatch_gpu.measures.cells import Floats
from modelwatch_gpu.measures.predicted import entries_of
from modelwatch_gpu.measures.registry import TOP_PLACES
from modelwatch_gpu.measures.value import HAS_NUMBER, Values
from modelwatch_gpu.profile.baseline import Baseline
from modelwatch_gpu.profile.columns import NumericColumn
from modelwatch_gpu.profile.parts import LABELLED_PREFIX, Part
from modelwatch_gpu.profile.scoring import Scoring
from modelwatch_gpu.profile.tables import NumericTable

#: What the score of one class says of it against the rest; the threshold is of two classes.
_OF_ONE = (
    "roc_auc",
    "gini",
    "average_precision",
    "score_separation",
    "log_loss",
    "brier",
    "ece",
    "calibration_gap",
    "best_f1",
)


def class_score_measures(
    baseline: Baseline, scoring: Scoring, grid: str, part: Part, name: str
) -> dict[str, dict[str, Values]]:
    """Measures by column and id: of each score against the rest, and of all of them together, told of the label."""
    found: dict[str, dict[str, Values]] = {}
    areas: list[Values] = []
    supports: list[Floats] = []
    for score, text in zip(scoring.scores, scoring.classes, strict=True):
        column = baseline.by_name[score]
        assert isinstance(column, NumericColumn)
        own = score_measures(scoring, column, grid, part, name, text)
        if own is None:
            return found
        found[score] = {measure: values for measure, values in own.items() if measure in _OF_ONE}
        areas.append(own["roc_auc"])
        rate = own["positive_rate"]
        supports.append(np.where(rate.reason == HAS_NUMBER, rate.value * rate.n, 0.0))
    together = {
        "roc_auc_macro": _mean(areas, [np.ones(len(areas[0]))] * len(areas)),
        "roc_auc_weighted": _mean(areas, supports),
        **_losses(baseline, scoring, grid, part, name),
        **_top(baseline, scoring, grid, part, name),
    }
    found[scoring.label] = together
    return found


def _mean(areas: list[Values], weights: list[Floats]) -> Values:
    """The mean over classes of the areas under their curves, as ``multiclass.roc_auc`` has it."""
    total = np.sum(weights, axis=0)
    some = np.where(total > 0, total, 1.0)
    sides = []
    for side in ("value", "lower", "upper"):
        numbers = [np.nan_to_num(getattr(a, side)) * w for a, w in zip(areas, weights, strict=True)]
        sides.append(np.sum(numbers, axis=0) / some)
    n = np.max([a.n for a in areas], axis=0)
    without = [(a.reason != HAS_NUMBER) & (w > 0) for a, w in zip(areas, weights, strict=True)]
    found = Values.between(sides[1], sides[2], n, value=sides[0])
    absent = np.any(without, axis=0)
    none = np.all([a.reason != HAS_NUMBER for a in areas], axis=0)
    return found.replaced(absent, "absent_class").replaced(none, "one_class").replaced(n == 0, "no_rows")


def _top(baseline: Baseline, scoring: Scoring, grid: str, part: Part, name: str) -> dict[str, Values]:
    """Share of rows whose label's score is among the k highest, of k below the number of classes. Ranks that are not
    told apart (values new to a baseline's coarse grid) may be among them: the upper bound."""
    column = baseline.by_name.get(rank_column(scoring.label))
    table = part.tables.get((name, rank_column(scoring.label)))
    if column is None or table is None:
        return {}
    groups = len(part.groups[name])
    texts, group, at, count = entries_of(column, grid, table)
    rank = np.array([*(int(t) if t.isdigit() else len(scoring.classes) for t in texts), -1], dtype=np.int64)[at]
    found = {}
    rows = np.zeros(groups, dtype=np.int64)
    np.add.at(rows, group, count)
    some = np.where(rows > 0, rows, 1)
    for k in TOP_PLACES:
        if k >= len(scoring.classes):
            continue
        least, most = np.zeros(groups, dtype=np.int64), np.zeros(groups, dtype=np.int64)
        np.add.at(least, group[(rank >= 0) & (rank < k)], count[(rank >= 0) & (rank < k)])
        np.add.at(most, group[rank < k], count[rank < k])
        value = least / some
        exact = bool((least == most).all())
        own = Values.exact(value, rows) if exact else Values.between(value, most / some, rows, value=value)
        found[f"top_{k}_accuracy"] = own.replaced(rows == 0, "no_rows")
    return found


def _losses(baseline: Baseline, scoring: Scoring, grid: str, part: Part, name: str) -> dict[str, Values]:
    """Log-loss of the score of the label, and the Brier score over all classes."""
    crossed = Labelled.of(part, name)
    assert crossed is not None
    groups = crossed.groups
    loss = [np.zeros(groups) for _ in range(3)]
    brier = [np.zeros(groups) for _ in range(3)]
    rows, fine = np.zeros(groups, dtype=np.int64), np.ones(groups, dtype=bool)
    most = np.zeros(groups, dtype=np.int64)
    for score, text in zip(scoring.scores, scoring.classes, strict=True):
        column = baseline.by_name[score]
        table = part.tables[(LABELLED_PREFIX + name, score)]
        assert isinstance(column, NumericColumn)
        assert isinstance(table, NumericTable)
        positive = crossed.is_class(text)
        for begin, end in chunks_of_groups(crossed, table, slots_of(column, grid)):
            g = score_grids(column, grid, table, crossed, positive, begin, end, scoring.threshold)
            own, alone, here = scored.brier(g), scored.log_loss(g.of_positives()), slice(begin, end)
            fine[here] &= g.probabilities
            rows[here] += g.p
            most[here] = np.maximum(most[here], g.rows)
            for i, side in enumerate(("value", "lower", "upper")):
                brier[i][here] += np.nan_to_num(getattr(own, side))
                loss[i][here] += np.nan_to_num(getattr(alone, side)) * g.p
    some = np.where(rows > 0, rows, 1)
    found = {
        "log_loss_classes": Values.between(loss[1] / some, loss[2] / some, rows, value=loss[0] / some),
        "brier_classes": Values.between(brier[1], brier[2], most, value=brier[0]),
    }
    return {k: v.replaced(~fine, "no_probabilities").replaced(rows == 0, "no_rows") for k, v in found.items()}
