"""Reports of many segments: results as arrays, findings that are listed or counted, forms that stream."""

from __future__ import annotations

import io
import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from rich.console import Console

import modelwatch_gpu as mw
from modelwatch_gpu.checks import judge, judging
from modelwatch_gpu.checks.finding import SEVERITIES, finding_of, presence
from modelwatch_gpu.measures import cells, evaluate
from modelwatch_gpu.measures.results import segment_value
from modelwatch_gpu.profile.parts import SEGMENT_VALUE
from modelwatch_gpu.report.table import ReportTable

SEGMENTS = 2_000


def log(rows: int, seed: int, *, shift: float = 0.0) -> pa.Table:
    """Rows of two days in many shops; x moves in every seventh shop."""
    rng = np.random.default_rng(seed)
    shop = rng.integers(0, SEGMENTS, rows)
    when = np.where(rng.random(rows) < 0.5, 0, 86_400) + 1_704_100_000
    return pa.table(
        {
            "ts": pa.array(when).cast(pa.timestamp("s")),
            "shop": pa.array(np.char.add("shop ", shop.astype(str))),
            "x": rng.normal(shift * (shop % 7 == 0), 1, rows),
            "whole": rng.integers(0, 500, rows) + 2**60,
            "side": pa.array(np.array(["left", "right", "new"])[rng.integers(0, 3 if shift else 2, rows)]),
            "holes": pa.array(rng.normal(0, 1, rows).astype("f4"), mask=rng.random(rows) < 0.1),
        }
    )


ROLES = mw.Roles(timestamp="ts", ignore=["shop"])
CHECKS = [mw.Check(m, warn=0.2, alert=0.4, min_rows=4) for m in ("ks", "js_distance", "missing_change", "unseen")]


@pytest.fixture(scope="module")
def baseline() -> mw.Baseline:
    return mw.Baseline.fit(log(4_000, 1), roles=ROLES)


@pytest.fixture(scope="module")
def profile(baseline: mw.Baseline) -> mw.Profile:
    return mw.Profile.count(baseline, log(20_000, 2, shift=3), window="1d", segments=["shop"])


@pytest.fixture(scope="module")
def report(baseline: mw.Baseline, profile: mw.Profile) -> mw.Report:
    return mw.compare(baseline, profile, checks=CHECKS)


@pytest.fixture(scope="module")
def few(baseline: mw.Baseline) -> mw.Profile:
    """Some 300 segments of two rows."""
    return mw.Profile.count(baseline, log(600, 5, shift=3), window="1d", segments=["shop"])


def test_findings_are_made_when_they_are_looked_at_and_are_like_a_tuple(
    report: mw.Report, baseline: mw.Baseline, profile: mw.Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    worst, first = report.worst(3), report.findings[:3]
    monkeypatch.setattr(judging, "finding_of", lambda *args: made.append(args[3]) or finding_of(*args))
    again = mw.compare(baseline, profile, checks=CHECKS)
    assert (again.ok, again.counts) == (report.ok, report.counts)
    assert not made
    assert again.worst(3) == worst
    assert again.findings[:3] == first
    assert again.findings[0] is again.findings[0]
    assert len(made) == 3
    assert again.findings == report.findings == tuple(report.findings)
    assert hash(again.findings) == hash(tuple(report.findings))
    assert again.findings != tuple(report.findings)[1:]
    assert again.findings[-1] == report.findings[len(report.findings) - 1]
    assert again.findings + again.findings[:1] == (*report.findings, report.findings[0])
    with pytest.raises(IndexError):
        again.findings[len(again.findings)]
    # What is added stands behind those of its severity.
    more = report.findings[-1:] + report.findings[:1]
    both = again.findings.and_more(more)
    assert tuple(both) == tuple(sorted([*report.findings, *more], key=lambda f: SEVERITIES.index(f.severity)))
    assert list(both.of_windows()) == [f for f in both if f.segment is None]


def test_results_are_a_sequence_that_makes_one_when_it_is_looked_at(report: mw.Report) -> None:
    results = report.results
    segments = sum(len(block) for block in results.blocks if block.place.segments is not None)
    assert len(results) == 2 * 4 + segments
    assert segments >= 4 * SEGMENTS
    last, same = results[-1], results[len(results) - 1]
    assert (last.column.name, last.segment) == (same.column.name, same.segment)
    assert [r.start for r in results[:3]] == [results[i].start for i in range(3)]
    assert results[0] is not results[0]
    with pytest.raises(IndexError):
        results[len(results)]
    segment = next(r for r in results if r.segment is not None)
    assert segment.by == ("shop",)
    assert segment.segment is not None
    assert segment.segment[0][0] == SEGMENT_VALUE
    assert report.segment_of(segment) == {"shop": segment.segment[0][1]}
    assert segment.histogram is None
    assert results[0].histogram is not None
    with pytest.raises(KeyError):
        segment.values["unknown"]
    assert dict(segment.values).keys() == set(segment.values)


def test_a_segment_among_many_has_the_measures_it_has_alone(baseline: mw.Baseline, report: mw.Report) -> None:
    found = {(r.start, r.segment[0][1], r.column.name): r for r in report.results if r.segment is not None}
    rows = log(20_000, 2, shift=3)
    for shop in sorted({shop for _, shop, _ in found if shop})[:3]:
        own = rows.filter(pa.compute.equal(rows["shop"], shop))
        for alone in mw.compare(baseline, own, window="1d", segments=["shop"]).results:
            if alone.segment is not None:
                same = found[alone.start, shop, alone.column.name]
                for name in alone.values.keys() - {"mean_shift", "sd_ratio"}:  # these depend on the order of rows
                    assert same.values[name] == alone.values[name]
                assert dict(same.effects) == dict(alone.effects)
                assert (same.rows, same.summary.maximum) == (alone.rows, alone.summary.maximum)
                assert dict(alone.summary.quantiles) == dict(same.summary.quantiles)


@pytest.mark.parametrize("size", [1, 700, 1 << 22])
def test_results_do_not_depend_on_how_many_groups_are_worked_on_at_a_time(
    baseline: mw.Baseline, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    production = log(60, 3, shift=3)
    wanted = mw.compare(baseline, production, window="1d", segments=["shop"], consecutive=True).to_json()
    monkeypatch.setattr(cells, "CHUNK_CELLS", size)
    assert mw.compare(baseline, production, window="1d", segments=["shop"], consecutive=True).to_json() == wanted


def test_a_result_costs_a_kilobyte_and_not_five(baseline: mw.Baseline, profile: mw.Profile) -> None:
    merged = profile.merged()
    assert merged is not None
    evaluate.evaluate(baseline, profile, merged)  # what is made once is not counted
    tracemalloc.start()
    results = evaluate.evaluate(baseline, profile, merged)
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 1_100 * len(results)
    assert peak < kept + 110 * cells.CHUNK_CELLS


# ---- findings --------------------------------------------------------------------------------------------------------


def test_findings_of_arrays_are_those_of_one_result_after_the_other(baseline: mw.Baseline, few: mw.Profile) -> None:
    report, one_by_one = mw.compare(baseline, few, checks=CHECKS, units=None), []
    for result in report.results:
        one_by_one += [presence(result)]
        one_by_one += [judge(check, result) for check in CHECKS if check.applies_to(result.column)]
    every = {repr(f) for f in one_by_one if f is not None}
    assert {repr(f) for f in report.findings} == every
    assert len(report.findings) == len(every)
    keys = [
        (SEVERITIES.index(f.severity), f.segment is not None, -f.excess, f.start, f.column, f.check, f.segment or ())
        for f in report.findings
    ]
    assert keys == sorted(keys)


def test_beyond_the_limit_quiet_findings_of_segments_are_counted_and_the_note_says_so(
    baseline: mw.Baseline, profile: mw.Profile, report: mw.Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not report.left_out
    monkeypatch.setattr(judging, "LISTED_FINDINGS", 1_000)
    short = mw.compare(baseline, profile, checks=CHECKS)
    quiet = [f for f in report.findings if f.segment is not None and f.severity in ("ok", "not_enough_data")]
    loud = [f for f in report.findings if not (f.segment is not None and f.severity in ("ok", "not_enough_data"))]
    assert list(short.findings) == loud
    counts = {s: sum(f.severity == s for f in quiet) for s in ("ok", "not_enough_data")}
    assert short.left_out == counts
    assert short.counts == report.counts
    assert short.notes[-1] == (
        f"There are more than 1,000 findings, so of those of segments {counts['ok']:,} that are ok and "
        f"{counts['not_enough_data']:,} that are not_enough_data are counted here and not listed."
    )
    assert (short.ok, short.worst(5)) == (report.ok, report.worst(5))
    assert repr(short) == repr(report)
    out = io.StringIO()
    Console(file=out, width=120).print(ReportTable(short))
    assert f"{report.counts['not_enough_data']:,} checks had not enough data" in out.getvalue()


# ---- forms -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("indent", [None, 0, 2])
def test_streamed_json_is_what_json_makes_of_the_whole(
    baseline: mw.Baseline, tmp_path: Path, indent: int | None
) -> None:
    for production in (log(100, 4, shift=3), log(100, 4).slice(0, 0)):
        own = mw.compare(baseline, production, window="1d", segments=["shop"], consecutive=True)
        text = json.dumps(own.to_dict(), indent=indent, allow_nan=False)
        assert own.to_json(indent=indent) == text
        own.write_json(tmp_path / "report.json", indent=indent)
        assert (tmp_path / "report.json").read_text() == text


def test_json_that_breaks_off_leaves_the_old_file(
    report: mw.Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "report.json"
    path.write_text("old")

    def breaks(*args: Any, **options: Any) -> Any:
        yield "{"
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("modelwatch_gpu.report.rows.json_chunks", breaks)
    with pytest.raises(mw.OutputError, match="No space left"):
        report.write_json(path)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["report.json"]


def test_arrow_of_many_results_holds_each_of_them(report: mw.Report) -> None:
    tables = report.to_arrow()
    assert tables.profile.num_rows == tables.drift.num_rows == len(report.results)
    numbers = sum(pa.types.is_floating(field.type) for field in tables.drift.schema)
    assert tables.drift.nbytes < (8 * numbers + numbers / 8 + 150) * len(report.results)  # and texts are short
    for at in (0, 5, len(report.results) // 2, len(report.results) - 1):
        result, drift = report.results[at], tables.drift.slice(at, 1).to_pylist()[0]
        row = tables.profile.slice(at, 1).to_pylist()[0]
        assert (drift["window"], drift["column"]) == (report.iso_of(result.start), result.column.name)
        assert drift["segment_value"] == (segment_value(result.segment) if result.segment else None)
        for name, value in result.values.items():
            if name != "row_count":
                assert (drift[name], drift[f"{name}_upper"]) == (value.value, value.upper)
        assert (row["skewness"], row["count"]) == (result.summary.skewness, result.summary.count)
        for name, value in result.summary.quantiles.items():
            assert [row[f"{name}{end}"] for end in ("", "_lower", "_upper")] == [value.value, value.lower, value.upper]
