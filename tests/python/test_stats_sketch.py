"""Log-linear histograms and approximate distinct counts of mw.stats, against NumPy, Python and paper."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import modelwatch_gpu as mw

HARD = st.sampled_from([0.0, -0.0, 5e-324, -5e-324, 1e-40, -1e-40, 3.4e38, 1.7e308, -1.7e308, math.inf, -math.inf])
SHARES = [0.0, 0.001, 0.25, 0.5, 0.9, 1.0]


def same(a: mw.stats.LogLinearHistogram, b: mw.stats.LogLinearHistogram) -> bool:
    return (
        a.bucket.tolist() == b.bucket.tolist()
        and a.count.tolist() == b.count.tolist()
        and (a.nan, a.null, a.scale) == (b.nan, b.null, b.scale)
    )


def test_a_log_linear_histogram_worked_out_by_hand(device: str) -> None:
    found = mw.stats.log_linear_histogram([1.0, 1.001, 2.0, -2.0, None, math.nan, 0.0, -0.0], device=device)
    # From 1 to 2 there are 128 buckets: 1.001 stands beside 1, and 2 opens the 129th.
    one = 0x3FF << 7 | 1 << 18
    assert found.count.tolist() == [1, 2, 2, 1]
    assert found.bucket.tolist() == [(1 << 18) - 1 - (0x400 << 7), 1 << 18, one, one + 128]
    assert (found.n, found.nan, found.null) == (6, 1, 1)
    lower, upper = found.bounds()
    assert (lower[2], upper[2]) == (1.0, np.nextafter(1 + 2**-7, 0))
    assert (lower[0], upper[0]) == (-np.nextafter(2 + 2**-6, 0), -2.0)
    assert found.quantile(0.5) == 0.0
    assert found.quantile([0.0, 1.0]).tolist() == pytest.approx([-2.0, 2.0], rel=2**-8)


@given(st.lists(HARD | st.floats(allow_nan=False), min_size=1, max_size=60), st.floats(0, 1))
def test_a_quantile_lies_within_its_bounds_and_near_the_exact_one(values: list[float], q: float) -> None:
    exact = float(mw.stats.quantile(values, q))
    found = mw.stats.log_linear_histogram(values)
    lower, upper = found.quantile_bounds(q)
    assert lower <= exact <= upper
    near = found.quantile(q)
    assert near == exact or abs(near - exact) <= 2**-8 * abs(exact) or abs(exact) < 2**-1015


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "int32", "int64", "uint64"])
@pytest.mark.parametrize("rows", [1, 5000, 90_001])
def test_quantiles_of_every_type_are_near_numpys(dtype: str, rows: int) -> None:
    x = np.random.default_rng(rows).gamma(2, 20, rows).clip(1, 120).astype(dtype)
    found = mw.stats.log_linear_histogram(x)
    assert found.n == rows
    exact = np.quantile(x.astype("f8"), SHARES, method="inverted_cdf")
    assert found.quantile(SHARES) == pytest.approx(exact, rel=2**-8)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_parts_add_up_to_the_whole_for_any_split_order_and_number_of_threads(dtype: str) -> None:
    rng = np.random.default_rng(5)
    x = (rng.normal(size=150_000) * 1000).astype(dtype)
    if dtype != "int64":
        x[rng.random(len(x)) < 0.01] = np.nan
        x[::20_011] = 1e-42
    array = pa.array(x, mask=rng.random(len(x)) < 0.1)
    whole = mw.stats.log_linear_histogram(array, threads=1)
    assert whole.null == array.null_count
    assert all(same(mw.stats.log_linear_histogram(array, threads=t), whole) for t in (0, 2, 7))
    parts = [mw.stats.log_linear_histogram(array.slice(a, b - a)) for a, b in ((0, 7), (7, 90_000), (90_000, 150_000))]
    assert same(parts[2] + parts[0] + parts[1], whole)
    assert same(whole + mw.stats.log_linear_histogram(pa.array([], array.type)), whole)


def test_decimals_are_in_their_own_units_and_add_up_only_to_their_own() -> None:
    cents = pa.array([100, 200, 1000]).cast(pa.decimal128(20, 0)).cast(pa.decimal128(30, 2))
    found = mw.stats.log_linear_histogram(cents)
    assert (found.scale, found.quantile(0.5)) == (2, pytest.approx(200, rel=2**-8))
    with pytest.raises(mw.InputError, match="decimal type"):
        _ = found + mw.stats.log_linear_histogram([1.0])


def test_histograms_of_nothing_of_columns_and_of_text() -> None:
    for nothing, null in (([], 0), ([None, None], 2), (pa.nulls(3), 3)):
        found = mw.stats.log_linear_histogram(nothing)
        assert (found.n, found.null) == (0, null)
        with pytest.raises(mw.InputError, match="no answer"):
            found.quantile(0.5)
    two = mw.stats.log_linear_histogram(np.array([[1.0, 5.0], [1.0, 6.0]]))
    assert [h.count.tolist() for h in two] == [[2], [1, 1]]
    for call in (mw.stats.log_linear_histogram, mw.stats.approx_distinct):
        with pytest.raises(mw.InputError, match="numbers"):
            call(["a"])
    with pytest.raises(mw.InputError, match="shares"):
        two[0].quantile(1.5)
    with pytest.raises(TypeError):
        _ = two[0] + 1


@pytest.mark.parametrize("distinct", [1, 10, 1000, 200_000])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "uint64"])
def test_approximate_distinct_counts_are_within_five_standard_errors(distinct: int, dtype: str) -> None:
    x = np.random.default_rng(distinct).permutation(np.resize(np.arange(1, distinct + 1), 200_003)).astype(dtype)
    found = mw.stats.approx_distinct(x)
    assert abs(found - distinct) <= 5 * 1.04 / 64 * distinct


def test_distinct_values_are_one_whatever_type_zero_or_thread_they_come_in(device: str) -> None:
    x = np.random.default_rng(7).integers(0, 50_000, 150_000)
    by_type = {mw.stats.approx_distinct(x.astype(t)) for t in ("int32", "int64", "uint32")}
    assert len(by_type) == 1
    floats: Any = pa.array(x.astype("f4"), mask=x % 7 == 0)
    expected = mw.stats.approx_distinct(floats, device=device, threads=1)
    assert mw.stats.approx_distinct(floats.cast(pa.float64())) == expected
    assert mw.stats.approx_distinct(floats, threads=5) == expected
    result = mw.stats.approx_distinct(pa.array([0.0, -0.0, None, math.nan, 2.0]), full=True)
    assert (round(result.value), result.n, result.missing) == (2, 3, 2)
    assert mw.stats.approx_distinct(pa.nulls(2)) == 0.0
