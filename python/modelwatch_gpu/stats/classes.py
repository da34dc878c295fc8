"""Performance of predicted classes beside their labels, by scikit-learn's definitions.

Labels are (n,) or (n, columns); one column of labels may stand beside several columns of predictions. A row without a
label or without a prediction (null or NaN) is left out and counted as missing. Classes of one run are all that occur in
labels or predictions, sorted: numbers, dates and times by size, text and bytes by code points.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from modelwatch_gpu.errors import InputError
from modelwatch_gpu.measures import classes as tables
from modelwatch_gpu.measures.performance import REASONS
from modelwatch_gpu.measures.value import Value
from modelwatch_gpu.stats.grouped import classes_by_label, resolve_labelled
from modelwatch_gpu.stats.labelled import Classes, CountedClasses
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
        device: "auto" (where the arrays lie), "cpu", "cuda" or "cuda:N".
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


def fbeta(
    labels: Any,
    predictions: Any,
    *,
    beta: float = 1.0,
    average: str = "binary",
    positive: Any = None,
    zero_division: float | None = None,
    weights: Any = None,
    device: str = "auto",
    threads: int = 0,
    full: bool = False,
) -> Any:
    """(1 + b^2) TP / ((1 + b^2) TP + FP + b^2 FN), 0 to 1: a mean of precision and recall in which recall counts
    ``beta`` times as much. Arguments as for ``precision``; ``beta`` is finite and not negative. No number as for
    ``f1``.
    """
    if not (math.isfinite(beta) and beta >= 0):
        raise InputError(f"beta={beta} must be finite and not negative.")
    return _ratio("fbeta", labels, predictions, average, positive, zero_division, weights, device, full, beta)


def false_positive_rate(
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
    """FP / (FP + TN), 0 to 1: 1 - specificity. Arguments as for ``precision``; no number without a negative label."""
    return _ratio("false_positive_rate", labels, predictions, average, positive, zero_division, weights, device, full)


def false_negative_rate(
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
    """FN / (FN + TP), 0 to 1: 1 - recall. Arguments as for ``precision``; no number without a positive label."""
    return _ratio("false_negative_rate", labels, predictions, average, positive, zero_division, weights, device, full)


def negative_predictive_value(
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
    """TN / (TN + FN), 0 to 1: the precision of negatives. Arguments as for ``precision``; no number where no row is
    predicted negative."""
    return _ratio(
        "negative_predictive_value", labels, predictions, average, positive, zero_division, weights, device, full
    )


def balanced_accuracy(
    labels: Any,
    predictions: Any,
    *,
    adjusted: bool = False,
    weights: Any = None,
    device: str = "auto",
    threads: int = 0,
    full: bool = False,
) -> Any:
    """Mean recall over the classes that have labels, 0 to 1.

    Args:
        labels, predictions, weights, device, threads, full: As for ``accuracy``.
        adjusted: Moved and scaled, so that predicting by chance is 0 and being right is 1; it can be negative.
    """
    return _classified(
        "balanced_accuracy",
        labels,
        predictions,
        weights,
        device,
        full,
        lambda table, _: tables.balanced_accuracy(table, adjusted=adjusted),
    )


def mcc(
    labels: Any,
    predictions: Any,
    *,
    zero_division: float | None = None,
    weights: Any = None,
    device: str = "auto",
    threads: int = 0,
    full: bool = False,
) -> Any:
    """Matthews' correlation coefficient, -1 to 1, of two classes or more (Gorodkin 2004). Arguments as for
    ``accuracy``. Where all labels, or all predictions, are of one class it is ``zero_division``; None: no number."""
    return _classified(
        "mcc", labels, predictions, weights, device, full, lambda table, _: tables.mcc(table, zero_division)
    )


def cohen_kappa(
    labels: Any,
    predictions: Any,
    *,
    weighting: str | None = None,
    weights: Any = None,
    device: str = "auto",
    threads: int = 0,
    full: bool = False,
) -> Any:
    """Cohen's kappa, at most 1: how much more often the sides agree than independent ones would.

    Args:
        labels, predictions, weights, device, threads, full: As for ``accuracy``.
        weighting: None: two classes are equal or not. "linear", "quadratic": they disagree by the distance of their
            places in the sorted classes, or by its square.
    """
    if weighting is not None and weighting not in tables.WEIGHTINGS:
        raise InputError(f"weighting='{weighting}' is unknown; use None, 'linear' or 'quadratic'.")
    return _classified(
        "cohen_kappa", labels, predictions, weights, device, full, lambda table, _: tables.cohen_kappa(table, weighting)
    )


def expected_cost(
    labels: Any,
    predictions: Any,
    *,
    cost: Any,
    classes: Any = None,
    weights: Any = None,
    device: str = "auto",
    threads: int = 0,
    full: bool = False,
) -> Any:
    """Mean cost of a row, in the unit of the costs.

    Args:
        labels, predictions, weights, device, threads, full: As for ``accuracy``.
        cost: (K, K) finite numbers by label (down) and prediction (across), as ``confusion`` has them: of two classes
            [[TN, FP], [FN, TP]]. Negative ones are gains.
        classes: The (K,) classes in the order of ``cost``; default those that occur, sorted, or 0 and 1 where there are
            no others.
    """
    costs = cost_matrix(cost)

    def one(table: npt.NDArray[Any], found: Classes | CountedClasses) -> Value:
        place = places_of(found.values, classes, len(costs))
        return tables.expected_cost(table, costs[np.ix_(place, place)])

    return _classified("expected_cost", labels, predictions, weights, device, full, one)


def cost_matrix(cost: Any) -> npt.NDArray[np.float64]:
    """(K, K) float64; raises InputError where it is not square and finite."""
    try:
        costs = np.asarray(cost, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError("cost must be a square of numbers, labels down and predictions across.") from error
    if costs.ndim != 2 or costs.shape[0] != costs.shape[1] or not np.isfinite(costs).all():
        raise InputError("cost must be a square of finite numbers, labels down and predictions across.")
    return costs


def places_of(found: list[Any], classes: Any, size: int) -> list[int]:
    """Where the classes that occur stand among ``size`` classes, named or by default."""
    listed = None if classes is None else list(classes)
    if listed is None:
        pairs = ([0, 1], [-1, 1]) if size == 2 else ()
        listed = next((pair for pair in pairs if {*found} <= {*pair}), found)
    if len(listed) != size or len({*listed}) != size:
        shown = ", ".join(repr(v) for v in listed[:5])
        raise InputError(f"cost is for {size} classes, and they are {shown}; name each once with classes=.")
    strangers = [v for v in found if v not in listed]
    if strangers:
        raise InputError(f"class {strangers[0]!r} occurs and is not among classes=.")
    return [listed.index(v) for v in found]


@dataclass(frozen=True, eq=False)
class ClassificationReport:
    """Every class as the positive one in turn, (K,) each. ``classes``: sorted; ``support``: labels, or their weight;
    ``n`` rows took part, ``missing`` did not; ``device``: what answered."""

    classes: tuple[Any, ...]
    precision: npt.NDArray[np.float64]
    recall: npt.NDArray[np.float64]
    specificity: npt.NDArray[np.float64]
    f1: npt.NDArray[np.float64]
    support: npt.NDArray[Any]
    n: int
    missing: int
    device: str


def classification_report(
    labels: Any,
    predictions: Any,
    *,
    zero_division: float = 0.0,
    weights: Any = None,
    device: str = "auto",
    threads: int = 0,
) -> Any:
    """Precision, recall, specificity and F1 of each class. Arguments as for ``accuracy``; 0 / 0 is ``zero_division``.

    Returns:
        A ClassificationReport; of several columns of predictions a tuple of them.
    """
    chosen = resolve_labelled(device, labels, predictions, weights, weighs=True)

    def one(a: pa.Array, b: pa.Array) -> ClassificationReport:
        classes = classes_by_label(a, b, chosen, weights)
        rows = classes.rows
        table = classes.table(weights)
        if not table.sum():
            raise InputError(f"classification_report has no answer: {REASONS['no_rows']}")
        r = tables.class_ratios(table, zero_division)
        return ClassificationReport(
            tuple(classes.values), r.precision, r.recall, r.specificity, r.f1, r.support, rows, len(a) - rows, chosen
        )

    return over_pairs(labels, predictions, one, full=True, names=("labels", "predictions"), shared=True)


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
    beta: float = 1.0,
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
        return tables.class_ratio(name, table, average, number, zero_division, beta)

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
    chosen = resolve_labelled(device, labels, predictions, weights, weighs=True)

    def one(a: pa.Array, b: pa.Array) -> ColumnResult:
        classes = classes_by_label(a, b, chosen, weights)
        value = measure(classes.table(weights), classes)
        rows = classes.rows
        return ColumnResult(checked(value, name, REASONS)[0], rows, len(a) - rows, chosen)

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
    chosen = resolve_labelled(device, labels, predictions, weights, weighs=True)

    def one(a: pa.Array, b: pa.Array) -> Confusion:
        classes = classes_by_label(a, b, chosen, weights)
        rows = classes.rows
        table = classes.table(weights)
        return Confusion(tuple(classes.values), table, rows, len(a) - rows, chosen)

    found = over_pairs(labels, predictions, one, full=True, names=("labels", "predictions"), shared=True)
    if full:
        return found
    return tuple(c.counts for c in found) if isinstance(found, tuple) else found.counts
