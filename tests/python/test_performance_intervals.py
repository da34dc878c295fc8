"""How sure changes of performance are: against bootstraps of days worked out apart, and against formulas."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats
from sklearn import metrics
from tolerances import BOOTSTRAP_ERROR

import modelwatch_gpu as mw

DAY = dt.timedelta(days=1)
START = dt.datetime(2024, 1, 1)
FIRST, LATER = 60, 25


def numbers_log(days: int, spread: float, *, first: int = 0, seed: int = 0, bias: float = 0.0) -> pa.Table:
    """100 rows a day: the label is a number, and errors differ in size from day to day."""
    rng = np.random.default_rng(seed)
    label = 50 + 10 * rng.normal(size=(days, 100))
    size = spread * np.exp(0.3 * rng.normal(size=(days, 1)))
    return pa.table(
        {
            "timestamp": pa.array(np.repeat([START + (first + i) * DAY for i in range(days)], 100), pa.timestamp("us")),
            "segment": pa.array(np.where(rng.random(days * 100) < 0.3, "a", "b")),
            "label": label.ravel(),
            "prediction": (label + bias + size * rng.normal(size=(days, 100))).ravel(),
        }
    )


def by_days(table: pa.Table, *columns: str) -> list[np.ndarray[Any, Any]]:
    return [np.asarray(table[c].to_numpy()).reshape(-1, 100) for c in columns]


def errors_of(measure: str) -> Any:
    def of(y: Any, z: Any) -> float:
        y, z = y.ravel(), z.ravel()
        own = {
            "rmse": metrics.root_mean_squared_error,
            "mae": metrics.mean_absolute_error,
            "me": lambda a, b: (b - a).mean(),
            "mape": metrics.mean_absolute_percentage_error,
            "smape": lambda a, b: (2 * np.abs(b - a) / (np.abs(a) + np.abs(b))).mean(),
            "r2": metrics.r2_score,
            "explained_variance": metrics.explained_variance_score,
            "quantile_loss": lambda a, b: metrics.mean_pinball_loss(a, b, alpha=0.9),
        }
        return float(own[measure](y, z))

    return of


def bootstrap_of_days(of: Any, before: list[Any], after: list[Any], replicates: int = 1000) -> np.ndarray[Any, Any]:
    """(replicates, 2) a number of both sides from days drawn again."""
    rng = np.random.default_rng(1)
    out = []
    for _ in range(replicates):
        at = [rng.integers(0, len(side[0]), len(side[0])) for side in (before, after)]
        out.append([of(*(x[i] for x in side)) for side, i in zip((before, after), at, strict=True)])
    return np.array(out)


def found(report: mw.Report, check: str, segment: bool = False) -> mw.Finding:
    return next(f for f in report.findings if f.check == check and (f.segment is not None) == segment)


@pytest.fixture(scope="module")
def numbers() -> tuple[pa.Table, pa.Table, mw.Baseline]:
    before, after = numbers_log(FIRST, 5.0), numbers_log(LATER, 8.0, first=FIRST, seed=1, bias=1.0)
    roles = mw.Roles(label="label", prediction="prediction", timestamp="timestamp")
    return before, after, mw.Baseline.fit(before, roles=roles)


@pytest.mark.parametrize("measure", ["rmse", "mae", "me", "mape", "smape", "r2", "explained_variance", "quantile_loss"])
def test_the_change_of_an_error_is_as_sure_as_a_bootstrap_of_days_says(numbers: Any, measure: str) -> None:
    before, after, baseline = numbers
    word = {"r2": "drop", "explained_variance": "drop", "me": "change"}.get(measure, "rise")
    check = f"{measure}_{word}"
    report = mw.compare(baseline, after, checks=[mw.Check(check, alert=1e-6)], correction=None)
    own = found(report, check)
    sides = by_days(before, "label", "prediction"), by_days(after, "label", "prediction")
    of = errors_of(measure)
    change = of(*sides[1]) - of(*sides[0])
    assert own.value == pytest.approx(-change if word == "drop" else change)
    again = bootstrap_of_days(of, *sides)
    error = np.std(again[:, 1] - again[:, 0], ddof=1) * np.sqrt(LATER / (LATER - 1))
    reach = stats.t.isf(0.025, LATER - 1) * error
    assert (own.interval_by, own.units) == ("units", LATER)
    assert own.interval_upper - own.value == pytest.approx(reach, rel=BOOTSTRAP_ERROR)
    assert own.value - own.interval_lower == pytest.approx(reach, rel=BOOTSTRAP_ERROR)


def test_growth_of_an_error_is_judged_on_the_scale_of_its_logarithm(numbers: Any) -> None:
    before, after, baseline = numbers
    report = mw.compare(baseline, after)  # the default checks have it
    own = found(report, "rmse")
    sides = by_days(before, "label", "prediction"), by_days(after, "label", "prediction")
    of = errors_of("rmse")
    growth = of(*sides[1]) / of(*sides[0]) - 1
    assert own.value == pytest.approx(growth)
    again = np.log(bootstrap_of_days(of, *sides))
    error = np.std(again[:, 1] - again[:, 0], ddof=1) * np.sqrt(LATER / (LATER - 1))
    reach = stats.t.isf(0.025, LATER - 1) * error
    assert np.log1p(own.interval_upper) - np.log1p(growth) == pytest.approx(reach, rel=BOOTSTRAP_ERROR)
    assert np.log1p(growth) - np.log1p(own.interval_lower) == pytest.approx(reach, rel=BOOTSTRAP_ERROR)
    assert own.severity == "alert"
    assert "more than in the baseline; alert above +25%" in own.reason


@pytest.mark.parametrize("measure", ["rmse", "mae", "me"])
def test_without_a_time_rows_are_independent(numbers: Any, measure: str) -> None:
    before, after, _ = (side.drop_columns(["timestamp"]) if isinstance(side, pa.Table) else side for side in numbers)
    roles = mw.Roles(label="label", prediction="prediction")
    check = f"{measure}_{'change' if measure == 'me' else 'rise'}"
    report = mw.compare(mw.Baseline.fit(before, roles=roles), after, checks=[mw.Check(check, alert=1e-6)])
    own = found(report, check)
    variance = 0.0
    for side in (before, after):
        e = side["prediction"].to_numpy() - side["label"].to_numpy()
        each = {"rmse": e**2 / (2 * np.sqrt((e**2).mean())), "mae": np.abs(e), "me": e}[measure]
        variance += each.var() / len(e)
    reach = stats.norm.isf(0.025) * np.sqrt(variance)
    assert own.interval_by == "rows"
    assert own.interval_upper - own.value == pytest.approx(reach, rel=1e-6)
