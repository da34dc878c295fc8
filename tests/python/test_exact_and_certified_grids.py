"""Grids that hold every distinct value give KS itself; coarser ones give bounds that hold it, and say how wide."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from comparing import fitted, number, result_of, table
from hypothesis import given, settings
from hypothesis import strategies as st
from tolerances import GAP_SHARE, HEAVY_SHARE, KS

import modelwatch_gpu as mw
from modelwatch_gpu import keys
from modelwatch_gpu.profile.columns import COARSE_KNOTS, NumericColumn

Array = npt.NDArray[Any]


def draw(seed: int, dtype: str, kind: str, rows: int, shift: float) -> Array:
    """Rows of one of several shapes, in any numeric type."""
    rng = np.random.default_rng(seed)
    x = rng.normal(30 + shift, 9, rows)
    if kind == "ties":
        x = x.round()
    elif kind == "heavy":
        x = np.where(rng.random(rows) < 0.8, rng.choice([7.0, 30.0, 31.0], rows), x)
    elif kind == "extremes":
        info = np.finfo(dtype) if np.dtype(dtype).kind == "f" else np.iinfo(dtype)
        ends = [info.min, info.max, *([-np.inf, np.inf] if np.dtype(dtype).kind == "f" else [])]
        with np.errstate(over="ignore"):
            chosen = rng.choice(np.array(ends, dtype=dtype), rows)
        return np.where(rng.random(rows) < 0.2, chosen, np.abs(x).astype(dtype))
    return np.abs(x).astype(dtype) if np.dtype(dtype).kind == "u" else x.astype(dtype)


DRAWS = {
    "seed": st.integers(0, 2**31),
    "dtype": st.sampled_from(["float64", "float32", "int64", "int16", "uint64"]),
    "kind": st.sampled_from(["smooth", "ties", "heavy", "extremes"]),
    "rows": st.tuples(st.integers(1, 500), st.integers(1, 500)),
    "shift": st.sampled_from([0.0, 2.0, 40.0]),
}


def numeric(baseline: mw.Baseline) -> NumericColumn:
    (column,) = baseline.columns
    assert isinstance(column, NumericColumn)
    return column


def most_shared_gap(knots: Array, a: Array, b: Array) -> float:
    """The largest share that a gap between knots holds of both samples: max over gaps of min(f, g)."""
    shares = []
    for side in (a, b):
        below = np.searchsorted(knots, side, side="left")
        on = np.searchsorted(knots, side, side="right") > below
        shares.append(np.bincount(below[~on], minlength=len(knots) + 1) / len(side))
    return float(np.minimum(*shares).max())


@given(**DRAWS)
def test_a_grid_of_every_distinct_value_gives_ks_itself(
    seed: int, dtype: str, kind: str, rows: tuple[int, int], shift: float
) -> None:
    a, b = draw(seed, dtype, kind, rows[0], 0), draw(seed + 1, dtype, kind, rows[1], shift)
    baseline = fitted(a)
    column = numeric(baseline)
    assert column.exact
    assert set(np.unique(a).tolist()) <= set(column.values.tolist())
    found = result_of(baseline, b).values["ks"]
    assert found.value == found.lower == found.upper == mw.stats.ks(a, b)


@settings(max_examples=settings.default.max_examples * 2)
@given(**DRAWS)
def test_on_a_coarser_grid_ks_lies_within_bounds_no_wider_than_what_one_gap_shares(
    seed: int, dtype: str, kind: str, rows: tuple[int, int], shift: float
) -> None:
    a, b = draw(seed, dtype, kind, rows[0], 0), draw(seed + 1, dtype, kind, rows[1], shift)
    baseline = fitted(a, exact_up_to=16)
    column, found = numeric(baseline), result_of(baseline, b).values["ks"]
    truth = mw.stats.ks(a, b)
    assert found.value == found.lower
    assert found.lower <= truth <= found.upper
    assert found.upper - found.lower <= most_shared_gap(column.values, a, b) + KS
    if len(np.unique(a)) <= 16:
        assert column.exact
        assert found.lower == found.upper


@given(**DRAWS)
def test_windows_on_the_coarse_grid_have_bounds_that_hold_the_truth_and_a_note(
    seed: int, dtype: str, kind: str, rows: tuple[int, int], shift: float
) -> None:
    a, b = draw(seed, dtype, kind, 400 + rows[0], 0), draw(seed + 1, dtype, kind, 300 + rows[1], shift)
    baseline = fitted(a)
    column = numeric(baseline)
    assert len(column.coarse) <= COARSE_KNOTS
    report = mw.compare(baseline, table(b), memory=2000)
    coarse = "Windows are counted on the coarse grid, so measures have bounds"
    is_coarse = any(note.startswith(coarse) for note in report.notes)
    assert is_coarse or 160 + 4 * column.slots + 8 * len(column.knots) <= 2000
    found = report.results[0].values
    truth = mw.stats.ks(a, b)
    assert found["ks"].lower <= truth <= found["ks"].upper
    knots = column.values[column.coarse] if is_coarse else column.values
    assert found["ks"].upper - found["ks"].lower <= most_shared_gap(knots, a, b) + KS
    exact = result_of(baseline, b).values
    for name in ("psi", "js_distance", "chi_square", "missing", "out_of_range", "mean_shift", "sd_ratio"):
        assert found[name] == exact[name]
    for name in ("wasserstein", "cvm", "distinct"):
        if exact[name].reason is None and found[name].reason is None:
            slack = 1e-9 * (1 + abs(exact[name].upper))
            assert found[name].lower <= exact[name].upper + slack
            assert found[name].upper >= exact[name].lower - slack


def test_memory_that_is_too_small_even_for_the_coarse_grid_is_refused_with_the_numbers() -> None:
    baseline = fitted(np.arange(5000.0))
    with pytest.raises(mw.InputError, match=r"needs 2 KiB, and memory= allows 1 KiB; raise memory=") as refused:
        mw.compare(baseline, table(np.arange(5000.0)), memory=1000)
    assert "1 column in 1 window and" in str(refused.value)
    for memory in ("0", "much", -5):
        with pytest.raises(mw.InputError, match="memory"):
            mw.compare(baseline, table(np.arange(5.0)), memory=memory)
    assert number(mw.compare(baseline, table(np.arange(5000.0)), memory="1MB").results[0].values["ks"]) == 0


def crowded(dtype: str, rows: int) -> Array:
    """More distinct values than an exact grid may have: a smooth part, neighbours to the last bit, far outliers, and
    values that many rows have."""
    rng = np.random.default_rng(11)
    third = rows // 3
    if np.dtype(dtype).kind == "f":
        kind = np.dtype(dtype).type
        smooth = rng.lognormal(0, 3, rows - third).astype(dtype)
        start = keys.keys_of(np.array([kind(0.3)]), dtype)[0]
        close = keys.values_of(start + np.arange(third, dtype=np.uint64), dtype)
        outer = np.array([np.finfo(dtype).max, -np.finfo(dtype).max, -0.0, 0.0, 5e-45], dtype=dtype)
    else:
        smooth = rng.normal(0, 1e15, rows - third).astype(dtype)
        close = 2**62 + np.arange(third, dtype=dtype)
        outer = np.array([np.iinfo(dtype).min, np.iinfo(dtype).max, 0], dtype=dtype)
    heavy = np.repeat(np.array([smooth[0], close[5], smooth[1]]), [rows // 10, rows // 2000, rows // 3900])
    return rng.permutation(np.concatenate([smooth, close, outer, heavy]).astype(dtype))


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64"])
def test_a_large_baseline_gets_quantile_knots_without_heavy_gaps(dtype: str) -> None:
    x = crowded(dtype, 400_000)
    assert len(np.unique(x)) > 300_000
    log = pa.table({"x": pa.chunked_array([x[:150_000], x[150_000:]])})
    baseline = fitted(log)
    column = numeric(baseline)
    assert not column.exact
    assert len(column.knots) <= 3 * 4096
    knots = column.values
    deciles = np.unique(np.quantile(x, np.linspace(0, 1, 11)[1:-1]))
    assert list(column.deciles) == deciles.astype(np.float64).tolist()
    values, counts = np.unique(x, return_counts=True)
    for cut, decile in zip(knots[column.edges], deciles.tolist(), strict=True):
        above = np.nextafter(cut, cut.dtype.type(np.inf)) if cut.dtype.kind == "f" else cut + 1
        assert Fraction(cut.item()) <= Fraction(decile) < Fraction(above.item())
    wanted = [x.min(), x.max(), *values[counts >= len(x) * HEAVY_SHARE]]
    assert set(np.array(wanted).tolist()) <= set(knots.tolist())
    below_knot = np.searchsorted(knots, x, side="left")
    in_gap = np.searchsorted(knots, x, side="right") == below_knot
    gaps = np.bincount(below_knot[in_gap], minlength=len(knots) + 1)
    assert gaps.max() <= len(x) * GAP_SHARE + 1
    assert gaps[0] == gaps[-1] == 0
    window = np.concatenate([x[::3], x[:1000] / 2 if dtype != "int64" else x[:1000] // 2]).astype(dtype)
    found = result_of(baseline, window).values["ks"]
    assert found.lower <= mw.stats.ks(x, window) <= found.upper
    assert found.upper - found.lower <= GAP_SHARE + 1 / len(x)
    assert fitted(log, threads=1).to_bytes() == fitted(log, threads=7).to_bytes() == baseline.to_bytes()
    assert np.array_equal(numeric(fitted(table(x[::-1]))).knots, column.knots)


@pytest.mark.parametrize("exact_up_to", [16, 131_072])
def test_deciles_are_numpys_whichever_way_the_baseline_was_fitted(exact_up_to: int) -> None:
    rng = np.random.default_rng(2)
    wanted = np.linspace(0, 1, 11)[1:-1]
    for rows in (1, 2, 9, 10, 11, 101, 3001):
        for values in (rng.normal(size=rows), rng.normal(size=rows).astype("f4"), rng.integers(-999, 999, rows)):
            column = numeric(fitted(values, exact_up_to=exact_up_to))
            assert list(column.deciles) == np.unique(np.quantile(values, wanted)).astype(np.float64).tolist()


def test_fewer_values_than_two_cannot_be_asked_for() -> None:
    with pytest.raises(mw.InputError, match="at least 2"):
        fitted([1.0, 2.0], exact_up_to=1)
