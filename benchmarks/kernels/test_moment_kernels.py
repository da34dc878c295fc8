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


# Eight statistics: rows that are null and NaN, mean, deviation, skewness, kurtosis, smallest and largest value. Ours
# counts infinities and zeros beside them.


@pytest.mark.parametrize("nulls", [0.0, 0.1], ids=["whole", "nulls"])
def test_moments_against_polars(nulls: float, race: Callable[..., Any]) -> None:
    pl = pytest.importorskip("polars")
    array = _column(nulls)
    frame, column = pl.DataFrame({"x": pl.from_arrow(array)}), pl.col("x")
    wanted = [
        column.null_count().alias("null"),
        column.is_nan().sum().alias("nan"),
        column.mean().alias("mean"),
        column.std(ddof=0).alias("sd"),
        column.skew().alias("skew"),
        column.kurtosis().alias("kurtosis"),
        column.min().alias("min"),
        column.max().alias("max"),
    ]
    mine, theirs = race(
        lambda: mw.stats.moments(array, threads=1),
        lambda: frame.select(wanted).row(0),
        "polars",
        len(array),
        4 * len(array),
    )
    _check(mine, theirs)


@pytest.mark.parametrize("nulls", [0.0, 0.1], ids=["whole", "nulls"])
def test_moments_against_duckdb(nulls: float, race: Callable[..., Any]) -> None:
    duckdb = pytest.importorskip("duckdb")
    array = _column(nulls)
    connection = duckdb.connect(config={"threads": 1})
    arrow = pa.table({"x": array})
    connection.register("arrow", arrow)
    connection.execute("CREATE TABLE t AS SELECT * FROM arrow")
    query = """SELECT count(*) - count(x), count(*) FILTER (isnan(x)), avg(x), stddev_pop(x), skewness(x), kurtosis(x),
                      min(x), max(x) FROM t"""
    mine, theirs = race(
        lambda: mw.stats.moments(array, threads=1),
        lambda: connection.execute(query).fetchone(),
        "duckdb",
        len(array),
        4 * len(array),
    )
    _check(mine, theirs)


def _column(nulls: float) -> pa.Array:
    x = Kind().values()
    return pa.array(x, mask=np.random.default_rng(2).random(len(x)) < nulls if nulls else None)


def _check(mine: mw.stats.Moments, theirs: Any) -> None:
    assert (mine.null_count, mine.nan_count, mine.min, mine.max) == (*theirs[:2], *theirs[6:])
    # The peer adds float32 values up in another order, and in fewer bits where its type has them.
    assert np.allclose((mine.mean, mine.sd, mine.skewness, mine.kurtosis), theirs[2:6], rtol=1e-3, atol=1e-3)
