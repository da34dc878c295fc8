"""Performance of predicted classes, from the (K, K) table of labels (rows) and predictions (columns).

scikit-learn's definitions. The table holds counts (integers) or sums of weights (float64).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from modelwatch_gpu.measures.performance import Floats, Mass, total_of
from modelwatch_gpu.measures.value import Value

#: For each measure the numerator and what is added to it in the denominator, of (TP, FP, FN, TN), and why it is
#: undefined where both are 0.
_RATIOS: Final[dict[str, tuple[tuple[int, int, int, int], tuple[int, int, int, int], str]]] = {
    "precision": ((1, 0, 0, 0), (0, 1, 0, 0), "no_predicted_positives"),
    "recall": ((1, 0, 0, 0), (0, 0, 1, 0), "no_positives"),
    "specificity": ((0, 0, 0, 1), (0, 1, 0, 0), "no_negatives"),
    "f1": ((2, 0, 0, 0), (0, 1, 1, 0), "neither_positive"),
    "false_positive_rate": ((0, 1, 0, 0), (0, 0, 0, 1), "no_negatives"),
    "false_negative_rate": ((0, 0, 1, 0), (1, 0, 0, 0), "no_positives"),
    "negative_predictive_value": ((0, 0, 0, 1), (0, 0, 1, 0), "no_predicted_negatives"),
    "selection_rate": ((1, 1, 0, 0), (0, 0, 1, 1), "no_rows"),
}

#: How measures of several classes become one number.
AVERAGES: Final = ("binary", "macro", "micro", "weighted")
#: How far apart two classes are to ``cohen_kappa``.
WEIGHTINGS: Final = ("linear", "quadratic")


def accuracy(table: Mass) -> Value:
    """Share of rows on the diagonal."""
    total = total_of(table)
    if total == 0:
        return Value.absent("no_rows")
    return Value.exact(np.trace(table).item() / total, int(total))


def outcomes(table: Mass) -> Mass:
    """(4, K) TP, FP, FN and TN of each class as the positive one."""
    hits = np.diagonal(table)
    predicted, labelled = table.sum(axis=0), table.sum(axis=1)
    neither = table.sum() - predicted - labelled + hits
    if table.dtype.kind == "f":
        # Differences of sums of weights leave a rounding error where there is nothing: entries can be counted exactly.
        some = outcomes((table > 0).astype(np.int64))[3]
        neither = np.where(some > 0, np.maximum(neither, 0.0), 0.0)
    counts: Mass = np.stack([hits, predicted - hits, labelled - hits, neither])
    return counts


def coefficients(name: str, beta: float) -> tuple[npt.NDArray[Any], npt.NDArray[Any], str]:
    """What is counted of (TP, FP, FN, TN), what is added to it in the denominator, and why both may be 0."""
    if name == "fbeta":
        square = beta * beta
        return np.array([1 + square, 0, 0, 0]), np.array([0, 1, square, 0]), "neither_positive"
    up, more, reason = _RATIOS[name]
    return np.array(up), np.array(more), reason


def ratios(name: str, counts: Mass, beta: float = 1.0) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """A ratio of (4, K) outcomes, 0 where it is not defined, and (K,) where that is."""
    up, more, _ = coefficients(name, beta)
    above = up @ counts
    below = above + more @ counts
    none = below <= 0
    return np.where(none, 0.0, above / np.where(none, 1, below)), none


def class_ratio(
    name: str, table: Mass, average: str, positive: int | None, zero_division: float | None, beta: float = 1.0
) -> Value:
    """One of the ratios of outcomes: precision TP/(TP+FP), recall TP/(TP+FN), specificity TN/(TN+FP), f1 2TP/(2TP+FP+
    FN), fbeta (1+b^2)TP/((1+b^2)TP+FP+b^2 FN), false_positive_rate FP/(FP+TN), false_negative_rate FN/(FN+TP) or
    negative_predictive_value TN/(TN+FN).

    Args:
        average: "binary": of class number ``positive`` (None: a class that no row has). Else each class is the
            positive one in turn: "macro" takes the mean, "weighted" the mean weighted by the class's labels, "micro"
            adds the counts before dividing.
        zero_division: What 0 / 0 is. None: no number for "binary" and "micro", 0 within a mean.
    """
    total = total_of(table)
    if total == 0:
        return Value.absent("no_rows")
    counts = outcomes(table)
    if average == "binary":
        of = counts[:, [positive]] if positive is not None else np.array([[0], [0], [0], [total]])
    else:
        of = counts.sum(axis=1, keepdims=True) if average == "micro" else counts
    found, none = ratios(name, of, beta)
    found = np.where(none, zero_division or 0.0, found)
    if average in ("binary", "micro"):
        if none[0] and zero_division is None:
            return Value.absent(coefficients(name, beta)[2], int(total))
        return Value.exact(float(found[0]), int(total))
    value = np.mean(found) if average == "macro" else np.sum(found * table.sum(axis=1)) / total
    return Value.exact(float(value), int(total))


@dataclass(frozen=True, eq=False)
class ClassRatios:
    """(K,) precision, recall, specificity and F1 of each class as the positive one, and its labels."""

    precision: Floats
    recall: Floats
    specificity: Floats
    f1: Floats
    support: Mass


def class_ratios(table: Mass, zero_division: float) -> ClassRatios:
    """The ratios of every class; 0 / 0 is ``zero_division``."""
    counts = outcomes(table)

    def of(name: str) -> Floats:
        numbers, none = ratios(name, counts)
        return np.where(none, zero_division, numbers)

    return ClassRatios(of("precision"), of("recall"), of("specificity"), of("f1"), table.sum(axis=1))


def balanced_accuracy(table: Mass, *, adjusted: bool = False) -> Value:
    """Mean recall over the classes that have labels; ``adjusted``: moved and scaled so that chance is 0 and right is
    1."""
    total = total_of(table)
    if total == 0:
        return Value.absent("no_rows")
    labelled = table.sum(axis=1)
    some = labelled > 0
    value = np.mean(np.diagonal(table)[some] / labelled[some]).item()
    if adjusted:
        classes = int(np.count_nonzero(some))
        if classes == 1:
            return Value.absent("one_class", int(total))
        value = (value - 1 / classes) / (1 - 1 / classes)
    return Value.exact(value, int(total))


def mcc(table: Mass, zero_division: float | None = None) -> Value:
    """Matthews' correlation coefficient, -1 to 1; of several classes Gorodkin's R_K (2004): the correlation of the
    indicators of label and prediction. From counts all sums are exact."""
    total = total_of(table)
    if total == 0:
        return Value.absent("no_rows")
    labelled, predicted = table.sum(axis=1).tolist(), table.sum(axis=0).tolist()
    if sum(v > 0 for v in labelled) == 1 or sum(v > 0 for v in predicted) == 1:
        return (
            Value.absent("one_sided", int(total)) if zero_division is None else Value.exact(zero_division, int(total))
        )
    together = np.trace(table).item() * total - sum(a * b for a, b in zip(labelled, predicted, strict=True))
    own = [total * total - sum(v * v for v in side) for side in (labelled, predicted)]
    value = together / (math.sqrt(own[0]) * math.sqrt(own[1]))
    return Value.exact(min(1.0, max(-1.0, value)), int(total))


def cohen_kappa(table: Mass, weighting: str | None = None) -> Value:
    """Cohen's kappa, at most 1: 1 - (disagreement) / (disagreement of independent sides) (Cohen 1960). Classes disagree
    by 0 or 1, or by the distance of their places in the table ("linear"), or its square ("quadratic", Cohen 1968)."""
    total = total_of(table)
    if total == 0:
        return Value.absent("no_rows")
    labelled, predicted = table.sum(axis=1), table.sum(axis=0)
    if np.count_nonzero(labelled + predicted) == 1:
        return Value.absent("chance_agrees", int(total))
    places = np.arange(len(table), dtype=np.float64)
    apart = np.abs(places[:, None] - places)
    costs = (apart > 0).astype(np.float64) if weighting is None else apart if weighting == "linear" else apart**2
    by_chance = (labelled / total) @ costs @ predicted
    return Value.exact(1 - np.sum(costs * table).item() / by_chance.item(), int(total))


def expected_cost(table: Mass, costs: Floats) -> Value:
    """Mean cost of a row: of label i and prediction j it is ``costs[i, j]``, negative for a gain."""
    total = total_of(table)
    if total == 0:
        return Value.absent("no_rows")
    return Value.exact(np.sum(costs * table).item() / total, int(total))
