"""Traps that users of other monitoring packages fell into. Each test shows the trap in a few lines of NumPy, SciPy or
our rule of the package, where that can be done, and that it is none here."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from comparing import fitted, measures, number, result_of, table
from scipy import stats
from scipy.spatial.distance import jensenshannon
from tolerances import KS, PEER

import modelwatch_gpu as mw

Array = npt.NDArray[Any]


def equal_width_shares(a: Array, b: Array, bins: int = 10) -> tuple[Array, Array]:
    """What packages do that cut the range of both sides into equal bins."""
    edges = np.histogram_bin_edges(np.concatenate([a, b]), bins)
    return np.histogram(a, edges)[0] / len(a), np.histogram(b, edges)[0] / len(b)


def psi(p: Array, q: Array, floor: float) -> float:
    p, q = np.maximum(p, floor), np.maximum(q, floor)
    return float(np.sum((p - q) * np.log(p / q)))


def severities(reference: Any, current: Any, **options: Any) -> dict[str, str]:
    """Check -> severity of the only column x."""
    report = mw.compare(fitted(reference), table(current), **options)
    return {f.check: f.severity for f in report.findings}


# ---- one value, few values, heavy tails ------------------------------------------------------------------------------


def test_one_value_of_a_million_does_not_hide_a_shift_of_one_sigma() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=100_000), rng.normal(1.0, 1.0, 100_000)
    b[0] = 1e6
    p, q = equal_width_shares(a, b)
    assert psi(p, q, 1e-4) < 0.001, "equal bins hide it"
    assert jensenshannon(p, q, base=2) < 0.01
    assert mw.stats.psi(a, b, compat="evidently") < 0.1, "which is 'no drift' there"
    assert mw.stats.js_distance(a, b, compat="evidently") < 0.1
    found = measures(a, b)
    assert number(found["psi"]) > 0.9
    assert number(found["js_distance"]) > 0.3
    assert number(found["ks"]) == pytest.approx(stats.ks_2samp(a, b).statistic, abs=KS)
    assert severities(a, b)["ks"] == "alert"


def test_one_stray_value_in_ten_thousand_moves_psi_by_little() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.uniform(size=10_000), rng.uniform(size=10_000)
    stray = np.append(b, 50.0)
    assert mw.stats.psi(a, stray, compat="frouros") > 10 * mw.stats.psi(a, b, compat="frouros")
    before, after = (number(measures(a, side)["psi"]) for side in (b, stray))
    assert abs(after - before) < 1e-3


@pytest.mark.parametrize("shape", ["cauchy", "lognormal"])
def test_ks_of_a_heavy_tailed_column_is_exact(shape: str) -> None:
    rng = np.random.default_rng(3)
    if shape == "cauchy":
        a, b = rng.standard_cauchy(20_000), 0.1 + rng.standard_cauchy(20_000)
    else:
        a, b = rng.lognormal(0.0, 3.0, 20_000), rng.lognormal(0.2, 3.0, 20_000)
    exact = stats.ks_2samp(a, b).statistic
    assert mw.stats.ks(a, b, compat="nannyml") < 0.8 * exact, "10,000 equal bins are too few"
    assert mw.stats.ks(a, b) == pytest.approx(exact, abs=KS)
    found = measures(a, b)["ks"]
    assert (found.lower, found.upper) == (found.value, found.value)
    assert number(found) == pytest.approx(exact, abs=KS)


@pytest.mark.parametrize("shape", ["cauchy", "lognormal"])
def test_bounds_of_ks_hold_the_exact_one_where_a_heavy_tailed_column_has_too_many_values(shape: str) -> None:
    rng = np.random.default_rng(4)
    draw = rng.standard_cauchy if shape == "cauchy" else lambda n: rng.lognormal(0.0, 3.0, n)
    a, b = draw(30_000), 1.2 * draw(30_000)
    found = measures(a, b, exact_up_to=1000)["ks"]
    exact = stats.ks_2samp(a, b).statistic
    assert number(found) > 0.9 * exact
    assert found.lower is not None
    assert found.upper is not None
    assert found.lower - KS <= exact <= found.upper + KS


# ---- constant, missing, infinite, empty ------------------------------------------------------------------------------

SPREAD = np.random.default_rng(5).normal(size=200)
CONSTANTS: dict[str, tuple[Any, Any]] = {
    "the same": (np.full(200, 3.0), np.full(150, 3.0)),
    "another": (np.full(200, 3.0), np.full(150, 4.0)),
    "to spread": (np.full(200, 3.0), SPREAD),
    "from spread": (SPREAD, np.full(150, 0.5)),
    "zero to minus zero": (np.zeros(200), np.full(150, -0.0)),
    "to missing": (np.full(200, 3.0), np.full(150, np.nan)),
    "whole numbers": (np.full(200, 2**60), np.full(150, 2**60 + 1)),
    "text": (["a"] * 200, ["a"] * 150),
    "other text": (["a"] * 200, ["b"] * 150),
    "text to values": (["a"] * 200, ["a", "b", "c"] * 50),
    "truth": ([True] * 200, [False] * 150),
}


@pytest.mark.parametrize("name", CONSTANTS)
def test_a_constant_column_gives_a_number_or_a_reason(name: str) -> None:
    reference, current = CONSTANTS[name]
    report = mw.compare(fitted(reference), table(current))
    for result in report.results:
        for measure, value in result.values.items():
            assert (value.value is None) == (value.reason is not None), measure
            assert value.value is None or math.isfinite(value.value), measure
    assert all(f.value is None or math.isfinite(f.value) for f in report.findings)
    assert all(f.reason and "nan" not in f.reason.lower().split() for f in report.findings)
    json.loads(report.to_json(), parse_constant=pytest.fail)


@pytest.mark.parametrize("measure", ["ks", "psi", "js_distance", "wasserstein", "hellinger", "chi_square", "kl", "tv"])
@pytest.mark.parametrize("name", ["the same", "another", "to spread", "from spread"])
def test_a_constant_array_gives_a_number(name: str, measure: str) -> None:
    function = getattr(mw.stats, measure)
    options = {"edges": [3.5]} if measure == "chi_square" else {}
    found = function(*CONSTANTS[name], **options)
    assert math.isfinite(found)
    # All deciles of a constant are one cut, so of what lies below it only ranks say anything.
    if name == "the same" or measure in ("ks", "wasserstein"):
        assert (found == 0) == (name == "the same")


def test_a_constant_that_changes_is_an_alert_and_one_that_stays_is_none() -> None:
    assert severities(*CONSTANTS["another"])["ks"] == "alert"
    assert severities(*CONSTANTS["the same"])["ks"] == "ok"
    assert severities(*CONSTANTS["other text"])["js_distance"] == "alert"
    assert severities(*CONSTANTS["zero to minus zero"])["ks"] == "ok"


def test_a_column_that_is_all_missing_does_not_take_the_report_with_it() -> None:
    reference = pa.table({"x": SPREAD, "y": SPREAD})
    current = pa.table({"x": np.full(200, np.nan), "y": SPREAD + 2})
    report = mw.compare(mw.Baseline.fit(reference), current)
    found = {(f.column, f.check): f for f in report.findings}
    assert found["y", "ks"].severity == "alert"
    assert found["x", "missing_change"].severity == "alert"
    assert found["x", "ks"].severity == "not_enough_data"


def test_a_nan_or_an_infinity_does_not_poison_a_column() -> None:
    rng = np.random.default_rng(6)
    a, b = rng.normal(size=3000), rng.normal(0.3, 1.0, 3000)
    exact = stats.ks_2samp(a, b).statistic
    assert number(measures(np.append(a, np.nan), np.append(b, np.nan))["ks"]) == pytest.approx(exact, abs=KS)
    more = np.append(b, [np.inf, -np.inf])
    found = measures(a, more)
    assert number(found["ks"]) == pytest.approx(stats.ks_2samp(a, more).statistic, abs=KS)
    assert number(found["psi"]) < 0.2
    assert found["wasserstein"].reason == "infinite"


def test_equal_shares_of_nan_are_no_drift() -> None:
    values = np.where(np.arange(2000) % 2 == 0, np.nan, np.arange(2000.0))
    assert mw.stats.js_divergence(values, values, compat="tfdv") == pytest.approx(0.5), "nothing in common there"
    found = measures(values, values)
    assert [number(found[m]) for m in ("js_divergence", "ks", "missing_change")] == [0, 0, 0]


def test_a_log_without_rows_has_a_report_that_says_so() -> None:
    report = mw.compare(fitted(SPREAD), table(pa.array([], pa.float64())))
    assert report.rows == 0
    assert any("no rows" in note for note in report.notes)
    json.loads(report.to_json(), parse_constant=pytest.fail)


def test_a_day_without_rows_does_not_stop_the_days_around_it() -> None:
    days = pa.array(["2024-05-01"] * 50 + ["2024-05-03"] * 50).cast(pa.timestamp("us"))
    log = pa.table({"timestamp": days, "x": np.random.default_rng(7).normal(size=100)})
    report = mw.compare(mw.Baseline.fit(log.slice(0, 50)), log, window="1d")
    assert [w.rows for w in report.windows] == [50, 0, 50]
    assert all(number(r.values["ks"]) >= 0 for r in report.results if r.rows)


# ---- categories ------------------------------------------------------------------------------------------------------


def test_whole_numbers_of_few_values_are_categories_with_a_note_and_numbers_where_asked() -> None:
    log = pa.table({"stars": pa.array([1, 2, 3, 4, 5] * 40)})
    baseline = mw.Baseline.fit(log)
    assert any("'stars'" in note and "categorical" in note for note in baseline.notes)
    asked = mw.Baseline.fit(log, roles=mw.Roles(numeric=["stars"]))
    assert not asked.notes
    (result,) = mw.compare(asked, pa.table({"stars": pa.array([2, 3, 4, 5, 5] * 40)})).results
    assert number(result.values["ks"]) == 0.2


def test_a_new_category_is_named_and_leaves_every_measure_a_number() -> None:
    reference, current = ["a", "b"] * 5000, ["a"] * 5000 + ["b"] * 4900 + ["new"] * 100
    assert mw.stats.chi_square(reference, current, compat="evidently") == 0.0, "p = 0 there, whatever the rest"
    found = measures(reference, current)
    assert all(math.isfinite(number(found[m])) for m in ("psi", "kl", "js_distance", "chi_square", "l_infinity"))
    assert number(found["chi_square"]) == pytest.approx(
        stats.chi2_contingency([[5000, 5000, 0], [5000, 4900, 100]]).statistic
    )
    assert number(found["unseen"]) == 0.01
    assert severities(reference, current)["js_distance"] == "ok"


# ---- sampling and size -----------------------------------------------------------------------------------------------


def test_the_order_and_the_cuts_of_rows_change_no_number() -> None:
    rng = np.random.default_rng(8)
    a, b = rng.lognormal(size=20_000), rng.lognormal(0.1, 1.0, 20_000)
    baseline = fitted(a, exact_up_to=1000)
    mixed = rng.permutation(b)
    cut = pa.chunked_array([pa.array(mixed[i : i + 3_333]) for i in range(0, len(mixed), 3_333)])
    runs = [result_of(baseline, side).values for side in (b, b, mixed, cut)]
    for measure in ("ks", "psi", "js_distance", "wasserstein", "cvm", "out_of_range"):
        assert all(run[measure] == runs[0][measure] for run in runs), measure
        number(runs[0][measure])


def test_a_shift_too_small_to_matter_is_no_finding_however_many_rows_there_are() -> None:
    rng = np.random.default_rng(9)
    a, b = rng.normal(size=400_000), rng.normal(0.02, 1.0, 400_000)
    assert stats.ks_2samp(a, b, method="asymp").pvalue < 1e-6, "significant, as everything is"
    assert set(severities(a, b).values()) == {"ok"}


def test_ten_rows_of_one_distribution_are_not_taken_for_drift() -> None:
    rng = np.random.default_rng(10)
    reference = rng.normal(size=5000)
    for _ in range(20):
        assert severities(reference, rng.normal(size=10))["ks"] == "not_enough_data"


def test_windows_of_one_distribution_raise_no_alert_at_fifty_rows() -> None:
    rng = np.random.default_rng(11)
    reference = rng.choice(list("abcdefghij"), 5000)
    start = pa.array(np.full(5000, np.datetime64("2023-12-01", "us")))
    days = np.repeat(np.arange("2024-01-01", "2024-04-10", dtype="datetime64[D]"), 50).astype("datetime64[us]")
    log = pa.table({"timestamp": days, "x": pa.array(rng.choice(list("abcdefghij"), len(days)))})
    raw = [
        jensenshannon(*(np.unique(side, return_counts=True)[1] for side in (reference, day)), base=2)
        for day in np.split(log["x"].to_numpy(), 100)
        if len(set(day)) == 10
    ]
    assert np.mean(np.array(raw) > 0.1) > 0.5, "most days cross the threshold by chance alone"
    report = mw.compare(mw.Baseline.fit(pa.table({"timestamp": start, "x": pa.array(reference)})), log, window="1d")
    assert not [f for f in report.findings if f.severity == "alert"]


def test_halves_merge_into_the_number_of_the_whole_not_the_mean_of_theirs() -> None:
    rng = np.random.default_rng(12)
    a, b = rng.normal(size=2000), np.concatenate([rng.normal(-1, 1, 1000), rng.normal(1, 1, 1000)])
    baseline = fitted(a)
    first, second = (mw.Profile.count(baseline, table(half)) for half in (b[:1000], b[1000:]))
    halves = [number(mw.compare(baseline, p).results[0].values["ks"]) for p in (first, second)]
    first += second
    whole = number(mw.compare(baseline, first).results[0].values["ks"])
    assert whole == pytest.approx(stats.ks_2samp(a, b).statistic, abs=KS)
    assert abs(whole - np.mean(halves)) > 0.1


def test_the_number_of_bins_that_was_asked_for_is_used() -> None:
    rng = np.random.default_rng(13)
    a, b = rng.normal(size=4000), rng.normal(0.2, 1.0, 4000)
    for bins in (5, 30):
        edges = np.quantile(a, np.arange(1, bins) / bins)
        p, q = (np.bincount(np.searchsorted(edges, s), minlength=bins) / len(s) for s in (a, b))
        assert mw.stats.psi(a, b, edges=edges) == pytest.approx(psi(p, q, 1e-4), rel=PEER)
