"""Intervals of effects from units of both sides: against SciPy, by hand, and on the flights log."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests
from tolerances import BOOTSTRAP_ERROR, STUDENT_T

import modelwatch_gpu as mw
from modelwatch_gpu import _core
from modelwatch_gpu.checks import intervals, multiplicity, resampling
from modelwatch_gpu.checks.statistics import STATISTICS
from modelwatch_gpu.measures.pvalues import student_t_quantile, student_t_tail, student_t_tails

DAY = dt.timedelta(days=1)
START = dt.datetime(2024, 1, 1)
#: The first words of stream 0 for 8 units, and which units the first replicate draws.
WORDS = [14027069625956006200, 12844061359434241448, 15414546845724732857]
FIRST_DRAW = [1, 4, 5, 6]


def days_of(values: list[np.ndarray[Any, Any]], first: int = 0, **extra: Any) -> pa.Table:
    """A log whose day i holds values[i] of x."""
    when = np.concatenate([[START + (first + i) * DAY] * len(x) for i, x in enumerate(values)])
    return pa.table({"ts": pa.array(when, pa.timestamp("us")), "x": np.concatenate(values), **extra})


def clustered(days: int, rows: int, shift: float = 0.0, *, between: float = 1.0, seed: int = 0) -> list[Any]:
    """Days whose means differ, as those of one place's weather do."""
    rng = np.random.default_rng(seed)
    return [rng.normal(shift + between * rng.normal(), 1.0, rows) for _ in range(days)]


def of(report: mw.Report, check: str = "ks", column: str = "x") -> mw.Finding:
    return next(f for f in report.findings if (f.check, f.column) == (check, column) and f.segment is None)


# ---- draws -----------------------------------------------------------------------------------------------------------


def test_every_replicate_draws_as_many_units_as_asked_and_each_is_as_likely() -> None:
    drawn = resampling.draws(30, resampling.CURRENT_UNITS)
    assert drawn.shape == (resampling.REPLICATES, 30)
    assert (drawn.sum(axis=1) == 30).all()
    assert (drawn == np.rint(drawn)).all()
    expected = resampling.REPLICATES
    assert stats.chisquare(drawn.sum(axis=0), np.full(30, expected)).pvalue > 1e-3
    assert (resampling.draws(30, resampling.CURRENT_UNITS, 7).sum(axis=1) == 7).all()


def test_draws_are_the_same_numbers_everywhere() -> None:
    """Philox's words are NumPy's promise; these are what came of them when this was written."""
    assert resampling.words(3, 0, 8).tolist() == WORDS
    assert np.flatnonzero(resampling.draws(8, 0)[0]).tolist() == FIRST_DRAW


def test_relabelling_takes_every_unit_as_often() -> None:
    taken = resampling.labels(40, 10)
    assert (taken.sum(axis=1) == 10).all()
    assert set(np.unique(taken)) == {0.0, 1.0}
    assert stats.chisquare(taken.sum(axis=0)).pvalue > 1e-3


@given(st.integers(1, 40), st.integers(1, 600), st.integers(0, 2**31))
def test_sums_of_units_are_exact_in_any_pieces(units: int, cells: int, seed: int) -> None:
    counts = np.random.default_rng(seed).integers(0, 2**40, (units, cells)).astype(np.float64)
    drawn = resampling.draws(units, resampling.BASELINE_UNITS)
    wanted = drawn.astype(np.int64)[:5] @ counts.astype(np.int64)
    assert resampling.summed(drawn, counts)[:5].astype(np.int64).tolist() == wanted.tolist()


# ---- distributions and corrections -----------------------------------------------------------------------------------


@pytest.mark.parametrize("freedom", [1.0, 2.0, 7.0, 29.0, 1000.0, np.inf])
def test_student_t_is_scipys(freedom: float) -> None:
    for t in (-40.0, -2.0, -1e-9, 0.0, 0.3, 1.96, 9.0, 40.0):
        wanted = stats.t.sf(t, freedom)
        assert student_t_tail(t, freedom) == pytest.approx(wanted, rel=STUDENT_T, abs=1e-300)
    for tail in (1e-9, 0.005, 0.025, 0.5, 0.9):
        assert student_t_quantile(tail, freedom) == pytest.approx(stats.t.isf(tail, freedom), rel=STUDENT_T, abs=1e-12)
    assert student_t_tail(np.inf, freedom) == 0.0
    assert student_t_tail(-np.inf, freedom) == 1.0


@given(st.integers(0, 2**31))
def test_many_tails_of_student_t_have_the_bits_of_each_by_itself(seed: int) -> None:
    rng = np.random.default_rng(seed)
    t = np.concatenate([rng.normal(0, 10.0 ** rng.integers(-8, 5), 60), [0.0, -0.0, 1e-200, 1e200, np.inf, -np.inf]])
    freedom = rng.choice([1.0, 7.0, 29.0, 363.0, 1e6, np.inf], len(t))
    wanted = [student_t_tail(*pair) for pair in zip(t.tolist(), freedom.tolist(), strict=True)]
    assert student_t_tails(t, freedom).tolist() == wanted
    assert student_t_tails(t[:3], freedom[:3]).tolist() == wanted[:3]


def test_the_continued_fraction_ends_where_there_is_no_number() -> None:
    assert np.isnan(_core.beta_fraction(np.array([np.nan, 1.0]), np.array([0.5, 0.5]), np.array([0.1, np.nan]))).all()
    # I_x(1, b) = 1 - (1 - x)^b, and what stands before the fraction is x (1 - x)^b b.
    assert _core.beta_fraction(1.0, 2.0, 0.25) == pytest.approx((1 - 0.75**2) / (0.25 * 0.75**2 * 2), rel=1e-14)


P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=60)


@given(P_VALUES)
def test_benjamini_hochberg_is_statsmodels_and_scipys(p: list[float]) -> None:
    found = multiplicity.adjusted(np.array(p))
    assert found == pytest.approx(multipletests(p, method="fdr_bh")[1], rel=1e-12, abs=1e-300)
    assert found == pytest.approx(stats.false_discovery_control(p), rel=1e-12, abs=1e-300)


@given(P_VALUES, st.floats(0.01, 0.5))
def test_e_bh_rejects_the_largest_number_that_its_definition_allows(p: list[float], alpha: float) -> None:
    e = multiplicity.e_values(np.array(p))
    ranked = np.sort(e)[::-1]
    enough = [k for k in range(1, len(e) + 1) if ranked[k - 1] >= len(e) / (alpha * k)]
    assert (multiplicity.e_adjusted(e) <= alpha).sum() == (max(enough) if enough else 0)


@pytest.mark.parametrize("p", [1e-12, 0.01, 0.5, 0.99, 0.9999, 1.0])
def test_an_e_value_is_the_integral_over_all_calibrators(p: float) -> None:
    from scipy import integrate

    wanted = integrate.quad(lambda kappa: kappa * p ** (kappa - 1), 0, 1, epsabs=0, epsrel=1e-11, limit=200)[0]
    assert multiplicity.e_values(np.array([p]))[0] == pytest.approx(wanted, rel=1e-7)


def test_a_missing_test_is_no_test() -> None:
    found = multiplicity.adjusted(np.array([0.01, np.nan, 0.04]))
    assert found[[0, 2]].tolist() == [0.02, 0.04]
    assert np.isnan(found[1])
    assert multiplicity.rejected(np.array([0.01, np.nan]), 0.05, "bh").tolist() == [True, False]


@pytest.mark.parametrize("seed", range(6))
def test_chi_square_is_judged_as_bergsmas_cramers_v(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sides = [
        rng.choice(5, 900 + 300 * seed, p=p)
        for p in (np.full(5, 0.2), [0.3 - 0.01 * seed, 0.2, 0.2, 0.2, 0.1 + 0.01 * seed])
    ]
    tables = [pa.table({"x": pa.array(side.astype(str))}) for side in sides]
    found = of(mw.compare(*tables, checks=[mw.Check("chi_square", warn=0.05, alert=0.9)]), "chi_square")
    counts = np.stack([np.bincount(side, minlength=5) for side in sides])
    chi, n = stats.chi2_contingency(counts, correction=False).statistic, counts.sum()
    phi = max(0.0, chi / n - 4 / (n - 1))
    wanted = np.sqrt(phi / min(5 - 16 / (n - 1) - 1, 2 - 1 / (n - 1) - 1))
    assert found.raw == pytest.approx(chi, rel=1e-11)
    assert found.value == pytest.approx(wanted, rel=1e-9)
    assert found.noise_floor == 4
    # Without the correction it is SciPy's association.
    plain = stats.contingency.association(counts, method="cramer", correction=False)
    assert plain**2 == pytest.approx(phi + 4 / (n - 1), rel=1e-9)


# ---- intervals -------------------------------------------------------------------------------------------------------


def test_the_error_of_a_share_is_that_of_the_means_of_days() -> None:
    """Days of equal size: the bootstrap's variance is (u - 1) / u of the usual one, which the growth undoes."""
    rng = np.random.default_rng(5)
    sides = [np.stack([rng.integers(0, 50, u), np.full(u, 100)], axis=1).astype(float) for u in (60, 25)]
    spread = intervals.spread_of(STATISTICS["missing_change"], *map(intervals.Table, (*sides, sides[0], sides[0])))
    shares = [side[:, 0] / 100 for side in sides]
    wanted = np.sqrt(sum(x.var(ddof=1) / len(x) for x in shares))
    assert spread.error == pytest.approx(wanted, rel=BOOTSTRAP_ERROR)
    assert (spread.units, spread.freedom, spread.method) == (25, 24.0, intervals.BY_UNITS)
    _, p = stats.ttest_ind(*shares, equal_var=False)
    assert spread.change == pytest.approx(p, abs=0.1)


def test_a_verdict_asks_the_lower_end_and_says_by_how_many_days() -> None:
    baseline = mw.Baseline.fit(days_of(clustered(40, 200)))
    report = mw.compare(baseline, days_of(clustered(30, 200, 4.0, seed=1), first=40), correction=None)
    found = of(report)
    assert (found.severity, found.units, found.interval_by) == ("alert", 30, "units")
    assert found.interval_lower is not None
    assert found.interval_lower > 0.2
    assert found.value < found.interval_upper <= 1.0
    assert found.reason.endswith("with 95% confidence, by 30 days.")


def test_days_that_differ_as_those_of_the_baseline_do_raise_no_alert_where_rows_would() -> None:
    """Ten days of 2,000 alike rows: by rows the shift is beyond doubt, by days it is not."""
    baseline = mw.Baseline.fit(days_of(clustered(60, 2_000)))
    log = days_of(clustered(10, 2_000, 0.7, seed=3), first=60)
    by_days, by_rows = mw.compare(baseline, log), mw.compare(baseline, log, units="rows")
    assert of(by_rows).severity in ("warning", "alert")
    assert of(by_days).severity == "not_enough_data"
    assert "but not surely" in of(by_days).reason
    assert of(by_days).value == of(by_rows).value
    assert of(by_rows).units is None
    assert any("take rows as independent, as asked" in note for note in by_rows.notes)


@pytest.mark.parametrize("days", [1, 3, 7])
def test_a_window_of_few_days_is_held_against_as_many_days_of_the_baseline(days: int) -> None:
    baseline = mw.Baseline.fit(days_of(clustered(60, 300)))
    usual = mw.compare(baseline, days_of(clustered(days, 300, 0.4, seed=8), first=60))
    far = mw.compare(baseline, days_of(clustered(days, 300, 40.0, seed=8), first=60))
    assert of(usual).severity != "alert"
    found = of(far)
    assert (found.severity, found.units, found.interval_by) == ("alert", days, "baseline_units")
    assert found.p_no_change is None
    assert "of the baseline differ" in found.reason


def test_a_day_of_few_rows_is_held_against_days_of_as_few_rows() -> None:
    """Days that are all alike: all that a window of 50 rows a day shows beside 5,000 is the noise of its rows."""
    rng = np.random.default_rng(0)
    baseline = mw.Baseline.fit(days_of([rng.normal(size=5_000) for _ in range(30)]))
    for seed in range(5):
        rng = np.random.default_rng(seed)
        report = mw.compare(baseline, days_of([rng.normal(size=50)], first=30), checks=[mw.Check("tv", alert=0.01)])
        found = of(report, "tv")
        assert (found.severity, found.interval_lower) == ("not_enough_data", 0.0)


def test_with_fewer_than_eight_days_in_the_baseline_what_is_beyond_a_threshold_stays_open() -> None:
    baseline = mw.Baseline.fit(days_of(clustered(7, 300)))
    report = mw.compare(baseline, days_of(clustered(20, 300, 9.0, seed=2), first=7))
    found = of(report)
    assert (found.severity, found.interval_lower, found.units) == ("not_enough_data", None, 7)
    assert "it takes 8 in the baseline" in found.reason
    assert any("The baseline covers only 7 days" in note for note in report.notes)
    assert of(mw.compare(baseline, days_of(clustered(20, 300, 9.0)), units=None)).severity == "alert"


def test_without_a_timestamp_rows_are_independent_and_the_report_says_so() -> None:
    rng = np.random.default_rng(0)
    report = mw.compare(pa.table({"x": rng.normal(size=5_000)}), pa.table({"x": rng.normal(1, 1, 5_000)}))
    found = of(report)
    assert (found.severity, found.interval_by, found.units) == ("alert", "rows", None)
    assert any(note.startswith("No column says when") for note in report.notes)


def test_segments_borrow_the_spread_of_their_window() -> None:
    """A segment of a tenth of the rows varies with the days too, less than the whole in proportion to its noise."""
    shop = np.tile(np.arange(10) == 0, 30 * 20).astype(str)
    production = days_of(clustered(30, 200, 4.0, seed=1), first=40, shop=pa.array(shop))
    reference = days_of(clustered(40, 200), shop=pa.array(np.tile(np.arange(10) == 0, 40 * 20).astype(str)))
    report = mw.compare(mw.Baseline.fit(reference), production, segments=["shop"])
    ks = {f.segment: f for f in report.findings if f.check == "ks" and f.column == "x"}
    whole = ks.pop(None)
    for found in ks.values():
        assert (found.units, found.interval_by, found.p_no_change) == (30, "units", None)
        assert found.interval_lower < found.value
    by_rows = {
        f.segment: f
        for f in mw.compare(mw.Baseline.fit(reference), production, segments=["shop"], units="rows").findings
        if f.check == "ks" and f.column == "x"
    }
    for segment, found in ks.items():
        assert found.value - found.interval_lower > 2 * (by_rows[segment].value - by_rows[segment].interval_lower)
    assert whole.severity == "alert"


def test_any_order_of_rows_and_files_gives_the_same_findings() -> None:
    baseline = mw.Baseline.fit(days_of(clustered(20, 100)))
    log = days_of(clustered(12, 100, 1.0, seed=4), first=20)
    order = np.random.default_rng(1).permutation(len(log))
    halves = [log.take(order[:500]), log.take(order[500:])]
    assert mw.compare(baseline, pa.concat_tables(halves)).findings == mw.compare(baseline, log).findings


@pytest.mark.parametrize("x", [[1.0], [None], [float("nan")], [float("inf")], [-0.0], [5e-324]])
def test_columns_of_one_value_have_an_answer(x: list[float | None]) -> None:
    when = pa.array([START + i * DAY for i in range(20) for _ in range(40)], pa.timestamp("us"))
    log = pa.table({"ts": when, "x": pa.array(x * 800, pa.float64())})
    report = mw.compare(mw.Baseline.fit(log), log)
    assert all(f.severity in ("ok", "not_enough_data") for f in report.findings)


def test_unknown_options_are_refused_with_what_to_write() -> None:
    log = days_of(clustered(9, 10))
    with pytest.raises(mw.InputError, match="such as '1d' or '1w', 'rows', or None"):
        mw.compare(log, log, units="hourly")
    with pytest.raises(mw.InputError, match="shorter than a day"):
        mw.compare(log, log, units="1h")
    with pytest.raises(mw.InputError, match="it can be bh, e-bh or None"):
        mw.compare(log, log, correction="bonferroni")


def test_weeks_can_be_the_unit() -> None:
    baseline = mw.Baseline.fit(days_of(clustered(70, 50)))
    found = of(mw.compare(baseline, days_of(clustered(70, 50, 5.0, seed=6), first=70), units="1w"))
    assert (found.units, found.interval_by) == (10, "units")


# ---- the flights log -------------------------------------------------------------------------------------------------


def test_the_interval_of_ks_on_flights_is_that_of_an_independent_bootstrap_of_days(flights: Any) -> None:
    import pandas as pd

    zone = "America/New_York"
    roles = mw.Roles(label="label", score="score", timestamp="timestamp", ignore=["arr_delay_min"])
    report = mw.compare(
        mw.Baseline.fit(flights.reference, roles=roles, timezone=zone),
        flights.months[0],
        checks=[mw.Check("ks", "*", alert=0.1)],
    )
    rng = np.random.default_rng(0)
    frames = [pd.read_parquet(flights.reference), pd.read_parquet(flights.months[0])]
    for column in ("wind_dir", "dewp", "score"):
        again = []
        grouped = []
        for frame in frames:
            day = frame.timestamp.dt.tz_convert(zone).dt.date
            grouped.append([x.dropna().to_numpy() for _, x in frame[column].groupby(day)])
        for _ in range(200):
            sides = [np.concatenate([g[i] for i in rng.integers(0, len(g), len(g))]) for g in grouped]
            again.append(stats.ks_2samp(*sides, method="asymp").statistic)
        found = of(report, column=column)
        error = np.std(again, ddof=1) * np.sqrt(30 / 29)
        reach = stats.t.isf(0.025, 29) * error
        assert found.interval_upper - found.value == pytest.approx(reach, rel=0.15), column
        noise = max(0.0, np.mean(again) - found.value) * 30 / 29
        assert found.value - found.interval_lower == pytest.approx(reach + noise, abs=0.03), column


def test_by_whole_days_no_month_of_flights_is_worse_where_rows_would_cry_wolf_five_times() -> None:
    """Against an independent bootstrap of rows of the log itself (tests/data/flights_auc_diff.csv)."""
    import csv
    import importlib.util
    import sys
    from pathlib import Path

    root = Path(__file__).parents[2]
    spec = importlib.util.spec_from_file_location("flights_auc", root / "benchmarks" / "calibration" / "flights_auc.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["flights_auc"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with (root / "tests" / "data" / "flights_auc_diff.csv").open() as lines:
        truth = {row["month"]: row for row in csv.DictReader(lines)}
    found = module.months()
    assert len(found) == 9
    assert sum(row_low > 0 for _, _, row_low, _, _, _ in found) == 5
    assert sum(day_low > 0 for _, _, _, _, day_low, _ in found) <= 1
    page = (root / "docs" / "verdicts.md").read_text()
    for month, drop, row_low, row_high, day_low, day_high in found:
        wanted = {k: float(v) for k, v in truth[month].items() if k not in ("month", "bonf")}
        assert drop == pytest.approx(wanted["drop"], abs=1e-3)
        # Student's t and u / (u - 1) make ours a little wider than percentiles.
        assert row_high - row_low == pytest.approx(wanted["row_hi"] - wanted["row_lo"], rel=0.25)
        assert day_high - day_low == pytest.approx(wanted["day_hi"] - wanted["day_lo"], rel=0.25)
        assert f"| {month} | {drop:+.4f} |" in page


def test_checks_of_performance_on_flights_alert_by_rows_five_times_and_by_days_at_most_once(flights: Any) -> None:
    zone = "America/New_York"
    roles = mw.Roles(label="label", score="score", timestamp="timestamp", ignore=["arr_delay_min"])
    baseline = mw.Baseline.fit(flights.reference, roles=roles, timezone=zone)
    checks = [mw.Check("roc_auc_drop", alert=0.0)]
    alerts = {}
    for units in ("1d", "rows"):
        options: dict[str, Any] = {"window": "1mo", "checks": checks, "units": units, "correction": None}
        report = mw.compare(baseline, list(flights.months), **options)
        alerts[units] = sum(f.severity == "alert" for f in report.findings)
        judged = [f for f in report.findings if f.interval_lower is not None]
        assert {f.interval_by for f in judged} == {"units" if units == "1d" else "rows"}
        assert all(f.interval_lower < f.value < f.interval_upper for f in judged)
    assert alerts["rows"] == 5
    assert alerts["1d"] <= 1


def scored_log(days: int, right: float, *, first: int = 0, seed: int = 0, kinds: int = 2) -> pa.Table:
    """100 rows a day whose prediction is the label with a chance that differs from day to day around ``right``."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, kinds, (days, 100))
    hit = rng.random((days, 100)) < np.clip(right + 0.1 * rng.normal(size=(days, 1)), 0, 1)
    predicted = np.where(hit, label, (label + 1) % kinds)
    when = np.repeat([START + (first + i) * DAY for i in range(days)], 100)
    return pa.table(
        {
            "timestamp": pa.array(when, pa.timestamp("us")),
            "label": pa.array([f"c{x}" for x in label.ravel()]),
            "prediction": pa.array([f"c{x}" for x in predicted.ravel()]),
        }
    )


@pytest.mark.parametrize("kinds", [2, 4])
def test_the_interval_of_a_drop_of_accuracy_is_that_of_the_means_of_days(kinds: int) -> None:
    sides = scored_log(60, 0.8, kinds=kinds), scored_log(25, 0.6, first=60, seed=1, kinds=kinds)
    report = mw.compare(mw.Baseline.fit(sides[0]), sides[1], checks=[mw.Check("accuracy_drop", alert=0.02)])
    found = of(report, "accuracy_drop", "prediction")
    shares = [
        (np.array(side["label"].to_pylist()) == np.array(side["prediction"].to_pylist())).reshape(-1, 100).mean(axis=1)
        for side in sides
    ]
    assert found.value == pytest.approx(shares[0].mean() - shares[1].mean())
    error = np.sqrt(sum(x.var(ddof=1) / len(x) for x in shares))
    reach = stats.t.isf(0.025, 24) * error
    assert found.interval_upper - found.value == pytest.approx(reach, rel=BOOTSTRAP_ERROR)
    assert found.value - found.interval_lower == pytest.approx(reach, rel=BOOTSTRAP_ERROR)
    assert (found.severity, found.units, found.interval_by) == ("alert", 25, "units")
    assert found.p_no_change == 0.005


def test_dealing_rows_out_to_units_keeps_every_row() -> None:
    counts = np.array([0.0, 1.0, 63.0, 10_000.0])
    dealt = resampling.split(counts, 0)
    assert dealt.shape == (64, 4)
    assert dealt.sum(axis=0).tolist() == counts.tolist()
    assert stats.chisquare(dealt[:, 3]).pvalue > 1e-3
    assert (resampling.split(counts, 0) == dealt).all()
    assert (resampling.split(counts, 1) != dealt).any()


@pytest.mark.parametrize("alone", [False, True])
def test_units_without_cells_are_summed_to_nothing_on_any_machine(alone: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resampling, "_alone", lambda: alone)
    drawn = resampling.draws(9, resampling.CURRENT_UNITS)
    assert resampling.summed(drawn, np.zeros((9, 0))).shape == (resampling.REPLICATES, 0)
    counts = np.arange(18.0).reshape(9, 2)
    np.testing.assert_array_equal(resampling.summed(drawn, counts), drawn.astype(np.float64) @ counts)
