"""Performance of the scores of two classes from a log: against scikit-learn, exact or within bounds."""

from __future__ import annotations

import itertools
import math
from importlib.resources import files
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scored_makers import ROLES, agrees, arrays, of_classes, of_scores, scored_log, told
from sklearn import metrics
from state_makers import exact_state
from tolerances import PERFORMANCE

import modelwatch_gpu as mw
from modelwatch_gpu.checks import answers
from modelwatch_gpu.measures import scored
from modelwatch_gpu.profile.columns import NumericColumn

FLIGHTS = files("modelwatch_gpu") / "data" / "flights"
BARE = mw.Roles(label="label", score="score")
ROWS = st.lists(st.tuples(st.booleans(), st.integers(0, 40)), min_size=1, max_size=80)


def table(y: Any, s: Any, **more: Any) -> pa.Table:
    return pa.table({"label": pa.array(y), "score": pa.array(s, pa.float64()), **more})


def pairs(rows: list[tuple[bool, int]]) -> tuple[Any, Any]:
    y, s = zip(*rows, strict=True)
    return np.array(y).astype(int), np.array(s) / 40


@pytest.fixture(scope="module")
def exact() -> mw.Baseline:
    """Every score that comes later is a knot."""
    scores = np.arange(41) / 40
    return mw.Baseline.fit(table([0, 1] * 41, np.repeat(scores, 2)), roles=BARE)


@pytest.fixture(scope="module")
def rough() -> mw.Baseline:
    """Few scores that come later are knots."""
    return mw.Baseline.fit(table([0, 1, 0, 1], [0.21, 0.33, 0.61, 0.93]), roles=BARE)


# ---- scikit-learn ----------------------------------------------------------------------------------------------------


@given(ROWS)
def test_on_an_exact_grid_every_number_is_scikit_learns(exact: mw.Baseline, rows: list[tuple[bool, int]]) -> None:
    y, s = pairs(rows)
    found = told(mw.compare(exact, table(y, s)), "score")
    wanted = of_scores(y, s)
    for name, number in wanted.items():
        value = found[name]
        assert value.value == pytest.approx(number, rel=PERFORMANCE, abs=PERFORMANCE), name
        assert value.lower == value.value == value.upper, name
        assert value.n == len(y)
    assert all(found[name].value is None for name in ("roc_auc", "precision", "mcc") if name not in wanted)


@given(ROWS)
def test_where_scores_share_gaps_the_bounds_hold_scikit_learns_number(
    rough: mw.Baseline, rows: list[tuple[bool, int]]
) -> None:
    y, s = pairs(rows)
    found = told(mw.compare(rough, table(y, s)), "score")
    for name, number in of_scores(y, s).items():
        assert agrees(found[name], number, PERFORMANCE), (name, number, found[name])


def test_at_the_threshold_every_grid_is_exact(rough: mw.Baseline) -> None:
    scores = np.random.default_rng(1).random(500)
    y = (np.random.default_rng(2).random(500) < scores).astype(int)
    found = told(mw.compare(rough, table(y, scores)), "score")
    for name, number in of_classes(y, (scores >= 0.5).astype(int)).items():
        assert found[name].lower == found[name].upper == pytest.approx(number, rel=PERFORMANCE), name


def test_another_threshold_is_a_knot_too() -> None:
    log = scored_log(3000, 1)
    baseline = mw.Baseline.fit(log, roles=ROLES, threshold=0.3)
    found = told(mw.compare(baseline, scored_log(2000, 2)), "score")
    y, s = arrays(scored_log(2000, 2))
    for name, number in of_classes(y, (s >= 0.3).astype(int)).items():
        assert found[name].lower == found[name].upper == pytest.approx(number, rel=PERFORMANCE), name


@pytest.mark.parametrize("weights", [(0.25, 1.0, 3.0), (1.0, 2.0)])
def test_rows_with_weights_count_as_often_as_they_weigh(weights: tuple[float, ...]) -> None:
    rng = np.random.default_rng(3)
    log = scored_log(2000, 4).append_column("w", pa.array(rng.choice(weights, 2000)))
    roles = mw.Roles(label="label", score="score", weight="w", ignore=["id", "when", "side", "prediction"])
    baseline = mw.Baseline.fit(log, roles=roles)
    found = told(mw.compare(baseline, log), "score")
    kept = log.filter(pc.and_(pc.is_valid(log["label"]), pc.is_finite(log["score"])))
    y, s = arrays(kept)
    for name, number in of_scores(y, s, kept["w"].to_numpy()).items():
        assert agrees(found[name], number, PERFORMANCE), (name, number, found[name])


def test_windows_and_segments_hold_scikit_learns_numbers_of_their_rows() -> None:
    baseline = mw.Baseline.fit(scored_log(4000, 1), roles=ROLES)
    log = scored_log(5000, 2)
    report = mw.compare(baseline, log, window="1w", segments=["side"])
    starts = np.array(sorted(w.second for w in report.windows))
    when = log["when"].cast(pa.int64()).to_numpy()
    own = starts[np.searchsorted(starts, when, side="right") - 1]
    for start, side in itertools.product(starts.tolist(), (None, "a", "b", "c")):
        mask = own == start
        if side is not None:
            mask &= log["side"].to_numpy(zero_copy_only=False) == side
        part = log.filter(pa.array(mask))
        y, s = arrays(part)
        found = told(report, "score", start, side)
        for name, number in of_scores(y, s).items():
            assert agrees(found[name], number, PERFORMANCE), (name, side, number, found[name])
        y, z = arrays(part, "prediction")
        found = told(report, "prediction", start, side)
        for name, number in of_classes(y, z.astype(int)).items():
            assert found[name].value == pytest.approx(number, rel=PERFORMANCE, abs=PERFORMANCE), (name, side)
        labelled = told(report, "label", start, side)["labelled"]
        assert labelled.value == (len(part) - part["label"].null_count) / len(part)


def test_numbers_of_groups_are_the_same_however_many_are_worked_out_together(monkeypatch: pytest.MonkeyPatch) -> None:
    baseline = mw.Baseline.fit(scored_log(4000, 1), roles=ROLES)
    profile = mw.Profile.count(baseline, scored_log(5000, 2), window="1d", segments=["side"])
    together = mw.compare(baseline, profile).results
    monkeypatch.setattr(scored, "_PIECE", 3)
    monkeypatch.setattr(answers, "_MOST_GROUPS", 7)
    for one, other in zip(together.blocks, mw.compare(baseline, profile).results.blocks, strict=True):
        for name, values in one.values.items():
            for part in ("value", "lower", "upper", "n", "reason"):
                wanted, found = getattr(values, part), getattr(other.values[name], part)
                assert np.array_equal(wanted, found, equal_nan=part != "reason"), (one.column.name, name, part)


def test_tables_of_some_groups_are_those_of_all_whatever_the_order_of_their_labels() -> None:
    exact, log = mw.Baseline.fit(scored_log(4000, 1), roles=ROLES), scored_log(3000, 4, distinct=30)
    profile = mw.Profile.count(exact, log, window="1d", segments=["side"])
    merged, column = profile.merged(), exact.by_name["score"]
    assert merged is not None
    assert isinstance(column, NumericColumn)
    assert exact.scoring is not None
    counted = answers.Scores(column, exact.scoring, "roc_auc")
    whole = counted.tables(merged, "segment:side", "coarse")
    assert whole is not None
    assert whole.sum() == len(arrays(log)[0])
    some = np.array([len(whole) - 1, 0, 2, 2], dtype=np.int64)
    laid_out = counted.tables(merged, "segment:side", "coarse", some)
    assert laid_out is not None
    assert laid_out.tolist() == whole[some].tolist()
    # As if labels were sorted before groups.
    labelled = merged.groups["label|segment:side"]
    order = sorted(range(len(labelled)), key=lambda i: labelled[i][-1])
    merged.groups["label|segment:side"] = [labelled[i] for i in order]
    table = merged.tables[("label|segment:side", "score")]
    to = np.argsort(order).astype(np.uint32)
    merged.tables[("label|segment:side", "score")] = table.regrouped(to, len(labelled))
    merged.group_rows["label|segment:side"] = merged.group_rows["label|segment:side"][order]
    again = counted.tables(merged, "segment:side", "coarse")
    assert again is not None
    assert again.tolist() == whole.tolist()


# ---- by hand ---------------------------------------------------------------------------------------------------------


def test_five_rows_by_hand() -> None:
    log = table([1, 0, 1, 0, None], [0.9, 0.8, 0.5, 0.2, 0.4])
    report = mw.compare(mw.Baseline.fit(log, roles=BARE), log)
    found = {name: v.value for name, v in told(report, "score").items()}
    assert found["roc_auc"] == 3 / 4  # of 2 x 2 pairs one is wrong: 0.5 below 0.8
    assert found["average_precision"] == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert (found["precision"], found["recall"], found["specificity"]) == (2 / 3, 1, 1 / 2)
    assert found["brier"] == pytest.approx((0.1**2 + 0.8**2 + 0.5**2 + 0.2**2) / 4)
    assert found["log_loss"] == pytest.approx(-sum(map(math.log, (0.9, 0.2, 0.5, 0.8))) / 4)
    assert found["calibration_gap"] == pytest.approx((0.9 + 0.8 + 0.5 + 0.2) / 4 - 1 / 2)
    assert (found["best_f1"], found["best_threshold"]) == (pytest.approx(0.8), 0.5)
    assert told(report, "label")["labelled"].value == 4 / 5
    assert found["roc_auc_drop"] == found["brier_rise"] == found["selection_rate_change"] == 0


def test_the_change_is_against_the_baseline_and_positive_where_it_got_worse(exact: mw.Baseline) -> None:
    worse = table([0, 1, 0, 1], [0.9, 0.1, 0.2, 0.8])
    found = told(mw.compare(exact, worse), "score")
    assert (found["roc_auc"].value, found["roc_auc_drop"].value) == (0.25, 0.25)  # the baseline's is 0.5
    assert found["brier"].value == pytest.approx((0.81 + 0.81 + 0.04 + 0.04) / 4)
    baseline = float(np.mean([(s - y) ** 2 for s in np.arange(41) / 40 for y in (0, 1)]))
    assert found["brier_rise"].value == pytest.approx(found["brier"].value - baseline)


def test_costs_are_of_the_decisions_at_the_threshold() -> None:
    log = table([1, 0, 1, 0], [0.9, 0.8, 0.4, 0.2])
    baseline = mw.Baseline.fit(log, roles=BARE, costs=[[0, 1], [5, -2]])
    assert told(mw.compare(baseline, log), "score")["expected_cost"].value == (0 + 1 + 5 - 2) / 4
    with pytest.raises(mw.InputError, match="costs="):
        mw.Baseline.fit(log, roles=BARE, costs=[1, 2])


# ---- hard rows -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("y", "s", "reason"),
    [
        ([], [], "no_rows"),
        ([None, None], [0.1, 0.7], "no_rows"),
        ([1, 0], [None, None], "no_rows"),
        ([1, 1], [0.1, 0.7], "one_class"),
        ([1], [0.4], "one_class"),
    ],
)
def test_a_window_without_an_answer_says_why(exact: mw.Baseline, y: list[Any], s: list[Any], reason: str) -> None:
    log = pa.table({"label": pa.array(y, pa.int64()), "score": pa.array(s, pa.float64())})
    report = mw.compare(exact, log)
    if y:
        found = told(report, "score")
        assert (found["roc_auc"].value, found["roc_auc"].reason) == (None, reason)
    assert mw.report.json_schema()["required"] <= list(report.to_dict())  # and the rest of the report is there


def test_hard_floats_are_ordinary_scores_for_ranks_and_no_probabilities(exact: mw.Baseline) -> None:
    s = [-0.0, 0.0, 5e-324, -math.inf, math.inf, math.nan, 1.5]
    y = [0, 1, 1, 0, 1, 1, 0]
    found = told(mw.compare(exact, table(y, s)), "score")
    kept = [i for i, x in enumerate(s) if x == x]
    finite = [max(-9.0, min(9.0, s[i])) for i in kept]
    assert agrees(found["roc_auc"], metrics.roc_auc_score([y[i] for i in kept], finite), PERFORMANCE)
    assert found["brier"].reason == found["log_loss"].reason == found["ece"].reason == "no_probabilities"
    assert found["roc_auc"].n == 6


def test_scores_at_0_and_1_cost_what_scikit_learn_says(rough: mw.Baseline) -> None:
    y, s = np.array([0, 1, 1, 0]), np.array([1.0, 0.0, 1.0, 0.0])
    found = told(mw.compare(rough, table(y, s)), "score")
    assert found["log_loss"].lower == found["log_loss"].upper
    assert found["log_loss"].value == pytest.approx(metrics.log_loss(y, s))


@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_floats_of_both_sizes_have_their_own_epsilon(kind: str) -> None:
    y, s = np.array([0, 1, 1, 0]), np.array([0.3, 0.0, 0.6, 0.1]).astype(kind)
    log = pa.table({"label": y, "score": s})
    found = told(mw.compare(mw.Baseline.fit(log, roles=BARE), log), "score")
    assert found["log_loss"].value == pytest.approx(mw.stats.log_loss(y, s), rel=PERFORMANCE)


@pytest.mark.parametrize(
    ("labels", "positive"),
    [
        ([True, False, True, False], None),
        (["yes", "no", "yes", "no"], "yes"),
        ([1.0, 0.0, None, 0.0], None),
        ([1, -1, 1, -1], None),
        ([7, 3, 7, 3], 7),
    ],
)
def test_labels_of_any_type_are_two_classes(labels: list[Any], positive: Any) -> None:
    log = table(labels, [0.9, 0.2, 0.1, 0.3])
    report = mw.compare(mw.Baseline.fit(log, roles=BARE, positive=positive), log)
    top = positive if positive is not None else 1
    y = [None if v is None else int(v == top) for v in labels]
    kept = [i for i, v in enumerate(y) if v is not None]
    wanted = metrics.roc_auc_score([y[i] for i in kept], [[0.9, 0.2, 0.1, 0.3][i] for i in kept])
    assert told(report, "score")["roc_auc"].value == wanted


def test_two_classes_without_a_positive_one_are_asked_for() -> None:
    log = table(["yes", "no"], [0.9, 0.2])
    baseline = mw.Baseline.fit(log, roles=BARE)
    assert baseline.scoring is None
    assert any("positive=" in note for note in baseline.notes)
    with pytest.raises(mw.InputError, match="'maybe' is not a value of the label"):
        mw.Baseline.fit(log, roles=BARE, positive="maybe")
    with pytest.raises(mw.InputError, match="threshold="):
        mw.Baseline.fit(log, roles=BARE, threshold=math.nan)


def test_a_log_without_labels_is_unlabelled_and_everything_else_comes_out(exact: mw.Baseline) -> None:
    report = mw.compare(exact, pa.table({"score": [0.1, 0.9]}))
    assert told(report, "score")["roc_auc"].reason == "no_rows"
    assert told(report, "score")["ks"].value is not None
    assert told(report, "label")["labelled"].value == 0


# ---- state -----------------------------------------------------------------------------------------------------------

WINDOWS: dict[str, Any] = {"window": "1w", "segments": ["side"]}


@pytest.fixture(scope="module")
def baseline() -> mw.Baseline:
    return mw.Baseline.fit(scored_log(2000, 0), roles=ROLES)


def test_files_in_any_order_add_up_to_the_same_bytes(baseline: mw.Baseline) -> None:
    logs = [scored_log(300 + 100 * i, i) for i in range(4)]
    whole = mw.Profile.count(baseline, logs, **WINDOWS).to_bytes()
    parts = [mw.Profile.count(baseline, one, **WINDOWS) for one in logs]
    for order in itertools.permutations(range(4)):
        total = parts[order[0]]
        for i in order[1:]:
            total += parts[i]
        assert total.to_bytes() == whole


@given(st.lists(st.integers(1, 599), max_size=6), st.integers(0, 3), st.permutations(range(600)))
def test_any_partition_order_and_threads_give_the_same_tables(
    baseline: mw.Baseline, cuts: list[int], threads: int, order: list[int]
) -> None:
    log = scored_log(600, 9)
    whole = exact_state(mw.Profile.count(baseline, log, **WINDOWS).merged())
    mixed = log.take(pa.array(order)).combine_chunks()
    ends = sorted({0, 600, *cuts})
    pieces = [mixed.slice(a, b - a) for a, b in itertools.pairwise(ends)]
    merged = mw.Profile.count(baseline, pieces, threads=threads, **WINDOWS).merged()
    assert exact_state(merged) == whole


def test_small_batches_in_a_service_end_in_the_same_bytes(baseline: mw.Baseline) -> None:
    log = scored_log(700, 5)
    batches = log.combine_chunks().to_batches(max_chunksize=100)
    live = mw.LiveProfile(baseline, max_groups=50, **WINDOWS)
    for batch in batches:
        live.add(batch)
    counted = mw.Profile.count(baseline, pa.Table.from_batches(batches), max_groups=50, **WINDOWS)
    assert live.profile().to_bytes() == counted.to_bytes()


def test_files_keep_the_counts_by_label_and_only_then_have_the_newest_format(
    baseline: mw.Baseline, tmp_path: Any
) -> None:
    profile = mw.Profile.count(baseline, scored_log(500, 3), **WINDOWS)
    baseline.save(tmp_path / "b.mwb")
    profile.save(tmp_path / "p.mwp")
    again, counted = mw.Baseline.load(tmp_path / "b.mwb"), mw.Profile.load(tmp_path / "p.mwp")
    assert (again.to_bytes(), counted.to_bytes()) == (baseline.to_bytes(), profile.to_bytes())
    assert again.scoring == baseline.scoring
    for content in (baseline.to_bytes(), profile.to_bytes()):
        assert b'"scoring"' in content
    bare = mw.Baseline.fit(scored_log(500, 0), roles=mw.Roles(timestamp="when", features=["score"], infer=False))
    assert b'"format": 1,' in bare.to_bytes()
    assert b'"format": 2,' in mw.Profile.count(bare, scored_log(500, 1)).to_bytes()
    assert b'"format": 4,' in baseline.to_bytes()
    assert b'"format": 5,' in profile.to_bytes()
    assert mw.compare(again, counted).to_json() == mw.compare(baseline, scored_log(500, 3), **WINDOWS).to_json()


def test_more_labels_than_the_cap_are_pooled_the_same_whatever_the_order() -> None:
    base = table([0, 1] * 20, np.arange(40) / 40)
    baseline = mw.Baseline.fit(base, roles=BARE)
    logs = [table(np.arange(400) + 300 * i, np.arange(400) / 400) for i in range(3)]
    orders = list(itertools.permutations(range(3)))
    states = [mw.Profile.count(baseline, [logs[i] for i in order]).to_bytes() for order in orders]
    assert len(set(states)) == 1
    one = mw.Profile.count(baseline, pa.concat_tables(logs)).merged()
    assert exact_state(one) == exact_state(mw.Profile.count(baseline, logs).merged())
    assert one is not None
    assert len(one.groups["label|window"]) == 257  # 256 labels and the others


# ---- flights ---------------------------------------------------------------------------------------------------------


def test_the_areas_of_nine_months_of_flights_are_scikit_learns() -> None:
    roles = mw.Roles(label="label", score="score", timestamp="timestamp", ignore=["arr_delay_min"])
    reference = FLIGHTS / "reference_2013-01_03.parquet"
    baseline = mw.Baseline.fit(str(reference), roles=roles, timezone="America/New_York")
    report = mw.compare(baseline, f"{FLIGHTS}/production_*.parquet", window="1mo")

    def area(path: Any) -> float:
        rows = pq.read_table(str(path), columns=["label", "score"]).drop_null()
        return float(metrics.roc_auc_score(rows["label"].to_numpy(), rows["score"].to_numpy()))

    before = area(reference)
    found = [told(report, "score", w.second) for w in report.windows]
    months = sorted(str(p) for p in FLIGHTS.iterdir() if p.name.startswith("production"))
    assert len(months) == len(found) == 9
    for path, values in zip(months, found, strict=True):
        assert agrees(values["roc_auc"], area(path), PERFORMANCE)
        assert agrees(values["roc_auc_drop"], before - area(path), PERFORMANCE)
        width = values["roc_auc"]
        assert width.upper is not None
        assert width.lower is not None
        assert width.upper - width.lower < 1e-4
