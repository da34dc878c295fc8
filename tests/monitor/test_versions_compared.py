"""Two versions on the same windows: the numbers beside scikit-learn's, the intervals beside a bootstrap of rows by day
written out here, and how often a version that is no worse is told to be rolled back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.stats import t
from sklearn.metrics import accuracy_score, roc_auc_score
from tolerances import BOOTSTRAP_ERROR, PERFORMANCE
from typer.testing import CliRunner

import modelwatch_gpu as mw
from modelwatch_gpu.cli import app
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.monitor.versions import compare_versions

FIRST = 1_700_006_400  # midnight UTC
DAY = 86_400
Array = npt.NDArray[Any]


def canary(
    rows: int, seed: int, *, days: int = 20, worse: float = 0.0, shared: float = 0.0, distinct: int = 200
) -> pa.Table:
    """Half of the rows were answered by v2, whose scores have ``worse`` more noise. ``shared``: how much days differ,
    for both versions alike."""
    rng = np.random.default_rng(seed)
    day = rng.integers(0, days, rows)
    odds = rng.normal(-1, 1.5, rows)
    label = (odds * (1 + rng.normal(0, shared, days)[day]) + rng.logistic(0, 1, rows) > 0).astype(int)
    second = rng.random(rows) < 0.5
    score = 1 / (1 + np.exp(-(odds + rng.normal(0, 0.5, rows) + rng.normal(0, 1, rows) * worse * second)))
    return pa.table(
        {
            "when": pa.array(FIRST + day * DAY + rng.integers(0, DAY, rows)).cast(pa.timestamp("s", "UTC")),
            "odds": odds,
            "model_version": np.where(second, "v2", "v1"),
            "score": np.round(score * distinct) / distinct,
            "prediction": (score > 0.5).astype(int),
            "label": label,
        }
    )


ROLES = mw.Roles(label="label", score="score", prediction="prediction", timestamp="when")


@pytest.fixture(scope="module")
def baseline() -> mw.Baseline:
    return mw.Baseline.fit(canary(20_000, 1), roles=ROLES)


def of_version(log: pa.Table, version: str) -> dict[str, Array]:
    rows = log.filter(pa.compute.equal(log["model_version"], version))
    return {name: rows[name].to_numpy() for name in ("when", "score", "prediction", "label")}


def test_numbers_are_those_of_the_rows_of_each_version(baseline: mw.Baseline) -> None:
    log = canary(6_000, 2, worse=1.0)
    found = compare_versions(baseline, log, current="v1", candidate="v2", measures=["roc_auc", "accuracy"])
    one, two = of_version(log, "v1"), of_version(log, "v2")
    aucs = [roc_auc_score(v["label"], v["score"]) for v in (one, two)]
    area = next(d for d in found.differences if d.measure == "roc_auc")
    assert area.current == pytest.approx(aucs[0], abs=PERFORMANCE)  # every score of the log is a knot of the baseline
    assert area.candidate == pytest.approx(aucs[1], abs=PERFORMANCE)
    assert area.value == pytest.approx(aucs[0] - aucs[1], abs=PERFORMANCE)
    right = [accuracy_score(v["label"], v["prediction"]) for v in (one, two)]
    hits = next(d for d in found.differences if d.measure == "accuracy" and d.column == "prediction")
    assert (hits.current, hits.candidate) == pytest.approx(right, abs=PERFORMANCE)
    assert found.rows == (len(one["label"]), len(two["label"]))
    assert area.n == found.rows


def test_intervals_are_those_of_whole_days_drawn_for_both_versions_at_once(baseline: mw.Baseline) -> None:
    log = canary(12_000, 3, worse=0.7, shared=0.5, distinct=20)
    found = compare_versions(baseline, log, current="v1", candidate="v2", measures=["accuracy"])
    own = next(d for d in found.differences if d.column == "prediction")
    hits, rows = np.zeros((2, 20)), np.zeros((2, 20))
    for at, version in enumerate(("v1", "v2")):
        side = of_version(log, version)
        day = (side["when"].astype("datetime64[s]").astype(int) - FIRST) // DAY
        np.add.at(hits[at], day, side["label"] == side["prediction"])
        np.add.at(rows[at], day, 1)
    rng = np.random.default_rng(5)
    drawn = rng.integers(0, 20, (20_000, 20))
    share = hits[:, drawn].sum(axis=2) / rows[:, drawn].sum(axis=2)
    error = float(np.std(share[0] - share[1], ddof=1)) * (20 / 19) ** 0.5
    assert own.value is not None
    assert own.lower is not None
    assert own.upper is not None
    # Two columns have an accuracy, the score's at its threshold too, so each interval leaves out half as much.
    reach = error * t.ppf(1 - 0.025 / 2, 19)
    assert own.value - own.lower == pytest.approx(reach, rel=BOOTSTRAP_ERROR)
    assert own.upper - own.value == pytest.approx(own.value - own.lower, rel=PERFORMANCE)
    assert (own.units, own.by) == (20, "units")


def test_what_days_have_in_common_cancels(baseline: mw.Baseline) -> None:
    """Each day both versions are right or wrong alike; independent draws of days would tell nothing."""
    rng = np.random.default_rng(0)
    share = rng.uniform(0.3, 0.95, 20)
    when, version, prediction, label = [], [], [], []
    for day in range(20):
        for name, less in (("v1", 0.0), ("v2", 0.05)):
            right = np.arange(400) < round(400 * (share[day] - less))
            when += [FIRST + day * DAY] * 400
            version += [name] * 400
            truth = np.arange(400) % 2
            label += truth.tolist()
            prediction += np.where(right, truth, 1 - truth).tolist()
    log = pa.table(
        {
            "when": pa.array(when).cast(pa.timestamp("s", "UTC")),
            "odds": np.zeros(len(when)),
            "model_version": version,
            "score": np.full(len(when), 0.5),
            "prediction": prediction,
            "label": label,
        }
    )
    found = compare_versions(baseline, log, current="v1", candidate="v2", measures=["accuracy"])
    own = next(d for d in found.differences if d.column == "prediction")
    assert own.value == pytest.approx(0.05, abs=0.5 / 400)
    assert found.recommendation == "rollback"
    assert own.lower is not None
    assert own.lower > 0.045


def test_a_version_that_is_worse_is_rolled_back_and_the_same_one_is_not(baseline: mw.Baseline) -> None:
    worse = compare_versions(baseline, canary(20_000, 4, worse=3.0), current="v1", candidate="v2")
    assert (worse.recommendation, worse.ok) == ("rollback", False)
    assert "worse" in worse.reason
    same = compare_versions(baseline, canary(20_000, 5), current="v1", candidate="v2", margin=0.05)
    assert (same.recommendation, same.ok) == ("promote", True)
    unsure = compare_versions(baseline, canary(2_000, 6), current="v1", candidate="v2")
    assert unsure.recommendation == "wait"
    assert unsure.reason.startswith("In Area under the ROC curve (score) 'v2' may be worse")


def test_a_version_that_is_no_worse_is_seldom_rolled_back(baseline: mw.Baseline) -> None:
    found = [
        compare_versions(baseline, canary(1_500, seed, shared=0.5), current="v1", candidate="v2").recommendation
        for seed in range(100, 124)
    ]
    # 2.5% of 24 is 0.6; more than 3 have a chance of 0.3%.
    assert found.count("rollback") <= 3


def test_too_few_days_recommend_nothing_and_rows_do_where_asked(baseline: mw.Baseline) -> None:
    log = canary(8_000, 7, days=3, worse=3.0)
    found = compare_versions(baseline, log, current="v1", candidate="v2")
    assert found.recommendation == "not_enough_data"
    assert "3 days" in found.reason
    assert found.differences[0].value is not None
    rows = compare_versions(baseline, log, current="v1", candidate="v2", units="rows")
    assert rows.recommendation == "rollback"
    assert rows.differences[0].by == "rows"
    assert any("rows as independent" in note for note in rows.notes)


def test_only_windows_that_both_have_are_compared(baseline: mw.Baseline) -> None:
    log = canary(10_000, 8, days=20)
    early = log["when"].to_numpy().astype("datetime64[s]").astype(int) < FIRST + 8 * DAY
    kept = log.filter(~(early & (log["model_version"].to_numpy() == "v2")))
    found = compare_versions(baseline, kept, current="v1", candidate="v2")
    assert len(found.windows) == 12
    assert found.differences[0].units == 12
    assert found.notes == ("8 windows of the current version are left out, because the other has no rows in them.",)
    both = log.filter(~early)
    assert found.differences[0].current == pytest.approx(
        roc_auc_score(of_version(both, "v1")["label"], of_version(both, "v1")["score"]), abs=PERFORMANCE
    )
    assert sum(w.rows[0] for w in found.windows) == found.rows[0]
    first = found.windows[0]
    assert first.start is not None
    assert first.start.startswith("2023-11-23T00:00:00")
    day = both["when"].to_numpy().astype("datetime64[s]").astype(int) < FIRST + 9 * DAY
    one = of_version(both.filter(day), "v2")
    assert first.differences[0].candidate == pytest.approx(roc_auc_score(one["label"], one["score"]), abs=PERFORMANCE)


def test_a_shadow_in_a_log_of_its_own_gives_what_one_log_of_both_does(baseline: mw.Baseline) -> None:
    log = canary(5_000, 9, worse=0.5)
    one, two = (log.filter(pa.compute.equal(log["model_version"], v)) for v in ("v1", "v2"))
    together = compare_versions(baseline, log, current="v1", candidate="v2")
    apart = compare_versions(baseline, one, candidate_log=two, current="v1", candidate="v2")
    assert apart.to_dict() == together.to_dict()
    counted = [mw.Profile.count(baseline, side, window="1d") for side in (one, two)]
    assert compare_versions(baseline, counted[0], candidate_log=counted[1], current="v1", candidate="v2").to_dict() == (
        together.to_dict()
    )


def test_any_split_of_the_log_gives_the_same_comparison(baseline: mw.Baseline) -> None:
    log = canary(4_000, 10)
    pieces = pa.concat_tables([log.slice(2_500), log.slice(0, 7), log.slice(7, 2_493)])
    whole = compare_versions(baseline, log, current="v1", candidate="v2").to_dict()
    assert compare_versions(baseline, pieces.combine_chunks(), current="v1", candidate="v2").to_dict() == whole


def test_inputs_that_differ_between_versions_are_said(baseline: mw.Baseline) -> None:
    log = canary(6_000, 11)
    odds = log["odds"].to_numpy() + 3.0 * (log["model_version"].to_numpy() == "v2")
    found = compare_versions(
        baseline, log.set_column(1, "odds", pa.array(odds)), current="v1", candidate="v2", margin=0.1
    )
    assert [f.column for f in found.findings if f.severity == "alert"] == ["odds"]


def test_versions_that_are_numbers_or_dictionaries_are_named_by_their_text(baseline: mw.Baseline) -> None:
    log = canary(3_000, 12)
    number = np.where(log["model_version"].to_numpy() == "v2", 2, 1)
    numbered = log.set_column(2, "model_version", pa.array(number))
    coded = log.set_column(2, "model_version", log["model_version"].combine_chunks().dictionary_encode())
    expected = compare_versions(baseline, log, current="v1", candidate="v2").differences
    assert compare_versions(baseline, numbered, current="1", candidate="2").differences == expected
    assert compare_versions(baseline, coded, current="v1", candidate="v2").differences == expected


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"candidate": "v3"}, "there are 'v1', 'v2'"),
        ({"candidate": "v1"}, "compared with itself"),
        ({"column": "nothing"}, "no column 'nothing'"),
        ({"measures": ["roc_auk"]}, "There is no 'roc_auk'"),
        ({"measures": ["calibration_gap"]}, "neither better high nor better low"),
        ({"measures": []}, "is empty"),
        ({"margin": -1.0}, "must be a number from 0 on"),
        ({"margin": float("nan")}, "must be a number from 0 on"),
        ({"units": None}, "needs intervals"),
        ({"units": "1h"}, "shorter than a day"),
    ],
)
def test_what_cannot_be_compared_is_refused(baseline: mw.Baseline, options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        compare_versions(baseline, canary(500, 13), **{"current": "v1", "candidate": "v2", **options})


def test_without_labels_nothing_is_recommended() -> None:
    log = canary(2_000, 14)
    plain = mw.Baseline.fit(log.drop_columns(["label", "score", "prediction"]))
    with pytest.raises(InputError, match="no label"):
        compare_versions(plain, log, current="v1", candidate="v2")
    scored = mw.Baseline.fit(log, roles=ROLES)
    unlabelled = log.set_column(5, "label", pa.nulls(2_000, pa.int64()))
    found = compare_versions(scored, unlabelled, current="v1", candidate="v2")
    assert found.recommendation == "not_enough_data"
    assert found.differences[0].value is None


def test_the_command_says_what_to_do_and_its_exit_code_too(baseline: mw.Baseline, tmp_path: Path) -> None:
    file, fitted, data = tmp_path / "log.parquet", tmp_path / "baseline.mwb", tmp_path / "out.json"
    baseline.save(fitted)
    pq.write_table(canary(20_000, 4, worse=3.0), file)
    names = ["--current", "v1", "--candidate", "v2"]
    done = CliRunner().invoke(app, ["deployments", "compare", str(fitted), str(file), *names, "--json", str(data)])
    assert done.exit_code == 1
    assert done.output.startswith("rollback: Area under the ROC curve (score) of 'v2' is worse than that of 'v1' by ")
    expected = compare_versions(baseline, canary(20_000, 4, worse=3.0), current="v1", candidate="v2").to_dict()
    assert json.loads(data.read_text()) == json.loads(json.dumps(expected))
    done = CliRunner().invoke(
        app, ["deployments", "compare", str(fitted), str(file), *names, "--measure", "roc_auc=0.9", "--json", "-"]
    )
    assert done.exit_code == 0
    assert json.loads(done.output)["recommendation"] == "promote"
    done = CliRunner().invoke(app, ["deployments", "compare", str(fitted), str(file), *names, "--measure", "roc_auc=x"])
    assert done.exit_code == 2
    assert "--measure is 'roc_auc=x'" in done.output


def predictions(rows: int, seed: int, *, worse: float) -> pa.Table:
    """A predicted number; the errors of v2 are ``worse`` times as large."""
    rng = np.random.default_rng(seed)
    day = rng.integers(0, 20, rows)
    second = rng.random(rows) < 0.5
    truth = rng.normal(10, 3, rows)
    error = rng.normal(0, 1, rows) * (1 + 0.3 * rng.random(20)[day]) * np.where(second, worse, 1.0)
    return pa.table(
        {
            "when": pa.array(FIRST + day * DAY + rng.integers(0, DAY, rows)).cast(pa.timestamp("s", "UTC")),
            "model_version": np.where(second, "v2", "v1"),
            "prediction": truth + error,
            "label": truth,
        }
    )


@pytest.mark.parametrize("units", ["1d", "rows"])
def test_errors_of_predicted_numbers_are_compared_too(units: str) -> None:
    roles = mw.Roles(label="label", prediction="prediction", timestamp="when")
    fitted = mw.Baseline.fit(predictions(10_000, 1, worse=1.0), roles=roles)
    log = predictions(12_000, 2, worse=1.2)
    found = compare_versions(fitted, log, current="v1", candidate="v2", units=units)
    own = found.differences[0]
    assert (own.measure, own.column, found.recommendation) == ("rmse", "prediction", "rollback")
    sums, rows = np.zeros((2, 20)), np.zeros((2, 20))
    for at, version in enumerate(("v1", "v2")):
        side = log.filter(pa.compute.equal(log["model_version"], version))
        day = (side["when"].to_numpy().astype("datetime64[s]").astype(int) - FIRST) // DAY
        np.add.at(sums[at], day, (side["prediction"].to_numpy() - side["label"].to_numpy()) ** 2)
        np.add.at(rows[at], day, 1)
    whole = np.sqrt(sums.sum(axis=1) / rows.sum(axis=1))
    assert own.value == pytest.approx(whole[1] - whole[0], abs=PERFORMANCE)
    assert own.value is not None
    assert own.lower is not None
    if units == "1d":
        drawn = np.random.default_rng(5).integers(0, 20, (20_000, 20))
        rmse = np.sqrt(sums[:, drawn].sum(axis=2) / rows[:, drawn].sum(axis=2))
        error = float(np.std(rmse[1] - rmse[0], ddof=1)) * (20 / 19) ** 0.5
        assert own.value - own.lower == pytest.approx(error * t.ppf(0.975, 19), rel=BOOTSTRAP_ERROR)
    same = compare_versions(fitted, predictions(12_000, 3, worse=1.0), current="v1", candidate="v2", units=units)
    assert same.recommendation in ("wait", "promote")
