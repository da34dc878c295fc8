"""Windows against the window before them, through mw.compare, against what the rows of both say."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from comparing import number
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import cramervonmises_2samp, ks_2samp, wasserstein_distance
from tolerances import CVM, DIVERGENCE, KS, MOMENTS, WASSERSTEIN

import modelwatch_gpu as mw
from modelwatch_gpu.measures.evaluate import BASELINE, CONSECUTIVE, Result

DAY = dt.timedelta(days=1)
START = dt.datetime(2024, 1, 1, 12)


def log(days: dict[int, dict[str, list[Any]]], types: dict[str, pa.DataType]) -> pa.Table:
    """Rows of numbered days."""
    tables = []
    for day, columns in days.items():
        when = pa.array([START + day * DAY] * len(columns["x"]), pa.timestamp("us"))
        tables.append(pa.table({"ts": when, **{name: pa.array(x, types[name]) for name, x in columns.items()}}))
    return pa.concat_tables(tables)


def later(report: mw.Report, column: str = "x") -> Iterator[Result]:
    return (r for r in report.results.compared_with(CONSECUTIVE) if r.column.name == column)


@given(
    st.integers(0, 2**31),
    st.sampled_from(["float64", "float32", "int64"]),
    st.sampled_from([4, 1000]),
    st.booleans(),
)
def test_numbers_of_two_windows_hold_what_their_rows_say(seed: int, dtype: str, exact_up_to: int, coarse: bool) -> None:
    rng = np.random.default_rng(seed)

    def draw() -> Any:
        x = rng.normal(rng.choice([0.0, 5.0, 60.0]), 9, rng.integers(2, 80))
        return (x.round() if rng.random() < 0.5 else x).astype(dtype)

    reference, windows = draw(), [draw() for _ in range(3)]
    types = {"x": pa.from_numpy_dtype(np.dtype(dtype))}
    production = log({day: {"x": x.tolist()} for day, x in zip((1, 2, 5), windows, strict=True)}, types)
    roles = mw.Roles(numeric=["x"], timestamp="ts")
    baseline = mw.Baseline.fit(log({0: {"x": reference.tolist()}}, types), roles=roles, exact_up_to=exact_up_to)
    options = {"memory": 16_000} if coarse else {}
    report = mw.compare(baseline, production, window="1d", consecutive=True, **options)
    found = list(later(report))
    assert len(found) == 2
    for result, a, b in zip(found, windows[:-1], windows[1:], strict=True):
        wide = [side.astype(np.float64) for side in (a, b)]
        assert result.rows == len(b)
        distance = result.values["wasserstein"]
        wanted, slack = wasserstein_distance(*wide), WASSERSTEIN * (np.ptp(np.concatenate(wide)) + 1)
        assert distance.lower - slack <= wanted <= distance.upper + slack
        ks, cvm = result.values["ks"], result.values["cvm"]
        assert ks.lower - KS <= ks_2samp(*wide, method="asymp").statistic <= ks.upper + KS
        statistic, slack = cramervonmises_2samp(*wide, method="asymptotic").statistic, CVM * (len(a) + len(b))
        assert cvm.lower - slack <= statistic <= cvm.upper + slack
        outside = result.values["out_of_range"]
        assert outside.lower <= np.mean((b < a.min()) | (b > a.max())) <= outside.upper
        if a.std():
            shift = (wide[1].mean() - wide[0].mean()) / wide[0].std()
            assert number(result.values["mean_shift"]) == pytest.approx(shift, rel=MOMENTS, abs=1e-9)
        edges = np.array(baseline.by_name["x"].deciles)
        p, q = (np.bincount(np.searchsorted(edges, s), minlength=len(edges) + 1) / len(s) for s in (a, b))
        assert number(result.values["js_distance"]) == pytest.approx(jensenshannon(p, q, base=2), abs=1e-7)


CATEGORIES = st.lists(st.sampled_from([None, "a", "b", "new", "newer", "ü"]), min_size=1, max_size=30)


@given(st.lists(CATEGORIES, min_size=2, max_size=4))
def test_categories_of_two_windows_are_compared_value_by_value(windows: list[list[str | None]]) -> None:
    types = {"x": pa.string()}
    baseline = mw.Baseline.fit(log({0: {"x": ["a", "b", "b", None]}}, types), roles=mw.Roles(timestamp="ts"))
    production = log({day: {"x": x} for day, x in enumerate(windows, 1)}, types)
    report = mw.compare(baseline, production, window="1d", consecutive=True)
    for result, a, b in zip(later(report), windows[:-1], windows[1:], strict=True):
        values = sorted(set(a) | set(b), key=str)
        p, q = (np.array([side.count(v) for v in values]) / len(side) for side in (a, b))
        assert number(result.values["tv"]) == pytest.approx(np.abs(p - q).sum() / 2, rel=DIVERGENCE, abs=DIVERGENCE)
        assert number(result.values["l_infinity"]) == pytest.approx(np.abs(p - q).max(), rel=DIVERGENCE)
        there = [v for v in b if v is not None]
        if there:
            assert number(result.values["unseen"]) == sum(v not in a for v in there) / len(there)
        assert result.shift is not None
        assert abs(result.shift.after - result.shift.before) == pytest.approx(np.abs(p - q).max())
        if not np.abs(p - q).max():
            continue
        names = {"missing" if v is None else f"'{v}'" for v in values}
        assert result.shift.what in names


@pytest.fixture(scope="module")
def baseline() -> mw.Baseline:
    return mw.Baseline.fit(
        log({0: {"x": list(np.arange(100.0)), "side": ["a", "b"] * 50}}, TYPES), roles=mw.Roles(timestamp="ts")
    )


TYPES = {"x": pa.float64(), "side": pa.string()}


def steps() -> pa.Table:
    """40 rows a day: as the day before, then moved by 50, then the same again; the 4th has no rows."""
    days: dict[int, dict[str, list[Any]]] = {}
    for day, shift in ((1, 0.0), (2, 0.0), (3, 50.0), (5, 50.0)):
        days[day] = {"x": list(np.arange(0, 40.0) + shift), "side": ["a", "b"] * 20}
    return log(days, TYPES)


def test_every_window_is_compared_with_the_one_before_it_that_has_rows(baseline: mw.Baseline) -> None:
    report = mw.compare(baseline, steps(), window="1d", consecutive=True)
    assert [number(r.values["ks"]) for r in later(report)] == [0.0, 1.0, 0.0]
    assert [number(r.values["wasserstein"]) for r in later(report)][1] == pytest.approx(50.0, rel=1e-9)
    own = [r.start for r in report.results.compared_with(BASELINE) if r.column.name == "x"]
    assert [r.start for r in later(report)] == own[1:]
    assert report.results.compared_with(CONSECUTIVE)[0].summary.mean is None
    drift = report.to_arrow().drift
    assert drift["compared_with"].to_pylist() == ["BASELINE"] * 8 + ["CONSECUTIVE"] * 6
    assert report.to_arrow().profile.num_rows == 8
    assert {m["compared_with"] for m in report.to_dict()["measures"]} == {BASELINE, CONSECUTIVE}
    report.to_html()


def test_without_being_asked_windows_are_compared_with_the_baseline_only(baseline: mw.Baseline) -> None:
    report = mw.compare(baseline, steps(), window="1d", segments=["side"])
    assert not len(report.results.compared_with(CONSECUTIVE))
    asked = mw.compare(baseline, steps(), window="1d", segments=["side"], consecutive=True)
    assert {r.segment for r in asked.results.compared_with(CONSECUTIVE)} == {None}
    own = asked.results.compared_with(BASELINE)
    assert [dict(r.values) for r in own] == [dict(r.values) for r in report.results]
    assert asked.findings == report.findings


def test_a_check_against_the_window_before_is_judged_on_that_comparison(baseline: mw.Baseline) -> None:
    checks = [
        mw.Check("ks", "x", warn=0.5, against="consecutive"),
        mw.Check("mean_shift", "x", warn=1, against="consecutive"),
        mw.Check("out_of_range", "x", warn=0.1, against="consecutive"),
        mw.Check("unseen", "side", warn=0.1, against="consecutive"),
    ]
    report = mw.compare(baseline, steps(), window="1d", consecutive=True, checks=checks, units=None)
    warned = {f.check: f for f in report.findings if f.severity == "warning"}
    assert set(warned) == {"ks", "mean_shift", "out_of_range"}
    assert {f.compared_with for f in report.findings} == {CONSECUTIVE}
    assert warned["ks"].reason == (
        "The mean went from 19.5 to 69.5 (+4.33 sd); KS distance to the window before 1.000, warning above 0.5."
    )
    assert warned["out_of_range"].reason == (
        "100% of values are outside the range of the window before; warning above 10%."
    )
    assert "sd of the window before 4.33" in warned["mean_shift"].reason
    assert {f.reason for f in report.findings if f.severity == "not_enough_data"} == {"The window has no rows."}
    assert sum(f.check == "ks" for f in report.findings) == 4


def test_what_cannot_be_compared_with_a_window_before_is_refused_with_what_to_do(baseline: mw.Baseline) -> None:
    with pytest.raises(mw.InputError, match=r"give window=, such as window='1d'\."):
        mw.compare(baseline, steps(), consecutive=True)
    check = mw.Check("ks", warn=0.1, against="consecutive")
    with pytest.raises(mw.InputError, match=r"give consecutive=True \(--consecutive\)\."):
        mw.compare(baseline, steps(), window="1d", checks=[check])
    with pytest.raises(mw.InputError, match="against 'yesterday'; it can be against baseline or consecutive"):
        mw.Check("ks", warn=0.1, against="yesterday")
    one = mw.compare(baseline, steps().slice(0, 40), window="1d", consecutive=True, checks=[check])
    assert not one.findings


def test_a_window_before_without_values_or_without_spread_is_a_reason(baseline: mw.Baseline) -> None:
    days = {1: [None] * 3, 2: [5.0] * 3, 3: [4.0, 5.0]}
    table = log({day: {"x": x, "side": ["a"] * len(x)} for day, x in days.items()}, TYPES)
    first, second = later(mw.compare(baseline, table, window="1d", consecutive=True))
    assert first.values["ks"].reason == first.values["psi"].reason == "earlier_all_missing"
    assert second.values["mean_shift"].reason == second.values["wasserstein_sd"].reason == "constant_earlier"
    assert number(second.values["ks"]) == 0.5


def test_rows_without_a_timestamp_are_in_no_window(baseline: mw.Baseline) -> None:
    table = steps()
    when = pa.array([None, *table["ts"].to_pylist()[1:]], pa.timestamp("us"))
    report = mw.compare(baseline, table.set_column(0, "ts", when), window="1d", consecutive=True)
    assert [r.rows for r in later(report)] == [40, 40, 40]
    assert report.results[0].rows == 39
