"""Sketches sharpen what a report says: distinct values, quantiles in gaps, and window against window."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ks_2samp
from tolerances import KS

import modelwatch_gpu as mw
from modelwatch_gpu.measures.quantiles import SHOWN
from modelwatch_gpu.profile import merging, parts

DAY = 86_400


def log(windows: list[np.ndarray[Any, Any]]) -> pa.Table:
    days = np.repeat(np.arange(len(windows)) * DAY, [len(w) for w in windows])
    return pa.table({"x": np.concatenate(windows), "when": pa.array(days).cast(pa.timestamp("s", "UTC"))})


def days_of(seed: int, count: int, rows: int) -> list[np.ndarray[Any, Any]]:
    rng = np.random.default_rng(seed)
    return [np.round(rng.normal(100 * seed, 1 + i, rows), int(rng.integers(1, 4))) for i in range(count)]


def baseline_far_away(values: Any) -> mw.Baseline:
    """Nothing of the log lies on a knot, and little between two of them."""
    return mw.Baseline.fit(log([np.asarray(values, dtype=np.float64)]), roles=mw.Roles(timestamp="when", numeric=["x"]))


@given(st.integers(0, 40), st.integers(2, 4), st.integers(1, 300))
def test_window_against_window_is_bounded_tightly_where_the_baseline_tells_nothing(
    seed: int, count: int, rows: int
) -> None:
    days = days_of(seed, count, rows)
    report = mw.compare(baseline_far_away([-1e6, 1e6]), log(days), window="1d", consecutive=True)
    found = [r.values["ks"] for r in report.results if r.compared_with == "CONSECUTIVE" and r.column.name == "x"]
    assert len(found) == count - 1
    for value, (a, b) in zip(found, itertools.pairwise(days), strict=True):
        true = ks_2samp(a, b).statistic
        assert value.lower is not None
        assert value.upper is not None
        assert value.lower - KS <= true <= value.upper + KS
        if rows > 100 and 0 < seed < 3:
            assert value.upper - value.lower < 0.4  # without buckets it would be 1


@given(st.integers(0, 40), st.integers(1, 300), st.lists(st.floats(-200, 200), min_size=1, max_size=5))
def test_quantiles_lie_within_bounds_a_128th_of_their_size_apart(seed: int, rows: int, knots: list[float]) -> None:
    (values,) = days_of(seed, 1, rows)
    (result,) = mw.compare(baseline_far_away(knots), log([values])).results
    for name, probability in SHOWN.items():
        quantile = result.summary.quantiles[name]
        true = float(np.quantile(values, probability, method="inverted_cdf"))
        assert quantile.lower is not None
        assert quantile.upper is not None
        assert quantile.lower <= true <= quantile.upper
        assert quantile.lower <= quantile.value <= quantile.upper  # type: ignore[operator]
        assert quantile.upper - quantile.lower <= abs(true) / 64 + 1e-300


@pytest.mark.parametrize("rows", [1, 50, 20_000])
def test_distinct_values_between_knots_are_estimated_within_their_certified_bounds(rows: int) -> None:
    values = np.random.default_rng(rows).normal(size=rows)
    values = np.concatenate([values, values])
    (result,) = mw.compare(baseline_far_away([-50.0, 0.0, 50.0]), log([values])).results
    found = result.values["distinct"]
    assert found.lower is not None
    assert found.upper is not None
    assert found.value is not None
    assert found.lower <= rows <= found.upper == 2 * rows
    assert abs(found.value - rows) <= max(0.5, 4 * 0.01625 * rows)


def test_categories_beyond_the_cap_are_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "UNSEEN_CAP", 10)
    monkeypatch.setattr(merging, "UNSEEN_CAP", 10)
    baseline = mw.Baseline.fit(pa.table({"t": ["a", "b"]}))
    table = pa.table({"t": [f"v{i}" for i in range(3000)] * 2 + ["a"]})
    halves = [table.slice(0, 2500), table.slice(2500)]
    for source in (table, halves):
        (result,) = mw.compare(baseline, source).results
        found = result.values["distinct"]
        assert found.lower is not None
        assert found.value is not None
        assert found.upper is not None
        assert found.lower <= 3001 <= found.upper
        assert abs(found.value - 3001) <= 4 * 0.01625 * 3001
