"""Training-serving skew: the training set against what was served in the same period."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import modelwatch_gpu as mw

DAY = 86_400
START = 1_700_000_000


def rows(first: int, last: int, seed: int, **shifts: float) -> pa.Table:
    """A thousand rows a day, days ``first`` up to ``last``; the world moves by one a day, a feature by its shift."""
    rng = np.random.default_rng(seed)
    when = np.sort(rng.integers(START + first * DAY, START + last * DAY, 1000 * (last - first)))
    world = (when - START) / DAY
    return pa.table(
        {
            "timestamp": pa.array(when).cast(pa.timestamp("s", "UTC")),
            "price": world + rng.normal(0, 1, len(when)) + shifts.get("price", 0.0),
            "kind": pa.array(
                rng.choice(["a", "b"], len(when), p=[0.5 - shifts.get("kind", 0), 0.5 + shifts.get("kind", 0)])
            ),
            "label": rng.integers(0, 2, len(when)),
        }
    )


def severities(report: mw.Report) -> dict[tuple[str, str], str]:
    return {(f.column, f.check): f.severity for f in report.findings}


def test_what_changed_in_the_world_between_the_two_is_no_skew() -> None:
    training, served = rows(0, 60, 1), rows(40, 120, 2)
    drift = severities(mw.compare(training, served))
    assert drift["price", "ks"] == "alert"
    report = mw.skew(training, served)
    assert {s for (column, _), s in severities(report).items() if column != "label"} == {"ok"}
    assert report.rows == pytest.approx(20_000, abs=200)
    assert report.baseline.rows == pytest.approx(20_000, abs=200)
    assert report.notes[0].startswith("Training and serving are compared from 2023-12-2")
    assert {f.column for f in report.findings} == {"price", "kind"}  # features alone


def test_a_feature_that_is_made_otherwise_in_serving_is_found() -> None:
    found = severities(mw.skew(rows(0, 60, 1), rows(40, 120, 2, price=4.0, kind=0.2)))
    assert found["price", "ks"] == found["kind", "js_distance"] == "alert"


@pytest.mark.parametrize("kind", ["ms", "us", "ns", "date"])
def test_the_period_ends_with_its_last_second_in_every_unit(kind: str) -> None:
    training, served = rows(0, 10, 1), rows(5, 20, 2)

    def cast(table: pa.Table) -> pa.Table:
        target = pa.date32() if kind == "date" else pa.timestamp(kind, "UTC")
        return table.set_column(0, "timestamp", table["timestamp"].cast(target, safe=False))

    whole = mw.skew(training, served)
    report = mw.skew(cast(training), cast(served))
    if kind == "date":
        assert report.rows >= whole.rows
        return
    assert report.rows == whole.rows == int(np.sum(served["timestamp"].cast(pa.int64()).to_numpy() <= last(training)))


def last(table: pa.Table) -> int:
    return int(table["timestamp"].cast(pa.int64()).to_numpy().max())


def test_no_common_time_and_a_baseline_are_refused_and_no_time_takes_all_rows() -> None:
    with pytest.raises(mw.InputError, match="no time in common"):
        mw.skew(rows(0, 10, 1), rows(20, 30, 2))
    with pytest.raises(mw.InputError, match="training set itself"):
        mw.skew(mw.Baseline.fit(rows(0, 10, 1)), rows(0, 10, 2))
    sides: list[Any] = [rows(0, 10, seed).drop_columns(["timestamp"]) for seed in (1, 2)]
    assert mw.skew(*sides).rows == 10_000
