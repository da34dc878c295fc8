"""Do probabilities mean what they say: the calibration curve and its expected error, from a score table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from modelwatch_gpu.measures.performance import Floats, Mass, ScoreTable, total_of
from modelwatch_gpu.measures.value import Value

#: Bins of the expected calibration error.
ECE_BINS: Final = 10
#: How bins are cut.
STRATEGIES: Final = ("uniform", "quantile")


@dataclass(frozen=True, eq=False)
class CalibrationBins:
    """The bins (a, b] that hold rows, the first closed; (B,) each. ``low``, ``high``: a and b. ``rows``: counts or sums
    of weights. ``mean_score``, ``share_positive``: 0 to 1."""

    low: Floats
    high: Floats
    rows: Mass
    mean_score: Floats
    share_positive: Floats


def uniform_edges(bins: int) -> Floats:
    """(bins - 1,) inner edges of equal bins of 0 to 1: i / bins correctly rounded, so that 0.3 is an edge."""
    edges: Floats = np.arange(1, bins) / bins
    return edges


def quantile_edges(table: ScoreTable, bins: int) -> Floats:
    """Inner edges at the quantiles of the scores, duplicates removed: of counts by linear interpolation, as
    ``numpy.quantile`` has it; of weights the smallest score with at least the share."""
    scores, mass = table.scores.astype(np.float64), table.positives + table.negatives
    upto, shares = np.cumsum(mass), np.arange(1, bins) / bins
    if mass.dtype.kind == "f":
        at = np.minimum(np.searchsorted(upto, shares * upto[-1], side="left"), len(scores) - 1)
        return np.unique(scores[at])
    place = shares * (upto[-1] - 1)
    first = np.floor(place)
    a, b = (scores[np.searchsorted(upto, np.minimum(r, upto[-1] - 1), side="right")] for r in (first, first + 1))
    part, step = place - first, b - a
    return np.unique(np.where(part < 0.5, a + step * part, b - step * (1 - part)))


def bins_of(table: ScoreTable, edges: Floats) -> CalibrationBins | None:
    """The calibration curve in bins between inner edges; None without rows. Comparisons are exact, also of float32."""
    mass = table.positives + table.negatives
    if total_of(mass) == 0:
        return None
    scores = table.scores.astype(np.float64)
    at, count = np.searchsorted(edges, scores, side="left"), len(edges) + 1
    rows, sums, found = (np.bincount(at, of, minlength=count) for of in (mass, mass * scores, table.positives))
    some = rows > 0
    ends = np.concatenate([[0.0], edges, [1.0]])
    whole = rows[some] if mass.dtype.kind == "f" else rows[some].astype(np.int64)
    # Of equal scores the rounded mean could be a little more or less than each.
    mean = np.clip(sums[some] / rows[some], 0.0, 1.0)
    return CalibrationBins(ends[:-1][some], ends[1:][some], whole, mean, found[some] / rows[some])


def ece(table: ScoreTable) -> Value:
    """Expected calibration error: over 10 equal bins (a, b] of the score, the first closed, SUM of share of rows x
    |share of positives - mean score| (Naeini, Cooper and Hauskrecht 2015)."""
    mass = table.positives + table.negatives
    total = total_of(mass)
    if total == 0:
        return Value.absent("no_rows")
    scores = table.scores.astype(np.float64)
    at = np.searchsorted(uniform_edges(ECE_BINS), scores, side="left")
    apart = np.bincount(at, table.positives - mass * scores, minlength=ECE_BINS)
    return Value.exact(float(np.sum(np.abs(apart)) / total), table.rows)
