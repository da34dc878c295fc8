"""Two classes told apart by a threshold: a row is predicted positive where its score is at or above it.

Thresholds and scores are compared exactly: a float32 score is not rounded to meet a threshold, nor a whole number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from modelwatch_gpu.errors import InputError
from modelwatch_gpu.measures import thresholds as tables
from modelwatch_gpu.measures.classes import ratios
from modelwatch_gpu.measures.performance import REASONS
from modelwatch_gpu.stats.classes import cost_matrix
from modelwatch_gpu.stats.grouped import resolve_labelled, scores_by_label
from modelwatch_gpu.stats.result import over_pairs

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ThresholdTable:
    """What happens at thresholds, (T,) each. ``thresholds``; ``tp``, ``fp``, ``fn``, ``tn``: rows, or sums of weights.
    ``n`` rows took part, ``missing`` did not; ``device``: what answered. The ratios are NaN where they are 0 / 0."""

    thresholds: npt.NDArray[Any]
    tp: npt.NDArray[Any]
    fp: npt.NDArray[Any]
    fn: npt.NDArray[Any]
    tn: npt.NDArray[Any]
    n: int
    missing: int
    device: str

    def _ratio(self, name: str) -> Floats:
        found, none = ratios(name, np.stack([self.tp, self.fp, self.fn, self.tn]))
        return np.where(none, np.nan, found)

    @property
    def precision(self) -> Floats:
        """TP / (TP + FP)."""
        return self._ratio("precision")

    @property
    def recall(self) -> Floats:
        """TP / (TP + FN), the true positive rate."""
        return self._ratio("recall")

    @property
    def specificity(self) -> Floats:
        """TN / (TN + FP)."""
        return self._ratio("specificity")

    @property
    def false_positive_rate(self) -> Floats:
        """FP / (FP + TN)."""
        return self._ratio("false_positive_rate")

    @property
    def f1(self) -> Floats:
        """2 TP / (2 TP + FP + FN)."""
        return self._ratio("f1")

    @property
    def selection_rate(self) -> Floats:
        """(TP + FP) / rows."""
        return self._ratio("selection_rate")


def threshold_table(
    labels: Any,
    scores: Any,
    *,
    thresholds: Any = None,
    positive: Any = None,
    weights: Any = None,
    device: str = "auto",
    threads: int = 0,
) -> Any:
    """The confusion of two classes at thresholds.

    Args:
        labels, scores, positive, weights: As for ``roc_auc`` of two classes; scores are any numbers.
        thresholds: A number or (T,) numbers, in any order; default every distinct score, from the highest down.
        device: "auto" (where the arrays lie), "cpu", "cuda" or "cuda:N".
        threads: Of no effect: scores are sorted.

    Returns:
        A ThresholdTable; of several columns of scores a tuple of them.

    Raises:
        InputError: No row has both, a threshold is not a number, or rows do not match.
    """
    chosen = resolve_labelled(device, labels, scores, weights, weighs=True)
    wanted = None if thresholds is None else _numbers(thresholds)

    def one(a: pa.Array, b: pa.Array) -> ThresholdTable:
        table, rows = scores_by_label(a, b, positive, weights, chosen, probability=False)
        if not (table.positives.sum() + table.negatives.sum()):
            raise InputError(f"threshold_table has no answer: {REASONS['no_rows']}")
        sweep = tables.every(table) if wanted is None else tables.at(table, wanted)
        tp, fp, fn, tn = sweep.counts
        return ThresholdTable(sweep.thresholds, tp, fp, fn, tn, rows, len(a) - rows, chosen)

    return over_pairs(labels, scores, one, full=True, names=("labels", "scores"), shared=True)


def _numbers(thresholds: Any) -> Floats:
    try:
        wanted = np.atleast_1d(np.asarray(thresholds, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise InputError("thresholds must be numbers.") from error
    if wanted.ndim != 1 or np.isnan(wanted).any():
        raise InputError("thresholds must be numbers, one or a list of them, without NaN.")
    return wanted


@dataclass(frozen=True)
class BestThreshold:
    """``value``: the threshold; inf where it is best to predict nothing. ``criterion``: F1, TPR - FPR or the mean cost
    there; ``tp``, ``fp``, ``fn``, ``tn``: rows, or sums of weights. ``n`` rows took part, ``missing`` did not;
    ``device``: what answered."""

    value: float
    criterion: float
    tp: float
    fp: float
    fn: float
    tn: float
    n: int
    missing: int
    device: str


def best_threshold(
    labels: Any,
    scores: Any,
    *,
    by: str = "f1",
    cost: Any = None,
    positive: Any = None,
    weights: Any = None,
    device: str = "auto",
    threads: int = 0,
    full: bool = False,
) -> Any:
    """The score from which on rows are best predicted positive: one of the scores, or inf.

    Args:
        labels, scores, positive, weights: As for ``roc_auc`` of two classes; scores are any numbers.
        by: "f1", the largest F1; "youden", the largest TPR - FPR (Youden's J); "cost", the smallest mean cost. Of
            equally good thresholds the highest is taken, which predicts the fewest rows positive.
        cost: With "cost", [[TN, FP], [FN, TP]]: what a row of each kind costs; gains are negative.
        device: "auto" (where the arrays lie), "cpu", "cuda" or "cuda:N".
        threads: Of no effect: scores are sorted.
        full: Return a BestThreshold (or a tuple of them) instead of a float (or a (columns,) float64 array).

    Raises:
        InputError: A class that the criterion needs has no label, or rows do not match.
    """
    chosen = resolve_labelled(device, labels, scores, weights, weighs=True)
    if by not in tables.CRITERIA:
        raise InputError(f"by='{by}' is unknown; use {', '.join(repr(c) for c in tables.CRITERIA)}.")
    if (cost is not None) != (by == "cost"):
        raise InputError("cost= goes with by='cost', and by='cost' with cost=.")
    costs = None if cost is None else cost_matrix(cost)
    if costs is not None and len(costs) != 2:
        raise InputError("cost must be [[TN, FP], [FN, TP]].")

    def one(a: pa.Array, b: pa.Array) -> BestThreshold:
        table, rows = scores_by_label(a, b, positive, weights, chosen, probability=False)
        found = tables.best(table, by, costs)
        if isinstance(found, str):
            raise InputError(f"best_threshold has no answer: {REASONS[found]}")
        tp, fp, fn, tn = found.counts.tolist()
        return BestThreshold(found.threshold, found.criterion, tp, fp, fn, tn, rows, len(a) - rows, chosen)

    return over_pairs(labels, scores, one, full=full, names=("labels", "scores"), shared=True)
