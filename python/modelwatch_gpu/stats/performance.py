"""Performance of scores, classes and numbers beside their labels, by scikit-learn's definitions.

Labels are (n,) or (n, columns); one column of labels may stand beside several columns of predictions. A row without a
label or without a prediction (null or NaN) is left out and counted as missing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
import pyarrow as pa

from modelwatch_gpu.device import resolve
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.measures import performance as tables
from modelwatch_gpu.measures.value import Value
from modelwatch_gpu.stats.labelled import classes_of, score_table, weights_of
from modelwatch_gpu.stats.result import ColumnResult, checked, over_pairs


@dataclass(frozen=True, eq=False)
class Confusion:
    """``classes``: (K,) sorted; ``counts``: (K, K), labels down, predictions across, int64 or sums of weights; ``n``
    rows took part, ``missing`` did not; ``device``: what answered."""

    classes: tuple[Any, ...]
    counts: npt.NDArray[Any]
    n: int
    missing: int
    device: str


def roc_auc(
    labels: Any,
    scores: Any,
    *,
    positive: Any = None,
    weights: Any = None,
    device: str = "auto",
    threads: int = 0,
    full: bool = False,
) -> Any:
    """Area under the ROC curve, 0 to 1: P(positive scores higher) + half of P(equal), exact without weights.

    Args:
        labels: (n,) of two classes: 0 and 1, -1 and 1, booleans, or any two values with ``positive``.
        scores: (n,) or (n, columns), higher for the positive class.
        positive: The positive class; default 1 or True.
        weights: (n,) weights of rows, finite and not negative.
        device: "auto" or "cpu".
        threads: Of no effect: scores are sorted.
        full: Return a ColumnResult (or a tuple of them) instead of a float (or a (columns,) float64 array).

    Raises:
        InputError: All labels are of one class, there are more than two, or rows do not match.
    """
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
    weights: Any = None,
    device: str = "auto",
    threads: int = 0,
    full: bool = False,
) -> Any:
    """Mean negative log-likelihood in nats, from 0; scores are probabilities, kept a machine epsilon of their type
    away from 0 and 1. Arguments as for ``roc_auc``; one class will do."""
    return _scored("log_loss", labels, scores, positive, weights, device, full, probability=True)


def brier(
    labels: Any,
    scores: Any,
    *,
    positive: Any = None,
    weights: Any = None,
    device: str = "auto",
    threads: int = 0,
    full: bool = False,
) -> Any:
    """Mean of (probability - label)^2, 0 to 1. Arguments as for ``roc_auc``; one class will do."""
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
) -> Any:
    chosen = resolve(device)
    measure: Callable[[tables.ScoreTable], Value] = getattr(tables, name)

    def one(a: pa.Array, b: pa.Array) -> ColumnResult:
        table, rows = score_table(a, b, positive, weights_of(weights, len(a)), probability=probability)
        return ColumnResult(checked(measure(table), name, tables.REASONS)[0], rows, len(a) - rows, chosen)

    return over_pairs(labels, scores, one, full=full, names=("labels", "scores"), shared=True)


def accuracy(
    labels: Any,
    predictions: Any,
    *,
    weights: Any = None,
    device: str = "auto",
    threads: int = 0,
    full: bool = False,
) -> Any:
    """Share of rows whose predicted class is the label, 0 to 1.

    Args:
        labels, predictions: (n,), predictions also (n, columns): text, booleans or whole numbers.
        weights: (n,) weights of rows, finite and not negative.
        device: "auto" or "cpu".
        threads: Of no effect.
        full: Return a ColumnResult (or a tuple of them) instead of a float (or a (columns,) float64 array).

    Raises:
        InputError: No row has both, types or rows do not match.
    """
    return _classified("accuracy", labels, predictions, weights, device, full, lambda table, _: tables.accuracy(table))


def precision(
    labels: Any,
    predictions: Any,
    *,
    average: str = "binary",
    positive: Any = None,
    zero_division: float | None = None,
    weights: Any = None,
    device: str = "auto",
    threads: int = 0,
    full: bool = False,
) -> Any:
    """TP / (TP + FP), 0 to 1.

    Args:
        labels, predictions: (n,), predictions also (n, columns): text, booleans or whole numbers.
        average: "binary": of the class ``positive``, by default 1 or True. Of several classes each is the positive one
            in turn, over all that occur in labels or predictions: "macro" takes the mean, "weighted" the mean weighted
            by labels of the class, "micro" adds the counts first.
        positive: The positive class of ``average="binary"``.
        zero_division: What 0 / 0 is. None: an error, and 0 for a class within "macro" and "weighted".
        weights, device, threads, full: As for ``accuracy``.

    Raises:
        InputError: Nothing is predicted positive, more than two classes, or types or rows do not match.
    """
    return _ratio("precision", labels, predictions, average, positive, zero_division, weights, device, full)


def recall(
    labels: Any,
    predictions: Any,
    *,
    average: str = "binary",
    positive: Any = None,
    zero_division: float | None = None,
    weights: Any = None,
    device: str = "auto",
    threads: int = 0,
    full: bool = False,
) -> Any:
    """TP / (TP + FN), 0 to 1. Arguments as for ``precision``; no number without a positive label."""
    return _ratio("recall", labels, predictions, average, positive, zero_division, weights, device, full)


def specificity(
    labels: Any,
    predictions: Any,
    *,
    average: str = "binary",
    positive: Any = None,
    zero_division: float | None = None,
    weights: Any = None,
    device: str = "auto",
    threads: int = 0,
    full: bool = False,
) -> Any:
    """TN / (TN + FP), 0 to 1. Arguments as for ``precision``; no number without a negative label."""
    return _ratio("specificity", labels, predictions, average, positive, zero_division, weights, device, full)


def f1(
    labels: Any,
    predictions: Any,
    *,
    average: str = "binary",
    positive: Any = None,
    zero_division: float | None = None,
    weights: Any = None,
    device: str = "auto",
    threads: int = 0,
    full: bool = False,
) -> Any:
    """2 TP / (2 TP + FP + FN), 0 to 1: the harmonic mean of precision and recall. Arguments as for ``precision``; no
    number where neither a label nor a prediction is positive."""
    return _ratio("f1", labels, predictions, average, positive, zero_division, weights, device, full)


def _ratio(
    name: str,
    labels: Any,
    predictions: Any,
    average: str,
    positive: Any,
    zero_division: float | None,
    weights: Any,
    device: str,
    full: bool,
) -> Any:
    if average not in tables.AVERAGES:
        raise InputError(f"average='{average}' is unknown; use {', '.join(repr(a) for a in tables.AVERAGES)}.")
    if average != "binary" and positive is not None:
        raise InputError(f"positive= names a class for average='binary'; with '{average}' every class takes part.")

    def one(table: npt.NDArray[Any], classes: Any) -> Value:
        number = None
        if average == "binary":
            if len(classes.values) > 2 and positive is None:
                raise InputError(
                    f"there are {len(classes.values)} classes; give average='macro', 'micro' or 'weighted', or one of "
                    "the classes as positive=."
                )
            number = classes.number_of(positive)
        return tables.class_ratio(name, table, average, number, zero_division)

    return _classified(name, labels, predictions, weights, device, full, one)


def _classified(
    name: str,
    labels: Any,
    predictions: Any,
    weights: Any,
    device: str,
    full: bool,
    measure: Callable[[npt.NDArray[Any], Any], Value],
) -> Any:
    chosen = resolve(device)

    def one(a: pa.Array, b: pa.Array) -> ColumnResult:
        classes = classes_of(a, b)
        value = measure(classes.table(weights_of(weights, len(a))), classes)
        rows = len(classes.labels)
        return ColumnResult(checked(value, name, tables.REASONS)[0], rows, len(a) - rows, chosen)

    return over_pairs(labels, predictions, one, full=full, names=("labels", "predictions"), shared=True)


def confusion(
    labels: Any,
    predictions: Any,
    *,
    weights: Any = None,
    device: str = "auto",
    threads: int = 0,
    full: bool = False,
) -> Any:
    """Rows of every label (down) and prediction (across), classes sorted, as ``sklearn.metrics.confusion_matrix``.

    Arguments as for ``accuracy``. Returns (K, K) int64 (float64 with weights), or with ``full=True`` a Confusion, which
    also names the classes; of several columns of predictions a tuple of these.
    """
    chosen = resolve(device)

    def one(a: pa.Array, b: pa.Array) -> Confusion:
        classes = classes_of(a, b)
        rows = len(classes.labels)
        table = classes.table(weights_of(weights, len(a)))
        return Confusion(tuple(classes.values), table, rows, len(a) - rows, chosen)

    found = over_pairs(labels, predictions, one, full=True, names=("labels", "predictions"), shared=True)
    if full:
        return found
    return tuple(c.counts for c in found) if isinstance(found, tuple) else found.counts
