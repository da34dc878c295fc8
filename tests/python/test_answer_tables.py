"""Calibration curves, confusion tables, segments beside one another, and changes between windows, from a log."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scored_makers import ROLES, arrays, scored_log, told
from sklearn.calibration import calibration_curve
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support, roc_auc_score
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint
from tolerances import PERFORMANCE

import modelwatch_gpu as mw

NEAR = {"rel": PERFORMANCE, "abs": PERFORMANCE}


@pytest.fixture(scope="module")
def report() -> mw.Report:
    baseline = mw.Baseline.fit(scored_log(3000, 1), roles=ROLES)
    return mw.compare(baseline, scored_log(4000, 2), segments=["side"])


def test_the_calibration_curve_is_scikit_learns(report: mw.Report) -> None:
    for of, seed, rows in (("baseline", 1, 3000), ("log", 2, 4000)):
        y, s = arrays(scored_log(rows, seed))
        positive, mean = calibration_curve(y, s, n_bins=10)
        found = [r for r in report.to_dict()["calibration"] if r["of"] == of]
        assert sum(r["rows"] for r in found) == len(y)
        for row, share, score in zip(found, positive, mean, strict=True):
            assert row["share_positive"] == pytest.approx(share, **NEAR)
            assert row["mean_score_lower"] - PERFORMANCE <= score <= row["mean_score_upper"] + PERFORMANCE
            low, high = proportion_confint(round(share * row["rows"]), row["rows"], method="wilson")
            assert (row["lower"], row["upper"]) == (pytest.approx(low), pytest.approx(high))


def test_confusion_tables_are_scikit_learns(report: mw.Report) -> None:
    rows = [r for r in report.to_dict()["confusion"] if r["of"] == "log"]
    log = scored_log(4000, 2)
    y, s = arrays(log)
    for row in (r for r in rows if r["column"] == "score"):
        of = {"negative": 0, "positive": 1}
        assert row["rows"] == confusion_matrix(y, s >= 0.5)[of[row["label"]], of[row["prediction"]]]
    y, z = arrays(log, "prediction")
    for row in (r for r in rows if r["column"] == "prediction"):
        assert row["rows"] == confusion_matrix(y, z)[int(row["label"]), int(row["prediction"])]


def test_each_class_is_scikit_learns(report: mw.Report) -> None:
    rows = [r for r in report.to_dict()["classes"] if r["of"] == "log"]
    for column in ("score", "prediction"):
        own = [r for r in rows if r["column"] == column]
        y, answer = arrays(scored_log(4000, 2), column)
        wanted = precision_recall_fscore_support(y, answer >= 0.5, labels=[0, 1])
        names = ("negative", "positive") if column == "score" else ("0", "1")
        found = {r["class"]: (r["precision"], r["recall"], r["f1"], r["rows"]) for r in own}
        assert sorted(found) == sorted(names)
        for k, name in enumerate(names):
            assert found[name] == pytest.approx([numbers[k] for numbers in wanted])


def test_segments_beside_one_another_are_statsmodels(report: mw.Report) -> None:
    log = scored_log(4000, 2).to_pandas().dropna(subset=["label", "score"])
    found = {(r["column"], r["rate"]): r for r in report.to_dict()["fairness"]}
    assert {rate for _, rate in found} == {
        "selection_rate",
        "true_positive_rate",
        "false_positive_rate",
        "precision",
        "calibration_gap",
    }
    row = found["score", "true_positive_rate"]
    rates = {}
    for side, own in log[log["label"] == 1].groupby("side"):
        hits, of = int((own["score"] >= 0.5).sum()), len(own)
        rates[side] = (hits / of, hits, of, proportion_confint(hits, of, method="wilson"))
    low, high = min(rates, key=lambda s: rates[s][0]), max(rates, key=lambda s: rates[s][0])
    assert (row["lowest"], row["highest"], row["segments"]) == ({"side": low}, {"side": high}, 3)
    assert row["difference"] == pytest.approx(rates[high][0] - rates[low][0])
    assert row["ratio"] == pytest.approx(rates[low][0] / rates[high][0])
    assert row["disjoint"] == (rates[low][3][1] < rates[high][3][0])
    lower, upper = confint_proportions_2indep(
        rates[high][1], rates[high][2], rates[low][1], rates[low][2], method="newcomb"
    )
    assert (row["lower"], row["upper"]) == (pytest.approx(lower), pytest.approx(upper))
    gap = found["score", "calibration_gap"]
    means = {side: own["score"].mean() - own["label"].mean() for side, own in log.groupby("side")}
    assert gap["highest_rate"] == pytest.approx(max(means.values()), abs=0.01)
    assert gap["difference"] == pytest.approx(max(means.values()) - min(means.values()), abs=0.01)


def test_two_segments_by_hand() -> None:
    side = ["a"] * 40 + ["b"] * 40 + ["c"] * 10
    label = ([1] * 20 + [0] * 20) * 2 + [1] * 10
    score = [0.9] * 20 + [0.1] * 20 + [0.9] * 5 + [0.1] * 35 + [0.9] * 10
    log = pa.table({"side": side, "label": label, "score": score})
    baseline = mw.Baseline.fit(log, roles=mw.Roles(label="label", score="score"))
    rows = {r["rate"]: r for r in mw.compare(baseline, log, segments=["side"]).to_dict()["fairness"]}
    assert rows["true_positive_rate"]["segments"] == 2  # c has too few rows
    assert (rows["true_positive_rate"]["lowest_rate"], rows["true_positive_rate"]["highest_rate"]) == (0.25, 1.0)
    assert (rows["true_positive_rate"]["difference"], rows["true_positive_rate"]["disjoint"]) == (0.75, True)
    assert (rows["false_positive_rate"]["difference"], rows["false_positive_rate"]["ratio"]) == (0, None)
    assert rows["selection_rate"]["difference"] == pytest.approx(20 / 40 - 5 / 40)


def test_windows_are_also_held_against_the_one_before() -> None:
    baseline = mw.Baseline.fit(scored_log(2000, 1), roles=ROLES)
    log = scored_log(3000, 2)
    report = mw.compare(baseline, log, window="2w", consecutive=True)
    starts = [w.second for w in report.windows]
    areas = [told(report, "score", start)["roc_auc"].value for start in starts]
    changes = {
        r.start: r.values["roc_auc_drop"].value
        for r in report.results
        if r.column.name == "score" and r.compared_with == "CONSECUTIVE"
    }
    assert list(changes) == starts[1:]
    for i, start in enumerate(starts[1:], start=1):
        before, now = areas[i - 1], areas[i]
        assert before is not None
        assert now is not None
        assert changes[start] == pytest.approx(before - now, **NEAR)


def test_a_check_of_a_drop_alerts_where_it_got_worse_and_applies_to_scores_alone() -> None:
    rng = np.random.default_rng(4)
    good = scored_log(3000, 1)
    bad = good.set_column(good.schema.get_field_index("score"), "score", pa.array(rng.random(3000)))
    baseline = mw.Baseline.fit(good, roles=ROLES)
    checks = [mw.Check("roc_auc_drop", warn=0.02, alert=0.05), mw.Check("brier_rise", alert=0.01)]
    found = {(f.column, f.check): f.severity for f in mw.compare(baseline, bad, checks=checks).findings}
    assert found == {("score", "roc_auc_drop"): "alert", ("score", "brier_rise"): "alert"}
    well = mw.compare(baseline, good, checks=checks)
    assert {f.severity for f in well.findings} == {"ok"}
    y, s = arrays(bad)
    assert told(mw.compare(baseline, bad), "score")["roc_auc"].value == pytest.approx(roc_auc_score(y, s), abs=1e-3)


def test_the_table_of_performance_has_a_row_for_each_number_and_reason(report: mw.Report) -> None:
    rows: list[dict[str, Any]] = report.to_arrow().performance.to_pylist()
    by = {(r["segment_value"], r["column"], r["measure"]): r for r in rows}
    assert len(by) == len(rows)
    area = by[None, "score", "roc_auc"]
    assert area["lower"] <= area["value"] <= area["upper"]
    assert by[None, "score", "roc_auc_drop"]["value"] == pytest.approx(area["baseline"] - area["value"], **NEAR)
    assert by["a", "label", "labelled"]["n"] == sum(s == "a" for s in scored_log(4000, 2)["side"].to_pylist())
    assert all((r["value"] is None) == (r["reason"] is not None) for r in rows)


def test_the_page_and_the_terminal_say_how_good_the_answers_are(report: mw.Report) -> None:
    from io import StringIO

    from rich.console import Console

    from modelwatch_gpu.report.table import ReportTable
    from modelwatch_gpu.report.view import view_of

    shown = {(r["column"], r["measure"]): r for r in view_of(report, title="t")["performance"]}
    area = shown["score", "roc_auc"]
    assert area["baseline"] == pytest.approx(told(report, "score")["roc_auc"].value, abs=0.05)
    assert area["values"] == [told(report, "score")["roc_auc"].value]
    out = StringIO()
    Console(file=out, width=100).print(ReportTable(report))
    line = next(text for text in out.getvalue().splitlines() if "roc_auc" in text)
    assert f"{area['baseline']:.4g}" in line
    assert f"{area['values'][0]:.4g}" in line
