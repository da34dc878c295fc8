"""Predicted classes, scores of several classes, and predicted numbers from a log: against scikit-learn."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scored_makers import agrees, told
from sklearn import metrics
from state_makers import exact_state
from tolerances import PERFORMANCE

import modelwatch_gpu as mw

CLASSES = ("bird", "cat", "dog")
NEAR = {"rel": PERFORMANCE, "abs": PERFORMANCE}


def classes_log(rows: int, seed: int, *, distinct: int = 50) -> pa.Table:
    """Labels of three classes with null, a prediction that also says what no label is, and a score for each class."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(0, 1, (rows, 3))
    label = (odds + rng.gumbel(0, 1, (rows, 3))).argmax(axis=1)
    score = np.round(np.exp(odds) / np.exp(odds).sum(axis=1, keepdims=True) * distinct) / distinct
    names = np.array([*CLASSES, "fish"])
    guess = np.where(rng.random(rows) < 0.05, 3, odds.argmax(axis=1))
    columns = {f"score_{name}": score[:, i] for i, name in enumerate(CLASSES)}
    return pa.table(
        {
            "label": pa.array(names[label], mask=rng.random(rows) < 0.1),
            "prediction": pa.array(names[guess], mask=rng.random(rows) < 0.03),
            "side": rng.choice(["a", "b"], rows),
            **columns,
        }
    )


SCORES = [f"score_{name}" for name in CLASSES]
ROLES = mw.Roles(label="label", prediction="prediction", score=SCORES)


def of_several(y: Any, z: Any) -> dict[str, float]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        out = {
            "accuracy": metrics.accuracy_score(y, z),
            "balanced_accuracy": metrics.balanced_accuracy_score(y, z),
            "mcc": metrics.matthews_corrcoef(y, z),
            "cohen_kappa": metrics.cohen_kappa_score(y, z),
        }
        for mean in ("macro", "micro", "weighted"):
            found = metrics.precision_recall_fscore_support(y, z, average=mean, zero_division=0)
            out |= {f"{name}_{mean}": found[i] for i, name in enumerate(("precision", "recall", "f1"))}
    return out


@pytest.mark.parametrize("seed", range(3))
def test_predicted_classes_are_scikit_learns_in_windows_and_segments(seed: int) -> None:
    baseline = mw.Baseline.fit(classes_log(800, 9), roles=ROLES)
    log = classes_log(900, seed)
    report = mw.compare(baseline, log, segments=["side"])
    for side in (None, "a", "b"):
        rows = log.to_pandas()
        rows = rows if side is None else rows[rows["side"] == side]
        rows = rows.dropna(subset=["label", "prediction"])
        found = told(report, "prediction", None, side)
        for name, number in of_several(rows["label"], rows["prediction"]).items():
            assert found[name].value == pytest.approx(number, **NEAR), (name, side)
        assert found["accuracy"].n == len(rows)


@given(st.lists(st.tuples(st.sampled_from(CLASSES), st.sampled_from((*CLASSES, "fish"))), min_size=1, max_size=40))
def test_any_table_of_classes_is_scikit_learns(rows: list[tuple[str, str]]) -> None:
    y, z = zip(*rows, strict=True)
    base = pa.table({"label": [*CLASSES], "prediction": [*CLASSES]})
    report = mw.compare(mw.Baseline.fit(base), pa.table({"label": y, "prediction": z}))
    found = told(report, "prediction")
    for name, number in of_several(list(y), list(z)).items():
        if found[name].value is None:
            assert found[name].reason in ("one_sided", "chance_agrees")
            continue
        assert found[name].value == pytest.approx(number, **NEAR), name


@pytest.mark.parametrize("distinct", [50, 1_000_000])
def test_scores_of_several_classes_are_each_held_against_the_rest(distinct: int) -> None:
    baseline = mw.Baseline.fit(classes_log(800, 9, distinct=50), roles=ROLES)
    assert baseline.scoring is not None
    assert (baseline.scoring.task, baseline.scoring.classes) == ("classes", CLASSES)
    log = classes_log(900, 1, distinct=distinct)
    report = mw.compare(baseline, log, segments=["side"])
    for side in (None, "a"):
        rows = log.to_pandas()
        rows = rows if side is None else rows[rows["side"] == side]
        rows = rows.dropna(subset=["label"])
        y, s = rows["label"].to_numpy(), rows[SCORES].to_numpy()
        areas = []
        for i, name in enumerate(CLASSES):
            found = told(report, f"score_{name}", None, side)
            areas.append(metrics.roc_auc_score(y == name, s[:, i]))
            assert agrees(found["roc_auc"], areas[-1], PERFORMANCE)
            assert agrees(found["average_precision"], metrics.average_precision_score(y == name, s[:, i]), PERFORMANCE)
            assert "accuracy" not in found
        together = told(report, "label", None, side)
        shares = np.array([(y == name).mean() for name in CLASSES])
        assert agrees(together["roc_auc_macro"], float(np.mean(areas)), PERFORMANCE)
        assert agrees(together["roc_auc_weighted"], float(np.sum(areas * shares)), PERFORMANCE)
        own = s[np.arange(len(y)), np.searchsorted(CLASSES, y)]
        epsilon = np.finfo(float).eps
        assert agrees(
            together["log_loss_classes"], float(-np.log(np.clip(own, epsilon, 1 - epsilon)).mean()), PERFORMANCE
        )
        for k in (1, 2):
            wanted = metrics.top_k_accuracy_score(y, s, k=k, labels=CLASSES)
            assert together[f"top_{k}_accuracy"].value == pytest.approx(wanted, **NEAR)
        assert "top_3_accuracy" not in together
        truth = (y[:, None] == np.array(CLASSES)).astype(float)
        assert agrees(together["brier_classes"], float(((s - truth) ** 2).sum(axis=1).mean()), PERFORMANCE)


def test_scores_without_names_are_taken_in_the_order_of_the_classes_and_it_is_said() -> None:
    log = classes_log(300, 2).rename_columns(["label", "prediction", "side", "p", "q", "r"])
    baseline = mw.Baseline.fit(log, roles=mw.Roles(label="label", score=["p", "q", "r"]))
    assert baseline.scoring is not None
    assert baseline.scoring.scores == ("p", "q", "r")
    assert any("in this order" in note for note in baseline.notes)
    fewer = mw.Baseline.fit(log, roles=mw.Roles(label="label", score=["p", "q"], ignore=["prediction"]))
    assert fewer.scoring is None
    assert any("one score for each class" in note for note in fewer.notes)


def test_the_scores_of_both_classes_are_told_by_their_names() -> None:
    log = pa.table({"label": [0, 1, 1, 0], "p_0": [0.8, 0.3, 0.2, 0.6], "p_1": [0.2, 0.7, 0.8, 0.4]})
    baseline = mw.Baseline.fit(log, roles=mw.Roles(label="label", score=["p_0", "p_1"]))
    assert baseline.scoring is not None
    assert baseline.scoring.scores == ("p_1",)


def test_a_table_of_labels_and_predictions_by_hand() -> None:
    base = pa.table({"label": ["a", "a", "b", "c"], "prediction": ["a", "b", "b", "b"]})
    report = mw.compare(mw.Baseline.fit(base), base)
    rows = {(r["label"], r["prediction"]): r["rows"] for r in report.to_dict()["confusion"] if r["of"] == "log"}
    assert rows == {("a", "a"): 1, ("a", "b"): 1, ("b", "b"): 1, ("c", "b"): 1}
    each = {r["class"]: (r["precision"], r["recall"], r["f1"]) for r in report.to_dict()["classes"] if r["of"] == "log"}
    assert each == {"a": (1, 1 / 2, pytest.approx(2 / 3)), "b": (1 / 3, 1, 1 / 2), "c": (None, 0, 0)}
    found = told(report, "prediction")
    assert found["accuracy"].value == 1 / 2
    assert found["recall_macro"].value == pytest.approx((1 / 2 + 1 + 0) / 3)
    assert found["precision_macro"].value == pytest.approx((1 + 1 / 3 + 0) / 3)
    assert found["f1_macro"].value == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)


def test_bools_and_0_and_1_are_the_same_classes() -> None:
    log = pa.table({"label": [1, 0, 1, 0], "prediction": [True, False, False, False]})
    found = told(mw.compare(mw.Baseline.fit(log), log), "prediction")
    assert (found["recall"].value, found["precision"].value) == (1 / 2, 1)


def test_thousands_of_new_predictions_are_wrong_and_no_table_grows_with_them() -> None:
    base = pa.table({"label": ["a", "b"] * 5, "prediction": ["a", "b"] * 5})
    odd = pa.table({"label": ["a", "b"] * 3000, "prediction": ["a", "b"] * 500 + [f"n{i}" for i in range(5000)]})
    report = mw.compare(mw.Baseline.fit(base), odd)
    found = told(report, "prediction")
    assert found["accuracy"].value == 1000 / 6000
    rows = [r for r in report.to_dict()["confusion"] if r["of"] == "log"]
    assert {(r["label"], r["prediction"]): r["rows"] for r in rows} == {
        ("a", "a"): 500,
        ("b", "b"): 500,
        ("a", None): 2500,
        ("b", None): 2500,
    }


def test_too_many_labels_are_no_classes_and_it_is_said() -> None:
    names = [f"n{i}" for i in range(150)]
    baseline = mw.Baseline.fit(pa.table({"label": names, "prediction": names}))
    assert baseline.scoring is None
    assert any("more than 100 values" in note for note in baseline.notes)


# ---- numbers ---------------------------------------------------------------------------------------------------------


def numbers_log(rows: int, seed: int, *, kind: str = "float64") -> pa.Table:
    rng = np.random.default_rng(seed)
    y = rng.normal(50, 20, rows)
    z = 0.9 * y + 4 + rng.normal(0, 5, rows)
    if kind.startswith("int"):
        y, z = np.round(y), np.round(z)
    return pa.table(
        {
            "label": pa.array(y.astype(kind), mask=rng.random(rows) < 0.1),
            "prediction": pa.array(z.astype(kind)),
            "side": rng.choice(["a", "b"], rows),
            "when": pa.array(1_700_000_000 + rng.integers(0, 40 * 86_400, rows)).cast(pa.timestamp("s", "UTC")),
        }
    )


def of_numbers(y: Any, z: Any) -> dict[str, float]:
    return {
        "rmse": metrics.root_mean_squared_error(y, z),
        "mae": metrics.mean_absolute_error(y, z),
        "me": float(np.mean(z - y)),
        "max_error": metrics.max_error(y, z),
        "mape": metrics.mean_absolute_percentage_error(y, z),
        "smape": float(np.mean(2 * np.abs(z - y) / (np.abs(y) + np.abs(z)))),
        "r2": metrics.r2_score(y, z),
        "explained_variance": metrics.explained_variance_score(y, z),
        "quantile_loss": metrics.mean_pinball_loss(y, z, alpha=0.9),
    }


@pytest.mark.parametrize("kind", ["float64", "float32", "int32", "int64"])
def test_predicted_numbers_are_scikit_learns_in_windows_and_segments(kind: str) -> None:
    baseline = mw.Baseline.fit(numbers_log(900, 9, kind=kind), roles=mw.Roles(timestamp="when"))
    assert baseline.scoring is not None
    assert baseline.scoring.task == "numbers"
    log = numbers_log(1000, 1, kind=kind)
    report = mw.compare(baseline, log, segments=["side"])
    for side in (None, "a", "b"):
        rows = log.to_pandas()
        rows = rows if side is None else rows[rows["side"] == side]
        labelled = told(report, "label", None, side)["labelled"]
        assert labelled.value == rows["label"].notna().sum() / len(rows)
        rows = rows.dropna(subset=["label"])
        found = told(report, "prediction", None, side)
        wanted = of_numbers(rows["label"].to_numpy(np.float64), rows["prediction"].to_numpy(np.float64))
        for name, number in wanted.items():
            assert found[name].value == pytest.approx(number, **NEAR), (name, side)
            assert found[name].n == len(rows)


def test_errors_by_hand() -> None:
    log = pa.table({"label": [1.5, 2.0, 4.0, None], "prediction": [1.0, 3.0, 4.0, 9.0]})
    report = mw.compare(mw.Baseline.fit(log), log)
    found = {name: v.value for name, v in told(report, "prediction").items()}
    assert found["me"] == pytest.approx((-0.5 + 1 + 0) / 3)
    assert (found["mae"], found["max_error"]) == (0.5, 1)
    assert found["rmse"] == pytest.approx((1.25 / 3) ** 0.5)
    assert found["mape"] == pytest.approx((0.5 / 1.5 + 1 / 2) / 3)
    assert found["quantile_loss"] == pytest.approx((0.9 * 0.5 + 0.1 * 1) / 3)
    assert told(report, "label")["labelled"].value == 3 / 4
    profile = {r["column"]: r for r in report.to_dict()["profile"]}
    assert profile["prediction - label"]["quantiles"]["p50"]["value"] == 0
    assert profile["|prediction - label|"]["max"] == 1


@pytest.mark.parametrize(
    ("y", "z", "reasons"),
    [
        ([None, None], [1.0, 2.0], {"rmse": "no_rows", "r2": "no_rows"}),
        ([3.0, 3.0], [1.0, 2.0], {"r2": "constant_labels"}),
        ([3.0], [1.0], {"r2": "one_row"}),
        ([3.0, 4.0], [1.0, None], {"r2": "one_row"}),
        ([3.0, 4.0, 5.5], [1.0, None, 2.0], {"r2": "other_rows"}),
        ([3.0, np.inf], [1.0, 2.0], {"rmse": "infinite"}),
    ],
)
def test_numbers_that_cannot_be_say_why(y: list[Any], z: list[Any], reasons: dict[str, str]) -> None:
    baseline = mw.Baseline.fit(numbers_log(50, 1).select(["label", "prediction"]))
    log = pa.table({"label": pa.array(y, pa.float64()), "prediction": pa.array(z, pa.float64())})
    found = told(mw.compare(baseline, log), "prediction")
    for name, reason in reasons.items():
        assert (found[name].value, found[name].reason) == (None, reason), name


def test_whole_numbers_beyond_float64_are_subtracted_before_they_are_rounded() -> None:
    y = [2**62 + i for i in range(20)]
    log = pa.table({"label": pa.array(y, pa.int64()), "prediction": pa.array([v + 1 for v in y], pa.int64())})
    found = told(mw.compare(mw.Baseline.fit(log), log), "prediction")
    assert found["mae"].value == found["me"].value == found["rmse"].value == 1


def test_a_log_without_the_label_has_no_errors_and_nothing_is_gone_but_the_label() -> None:
    baseline = mw.Baseline.fit(numbers_log(200, 1), roles=mw.Roles(timestamp="when"))
    report = mw.compare(baseline, numbers_log(100, 2).drop_columns(["label"]))
    assert {f.column for f in report.findings if f.check == "present"} == {"label"}
    assert told(report, "prediction")["rmse"].reason == "no_rows"
    assert told(report, "label")["labelled"].value == 0


def test_ratings_are_numbers_where_that_is_asked_for() -> None:
    log = pa.table({"label": [1, 2, 3, 4, 5] * 4, "prediction": [1.5, 2.5, 2.5, 4.0, 4.5] * 4})
    assert mw.Baseline.fit(log).scoring is None
    asked = mw.Baseline.fit(log, roles=mw.Roles(label="label", prediction="prediction", numeric=["label"]))
    assert asked.scoring is not None
    assert told(mw.compare(asked, log), "prediction")["mae"].value == pytest.approx((0.5 * 4 + 0) / 5)


@given(st.lists(st.integers(1, 299), max_size=5), st.permutations(range(300)))
def test_any_partition_of_rows_gives_the_same_exact_state(cuts: list[int], order: list[int]) -> None:
    baseline = NUMBERS
    log = numbers_log(300, 4)
    mixed = log.take(pa.array(order)).combine_chunks()
    ends = sorted({0, 300, *cuts})
    pieces = [mixed.slice(a, b - a) for a, b in itertools.pairwise(ends)]
    whole = mw.Profile.count(baseline, log, window="1w").merged()
    assert exact_state(mw.Profile.count(baseline, pieces, window="1w").merged()) == exact_state(whole)


NUMBERS = mw.Baseline.fit(numbers_log(400, 0), roles=mw.Roles(timestamp="when"))
