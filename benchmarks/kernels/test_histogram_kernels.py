"""Histograms, one thread, against NumPy and others that count between edges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from kernel_columns import FEW, Kind

import modelwatch_gpu as mw

KINDS = [
    *(Kind(dtype) for dtype in ("float32", "float64", "int8", "int16", "int64")),
    Kind(rows=FEW),
    *(Kind(shape=shape) for shape in ("lognormal", "ten-values", "constant")),
    *(Kind(nan=share) for share in (0.01, 0.3)),
]


def edges_for(name: str, kind: Kind, x: Any) -> Any:
    """64 equal bins, or as many bins as the name says with equal shares of the rows."""
    low, high = (-4, 4) if kind.shape != "lognormal" else (0, 50)
    unit = 1 if x.dtype.kind == "f" else min(1000, np.iinfo(x.dtype).max // 4)
    if name == "uniform-64":
        edges = np.histogram_bin_edges(x[:1], 64, (low * unit, high * unit))
        return np.unique(edges.astype(x.dtype))
    sample = x[:100_000]
    cuts = np.quantile(sample[sample == sample], np.linspace(0, 1, int(name.split("-")[1]) + 1))
    return np.unique(cuts.astype(x.dtype))


@pytest.mark.parametrize("name", ["uniform-64", "quantile-19", "quantile-400"])
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_histogram_against_numpy(kind: Kind, name: str, race: Callable[..., Any]) -> None:
    x = kind.values()
    edges = edges_for(name, kind, x)
    if len(edges) < 2:
        edges = np.array([edges[0], edges[0] + 1], dtype=x.dtype)
    mine, theirs = race(
        lambda: mw.stats.histogram(x, edges, threads=1),
        lambda: np.histogram(x, edges)[0],
        "numpy.histogram",
        len(x),
        x.nbytes,
    )
    assert np.array_equal(mine, theirs)


def test_histogram_of_64_equal_bins_against_numpys_own_bins(race: Callable[..., Any]) -> None:
    x = Kind().values()
    edges = np.histogram_bin_edges(x, 64, (-4, 4))
    mine, theirs = race(
        lambda: mw.stats.histogram(x, edges, threads=1),
        lambda: np.histogram(x, 64, (-4, 4))[0],
        "numpy.histogram(x, 64, range)",
        len(x),
        x.nbytes,
    )
    assert np.array_equal(mine, theirs)


@pytest.mark.parametrize("name", ["uniform-64", "quantile-19"])
def test_histogram_against_boost_histogram(name: str, race: Callable[..., Any]) -> None:
    bh = pytest.importorskip("boost_histogram")
    x = Kind("float64").values()
    edges = edges_for(name, Kind("float64"), x)
    axis = bh.axis.Regular(64, -4, 4) if name == "uniform-64" else bh.axis.Variable(edges)
    mine, theirs = race(
        lambda: mw.stats.histogram(x, edges, threads=1),
        lambda: bh.Histogram(axis).fill(x).values(),
        f"boost_histogram {type(axis).__name__}",
        len(x),
        x.nbytes,
    )
    # Its last bin is open, and its equal bins are decided by a multiplication.
    assert np.abs(mine - theirs).sum() <= 2


@pytest.mark.parametrize("name", ["uniform-64", "quantile-19"])
def test_histogram_against_polars(name: str, race: Callable[..., Any]) -> None:
    pl = pytest.importorskip("polars")
    x = Kind("float64").values()
    edges = edges_for(name, Kind("float64"), x)
    series = pl.Series(x)
    mine, theirs = race(
        lambda: mw.stats.histogram(x, edges, threads=1),
        lambda: series.hist(bins=edges.tolist(), include_category=False)["count"].to_numpy(),
        "polars.Series.hist",
        len(x),
        x.nbytes,
    )
    # Its bins are closed on the right.
    assert np.abs(mine - theirs.astype(np.int64)).sum() <= 2 * len(edges)
