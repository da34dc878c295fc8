"""Log-linear histograms and registers, one thread, against the sketches of datasketches, DuckDB and Polars."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from kernel_columns import Kind

import modelwatch_gpu as mw

SHARES = [0.01, 0.5, 0.99]
KINDS = [Kind(), Kind("float64"), Kind(shape="lognormal"), Kind(shape="constant"), Kind(nan=0.01)]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_log_linear_histogram_against_a_kll_sketch(kind: Kind, race: Callable[..., Any]) -> None:
    sketches = pytest.importorskip("datasketches")
    x = kind.values()
    make = sketches.kll_floats_sketch if kind.dtype == "float32" else sketches.kll_doubles_sketch

    def theirs() -> Any:
        sketch = make(200)
        sketch.update(x)
        return sketch

    mine, sketch = race(
        lambda: mw.stats.log_linear_histogram(x, threads=1), theirs, "datasketches KLL 200", len(x), x.nbytes
    )
    held = x[x == x]
    assert mine.n == len(held)
    exact = np.quantile(held, SHARES, method="inverted_cdf")
    assert np.all(np.abs(np.asarray(mine.quantile(SHARES)) - exact) <= 2**-8 * np.abs(exact))
    # Theirs is near in rank, not in value.
    ranks = [sketch.get_rank(v) for v in exact]
    assert np.abs(np.asarray(ranks) - SHARES).max() < 0.05 or kind.shape == "constant"


@pytest.mark.parametrize("kind", [Kind(), Kind("float64"), Kind("int64"), Kind(shape="ten-values")], ids=str)
def test_registers_against_duckdb(kind: Kind, race: Callable[..., Any]) -> None:
    duckdb = pytest.importorskip("duckdb")
    x = kind.values()
    connection = duckdb.connect(config={"threads": 1})
    arrow = pa.table({"x": x})
    connection.register("arrow", arrow)
    connection.execute("CREATE TABLE t AS SELECT * FROM arrow")
    query = "SELECT approx_count_distinct(x) FROM t"
    mine, theirs = race(
        lambda: mw.stats.approx_distinct(x, threads=1),
        lambda: connection.execute(query).fetchone()[0],
        "duckdb approx_count_distinct",
        len(x),
        x.nbytes,
    )
    exact = len(np.unique(x))
    assert abs(mine - exact) < 0.08 * exact
    assert abs(theirs - exact) < 0.2 * exact


def test_registers_against_polars(race: Callable[..., Any]) -> None:
    pl = pytest.importorskip("polars")
    x = Kind().values()
    frame = pl.DataFrame({"x": x})
    mine, theirs = race(
        lambda: mw.stats.approx_distinct(x, threads=1),
        lambda: frame.select(pl.col("x").approx_n_unique()).item(),
        "polars approx_n_unique",
        len(x),
        x.nbytes,
    )
    assert abs(mine - theirs) < 0.08 * theirs


def test_registers_against_a_sketch_of_datasketches(race: Callable[..., Any]) -> None:
    sketches = pytest.importorskip("datasketches")
    x = Kind(rows=200_000).values()
    listed = x.tolist()

    def theirs() -> Any:
        # It takes one value at a time, so Python's own time is in it.
        sketch = sketches.hll_sketch(12)
        for value in listed:
            sketch.update(value)
        return sketch.get_estimate()

    mine, estimate = race(
        lambda: mw.stats.approx_distinct(x, threads=1), theirs, "datasketches HLL 12", len(x), x.nbytes
    )
    assert abs(mine - estimate) < 0.1 * estimate
