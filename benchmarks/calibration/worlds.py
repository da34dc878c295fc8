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

from modelwatch_gpu.measures import bins

Floats = npt.NDArray[np.float64]

#: Cells of a number: 129 values between -4 and 4, which is what a coarse grid of 128 knots tells apart.
EDGES = np.linspace(-4.0, 4.0, 128)
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


def roc_auc_drop(effect: float) -> World:
    """Scores of two classes, normal in either: those of positives move from day to day, and towards the negatives'."""
    sd = sqrt(1 + POSITIVE_BETWEEN**2)
    base, moved = (_solve(lambda d: _area(d, sd), AREA - less, 6.0) for less in (0.0, effect))

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
ANSWERS = {"roc_auc_drop": roc_auc_drop, "accuracy_drop": accuracy_drop, "rmse": rmse}
WORLDS |= ANSWERS


def spread(days: int, rows: int) -> npt.NDArray[np.int64]:
    """(days,) rows of each, as even as whole numbers can be."""
    each = np.full(days, rows // days)
    each[: rows % days] += 1
    return each


def counts(rng: np.random.Generator, shares: Floats, rows: int) -> Floats:
    """(days, cells) counts of ``rows`` rows spread over the days as evenly as whole numbers can be."""
    return rng.multinomial(spread(len(shares), rows), shares / shares.sum(axis=1, keepdims=True)).astype(np.float64)
