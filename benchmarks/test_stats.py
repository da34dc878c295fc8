"""KS and histograms of arrays, against SciPy and NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.stats import ks_2samp

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
