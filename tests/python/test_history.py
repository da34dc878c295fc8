"""Anomalies in the history of a measure: by hand, and against SciPy and statsmodels."""

from __future__ import annotations

import datetime as dt
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import modelwatch_gpu as mw
from modelwatch_gpu.checks.history import METHODS, anomalies

FLAT = [1.0, 2.0, 3.0, 2.0, 1.0, 2.0, 3.0, 2.0]


def test_a_number_far_from_the_median_before_it_is_an_anomaly() -> None:
    """By hand: the median is 2, the median absolute deviation 0.5, so 1.4826 x 0.5 = 0.7413."""
    found = anomalies([*FLAT, 2.5, 9.0])
    assert [(a.at, a.value, a.expected) for a in found] == [(9, 9.0, 2.0)]
    spread = stats.median_abs_deviation([*FLAT, 2.5], scale="normal")
    assert found[0].score == pytest.approx(7.0 / spread)
    assert found[0].reason == "9 where the 9 windows before have the median 2, 9.4 standard deviations off."


def test_nothing_is_unusual_before_there_is_a_history() -> None:
    for method in METHODS:
        assert anomalies([0.0, 0.0, 100.0], method=method) == []
        assert anomalies([], method=method) == []
        assert anomalies([np.nan] * 20, method=method) == []


def test_where_nothing_ever_differed_any_other_number_is_an_anomaly() -> None:
    found = anomalies([5.0] * 8 + [5.0, 5.1])
    assert [(a.at, a.score) for a in found] == [(9, None)]
    assert "where nothing ever differed" in found[0].reason
    assert anomalies([5.0] * 30, method="change_point") == []


def test_windows_without_a_number_are_left_out() -> None:
    holes = np.array([*FLAT, np.nan, np.nan, 9.0])
    assert [a.at for a in anomalies(holes)] == [10]


def test_holt_winters_expects_the_season_and_is_statsmodels_forecast() -> None:
    from statsmodels.tsa.holtwinters import ExponentialSmoothing

    rng = np.random.default_rng(2)
    season = np.tile([0.0, 0.0, 0.0, 0.0, 0.0, 4.0, 5.0], 6)
    values = season + rng.normal(0, 0.1, len(season))
    assert anomalies(values, method="holt_winters", season=7, limit=6) == []
    values[38] = 4.5  # a weekday that looks like a weekend
    found = anomalies(values, method="holt_winters", season=7, limit=6)
    assert [a.at for a in found] == [38]
    model = ExponentialSmoothing(
        values[:38], seasonal="add", seasonal_periods=7, initialization_method="estimated"
    ).fit()
    assert found[0].expected == pytest.approx(float(model.forecast(1)[0]), abs=1e-6)


def test_a_level_that_changes_for_good_is_found_where_it_does() -> None:
    rng = np.random.default_rng(4)
    values = np.concatenate([rng.normal(0, 1, 20), rng.normal(6, 1, 15)])
    found = anomalies(values, method="change_point")
    assert [a.at for a in found] == [20]
    assert found[0].expected == pytest.approx(values[:20].mean())
    assert found[0].value == pytest.approx(values[20:].mean())
    assert found[0].reason.startswith("From here on the level is ")


def test_change_points_are_hardly_ever_found_in_noise() -> None:
    rng = np.random.default_rng(5)
    found = [bool(anomalies(rng.normal(size=40), method="change_point")) for _ in range(100)]
    assert sum(found) <= 10


@given(st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), min_size=9, max_size=30))
def test_units_do_not_matter(values: list[float]) -> None:
    """Twice every number is exact, so the same windows stand out."""
    x = np.array(values).round(3)
    assert [a.at for a in anomalies(x)] == [a.at for a in anomalies(2 * x)] == [a.at for a in anomalies(-x)]


def test_unknown_methods_and_missing_packages_are_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(mw.InputError, match="There is no method 'magic' for anomalies; there are robust_z"):
        anomalies(FLAT, method="magic")
    with pytest.raises(mw.InputError, match="at least 2 windows, not 1"):
        anomalies(FLAT, method="holt_winters", season=1)
    monkeypatch.setitem(sys.modules, "ruptures", None)
    with pytest.raises(mw.InputError, match=r"needs ruptures; install modelwatch-gpu\[history\]"):
        anomalies(FLAT, method="change_point")


def test_a_report_has_the_history_of_every_measure() -> None:
    rng = np.random.default_rng(0)
    start = dt.datetime(2024, 1, 1)

    def log(days: int, shift: float = 0.0) -> pa.Table:
        when = [start + dt.timedelta(days=d) for d in range(days) for _ in range(50)]
        x = rng.normal(0, 1, 50 * days)
        x[50 * (days - 1) :] += shift
        return pa.table({"ts": pa.array(when, pa.timestamp("us")), "x": x})

    report = mw.compare(mw.Baseline.fit(log(10)), log(12, 5.0), window="1d")
    assert len(report.history("x", "ks")) == 12
    assert [w.label for w, _ in report.anomalies("x", "ks")] == ["2024-01-12"]
    with pytest.raises(mw.InputError, match="no column 'y' in the report; there are x"):
        report.history("y", "ks")
    with pytest.raises(mw.InputError, match="no measure 'kss'"):
        report.anomalies("x", "kss")
