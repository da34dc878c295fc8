"""What is judged by default where a log has labels: which measure, from where on, and beside which other tests."""

from __future__ import annotations

import datetime as dt
import math
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

import modelwatch_gpu as mw
from modelwatch_gpu.checks.default import scaled_drop

DAY = dt.timedelta(days=1)
START = dt.datetime(2024, 1, 1)
CAR_LOAN = Path(__file__).parents[1] / "data" / "car_loan.parquet"
PAGE = Path(__file__).parents[2] / "docs" / "verdicts.md"


def times(rows: int, days: int, first: int = 0) -> pa.Array:
    return pa.array([START + (first + i * days // rows) * DAY for i in range(rows)], pa.timestamp("us"))


# ---- thresholds of areas ---------------------------------------------------------------------------------------------


@given(st.floats(0.5, 1.0), st.sampled_from([0.02, 0.05]))
def test_a_drop_is_as_much_where_the_classes_come_as_much_closer(area: float, limit: float) -> None:
    found, normal = scaled_drop(limit, area), NormalDist()
    assert 0 < found <= limit
    if area <= 0.75:
        assert found == limit
        return
    # In the model of two normal distributions: the distance of the means in deviations, before and after.
    area = min(area, 0.99)
    lost = [math.sqrt(2) * (normal.inv_cdf(a) - normal.inv_cdf(a - x)) for a, x in ((0.75, limit), (area, found))]
    assert lost[1] == pytest.approx(lost[0], rel=0.06)  # two significant digits


def test_sharper_scores_have_smaller_thresholds() -> None:
    assert [scaled_drop(0.05, a) for a in (0.6, 0.75, 0.9, 0.97, 0.99, 1.0)] == [
        0.05,
        0.05,
        0.029,
        0.012,
        0.0048,
        0.0048,
    ]


def car_loan() -> mw.Report:
    table = pq.read_table(CAR_LOAN)
    table = table.set_column(2, "score", pc.divide(table["score"].cast(pa.float64()), 100.0))
    own = table["reference"]
    before, after = (table.filter(side).drop_columns(["reference"]) for side in (own, pc.invert(own)))
    roles = mw.Roles(label="repaid", score="score", timestamp="timestamp")
    return mw.compare(mw.Baseline.fit(before, roles=roles), after, window="1mo")


def test_the_drop_in_the_second_half_of_the_car_loan_log_is_found_and_nothing_before_it() -> None:
    report = car_loan()
    labels = {w.second: str(w.start)[:7] for w in report.windows}
    drops = {labels[f.start]: f for f in report.findings if f.check == "roc_auc_drop"}
    assert [(c.warn, c.alert) for c in report.checks if c.measure == "roc_auc_drop"] == [(0.0043, 0.011)]
    found = sorted(month for month, f in drops.items() if f.severity in ("warning", "alert"))
    assert found == ["2019-04", "2019-05", "2019-06", "2019-08"]
    assert drops["2019-07"].severity == "not_enough_data"
    page = PAGE.read_text()
    for month, f in drops.items():
        ends = "far below" if f.interval_lower is None else f"{f.interval_lower:+.4f} to {f.interval_upper:+.4f}"
        word = "open" if f.severity == "not_enough_data" else f.severity
        assert f"| {month} | {f.value:+.4f} | {ends} | {word} |" in page


# ---- several classes without a predicted one -------------------------------------------------------------------------


def scores_log(days: int, apart: float, *, first: int = 0, seed: int = 0, classes: bool = False) -> pa.Table:
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 3, days * 100)
    logits = apart * np.eye(3)[label] + rng.normal(size=(len(label), 3))
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    columns: dict[str, Any] = {
        "timestamp": times(len(label), days, first),
        "label": pa.array([f"c{k}" for k in label]),
        **{f"score_c{k}": scores[:, k] for k in range(3)},
    }
    if classes:
        columns["prediction"] = pa.array([f"c{k}" for k in scores.argmax(axis=1)])
    return pa.table(columns)


ROLES = mw.Roles(label="label", score=["score_c0", "score_c1", "score_c2"], timestamp="timestamp")


def test_scores_of_several_classes_are_judged_by_the_mean_of_their_areas() -> None:
    before, after = scores_log(30, 1.5), scores_log(30, 0.7, first=30, seed=1)
    baseline = mw.Baseline.fit(before, roles=ROLES)
    report = mw.compare(baseline, after)
    own = next(f for f in report.findings if f.check == "roc_auc_macro_drop")

    def area(log: pa.Table) -> float:
        label = np.array(log["label"].to_pylist())
        each = [metrics.roc_auc_score(label == f"c{k}", log[f"score_c{k}"].to_numpy()) for k in range(3)]
        return float(np.mean(each))

    assert own.value == pytest.approx(area(before) - area(after), abs=1e-3)
    assert (own.column, own.severity, own.interval_by) == ("label", "alert", "units")
    assert own.threshold == scaled_drop(0.05, area(before))
    same = mw.compare(baseline, scores_log(30, 1.5, first=30, seed=2))
    assert next(f for f in same.findings if f.check == "roc_auc_macro_drop").severity in ("ok", "not_enough_data")


def test_a_predicted_class_comes_first() -> None:
    log = scores_log(10, 1.5, classes=True)
    roles = mw.Roles(label="label", score=[f"score_c{k}" for k in range(3)], prediction="prediction")
    checks = {c.measure for c in mw.compare(mw.Baseline.fit(log, roles=roles), log).checks}
    assert "accuracy_drop" in checks
    assert "roc_auc_macro_drop" not in checks


def test_two_classes_that_are_only_predicted_are_judged_too() -> None:
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 900)
    log = pa.table({"label": label, "prediction": np.where(rng.random(900) < 0.8, label, 1 - label)})
    checks = mw.compare(mw.Baseline.fit(log), log).checks
    assert [c.measure for c in checks if c.measure.startswith(("roc", "accuracy"))] == ["accuracy_drop"]


# ---- families of tests -----------------------------------------------------------------------------------------------


def test_tests_of_inputs_do_not_take_back_what_labels_say() -> None:
    """A drop that is sure among answers stays one beside a hundred columns that did not move."""
    rng = np.random.default_rng(3)

    def log(days: int, apart: float, first: int) -> pa.Table:
        rows = days * 60
        label = rng.integers(0, 2, rows)
        columns = {f"x{i}": rng.normal(size=rows).astype(np.float32) for i in range(40)}
        score = rng.normal(size=rows) + apart * label
        return pa.table({"timestamp": times(rows, days, first), "label": label, "score": score, **columns})

    baseline = mw.Baseline.fit(log(40, 1.0, 0), roles=mw.Roles(label="label", score="score", timestamp="timestamp"))
    after = log(20, 0.82, 40)
    checks = [mw.Check("roc_auc_drop", warn=0.005), mw.Check("ks", columns="x*", warn=0.0)]
    together = mw.compare(baseline, after, checks=checks)
    own = next(f for f in together.findings if f.check == "roc_auc_drop")
    alone = next(f for f in mw.compare(baseline, after, checks=checks[:1]).findings)
    assert own.p_adjusted == alone.p_adjusted == own.p_value
    inputs = [f for f in together.findings if f.check == "ks"]
    assert all(f.p_adjusted >= f.p_value for f in inputs if f.p_adjusted is not None)
    assert any(f.p_adjusted > f.p_value for f in inputs if f.p_adjusted is not None)


# ---- weights ---------------------------------------------------------------------------------------------------------


def test_weighted_errors_count_the_rows_that_have_one() -> None:
    rng = np.random.default_rng(1)

    def log(rows: int) -> pa.Table:
        y = 50 + 10 * rng.normal(size=rows)
        without, weight = rng.random(rows) < 0.3, rng.gamma(0.5, 1.0, rows)
        return pa.table(
            {
                "label": pa.array(y, mask=without),
                "prediction": y + rng.normal(size=rows),
                "w": np.where(without, 20 * weight, weight),  # rows without a label weigh more
                "side": pa.array(np.where(rng.random(rows) < 0.4, "a", "b")),
            }
        )

    roles = mw.Roles(label="label", prediction="prediction", weight="w")
    baseline, after = mw.Baseline.fit(log(3000), roles=roles), log(2000)
    report = mw.compare(baseline, after, segments=["side"], checks=[mw.Check("mae_rise", alert=1e-9)])
    weight, known = after["w"].to_numpy(), after["label"].is_valid().to_numpy(zero_copy_only=False)
    side = np.array(after["side"].to_pylist())

    def effective(some: Any) -> float:
        return float(weight[some].sum() ** 2 / (weight[some] ** 2).sum())

    groups = {None: known, ((0, "a"),): known & (side == "a"), ((0, "b"),): known & (side == "b")}
    results = {r.segment: r for r in report.results if r.column.name == "prediction"}
    for segment, some in groups.items():
        assert results[segment].values["mae"].n == pytest.approx(effective(some), abs=1.5)
        assert results[segment].values["row_count"].n == (
            len(after) if segment is None else (side == segment[0][1]).sum()
        )


def test_states_with_weighted_errors_come_back_from_a_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    y = rng.normal(size=300)
    log = pa.table(
        {"label": y, "prediction": y + rng.normal(size=300), "w": rng.random(300), "timestamp": times(300, 5)}
    )
    baseline = mw.Baseline.fit(log, roles=mw.Roles(label="label", prediction="prediction", weight="w"))
    baseline.save(tmp_path / "b.mwb")
    profile = mw.Profile.count(mw.Baseline.load(tmp_path / "b.mwb"), log, window="1d")
    profile.save(tmp_path / "p.mwp")
    again = mw.Profile.load(tmp_path / "p.mwp")
    assert again.parts[0].fingerprint == profile.parts[0].fingerprint
    halves = [mw.Profile.count(baseline, part, window="1d") for part in (log.slice(0, 120), log.slice(120))]
    merged, whole = (halves[0] + halves[1]).merged(), profile.merged()
    assert merged.groups == whole.groups
    for name, sums in whole.weights.items():
        assert merged.weights[name].total.tolist() == sums.total.tolist()
        assert merged.weights[name].squares == sums.squares


# ---- learned from the baseline's own windows -------------------------------------------------------------------------


def test_thresholds_of_a_drop_are_learned_from_windows_of_the_baseline() -> None:
    rng = np.random.default_rng(5)

    def log(weeks: int, apart: float, first: int) -> pa.Table:
        rows = weeks * 7 * 40
        label = rng.integers(0, 2, rows)
        score = rng.normal(size=rows) + apart * label
        return pa.table({"timestamp": times(rows, weeks * 7, first), "label": label, "score": score})

    roles = mw.Roles(label="label", score="score", timestamp="timestamp")
    baseline = mw.Baseline.fit(log(20, 1.2, 0), roles=roles)
    check = mw.Check("roc_auc_drop", alert=0.05, learn="conformal")  # of 20 windows: the largest drop
    report = mw.compare(baseline, pa.concat_tables([log(3, 1.2, 140), log(3, 0.3, 161)]), window="1w", checks=[check])
    found = [f for f in sorted(report.findings, key=lambda f: f.start) if f.segment is None]
    assert [f.severity for f in found] == ["ok"] * 3 + ["alert"] * 3
    assert {f.no_interval for f in found} == {"learned"}
    assert 0 < found[0].threshold < 0.1
    for measure, message in (("roc_auc", "roc_auc_drop"), ("distinct", "thresholds that are given")):
        with pytest.raises(mw.InputError, match=message):
            mw.compare(
                baseline, log(1, 1.0, 140), checks=[mw.Check(measure, alert=0.1, learn="conformal")], window="1w"
            )
