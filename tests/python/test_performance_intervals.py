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
from modelwatch_gpu.checks.answer_rows import auc_variances, variances_by_deletion

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


def bootstrap_of_days(of: Any, before: list[Any], after: list[Any], replicates: int = 400) -> np.ndarray[Any, Any]:
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


# ---- scores ----------------------------------------------------------------------------------------------------------


def classes_log(days: int, apart: float, *, first: int = 0, seed: int = 0) -> pa.Table:
    """100 rows a day with scores of three classes, better on some days than on others."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 3, (days, 100))
    strength = apart + 0.4 * rng.normal(size=(days, 1, 1))
    logits = strength * np.eye(3)[label] + rng.normal(size=(days, 100, 3))
    scores = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    when = np.repeat([START + (first + i) * DAY for i in range(days)], 100)
    return pa.table(
        {
            "timestamp": pa.array(when, pa.timestamp("us")),
            "label": pa.array([f"c{x}" for x in label.ravel()]),
            **{f"score_c{k}": scores[:, :, k].ravel() for k in range(3)},
        }
    )


@pytest.fixture(scope="module")
def classes() -> tuple[pa.Table, pa.Table, mw.Baseline]:
    before, after = classes_log(FIRST, 2.0), classes_log(LATER, 1.0, first=FIRST, seed=1)
    roles = mw.Roles(label="label", score=[f"score_c{k}" for k in range(3)], timestamp="timestamp")
    return before, after, mw.Baseline.fit(before, roles=roles)


def scores_by_days(table: pa.Table) -> list[np.ndarray[Any, Any]]:
    label = np.array([int(x[1:]) for x in table["label"].to_pylist()]).reshape(-1, 100)
    scores = np.stack([table[f"score_c{k}"].to_numpy() for k in range(3)], axis=1).reshape(-1, 100, 3)
    return [label, scores]


def area(y: Any, s: Any) -> float:
    """Under the ROC curve, by ranks (Mann and Whitney 1947): scikit-learn's takes too long for a bootstrap."""
    positives = int(y.sum())
    ranks = stats.rankdata(s)[y].sum() - positives * (positives + 1) / 2
    return float(ranks / (positives * (len(y) - positives)))


def scores_of(measure: str) -> Any:
    def of(y: Any, s: Any) -> float:
        y, s = y.ravel(), s.reshape(-1, 3)
        if measure.startswith("roc_auc"):
            areas = [area(y == k, s[:, k]) for k in range(3)]
            return float(np.average(areas, weights=np.bincount(y) if measure == "roc_auc_weighted" else None))
        own = s[np.arange(len(y)), y]
        if measure == "log_loss_classes":
            return float(-np.log(own).mean())
        if measure == "brier_classes":
            return float(((s - np.eye(3)[y]) ** 2).sum(axis=1).mean())
        return float(((s > own[:, None]).sum(axis=1) < 2).mean())

    return of


MEASURES_OF_CLASSES = ["roc_auc_macro", "roc_auc_weighted", "log_loss_classes", "brier_classes", "top_2_accuracy"]


@pytest.mark.parametrize("measure", MEASURES_OF_CLASSES)
def test_scores_of_several_classes_are_as_sure_as_a_bootstrap_of_days_says(classes: Any, measure: str) -> None:
    before, after, baseline = classes
    word = "rise" if measure.endswith("_classes") else "drop"
    report = mw.compare(baseline, after, checks=[mw.Check(f"{measure}_{word}", alert=1e-6)], correction=None)
    own = found(report, f"{measure}_{word}")
    sides = scores_by_days(before), scores_by_days(after)
    of = scores_of(measure)
    again = bootstrap_of_days(of, *sides)
    error = np.std(again[:, 1] - again[:, 0], ddof=1) * np.sqrt(LATER / (LATER - 1))
    reach = stats.t.isf(0.025, LATER - 1) * error
    assert own.value == pytest.approx(abs(of(*sides[1]) - of(*sides[0])), abs=0.005)
    if measure.startswith("roc_auc"):
        y, s = sides[1][0].ravel(), sides[1][1].reshape(-1, 3)
        average = measure.removeprefix("roc_auc_")
        assert of(*sides[1]) == pytest.approx(metrics.roc_auc_score(y, s, multi_class="ovr", average=average))
    assert own.interval_upper - own.value == pytest.approx(reach, rel=BOOTSTRAP_ERROR)
    assert own.value - own.interval_lower == pytest.approx(reach, rel=BOOTSTRAP_ERROR)


def test_each_score_of_several_is_held_against_the_rest_by_days(classes: Any) -> None:
    before, after, baseline = classes
    report = mw.compare(baseline, after, checks=[mw.Check("roc_auc_drop", alert=1e-6)], correction=None)
    by_column = {f.column: f for f in report.findings if f.check == "roc_auc_drop"}
    sides = scores_by_days(before), scores_by_days(after)
    for k in range(3):
        own = by_column[f"score_c{k}"]
        of = lambda y, s, k=k: area(y.ravel() == k, s.reshape(-1, 3)[:, k])  # noqa: E731
        again = bootstrap_of_days(of, *sides)
        error = np.std(again[:, 1] - again[:, 0], ddof=1) * np.sqrt(LATER / (LATER - 1))
        assert own.interval_upper - own.value == pytest.approx(
            stats.t.isf(0.025, LATER - 1) * error, rel=BOOTSTRAP_ERROR
        )


def test_the_variance_of_an_area_is_delongs() -> None:
    rng = np.random.default_rng(3)
    scores, label = rng.integers(0, 12, 400), rng.random(400) < 0.3
    counts = np.stack([np.bincount(scores[~label], minlength=12), np.bincount(scores[label], minlength=12)])
    found = auc_variances(counts.reshape(1, -1).astype(np.float64), np.ones(1))[0]
    wins = (scores[label][:, None] > scores[~label]) + 0.5 * (scores[label][:, None] == scores[~label])
    wanted = wins.mean(axis=1).var(ddof=1) / label.sum() + wins.mean(axis=0).var(ddof=1) / (~label).sum()
    assert found == pytest.approx(wanted)
    weighted = auc_variances(counts.reshape(1, -1) * 7.0, np.array([1 / 7]))[0]
    assert weighted == pytest.approx(wanted)


def test_an_area_without_two_rows_of_a_class_has_no_variance() -> None:
    assert np.isnan(auc_variances(np.array([[3.0, 4.0, 1.0, 0.0], [3.0, 4.0, 0.0, 0.0]]), np.ones(2))).all()


def test_leaving_out_rows_gives_the_variance_of_a_mean_and_of_a_ratio() -> None:
    counts = np.array([[30.0, 10.0, 60.0]])
    values = np.array([0.0, 1.0, 5.0])
    x = np.repeat(values, counts[0].astype(int))
    found = variances_by_deletion(lambda c: c @ values / c.sum(axis=1), counts, np.ones(1))
    assert found == pytest.approx([x.var() / len(x)], rel=1e-9)
    assert variances_by_deletion(lambda c: c @ values / c.sum(axis=1), counts * 1e6, np.array([1e-6])) == pytest.approx(
        [x.var() / len(x)], rel=1e-3
    )
    jack = np.array([np.delete(x, i).std() / np.delete(x, i).mean() for i in range(len(x))])

    def ratio(c: Any) -> Any:
        mean = c @ values / c.sum(axis=1)
        return np.sqrt(c @ values**2 / c.sum(axis=1) - mean**2) / mean

    wanted = (len(x) - 1) / len(x) * ((jack - jack.mean()) ** 2).sum()
    assert variances_by_deletion(ratio, counts, np.ones(1)) == pytest.approx([wanted], rel=0.03)
    assert np.isnan(variances_by_deletion(ratio, np.array([[0.0, 1.0, 0.0]]), np.ones(1))).all()


# ---- segments --------------------------------------------------------------------------------------------------------


def test_performance_in_segments_is_as_sure_as_their_rows_and_days_let_it_be() -> None:
    """Days here are alike, so the interval of a segment is that of its rows."""
    rng = np.random.default_rng(5)

    def log(days: int, first: int, shift: float) -> pa.Table:
        n = days * 200
        label, segment = rng.random(n) < 0.3, rng.random(n) < 0.25
        score = 1 / (1 + np.exp(-(rng.normal(size=n) + np.where(segment, shift, 1.0) * label)))
        when = np.repeat([START + (first + i) * DAY for i in range(days)], 200)
        return pa.table(
            {
                "timestamp": pa.array(when, pa.timestamp("us")),
                "segment": np.where(segment, "a", "b"),
                "label": label.astype(int),
                "score": score,
            }
        )

    before, after = log(60, 0, 1.0), log(30, 60, 0.3)
    roles = mw.Roles(label="label", score="score", timestamp="timestamp")
    report = mw.compare(mw.Baseline.fit(before, roles=roles), after, segments=["segment"])
    own = next(f for f in report.findings if f.check == "roc_auc_drop" and f.segment == ((0, "a"),))
    assert own.severity == "alert"
    assert own.interval_by == "units"
    variance = 0.0
    for table, chosen in ((before, None), (after, "a")):
        keep = slice(None) if chosen is None else np.array(table["segment"].to_pylist()) == chosen
        s, y = table["score"].to_numpy()[keep], table["label"].to_numpy()[keep] == 1
        wins = (s[y][:, None] > s[~y]).astype(np.float32)
        variance += wins.mean(axis=1).var(ddof=1) / y.sum() + wins.mean(axis=0).var(ddof=1) / (~y).sum()
    reach = stats.t.isf(0.025, 29) * np.sqrt(variance)
    assert own.interval_upper - own.value == pytest.approx(reach, rel=0.35)
    assert own.interval_upper - own.value > 0.95 * reach
    other = next(f for f in report.findings if f.check == "roc_auc_drop" and f.segment == ((0, "b"),))
    assert other.severity in ("ok", "not_enough_data")


# ---- default checks --------------------------------------------------------------------------------------------------


def test_answers_are_judged_by_default_where_there_are_labels_and_only_there(numbers: Any, classes: Any) -> None:
    _, after, baseline = numbers
    assert {c.measure for c in mw.compare(baseline, after).checks} > {"rmse"}
    late = after.set_column(2, "label", pa.nulls(len(after), pa.float64()))
    report = mw.compare(baseline, late)
    assert "rmse" not in {c.measure for c in report.checks}
    assert not [f for f in report.findings if f.check == "rmse"]
    assert "rmse" not in {c.measure for c in mw.compare(baseline, after, checks=[mw.Check("ks", alert=0.1)]).checks}
    _, scored, several = classes  # scores of several classes without a predicted one
    made = {c.measure for c in mw.compare(several, scored).checks} - {c.measure for c in mw.DEFAULT_CHECKS}
    assert made == {"roc_auc_macro_drop"}


# ---- moments ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_moved_means_are_as_sure_as_a_bootstrap_of_days_says(sign: float) -> None:
    rng = np.random.default_rng(8)

    def log(days: int, first: int, mean: float, spread: float) -> pa.Table:
        own = mean + 0.5 * rng.normal(size=(days, 1)), spread * np.exp(0.2 * rng.normal(size=(days, 1)))
        when = np.repeat([START + (first + i) * DAY for i in range(days)], 100)
        x = own[0] + own[1] * rng.normal(size=(days, 100))
        return pa.table({"timestamp": pa.array(when, pa.timestamp("us")), "x": 1000.0 + x.ravel()})

    before, after = log(FIRST, 0, 0.0, 1.0), log(LATER, FIRST, sign, 2.0**sign)
    report = mw.compare(
        mw.Baseline.fit(before),
        after,
        checks=[mw.Check("mean_shift", warn=0.1)],
        correction=None,
    )
    own = found(report, "mean_shift")
    sides = by_days(before, "x"), by_days(after, "x")
    again = np.array([bootstrap_of_days(of, *sides, replicates=400) for of in (np.mean, np.std)])
    value = abs(sides[1][0].mean() - sides[0][0].mean()) / sides[0][0].std()
    spread = (again[0, :, 1] - again[0, :, 0]) / again[1, :, 0]
    reach = stats.t.isf(0.025, LATER - 1) * np.std(spread, ddof=1) * np.sqrt(LATER / (LATER - 1))
    assert own.severity == "warning"
    assert own.value == pytest.approx(value)
    assert own.interval_upper - value == pytest.approx(reach, rel=BOOTSTRAP_ERROR)
    assert value - own.interval_lower == pytest.approx(reach, rel=BOOTSTRAP_ERROR)


def test_shares_of_nan_and_divergences_of_kullback_and_leibler_have_intervals() -> None:
    rng = np.random.default_rng(9)
    x = [rng.normal(size=6000), rng.normal(0.8, 1, size=2500)]
    x[1][rng.random(2500) < 0.2] = np.nan
    days = [np.repeat([START + (f + i) * DAY for i in range(n)], 100) for f, n in ((0, 60), (60, 25))]
    sides = [pa.table({"ts": pa.array(d, pa.timestamp("us")), "x": v}) for d, v in zip(days, x, strict=True)]
    checks = [mw.Check("nan", alert=0.1), mw.Check("kl", alert=0.1)]
    report = mw.compare(mw.Baseline.fit(sides[0]), sides[1], checks=checks)
    for check in ("nan", "kl"):
        own = found(report, check)
        assert (own.severity, own.interval_by) == ("alert", "units")
        assert own.interval_lower < own.value < own.interval_upper


# ---- costs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("costs", [[[0, 1], [5, 0]], [[0, 1], [1, -3]], [[0, 100], [1, 0]]])
def test_the_cheapest_threshold_is_that_of_the_arrays(costs: list[list[float]]) -> None:
    rng = np.random.default_rng(2)
    label = rng.integers(0, 2, 400)
    score = np.round(np.clip(0.3 * label + 0.7 * rng.random(400), 0, 1), 2)
    log = pa.table({"label": label, "score": score})
    baseline = mw.Baseline.fit(log, roles=mw.Roles(label="label", score="score"), costs=costs)
    values = next(r for r in mw.compare(baseline, log).results if r.column.name == "score").values
    wanted = mw.stats.best_threshold(label, score, by="cost", cost=costs, full=True)
    assert values["lowest_cost"].value == pytest.approx(wanted.criterion)
    if np.isinf(wanted.value):
        assert (values["cheapest_threshold"].value, values["cheapest_threshold"].reason) == (None, "nothing_positive")
    else:
        assert values["cheapest_threshold"].value == pytest.approx(wanted.value)


def test_costs_are_an_option_of_fit(tmp_path: Any) -> None:
    import pyarrow.parquet as pq
    from typer.testing import CliRunner

    from modelwatch_gpu.cli import app

    path = tmp_path / "log.parquet"
    pq.write_table(pa.table({"label": [1, 0, 1, 0], "score": [0.9, 0.8, 0.4, 0.2]}), path)
    run = CliRunner().invoke(app, ["fit", str(path), "-o", str(tmp_path / "b.mwb"), "--costs", "0,1,5,-2", "-q"])
    assert run.exit_code == 0, run.output
    scoring = mw.Baseline.load(tmp_path / "b.mwb").scoring
    assert scoring is not None
    assert scoring.costs == (0.0, 1.0, 5.0, -2.0)
    wrong = CliRunner().invoke(app, ["fit", str(path), "-o", str(tmp_path / "b.mwb"), "--costs", "0,1", "-q"])
    assert wrong.exit_code == 2


# ---- weights, and labels that came first -----------------------------------------------------------------------------


def test_rows_of_equal_weight_are_as_fair_and_as_sure_as_rows_without() -> None:
    rng = np.random.default_rng(4)
    n = 2000
    segment, label = rng.integers(0, 3, n), rng.integers(0, 2, n)
    score = np.clip(0.3 * label + 0.1 * segment + 0.5 * rng.random(n), 0, 1)
    log = pa.table({"segment": [f"s{x}" for x in segment], "label": label, "score": score, "w": np.full(n, 3.0)})
    bare = mw.Roles(label="label", score="score", ignore=["w"])
    plain = mw.compare(mw.Baseline.fit(log, roles=bare), log, segments=["segment"]).answers.fairness
    roles = mw.Roles(label="label", score="score", weight="w")
    weighted = mw.compare(mw.Baseline.fit(log, roles=roles), log, segments=["segment"]).answers.fairness
    assert len(plain) > 3
    assert len(weighted) == len(plain)
    for one, other in zip(plain, weighted, strict=True):
        assert (one.rate, one.lowest, one.highest) == (other.rate, other.lowest, other.highest)
        numbers = [(x.lowest_rate, x.highest_rate, x.difference, x.lower, x.upper) for x in (one, other)]
        # Mean scores lie between the bounds of segments' coarse cells, which weights may move a little.
        assert numbers[1] == pytest.approx(numbers[0], abs=1e-3 if one.rate == "calibration_gap" else 1e-9)


def test_a_live_profile_takes_labels_that_came_before_their_rows() -> None:
    rng = np.random.default_rng(6)
    score = rng.random(300)
    reference = pa.table({"id": np.arange(300), "label": (score > 0.4).astype(int), "score": score})
    roles = mw.Roles(id="id", label="label", score="score")
    baseline = mw.Baseline.fit(reference, roles=roles)
    labels = mw.Labels().add(pa.table({"id": np.arange(250), "label": np.arange(250) % 2}), id="id")
    log = reference.set_column(1, "label", pa.nulls(300, pa.int64()))
    live = mw.LiveProfile(baseline, labels=labels)
    for batch in log.to_batches(max_chunksize=70):
        live.add(batch)
    joined = mw.join_labels(log, labels, id="id")
    wanted = mw.compare(baseline, joined).results
    found = mw.compare(baseline, live.profile()).results
    told = [{k: v for k, v in r.values.items() if k in ("roc_auc", "labelled")} for r in (*wanted, *found)]
    assert told[: len(wanted)] == told[len(wanted) :]
    assert any("roc_auc" in values for values in told)
    with pytest.raises(mw.InputError, match="id"):
        mw.LiveProfile(mw.Baseline.fit(reference.drop_columns(["id"])), labels=labels)
