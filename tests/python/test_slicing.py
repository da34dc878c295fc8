"""Worst slices of real logs, and segments by conditions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import modelwatch_gpu as mw
from modelwatch_gpu.checks.slicing import segmentations_for, slice_columns
from modelwatch_gpu.measures.evaluate import segment_text

ROWS = 30_000


def log(seed: int, planted: bool) -> pa.Table:
    rng = np.random.default_rng(seed)
    country = rng.choice(["at", "de", "fr", "it"], ROWS)
    channel = rng.choice(["app", "shop", "web"], ROWS)
    age = rng.integers(18, 80, ROWS)
    amount, income = rng.normal(50, 10, ROWS), rng.normal(3, 1, ROWS)
    wrong = rng.random(ROWS) < 0.1
    if planted:
        amount = amount + np.where(channel == "web", 6, 0)
        amount = amount - np.where((country == "fr") & (channel == "shop"), 20, 0)
        income = np.where((country == "it") & (rng.random(ROWS) < 0.3), np.nan, income)
        wrong |= (age > 64) & (rng.random(ROWS) < 0.2)
    return pa.table(
        {
            "country": country,
            "channel": channel,
            "age": pa.array(age),
            "amount": amount,
            "income": pa.array(income, from_pandas=True),
            "wrong": pa.array(np.where(wrong, "yes", "no")),
        }
    )


ROLES = mw.Roles(error="wrong")
BY = ["country", "channel", "age"]


@pytest.fixture(scope="module")
def baseline() -> mw.Baseline:
    return mw.Baseline.fit(log(1, False), roles=ROLES)


def test_slices_of_drift_quality_and_performance_are_found(baseline: mw.Baseline) -> None:
    drift = mw.worst_slices(baseline, log(2, True), log(1, False), by=BY, columns=["amount"])
    assert {s.name for s in drift} == {"channel=web", "country=fr, channel=shop"}
    assert all(s.column == "amount" for s in drift)
    (missing,) = mw.worst_slices(baseline, log(2, True), log(1, False), by=BY, of="missing")
    assert (missing.column, missing.name) == ("income", "country=it")
    assert missing.after == pytest.approx(0.3, abs=0.02)
    assert missing.before == 0.0
    (worse,) = mw.worst_slices(baseline, log(2, True), log(1, False), by=BY, columns="wrong", of="share", bad="yes")
    assert worse.name == "age=> 64"
    beside = mw.worst_slices(baseline, log(2, True), by=BY, columns="wrong", of="share", bad="yes")
    assert [s.name for s in beside] == ["age=> 64"]


def test_nothing_is_found_where_nothing_is_planted(baseline: mw.Baseline) -> None:
    assert mw.worst_slices(baseline, log(3, False), log(1, False), by=BY) == ()
    assert mw.worst_slices(baseline, log(3, False), log(1, False), by=BY, of="missing") == ()


def test_profiles_counted_before_and_added_up_give_the_same(baseline: mw.Baseline) -> None:
    segments = [list(names) for names in segmentations_for(BY)]
    reference = mw.Profile.count(baseline, log(1, False), segments=segments)
    halves = [
        mw.Profile.count(baseline, log(2, True).slice(a, ROWS // 2), segments=segments) for a in (0, ROWS // 2)
    ]  # fmt: skip
    added = mw.worst_slices(baseline, halves[1] + halves[0], reference, by=BY)
    assert added == mw.worst_slices(baseline, log(2, True), log(1, False), by=BY)
    with pytest.raises(mw.InputError, match="was not cut by country and channel"):
        mw.worst_slices(baseline, mw.Profile.count(baseline, log(1, False), segments=BY), by=BY)


def test_promoted_segments_are_sliced_too(baseline: mw.Baseline) -> None:
    segments = [list(names) for names in segmentations_for(["country", "channel"])]
    sides = [
        mw.Profile.count(baseline, side, segments=segments, promote=segments) for side in (log(2, True), log(1, False))
    ]
    fine = mw.worst_slices(baseline, *sides, by=["country", "channel"], columns=["amount"])
    assert {s.name for s in fine} == {"channel=web", "country=fr, channel=shop"}


def test_what_is_sliced_by_where_nobody_says(baseline: mw.Baseline) -> None:
    assert slice_columns(baseline) == ["country", "channel", "age", "amount", "income"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"of": "worse"}, "of is drift, missing or share, not 'worse'"),
        ({"of": "share"}, "bad= names the value"),
        ({"of": "share", "bad": "perhaps", "columns": "wrong"}, "has no value 'perhaps'"),
        ({"columns": "wrnog"}, "Column 'wrnog' is not compared"),
        ({"ways": 3}, "ways is 1 or 2"),
        ({"by": []}, "name some by="),
    ],
)
def test_what_cannot_be_searched_is_refused(options: dict[str, object], said: str, baseline: mw.Baseline) -> None:
    with pytest.raises(mw.InputError) as caught:
        mw.worst_slices(baseline, log(1, False), **{"by": BY, **options})  # type: ignore[arg-type]
    assert said in str(caught.value)


# ---- conditions ------------------------------------------------------------------------------------------------------


def test_a_condition_cuts_rows_as_filtering_them_does(baseline: mw.Baseline, tmp_path: Path) -> None:
    old = mw.Where("old", pc.field("age") > 60)
    pq.write_table(log(2, True), tmp_path / "log.parquet", row_group_size=7_000)
    report = mw.compare(baseline, tmp_path / "log.parquet", segments=[old, ("country", old)], checks=[])
    rows = {
        tuple(segment_text(part) for part in r.segment): r.rows
        for r in report.results
        if r.segment is not None and r.column.name == "amount"
    }
    ages, countries = (log(2, True).column(n).to_numpy(zero_copy_only=False) for n in ("age", "country"))
    assert rows["true",] == int((ages > 60).sum())
    assert rows["false",] == int((ages <= 60).sum())
    assert rows["it", "true"] == int(((ages > 60) & (countries == "it")).sum())
    assert "old" not in " ".join(report.notes)


def test_rows_of_which_a_condition_says_nothing_are_a_segment(baseline: mw.Baseline) -> None:
    spoilt = log(2, True).set_column(4, "income", pa.array([None if i % 2 else 1.0 for i in range(ROWS)]))
    report = mw.compare(baseline, spoilt, segments=[mw.Where("rich", pc.field("income") > 0.5)], checks=[])
    rows = {segment_text(r.segment[0]): r.rows for r in report.results if r.segment and r.column.name == "age"}
    assert rows == {"true": ROWS // 2, None: ROWS // 2}


def test_profiles_of_different_conditions_do_not_add_up(baseline: mw.Baseline) -> None:
    one, other = (
        mw.Profile.count(baseline, log(2, True), segments=[mw.Where("old", pc.field("age") > limit)])
        for limit in (50, 60)
    )
    assert (one + one).rows == 2 * ROWS
    with pytest.raises(mw.InputError, match="cannot be added"):
        one + other


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: mw.Where("old", "age > 3"), "is an expression such as"),
        (lambda: mw.Where("", pc.field("age") > 3), "needs a name"),
        (lambda: mw.Where("country", pc.field("age") > 3), "has a column 'country' already"),
        (lambda: mw.Where("old", pc.field("agee") > 3), "the condition 'old' cannot be told"),
        (lambda: mw.Where("old", pc.field("age")), "gives int64, not true and false"),
    ],
)
def test_what_is_no_condition_is_refused(made: object, said: str, baseline: mw.Baseline) -> None:
    with pytest.raises(mw.InputError) as caught:
        mw.compare(baseline, log(1, False), segments=[made()])  # type: ignore[operator]
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
