"""Two classes told apart by a threshold on a score: what happens at each, and which is best.

A row is predicted positive where its score is at or above the threshold.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from modelwatch_gpu.measures.classes import ratios
from modelwatch_gpu.measures.performance import Floats, Mass, ScoreTable, gained, total_of

#: What ``best`` can go by.
CRITERIA: Final = ("f1", "youden", "cost")


@dataclass(frozen=True, eq=False)
class Sweep:
    """``thresholds``: (T,), in the scores' own type where they were not given. ``counts``: (4, T) TP, FP, FN and TN."""

    thresholds: npt.NDArray[Any]
    counts: Mass


def least_at_or_above(threshold: float, dtype: np.dtype[Any]) -> tuple[Any, bool]:
    """The smallest value of a dtype that is not below the threshold, and whether there is one.

    NumPy would compare whole numbers with a float after rounding them; so does a threshold become a whole number.
    """
    if dtype.kind == "f":
        return np.float64(threshold), True  # float32 scores become float64 exactly
    limits = np.iinfo(dtype)
    if math.isinf(threshold):
        return limits.min, threshold < 0
    whole = math.ceil(Fraction(threshold))
    return dtype.type(max(whole, int(limits.min))) if whole <= limits.max else limits.max, whole <= limits.max


def at(table: ScoreTable, thresholds: Floats) -> Sweep:
    """Counts at thresholds of one's own, in any order; comparisons are exact in the scores' own type."""
    places = np.empty(len(thresholds), dtype=np.int64)
    for place, threshold in enumerate(thresholds.tolist()):
        least, there = least_at_or_above(threshold, table.scores.dtype)
        scores = table.scores
        places[place] = np.searchsorted(scores, least, side="left") if there else len(scores)
    below = []
    for mass in (table.positives, table.negatives):
        below.append(np.concatenate([np.zeros(1, mass.dtype), np.cumsum(mass)])[places])
    p, n = table.positives.sum(), table.negatives.sum()
    return Sweep(thresholds, np.stack([p - below[0], n - below[1], below[0], below[1]]))


def every(table: ScoreTable) -> Sweep:
    """Counts at every distinct score as a threshold, from the highest down."""
    used = (table.positives + table.negatives)[::-1] > 0
    hits, alarms = (np.cumsum(mass[::-1])[used] for mass in (table.positives, table.negatives))
    p, n = table.positives.sum(), table.negatives.sum()
    return Sweep(table.scores[::-1][used], np.stack([hits, alarms, p - hits, n - alarms]))


@dataclass(frozen=True, eq=False)
class Best:
    """``threshold``: inf where predicting nothing is best. ``counts``: (4,) TP, FP, FN, TN. ``criterion``: its
    value."""

    threshold: Any
    counts: Mass
    criterion: float


def best(table: ScoreTable, by: str, costs: Floats | None = None) -> Best | str:
    """The best threshold among the distinct scores and infinity, where nothing is predicted positive; or a reason.

    Args:
        by: "f1", "youden" (the largest TPR - FPR) or "cost" (the smallest mean cost).
        costs: (2, 2), of label (rows; negative first) and prediction (columns).

    Of thresholds that are equally good the highest is taken, which predicts the fewest rows positive. F1 and TPR - FPR
    of counts are compared as the exact numbers they are.
    """
    p, n = total_of(table.positives), total_of(table.negatives)
    if p + n == 0:
        return "no_rows"
    if by == "youden" and (p == 0 or n == 0):
        return "one_class"
    if by == "f1" and p == 0:
        return "no_positives"
    sweep = every(table)
    nothing = np.array([[0], [0], [table.positives.sum()], [table.negatives.sum()]], dtype=sweep.counts.dtype)
    counts = np.concatenate([nothing, sweep.counts], axis=1)
    if by == "f1":
        goodness: npt.NDArray[Any] = ratios("f1", counts)[0]
        value = goodness
    elif by == "youden":
        steps = np.diff(counts[:2], axis=1, prepend=0)
        goodness = gained(steps[0], steps[1], p, n)
        value = goodness / (p * n)
    else:
        assert costs is not None
        weights = np.array([costs[1, 1], costs[0, 1], costs[1, 0], costs[0, 0]])
        value = weights @ counts.astype(np.float64) / (p + n)
        goodness = -value
    place = int(np.argmax(goodness))
    threshold = math.inf if place == 0 else sweep.thresholds[place - 1].item()
    return Best(threshold, counts[:, place], float(value[place]))
