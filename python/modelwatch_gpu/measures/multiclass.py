"""Performance of the scores of several classes. scikit-learn's definitions.

From the K tables of one class against the rest: the scores of class k, of rows with that label and of all others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from modelwatch_gpu.measures import performance
from modelwatch_gpu.measures.performance import Floats, Mass, ScoreTable, total_of
from modelwatch_gpu.measures.value import Value

#: How the curves of several classes become one number.
AVERAGES: Final = ("macro", "weighted", "micro")
#: Each class against the rest, or every pair of classes.
SCHEMES: Final = ("ovr", "ovo")


@dataclass(frozen=True)
class PerClass:
    """``value``: of all classes together; ``classes``: of each, None where it has no number."""

    value: Value
    classes: tuple[float | None, ...]


def log_loss(tables: Sequence[ScoreTable]) -> Value:
    """-mean of ln(score of the label), in nats; scores are kept a machine epsilon of their own type away from 0 and 1.
    Scores need not be distinct."""
    rows = sum(total_of(t.positives) for t in tables)
    if rows == 0:
        return Value.absent("no_rows")
    total = 0.0
    for table in tables:
        # Of the label's own score alone: a row's other scores are in the tables' negatives.
        own = ScoreTable(table.scores, table.positives, np.zeros_like(table.negatives))
        found = performance.log_loss(own)
        total += (found.value or 0.0) * total_of(table.positives)
    return Value.exact(total / rows, int(rows))


def brier(tables: Sequence[ScoreTable]) -> Value:
    """Mean over rows of the SUM over classes of (score - 1 if it is the label's else score)^2, 0 to 2 (Brier 1950).
    Scores need not be distinct."""
    found = [performance.brier(t) for t in tables]
    values = [f.value for f in found if f.value is not None]
    return Value.exact(sum(values), found[0].n) if values else Value.absent("no_rows")


def roc_auc(tables: Sequence[ScoreTable], average: str) -> PerClass:
    """Areas under the curves of each class against the rest, and their mean: "macro" over classes, "weighted" by their
    labels. A class without labels, or with all of them, has no curve: there is then no "macro" mean, and in a
    "weighted" one it has no weight."""
    found = [performance.roc_auc(t).value for t in tables]
    weights = np.ones(len(tables)) if average == "macro" else np.array([total_of(t.positives) for t in tables])
    rows = int(sum(total_of(t.positives) for t in tables))
    return PerClass(_mean(found, weights.astype(np.float64), rows), tuple(found))


def roc_auc_pairs(pairs: Sequence[tuple[ScoreTable, ScoreTable]], average: str, rows: int) -> Value:
    """Mean over pairs of classes of how well either's score tells the two apart (Hand and Till 2001).

    Args:
        pairs: For classes a < b the table of the scores of a, with rows labelled a as positives and rows labelled b as
            negatives, and that of the scores of b, the other way round.
        average: "macro", or "weighted" by the rows of a pair.
    """
    found: list[float | None] = []
    weights = []
    for first, second in pairs:
        areas = performance.roc_auc(first).value, performance.roc_auc(second).value
        found.append(None if areas[0] is None or areas[1] is None else (areas[0] + areas[1]) / 2)
        weights.append(1.0 if average == "macro" else float(total_of(first.positives) + total_of(first.negatives)))
    return _mean(found, np.array(weights), rows)


def _mean(found: Sequence[float | None], weights: Floats, rows: int) -> Value:
    if rows == 0:
        return Value.absent("no_rows")
    if all(f is None for f in found):
        return Value.absent("one_class", rows)
    if any(f is None and w > 0 for f, w in zip(found, weights.tolist(), strict=True)):
        return Value.absent("absent_class", rows)
    numbers: Any = np.array([0.0 if f is None else f for f in found])
    return Value.exact(float(np.sum(numbers * weights) / np.sum(weights)), rows)


def top_k_accuracy(places: Mass, k: int) -> Value:
    """Share of rows whose label's score is among the ``k`` highest.

    Args:
        places: (K,) rows, or weights, by how many classes come before the label's.
    """
    total = total_of(places)
    if total == 0:
        return Value.absent("no_rows")
    return Value.exact(total_of(places[:k]) / total, int(total))
