"""Measures and verdicts of rows with weights: against packages, against repeated rows, and by hand."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial import distance
from typer.testing import CliRunner
from weight_makers import ROLES, ZONE, repeated, unweighted, weighted

import modelwatch_gpu as mw
from modelwatch_gpu.cli import app
from modelwatch_gpu.measures.evaluate import Result
from modelwatch_gpu.measures.results import Results
from modelwatch_gpu.measures.value import REASONS, Value
from modelwatch_gpu.report import json_schema

#: Those that go by floating moments, which are not added in the same order when rows are repeated.
ORDERED = {"mean_shift", "sd_ratio", "wasserstein_sd"}
#: Those that say something else of weights: rows, independent rows, and no more values than rows.
OTHERS = {"row_count", "cvm", "chi_square", "distinct"}


def log(x: Any, w: Any, **more: Any) -> pa.Table:
    return pa.table({"x": x, "w": w, **more})


def result_of(reference: pa.Table, current: pa.Table, column: str = "x", **options: Any) -> Result:
    baseline = mw.Baseline.fit(reference, roles=mw.Roles(weight="w", numeric=["x"]), **options)
    (found,) = (r for r in mw.compare(baseline, current).results if r.column.name == column)
    return found


def number(value: Value) -> float:
    assert value.value is not None, value.reason
    return value.value


def test_by_hand() -> None:
    # Baseline: 1, 2, 3 with shares 1/4, 1/2, 1/4. Current: 1, 3, 4 with shares 1/8, 1/2, 3/8; a row of weight 0.
    reference = log([1.0, 2.0, 3.0], [2, 4, 2])
    current = log([1.0, 3.0, 4.0, 9.0], [1, 4, 3, 0])
    found = result_of(reference, current)
    values = found.values
    assert number(values["ks"]) == 5 / 8  # up to 2: 3/4 against 1/8
    assert number(values["wasserstein"]) == 1 / 8 + 5 / 8 + 3 / 8
    assert number(values["out_of_range"]) == 3 / 8
    assert number(values["missing"]) == 0
    assert values["row_count"] == Value.exact(4, 4)
    # Kish: (1 + 4 + 3)^2 / (1 + 16 + 9) = 64 / 26 = 2.46; 64 / 24 = 2.67 of the baseline.
    assert values["ks"].n == 2
    assert values["cvm"] == Value.absent("weighted", 2)
    assert values["chi_square"] == Value.absent("weighted", 2)
    assert found.effects["ks"].noise_floor == pytest.approx(
        math.sqrt(math.pi / 2) * math.log(2) * math.sqrt(26 / 64 + 24 / 64), rel=1e-12
    )
    assert number(values["mean_shift"]) == pytest.approx((25 / 8 - 2) / math.sqrt(0.5), rel=1e-12)
    summary = found.summary
    assert summary.mean == pytest.approx(25 / 8, rel=1e-12)
    assert summary.quantiles["p50"].value == 3.0
    assert (summary.count, summary.missing) == (4, 0)
    assert (summary.minimum, summary.maximum) == (1.0, 4.0)


# ---- Repeated rows ---------------------------------------------------------------------------------------------------


def places(results: Results) -> dict[Any, Result]:
    return {(r.start, r.by, r.segment, r.column.name, r.compared_with): r for r in results}


def assert_like_repeated(found: Results, wanted: Results) -> int:
    """Every number of ``wanted`` is there, to the bit where state is exact. Returns how many there are."""
    mine, seen = places(found), 0
    for place, theirs in places(wanted).items():
        own = mine[place]
        assert own.present == theirs.present
        if theirs.histogram is not None:
            assert own.histogram is not None
            assert own.histogram.tolist() == theirs.histogram.tolist()
        assert own.summary.quantiles.keys() == theirs.summary.quantiles.keys()
        for name, value in theirs.summary.quantiles.items():
            assert triple(own.summary.quantiles[name]) == triple(value)
        assert own.values.keys() == theirs.values.keys()
        for name, value in theirs.values.items():
            if name in ORDERED and value.value is not None:
                assert number(own.values[name]) == pytest.approx(value.value, rel=1e-9, abs=1e-9)
            elif name not in OTHERS:
                assert triple(own.values[name]) == triple(value), (place, name)
            seen += 1
        if "distinct" in theirs.values:
            upper = own.values["distinct"].upper
            assert upper is None or upper <= own.rows
    return seen


def triple(value: Value) -> tuple[Any, ...]:
    return value.value, value.lower, value.upper, value.reason


@pytest.mark.parametrize("exact_up_to", [131_072, 40])
@pytest.mark.parametrize(
    "options",
    [
        {"window": "1mo", "segments": ["text", ("text", "x")]},
        {"window": "1w", "consecutive": True},
        {"segments": ["text"], "promote": ["text"], "max_groups": 3},
        {"window": "1mo", "memory": "900KiB"},
    ],
)
def test_measures_of_whole_weights_are_those_of_repeated_rows(exact_up_to: int, options: dict[str, Any]) -> None:
    reference, current = weighted(1500, 0), weighted(900, 1)
    of_weights = mw.Baseline.fit(reference, roles=ROLES, timezone=ZONE, exact_up_to=exact_up_to)
    of_rows = unweighted(of_weights, repeated(reference))
    found = mw.compare(of_weights, current, **options).results
    if "memory" in options:  # counters of rows are smaller, and windows are to be on the coarse grid for both
        options = {**options, "memory": "500KiB"}
    wanted = mw.compare(of_rows, repeated(current), **options).results
    assert {block.grid for block in found.blocks} == {block.grid for block in wanted.blocks}
    assert assert_like_repeated(found, wanted) > 40


@settings(max_examples=40)
@given(
    st.lists(st.integers(0, 3), min_size=50, max_size=50),
    st.lists(st.integers(0, 3), min_size=50, max_size=50),
    st.integers(0, 5),
)
def test_measures_of_any_whole_weights_are_those_of_repeated_rows(w: list[int], v: list[int], seed: int) -> None:
    reference, current = weighted(50, seed, w, days=9), weighted(50, seed + 1, v, days=9)
    if not any(w) or not any(v):
        return
    of_weights = mw.Baseline.fit(reference, roles=ROLES)
    of_rows = mw.Baseline.fit(repeated(reference), roles=replace(ROLES, weight=None))
    options: dict[str, Any] = {"window": "1w", "segments": ["text"], "consecutive": False}
    found = mw.compare(of_weights, current, **options).results
    assert_like_repeated(found, mw.compare(of_rows, repeated(current), **options).results)


@pytest.mark.parametrize("weight", [1, 7, 0.1, 3e-8, 2.5e9])
def test_equal_weights_change_nothing(weight: float) -> None:
    reference, current = weighted(800, 0, np.full(800, weight)), weighted(500, 1, np.full(500, weight))
    # Not the deciles: between two values they are interpolated by how many rows there are.
    edges = {"x": [-1, 0, 1, 2], "small": [99, 100, 101], "whole": [0, 10, 20, 30]}
    of_weights = mw.Baseline.fit(reference, roles=ROLES, edges=edges)
    plain = mw.Baseline.fit(reference.drop_columns(["w"]), roles=replace(ROLES, weight=None), edges=edges)
    found = mw.compare(of_weights, current, window="1mo")
    wanted = mw.compare(plain, current.drop_columns(["w"]), window="1mo")
    mine, theirs = places(found.results), places(wanted.results)
    assert mine.keys() == theirs.keys()
    for place, other in theirs.items():
        for name, value in other.values.items():
            if name in ("cvm", "chi_square"):
                continue
            own = mine[place].values[name]
            assert own.n == value.n
            if name == "distinct" or value.value is None:
                continue
            assert number(own) == pytest.approx(value.value, rel=1e-9, abs=1e-9), (place, name)
        assert mine[place].summary.count == other.summary.count
        assert mine[place].summary.missing == other.summary.missing

    def judged(report: mw.Report) -> list[tuple[Any, ...]]:
        return sorted((f.start, f.column, str(f.segment), f.check, f.severity, f.n) for f in report.findings)

    assert judged(found) == judged(wanted)


# ---- Fractional weights against packages -----------------------------------------------------------------------------


def ecdf(x: Any, w: Any, at: Any) -> Any:
    order = np.argsort(x)
    total = np.concatenate([[0.0], np.cumsum(w[order])])
    return total[np.searchsorted(x[order], at, side="right")] / w.sum()


@pytest.mark.parametrize("exact_up_to", [131_072, 100])
@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e6])
def test_fractional_weights_against_numpy_and_scipy(exact_up_to: int, scale: float) -> None:
    rng = np.random.default_rng(5)
    x, y = rng.normal(0, 1, 3000).round(2), rng.normal(0.3, 1.2, 2000).round(2)
    w, v = rng.gamma(2, 1, 3000) * scale, rng.gamma(1.5, 2, 2000) * scale
    missing = rng.random(2000) < 0.1
    found = result_of(log(x, w), log(pa.array(y, mask=missing), v), exact_up_to=exact_up_to)
    values, near = found.values, {"rel": 2e-4, "abs": 2e-5}  # weights are rounded to some 2^-16 of their mean
    assert number(values["missing"]) == pytest.approx(v[missing].sum() / v.sum(), **near)
    y, v = y[~missing], v[~missing]
    every = np.union1d(x, y)
    ks = float(np.max(np.abs(ecdf(x, w, every) - ecdf(y, v, every))))
    w1 = stats.wasserstein_distance(x, y, w, v)
    for name, wanted in (("ks", ks), ("wasserstein", w1)):
        lower, upper = values[name].lower, values[name].upper
        assert lower is not None
        assert upper is not None
        assert lower * (1 - 2e-4) - 2e-5 <= wanted <= upper * (1 + 2e-4) + 2e-5, name
        if exact_up_to > 3000:
            assert number(values[name]) == pytest.approx(wanted, **near)
    column = found.column
    edges = np.concatenate([[-np.inf], column.deciles, [np.inf]])  # type: ignore[union-attr]
    p, q = (np.histogram(-a, -edges[::-1], weights=b)[0][::-1] / b.sum() for a, b in ((x, w), (y, v)))  # (a, b]
    if exact_up_to > 3000:
        assert p == pytest.approx(np.full(10, 0.1), abs=0.01)  # deciles of the weighted reference
    floored = np.maximum(p, 1e-4), np.maximum(q, 1e-4)
    assert number(values["psi"]) == pytest.approx(
        float(np.sum((floored[1] - floored[0]) * np.log(floored[1] / floored[0]))), **near
    )
    assert number(values["js_distance"]) == pytest.approx(distance.jensenshannon(p, q, base=2), **near)
    assert number(values["tv"]) == pytest.approx(np.abs(p - q).sum() / 2, **near)
    mean, sd = np.average(x, weights=w), math.sqrt(np.cov(x, aweights=w, bias=True))
    assert number(values["mean_shift"]) == pytest.approx((np.average(y, weights=v) - mean) / sd, **near)
    assert number(values["sd_ratio"]) == pytest.approx(math.sqrt(np.cov(y, aweights=v, bias=True)) / sd, **near)
    median = np.quantile(y, 0.5, weights=v, method="inverted_cdf")
    assert found.summary.quantiles["p50"].lower is not None
    assert found.summary.quantiles["p50"].upper is not None
    assert found.summary.quantiles["p50"].lower <= median + 0.011
    assert median - 0.011 <= found.summary.quantiles["p50"].upper
    assert found.summary.missing == round(v.sum() and found.rows * number(values["missing"]))


def test_a_gap_with_more_weight_than_its_sum_of_offsets_can_hold_has_wider_bounds() -> None:
    rng = np.random.default_rng(9)
    reference = log([0.0, 10.0, 20.0], [1, 1 << 20, 1 << 20])
    for rows, exact in ((4000, True), (5000, False)):  # 2^32 is 4,096 rows
        y = np.append(rng.uniform(0, 10, rows), 15.0)
        found = result_of(reference, log(y, np.append(np.full(rows, 1 << 20), 1))).values["wasserstein"]
        w1 = stats.wasserstein_distance([0, 10, 20], y, [1, 1 << 20, 1 << 20], [*[1 << 20] * rows, 1])
        assert found.lower is not None
        assert found.upper is not None
        assert found.lower <= w1 <= found.upper
        assert (found.upper - found.lower < 5) == exact


def test_fractional_weights_of_categories_against_numpy() -> None:
    rng = np.random.default_rng(6)
    names = np.array(["a", "b", "c", "new"])
    c, d = rng.choice(3, 2000, p=[0.5, 0.3, 0.2]), rng.choice(4, 1500, p=[0.4, 0.3, 0.2, 0.1])
    w, v = rng.gamma(2, 1, 2000), rng.gamma(1.5, 2, 1500)
    found = result_of(log(np.zeros(2000), w, c=names[c]), log(np.zeros(1500), v, c=names[d]), column="c")
    p, q = (np.bincount(a, b, minlength=4) / b.sum() for a, b in ((c, w), (d, v)))
    near = {"rel": 1e-4, "abs": 1e-6}
    assert number(found.values["unseen"]) == pytest.approx(q[3], **near)
    assert number(found.values["js_divergence"]) == pytest.approx(distance.jensenshannon(p, q, base=2) ** 2, **near)
    assert number(found.values["l_infinity"]) == pytest.approx(np.abs(p - q).max(), **near)
    assert number(found.values["distinct"]) == 4
    effect = found.effects["js_divergence"]
    n, m = (b.sum() ** 2 / (b**2).sum() for b in (w, v))
    assert effect.noise_floor == pytest.approx(3 * (1 / n + 1 / m) / (8 * math.log(2)), rel=1e-4)
    assert found.values["tv"].n == math.floor(m)


# ---- Verdicts --------------------------------------------------------------------------------------------------------


def test_verdicts_go_by_effective_rows() -> None:
    rng = np.random.default_rng(7)
    reference = log(rng.normal(size=2000), np.ones(2000))
    weights = np.full(400, 1e-3)
    weights[:20] = 1.0  # 20 rows carry nearly everything
    current = log(rng.normal(2, 1, 400), weights)
    baseline = mw.Baseline.fit(reference.set_column(1, "w", pa.array(np.full(2000, 0.5))), roles=mw.Roles(weight="w"))
    report = mw.compare(baseline, current)
    (ks,) = (f for f in report.findings if f.check == "ks")
    assert ks.severity == "not_enough_data"
    assert ks.reason == "Only 20 effective rows by the weights have a value; a verdict needs 30."
    assert ks.n == 20
    lenient = mw.compare(baseline, current, checks=[mw.Check("ks", alert=0.2, min_rows=5)])
    assert lenient.findings[0].severity == "alert"


def test_effects_of_effective_rows_have_the_chance_of_so_many_rows() -> None:
    # Of many pairs of samples of one distribution, about 1% exceed the chance that weights allow for.
    rng = np.random.default_rng(8)
    reference = log(rng.normal(size=20_000), rng.gamma(1, 1, 20_000))
    groups, rows = 300, 400
    current = pa.table(
        {
            "x": rng.normal(size=groups * rows),
            "w": rng.gamma(0.5, 1, groups * rows),
            "g": np.repeat([f"g{i:03}" for i in range(groups)], rows),
        }
    )
    baseline = mw.Baseline.fit(reference, roles=mw.Roles(weight="w"))
    results = mw.compare(baseline, current, segments=["g"]).results
    beyond = [r.values["ks"].value > r.effects["ks"].chance for r in results if r.segment is not None]  # type: ignore[operator]
    assert len(beyond) == groups
    assert sum(beyond) <= 12  # binomial(300, 0.01) is beyond in 1 of 10,000 cases; by rows half of them would be


def test_windows_and_segments_without_weight_are_told_apart_from_those_without_rows() -> None:
    day = pa.array(np.repeat([0, 1, 3], 50) * 86_400).cast(pa.timestamp("s"))
    w = np.repeat([1, 0, 1], 50)
    table = pa.table({"x": np.arange(150.0) % 50, "w": w, "ts": day, "s": np.where(w == 0, "none", "some")})
    baseline = mw.Baseline.fit(table, roles=mw.Roles(weight="w", timestamp="ts"))
    report = mw.compare(baseline, table, window="1d", segments=["s"], consecutive=True)
    assert [w.rows for w in report.windows] == [50, 50, 0, 50]
    silent = [r for r in report.results if r.start == 86_400 and r.compared_with == "BASELINE"]
    assert len(silent) == 4
    for result in silent:
        assert result.values["row_count"].value == 50
        for name, value in result.values.items():
            if name != "row_count":
                assert value == Value.absent("weightless", 0), name
    reasons = {(f.start, f.reason) for f in report.findings if f.severity == "not_enough_data" and f.segment is None}
    assert (86_400, REASONS["weightless"]) in reasons
    assert (2 * 86_400, REASONS["empty"]) in reasons
    assert not any(f.check == "present" for f in report.findings)
    later = [r for r in report.results if r.compared_with == "CONSECUTIVE" and r.column.name == "x"]
    assert [r.values["ks"].reason for r in later] == ["weightless", "earlier_all_missing"]


def test_a_column_that_is_gone_from_one_file_is_there_for_the_share_of_the_weight() -> None:
    whole = log([1.0, 2.0] * 50, [3] * 100, y=[1.5, 2.5] * 50)
    baseline = mw.Baseline.fit(whole, roles=mw.Roles(weight="w"))
    part = log([1.0, 2.0] * 50, [1] * 100)
    report = mw.compare(baseline, [whole, part])
    (found,) = (f for f in report.findings if f.check == "present")
    assert found.value == 0.75
    (result,) = (r for r in report.results if r.column.name == "y")
    assert result.values["row_count"] == Value.exact(200, 200)


# ---- Reports ---------------------------------------------------------------------------------------------------------


def test_every_form_of_the_report_says_that_rows_are_weighted() -> None:
    reference, current = weighted(500, 0, np.full(500, 0.5)), weighted(400, 1, np.tile([0.25, 0.75], 200))
    report = mw.compare(mw.Baseline.fit(reference, roles=ROLES), current, window="1mo", segments=["text"])
    found = json.loads(report.to_json())
    jsonschema.validate(found, json_schema())
    assert found["weight"] == {
        "column": "w",
        "baseline_sum": 250.0,
        "baseline_effective_rows": 500,
        "sum": 200.0,
        "effective_rows": 320,
    }
    said = "Rows are weighted by column 'w': shares, distances"
    assert sum(note.startswith(said) for note in found["notes"]) == 1
    assert "320 of 400 (in the baseline 500 of 500)" in "".join(found["notes"])
    assert said.replace("'", "\\u0027") in report.to_html() or said in report.to_html()
    for row in found["profile"]:
        assert row["count"] + row["missing"] == row["rows"]
    assert {row["reason"] for row in found["measures"] if row["measure"] == "chi_square" and row["n"]} == {"weighted"}
    tables = report.to_arrow()
    assert tables.drift["cvm"].null_count == len(tables.drift)
    plain = mw.compare(current.drop_columns(["w"]), current.drop_columns(["w"]))
    assert json.loads(plain.to_json())["weight"] is None
    assert not any("weighted" in note for note in plain.notes)


def test_weights_far_below_the_baselines_are_told() -> None:
    reference = log(np.arange(100.0), np.full(100, 0.5))
    baseline = mw.Baseline.fit(reference, roles=mw.Roles(weight="w"))
    small = mw.compare(baseline, log(np.arange(100.0), np.full(100, 0.5 / 1024)))
    assert any("some 1,024 times smaller than the baseline's" in note for note in small.notes)
    mixed = mw.compare(baseline, log(np.arange(100.0), np.repeat([0.5, 0.0], [1, 99])))
    assert not any("smaller" in note for note in mixed.notes)
    nothing = mw.compare(baseline, log(np.arange(100.0), np.full(100, 1e-9)))
    assert any(note.startswith("All weights of the log are 0, or too small") for note in nothing.notes)
    assert all(f.severity == "not_enough_data" for f in nothing.findings)


@pytest.mark.parametrize("how", ["option", "roles"])
def test_the_command_fits_and_compares_with_weights(how: str, tmp_path: Path) -> None:
    pq.write_table(weighted(400, 0), tmp_path / "reference.parquet")
    pq.write_table(weighted(300, 1), tmp_path / "log.parquet")
    (tmp_path / "roles.toml").write_text('weight = "w"\ntimestamp = "when"\n')
    options = ["--weight", "w", "--timestamp", "when"] if how == "option" else ["--roles", str(tmp_path / "roles.toml")]
    target = str(tmp_path / "b.mwb")
    fitted = CliRunner().invoke(app, ["fit", str(tmp_path / "reference.parquet"), "-o", target, *options])
    assert fitted.exit_code == 0, fitted.output
    assert "Wrote" in fitted.output
    compared = CliRunner().invoke(app, ["compare", target, str(tmp_path / "log.parquet"), "--fail-on", "never"])
    assert compared.exit_code == 0, compared.output
    assert "Rows are weighted by column 'w'" in " ".join(compared.output.split())
    pq.write_table(weighted(300, 1).drop_columns(["w"]), tmp_path / "plain.parquet")
    refused = CliRunner().invoke(app, ["compare", target, str(tmp_path / "plain.parquet")])
    assert refused.exit_code == 2
    assert "plain.parquet: there is no column 'w', which holds the weights" in refused.output
