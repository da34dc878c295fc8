"""Performance of the scores of two classes, from their table. scikit-learn's definitions.

A table holds counts (integers) or sums of weights (float64). A number that is not defined is ``Value.absent`` with a
reason of ``REASONS``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from modelwatch_gpu.measures.value import PERFORMANCE_REASONS, Value

#: Why a performance measure may have no number, as a sentence.
REASONS: Final = PERFORMANCE_REASONS

Mass = npt.NDArray[np.int64] | npt.NDArray[np.float64]
Floats = npt.NDArray[np.float64]

#: Below this product of class sizes, rank sums are exact in int64.
INT64_SAFE = 1 << 61


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


def total_of(mass: Mass) -> Any:
    """The sum, a Python number."""
    return mass.sum().item()


def roc_auc(table: ScoreTable) -> Value:
    """P(score of a positive > score of a negative) + half of P(equal): the area under the ROC curve (Hanley and McNeil
    1982). From counts it is one division of exact integers."""
    p, n = total_of(table.positives), total_of(table.negatives)
    if p == 0 or n == 0:
        return Value.absent("one_class" if p or n else "no_rows", table.rows)
    positives, negatives = table.positives, table.negatives
    if positives.dtype.kind == "i" and p * n >= INT64_SAFE:
        positives, negatives = positives.astype(object), negatives.astype(object)
    below = np.cumsum(negatives) - negatives
    twice: Any = np.sum(positives * (2 * below + negatives))
    # Of Python integers, so that the division is correctly rounded; weights may add up to a little more than 1.
    whole = twice if isinstance(twice, int) else twice.item()
    return Value.exact(min(1.0, whole / (2 * p * n)), table.rows)


def average_precision(table: ScoreTable) -> Value:
    """SUM over thresholds, from the highest score down, of (recall gained) x precision; no interpolation."""
    p = total_of(table.positives)
    if p == 0:
        return Value.absent("no_positives" if total_of(table.negatives) else "no_rows", table.rows)
    found = table.positives[::-1]
    hits = np.cumsum(found).astype(np.float64)
    taken = np.cumsum((table.positives + table.negatives)[::-1]).astype(np.float64)
    used = taken > 0  # rows without weight come first
    return Value.exact(float(np.sum(found[used] * (hits[used] / taken[used])) / p), table.rows)


def _mean_loss(table: ScoreTable, of_positive: Floats, of_negative: Floats) -> Value:
    total = total_of(table.positives) + total_of(table.negatives)
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


def gini(table: ScoreTable) -> Value:
    """2 AUC - 1, -1 to 1: Somers' D of scores and labels, the accuracy ratio of credit scoring."""
    auc = roc_auc(table)
    return auc if auc.value is None else Value.exact(2 * auc.value - 1, auc.n)


def score_separation(table: ScoreTable) -> Value:
    """The Kolmogorov-Smirnov distance between the scores of positives and of negatives, 0 to 1: the largest |TPR - FPR|
    over all thresholds. From counts it is one division of exact integers."""
    p, n = total_of(table.positives), total_of(table.negatives)
    if p == 0 or n == 0:
        return Value.absent("one_class" if p or n else "no_rows", table.rows)
    apart = gained(table.positives, table.negatives, p, n)
    return Value.exact(min(1.0, np.max(np.abs(apart)).item() / (p * n)), table.rows)


def gained(positives: Mass, negatives: Mass, p: Any, n: Any) -> npt.NDArray[Any]:
    """P N (TPR - FPR) of the rows so far, a whole number where there are counts: TP N - FP P."""
    hits, alarms = np.cumsum(positives), np.cumsum(negatives)
    if hits.dtype.kind == "i" and p * n >= INT64_SAFE:
        hits, alarms = hits.astype(object), alarms.astype(object)
    out: npt.NDArray[Any] = hits * n - alarms * p
    return out


def cumulative_gain(table: ScoreTable, share: float) -> Value:
    """Share of all positives among the ``share`` of rows with the highest scores.

    Where the cut falls among rows of equal score, ``value`` takes them in random order (the straight line of the gains
    curve), ``lower`` the negatives first and ``upper`` the positives first.
    """
    p, n = total_of(table.positives), total_of(table.negatives)
    if p == 0:
        return Value.absent("no_positives" if n else "no_rows", table.rows)
    found, others = table.positives[::-1], table.negatives[::-1]
    taken = np.cumsum(found + others)
    cut = share * (p + n)
    at = min(int(np.searchsorted(taken, cut, side="left")), len(taken) - 1)
    hits, size = found[at].item(), (found[at] + others[at]).item()
    before = taken[at].item() - size
    certain = found[:at].sum().item()
    rest = min(max(0.0, cut - before), size)
    likely = hits * (rest / size) if size else 0.0
    numbers = (certain + max(0.0, rest - (size - hits)), certain + likely, certain + min(rest, hits))
    lower, value, upper = (min(1.0, number / p) for number in numbers)
    return Value.between(lower, upper, table.rows, value=value)


def lift(table: ScoreTable, share: float) -> Value:
    """Share of positives among the ``share`` of rows with the highest scores, over their share among all rows:
    ``cumulative_gain`` over ``share``, with its bounds."""
    gain = cumulative_gain(table, share)
    if gain.value is None or gain.lower is None or gain.upper is None:
        return gain
    return Value.between(gain.lower / share, gain.upper / share, gain.n, value=gain.value / share)
