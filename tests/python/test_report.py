"""The report in all its forms, from one comparison that holds one of everything."""

from __future__ import annotations

import dataclasses
import datetime as dt
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from rich.console import Console

import modelwatch_gpu as mw
from modelwatch_gpu.checks import finding
from modelwatch_gpu.checks.check import Check
from modelwatch_gpu.checks.finding import SEVERITIES, Finding, judge
from modelwatch_gpu.measures.answer_tables import ConfusionRow
from modelwatch_gpu.measures.evaluate import Effect, Result, Shift, Summary
from modelwatch_gpu.measures.registry import DRIFT, MEASURES
from modelwatch_gpu.measures.value import Value
from modelwatch_gpu.plain import type_text
from modelwatch_gpu.profile.columns import NumericColumn
from modelwatch_gpu.report import answer_view
from modelwatch_gpu.report.table import ReportTable, changes, headline, printable, since_labels
from modelwatch_gpu.report.view import view_of

HOSTILE = "<script>alert(1)</script>"
TOP_KEYS = {
    "embeddings",
    *("schema_version", "library", "device", "isa", "baseline", "timezone", "window", "segments", "rows", "ok"),
    *("weight", "labels", "performance", "windows", "profile", "measures"),
    *("calibration", "confusion", "classes", "fairness", "findings", "notes", "next_steps"),
}


def log(days: Sequence[int], *, shift: float = 0.0, hostile: float = 0.0, seed: int = 3, **extra: Any) -> pa.Table:
    """A log with 400 rows on each day of January 2024; ``hostile``: the share of rows with the script's name."""
    rng = np.random.default_rng(seed)
    rows = 400 * len(days)
    when = np.repeat([dt.datetime(2024, 1, day, 12) for day in days], 400)
    names = np.where(rng.random(rows) < hostile, HOSTILE, np.where(rng.random(rows) < 0.5, "left", "right"))
    columns = {
        "ts": pa.array(when, pa.timestamp("us")),
        "x": pa.array(rng.normal(shift, 1, rows)),
        "calm": pa.array(rng.normal(0, 1, rows)),
        "side": pa.array(names).dictionary_encode(),
        "holes": pa.array(rng.normal(0, 1, rows), mask=rng.random(rows) < (0.3 if shift else 0.02)),
    }
    return pa.table({**columns, **extra})


@pytest.fixture(scope="module")
def baseline() -> mw.Baseline:
    return mw.Baseline.fit(log([1, 2, 3]))


@pytest.fixture(scope="module")
def report(baseline: mw.Baseline) -> mw.Report:
    """x moves from the 6th on; the 8th has no rows; the script's name appears on the 9th."""
    production = pa.concat_tables(
        [log([4, 5], seed=4), log([6, 7], shift=0.5, seed=5), log([9], shift=2.0, hostile=0.3, seed=6)],
        promote_options="default",
    )
    return mw.compare(baseline, production, window="1d", segments=["side"], units="rows")


def shown(report: mw.Report, width: int) -> str:
    """The terminal's view as plain text."""
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(ReportTable(report))
    return out.getvalue()


# ---- JSON ------------------------------------------------------------------------------------------------------------


def no_constants(text: str) -> Any:
    raise AssertionError(f"{text} is not JSON")


def test_json_is_strict_and_has_the_keys_of_its_page(report: mw.Report, tmp_path: Path) -> None:
    text = report.to_json(tmp_path / "report.json")
    assert (tmp_path / "report.json").read_text() == text
    found = json.loads(text, parse_constant=no_constants)
    assert set(found) == TOP_KEYS
    assert found["schema_version"] == 1
    assert found["windows"][0] == {
        "start": "2024-01-04T00:00:00+00:00",
        "end": "2024-01-05T00:00:00+00:00",
        "label": found["windows"][0]["label"],
        "rows": 400,
    }
    assert [w["rows"] for w in found["windows"]] == [400, 400, 400, 400, 0, 400]
    for row in found["measures"]:
        wanted = {"window", "segment", "column", "compared_with", "measure", "value", "lower", "upper", "n"}
        assert wanted <= set(row) <= wanted | {"reason", "baseline"}
        assert row["measure"] in MEASURES
        assert (row["value"] is None) == ("reason" in row)
    for row in found["findings"]:
        assert row["severity"] in SEVERITIES
        assert row["reason"].endswith(".")
        assert row["segment"] is None or set(row["segment"]) == {"side"}


def test_json_of_infinite_and_enormous_values_has_no_infinity() -> None:
    hard = pa.table({"x": [float("inf"), float("-inf"), float("nan"), 1.7e308, -1.7e308, None] * 20})
    found = json.loads(mw.compare(hard, hard).to_json(), parse_constant=no_constants)
    assert {m["measure"] for m in found["measures"] if m["value"] is None} >= {"wasserstein"}


def test_equal_logs_give_equal_json_whatever_the_threads(baseline: mw.Baseline) -> None:
    texts = {mw.compare(baseline, log([4, 5]), window="1d", threads=n).to_json() for n in (1, 2, 3)}
    assert len(texts) == 1


# ---- Arrow and pandas ------------------------------------------------------------------------------------------------


def test_arrow_schemas_are_the_same_for_every_report(report: mw.Report) -> None:
    tiny = mw.compare(pa.table({"n": [1.5, 2.5]}), pa.table({"n": [1.5]}))
    nothing = mw.compare(pa.table({"n": [1.5, 2.5]}), pa.table({"n": pa.array([], pa.float64())}))
    for one, two, three in zip(report.to_arrow(), tiny.to_arrow(), nothing.to_arrow(), strict=True):
        assert one.schema == two.schema == three.schema
    drift = report.to_arrow().drift
    place = ["window", "segment_key", "segment_value", "column", "compared_with"]
    measures = [f"{m}{end}" for m in DRIFT if m != "row_count" for end in ("", "_lower", "_upper")]
    assert drift.column_names == place + measures
    assert set(drift["compared_with"].to_pylist()) == {"BASELINE"}


def test_arrow_json_and_pandas_hold_the_same_numbers(report: mw.Report) -> None:
    tables, found, frames = report.to_arrow(), report.to_dict(), report.to_pandas()
    assert [t.num_rows for t in tables] == [len(f) for f in frames]
    assert tables.profile.num_rows == tables.drift.num_rows == len(found["profile"])
    assert tables.findings.num_rows == len(found["findings"])
    assert tables.findings["reason"].to_pylist() == [f["reason"] for f in found["findings"]]
    ks = {(m["window"], str(m["segment"]), m["column"]): m["value"] for m in found["measures"] if m["measure"] == "ks"}
    for row in tables.drift.to_pylist():
        segment = None if row["segment_key"] is None else {row["segment_key"]: row["segment_value"]}
        assert row["ks"] == ks.get((row["window"], str(segment), row["column"]))
    assert list(frames.profile["column"]) == tables.profile["column"].to_pylist()


# ---- verdicts --------------------------------------------------------------------------------------------------------


def test_ok_and_raise_on_alert_agree_with_the_findings(report: mw.Report, baseline: mw.Baseline) -> None:
    assert not report.ok
    with pytest.raises(mw.AlertError, match=r"\d+ findings at alert or worse; the worst is \w+: .*"):
        report.raise_on_alert()
    with pytest.raises(mw.InputError, match="'alert' or 'warning', not 'panic'"):
        report.raise_on_alert("panic")
    calm = mw.compare(baseline, log([1, 2, 3]))
    assert calm.ok
    calm.raise_on_alert("warning")
    assert repr(calm).startswith("Report(1,200 rows, 1 windows: 0 alert, 0 warning")


def test_a_warning_is_raised_only_where_asked_for(baseline: mw.Baseline) -> None:
    checks = [Check("ks", "x", warn=0.05, alert=0.9)]
    warned = mw.compare(baseline, log([4], shift=0.5), checks=checks, units="rows")
    assert warned.ok
    warned.raise_on_alert()
    with pytest.raises(mw.AlertError, match="the worst is x"):
        warned.raise_on_alert("warning")


def test_findings_come_worst_first_and_whole_windows_before_segments(report: mw.Report) -> None:
    keys = [(SEVERITIES.index(f.severity), f.segment is not None, -f.excess) for f in report.findings]
    assert keys == sorted(keys)
    assert [f.severity for f in report.worst(3)] == ["alert"] * 3
    assert len(report.worst(10_000)) == sum(f.severity in ("alert", "warning") for f in report.findings)


def test_since_is_the_window_from_which_a_column_is_off_without_a_break(report: mw.Report) -> None:
    """The empty 8th breaks the run of x; calm is never off."""
    labels = [w.label for w in report.windows]
    assert since_labels(report)["x"] == labels[5]
    assert "calm" not in since_labels(report)
    without_break = dataclasses.replace(report, windows=tuple(w for w in report.windows if w.rows))
    assert since_labels(without_break)["x"] == labels[2]


def test_a_window_without_rows_is_not_enough_data_for_every_check(report: mw.Report) -> None:
    empty = [f for f in report.findings if f.start == report.windows[4].second]
    assert {f.severity for f in empty} == {"not_enough_data"}
    assert {f.reason for f in empty} == {"The window has no rows."}


# ---- sentences -------------------------------------------------------------------------------------------------------

COLUMN = NumericColumn(
    "x",
    "feature",
    "double",
    "float64",
    np.empty(0, np.uint64),
    np.empty(0, np.uint32),
    np.empty(0, np.uint32),
    (),
    True,
    0,
)


def reason(
    check: Check, value: float, *, n: int = 1000, effect: Effect | None = None, shift: Any = None, **more: float
) -> str:
    """What `judge` says of a measure with this value."""
    values = {name: Value.exact(number, n) for name, number in {check.measure: value, **more}.items()}
    effects = {check.measure: effect} if effect else {}
    found = judge(check, Result(0, None, COLUMN, n, 1.0, "gone", values, effects, shift, None, Summary()))
    assert isinstance(found, Finding)
    return found.reason


KS = Check("ks", warn=0.1, alert=0.2)
JS = Check("js_distance", warn=0.1, alert=0.2)


def test_the_reason_of_a_number_says_where_the_mean_went() -> None:
    mean = Shift("mean", 37.9165, 81.6303, share=False)
    assert reason(KS, 0.9997, shift=mean, mean_shift=5.218, sd_ratio=1.0) == (
        "The mean went from 37.9 to 81.6 (+5.22 sd); KS distance 1.000, alert above 0.2."
    )
    assert reason(KS, 0.05, shift=Shift("mean", 1016.83, 1016.91, share=False), mean_shift=0.01, sd_ratio=1.0) == (
        "KS distance 0.05 is within the warning threshold 0.1; the mean went from 1,016.8 to 1,016.9 (+0.01 sd)."
    )
    assert reason(KS, 0.15, shift=Shift("mean", 5.0, 5.01, share=False), mean_shift=0.01, sd_ratio=2.0) == (
        "The mean stayed near 5.01, the standard deviation is 2 times the baseline's; "
        "KS distance 0.150, warning above 0.1."
    )


def test_the_reason_of_categories_says_which_and_what_is_left_beyond_chance() -> None:
    one = Shift("'0'", 0.772, 0.647, share=True)
    assert reason(JS, 0.169, effect=Effect(0.1689, 0.169, 0.01), shift=one, tv=0.125) == (
        "'0' went from 77.2% to 64.7% of rows; JS distance 0.169, warning above 0.1."
    )
    many = Shift("missing", 0.0, 0.0096, share=True)
    assert reason(JS, 0.378, effect=Effect(0.281, 0.36, 0.23), shift=many, tv=0.3) == (
        "Many values changed a little, most of all missing (0.0% to 1.0% of rows); "
        "JS distance 0.281 beyond chance (0.378 as measured), alert above 0.2."
    )


def test_the_reason_of_a_share_is_in_percent_and_of_its_change_in_points() -> None:
    missing, unseen = Check("missing_change", warn=0.05, alert=0.1), Check("unseen", warn=0.01, alert=0.05)
    assert reason(missing, 0.191, missing=0.866) == (
        "Missing values went from 67.5% to 86.6% of rows (+19.1); alert above +10 points."
    )
    assert reason(missing, 0.0, missing=0.0) == "No values are missing, as in the baseline; no warning up to +5 points."
    assert reason(unseen, 0.05003) == "5.003% of values are not in the baseline; alert above 5%."
    assert reason(unseen, 0.0) == "0% of values are not in the baseline; no warning up to 1%."


def test_a_number_never_looks_like_the_threshold_it_crossed() -> None:
    assert "KS distance 0.2004, alert above 0.2." in reason(KS, 0.2004)
    assert "KS distance 0.2000001, alert above 0.2." in reason(KS, 0.2000001)


def test_too_few_rows_are_said_with_both_numbers() -> None:
    assert reason(KS, 0.5, n=1) == "Only 1 row has a value; a verdict needs 30."
    assert reason(KS, 0.5, n=29) == "Only 29 rows have a value; a verdict needs 30."


def test_a_check_with_an_alert_only_does_not_speak_of_a_warning() -> None:
    assert reason(Check("ks", alert=0.2), 0.1) == "KS distance 0.100 is within the alert threshold 0.2."


def test_every_sentence_begins_like_one_and_ends_like_one(report: mw.Report) -> None:
    for f in report.findings:
        assert re.fullmatch(r"[A-Z0-9'<].*\.", f.reason), f.reason
        assert "nan" not in f.reason.split()
    assert finding.SEVERITIES[0] == "alert"


# ---- terminal and notebook -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [30, 50, 80, 109, 110, 120, 200])
def test_a_terminal_of_any_width_shows_every_column_and_its_reason(report: mw.Report, width: int) -> None:
    text = shown(report, width)
    assert max(map(len, text.splitlines())) <= width
    whole = " ".join(text.split())
    assert headline(report) in whole
    for word in ("holes", "side", "alert"):
        assert word in whole
    assert ("Worst in" in text) == (width >= 110)


def test_a_column_has_one_row_at_its_worst(report: mw.Report) -> None:
    keys = [(c.worst.column, c.worst.segment) for c in changes(report)]
    assert len(keys) == len(set(keys))
    first = changes(report)[0]
    assert first.worst is report.findings[0]


def test_a_hostile_name_is_text_in_a_terminal_and_in_a_notebook(report: mw.Report) -> None:
    assert printable("a\x1b[31m\r\n\u202e") == r"a\x1b[31m\r\n\u202e"
    assert printable("Zürich 東京") == "Zürich 東京"
    page = report._repr_html_()
    assert "<script" not in page
    assert "side = &lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_the_headline_fits_what_happened(report: mw.Report, baseline: mw.Baseline) -> None:
    assert re.fullmatch(r"\d of 4 columns changed, (\d|all) of them beyond the alert threshold\.", headline(report))
    assert headline(mw.compare(baseline, log([1, 2, 3]))) == "None of 4 columns changed."
    few = mw.compare(baseline, log([4]).slice(0, 5))
    assert headline(few) == "There was not enough data to judge any column."
    assert headline(mw.compare(baseline, log([4]).slice(0, 0))) == "The log has no rows, so nothing was compared."
    nobody = mw.compare(baseline, log([4]), checks=[Check("ks", "nobody", warn=0.1)])
    assert headline(nobody) == "No check fits any column, so nothing was judged."


def test_a_check_that_fits_no_column_is_named_in_the_notes(baseline: mw.Baseline) -> None:
    checks = [Check("ks", ["nobody", "no_*"], warn=0.1), Check("ks", warn=0.1)]
    notes = mw.compare(baseline, log([4]), checks=checks).notes
    assert [n for n in notes if n.startswith("The check of")] == [
        "The check of ks for nobody, no_* fits no column of the baseline, so it judges nothing."
    ]


def test_what_is_off_of_the_log_as_a_whole_is_told_check_by_check(baseline: mw.Baseline) -> None:
    normal = log([1, 2, 3])
    spoilt = pa.concat_tables([normal, normal.slice(0, 300)]).append_column("extra", pa.array([1] * 1_500))
    report = mw.compare(mw.Baseline.fit(normal, quality=True), spoilt, expectations=True)
    off = {f.check for f in report.findings if f.column == ":table" and f.severity in ("alert", "warning")}
    assert off >= {"new_columns", "duplicate_rows"}
    assert headline(report) == f"None of 4 columns changed. {len(off)} checks of the log itself did not hold."
    assert {c.worst.check for c in changes(report)} == off
    assert shown(report, 200).count("(the log)") == len(off)
    assert any(s.startswith("Look at how the log is written: ") and "new columns" in s for s in report.next_steps)
    assert not any(":table" in step for step in report.next_steps)


# ---- HTML ------------------------------------------------------------------------------------------------------------


def test_a_category_named_like_a_script_is_data_in_a_real_report(report: mw.Report, tmp_path: Path) -> None:
    page = report.to_html(tmp_path / "report.html", title=f"{HOSTILE} & more")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == page
    assert "alert(1)</script>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more</title>" in page
    assert r"\u003cscript\u003ealert(1)\u003c/script\u003e" in page
    assert re.sub(r"<script\b.*?</script>", "", page, flags=re.DOTALL).count("<script") == 0


def test_the_page_says_types_as_people_do_and_draws_what_was_judged(report: mw.Report) -> None:
    assert type_text("dictionary<values=string, indices=int8, ordered=0>") == "string (dictionary)"
    assert type_text("timestamp[us, tz=UTC]") == "timestamp[us, tz=UTC]"

    view = view_of(report, title="x")
    for column in view["columns"]:
        if column["check"]:
            judged = [None if cell is None else cell["value"] for cell in column["strip"]]
            assert column["measures"][column["check"]] == judged
        for cell in column["strip"]:
            if cell and cell["lower"] is not None and cell["value"] is not None:
                assert cell["lower"] <= cell["value"] <= cell["upper"]
    side = next(c for c in view["columns"] if c["name"] == "side")
    assert side["type"] == "string (dictionary)"
    assert HOSTILE not in side["distribution"]["labels"]
    assert side["distribution"]["windows"][5][side["distribution"]["labels"].index("not in the baseline")] > 0.2


@pytest.mark.parametrize("window", [None, "1d"])
def test_the_page_has_precision_recall_and_f1_of_every_class_as_the_json_has(window: str | None) -> None:
    days = pa.array([0, 0, 0, 86_400, 86_400], pa.int64()).cast(pa.timestamp("s"))
    log = pa.table({"ts": days, "label": ["a", "b", "b", "a", "c"], "prediction": ["a", "b", "a", "b", "c"]})
    report = mw.compare(mw.Baseline.fit(log), log, window=window)
    classes = view_of(report, title="t")["classes"]
    assert [row["class"] for row in classes["rows"]] == ["a", "b", "c"]  # most labels first, then by name
    assert classes["left_out"] == 0
    a, b, c = classes["rows"]
    assert (a["rows"][0], a["precision"][0], a["recall"][0], a["f1"][0]) == (2, 0.5, 0.5, 0.5)
    if window is None:
        assert [len(row["f1"]) for row in (a, b, c)] == [2, 2, 2]
        assert all(row[name][0] == row[name][1] for row in (a, b, c) for name in ("rows", "precision", "recall", "f1"))
    else:
        assert a["recall"][1:] == [1.0, 0.0]
        assert (b["rows"][1:], b["recall"][1:]) == ([2, 0], [0.5, None])
        assert (c["f1"][1:], c["rows"][1:]) == ([None, 1.0], [None, 1])


def test_the_page_of_two_classes_by_a_score_has_no_table_of_classes() -> None:
    log = pa.table({"label": [0, 1, 1, 0], "score": [0.1, 0.9, 0.4, 0.6]})
    assert view_of(mw.compare(log, log), title="t")["classes"] is None


def test_of_many_classes_the_page_has_those_with_most_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_view, "SHOWN_CLASSES", 2)
    names = ["x"] * 3 + ["y"] * 2 + ["z"] * 4
    log = pa.table({"label": names, "prediction": names})
    classes = view_of(mw.compare(log, log), title="t")["classes"]
    assert ([row["class"] for row in classes["rows"]], classes["left_out"]) == (["z", "x"], 1)


def test_a_confusion_table_of_many_classes_pools_the_rarer_ones_and_loses_no_row(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(answer_view, "SHOWN_CONFUSED", 2)
    base = pa.table({"label": ["x"] * 3 + ["y"] * 2 + ["z"] * 4 + ["w"], "prediction": ["x"] * 9 + ["w"]})
    log = pa.table({"label": ["z", "y", "w", "x", None, "x"], "prediction": ["y", "w", "x", "new", "x", None]})
    report = mw.compare(base, log)
    # Beyond the caps of a profile a label or an answer has no name.
    unnamed = ConfusionRow(report.windows[0].second, "prediction", "x", None, 5)
    answers = dataclasses.replace(report.answers, confusion=(*report.answers.confusion, unnamed))
    (answer,) = view_of(dataclasses.replace(report, answers=answers), title="t")["answers"]
    assert answer["calibration"] is None
    confusion = answer["confusion"]
    assert confusion["classes"] == ["x", "z", "3 other classes", "no class"]
    assert confusion["baseline"] == [[0, 0, 3], [1, 0, 4], [2, 0, 2], [2, 2, 1]]
    assert confusion["windows"] == [[[0, 2, 1], [0, 3, 5], [1, 2, 1], [2, 0, 1], [2, 2, 1]]]


@pytest.mark.parametrize(
    ("measure", "sample", "severity"),
    [
        ("mean_shift", [-5.0, -4.0, -3.0] * 20, "alert"),
        ("mean_shift", [0.9, 2.0, 3.1] * 20, "ok"),
        ("sd_ratio", [2.0, 2.0, 2.01] * 20, "alert"),
        ("sd_ratio", [2.0] * 60, "alert"),
        ("sd_ratio", [-20.0, 2.0, 24.0] * 20, "alert"),
    ],
)
def test_a_measure_of_two_directions_is_judged_by_how_far_it_went(
    measure: str, sample: list[float], severity: str
) -> None:
    check = mw.Check(measure, warn=1.5, alert=2)
    report = mw.compare(pa.table({"x": [1.0, 2.0, 3.0] * 20}), pa.table({"x": sample}), checks=[check])
    assert [f.severity for f in report.findings] == [severity]
    report.to_json()
