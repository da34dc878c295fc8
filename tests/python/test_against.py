"""One log against several others and rolling windows, from profiles alone."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import modelwatch_gpu as mw
from modelwatch_gpu.checks.against import compare_with, rolling, same_hour, same_weekday
from modelwatch_gpu.profile.regroup import rolling_windows

DAY = 86_400
FIRST = 1_704_067_200  # Monday 2024-01-01T00:00:00Z


def log(seed: int, first_day: int, days: int, weekend: float = 0.0) -> pa.Table:
    """150 rows a day; on Saturdays and Sundays x is higher."""
    rng = np.random.default_rng(seed)
    day = np.repeat(np.arange(first_day, first_day + days), 150)
    x = rng.normal(0, 1, len(day)) + weekend * (day % 7 >= 5)
    seconds = FIRST + day * DAY + rng.integers(0, DAY, len(day))
    kind = np.where(rng.random(len(day)) < 0.5 + 0.2 * (day % 7 >= 5), "a", "b")
    return pa.table({"ts": pa.array(seconds).cast(pa.timestamp("s", "UTC")), "x": x, "kind": kind})


@pytest.fixture(scope="module")
def baseline() -> mw.Baseline:
    return mw.Baseline.fit(log(1, 0, 28, 2.0))


def test_a_window_is_held_against_the_same_weekdays_of_another_log(baseline: mw.Baseline) -> None:
    last = mw.Profile.count(baseline, log(1, 0, 28, 2.0), window="1d")
    current = mw.Profile.count(baseline, log(2, 28, 7, 2.0), window="1d")
    both = compare_with(
        baseline, current, {"all": last, "weekday": last}, match={"weekday": same_weekday}
    )  # fmt: skip
    assert any(f.severity == "alert" for f in both["all"].findings)
    assert not [f for f in both["weekday"].findings if f.severity in ("alert", "warning")]
    assert len(both["weekday"].results) == 7 * len(baseline.columns)


def test_a_window_is_held_against_the_same_hours_of_other_days() -> None:
    hours = np.arange(20 * 24)
    rng = np.random.default_rng(1)
    at = np.repeat(FIRST + hours * 3_600, 20)
    night = np.repeat(hours % 24 < 6, 20)
    table = pa.table({"ts": pa.array(at).cast(pa.timestamp("s", "UTC")), "x": rng.normal(0, 1, len(at)) + 3 * night})
    own = mw.Baseline.fit(table)
    last = mw.Profile.count(own, table.slice(0, 19 * 24 * 20), window="1h")
    today = mw.Profile.count(own, table.slice(19 * 24 * 20), window="1h")
    both = compare_with(own, today, {"all": last, "hour": last}, match={"hour": same_hour}, checks=[])
    distances = {
        name: [r.values["ks"].value for r in found.results if r.column.name == "x"] for name, found in both.items()
    }
    assert len(distances["hour"]) == 24
    # A quarter of the hours are nights: a night is far from all hours, and a day nearer, by no chance.
    assert min(distances["all"][:6]) > 0.6 > max(distances["hour"])
    one = table.slice(19 * 24 * 20, 20).column("x").to_numpy()
    same = np.concatenate([table.slice(day * 24 * 20, 20).column("x").to_numpy() for day in range(19)])
    assert distances["hour"][0] == pytest.approx(mw.stats.ks(same, one))


def test_the_distance_is_that_of_the_rows(baseline: mw.Baseline) -> None:
    reference, other = log(1, 0, 28, 2.0), log(3, 30, 10)
    current = log(4, 40, 3, 1.0)
    result = compare_with(
        baseline, mw.Profile.count(baseline, current), {"other": mw.Profile.count(baseline, other)}, checks=[]
    )["other"]
    ks = {r.column.name: r.values["ks"] for r in result.results if "ks" in r.values}["x"]
    exact = mw.stats.ks(other.column("x").to_numpy(), current.column("x").to_numpy())
    assert ks.lower is not None
    assert ks.upper is not None
    assert ks.lower <= exact <= ks.upper
    tv = {r.column.name: r.values["tv"] for r in result.results}["kind"].value
    shares = [pc.mean(pc.cast(pc.equal(side.column("kind"), "a"), pa.float64())).as_py() for side in (other, current)]
    assert tv == pytest.approx(abs(shares[0] - shares[1]))
    assert reference.num_rows == baseline.rows


def test_a_rolling_window_is_the_sum_of_its_days(baseline: mw.Baseline) -> None:
    current = log(2, 28, 12, 2.0)
    profile = mw.Profile.count(baseline, current, window="1d")
    week = rolling(baseline, profile, 7, checks=[])
    rows = {r.start: r for r in week.results if r.column.name == "x"}
    assert sorted(rows) == [FIRST + day * DAY for day in range(34, 40)]
    for last in range(34, 40):
        days = current.filter(
            pc.and_(
                pc.greater_equal(current.column("ts"), pa.scalar(FIRST + (last - 6) * DAY, pa.timestamp("s", "UTC"))),
                pc.less(current.column("ts"), pa.scalar(FIRST + (last + 1) * DAY, pa.timestamp("s", "UTC"))),
            )
        )
        own = {r.column.name: r for r in mw.compare(baseline, days, checks=[]).results}
        mine = rows[FIRST + last * DAY]
        assert mine.rows == 7 * 150
        for name in ("ks", "psi", "out_of_range", "missing"):
            assert mine.values[name].value == own["x"].values[name].value
        assert mine.summary.mean == pytest.approx(own["x"].summary.mean)


def test_runs_of_one_window_are_the_windows(baseline: mw.Baseline) -> None:
    part = mw.Profile.count(baseline, log(2, 28, 5), window="1d").merged()
    assert part is not None
    rolled = rolling_windows(part, 1)
    assert rolled.groups["window"] == part.groups["window"]
    assert rolled.group_rows["window"].tolist() == part.group_rows["window"].tolist()


def test_what_cannot_be_held_against_one_another_is_refused(baseline: mw.Baseline) -> None:
    whole = mw.Profile.count(baseline, log(2, 28, 3))
    other = mw.Profile.count(mw.Baseline.fit(log(9, 0, 3)), log(2, 28, 3))
    with pytest.raises(mw.InputError, match="'last' was counted against another baseline"):
        compare_with(baseline, whole, {"last": other})
    with pytest.raises(mw.InputError, match="match= needs windows on both sides"):
        compare_with(baseline, whole, {"last": whole}, match=same_weekday)
    with pytest.raises(mw.InputError, match="1 windows with rows, and 7 are asked for"):
        rolling(baseline, whole, 7)
    with pytest.raises(mw.InputError, match="not 0"):
        rolling(baseline, whole, 0)
