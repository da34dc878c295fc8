"""How sure moved distributions are: against bootstraps of days worked out apart; and why some measures never are."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats
from tolerances import BOOTSTRAP_ERROR, CELL_BOOTSTRAP_ERROR

import modelwatch_gpu as mw
from modelwatch_gpu.checks.intervals import MAXIMUM_WIDER, ROOT_WIDER
from modelwatch_gpu.checks.unsure import NO_INTERVAL

DAY = dt.timedelta(days=1)
START = dt.datetime(2024, 1, 1)
FIRST, LATER, ROWS = 60, 25, 100
Days = np.ndarray[Any, Any]


def days_of(days: int, mean: float = 0.0, spread: float = 1.0, *, seed: int = 0) -> Days:
    """(days, rows) normal numbers whose mean and spread differ from day to day."""
    rng = np.random.default_rng(seed)
    own = mean + 0.5 * rng.normal(size=(days, 1)), spread * np.exp(0.2 * rng.normal(size=(days, 1)))
    return 1000.0 + own[0] + own[1] * rng.normal(size=(days, ROWS))


def log_of(x: Days, first: int = 0, **extra: Any) -> pa.Table:
    when = np.repeat([START + (first + i) * DAY for i in range(len(x))], x.shape[1])
    return pa.table({"timestamp": pa.array(when, pa.timestamp("us")), "x": x.ravel(), **extra})


def bootstrap_of_days(of: Callable[[Days, Days], float], before: Days, after: Days) -> Days:
    rng = np.random.default_rng(1)
    n, m = len(before), len(after)
    return np.array([of(before[rng.integers(0, n, n)], after[rng.integers(0, m, m)]) for _ in range(300)])


def found(report: mw.Report, check: str, *, segment: bool = False) -> mw.Finding:
    return next(f for f in report.findings if f.check == check and (f.segment is not None) == segment)


def judged(before: Days, after: Days, check: mw.Check, **options: Any) -> mw.Finding:
    baseline = mw.Baseline.fit(log_of(before))
    report = mw.compare(baseline, log_of(after, len(before)), checks=[check], correction=None, **options)
    return found(report, check.measure)


# ---- by days ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sign", "seed"), [(1.0, 3), (-1.0, 4)])
def test_ratios_of_deviations_are_as_sure_as_a_bootstrap_of_days_says(sign: float, seed: int) -> None:
    before, after = days_of(FIRST, seed=seed), days_of(LATER, sign, 2.0**sign, seed=seed + 10)
    own = judged(before, after, mw.Check("sd_ratio", warn=1.1))
    value = abs(math.log(after.std() / before.std()))
    again = bootstrap_of_days(lambda a, b: math.log(b.std() / a.std()), before, after)
    reach = stats.t.isf(0.025, LATER - 1) * again.std(ddof=1) * math.sqrt(LATER / (LATER - 1))
    assert (own.severity, own.interval_by, own.units) == ("warning", "units", LATER)
    assert own.value == pytest.approx(math.exp(value))
    assert math.log(own.interval_upper) - value == pytest.approx(reach, rel=CELL_BOOTSTRAP_ERROR)
    assert value - math.log(own.interval_lower) == pytest.approx(reach, rel=CELL_BOOTSTRAP_ERROR)


@pytest.mark.parametrize("measure", ["wasserstein", "wasserstein_sd"])
@pytest.mark.parametrize(("mean", "spread"), [(0.6, 1.0), (0.0, 1.6)])
def test_transport_is_as_sure_as_a_bootstrap_of_days_says(measure: str, mean: float, spread: float) -> None:
    before, after = days_of(FIRST), days_of(LATER, mean, spread, seed=11)

    def of(a: Days, b: Days) -> float:
        return float(stats.wasserstein_distance(a.ravel(), b.ravel())) / (a.std() if measure.endswith("sd") else 1.0)

    own, was = judged(before, after, mw.Check(measure, warn=0.05)), of(before, after)
    again, grown = bootstrap_of_days(of, before, after), LATER / (LATER - 1)
    noise = max(0.0, again.mean() - was) * grown
    error = MAXIMUM_WIDER * math.hypot(again.std(ddof=1) * math.sqrt(grown), noise)
    reach = stats.t.isf(0.025, LATER - 1) * error
    assert own.value == pytest.approx(was, rel=1e-4)  # the lower bound: values between knots
    assert own.interval_upper - was == pytest.approx(reach, rel=CELL_BOOTSTRAP_ERROR)
    assert was - own.interval_lower == pytest.approx(reach + noise, rel=CELL_BOOTSTRAP_ERROR)


def test_values_out_of_range_are_a_share_of_days() -> None:
    before, after = days_of(FIRST), days_of(LATER, 1.0, 2.0, seed=12)
    low, high = before.min(), before.max()
    own = judged(before, after, mw.Check("out_of_range", warn=0.01))
    share = float(((after < low) | (after > high)).mean())
    again = bootstrap_of_days(lambda _, b: float(((b < low) | (b > high)).mean()), before, after)
    reach = stats.t.isf(0.025, LATER - 1) * again.std(ddof=1) * math.sqrt(LATER / (LATER - 1))
    assert own.value == share
    assert own.interval_upper - share == pytest.approx(reach, rel=BOOTSTRAP_ERROR)
    assert share - own.interval_lower == pytest.approx(reach, rel=BOOTSTRAP_ERROR)


def test_cramers_v_is_as_sure_as_a_bootstrap_of_days_says() -> None:
    rng = np.random.default_rng(6)
    sides = []
    for days, share in ((FIRST, 0.3), (LATER, 0.6)):
        p = rng.beta(40 * share, 40 * (1 - share), size=(days, 1))
        sides.append((rng.random((days, ROWS)) < p).astype(float))
    text = [pa.array(np.where(side.ravel() > 0, "yes", "no")) for side in sides]
    logs = [
        log_of(side, first).set_column(1, "x", own) for side, first, own in zip(sides, (0, FIRST), text, strict=True)
    ]
    own = found(mw.compare(mw.Baseline.fit(logs[0]), logs[1], checks=[mw.Check("chi_square", warn=0.05)]), "chi_square")

    def of(a: Days, b: Days) -> float:
        table = [[a.sum(), a.size - a.sum()], [b.sum(), b.size - b.sum()]]
        return float(stats.contingency.association(np.array(table, dtype=int), method="cramer"))

    again = bootstrap_of_days(of, *sides)
    reach = ROOT_WIDER * stats.t.isf(0.025, LATER - 1) * again.std(ddof=1) * math.sqrt(LATER / (LATER - 1))
    assert own.interval_by == "units"
    assert own.value == pytest.approx(of(*sides), abs=1e-3)  # less what chance adds
    assert own.interval_upper - own.value == pytest.approx(reach, rel=BOOTSTRAP_ERROR)


def test_growth_of_rows_a_day_is_as_sure_as_days_differ() -> None:
    rng = np.random.default_rng(2)
    sizes = [rng.poisson(60, FIRST), rng.poisson(90, LATER)]
    logs = []
    for first, own in zip((0, FIRST), sizes, strict=True):
        when = np.repeat([START + (first + i) * DAY for i in range(len(own))], own)
        logs.append(pa.table({"timestamp": pa.array(when, pa.timestamp("us")), "x": rng.normal(size=own.sum())}))
    check = mw.Check("row_count", columns="x", warn=0.1, relative=True)
    own = found(mw.compare(mw.Baseline.fit(logs[0]), logs[1], checks=[check]), "row_count")
    growth = sizes[1].mean() / sizes[0].mean() - 1
    error = math.sqrt(sum(s.var(ddof=1) / len(s) / s.mean() ** 2 for s in sizes) * LATER / (LATER - 1))
    reach = stats.t.isf(0.025, LATER - 1) * error
    assert (own.severity, own.interval_by, own.value) == ("warning", "units", pytest.approx(growth))
    assert math.log1p(own.interval_upper) - math.log1p(growth) == pytest.approx(reach, rel=2 * BOOTSTRAP_ERROR)


@pytest.mark.parametrize("measure", ["sd_ratio", "wasserstein", "wasserstein_sd", "out_of_range", "chi_square"])
def test_a_window_of_few_days_goes_by_how_the_days_of_the_baseline_differ(measure: str) -> None:
    limit = 1.05 if measure == "sd_ratio" else 0.001
    own = judged(days_of(FIRST), days_of(3, 1.0, 2.5, seed=9), mw.Check(measure, warn=limit))
    assert (own.interval_by, own.units) == ("baseline_units", 3)
    assert own.interval_lower <= own.value <= own.interval_upper


# ---- independent rows, segments --------------------------------------------------------------------------------------


def test_without_a_time_rows_are_independent() -> None:
    rng = np.random.default_rng(5)
    before, after = rng.normal(size=4000), rng.normal(0.5, 1.5, size=2000)
    report = mw.compare(
        mw.Baseline.fit(pa.table({"x": before})),
        pa.table({"x": after}),
        checks=[
            mw.Check("sd_ratio", warn=1.1),
            mw.Check("wasserstein_sd", warn=0.1),
            mw.Check("out_of_range", warn=0.01),
        ],
        correction=None,
    )
    ratio, apart, outside = (found(report, name) for name in ("sd_ratio", "wasserstein_sd", "out_of_range"))
    assert {f.interval_by for f in (ratio, apart, outside)} == {"rows"}
    error = math.sqrt(sum((stats.kurtosis(x) + 2) / (4 * len(x)) for x in (before, after)))
    assert math.log(ratio.interval_upper) - math.log(ratio.value) == pytest.approx(1.96 * error, rel=1e-3)
    # At most the error of a shift of the mean: a function that rises no faster than the values varies no more.
    error = math.sqrt(1 / 4000 + (after.std() / before.std()) ** 2 / 2000)
    assert apart.interval_upper - apart.value == pytest.approx(1.96 * error, rel=1e-3)
    share = float(((after < before.min()) | (after > before.max())).mean())
    assert outside.interval_upper - share == pytest.approx(1.96 * math.sqrt(share * (1 - share) / 2000), rel=0.1)


def test_a_constant_window_is_surely_less_spread() -> None:
    own = judged(days_of(FIRST), np.full((LATER, ROWS), 1000.0), mw.Check("sd_ratio", alert=2.0))
    assert own.severity == "alert"
    assert own.interval_lower == own.interval_upper == pytest.approx(1e9)


@pytest.mark.parametrize("measure", ["sd_ratio", "wasserstein_sd", "out_of_range"])
def test_segments_are_less_sure_than_their_window(measure: str) -> None:
    before, after = days_of(FIRST), days_of(LATER, 1.0, 2.0, seed=3)
    half = [np.tile(["a", "b"], x.size // 2) for x in (before, after)]
    logs = [log_of(before, side=half[0]), log_of(after, FIRST, side=half[1])]
    check = mw.Check(measure, columns="x", warn=1.05 if measure == "sd_ratio" else 0.005)
    report = mw.compare(mw.Baseline.fit(logs[0]), logs[1], checks=[check], segments=["side"])
    whole, part = found(report, measure), found(report, measure, segment=True)
    assert part.interval_by == "units"
    assert part.interval_upper - part.interval_lower > whole.interval_upper - whole.interval_lower


# ---- none ------------------------------------------------------------------------------------------------------------


def why(before: pa.Table, after: pa.Table, check: mw.Check, **options: Any) -> str | None:
    fit = options.pop("fit", {})
    report = mw.compare(mw.Baseline.fit(before, **fit), after, checks=[check], **options)
    own = next(f for f in report.findings if f.check == check.measure)
    assert (own.interval_lower is None) == (own.no_interval is not None)
    return own.no_interval


def test_why_there_is_no_interval_is_always_said() -> None:
    before, after = log_of(days_of(FIRST)), log_of(days_of(LATER, 2.0, seed=1), FIRST)
    x = {"columns": "x"}
    assert why(before, after, mw.Check("ks", warn=0.1)) is None
    assert why(before, before, mw.Check("ks", warn=0.1)) == "far_below"
    assert why(before, after, mw.Check("ks", warn=0.1), units=None) == "not_asked"
    assert why(before, after, mw.Check("cvm", warn=0.5)) == "grows_with_rows"
    assert why(before, after, mw.Check("distinct", warn=5, **x)) == "grows_with_rows"
    assert why(before, after, mw.Check("row_count", warn=5, **x)) == "counted"
    assert why(before, after, mw.Check("ks", warn=0.2, learn="conformal"), window="1w") == "learned"
    assert why(before.slice(0, 3 * ROWS), after, mw.Check("ks", warn=0.1)) == "few_units"
    assert why(before, log_of(np.full((1, 3), np.nan)), mw.Check("ks", warn=0.1)) == "no_number"
    consecutive = mw.Check("out_of_range", warn=1e-6, against="consecutive")
    assert why(before, after, consecutive, window="1w", consecutive=True) == "other_window"


def test_why_answers_have_no_interval_is_said() -> None:
    x = days_of(FIRST)
    rng = np.random.default_rng(0)
    log = log_of(x, label=x.ravel(), prediction=x.ravel() + rng.normal(size=x.size))
    fit = {"roles": mw.Roles(label="label", prediction="prediction", timestamp="timestamp")}
    assert why(log, log, mw.Check("max_error", warn=0.1), fit=fit) == "largest"
    assert why(log, log, mw.Check("labelled", warn=0.1), fit=fit) == "counted"


def test_the_page_says_what_every_reason_means() -> None:
    from pathlib import Path

    text = (Path(__file__).parents[2] / "docs" / "verdicts.md").read_text()
    for word, sentence in NO_INTERVAL.items():
        assert f"| `{word}` | {sentence} |" in text
