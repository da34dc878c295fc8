"""mw.stats.ks: the number SciPy gives, for every type and every order of rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp
from tolerances import KS

import modelwatch_gpu as mw
from modelwatch_gpu import _core
from modelwatch_gpu.stats.registry import STATS

Array = npt.NDArray[Any]

#: Together 10,000 cases: 10 pairs of types, 20 examples each, 50 cases an example.
PAIRS = (
    ("float64", "float64"),
    ("float32", "float32"),
    ("float32", "float64"),
    ("float64", "int32"),
    ("float32", "int16"),
    ("int64", "int64"),
    ("int8", "int64"),
    ("uint64", "uint64"),
    ("uint8", "float64"),
    ("uint32", "int64"),
)
EXAMPLES = max(20, settings.default.max_examples // 3)
CASES = 50


def hard_values(dtype: str) -> st.SearchStrategy[list[Any]]:
    """A few values of this type; the fewer there are, the more ties."""
    kind = np.dtype(dtype)
    if kind.kind == "f":
        special = [0.0, -0.0, np.inf, -np.inf, np.finfo(kind).max, np.finfo(kind).smallest_subnormal]
        special += [-np.finfo(kind).smallest_subnormal, np.nextafter(kind.type(1), kind.type(2)), 1.0]
        one = st.sampled_from(special) | st.floats(width=8 * kind.itemsize, allow_nan=False)
    else:
        info = np.iinfo(kind)
        edge = [e for e in (2**53, 2**53 + 1, -(2**53), 2**63 - 1, 2**63, 2**64 - 1) if info.min <= e <= info.max]
        one = st.sampled_from([info.min, info.max, 0, 1, *edge]) | st.integers(info.min, info.max) | st.integers(0, 5)
    return st.lists(one, min_size=1, max_size=12)


def ranks_of(a: Array, b: Array) -> tuple[Array, Array]:
    """Both sides as ranks of their common values: KS depends on nothing else, and no integer is rounded."""
    if a.dtype.kind in "iu" and b.dtype.kind in "iu":
        at = {v: i for i, v in enumerate(sorted({*a.tolist(), *b.tolist()}))}
        return tuple(np.array([at[v] for v in side.tolist()], dtype=np.float64) for side in (a, b))  # type: ignore[return-value]
    both, at_both = np.unique(np.concatenate([a.astype(np.float64), b.astype(np.float64)]), return_inverse=True)
    assert len(both) >= 1
    return at_both[: len(a)].astype(np.float64), at_both[len(a) :].astype(np.float64)


def scipy_ks(a: Array, b: Array) -> float:
    """SciPy's statistic."""
    with np.errstate(divide="ignore"):  # in the p-value, which is not used
        return float(ks_2samp(*ranks_of(a, b), method="asymp").statistic)


@pytest.mark.parametrize(("left", "right"), PAIRS)
def test_ks_is_scipys_statistic_on_a_thousand_cases_of_every_pair_of_types(left: str, right: str, device: str) -> None:
    seen = 0

    @settings(max_examples=EXAMPLES)
    @given(hard_values(left), hard_values(right), st.integers(0, 2**32 - 1))
    def holds(low: list[Any], high: list[Any], seed: int) -> None:
        nonlocal seen
        rng = np.random.default_rng(seed)
        pools = np.array(low, dtype=left), np.array(high, dtype=right)
        for _ in range(CASES):
            sizes = rng.integers(1, 40, size=2)
            a, b = (rng.choice(pool, size) for pool, size in zip(pools, sizes, strict=True))
            wanted, found = scipy_ks(a, b), mw.stats.ks(a, b, device=device)
            assert abs(found - wanted) <= KS, (a, b)
            seen += 1

    holds()
    assert seen >= EXAMPLES * CASES


def test_ks_of_raw_floats_is_scipys_without_help_from_ranks(device: str) -> None:
    rng = np.random.default_rng(7)
    for rows in (2, 17, 1000, 20_000):
        a = np.round(rng.normal(size=rows), 2)
        b = np.concatenate([np.round(rng.normal(0.2, 1.5, size=3 * rows + 1), 2), [np.inf, -np.inf, -0.0, 0.0]])
        assert abs(mw.stats.ks(a, b, device=device) - ks_2samp(a, b, method="asymp").statistic) <= KS
        assert abs(mw.stats.ks(b, a, device=device) - ks_2samp(b, a, method="asymp").statistic) <= KS


def test_ks_worked_out_by_hand(device: str) -> None:
    # F is 1/4, 1/2, 3/4, 1 after 1, 2, 3, 4; G is 0, 1/2, 1/2, 1: apart by 1/4 at 1 and at 3.
    assert mw.stats.ks([1, 2, 3, 4], [2, 2, 4, 4], device=device) == 0.25
    assert mw.stats.ks([1.0], [2.0], device=device) == 1.0
    assert mw.stats.ks([1.0, 1.0], [1.0], device=device) == 0.0
    assert mw.stats.ks([-0.0], [0.0], device=device) == 0.0
    assert mw.stats.ks([2**53], [2**53 + 1], device=device) == 1.0
    assert mw.stats.ks([-np.inf, np.inf], [np.inf, np.inf], device=device) == 0.5
    assert mw.stats.ks(np.float32([0.1]), np.float64([0.1]), device=device) == 1.0


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_neither_rows_nor_threads_have_an_order(threads: int) -> None:
    rng = np.random.default_rng(threads)
    a, b = rng.normal(size=150_001), rng.normal(0.01, 1, size=90_000)
    wanted = mw.stats.ks(a, b, threads=1)
    assert mw.stats.ks(rng.permutation(a), rng.permutation(b), threads=threads) == wanted
    assert mw.stats.ks(b, a, threads=threads) == wanted


def test_null_and_nan_are_left_out_and_counted() -> None:
    a, b = [1.0, None, 3.0, 4.0, float("nan")], [None, 2.0, float("nan"), float("nan"), 4.0]
    assert mw.stats.ks(a, b) == mw.stats.ks([1.0, 3.0, 4.0], [2.0, 4.0])
    result = mw.stats.ks(a, b, full=True)
    assert (result.n, result.m, result.missing, result.device) == (3, 2, 3, "cpu")
    swapped = mw.stats.ks(b, [*a, 5.0], full=True)
    assert (swapped.n, swapped.m, swapped.missing) == (2, 4, 2)


def test_full_results_are_exact_intervals_that_cannot_be_changed() -> None:
    result = mw.stats.ks([1, 2], [2, 3], full=True)
    assert result.value == result.lower == result.upper == 0.5
    with pytest.raises(AttributeError):
        result.value = 0.0


def test_columns_are_answered_at_once_and_as_alone() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(300, 4)), rng.normal(0.3, 1, size=(200, 4))
    alone = [mw.stats.ks(a[:, i], b[:, i]) for i in range(4)]
    assert mw.stats.ks(a, b).tolist() == alone
    assert [r.value for r in mw.stats.ks(a, b, full=True)] == alone
    assert mw.stats.ks(np.asfortranarray(a), b[::-1]).tolist() == alone
    assert mw.stats.ks(a[:, :1], b[:, :1]).shape == (1,)
    with pytest.raises(mw.InputError, match="reference has 4 columns and current has 2"):
        mw.stats.ks(a, b[:, :2])


class _Dlpack:
    """An array of another library, which only speaks DLPack."""

    def __init__(self, array: Array) -> None:
        self._array = array

    def __dlpack__(self, **options: Any) -> Any:
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._array.__dlpack_device__()


X = np.array([5.5, -1.0, 3.0, 3.0, 8.25, np.inf, 0.0])


@pytest.mark.parametrize(
    "same",
    [
        X.tolist(),
        tuple(X.tolist()),
        pd.Series(X),
        pd.Series(X, index=range(10, 17)).astype("float64[pyarrow]"),
        pl.Series(X),
        pa.array(X),
        pa.array(np.concatenate([[9.0, None], X, [7.0]]).astype(float)).slice(2, 7),
        pa.chunked_array([X[:2], X[2:2], X[2:]]),
        pa.chunked_array([np.concatenate([[99.0], X])]).slice(1),
        pl.concat([pl.Series(X[:3]), pl.Series(X[3:])], rechunk=False),
        np.repeat(X, 2)[::2],
        X.astype(">f8"),
        _Dlpack(X),
        memoryview(X),
        X[::-1],
    ],
    ids=lambda value: type(value).__module__.split(".")[0] + "." + type(value).__name__,
)
def test_every_kind_of_array_gives_the_same_number(same: Any) -> None:
    other = np.array([0.5, 3.0, 100.0])
    wanted = mw.stats.ks(X, other)
    assert mw.stats.ks(same, other) == wanted
    assert mw.stats.ks(other, same) == wanted


def test_dates_and_times_are_compared_where_their_types_agree() -> None:
    a, b = np.array(["2020-01-01", "2020-01-03"], "M8[us]"), np.array(["2020-01-02", "2020-01-04"], "M8[us]")
    assert mw.stats.ks(a, b) == 0.5
    assert mw.stats.ks(a.astype("M8[D]"), b.astype("M8[D]")) == 0.5
    with pytest.raises(mw.InputError, match="give both one type"):
        mw.stats.ks(a, b.astype("M8[ns]"))


@pytest.mark.parametrize("nothing", [[], np.empty(0), [None, None], [float("nan")], pa.chunked_array([], pa.float32())])
def test_a_side_without_values_is_refused_in_a_sentence(nothing: Any) -> None:
    for sides in ((nothing, [1.0]), ([1.0], nothing), (nothing, nothing)):
        with pytest.raises(mw.InputError, match=r"has no (answer: The .*|values)\.$"):
            mw.stats.ks(*sides)


@pytest.mark.parametrize(
    ("a", "b", "says"),
    [
        (["x"], [1.0], "numbers, dates or times"),
        ([True], [False], "numbers, dates or times"),
        (np.array([2**63], "u8"), [-1], "give both one type"),
        ([2**63], [1], "cannot be read as an array"),
        ([2**53 + 1], [0.5], "give both one type"),
        (np.zeros((2, 2, 2)), [1.0], "3 dimensions"),
        ([1, "x"], [1.0], "cannot be read as an array"),
        (3, [1.0], "cannot be read as an array"),
        (np.array([1 + 2j]), [1.0], "cannot be read as an array"),
    ],
)
def test_what_cannot_be_compared_exactly_is_refused_in_a_sentence(a: Any, b: Any, says: str) -> None:
    with pytest.raises(mw.InputError, match=says) as refused:
        mw.stats.ks(a, b)
    assert str(refused.value).endswith(".")


@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_a_cuda_device_that_is_not_there_is_an_error_with_the_reason(device: str) -> None:
    if not mw.device.cuda_reason():
        pytest.skip("there is a CUDA device")
    with pytest.raises(mw.DeviceUnavailable, match=r"^device='cuda(:1)?' is not available: .{30,}") as refused:
        mw.stats.ks([0.0], [1.0], device=device)
    assert mw.device.cuda_reason() in str(refused.value)


def test_an_unknown_device_is_refused_by_name() -> None:
    with pytest.raises(mw.InputError, match="'auto', 'cpu', 'cuda'"):
        mw.stats.ks([0.0], [1.0], device="tpu")


class _OnDevice(_Dlpack):
    """An array that lies on a CUDA device and says so when NumPy asks for it."""

    def __dlpack__(self, **options: Any) -> Any:
        raise BufferError("the data lie on a CUDA device")


def test_an_array_that_lies_elsewhere_is_refused_in_a_sentence() -> None:
    with pytest.raises(mw.ModelwatchError, match=r"^reference .*CUDA device"):
        mw.stats.ks(_OnDevice(X), [1.0])


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_a_prepared_reference_gives_the_same_number(first: str, second: str) -> None:
    rng = np.random.default_rng(11)
    a = rng.integers(0, 50, 400).astype(first)
    prepared = mw.stats.Prepared(a)
    for rows in (3, 400, 2000):
        b = rng.integers(10, 60, rows).astype(second)
        assert mw.stats.ks(prepared, b) == mw.stats.ks(a, b)
        assert mw.stats.ks(prepared, b, full=True) == mw.stats.ks(a, b, full=True)


def test_every_function_of_two_samples_takes_a_prepared_reference() -> None:
    rng = np.random.default_rng(12)
    a, b = rng.normal(size=(300, 2)), rng.normal(0.2, 1, size=(200, 2))
    prepared = mw.stats.Prepared(a)
    for name, info in STATS.items():
        if info.takes == "pair":
            function = getattr(mw.stats, name)
            np.testing.assert_array_equal(function(prepared, b), function(a, b), err_msg=name)


def test_what_a_prepared_reference_cannot_be_compared_with_is_refused_as_ever() -> None:
    prepared = mw.stats.Prepared([1, 2, 2**60 + 1])
    with pytest.raises(mw.InputError, match="cannot be compared exactly"):
        mw.stats.ks(prepared, [0.5])
    with pytest.raises(mw.InputError, match="give both the same columns"):
        mw.stats.ks(prepared, np.zeros((5, 2)))
    with pytest.raises(mw.InputError, match="ks has no answer"):
        mw.stats.ks(mw.stats.Prepared([float("nan")]), [1.0])


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("at", [0, 1, 3])
def test_sorted_sides_with_nan_are_refused_and_not_gone_round_for_ever(dtype: str, at: int) -> None:
    holes, whole = np.arange(4, dtype=dtype), pa.array(np.arange(5, dtype=dtype))
    holes[at] = np.nan
    for sides in ((pa.array(holes), whole), (whole, pa.array(holes))):
        with pytest.raises(mw.InputError, match="no NaN"):
            _core.sup_distance(*sides)
    assert _core.sup_distance(whole, whole) == 0
