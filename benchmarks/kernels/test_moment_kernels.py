"""Mean, deviation, skewness, kurtosis, smallest and largest value, one thread, against NumPy and query engines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from kernel_columns import FEW, Kind

import modelwatch_gpu as mw

KINDS = [
    *(Kind(dtype) for dtype in ("float32", "float64", "int8", "int16", "int64")),
    Kind(rows=FEW),
    Kind(shape="lognormal"),
    Kind(shape="constant"),
]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_moments_against_numpy(kind: Kind, race: Callable[..., Any]) -> None:
    x = kind.values()

    def in_numpy() -> tuple[float, float]:
        wide = x.astype(np.float64)
        away = wide - wide.mean()
        sd = wide.std()
        with np.errstate(invalid="ignore"):
            _ = (away**3).mean() / sd**3, (away**4).mean() / sd**4, x.min(), x.max()
        return float(wide.mean()), float(sd)

    mine, theirs = race(lambda: mw.stats.moments(x, threads=1), in_numpy, "numpy", len(x), x.nbytes)
    assert np.allclose((mine.mean, mine.sd), theirs, rtol=1e-9, atol=1e-12)


def test_moments_against_polars(race: Callable[..., Any]) -> None:
    pl = pytest.importorskip("polars")
    x = Kind().values()
    frame, column = pl.DataFrame({"x": x}), pl.col("x")
    wanted = [
        column.mean().alias("mean"),
        column.std(ddof=0).alias("sd"),
        column.skew().alias("skew"),
        column.kurtosis().alias("kurtosis"),
        column.min().alias("min"),
        column.max().alias("max"),
    ]
    mine, theirs = race(
        lambda: mw.stats.moments(x, threads=1), lambda: frame.select(wanted).row(0), "polars", len(x), x.nbytes
    )
    assert np.allclose((mine.mean, mine.sd), theirs[:2], rtol=1e-3, atol=1e-5)


def test_moments_against_duckdb(race: Callable[..., Any]) -> None:
    duckdb = pytest.importorskip("duckdb")
    x = Kind().values()
    connection = duckdb.connect(config={"threads": 1})
    connection.register("t", pa.table({"x": x}))
    query = "SELECT avg(x), stddev_pop(x), skewness(x), kurtosis(x), min(x), max(x) FROM t"
    mine, theirs = race(
        lambda: mw.stats.moments(x, threads=1), lambda: connection.execute(query).fetchone(), "duckdb", len(x), x.nbytes
    )
    assert np.allclose((mine.mean, mine.sd), theirs[:2], rtol=1e-4, atol=1e-6)
