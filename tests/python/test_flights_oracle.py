"""All nine months of the bundled flights log against what SciPy says about them (tests/data/flights_oracle.csv)."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from tolerances import DIVERGENCE, KS, ORACLE, WASSERSTEIN, WASSERSTEIN_WIDTH

import modelwatch_gpu as mw
from modelwatch_gpu.measures.evaluate import Result

ORACLE_FILE = Path(__file__).parents[1] / "data" / "flights_oracle.csv"
ROLES = mw.Roles(label="label", score="score", timestamp="timestamp", ignore=["arr_delay_min"])
ZONE = "America/New_York"


def oracle() -> dict[str, dict[str, float]]:
    """SciPy's numbers by the first seven letters of the month, such as 2013-04."""
    with ORACLE_FILE.open() as lines:
        rows = list(csv.DictReader(lines))
    months = [row for row in rows if row["file"].startswith("production_")]
    return {row.pop("file").removeprefix("production_"): {k: float(v) for k, v in row.items()} for row in months}


EXPECTED = oracle()
NUMERIC = [name.removeprefix("ks_") for name in EXPECTED["2013-04"] if name.startswith("ks_")]
CATEGORICAL = [name.removeprefix("js_") for name in EXPECTED["2013-04"] if name.startswith("js_")]


@pytest.fixture(scope="module")
def baseline(flights: Any) -> mw.Baseline:
    return mw.Baseline.fit(flights.reference, roles=ROLES, timezone=ZONE)


@pytest.fixture(scope="module")
def report(flights: Any, baseline: mw.Baseline) -> mw.Report:
    return mw.compare(baseline, list(flights.months), window="1mo", timezone=ZONE)


@pytest.fixture(scope="module")
def results(report: mw.Report) -> dict[tuple[str, str], Result]:
    return {((report.iso_of(r.start) or "")[:7], r.column.name): r for r in report.results}


def test_there_is_a_window_for_every_month_with_every_row_of_its_file(report: mw.Report) -> None:
    assert {(w.start or "")[:7]: w.rows for w in report.windows} == {m: int(EXPECTED[m]["rows"]) for m in EXPECTED}
    assert [w.label for w in report.windows] == [
        f"{m} 2013" for m in ("Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
    ]


@pytest.mark.parametrize("month", EXPECTED)
def test_numeric_columns_are_what_scipy_says(month: str, results: dict[tuple[str, str], Result]) -> None:
    for column in NUMERIC:
        values, wanted = results[month, column].values, EXPECTED[month]
        ks = values["ks"]
        assert ks.lower == ks.value == ks.upper
        assert abs(ks.value - wanted[f"ks_{column}"]) <= KS, column
        assert values["psi"].value == pytest.approx(wanted[f"psi_{column}"], rel=DIVERGENCE, abs=DIVERGENCE), column
        assert values["missing"].value == wanted[f"null_{column}"], column
        distance, w1 = wanted[f"w1_{column}"], values["wasserstein"]
        slack = WASSERSTEIN * (1 + distance)
        assert w1.lower - slack <= distance <= w1.upper + slack, column
        assert w1.upper - w1.lower <= WASSERSTEIN_WIDTH * distance + slack, column


@pytest.mark.parametrize("month", EXPECTED)
def test_categorical_columns_are_what_scipy_says(month: str, results: dict[tuple[str, str], Result]) -> None:
    for column in CATEGORICAL:
        result = results[month, column]
        assert result.column.kind == "categorical", column
        wanted = EXPECTED[month][f"js_{column}"]
        assert result.values["js_distance"].value == pytest.approx(wanted, rel=ORACLE, abs=ORACLE), column


@pytest.mark.parametrize("month", EXPECTED)
def test_means_and_missing_labels_are_what_numpy_says(month: str, results: dict[tuple[str, str], Result]) -> None:
    wanted = EXPECTED[month]
    assert results[month, "score"].summary.mean == pytest.approx(wanted["mean_score"], rel=ORACLE)
    label = results[month, "label"]
    assert label.values["missing"].value == wanted["label_null"] / wanted["rows"]
    assert label.histogram is not None
    named = dict(zip(["null", "other", *label.column.labels], label.histogram.tolist(), strict=False))
    ones = next(named[text] for text in ("true", "1") if text in named)
    assert ones / (wanted["rows"] - wanted["label_null"]) == pytest.approx(wanted["base_rate"], rel=ORACLE)


def test_the_reference_does_not_differ_from_itself(flights: Any, baseline: mw.Baseline) -> None:
    report = mw.compare(baseline, flights.reference)
    assert report.ok
    assert not report.worst()
    for result in report.results:
        for name in ("ks", "psi", "js_distance", "wasserstein", "chi_square", "mean_shift"):
            if name in result.values:
                assert result.values[name].value == 0.0, (result.column.name, name)


def test_files_merged_month_by_month_are_the_log_counted_at_once(
    flights: Any, baseline: mw.Baseline, report: mw.Report
) -> None:
    total = None
    for month in reversed(flights.months):
        profile = mw.Profile.count(baseline, month, window="1mo", timezone=ZONE)
        total = profile if total is None else total + profile
    assert total is not None
    assert mw.compare(baseline, total).to_json() == report.to_json()
