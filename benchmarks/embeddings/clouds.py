"""Clouds of vectors for calibration and power: three distributions without drift, eight shifts of one of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

DISTRIBUTIONS = ("gaussian", "heavy", "clustered")
TOPICS = 20


def sample(kind: str, rows: int, dimension: int, rng: np.random.Generator) -> Any:
    """(rows, dimension) float32 of one of ``DISTRIBUTIONS``; the topics of "clustered" are the same for every call."""
    if kind == "gaussian":
        return rng.normal(size=(rows, dimension)).astype(np.float32)
    if kind == "heavy":
        return rng.standard_t(2.5, size=(rows, dimension)).astype(np.float32)
    return unit(mixture(rows, dimension, rng))


def topics(dimension: int, seed: int = 5) -> Any:
    """(TOPICS + 1, dimension) centres; the last one is new where a shift asks for it."""
    return np.random.default_rng(seed).normal(size=(TOPICS + 1, dimension)) / np.sqrt(dimension)


def mixture(rows: int, dimension: int, rng: np.random.Generator, weights: Any = None) -> Any:
    """Rows around centres drawn by ``weights`` (all alike by default)."""
    shares = np.full(TOPICS, 1 / TOPICS) if weights is None else weights
    which = rng.choice(len(shares), size=rows, p=shares)
    return topics(dimension)[which] + 0.5 * rng.normal(size=(rows, dimension)) / np.sqrt(dimension)


def unit(values: Any) -> Any:
    """Rows of length 1, float32; a row of one element keeps its value."""
    if values.shape[1] == 1:
        return values.astype(np.float32)
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)


def _mixed(rows: int, d: int, rng: np.random.Generator, moved: float) -> Any:
    weights = np.full(TOPICS, 1 / TOPICS)
    weights[:5] += moved / 5
    weights[5:] -= moved / 15
    return mixture(rows, d, rng, weights)


def _new_topic(rows: int, d: int, rng: np.random.Generator, share: float) -> Any:
    values = mixture(rows, d, rng)
    new = rng.random(rows) < share
    values[new] = topics(d)[TOPICS] + 0.5 * rng.normal(size=(int(new.sum()), d)) / np.sqrt(d)
    return values


def _spread(rows: int, d: int, rng: np.random.Generator, factor: float) -> Any:
    values = unit(mixture(rows, d, rng)).astype(np.float64)
    center = unit(mixture(20_000, d, np.random.default_rng(9))).mean(axis=0, dtype=np.float64)
    return center + factor * (values - center)


def _mean(rows: int, d: int, rng: np.random.Generator, shift: float) -> Any:
    direction = np.random.default_rng(3).normal(size=d)
    return unit(mixture(rows, d, rng)) + shift * direction / np.linalg.norm(direction)


def _duplicates(rows: int, d: int, rng: np.random.Generator, share: float) -> Any:
    values = unit(mixture(rows, d, rng))
    copied = rng.random(rows) < share
    values[copied] = values[rng.integers(0, 10)]
    return values


def _rotated(rows: int, d: int, rng: np.random.Generator, share: float) -> Any:
    values = mixture(rows, d, rng)
    values[:, : int(d * share)] = values[:, : int(d * share)][:, ::-1]
    return values


#: How days of vectors differ: not at all; in their mixture of topics; in their mean.
DAY_EFFECTS = ("none", "mixture", "mean")


def days(effect: str, count: int, rows: int, dimension: int, rng: np.random.Generator, new: float = 0.0) -> Any:
    """(count x rows, dimension) of days that differ by ``effect``, one after the other; ``new``: share of a topic that
    other days do not have."""
    out = []
    for _ in range(count):
        # Shares of topics by Dirichlet (5, ..., 5) lie around 5% with a standard deviation of 2.2 points.
        weights = rng.dirichlet(np.full(TOPICS, 5.0)) if effect == "mixture" else np.full(TOPICS, 1 / TOPICS)
        values = mixture(rows, dimension, rng, weights)
        if new:
            other = rng.random(rows) < new
            values[other] = topics(dimension)[TOPICS] + 0.5 * rng.normal(size=(int(other.sum()), dimension)) / np.sqrt(
                dimension
            )
        moved = 0.15 * rng.normal(size=dimension) / np.sqrt(dimension) if effect == "mean" else 0.0
        out.append(unit(values) + np.float32(moved))
    return np.concatenate(out)


#: Five shifts that single statistics are known to be blind to, and three more: copies of few rows, elements in another
#: order, and longer vectors.
SHIFTS: dict[str, Callable[[int, int, np.random.Generator], Any]] = {
    "mean 0.05": lambda n, d, rng: _mean(n, d, rng, 0.05),
    "new topic 3%": lambda n, d, rng: unit(_new_topic(n, d, rng, 0.03)),
    "topic mix 6 points": lambda n, d, rng: unit(_mixed(n, d, rng, 0.06)),
    "spread x1.03": lambda n, d, rng: _spread(n, d, rng, 1.03),
    "spread x0.95": lambda n, d, rng: _spread(n, d, rng, 0.95),
    "copies 3%": lambda n, d, rng: _duplicates(n, d, rng, 0.03),
    "order of 2% of elements": lambda n, d, rng: unit(_rotated(n, d, rng, 0.02)),
    "longer by 1%": lambda n, d, rng: 1.01 * unit(mixture(n, d, rng)),
}
