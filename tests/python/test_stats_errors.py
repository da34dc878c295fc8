"""mw.stats of predicted numbers beyond RMSE and MAE, against scikit-learn, NumPy and paper."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics
from tolerances import PERFORMANCE

import modelwatch_gpu as mw

NEAR = {"rel": PERFORMANCE, "abs": PERFORMANCE}

ROWS = st.lists(st.tuples(st.integers(-50, 50), st.integers(-50, 50), st.integers(0, 3)), min_size=1, max_size=40)


@given(ROWS, st.sampled_from(["float64", "int64", "int8", "float32"]), st.booleans())
def test_measures_of_errors_are_scikit_learns(rows: list[tuple[int, int, int]], dtype: str, weighted: bool) -> None:
    y, z, w = (np.array(column) for column in zip(*rows, strict=True))
    weights = w.astype(float) if weighted and w.any() else None
    wide, options = (y.astype(float), z.astype(float)), {"sample_weight": weights}
    y, z = y.astype(dtype), z.astype(dtype)
    ours: dict[str, Any] = {"weights": weights}
    used = np.ones(len(y), bool) if weights is None else w > 0
    assert mw.stats.median_absolute_error(y, z, **ours) == pytest.approx(
        metrics.median_absolute_error(*wide, **options), **NEAR
    )
    assert mw.stats.max_error(y, z, **ours) == metrics.max_error(wide[0][used], wide[1][used])
    for q in (0.0, 0.1, 0.5, 0.9, 1.0):
        wanted = metrics.mean_pinball_loss(*wide, alpha=q, **options)
        assert mw.stats.quantile_loss(y, z, q=q, **ours) == pytest.approx(wanted, **NEAR)
    error, size = wide[1] - wide[0], np.abs(wide[0]) + np.abs(wide[1])
    wanted = np.average(2 * np.abs(error) / np.where(size > 0, size, 1), weights=weights)
    assert mw.stats.smape(y, z, **ours) == pytest.approx(wanted, **NEAR)
    eps = np.finfo(float).eps
    wanted = np.average(error / np.maximum(np.abs(wide[0]), eps), weights=weights)
    assert mw.stats.mpe(y, z, **ours) == pytest.approx(wanted, **NEAR)
    if len(set(wide[0][used].tolist())) == 1:
        with pytest.raises(mw.InputError, match=r"constant|One row"):
            mw.stats.explained_variance(y, z, **ours)
    else:
        wanted = metrics.explained_variance_score(*wide, **options)
        assert mw.stats.explained_variance(y, z, **ours) == pytest.approx(wanted, **NEAR)
    positive = np.abs(y), np.abs(z) + 1
    wanted = metrics.mean_poisson_deviance(*(v.astype(float) for v in positive), **options)
    assert mw.stats.poisson_deviance(*positive, **ours) == pytest.approx(wanted, **NEAR)
    wanted = metrics.mean_gamma_deviance(positive[0] + 1.0, positive[1].astype(float), **options)
    assert mw.stats.gamma_deviance(positive[0] + 1, positive[1], **ours) == pytest.approx(wanted, **NEAR)


@given(ROWS, st.booleans(), st.booleans())
def test_quantiles_of_errors_are_numpys(rows: list[tuple[int, int, int]], absolute: bool, weighted: bool) -> None:
    y, z, w = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    weights = w if weighted and w.any() else None
    q = [0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0]
    error = np.abs(z - y) if absolute else z - y
    found = mw.stats.error_quantiles(y, z, q=q, absolute=absolute, weights=weights)
    # Whole weights are repeated rows. Shares are tenths and quarters: sizes at which NumPy rounds q n are few.
    repeated = np.sort(error if weights is None else np.repeat(error, w.astype(int)))
    for share, value in zip(q, found.tolist(), strict=True):
        rank = max(1, math.ceil(round(share * 20) * len(repeated) / 20))
        assert value == repeated[rank - 1]
    assert mw.stats.error_quantiles(y, z, q=0.5, absolute=absolute, weights=weights) == found[3]


def test_measures_of_errors_worked_out_by_hand(host_device: str) -> None:
    y, z = [1.0, 2.0, 4.0, 0.0, None], [2.0, 2.0, 1.0, 0.0, 5.0]
    options: dict[str, Any] = {"device": host_device}
    # Errors 1, 0, -3, 0.
    assert mw.stats.smape(y, z, **options) == pytest.approx((2 / 3 + 0 + 6 / 5 + 0) / 4, **NEAR)
    assert mw.stats.mpe(y, z, **options) == pytest.approx((1 - 3 / 4) / 4, **NEAR)
    assert mw.stats.median_absolute_error(y, z, **options) == 0.5
    assert mw.stats.max_error(y, z, **options) == 3
    assert mw.stats.quantile_loss(y, z, q=0.9, **options) == pytest.approx((0.1 * 1 + 0.9 * 3) / 4, **NEAR)
    # The labels' deviations from 7/4 square to 35/4, the errors' from -1/2 to 9.
    assert mw.stats.explained_variance(y, z, **options) == pytest.approx(1 - 9 / (35 / 4), **NEAR)
    assert mw.stats.poisson_deviance([1.0, 0.0], [2.0, 3.0], **options) == pytest.approx(
        (2 * (math.log(0.5) - 1 + 2) + 2 * 3) / 2, **NEAR
    )
    assert mw.stats.gamma_deviance([1.0], [2.0], **options) == pytest.approx(2 * (math.log(2) + 0.5 - 1), **NEAR)
    found = mw.stats.error_quantiles(y, z, q=[0.25, 0.5, 1], full=True, **options)
    assert found.values.tolist() == [-3, 0, 1]
    assert (found.q.tolist(), found.n, found.missing, found.device) == ([0.25, 0.5, 1], 4, 1, host_device)


def test_quantiles_of_several_columns_have_a_column_each() -> None:
    y, z = np.arange(10.0), np.stack([np.arange(10.0) + 1, np.arange(10.0) * 2], axis=1)
    assert mw.stats.error_quantiles(y, z, q=[0.5, 1.0]).tolist() == [[1, 4], [1, 9]]
    assert mw.stats.error_quantiles(y, z, q=0.5).tolist() == [1, 4]
    assert len(mw.stats.error_quantiles(y, z, full=True)) == 2
    assert mw.stats.error_quantiles(y, z[:, :0], q=[0.5]).shape == (1, 0)


def test_large_whole_numbers_keep_their_differences() -> None:
    y, z = np.array([2**60, 2**60 + 2]), np.array([2**60 + 1, 2**60 + 5])
    assert mw.stats.max_error(y, z) == 3
    assert mw.stats.median_absolute_error(y, z) == 2
    assert mw.stats.error_quantiles(y, z, q=[0, 1]).tolist() == [1, 3]
    # The variance of the errors is 1, and so is that of the labels.
    assert mw.stats.explained_variance(y, z) == 0


def test_extreme_numbers_do_not_overflow_where_the_answer_does_not() -> None:
    assert mw.stats.smape([1.5e308], [1.6e308]) == pytest.approx(0.2 / 3.1, **NEAR)
    assert mw.stats.smape([5e-324, 0.0], [0.0, -0.0]) == 1
    # A prediction far smaller than its label keeps its logarithm.
    assert mw.stats.gamma_deviance([1.0], [1e-20]) == pytest.approx(2 * (math.log(1e-20) + 1e20 - 1), **NEAR)


def test_numbers_that_a_measure_is_not_made_for_are_refused() -> None:
    for name, y, z, says in (
        ("poisson_deviance", [-1.0], [1.0], "labels from 0"),
        ("poisson_deviance", [0.0], [0.0], "predictions above 0"),
        ("gamma_deviance", [0.0], [1.0], "above 0"),
        ("quantile_loss", [math.inf], [1.0], "infinite"),
        ("error_quantiles", [None], [1.0], "no values"),
        ("error_quantiles", [None, 1.0], [1.0, math.nan], "No row has both"),
        ("median_absolute_error", [None, 1.0], [1.0, math.nan], "No row has both"),
    ):
        with pytest.raises(mw.InputError, match=says):
            getattr(mw.stats, name)(y, z)
    with pytest.raises(mw.InputError, match="one q"):
        mw.stats.quantile_loss([1.0], [1.0], q=[0.5])
    for q in (1.5, -0.1, math.nan):
        with pytest.raises(mw.InputError, match="from 0 to 1"):
            mw.stats.quantile_loss([1.0], [1.0], q=q)


@pytest.mark.parametrize("threads", [2, 7])
def test_errors_have_the_same_bits_for_any_number_of_threads(threads: int) -> None:
    rng = np.random.default_rng(1)
    y, z = rng.gamma(2, size=70_001), rng.gamma(2, size=(70_001, 2))
    for name in ("mpe", "smape", "explained_variance", "quantile_loss", "poisson_deviance", "gamma_deviance"):
        measure = getattr(mw.stats, name)
        assert measure(y, z, threads=threads).tolist() == measure(y, z, threads=1).tolist()
