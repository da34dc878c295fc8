"""Performance from tables: of binary scores, of classes, of errors. scikit-learn's definitions.

A table holds counts (integers) or sums of weights (float64). A number that is not defined is ``Value.absent`` with a
reason of ``REASONS``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from modelwatch_gpu.measures.value import Value

Mass = npt.NDArray[np.int64] | npt.NDArray[np.float64]
Floats = npt.NDArray[np.float64]

#: Bins of the expected calibration error.
ECE_BINS: Final = 10
#: Below this product of class sizes, rank sums are exact in int64.
_INT64_SAFE = 1 << 61

#: Why a performance measure may have no number, as a sentence.
REASONS: Final = {
    "no_rows": "No row has both a label and a prediction.",
    "one_class": "All labels are of one class, so there is nothing to tell apart.",
    "no_positives": "No label is positive.",
    "no_negatives": "No label is negative.",
    "no_predicted_positives": "No row is predicted positive.",
    "neither_positive": "No label is positive and no row is predicted positive.",
    "constant_labels": "The labels are constant, so there is no variance to explain.",
    "one_row": "One row has no variance.",
}


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """``scores``: (K,) distinct, increasing. ``positives``, ``negatives``: (K,) rows, or weights, of each class."""

    scores: npt.NDArray[Any]
    positives: Mass
    negatives: Mass

    @property
    def rows(self) -> int:
        """Rows of the table, or their weight rounded down."""
        return int(self.positives.sum() + self.negatives.sum())


def _total(mass: Mass) -> Any:
    return mass.sum().item()


def roc_auc(table: ScoreTable) -> Value:
    """P(score of a positive > score of a negative) + half of P(equal): the area under the ROC curve (Hanley and McNeil
    1982). From counts it is one division of exact integers."""
    p, n = _total(table.positives), _total(table.negatives)
    if p == 0 or n == 0:
        return Value.absent("one_class" if p or n else "no_rows", table.rows)
    positives, negatives = table.positives, table.negatives
    if positives.dtype.kind == "i" and p * n >= _INT64_SAFE:
        positives, negatives = positives.astype(object), negatives.astype(object)
    below = np.cumsum(negatives) - negatives
    twice: Any = np.sum(positives * (2 * below + negatives))
    # Of Python integers, so that the division is correctly rounded; weights may add up to a little more than 1.
    whole = twice if isinstance(twice, int) else twice.item()
    return Value.exact(min(1.0, whole / (2 * p * n)), table.rows)


def average_precision(table: ScoreTable) -> Value:
    """SUM over thresholds, from the highest score down, of (recall gained) x precision; no interpolation."""
    p = _total(table.positives)
    if p == 0:
        return Value.absent("no_positives" if _total(table.negatives) else "no_rows", table.rows)
    found = table.positives[::-1]
    hits = np.cumsum(found).astype(np.float64)
    taken = np.cumsum((table.positives + table.negatives)[::-1]).astype(np.float64)
    used = taken > 0  # rows without weight come first
    return Value.exact(float(np.sum(found[used] * (hits[used] / taken[used])) / p), table.rows)


def _mean_loss(table: ScoreTable, of_positive: Floats, of_negative: Floats) -> Value:
    total = _total(table.positives) + _total(table.negatives)
    if total == 0:
        return Value.absent("no_rows")
    return Value.exact(float(np.sum(table.positives * of_positive + table.negatives * of_negative) / total), table.rows)


def log_loss(table: ScoreTable) -> Value:
    """-mean of ln(score) of positives and ln(1 - score) of negatives, in nats; scores are kept a machine epsilon of
    their own type away from 0 and 1."""
    epsilon = float(np.finfo(table.scores.dtype).eps)
    kept = np.clip(table.scores.astype(np.float64), epsilon, 1 - epsilon)
    return _mean_loss(table, -np.log(kept), -np.log1p(-kept))


def brier(table: ScoreTable) -> Value:
    """Mean of (score - label)^2, 0 to 1 (Brier 1950)."""
    scores = table.scores.astype(np.float64)
    return _mean_loss(table, (1 - scores) ** 2, scores**2)


def ece(table: ScoreTable) -> Value:
    """Expected calibration error: over 10 equal bins (a, b] of the score, the first closed, SUM of share of rows x
    |share of positives - mean score| (Naeini, Cooper and Hauskrecht 2015)."""
    mass = table.positives + table.negatives
    total = _total(mass)
    if total == 0:
        return Value.absent("no_rows")
    # i / 10 correctly rounded, so that 0.3 is an edge; comparisons are exact, also of float32 scores.
    edges = np.arange(1, ECE_BINS) / ECE_BINS
    scores = table.scores.astype(np.float64)
    at = np.searchsorted(edges, scores, side="left")
    apart = np.bincount(at, table.positives - mass * scores, minlength=ECE_BINS)
    return Value.exact(float(np.sum(np.abs(apart)) / total), table.rows)


# ---- classes ---------------------------------------------------------------------------------------------------------


def accuracy(table: Mass) -> Value:
    """Share of rows on the diagonal of the (K, K) table of labels (rows) and predictions (columns)."""
    total = _total(table)
    if total == 0:
        return Value.absent("no_rows")
    return Value.exact(np.trace(table).item() / total, int(total))


#: For each measure the numerator and what is added to it in the denominator, of (TP, FP, FN, TN), and why it is
#: undefined where both are 0.
_RATIOS: Final[dict[str, tuple[tuple[int, int, int, int], tuple[int, int, int, int], str]]] = {
    "precision": ((1, 0, 0, 0), (0, 1, 0, 0), "no_predicted_positives"),
    "recall": ((1, 0, 0, 0), (0, 0, 1, 0), "no_positives"),
    "specificity": ((0, 0, 0, 1), (0, 1, 0, 0), "no_negatives"),
    "f1": ((2, 0, 0, 0), (0, 1, 1, 0), "neither_positive"),
}

#: How measures of several classes become one number.
AVERAGES: Final = ("binary", "macro", "micro", "weighted")


def class_ratio(name: str, table: Mass, average: str, positive: int | None, zero_division: float | None) -> Value:
    """precision TP/(TP+FP), recall TP/(TP+FN), specificity TN/(TN+FP) or f1 2TP/(2TP+FP+FN) of a (K, K) table.

    Args:
        average: "binary": of class number ``positive`` (None: a class that no row has). Else each class is the
            positive one in turn: "macro" takes the mean, "weighted" the mean weighted by the class's labels, "micro"
            adds the counts before dividing.
        zero_division: What 0 / 0 is. None: no number for "binary" and "micro", 0 within a mean.
    """
    total = _total(table)
    if total == 0:
        return Value.absent("no_rows")
    hits = np.diagonal(table)
    predicted, labelled = table.sum(axis=0), table.sum(axis=1)
    counts = np.stack([hits, predicted - hits, labelled - hits, total - predicted - labelled + hits])
    up, more, reason = _RATIOS[name]
    if average == "binary":
        of = counts[:, [positive]] if positive is not None else np.array([[0], [0], [0], [total]])
    else:
        of = counts.sum(axis=1, keepdims=True) if average == "micro" else counts
    above = np.array(up) @ of
    below = above + np.array(more) @ of
    none = below <= 0
    ratios = np.where(none, zero_division or 0.0, above / np.where(none, 1, below))
    if average in ("binary", "micro"):
        if none[0] and zero_division is None:
            return Value.absent(reason, int(total))
        return Value.exact(float(ratios[0]), int(total))
    value = np.mean(ratios) if average == "macro" else np.sum(ratios * labelled) / total
    return Value.exact(float(value), int(total))
