"""Worlds in which the truth is known: distributions of days, drawn at the level of state, whatever the number of rows.

A world has a population of the baseline and one of the window whose effect is exactly what is asked for. A day's own
distribution is drawn around its population's (``clustered``) or is the population itself. What a check sees of a day is
a multinomial count over cells.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import erf, sqrt

import numpy as np
import numpy.typing as npt

from modelwatch_gpu.checks.statistics import auc
from modelwatch_gpu.checks.transported import Placed
from modelwatch_gpu.measures import bins

Floats = npt.NDArray[np.float64]

#: Cells of a number: 129 values between -4 and 4, which is what a coarse grid of 128 knots tells apart.
EDGES = np.linspace(-4.0, 4.0, 128)
#: The same as places on an axis; a row beyond the last edge is a tenth beyond it.
_STEP = float(EDGES[1] - EDGES[0])
_PLACES = np.concatenate([[EDGES[0] - 0.1], (EDGES[1:] + EDGES[:-1]) / 2, [EDGES[-1] + 0.1]])
PLACED = Placed(
    np.concatenate([[0.1], np.full(len(EDGES) - 1, _STEP), [0.1]]),
    np.array([True, *[False] * (len(EDGES) - 1), True]),
    _PLACES,
    1.0,
)
#: How far days differ: sd of their means, in sd of their rows.
BETWEEN = 0.3
#: Rows of a day of the Dirichlet that draws its shares: a design effect of 1 + (rows - 1) / (1 + CONCENTRATION).
CONCENTRATION = 200.0


@dataclass(frozen=True)
class World:
    """``day``: (generator, of the window?, days, clustered?) -> (days, cells) shares of each day."""

    measure: str
    day: Callable[[np.random.Generator, bool, int, bool], Floats]
    effect: float


def _normal(mean: Floats, sd: float) -> Floats:
    """(days, cells) shares of a normal distribution between the edges."""
    z = (EDGES[None, :] - mean[:, None]) / sd
    upto = 0.5 * (1 + np.vectorize(erf)(z / sqrt(2)))
    return np.diff(np.concatenate([np.zeros((len(mean), 1)), upto, np.ones((len(mean), 1))], axis=1), axis=1)


def _ks(p: Floats, q: Floats) -> float:
    return float(np.abs(np.cumsum(p) - np.cumsum(q)).max())


def _js(p: Floats, q: Floats) -> float:
    return float(np.sqrt(bins.js_divergence_of(bins.Histograms(p[None] * 1e12, q[None] * 1e12))[0]))


def _solve(size: Callable[[float], float], wanted: float, high: float) -> float:
    """The move whose effect is ``wanted``, by bisection: effects grow with the move."""
    low = 0.0
    if wanted == 0:
        return 0.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if size(middle) < wanted else (low, middle)
    return (low + high) / 2


def ks(effect: float) -> World:
    """A number whose mean moves."""
    sd = sqrt(1 + BETWEEN**2)
    base = _normal(np.zeros(1), sd)[0]
    shift = _solve(lambda d: _ks(base, _normal(np.array([d]), sd)[0]), effect, 6.0)

    def day(rng: np.random.Generator, window: bool, days: int, clustered: bool) -> Floats:
        mean = np.full(days, shift if window else 0.0)
        if not clustered:
            return np.repeat(_normal(mean[:1], sd), days, axis=0)
        return _normal(mean + BETWEEN * rng.normal(size=days), 1.0)

    return World("ks", day, effect)


def _categories(p: Floats, q: Floats, measure: str, effect: float) -> World:
    def day(rng: np.random.Generator, window: bool, days: int, clustered: bool) -> Floats:
        share = q if window else p
        if not clustered:
            return np.repeat(share[None], days, axis=0)
        some = share > 0
        out = np.zeros((days, len(share)))
        out[:, some] = rng.dirichlet(CONCENTRATION * share[some], size=days)
        return out

    return World(measure, day, effect)


def js_distance(effect: float) -> World:
    """Twelve categories of which the last two grow at the cost of all others."""
    p = np.array([0.2, 0.16, 0.13, 0.11, 0.1, 0.08, 0.07, 0.05, 0.04, 0.03, 0.02, 0.01])
    far = np.zeros(12)
    far[-2:] = 0.5
    move = _solve(lambda a: _js(p, (1 - a) * p + a * far), effect, 1.0)
    return _categories(p, (1 - move) * p + move * far, "js_distance", effect)


def missing_change(effect: float) -> World:
    """Missing rows, and rows with a value."""
    return _categories(np.array([0.05, 0.95]), np.array([0.05 + effect, 0.95 - effect]), "missing_change", effect)


def unseen(effect: float) -> World:
    """Rows whose value the baseline lacks, and four values that it has."""
    known = np.array([0.0, 0.4, 0.3, 0.2, 0.1])
    new = np.array([1.0, 0.0, 0.0, 0.0, 0.0])
    return _categories(known, (1 - effect) * known + effect * new, "unseen", effect)


#: Of answers: how far days differ, in the logits of the positive class, in the share of right answers, in the
#: logarithm of the size of errors; and what is true in the baseline.
POSITIVE_BETWEEN, ERRORS_BETWEEN = 0.3, 0.15
AREA, POSITIVES, RIGHT = 0.75, 0.2, 0.85


def _scores(mean: Floats, sd: float) -> Floats:
    """(days, cells) shares of normal scores, which 33 cells tell apart."""
    return np.add.reduceat(_normal(mean, sd), np.arange(0, len(EDGES) + 1, 4), axis=1)


def _area(shift: float, sd: float) -> float:
    """Under the ROC curve: normal scores of negatives, moved ones of positives."""
    negatives, positives = _scores(np.zeros(1), 1.0)[0], _scores(np.array([shift]), sd)[0]
    return float((positives * (np.cumsum(negatives) - negatives / 2)).sum())


def roc_auc_drop(effect: float, area: float = AREA) -> World:
    """Scores of two classes, normal in either: those of positives move from day to day, and towards the negatives'."""
    sd = sqrt(1 + POSITIVE_BETWEEN**2)
    base, moved = (_solve(lambda d: _area(d, sd), area - less, 6.0) for less in (0.0, effect))

    def day(rng: np.random.Generator, window: bool, days: int, clustered: bool) -> Floats:
        mean = np.full(days, moved if window else base)
        rate = np.full(days, POSITIVES)
        if clustered:
            mean = mean + POSITIVE_BETWEEN * rng.normal(size=days)
            rate = rng.beta(CONCENTRATION * POSITIVES, CONCENTRATION * (1 - POSITIVES), size=days)
        positives = _scores(mean, 1.0 if clustered else sd)
        negatives = np.repeat(_scores(np.zeros(1), 1.0), days, axis=0)
        return np.concatenate([(1 - rate[:, None]) * negatives, rate[:, None] * positives], axis=1)

    return World("roc_auc_drop", day, effect)


#: The area of a sharper score, whose thresholds are smaller (decision 0036).
SHARP_AREA = 0.97


def roc_auc_drop_sharp(effect: float) -> World:
    """The same of a score that tells the classes apart better."""
    return roc_auc_drop(effect, SHARP_AREA)


#: Of scores of three classes: their shares, and the levels that a score tells apart.
CLASSES, LEVELS = np.array([0.5, 0.3, 0.2]), np.linspace(-0.5, 1.5, 3)


def _levels(mean: Floats, sd: float) -> Floats:
    """(days, levels) shares of a normal score."""
    z = (LEVELS[None, :] - mean[:, None]) / sd
    upto = 0.5 * (1 + np.vectorize(erf)(z / sqrt(2)))
    return np.diff(np.concatenate([np.zeros((len(mean), 1)), upto, np.ones((len(mean), 1))], axis=1), axis=1)


def _rows_of_classes(mean: Floats, sd: float) -> Floats:
    """(days, 3 x levels^3) shares of rows by label and three scores, each higher where it is the label's."""
    own, other = _levels(mean, sd), _levels(np.zeros(len(mean)), 1.0)
    out = []
    for label, share in enumerate(CLASSES):
        a, b, c = (own if k == label else other for k in range(3))
        out.append(share * np.einsum("da,db,dc->dabc", a, b, c).reshape(len(mean), -1))
    return np.concatenate(out, axis=1)


def against_the_rest(rows: Floats) -> Floats:
    """(days, 3 x 2 levels) of rows by label and scores: of each class's score the rows of others, then its own."""
    size = len(LEVELS) + 1
    cube = rows.reshape(len(rows), 3, size, size, size)
    out = []
    for k in range(3):
        by_level = cube.sum(axis=tuple(2 + j for j in range(3) if j != k))
        out += [np.delete(by_level, k, axis=1).sum(axis=1), by_level[:, k]]
    return np.concatenate(out, axis=1)


def macro_area(counts: Floats) -> Floats:
    """(replicates,) mean of the areas of three classes against the rest."""
    found: Floats = np.mean([auc(part) for part in np.split(counts, 3, axis=1)], axis=0)
    return found


def roc_auc_macro_drop(effect: float) -> World:
    """Scores of three classes, without a predicted one: the label's own score moves from day to day, and down."""
    sd = sqrt(1 + POSITIVE_BETWEEN**2)

    def area(shift: float) -> float:
        rows = 1e9 * _rows_of_classes(np.array([shift]), sd)  # of so many pairs an area is what it is of shares
        return float(macro_area(against_the_rest(rows))[0])

    base, moved = (_solve(area, AREA - less, 6.0) for less in (0.0, effect))

    def day(rng: np.random.Generator, window: bool, days: int, clustered: bool) -> Floats:
        mean = np.full(days, moved if window else base)
        if clustered:
            mean = mean + POSITIVE_BETWEEN * rng.normal(size=days)
        return _rows_of_classes(mean, 1.0 if clustered else sd)

    return World("roc_auc_macro_drop", day, effect)


def wasserstein_sd(effect: float) -> World:
    """A number whose mean moves, as for ks."""
    sd = sqrt(1 + BETWEEN**2)
    base = _normal(np.zeros(1), sd)

    def apart(move: float) -> float:
        return float(PLACED.apart(np.cumsum(base, axis=1), np.cumsum(_normal(np.array([move]), sd), axis=1))[0])

    shift = _solve(apart, effect, 3.0)

    def day(rng: np.random.Generator, window: bool, days: int, clustered: bool) -> Floats:
        mean = np.full(days, shift if window else 0.0)
        if not clustered:
            return np.repeat(_normal(mean[:1], sd), days, axis=0)
        return _normal(mean + BETWEEN * rng.normal(size=days), 1.0)

    return World("wasserstein_sd", day, effect)


def sd_ratio(effect: float) -> World:
    """Normal numbers, whose size and mean differ from day to day; ``effect``: the ratio, 0 for none."""

    def day(rng: np.random.Generator, window: bool, days: int, clustered: bool) -> Floats:
        size = np.full(days, effect if window and effect else 1.0)
        mean = np.zeros(days)
        if clustered:
            # What means differ by is part of the deviation, and grows with it.
            mean = size * BETWEEN * rng.normal(size=days)
            size = size * np.exp(ERRORS_BETWEEN * rng.normal(size=days) - ERRORS_BETWEEN**2)
        return np.stack([mean, size], axis=1)

    return World("sd_ratio", day, effect)


def powers(rng: np.random.Generator, days: Floats, rows: int) -> Floats:
    """(days, 4) rows, sums of normal numbers with these (days, 2) means and sizes, of their squares and of their fourth
    powers."""
    each = spread(len(days), rows)
    mean, size = days.T
    if rows <= 10_000:
        own = np.split(rng.normal(size=rows) * np.repeat(size, each) + np.repeat(mean, each), np.cumsum(each)[:-1])
        return np.array([[len(x), x.sum(), (x**2).sum(), (x**4).sum()] for x in own])
    z = rng.normal(size=len(days)) / np.sqrt(each)
    square = z**2 + rng.chisquare(each - 1) / each  # sample mean and variance are independent
    fourth = 3 * size**4 + 6 * size**2 * mean**2 + mean**4  # of so many these are what they are on average
    second = mean**2 + 2 * mean * size * z + size**2 * square
    return each[:, None] * np.stack([np.ones(len(days)), mean + size * z, second, fourth], axis=1)


def accuracy_drop(effect: float) -> World:
    """Right answers and wrong ones."""
    return _categories(
        np.array([RIGHT, 1 - RIGHT]), np.array([RIGHT - effect, 1 - RIGHT + effect]), "accuracy_drop", effect
    )


def rmse(effect: float) -> World:
    """Normal errors, whose size differs from day to day; shares are of one cell, for sums of squares are drawn."""

    def day(rng: np.random.Generator, window: bool, days: int, clustered: bool) -> Floats:
        size = np.full(days, 1 + effect if window else 1.0)
        if clustered:  # the mean square stays what it is
            size *= np.exp(ERRORS_BETWEEN * rng.normal(size=days) - ERRORS_BETWEEN**2)
        return size[:, None]

    return World("rmse", day, effect)


def squares(rng: np.random.Generator, sizes: Floats, rows: int) -> Floats:
    """(days, 3) rows, sums of squares and of fourth powers of normal errors of these sizes."""
    each = spread(len(sizes), rows)
    if rows <= 10_000:
        errors = np.split(rng.normal(size=rows), np.cumsum(each)[:-1])
        powers = np.array([[len(e), (e**2).sum(), (e**4).sum()] for e in errors])
    else:  # of so many the fourth powers add up to what they are on average
        square = rng.chisquare(np.maximum(each, 1)) * (each > 0)
        powers = np.stack([each, square, 3 * square**2 / np.maximum(each, 1)], axis=1)
    found: Floats = powers * np.concatenate([np.ones_like(sizes), sizes**2, sizes**4], axis=1)
    return found


WORLDS = {"ks": ks, "js_distance": js_distance, "missing_change": missing_change, "unseen": unseen}
#: Of answers, where the log has labels.
ANSWERS = {
    "roc_auc_drop": roc_auc_drop,
    "roc_auc_drop_sharp": roc_auc_drop_sharp,
    "roc_auc_macro_drop": roc_auc_macro_drop,
    "accuracy_drop": accuracy_drop,
    "rmse": rmse,
}
#: What default checks do not judge, but others can.
OTHERS = {"wasserstein_sd": wasserstein_sd, "sd_ratio": sd_ratio}
WORLDS |= ANSWERS | OTHERS


def spread(days: int, rows: int) -> npt.NDArray[np.int64]:
    """(days,) rows of each, as even as whole numbers can be."""
    each = np.full(days, rows // days)
    each[: rows % days] += 1
    return each


def counts(rng: np.random.Generator, shares: Floats, rows: int) -> Floats:
    """(days, cells) counts of ``rows`` rows spread over the days as evenly as whole numbers can be."""
    return rng.multinomial(spread(len(shares), rows), shares / shares.sum(axis=1, keepdims=True)).astype(np.float64)
