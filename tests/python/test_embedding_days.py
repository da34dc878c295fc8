"""Evidence of drift in vectors by whole days: days that differ do not alarm, what no day had before does."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from embedding_makers import ROLES, fixed
from tolerances import EMBEDDING_PARTITION, EMBEDDING_SUMS

import modelwatch_gpu as mw
from modelwatch_gpu.checks.units import DAY, all_units
from modelwatch_gpu.checks.vector_days import unit_sums
from modelwatch_gpu.log.windows import zone_of
from modelwatch_gpu.measures import embedding_days
from modelwatch_gpu.measures.embedding_days import UnitSums, pvalue_by_units, ways
from modelwatch_gpu.measures.embedding_sums import frechet_squared
from modelwatch_gpu.profile.embeddings import BANDWIDTHS, FREQUENCIES

D = 8
START = 1_700_006_400


def day_values(days: int, rows: int, rng: np.random.Generator, *, effect: float = 1.0, shift: float = 0.0) -> Any:
    """(days x rows, D): days whose means differ, and all of them moved by ``shift`` along one element."""
    moved = effect * rng.normal(size=(days, 1, D)) / np.sqrt(D)
    moved[..., 0] += shift
    return (rng.normal(size=(days, rows, D)) + moved).reshape(-1, D).astype(np.float32)


def day_log(values: Any, rows: int, *, first_day: int = 0) -> pa.Table:
    """So many rows a day, in order."""
    number = np.arange(len(values))
    at = START + 86_400 * (first_day + number // rows) + 60 * (number % rows)
    return pa.table(
        {
            "id": number + 1_000_000 * first_day,
            "ts": pa.array(at * 1_000_000).cast(pa.timestamp("us")),
            "vector": fixed(values),
        }
    )


@pytest.fixture(scope="module")
def baseline() -> mw.Baseline:
    values = day_values(24, 50, np.random.default_rng(1))
    return mw.Baseline.fit(day_log(values, 50), roles=mw.Roles(**ROLES))


def drift_of(report: mw.Report) -> Any:
    (found,) = [f for f in report.findings if f.check == "embedding_drift"]
    return found


def units(count: int, seed: int, *, effect: float = 0.0, k: int = 3) -> UnitSums:
    """Sums of units of 40 to 60 normal vectors of ``D`` elements, with features of their first element."""
    rng = np.random.default_rng(seed)
    out: list[list[Any]] = [[] for _ in range(6)]
    upper = np.triu_indices(k)
    for _ in range(count):
        x = rng.normal(size=(int(rng.integers(40, 61)), D)) + effect * rng.normal(size=D)
        angles = np.concatenate([x[:, :1] * np.linspace(0.5, 2, FREQUENCIES) / wide for wide in BANDWIDTHS], axis=1)
        both = [f(a) for a in np.split(angles, len(BANDWIDTHS), axis=1) for f in (np.cos, np.sin)]
        own = x[:, :k]
        second = (own[:, upper[0]] * own[:, upper[1]]).sum(axis=0)
        found = (len(x), x.sum(axis=0), (x**2).sum(), own.sum(axis=0), second, np.concatenate(both, axis=1).sum(axis=0))
        for line, value in zip(out, found, strict=True):
            line.append(value)
    return UnitSums(*(np.array(line, dtype=np.float64) for line in out))


def test_days_keep_the_sums_of_their_vectors(baseline: mw.Baseline) -> None:
    values = day_values(3, 40, np.random.default_rng(2))
    shuffled = np.random.default_rng(3).permutation(len(values))
    column = baseline.embeddings[0]
    for order in (np.arange(len(values)), shuffled):
        part = mw.Profile.count(baseline, day_log(values, 40).take(order)).merged()
        found = unit_sums(column, part, all_units(part, zone_of("UTC"), DAY))
        assert found is not None
        x = ((values - column.center) / column.spread).reshape(3, 40, D)
        own = x @ column.directions[:, : column.principal]
        upper = np.triu_indices(column.principal)
        angles = (values - column.center).reshape(3, 40, D) @ column.frequencies
        features = np.concatenate(
            [f(angles / wide).sum(axis=1) for wide in BANDWIDTHS for f in (np.cos, np.sin)], axis=1
        )
        assert found.rows.tolist() == [40, 40, 40]
        for name, expected in (
            ("total", x.sum(axis=1)),
            ("squares", (x**2).sum(axis=(1, 2))),
            ("first", own.sum(axis=1)),
            ("second", (own[..., upper[0]] * own[..., upper[1]]).sum(axis=1)),
        ):
            assert getattr(found, name) == pytest.approx(expected, abs=40 * EMBEDDING_SUMS * D), name
        assert np.abs(found.features - features).max() < 40 * 32 * EMBEDDING_SUMS


def test_days_add_up_to_their_window(baseline: mw.Baseline) -> None:
    part = mw.Profile.count(baseline, day_log(day_values(5, 30, np.random.default_rng(4)), 30)).merged()
    days, window = part.embeddings["block", "vector"], part.embeddings["window", "vector"]
    assert days.taken.tolist() == [30] * 5
    unit = 2.0**30
    assert days.total.sum(axis=0) / unit == pytest.approx(window.total[0] / unit, abs=150 * EMBEDDING_PARTITION)
    assert days.features.sum(axis=(0, 1)) / unit == pytest.approx(
        window.features.sum(axis=(0, 1)) / unit, abs=150 * EMBEDDING_PARTITION
    )


def test_ways_are_the_one_that_is_then_all_others_or_many_at_random() -> None:
    assert ways(1, 3).tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert len(ways(2, 6)) == 15
    many = ways(10, 40)
    assert many.shape == (1000, 40)
    assert many[0].tolist() == [1.0] * 10 + [0.0] * 30
    assert (many.sum(axis=1) == 10).all()
    assert (ways(10, 40) == many).all()


def test_statistics_of_all_ways_are_those_of_a_loop() -> None:
    both = units(6, seed=5)
    labels = ways(2, 6)
    centroid, kernels = embedding_days._centroid(both, labels), embedding_days._mmd(both, labels)
    frechet = embedding_days._frechet(both, labels)
    assert frechet is not None
    for at, own in enumerate(combinations(range(6), 2)):
        sides = [list(own), [i for i in range(6) if i not in own]]
        n, m = (both.rows[side].sum() for side in sides)
        s, t = (both.total[side].sum(axis=0) for side in sides)
        a, b = (both.squares[side].sum() for side in sides)
        expected = (s @ s - a) / (n * (n - 1)) + (t @ t - b) / (m * (m - 1)) - 2 * (s @ t) / (n * m)
        assert centroid[at] == pytest.approx(expected, rel=1e-9, abs=1e-12)
        for scale, values in enumerate(kernels):
            part = slice(2 * FREQUENCIES * scale, 2 * FREQUENCIES * (scale + 1))
            s, t = (both.features[side, part].sum(axis=0) / np.sqrt(FREQUENCIES) for side in sides)
            expected = (s @ s - n) / (n * (n - 1)) + (t @ t - m) / (m * (m - 1)) - 2 * (s @ t) / (n * m)
            assert values[at] == pytest.approx(expected, rel=1e-9, abs=1e-12)
        moments = []
        for side, count in zip(sides, (n, m), strict=True):
            mean, second = both.first[side].sum(axis=0) / count, np.zeros((3, 3))
            second[np.triu_indices(3)] = both.second[side].sum(axis=0) / count
            second = second + np.triu(second, 1).T
            moments += [mean, second - np.outer(mean, mean)]
        assert frechet[at] == pytest.approx(frechet_squared(*moments), rel=1e-6, abs=1e-9)


def test_the_tail_beyond_few_ways_by_hand() -> None:
    # Eight others, whose four largest lie 1, 2, 3 and 4 above the fifth: 2.5 on average. The first lies 15 above it, 6
    # times that; of 9 / 1 sets that share no day two count, so the tail beyond the fifth, 5 / 9, falls by (1 + 3)^-2.
    found = np.array([15.0, 4, 3, 2, 1, 0, -1, -2, -3])
    assert embedding_days._tail(found, 9) == pytest.approx(5 / 9 / 16)
    assert embedding_days._tail(np.array([5.0, 1, 1, 1, 1, 1, 1, 1, 1]), 9) == pytest.approx(1 / 9)
    assert embedding_days._tail(np.array([5.0, 1, 2]), 3) == 1.0


def test_a_scale_without_itself_is_that_of_the_others() -> None:
    found = embedding_days._scaled_without_itself(np.array([100.0, 0, 1, 2, 3, 4]))
    assert found[0] == pytest.approx((100 - 2) / (3.8 - 2))
    assert found[1] == pytest.approx((0 - 3) / (np.quantile([1, 2, 3, 4, 100], 0.95) - 3))
    assert embedding_days._scaled_without_itself(np.array([1.0, 0, 0, 0])).tolist()[0] == np.inf


def test_p_values_of_days_that_differ_alike_are_even() -> None:
    found = np.array([pvalue_by_units(units(3, 2 * i, effect=0.3), units(9, 2 * i + 1, effect=0.3)) for i in range(40)])
    assert 0.35 < found.mean() < 0.65
    assert (found <= 0.05).mean() < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 40)
    moved = units(3, 1000)
    far = UnitSums(
        moved.rows,
        moved.total + 3 * moved.rows[:, None],
        *(getattr(moved, n) for n in ("squares", "first", "second", "features")),
    )
    assert pvalue_by_units(far, units(30, 1001)) <= 0.002


def test_days_without_a_covariance_leave_the_other_statistics() -> None:
    one = units(9, 7)
    few = UnitSums(np.minimum(one.rows, 1), one.total, one.squares, one.first, one.second, one.features)
    assert embedding_days._frechet(few, ways(1, 9)) is None
    assert (
        0
        < pvalue_by_units(
            UnitSums(*(a[:1] for a in vars(few).values())), UnitSums(*(a[1:] for a in vars(few).values()))
        )
        <= 1
    )


def test_days_that_differ_do_not_alarm_and_new_rows_do(baseline: mw.Baseline) -> None:
    rng = np.random.default_rng(10)
    alarms = []
    for window in ("1w", "1d"):
        calm = mw.compare(baseline, day_log(day_values(7, 50, rng), 50, first_day=28), window=window)
        by_rows = mw.compare(baseline, day_log(day_values(7, 50, rng), 50, first_day=28), window=window, units="rows")
        found = [[f for f in report.findings if f.check == "embedding_drift"] for report in (calm, by_rows)]
        assert not [f for f in found[0] if f.severity == "alert"]
        assert len([f for f in found[0] if f.severity == "warning"]) <= 1
        alarms += [f for f in found[1] if f.severity in ("alert", "warning")]
        assert all(f.no_interval == "vectors" and f.interval_lower is None for f in found[1])
    assert alarms  # rows are not exchangeable, and say so
    moved = mw.compare(baseline, day_log(day_values(7, 50, rng, shift=4.0), 50, first_day=28))
    finding = drift_of(moved)
    assert finding.severity == "alert"
    assert finding.interval_by == "units"
    assert finding.p_no_change <= 0.01
    assert finding.interval_lower == pytest.approx(min(finding.value, 1 - finding.p_no_change))


def test_a_day_like_the_others_stays_open_with_a_sentence(baseline: mw.Baseline) -> None:
    values = day_values(1, 400, np.random.default_rng(11), effect=1.0)
    finding = drift_of(mw.compare(baseline, day_log(values, 400, first_day=28)))
    assert finding.severity == "not_enough_data"
    assert finding.units == 1
    assert "not surely: with whole days dealt out anew, 1 day against the baseline's, it is" in finding.reason
    assert finding.p_value is None


def test_few_days_or_files_of_before_leave_the_verdict_to_rows(baseline: mw.Baseline) -> None:
    rng = np.random.default_rng(12)
    short = mw.Baseline.fit(day_log(day_values(7, 50, rng), 50), roles=mw.Roles(**ROLES))
    moved = day_log(day_values(7, 50, rng, shift=4.0), 50, first_day=28)
    finding = drift_of(mw.compare(short, moved))
    assert (finding.severity, finding.no_interval) == ("alert", "vectors")
    profile = mw.Profile.count(baseline, moved)
    part = profile.merged()
    without = {key: sums for key, sums in part.embeddings.items() if key[0] != "block"}
    part.embeddings.clear()
    part.embeddings.update(without)
    assert unit_sums(baseline.embeddings[0], part, all_units(part, zone_of("UTC"), DAY)) is None
