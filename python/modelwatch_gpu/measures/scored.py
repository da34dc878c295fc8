"""Performance of the scores of two classes from their grids: many groups at once, with bounds where scores share a gap.

A grid tells apart what its knots tell apart. Rows on a knot have its score; of rows in a gap it is known that their
scores lie between two knots, on the fine grid also what they add up to. Every number is therefore an interval that
holds what scikit-learn gives for the rows, and is that number itself where no gap holds rows of both classes (ranks) or
any rows (losses). The formulas without gaps are those of ``performance``, ``calibration`` and ``thresholds``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from modelwatch_gpu.measures.calibration import ECE_BINS, uniform_edges
from modelwatch_gpu.measures.cells import Ints
from modelwatch_gpu.measures.classes import coefficients, ratios
from modelwatch_gpu.measures.performance import INT64_SAFE, Floats
from modelwatch_gpu.measures.value import HAS_NUMBER, Bools, Values

#: Share of the rows with the highest scores that ``lift`` and ``cumulative_gain`` are of.
TOP_SHARE: Final = 0.1
#: What ``fbeta`` weighs recall by, against precision.
BETA: Final = 2.0

#: Groups that are worked on at a time, at least.
_PIECE: Final = 256

#: Ratios of what happens at the threshold.
RATIOS: Final = (
    "precision",
    "recall",
    "specificity",
    "f1",
    "fbeta",
    "false_positive_rate",
    "false_negative_rate",
    "negative_predictive_value",
    "selection_rate",
)


@dataclass(frozen=True, eq=False)
class ScoreGrids:
    """Rows of two classes by cell of their score, of G groups in the C cells that any of them occupies.

    ``positives``, ``negatives``: (G, C) int64, rows or stored weights. ``first``, ``last``: (C,) float64, the smallest
    and the largest score there can be in a cell, in order. ``knot``: (C,) whether they are one. ``low``, ``high``: the
    ends of a gap, which its scores do not reach; of a knot the score. ``positive_sums``, ``negative_sums``: (2, G, C)
    least and largest sum of the scores. ``cut``: cells from this one on are at or above the threshold. ``epsilon``: of
    the score's type. ``weighted``: whether counts are weights.
    """

    positives: Ints
    negatives: Ints
    first: Floats
    last: Floats
    knot: Bools
    low: Floats
    high: Floats
    positive_sums: Floats
    negative_sums: Floats
    cut: int
    epsilon: float
    weighted: bool = False

    @cached_property
    def p(self) -> Ints:
        """(G,) positives."""
        out: Ints = self.positives.sum(axis=1)
        return out

    @cached_property
    def n(self) -> Ints:
        """(G,) negatives."""
        out: Ints = self.negatives.sum(axis=1)
        return out

    @cached_property
    def rows(self) -> Ints:
        """(G,) rows with a label and a score."""
        return self.p + self.n

    @cached_property
    def wide(self) -> bool:
        """Whether products of class sizes need more than 64 bits."""
        return bool((self.p.astype(np.float64) * self.n >= INT64_SAFE).any())

    @cached_property
    def outcomes(self) -> Ints:
        """(4, G) TP, FP, FN and TN at the threshold; exact, for it is a knot."""
        hits, alarms = (side[:, self.cut :].sum(axis=1) for side in (self.positives, self.negatives))
        return np.stack([hits, alarms, self.p - hits, self.n - alarms])

    @cached_property
    def probabilities(self) -> Bools:
        """(G,) whether every score lies between 0 and 1."""
        beyond = (self.first < 0) | (self.last > 1)
        return np.asarray(~((self.positives + self.negatives)[:, beyond] > 0).any(axis=1))

    def pieces(self) -> Iterator[ScoreGrids]:
        """The groups, some hundreds at a time: what is worked out of them then fits a cache. A number is the same with
        whichever groups it is worked out; none is alone that was not, for its sums would run in another order."""
        count = max(1, len(self.positives) // _PIECE)
        for begin, end in pairwise(len(self.positives) * i // count for i in range(count + 1)):
            at = slice(begin, end)
            sides = {name: getattr(self, name)[at] for name in ("positives", "negatives")}
            sums = {name: getattr(self, name)[:, at] for name in ("positive_sums", "negative_sums")}
            yield replace(self, **sides, **sums)

    def of_positives(self) -> ScoreGrids:
        """The same rows without the negatives."""
        return replace(self, negatives=np.zeros_like(self.negatives), negative_sums=np.zeros_like(self.negative_sums))

    def of_group(self, at: int) -> ScoreGrids:
        """One of the groups, in the cells that it occupies itself."""
        used = (self.positives[at] + self.negatives[at]) > 0
        sides = {name: getattr(self, name)[at : at + 1, used] for name in ("positives", "negatives")}
        sums = {name: getattr(self, name)[:, at : at + 1, used] for name in ("positive_sums", "negative_sums")}
        cells = {name: getattr(self, name)[used] for name in ("first", "last", "knot", "low", "high")}
        return replace(self, **sides, **sums, **cells, cut=int(np.count_nonzero(used[: self.cut])))

    def big(self, counts: Ints) -> npt.NDArray[Any]:
        """Counts whose products do not overflow."""
        return counts.astype(object) if self.wide else counts


def binary_measures(grids: ScoreGrids, costs: Sequence[float] | None = None) -> dict[str, Values]:
    """Every measure of scores of two classes, (G,) each. ``costs``: of TN, FP, FN and TP."""
    out = {
        "roc_auc": roc_auc(grids),
        "average_precision": average_precision(grids),
        "score_separation": score_separation(grids),
        "log_loss": log_loss(grids),
        "brier": brier(grids),
        "ece": ece(grids),
        "calibration_gap": calibration_gap(grids),
        **outcome_measures(grids.outcomes, costs),
        "cumulative_gain": cumulative_gain(grids),
        **best_threshold(grids),
        **({} if costs is None else cheapest_threshold(grids, costs)),
    }
    auc, gain = out["roc_auc"], out["cumulative_gain"]
    out["gini"] = Values(2 * auc.value - 1, 2 * auc.lower - 1, 2 * auc.upper - 1, auc.n, auc.reason)
    value, lower, upper = (side / TOP_SHARE for side in (gain.value, gain.lower, gain.upper))
    out["lift"] = Values(value, lower, upper, gain.n, gain.reason)
    return out


# ---- ranks -----------------------------------------------------------------------------------------------------------


def roc_auc(g: ScoreGrids) -> Values:
    """``performance.roc_auc``. Rows of one gap may stand in any order: its pairs count from 0 to 1 each, in the value
    a half."""
    positives, negatives = g.big(g.positives), g.big(g.negatives)
    below = np.cumsum(negatives, axis=1) - negatives
    twice = (positives * (2 * below + negatives)).sum(axis=1)
    open_pairs = (positives * negatives)[:, ~g.knot].sum(axis=1)
    return _shares(g, twice, open_pairs, 2)


def score_separation(g: ScoreGrids) -> Values:
    """``performance.score_separation``; in a gap one class may come whole before the other."""
    positives, negatives = g.big(g.positives), g.big(g.negatives)
    p, n = g.big(g.p)[:, None], g.big(g.n)[:, None]
    hits, alarms = np.cumsum(positives, axis=1), np.cumsum(negatives, axis=1)
    ends = np.abs(hits * n - alarms * p)
    inside = np.maximum(np.abs((hits - positives) * n - alarms * p), np.abs(hits * n - (alarms - negatives) * p))[
        :, ~g.knot
    ]
    least = ends.max(axis=1, initial=0)
    most = np.maximum(least, inside.max(axis=1, initial=0)) if inside.shape[1] else least
    return _shares(g, least, most - least, 1, around=False)


def _shares(
    g: ScoreGrids, whole: npt.NDArray[Any], spread: npt.NDArray[Any], times: int, *, around: bool = True
) -> Values:
    """(G,) ``whole`` over ``times`` P N, one correctly rounded division of integers, and ``spread`` more, or also less
    (``around``)."""
    pairs = [max(1, times * p * n) for p, n in zip(g.p.tolist(), g.n.tolist(), strict=True)]

    def over(numbers: npt.NDArray[Any]) -> Floats:
        return np.array([number / of for number, of in zip(numbers.tolist(), pairs, strict=True)], dtype=np.float64)

    value = over(whole)
    if not spread.any():
        return _where_classes(g, Values.exact(value, g.rows))
    lower = over(whole - spread) if around else value
    return _where_classes(g, Values.between(lower, over(whole + spread), g.rows, value=value))


def average_precision(g: ScoreGrids) -> Values:
    """``performance.average_precision``. In a gap the precision is highest where all positives come first, with one
    score, and lowest where they come last, one after the other; in the value all rows of a gap are tied.

    The sum over j = 1..p of (a + j) / (a + j + b) is at least its integral from 1/2 to p + 1/2, for it is concave.
    """
    positives, negatives = (side[:, ::-1].astype(np.float64) for side in (g.positives, g.negatives))
    a, b = np.cumsum(positives, axis=1) - positives, np.cumsum(negatives, axis=1) - negatives
    gap = ~g.knot[::-1] & (negatives > 0) & (positives > 0)
    alone = ~g.knot[::-1] & (positives > 0) & (negatives == 0)
    some = positives > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        tied = np.where(some, positives * (a + positives) / (a + positives + b + negatives), 0.0)
        best = np.where(gap, positives * (a + positives) / (a + positives + b), tied)
        last = b + negatives
        step = 0.0 if g.weighted else 0.5
        apart = positives - last * np.log1p(positives / (a + last + step))
        apart = np.where((positives == 1) & (not g.weighted), (a + 1) / (a + 1 + last), apart)
        worst = np.where(gap | alone, np.minimum(apart, tied), tied)
        total = np.where(g.p > 0, g.p, 1)
        value, lower, upper = (side.sum(axis=1) / total for side in (tied, worst, best))
    found = Values.between(lower, np.minimum(upper, 1.0), g.rows, value=value)
    exact = ~(gap | (alone & (positives > 1))).any(axis=1)
    if exact.all():
        found = Values.exact(value, g.rows)
    elif exact.any():
        found = _exactly(found, exact, value)
    return found.replaced(g.p == 0, "no_positives").replaced(g.rows == 0, "no_rows")


def cumulative_gain(g: ScoreGrids) -> Values:
    """``performance.cumulative_gain`` of ``TOP_SHARE``: rows of the cell in which the cut falls may be in any order."""
    positives, negatives = g.positives[:, ::-1], g.negatives[:, ::-1]
    taken = np.cumsum(positives + negatives, axis=1)
    cut = TOP_SHARE * g.rows
    groups = np.arange(len(g.p))
    if taken.size == 0:
        return Values.absent("no_rows", g.rows)
    at = np.minimum((taken < cut[:, None]).sum(axis=1), taken.shape[1] - 1)
    hits, others = positives[groups, at], negatives[groups, at]
    size = hits + others
    before = np.cumsum(positives, axis=1)[groups, at] - hits
    rest = np.clip(cut - (taken[groups, at] - size), 0.0, size)
    likely = hits * np.divide(rest, size, out=np.zeros(len(size)), where=size > 0)
    total = np.where(g.p > 0, g.p, 1)
    numbers = (before + np.maximum(0.0, rest - others), before + likely, before + np.minimum(rest, hits))
    lower, value, upper = (np.minimum(1.0, number / total) for number in numbers)
    found = Values.between(lower, upper, g.rows, value=value)
    return found.replaced(g.p == 0, "no_positives").replaced(g.rows == 0, "no_rows")


def best_threshold(g: ScoreGrids) -> dict[str, Values]:
    """``best_f1``: the largest F1 at any threshold; ``best_threshold``: the highest one that reaches it. Within a gap
    F1 could be larger; thresholds are the smallest scores of cells."""
    positives, negatives = g.positives[:, ::-1], g.negatives[:, ::-1]
    hits, alarms = np.cumsum(positives, axis=1), np.cumsum(negatives, axis=1)
    missed = g.p[:, None] - hits
    counts = np.stack([hits, alarms, missed, g.n[:, None] - alarms]).reshape(4, -1)
    f1 = ratios("f1", counts)[0].reshape(hits.shape)
    inside = np.stack([hits, alarms - negatives, missed, g.n[:, None] - alarms + negatives]).reshape(4, -1)
    within = np.where(g.knot[::-1], f1, ratios("f1", inside)[0].reshape(hits.shape))
    if f1.size == 0:
        nothing = Values.absent("no_rows", g.rows)
        return {"best_f1": nothing, "best_threshold": nothing}
    occupied = (positives + negatives) > 0
    f1 = np.where(occupied, f1, -1.0)
    place = np.argmax(f1, axis=1)
    best = np.maximum(f1[np.arange(len(place)), place], 0.0)
    most = np.maximum(best, np.where(occupied, within, 0.0).max(axis=1))
    unknown = np.full(len(place), np.nan)
    threshold = Values(g.first[::-1][place], unknown, unknown, g.rows, np.zeros(len(place), dtype=np.uint8))
    gained = Values.between(best, most, g.rows, value=best)
    found = {"best_f1": gained, "best_threshold": threshold}
    return {k: v.replaced(g.p == 0, "no_positives").replaced(g.rows == 0, "no_rows") for k, v in found.items()}


def cheapest_threshold(g: ScoreGrids, costs: Sequence[float]) -> dict[str, Values]:
    """``lowest_cost``: the smallest mean cost of a decision at any threshold, also one that no score reaches;
    ``cheapest_threshold``: the highest one that has it, no number where that is above every score. Within a gap it
    could be cheaper. ``costs``: of TN, FP, FN and TP."""
    positives, negatives = (side[:, ::-1].astype(np.float64) for side in (g.positives, g.negatives))
    total = np.where(g.rows > 0, g.rows, 1).astype(np.float64)[:, None]
    if positives.shape[1] == 0:
        nothing = Values.absent("no_rows", g.rows)
        return {"lowest_cost": nothing, "cheapest_threshold": nothing}
    # What taking a row in adds to the cost of predicting nothing.
    gain, loss = positives * (costs[3] - costs[2]), negatives * (costs[1] - costs[0])
    none = (g.p * costs[2] + g.n * costs[0])[:, None] / total
    upto = np.cumsum(gain + loss, axis=1) / total
    place = np.argmin(upto, axis=1)
    best = np.minimum(0.0, upto[np.arange(len(place)), place])
    # In a gap only the rows of one class may come first.
    inside = upto - np.where(g.knot[::-1], 0.0, np.maximum(gain, loss)) / total
    least = none[:, 0] + np.minimum(best, inside.min(axis=1))
    unknown = np.full(len(place), np.nan)
    threshold = Values(g.first[::-1][place], unknown, unknown, g.rows, np.zeros(len(place), dtype=np.uint8))
    value = none[:, 0] + best
    lowest = (
        Values.exact(value, g.rows) if (least == value).all() else Values.between(least, value, g.rows, value=value)
    )
    found = {"lowest_cost": lowest, "cheapest_threshold": threshold.replaced(best == 0, "nothing_positive")}
    return {k: v.replaced(g.rows == 0, "no_rows") for k, v in found.items()}


# ---- probabilities ---------------------------------------------------------------------------------------------------


def log_loss(g: ScoreGrids) -> Values:
    """``performance.log_loss``: convex in the score but for what is kept away from 0 and 1."""
    epsilon = g.epsilon
    ceiling = -np.log(epsilon)

    def loss(scores: Floats) -> Floats:
        out: Floats = -np.log(np.clip(scores, epsilon, 1 - epsilon))
        return out

    def of_rest(scores: Floats) -> Floats:
        out: Floats = -np.log1p(-np.clip(scores, epsilon, 1 - epsilon))
        return out

    # Below e epsilon the loss lies above every convex function that it bounds; a mean beyond is not concerned.
    return _mean_loss(g, loss, of_rest, kink=float(np.e * epsilon), ceiling=float(ceiling))


def brier(g: ScoreGrids) -> Values:
    """``performance.brier``."""
    return _mean_loss(g, lambda s: (1 - s) ** 2, lambda s: s**2)


def _mean_loss(
    g: ScoreGrids,
    of_positive: Callable[[Floats], Floats],
    of_negative: Callable[[Floats], Floats],
    kink: float = 0.0,
    ceiling: float = 0.0,
) -> Values:
    """Mean of convex losses, falling in the score of positives and rising in that of negatives. Of rows in a gap it is
    at least the loss of their mean score (Jensen 1906), and at most what the straight line between the gap's ends has
    there. ``kink``: how near to 0 (or 1) a loss stops to grow, at ``ceiling``."""
    low, high = np.clip(g.low, 0, 1), np.clip(g.high, 0, 1)
    sides = (
        (g.positives, g.positive_sums, of_positive, low, high, kink),
        (g.negatives, 1.0 * g.negatives - g.negative_sums[::-1], lambda s: of_negative(1 - s), 1 - high, 1 - low, kink),
    )
    least = np.zeros(len(g.p))
    most = np.zeros(len(g.p))
    gap = ~g.knot
    for counts, sums, loss, near, far, least_mean in sides:
        # In the distance from the class that costs most: every loss falls from ``near`` to ``far``.
        exact = (counts[:, g.knot] * loss(near[g.knot])).sum(axis=1)
        least += exact
        most += exact
        if not gap.any():
            continue
        rows, a, b = counts[:, gap], near[gap], far[gap]
        size = np.where(rows > 0, rows, 1)
        smallest, largest = (np.clip(side[:, gap] / size, a, b) for side in sums)
        fa, fb = loss(a), loss(b)
        jensen = np.where(largest >= least_mean, loss(largest), fb)
        least += (rows * jensen).sum(axis=1)
        width = np.where(b > a, b - a, 1.0)
        chord = fb + (fa - fb) * (b - smallest) / width
        # Where a loss is flat up to the kink, the line may pass below it by what it falls until there.
        chord = np.minimum(chord + np.where(a < least_mean, ceiling * least_mean / width, 0.0), fa)
        most += (rows * np.maximum(chord, jensen)).sum(axis=1)
    total = np.where(g.rows > 0, g.rows, 1)
    found = Values.between(least / total, most / total, g.rows)
    return _where_probabilities(g, _exactly(found, ~_in_gaps(g), least / total))


def ece(g: ScoreGrids) -> Values:
    """``calibration.ece``: an interval as wide as the sums of scores are known."""
    edges = uniform_edges(ECE_BINS)
    bins = np.searchsorted(edges, g.first, side="left")
    least = np.zeros(len(g.p))
    most = np.zeros(len(g.p))
    for b in range(ECE_BINS):
        inside = bins == b
        if not inside.any():
            continue
        found = g.positives[:, inside].sum(axis=1)
        sums = (g.positive_sums + g.negative_sums)[:, :, inside].sum(axis=2)
        one, other = found - sums[1], found - sums[0]
        least += np.where((one <= 0) & (other >= 0), 0.0, np.minimum(np.abs(one), np.abs(other)))
        most += np.maximum(np.abs(one), np.abs(other))
    total = np.where(g.rows > 0, g.rows, 1)
    found_all = Values.between(least / total, most / total, g.rows)
    return _where_probabilities(g, _exactly(found_all, ~_in_gaps(g), least / total))


def calibration_gap(g: ScoreGrids) -> Values:
    """Mean score less the share of positives, -1 to 1: 0 where the scores are right on average."""
    sums = (g.positive_sums + g.negative_sums).sum(axis=2)
    total = np.where(g.rows > 0, g.rows, 1)
    lower, upper = ((side - g.p) / total for side in sums)
    return _where_probabilities(g, Values.between(lower, upper, g.rows))


def _in_gaps(g: ScoreGrids) -> Bools:
    """(G,) whether any row lies between two knots."""
    return np.asarray(((g.positives + g.negatives)[:, ~g.knot] > 0).any(axis=1))


# ---- the threshold ---------------------------------------------------------------------------------------------------


def outcome_measures(counts: Ints, costs: Sequence[float] | None = None) -> dict[str, Values]:
    """Measures of (4, G) TP, FP, FN and TN: exact. ``costs``: of TN, FP, FN and TP."""
    tp, fp, fn, tn = counts
    rows = counts.sum(axis=0)
    total = np.where(rows > 0, rows, 1)
    out = {"accuracy": Values.exact((tp + tn) / total, rows)}
    for name in RATIOS:
        found, none = ratios(name, counts, BETA)
        out[name] = Values.exact(found, rows).replaced(none, coefficients(name, BETA)[2])
    some, rest = tp + fn, fp + tn
    recalls = np.where(some > 0, tp / np.maximum(some, 1), 0.0) + np.where(rest > 0, tn / np.maximum(rest, 1), 0.0)
    out["balanced_accuracy"] = Values.exact(recalls / np.maximum(1, (some > 0).astype(int) + (rest > 0)), rows)
    out["mcc"] = _mcc(counts)
    out["cohen_kappa"] = _kappa(counts)
    if costs is not None:
        out["expected_cost"] = Values.exact(
            (costs[3] * tp + costs[1] * fp + costs[2] * fn + costs[0] * tn) / total, rows
        )
    out["positive_rate"] = Values.exact(some / total, rows)
    return {name: values.replaced(rows == 0, "no_rows") for name, values in out.items()}


def _mcc(counts: Ints) -> Values:
    """Matthews' correlation coefficient of (4, G) outcomes, from exact integers."""
    value = []
    for tp, fp, fn, tn in counts.T.tolist():
        below = [(tp + fp) * (fn + tn), (tp + fn) * (fp + tn)]
        root = float(below[0]) ** 0.5 * float(below[1]) ** 0.5
        value.append(min(1.0, max(-1.0, (tp * tn - fp * fn) / root)) if root else np.nan)
    numbers = np.array(value, dtype=np.float64)
    none = np.isnan(numbers)
    return Values.exact(np.where(none, 0.0, numbers), counts.sum(axis=0)).replaced(none, "one_sided")


def _kappa(counts: Ints) -> Values:
    """Cohen's kappa of (4, G) outcomes (Cohen 1960)."""
    tp, fp, fn, tn = counts.astype(np.float64)
    # Of (TP TN - FP FN) over what chance leaves; written so that whole numbers stay whole.
    below = (tp + fp) * (fp + tn) + (tp + fn) * (fn + tn)
    none = below <= 0
    value = np.where(none, 0.0, 2 * (tp * tn - fp * fn) / np.where(none, 1.0, below))
    return Values.exact(value, counts.sum(axis=0)).replaced(none, "chance_agrees")


# ---- where there is a number -----------------------------------------------------------------------------------------


def _exactly(found: Values, where: Bools, value: Floats) -> Values:
    """The same, and in some groups no interval but this value."""
    there = where & (found.reason == HAS_NUMBER)
    if not there.any():
        return found
    number, lower, upper = (np.where(there, value, side) for side in (found.value, found.lower, found.upper))
    return Values(number, lower, upper, found.n, found.reason)


def _where_classes(g: ScoreGrids, found: Values) -> Values:
    return found.replaced((g.p == 0) | (g.n == 0), "one_class").replaced(g.rows == 0, "no_rows")


def _where_probabilities(g: ScoreGrids, found: Values) -> Values:
    return found.replaced(~g.probabilities, "no_probabilities").replaced(g.rows == 0, "no_rows")
