"""Performance of scores beside their labels, by scikit-learn's definitions.

Labels are (n,) or (n, columns); one column of labels may stand beside several columns of scores. A row without a label
or without a score (null or NaN) is left out and counted as missing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from modelwatch_gpu.errors import InputError
from modelwatch_gpu.measures import calibration, proportions
from modelwatch_gpu.measures import performance as tables
from modelwatch_gpu.measures.value import Value
from modelwatch_gpu.stats.grouped import distinct_weights, resolve_labelled, scores_by_label
from modelwatch_gpu.stats.labelled import Weights
from modelwatch_gpu.stats.multiclass import of_several, several
from modelwatch_gpu.stats.result import ColumnResult, checked, over_pairs

Floats = npt.NDArray[np.float64]
_NAMES: Final = ("labels", "scores")


def roc_auc(
    labels: Any,
    scores: Any,
    *,
    positive: Any = None,
    classes: Any = None,
    average: str = "macro",
    multi_class: str = "ovr",
    weights: Any = None,
    device: str = "auto",
    threads: int = 0,
    full: bool = False,
) -> Any:
    """Area under the ROC curve, 0 to 1: P(positive scores higher) + half of P(equal), exact without weights.

    Args:
        labels: (n,) of two classes: 0 and 1, -1 and 1, booleans, or any two values with ``positive``.
        scores: (n,) or (n, columns), higher for the positive class. With ``classes``, of one model with several
            classes: (n, K), or K columns as a list or a table; or {class: column}, which names them.
        positive: The positive class; default 1 or True.
        classes: The (K,) classes of the columns of scores.
        average: Of several classes "macro", the mean; "weighted" by labels; or "micro", of all classes' scores pooled.
        multi_class: "ovr", each class against the rest; "ovo", the mean over pairs of classes (Hand and Till 2001).
        weights: (n,) weights of rows, finite and not negative.
        device: "auto" (where the arrays lie), "cpu", "cuda" or "cuda:N"; of several classes
            the CPU counts weights.
        threads: Of no effect: scores are sorted.
        full: Return a ColumnResult (or a tuple of them) instead of a float (or a (columns,) float64 array); a
            MulticlassResult of several classes.

    Raises:
        InputError: All labels are of one class, there are more than two without ``classes``, or rows do not match.
    """
    if of_several(scores, classes):
        _no_positive(positive)
        return several(
            "roc_auc", labels, scores, classes, weights, device, full, average=average, multi_class=multi_class
        )
    return _scored("roc_auc", labels, scores, positive, weights, device, full, probability=False)


def average_precision(
    labels: Any,
    scores: Any,
    *,
    positive: Any = None,
    weights: Any = None,
    device: str = "auto",
    threads: int = 0,
    full: bool = False,
) -> Any:
    """Average precision, 0 to 1: precision at each distinct score from the top, weighted by the recall gained.
    Arguments as for ``roc_auc``. No number without a positive label."""
    return _scored("average_precision", labels, scores, positive, weights, device, full, probability=False)


def log_loss(
    labels: Any,
    scores: Any,
    *,
    positive: Any = None,
    classes: Any = None,
    weights: Any = None,
    device: str = "auto",
    threads: int = 0,
    full: bool = False,
) -> Any:
    """Mean negative log-likelihood in nats, from 0; scores are probabilities, kept a machine epsilon of their type
    away from 0 and 1. Arguments as for ``roc_auc``; one class will do. Of several classes: of the label's score."""
    if of_several(scores, classes):
        _no_positive(positive)
        return several("log_loss", labels, scores, classes, weights, device, full)
    return _scored("log_loss", labels, scores, positive, weights, device, full, probability=True)


def brier(
    labels: Any,
    scores: Any,
    *,
    positive: Any = None,
    classes: Any = None,
    weights: Any = None,
    device: str = "auto",
    threads: int = 0,
    full: bool = False,
) -> Any:
    """Mean of (probability - label)^2, 0 to 1. Arguments as for ``roc_auc``; one class will do. Of several classes: the
    sum of these over the classes, 0 to 2."""
    if of_several(scores, classes):
        _no_positive(positive)
        return several("brier", labels, scores, classes, weights, device, full)
    return _scored("brier", labels, scores, positive, weights, device, full, probability=True)


def ece(
    labels: Any,
    scores: Any,
    *,
    positive: Any = None,
    weights: Any = None,
    device: str = "auto",
    threads: int = 0,
    full: bool = False,
) -> Any:
    """Expected calibration error, 0 to 1: over 10 equal bins (a, b] of the probability, the mean of |share of positives
    - mean probability| weighted by rows. Arguments as for ``roc_auc``; one class will do."""
    return _scored("ece", labels, scores, positive, weights, device, full, probability=True)


def gini(
    labels: Any,
    scores: Any,
    *,
    positive: Any = None,
    weights: Any = None,
    device: str = "auto",
    threads: int = 0,
    full: bool = False,
) -> Any:
    """Gini coefficient of scores, 2 ``roc_auc`` - 1, -1 to 1. Arguments as for ``roc_auc`` of two classes."""
    return _scored("gini", labels, scores, positive, weights, device, full, probability=False)


def score_separation(
    labels: Any,
    scores: Any,
    *,
    positive: Any = None,
    weights: Any = None,
    device: str = "auto",
    threads: int = 0,
    full: bool = False,
) -> Any:
    """The Kolmogorov-Smirnov statistic of a classifier, 0 to 1: the distance between the scores of positives and those
    of negatives, which is the largest |TPR - FPR|; exact without weights. Arguments as for ``roc_auc`` of two
    classes."""
    return _scored("score_separation", labels, scores, positive, weights, device, full, probability=False)


def cumulative_gain(
    labels: Any,
    scores: Any,
    *,
    share: float = 0.1,
    positive: Any = None,
    weights: Any = None,
    device: str = "auto",
    threads: int = 0,
    full: bool = False,
) -> Any:
    """Share of all positives that are among the ``share`` of rows with the highest scores, 0 to 1.

    Rows of equal score at the cut are taken in proportion; ``lower`` and ``upper`` of the full result are what the
    worst and the best order of them give. Arguments as for ``roc_auc`` of two classes. No number without a positive
    label.
    """
    return _of_top("cumulative_gain", labels, scores, share, positive, weights, device, full)


def lift(
    labels: Any,
    scores: Any,
    *,
    share: float = 0.1,
    positive: Any = None,
    weights: Any = None,
    device: str = "auto",
    threads: int = 0,
    full: bool = False,
) -> Any:
    """Share of positives among the ``share`` of rows with the highest scores, over their share among all rows: 1 where
    scores are of no use. Ties, arguments and errors as for ``cumulative_gain``."""
    return _of_top("lift", labels, scores, share, positive, weights, device, full)


def _of_top(
    name: str, labels: Any, scores: Any, share: float, positive: Any, weights: Any, device: str, full: bool
) -> Any:
    if not 0 < share <= 1:
        raise InputError(f"share={share} must be above 0 and at most 1.")
    formula = getattr(tables, name)
    return _scored(
        name, labels, scores, positive, weights, device, full, probability=False, measure=lambda t: formula(t, share)
    )


@dataclass(frozen=True, eq=False)
class CalibrationCurve:
    """The bins of the probability that hold rows, (B,) each. ``low``, ``high``: bins (a, b], the first closed.
    ``rows``: counts, or sums of weights. ``mean_score``; ``share_positive`` with Wilson's interval ``lower`` to
    ``upper``, of rows taken as independent. ``n`` rows took part, ``missing`` did not; ``device``: what answered."""

    low: Floats
    high: Floats
    rows: npt.NDArray[Any]
    mean_score: Floats
    share_positive: Floats
    lower: Floats
    upper: Floats
    n: int
    missing: int
    device: str


def calibration_curve(
    labels: Any,
    scores: Any,
    *,
    bins: int = 10,
    strategy: str = "uniform",
    confidence: float = 0.95,
    positive: Any = None,
    weights: Any = None,
    device: str = "auto",
    threads: int = 0,
) -> Any:
    """Mean probability and share of positives in bins of the probability.

    Args:
        labels, scores, positive, weights: As for ``roc_auc`` of two classes; scores are probabilities.
        bins: How many, 1 to 10,000; empty ones are left out.
        strategy: "uniform": equal bins of 0 to 1. "quantile": cut at quantiles of the scores, by linear interpolation
            (of weights, at the smallest score with at least the share); equal edges are one.
        confidence: Of the intervals; rows with weights count as Kish's effective rows.
        device: "auto" (where the arrays lie), "cpu", "cuda" or "cuda:N".
        threads: Of no effect: scores are sorted.

    Returns:
        A CalibrationCurve; of several columns of scores a tuple of them.

    Raises:
        InputError: As for ``roc_auc``, or scores are not between 0 and 1.
    """
    chosen = resolve_labelled(device, labels, scores, weights, weighs=True)
    if isinstance(bins, bool) or not isinstance(bins, (int, np.integer)) or not 1 <= bins <= 10_000:
        raise InputError(f"bins={bins!r} must be a whole number from 1 to 10,000.")
    if strategy not in calibration.STRATEGIES:
        raise InputError(f"strategy='{strategy}' is unknown; use 'uniform' or 'quantile'.")
    checked_confidence(confidence)

    def one(a: pa.Array, b: pa.Array) -> CalibrationCurve:
        own, counts = distinct_weights(weights, len(a), chosen)
        table, rows = scores_by_label(a, b, positive, weights, chosen, probability=True)
        if not (table.positives.sum() + table.negatives.sum()):
            raise InputError(f"calibration_curve has no answer: {tables.REASONS['no_rows']}")
        uniform = strategy == "uniform"
        edges = calibration.uniform_edges(bins) if uniform else calibration.quantile_edges(table, bins)
        found = calibration.bins_of(table, edges)
        assert found is not None
        worth = found.rows * per_weight(own, counts)
        ends = proportions.wilson(found.share_positive * worth, worth, confidence)
        return CalibrationCurve(
            found.low,
            found.high,
            found.rows,
            found.mean_score,
            found.share_positive,
            *ends,
            n=rows,
            missing=len(a) - rows,
            device=chosen,
        )

    return over_pairs(labels, scores, one, full=True, names=_NAMES, shared=True)


def checked_confidence(confidence: float) -> None:
    """Raises InputError where a confidence is not between 0 and 1."""
    if not 0 < confidence < 1:
        raise InputError(f"confidence={confidence} must be between 0 and 1.")


def per_weight(weights: Weights, counts: npt.NDArray[np.int64] | None = None) -> float:
    """How many independent rows one unit of weight is worth, SUM w / SUM w^2 (Kish 1965). ``counts``: how many rows
    have each weight, None for one each."""
    if weights is None:
        return 1.0
    scale = weights.max()  # squares of tiny weights would be 0
    part = weights / scale
    mass, squares = (part, np.square(part)) if counts is None else (part * counts, np.square(part) * counts)
    return float(mass.sum() / squares.sum() / scale)


def _no_positive(positive: Any) -> None:
    if positive is not None:
        raise InputError("positive= names one of two classes; with classes= every class takes part.")


def _scored(
    name: str,
    labels: Any,
    scores: Any,
    positive: Any,
    weights: Any,
    device: str,
    full: bool,
    *,
    probability: bool,
    measure: Callable[[tables.ScoreTable], Value] | None = None,
) -> Any:
    chosen = resolve_labelled(device, labels, scores, weights, weighs=True)
    formula = measure or getattr(calibration if name == "ece" else tables, name)

    def one(a: pa.Array, b: pa.Array) -> ColumnResult:
        table, rows = scores_by_label(a, b, positive, weights, chosen, probability=probability)
        value, lower, upper = checked(formula(table), name, tables.REASONS)
        return ColumnResult(value, rows, len(a) - rows, chosen, lower, upper)

    return over_pairs(labels, scores, one, full=full, names=_NAMES, shared=True)
