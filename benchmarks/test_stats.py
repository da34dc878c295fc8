"""Measures of arrays, against SciPy and NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.stats import ks_2samp, rankdata, wasserstein_distance

import modelwatch_gpu as mw

ROWS = 2_000_000


def _shape(name: str, rows: int, seed: int, shift: float) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(seed)
    if name == "normal":
        values = rng.normal(shift, 1, rows)
    elif name == "lognormal":
        values = rng.lognormal(shift, 2, rows)
    else:
        values = rng.integers(0, 100, rows).astype(float) + np.rint(shift)
    return values.astype(np.float32)


@pytest.mark.parametrize("name", ["normal", "lognormal", "hundred-values"])
def test_exact_ks_of_two_million_rows_against_a_hundred_thousand(name: str, against: Callable[..., Any]) -> None:
    a, b = _shape(name, 100_000, 1, 0.0), _shape(name, ROWS, 2, 0.01)
    mine, theirs = against(
        lambda: mw.stats.ks(a, b, threads=1), lambda: ks_2samp(a, b, method="asymp").statistic, "scipy.stats.ks_2samp"
    )
    assert abs(mine - theirs) < 1e-15


@pytest.mark.parametrize("edges", ["uniform-64", "quantile-19"])
def test_a_histogram_with_exact_edges(edges: str, against: Callable[..., Any]) -> None:
    x = _shape("normal", ROWS, 3, 0.0)
    cut = np.linspace(-4, 4, 65) if edges == "uniform-64" else np.quantile(x[:100_000], np.linspace(0, 1, 20))
    cut = cut.astype(np.float32)
    mine, theirs = against(
        lambda: mw.stats.histogram(x, cut, threads=1), lambda: np.histogram(x, cut)[0], "numpy.histogram"
    )
    assert np.array_equal(mine, theirs)


def test_wasserstein_of_two_samples_of_half_a_million(against: Callable[..., Any]) -> None:
    a, b = _shape("normal", 500_000, 4, 0.0), _shape("normal", 500_000, 5, 0.01)
    mine, theirs = against(
        lambda: mw.stats.wasserstein(a, b), lambda: wasserstein_distance(a, b), "scipy.stats.wasserstein_distance"
    )
    # SciPy sums float32 values in float32.
    assert abs(mine - theirs) < 1e-5


def test_roc_auc_of_half_a_million_scores(against: Callable[..., Any]) -> None:
    rng = np.random.default_rng(6)
    labels = rng.random(500_000) < 0.2
    scores = rng.random(500_000) + 0.3 * labels

    def by_ranks() -> float:
        positives = int(labels.sum())
        ranks = float(rankdata(scores)[labels].sum())
        return (ranks - positives * (positives + 1) / 2) / (positives * (len(labels) - positives))

    mine, theirs = against(lambda: mw.stats.roc_auc(labels, scores), by_ranks, "scipy.stats.rankdata")
    assert abs(mine - theirs) < 1e-12


def test_moments_to_the_fourth_of_two_million_rows(against: Callable[..., Any]) -> None:
    x = _shape("lognormal", ROWS, 7, 0.0).astype(np.float64)

    def in_numpy() -> tuple[float, float, float, float]:
        away = x - x.mean()
        return x.mean(), x.std(), (away**3).mean() / x.std() ** 3, (away**4).mean() / x.std() ** 4 - 3

    mine, theirs = against(lambda: mw.stats.moments(x, threads=1), in_numpy, "numpy")
    assert np.allclose((mine.mean, mine.sd, mine.skewness, mine.kurtosis), theirs, rtol=1e-9)


def test_quantiles_of_two_million_rows(against: Callable[..., Any]) -> None:
    x, shares = _shape("normal", ROWS, 8, 0.0), [0.01, 0.25, 0.5, 0.75, 0.99]
    mine, theirs = against(
        lambda: mw.stats.quantile(x, shares),
        lambda: np.quantile(x, shares, method="inverted_cdf"),
        "numpy.quantile",
    )
    assert np.array_equal(mine, theirs)


def test_psi_of_fifty_columns_at_once(against: Callable[..., Any]) -> None:
    rng = np.random.default_rng(9)
    a, b = rng.normal(size=(20_000, 50)), rng.normal(0.1, 1, size=(20_000, 50))

    def in_numpy() -> list[float]:
        out = []
        for i in range(a.shape[1]):
            edges = np.quantile(a[:, i], np.arange(1, 10) / 10)
            p, q = (np.bincount(np.searchsorted(edges, s[:, i]), minlength=10) / len(s) for s in (a, b))
            out.append(float(np.sum((q - p) * np.log(q / p))))
        return out

    mine, theirs = against(lambda: mw.stats.psi(a, b, threads=1), in_numpy, "numpy")
    assert np.allclose(mine, theirs, rtol=1e-9)
