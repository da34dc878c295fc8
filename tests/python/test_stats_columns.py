"""Counts, moments and quantiles of columns in mw.stats, against NumPy, SciPy, Python's fractions and paper."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from tolerances import MOMENTS, SHAPE

import modelwatch_gpu as mw

Array = npt.NDArray[Any]
NUMBERS = st.lists(st.integers(-30, 30).map(lambda v: v / 4), min_size=1, max_size=50)


# ---- counts ----------------------------------------------------------------------------------------------------------


def test_counts_worked_out_by_hand(device: str) -> None:
    x = pa.array([1.0, None, math.nan, 1.0, -0.0, 0.0, math.inf, None])
    assert mw.stats.row_count(x, device=device) == 8
    assert mw.stats.missing(x, device=device) == 3 / 8
    assert mw.stats.nan(x, device=device) == 1 / 8
    assert mw.stats.distinct(x, device=device) == 3
    result = mw.stats.missing(x, full=True)
    assert (result.n, result.missing, result.device) == (5, 3, "cpu")
    assert isinstance(mw.stats.distinct(x), int)
    assert mw.stats.missing_change([1.0, None], x) == 3 / 8 - 1 / 2


def test_counts_take_what_is_no_number() -> None:
    text = pa.array(["a", "b", None, "a"])
    for kind in (text, text.dictionary_encode(), text.cast(pa.large_string())):
        assert (mw.stats.row_count(kind), mw.stats.missing(kind), mw.stats.distinct(kind)) == (4, 0.25, 2)
        assert mw.stats.nan(kind) == 0
    assert mw.stats.missing([None, None]) == 1
    assert mw.stats.distinct([None]) == 0
    assert mw.stats.distinct([True, False, None]) == 2
    assert mw.stats.distinct(np.array([2**63, 2**63 + 1], "u8")) == 2


def test_counts_of_columns_come_as_whole_numbers() -> None:
    x = np.array([[1, 2, 3], [1, 5, 3]])
    assert mw.stats.distinct(x).tolist() == [1, 2, 1]
    assert mw.stats.distinct(x).dtype == mw.stats.row_count(x).dtype == np.int64
    assert mw.stats.missing(x.astype(float)).tolist() == [0, 0, 0]
    assert mw.stats.missing_change(x, x[:1]).tolist() == [0, 0, 0]


def test_no_rows_have_no_share() -> None:
    for measure in (mw.stats.missing, mw.stats.nan):
        with pytest.raises(mw.InputError, match="no rows"):
            measure([])
    with pytest.raises(mw.InputError, match="no rows"):
        mw.stats.missing_change([], [1])
    assert mw.stats.row_count([]) == mw.stats.distinct([]) == 0


@given(NUMBERS, NUMBERS, st.sampled_from(["float64", "float32", "int64", "int8"]))
def test_out_of_range_and_unseen_are_what_python_sets_say(left: list[float], right: list[float], dtype: str) -> None:
    a, b = np.array(left).astype(dtype), np.array(right).astype(dtype)
    outside = sum(not a.min() <= v <= a.max() for v in b)
    assert mw.stats.out_of_range(a, b) == outside / len(b)
    assert mw.stats.unseen(a, b) == sum(v not in set(a.tolist()) for v in b.tolist()) / len(b)


def test_out_of_range_and_unseen_worked_out_by_hand(device: str) -> None:
    a, b = [1.0, 5.0, None], [0.0, 1.0, 3.0, 6.0, math.inf, math.nan]
    assert mw.stats.out_of_range(a, b, device=device) == 3 / 5
    assert mw.stats.unseen(a, b, device=device) == 4 / 5
    assert mw.stats.out_of_range([-math.inf, math.inf], [1.0, math.inf]) == 0
    assert mw.stats.out_of_range([2**53], [2**53, 2**53 + 1]) == 0.5
    assert mw.stats.unseen([2**53], [2**53, 2**53 + 1]) == 0.5
    assert mw.stats.unseen(["a", None], ["a", "b", None, "c"]) == 2 / 3
    assert mw.stats.unseen(pa.array(["a"]).dictionary_encode(), ["a", "b"]) == 1 / 2
    result = mw.stats.unseen(["a", None], ["a", "b", None], full=True)
    assert (result.n, result.m, result.missing) == (1, 2, 1)
    for measure in (mw.stats.out_of_range, mw.stats.unseen):
        with pytest.raises(mw.InputError, match="in the window"):
            measure([1.0], [math.nan])
        with pytest.raises(mw.InputError, match="in the baseline"):
            measure([math.nan], [1.0])
    with pytest.raises(mw.InputError, match="one type"):
        mw.stats.unseen(["a"], [1])


# ---- moments ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int64", "int8", "uint64"])
@pytest.mark.parametrize("rows", [2, 17, 1024, 5003])
def test_moments_are_numpys_and_scipys(dtype: str, rows: int) -> None:
    x = np.random.default_rng(rows).gamma(3, 8, rows).clip(0, 120).astype(dtype)
    wide = x.astype(np.float64)
    found = mw.stats.moments(x)
    assert found.count == rows
    assert found.mean == pytest.approx(wide.mean(), rel=MOMENTS)
    assert found.sd == pytest.approx(wide.std(), rel=MOMENTS)
    assert found.skewness == pytest.approx(stats.skew(wide), rel=SHAPE, abs=SHAPE)
    assert found.kurtosis == pytest.approx(stats.kurtosis(wide), rel=SHAPE, abs=SHAPE)
    assert (found.min, found.max) == (x.min(), x.max())


def test_moments_worked_out_by_hand() -> None:
    # Deviations -1, -1, 2: variance 2, third moment 2, fourth 6.
    found = mw.stats.moments([0.0, 0.0, 3.0, None, math.nan, math.inf])
    assert (found.count, found.mean, found.min, found.max) == (3, 1, 0, 3)
    assert found.sd == pytest.approx(math.sqrt(2), rel=MOMENTS)
    assert found.skewness == pytest.approx(2 / 2**1.5, rel=SHAPE)
    assert found.kurtosis == pytest.approx(6 / 4 - 3, rel=SHAPE)


def test_moments_keep_whole_numbers_beyond_2_to_the_53() -> None:
    found = mw.stats.moments(np.array([2**62 + 1, 2**62 + 3]))
    assert (found.min, found.max, found.sd) == (2**62 + 1, 2**62 + 3, 1.0)
    assert mw.stats.moments(np.array([2**64 - 1, 2**64 - 2], "u8")).sd == 0.5
    assert mw.stats.mean_shift([2**62 + 1, 2**62 + 3], [2**62 + 4]) == 2.0


def test_special_values_worked_out_by_hand() -> None:
    x = pa.array([None, 0.0, -0.0, 5e-324, math.nan, math.inf, -math.inf, -math.inf, None, 2.0])
    found = mw.stats.moments(x)
    assert specials(found) == (2, 1, 1, 2, 2)
    assert (found.count, found.min, found.max) == (4, 0.0, 2.0)
    assert specials(mw.stats.moments(x.slice(4, 4))) == (0, 1, 1, 2, 0)
    assert specials(mw.stats.moments(pa.array([0, None, 7, 0], pa.date32()))) == (1, 0, 0, 0, 2)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.3])
def test_special_values_are_counted_as_numpy_counts_them(dtype: str, share: float) -> None:
    rng = np.random.default_rng(12)
    x = rng.normal(size=70_001).astype(dtype)
    hard = np.array([0, -0.0, np.nan, np.inf, -np.inf, np.finfo(dtype).smallest_subnormal], dtype)
    x = np.where(rng.random(len(x)) < share, rng.choice(hard, len(x)), x)
    null = rng.random(len(x)) < share
    for array, held in ((pa.array(x), x), (pa.array(x, mask=null).slice(3), x[3:][~null[3:]])):
        found = mw.stats.moments(array)
        finite = held[np.isfinite(held)]
        assert specials(found) == (
            len(array) - len(held),
            np.isnan(held).sum(),
            (held == np.inf).sum(),
            (held == -np.inf).sum(),
            (held == 0).sum(),
        )
        assert (found.count, found.min, found.max) == (len(finite), finite.min(), finite.max())
        assert found.mean == pytest.approx(finite.astype("f8").mean(), rel=MOMENTS, abs=MOMENTS)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"])
def test_whole_numbers_keep_their_range_and_zeros(dtype: str) -> None:
    info = np.iinfo(dtype)
    x = np.random.default_rng(13).integers(info.min, info.max, 3000, dtype=dtype, endpoint=True)
    x[::7] = 0
    null = np.arange(len(x)) % 5 == 0
    for array, held in ((pa.array(x), x), (pa.array(x, mask=null), x[~null])):
        found = mw.stats.moments(array)
        assert (found.count, found.min, found.max) == (len(held), held.min(), held.max())
        assert specials(found) == (len(x) - len(held), 0, 0, 0, (held == 0).sum())
    for end in (info.min, info.max):
        constant = mw.stats.moments(np.full(5, end))
        assert (constant.mean, constant.sd, constant.min, constant.max) == (float(end), 0.0, end, end)


def test_a_moment_too_large_for_a_double_is_none_and_not_infinite() -> None:
    found = mw.stats.moments([1e200, -1e200])
    assert (found.mean, found.sd, found.kurtosis, found.max) == (0.0, None, None, 1e200)
    assert mw.stats.moments([1e308, 1.7e308]).mean is None
    for measure in (mw.stats.mean_shift, mw.stats.sd_ratio, mw.stats.wasserstein_sd):
        with pytest.raises(mw.InputError, match="too large"):
            measure([1e308, -1e308], [1e308])


def test_lists_and_records_have_rows_but_no_values_to_compare() -> None:
    lists = pa.array([[1], None])
    assert (mw.stats.row_count(lists), mw.stats.missing(lists)) == (2, 0.5)
    for call in (lambda: mw.stats.distinct(lists), lambda: mw.stats.psi(lists, lists)):
        with pytest.raises(mw.InputError, match="numbers, text"):
            call()


SPECIAL = ("null_count", "nan_count", "positive_infinity_count", "negative_infinity_count", "zero_count")


def specials(found: mw.stats.Moments) -> tuple[int, ...]:
    return tuple(getattr(found, name) for name in SPECIAL)


def test_moments_of_nothing_and_of_one_value() -> None:
    special = {(): (0, 0, 0, 0), (None,): (1, 0, 0, 0), (math.nan,): (0, 1, 0, 0), (math.inf, -math.inf): (0, 0, 1, 1)}
    for nothing, counts in special.items():
        found = mw.stats.moments(list(nothing))
        assert found == mw.stats.Moments(0, None, None, None, None, None, None, *counts)
    assert mw.stats.moments(pa.nulls(3)) == mw.stats.Moments(0, None, None, None, None, None, None, 3)
    for constant in ([0.1], [0.1] * 7, [5e-324], [3] * 4):
        found = mw.stats.moments(constant)
        assert (found.count, found.sd, found.skewness, found.kurtosis) == (len(constant), 0.0, None, None)
    with pytest.raises(mw.InputError, match="numbers"):
        mw.stats.moments(["a"])


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_moments_have_the_same_bits_for_any_number_of_threads(threads: int) -> None:
    x = np.random.default_rng(8).normal(size=(60_001, 2))
    assert mw.stats.moments(x, threads=threads) == mw.stats.moments(x, threads=1)
    assert mw.stats.moments(x)[1] == mw.stats.moments(np.ascontiguousarray(x[:, 1]))


@given(NUMBERS, NUMBERS)
def test_mean_shift_and_sd_ratio_are_numpys(left: list[float], right: list[float]) -> None:
    a, b = np.array(left), np.array(right)
    if len(set(left)) == 1:
        for measure in (mw.stats.mean_shift, mw.stats.sd_ratio):
            with pytest.raises(mw.InputError, match="baseline is constant"):
                measure(a, b)
        return
    assert mw.stats.mean_shift(a, b) == pytest.approx((b.mean() - a.mean()) / a.std(), rel=MOMENTS, abs=MOMENTS * 100)
    assert mw.stats.sd_ratio(a, b) == pytest.approx(b.std() / a.std(), rel=MOMENTS, abs=MOMENTS)


def test_mean_shift_and_sd_ratio_go_by_finite_values(device: str) -> None:
    a, b = [1.0, 3.0, math.inf], [4.0, 8.0, -math.inf, math.nan]
    assert mw.stats.mean_shift(a, b, device=device) == 4.0
    assert mw.stats.sd_ratio(a, b, device=device) == 2.0
    assert mw.stats.mean_shift(np.array([a, a]).T, np.array([b, b]).T).tolist() == [4.0, 4.0]
    with pytest.raises(mw.InputError, match="in the window"):
        mw.stats.mean_shift(a, [math.inf])
    with pytest.raises(mw.InputError, match="baseline is constant"):
        mw.stats.sd_ratio([0.1] * 10 + [math.inf], b)


# ---- quantiles -------------------------------------------------------------------------------------------------------


@given(NUMBERS, st.integers(1, 256), st.sampled_from(["float64", "float32", "float16", "int64", "uint8"]))
def test_quantiles_are_numpys_inverted_cdf(values: list[float], part: int, dtype: str) -> None:
    x = np.abs(np.array(values)).astype(dtype)
    # 256ths: NumPy's product with n is exact.
    shares = np.array([0, part / 256, 0.5, 1])
    found = mw.stats.quantile(x, shares)
    assert found.dtype == x.dtype
    assert found.tolist() == np.quantile(x, shares, method="inverted_cdf").tolist()


@given(NUMBERS, st.floats(0, 1))
def test_a_quantile_is_the_smallest_value_that_reaches_its_share(values: list[float], share: float) -> None:
    x = np.array(values)
    reached = [v for v in sorted(values) if np.count_nonzero(x <= v) / len(x) >= share]
    assert mw.stats.quantile(x, share) == reached[0]


def test_quantiles_worked_out_by_hand() -> None:
    x = np.arange(1, 101)
    # 7 of 100 values are 0.07 of them; NumPy's 0.07 * 100 is a little more than 7.
    assert mw.stats.quantile(x, 0.07) == 7
    assert mw.stats.quantile(x, [0, 0.5, 0.501, 1]).tolist() == [1, 50, 51, 100]
    assert mw.stats.quantile([math.nan, None, 3.0, -math.inf], [0, 1]).tolist() == [-math.inf, 3]


def test_quantiles_keep_every_digit_and_the_type() -> None:
    big = np.array([2**63 - 1, 2**63 - 2, -(2**63)])
    assert mw.stats.quantile(big, [0.3, 0.5, 1]).tolist() == [-(2**63), 2**63 - 2, 2**63 - 1]
    assert mw.stats.quantile(big.astype("u8"), 1.0) == np.uint64(2**63)
    days = np.array(["2020-01-03", "2020-01-01"], "M8[D]")
    for unit in ("D", "s", "us", "ns"):
        found = mw.stats.quantile(days.astype(f"M8[{unit}]"), 0.5)
        assert found == np.datetime64("2020-01-01")
        assert found.dtype == f"M8[{unit}]"
    assert mw.stats.quantile(days.astype("M8[s]") - days[0].astype("M8[s]"), 0).dtype.kind == "m"


def test_quantiles_of_columns_stand_side_by_side() -> None:
    x = np.random.default_rng(4).normal(size=(100, 3)).astype("f4")
    assert mw.stats.quantile(x, 0.25).shape == (3,)
    assert mw.stats.quantile(x, [0.25, 0.75]).shape == (2, 3)
    wanted = np.quantile(x, [0.25, 0.75], axis=0, method="inverted_cdf")
    assert np.array_equal(mw.stats.quantile(x, [0.25, 0.75]), wanted)


@pytest.mark.parametrize(
    ("values", "share", "says"),
    [
        ([1.0], 1.5, "from 0 to 1"),
        ([1.0], [math.nan], "from 0 to 1"),
        ([1.0], "a", "from 0 to 1"),
        ([], 0.5, "no values"),
        ([math.nan], 0.5, "no values"),
        (["a"], 0.5, "numbers"),
    ],
)
def test_what_has_no_quantile_is_refused_in_a_sentence(values: Any, share: Any, says: str) -> None:
    with pytest.raises(mw.InputError, match=says):
        mw.stats.quantile(values, share)


def test_the_mean_of_ties_is_exact_where_python_fractions_are() -> None:
    x = np.array([0.5] * 1000 + [1.5] * 3000)
    assert Fraction(mw.stats.moments(x).mean) == Fraction(5, 4)
