"""Above ``exact_up_to`` a fit never sorts the column, and still promises which values are knots and what gaps hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from comparing import fitted, number, result_of
from hypothesis import given, settings
from hypothesis import strategies as st
from tolerances import GAP_SHARE, HEAVY_SHARE

import modelwatch_gpu as mw
from modelwatch_gpu import keys
from modelwatch_gpu.profile import knots as knots_module
from modelwatch_gpu.profile.columns import NumericColumn

Array = npt.NDArray[Any]
ROWS = 40_000


def numeric(baseline: mw.Baseline) -> NumericColumn:
    (column,) = baseline.columns
    assert isinstance(column, NumericColumn)
    return column


def neighbours(start: float, count: int, dtype: str) -> Array:
    """Floats one after the other, to the last bit."""
    first = keys.keys_of(np.array([start], dtype=dtype), dtype)[0]
    return keys.values_of(first + np.arange(count, dtype=np.uint64), dtype)


def shapes(seed: int) -> dict[str, Array]:
    """Distributions that are bad for histograms of value or of bits."""
    rng = np.random.default_rng(seed)
    info = np.iinfo(np.int64)
    one = np.full(ROWS, 1234.5)
    one[: ROWS // 100] = rng.lognormal(0, 5, ROWS // 100)
    return {
        "neighbours to the last bit": neighbours(0.3, ROWS, "float64"),
        "neighbours to the last bit, float32": neighbours(-7.0, ROWS, "float32"),
        "two clusters far apart": np.concatenate(
            [1e-300 * (1 + rng.random(ROWS // 2)), 1e300 * (1 + rng.random(ROWS // 2))]
        ),
        "subnormals": rng.integers(1, 2**40, ROWS).astype(np.uint64).view(np.float64) * rng.choice([-1, 1], ROWS),
        "subnormals, float32": rng.integers(1, 2**20, ROWS).astype(np.uint32).view(np.float32),
        "both ends of int64": np.concatenate(
            [info.min + np.arange(ROWS // 2), info.max - rng.integers(0, 2**30, ROWS // 2)]
        ),
        "the last bits of uint64": np.uint64(2**64 - 1) - np.arange(ROWS, dtype=np.uint64),
        "one value in 99 of 100 rows": one,
        "infinite and finite": np.where(rng.random(ROWS) < 0.3, rng.choice([-np.inf, np.inf], ROWS), rng.random(ROWS)),
        "all signs of zero": np.where(
            rng.random(ROWS) < 0.5, rng.choice([0.0, -0.0], ROWS), rng.normal(0, 1e-310, ROWS)
        ),
        "missing rows": np.where(rng.random(ROWS) < 0.5, np.nan, rng.normal(size=ROWS)),
        "smooth": rng.normal(size=ROWS),
    }


def check_promises(x: Array, column: NumericColumn) -> None:
    """Min, max and heavy values are knots, no gap is heavy, and the deciles are NumPy's."""
    x = x[~np.isnan(x)] if x.dtype.kind == "f" else x
    grid = column.values
    values, counts = np.unique(x, return_counts=True)
    heavy = values[(counts >= len(x) * HEAVY_SHARE) & (counts > 1)]
    assert set(np.array([x.min(), x.max(), *heavy]).tolist()) <= set(grid.tolist())
    below = np.searchsorted(grid, x, side="left")
    in_gap = np.searchsorted(grid, x, side="right") == below
    gaps = np.bincount(below[in_gap], minlength=len(grid) + 1)
    assert gaps.max() <= len(x) * GAP_SHARE + 1
    assert gaps[0] == gaps[-1] == 0
    assert len(grid) <= 3 * 4096
    spread = np.abs(x.astype(np.float64)).max()
    if x.dtype.kind == "f" and spread < 1e299:  # beyond, NumPy's interpolation overflows
        deciles = np.unique(np.quantile(x, np.linspace(0, 1, 11)[1:-1]))
        assert list(column.deciles) == deciles.astype(np.float64).tolist()


@pytest.mark.parametrize("name", shapes(0))
def test_gaps_are_light_and_knots_are_what_they_promise_for_any_distribution_and_order(name: str) -> None:
    x = shapes(1)[name]
    baseline = fitted(x, exact_up_to=64)
    column = numeric(baseline)
    assert not column.exact
    check_promises(x, column)
    rng = np.random.default_rng(5)
    for order in (np.argsort(x, kind="stable"), rng.permutation(len(x))):
        shuffled = pa.array(x[order])
        cut = int(rng.integers(1, len(x)))
        log = pa.table({"x": pa.chunked_array([shuffled.slice(0, cut), shuffled.slice(cut)])})
        other = numeric(fitted(log, exact_up_to=64))
        for field in ("knots", "coarse", "edges"):
            assert np.array_equal(getattr(other, field), getattr(column, field)), field
        assert other.deciles == column.deciles
    found = result_of(baseline, x[::2]).values["ks"]
    assert found.lower <= mw.stats.ks(x, x[::2]) <= found.upper


@settings(max_examples=settings.default.max_examples // 3)
@given(
    seed=st.integers(0, 2**31),
    rows=st.integers(5000, 30_000),
    distinct=st.integers(70, 30_000),
    skew=st.floats(0, 3),
    dtype=st.sampled_from(["float64", "float32", "int64"]),
)
def test_the_promises_hold_for_skewed_columns_of_any_size(
    seed: int, rows: int, distinct: int, skew: float, dtype: str
) -> None:
    rng = np.random.default_rng(seed)
    pool = rng.normal(0, 1e6, distinct).astype(dtype)
    share = (1 + np.arange(distinct)) ** -skew
    x = rng.choice(pool, rows, p=share / share.sum())
    column = numeric(fitted(x, exact_up_to=16))
    if not column.exact:
        check_promises(x, column)


@pytest.mark.parametrize("rows", [4096 * 3, 4096 * 3 + 1, 4096 * 4 - 1])
def test_a_value_of_just_one_in_4096_rows_is_a_knot_and_one_row_less_need_not_be(rows: int) -> None:
    least = -(-rows // 4096)
    rng = np.random.default_rng(rows)
    on, below = 0.123456789, 0.987654321
    rest = rng.normal(size=rows - least - (least - 1))
    x = np.concatenate([np.full(least, on), np.full(least - 1, below), rest])
    column = numeric(fitted(rng.permutation(x), exact_up_to=64))
    grid = set(column.values.tolist())
    assert on in grid
    assert below not in grid
    values, counts = np.unique(x, return_counts=True)
    assert {v for v, n in zip(values.tolist(), counts.tolist(), strict=True) if n >= least} <= grid


def test_heavy_values_of_a_skewed_column_get_the_same_knots_for_any_order_and_any_batches() -> None:
    rng = np.random.default_rng(9)
    x = np.concatenate([rng.lognormal(3, 2, 250_000), np.repeat(np.round(rng.lognormal(3, 2, 300), 3), 100)])
    assert len(np.unique(x)) > 131_072
    column = numeric(fitted(x))
    assert not column.exact
    check_promises(x, column)
    for chunks in (1, 7):
        parts = np.array_split(rng.permutation(x), chunks)
        other = numeric(fitted(pa.table({"x": pa.chunked_array([pa.array(p) for p in parts])})))
        assert np.array_equal(other.knots, column.knots)
        assert np.array_equal(other.coarse, column.coarse)


def test_splitting_to_the_end_and_keeping_rows_give_the_same_knots(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, x in shapes(2).items():
        kept = numeric(fitted(x, exact_up_to=64))
        with monkeypatch.context() as patch:
            patch.setattr(knots_module, "_KEPT_ROWS", -1)
            split = numeric(fitted(x, exact_up_to=64))
        assert split.deciles == kept.deciles, name
        assert np.array_equal(split.knots[split.edges], kept.knots[kept.edges]), name
        check_promises(x, split)


def test_several_columns_are_refined_together_and_each_as_alone() -> None:
    columns = {name: x for name, x in shapes(3).items() if len(x) == ROWS}
    together = mw.Baseline.fit(pa.table(columns), exact_up_to=64)
    assert len(together.columns) == len(columns)
    for column in together.columns:
        assert isinstance(column, NumericColumn)
        alone = numeric(fitted(columns[column.name], exact_up_to=64))
        assert np.array_equal(column.knots, alone.knots), column.name


def test_a_column_of_nothing_but_missing_rows_and_one_value_has_a_grid() -> None:
    x = np.full(ROWS, np.nan)
    x[7] = 2.5
    column = numeric(fitted(x, exact_up_to=2))
    assert 2.5 in column.values.tolist()
    assert number(result_of(fitted(x), x).values["ks"]) == 0.0
