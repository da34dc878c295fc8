"""How predictions treat groups: rates of each group with their intervals, and how far groups are apart.

Definitions: demographic parity compares selection rates; equal opportunity, true positive rates (Hardt, Price and
Srebro 2016); equalised odds, true and false positive rates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from modelwatch_gpu.measures import proportions
from modelwatch_gpu.measures.classes import coefficients
from modelwatch_gpu.measures.performance import Floats, Mass
from modelwatch_gpu.measures.value import Value

#: The rates of a group, by name: the ratio of outcomes that each is.
RATES: Final = {
    "selection_rate": "selection_rate",
    "true_positive_rate": "recall",
    "false_positive_rate": "false_positive_rate",
    "precision": "precision",
}
#: What each criterion compares.
CRITERIA: Final = {
    "demographic_parity": ("selection_rate",),
    "equal_opportunity": ("true_positive_rate",),
    "equalized_odds": ("true_positive_rate", "false_positive_rate"),
}


@dataclass(frozen=True, eq=False)
class Rate:
    """One rate of every group, (G,) each: ``value`` of ``of`` rows (or weight), NaN where a group has none; Wilson's
    interval ``lower`` to ``upper``."""

    value: Floats
    lower: Floats
    upper: Floats
    of: Mass


@dataclass(frozen=True)
class Disparity:
    """How far the groups with the lowest and the highest rate are apart. ``lowest``, ``highest``: their numbers.
    ``difference``: of their rates, with Newcombe's interval ``lower`` to ``upper``. ``ratio``: lowest over highest,
    None where the highest is 0. ``disjoint``: whether their own intervals do not meet. The intervals do not account for
    the choice of the two among many groups."""

    lowest: int
    highest: int
    difference: float
    lower: float
    upper: float
    ratio: float | None
    disjoint: bool


def rate(name: str, counts: Mass, confidence: float, per_count: float | Floats = 1.0) -> Rate:
    """A rate of (4, G) outcomes (TP, FP, FN, TN). ``per_count``: independent rows that one unit of weight is
    worth, of all groups or of each."""
    up, more, _ = coefficients(RATES[name], 1.0)
    hits = up @ counts
    of = hits + more @ counts
    return _rate(hits, of, confidence, per_count)


def _rate(hits: Mass, of: Mass, confidence: float, per_count: float | Floats) -> Rate:
    some = of > 0
    value = np.where(some, hits / np.where(some, of, 1), np.nan)
    lower, upper = proportions.wilson(
        np.where(some, hits, 0) * per_count, np.where(some, of, 1) * per_count, confidence
    )
    return Rate(value, np.where(some, lower, np.nan), np.where(some, upper, np.nan), of)


def disparity(of_groups: Rate, confidence: float, per_count: float = 1.0) -> Disparity | None:
    """Of the groups that have the rate; None where fewer than two do."""
    there = np.flatnonzero(np.isfinite(of_groups.value))
    if len(there) < 2:
        return None
    values = of_groups.value[there]
    low, high = int(there[np.argmin(values)]), int(there[np.argmax(values)])
    if low == high:  # all are equal
        low, high = int(there[0]), int(there[1])
    least, most = of_groups.value[low].item(), of_groups.value[high].item()
    rows = [of_groups.of[g].item() * per_count for g in (low, high)]
    lower, upper = proportions.newcombe(least * rows[0], rows[0], most * rows[1], rows[1], confidence)
    return Disparity(
        low,
        high,
        most - least,
        float(lower),
        float(upper),
        least / most if most > 0 else None,
        bool(of_groups.upper[low] < of_groups.lower[high]),
    )


def criterion(name: str, how: str, rates: dict[str, Rate], rows: int) -> Value:
    """The largest difference, or smallest ratio, between groups in the rates that a criterion compares.

    Args:
        name: One of ``CRITERIA``.
        how: "difference" or "ratio".
    """
    found = []
    for each in CRITERIA[name]:
        apart = disparity(rates[each], 0.95)
        if apart is None:
            return Value.absent("one_group", rows)
        if how == "ratio" and apart.ratio is None:
            return Value.absent("no_rate", rows)
        found.append(apart.difference if how == "difference" else apart.ratio or 0.0)
    return Value.exact(max(found) if how == "difference" else min(found), rows)


@dataclass(frozen=True, eq=False)
class GroupCalibration:
    """(G,) each: ``mean_score``, ``share_positive`` with Wilson's interval ``lower`` to ``upper``, and ``gap``: mean
    score less share of positives. NaN where a group has no rows."""

    mean_score: Floats
    share_positive: Floats
    lower: Floats
    upper: Floats
    gap: Floats


def calibration(
    rows: Mass, scores: Floats, positives: Mass, confidence: float, per_count: float | Floats = 1.0
) -> GroupCalibration:
    """From (G,) rows, sums of scores and positives."""
    found = _rate(positives, rows, confidence, per_count)
    mean: npt.NDArray[np.float64] = np.where(rows > 0, scores / np.where(rows > 0, rows, 1), np.nan)
    return GroupCalibration(mean, found.value, found.lower, found.upper, mean - found.value)
