"""Columns of types that cannot be counted: refused where they were asked for, else passed over and named in every
report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from comparing import number

import modelwatch_gpu as mw
from modelwatch_gpu.report.table import headline

ROWS = 60

NESTED: dict[str, pa.Array] = {
    "list": pa.array([[1, 2], None, []] * 20),
    "large_list": pa.array([[1.5], None, []] * 20, pa.large_list(pa.float64())),
    "list_view": pa.array([[1], None, []] * 20, pa.list_view(pa.int8())),
    "fixed_size_list of integers": pa.array([[1, 2], None, [3, 4]] * 20, pa.list_(pa.int16(), 2)),
    "struct": pa.array([{"a": 1, "b": "x"}, None, {"a": 2, "b": None}] * 20),
    "map": pa.array([[("k", 1)], None, []] * 20, pa.map_(pa.string(), pa.int8())),
    "dense_union": pa.UnionArray.from_dense(
        pa.array([0, 1] * 30, pa.int8()),
        pa.array([i // 2 for i in range(60)], pa.int32()),
        [pa.array(range(30)), pa.array(["s"] * 30)],
    ),
    "sparse_union": pa.UnionArray.from_sparse(
        pa.array([0, 1] * 30, pa.int8()), [pa.array(range(60)), pa.array(["s"] * 60)]
    ),
    "interval": pa.array([(1, 2, 3), None, (0, 0, 1)] * 20, pa.month_day_nano_interval()),
    "run ends of lists": pa.RunEndEncodedArray.from_arrays(pa.array([30, 60], pa.int32()), pa.array([[1], [2]])),
    "dictionary of structs": pa.DictionaryArray.from_arrays(
        pa.array([0, None, 0] * 20, pa.int8()), pa.array([{"a": 1}])
    ),
}


def log_with(array: pa.Array, name: str = "odd") -> pa.Table:
    return pa.table({"x": np.linspace(0, 1, ROWS), name: array})


@pytest.mark.parametrize("kind", NESTED)
def test_a_column_nobody_asked_for_is_passed_over_and_every_report_says_so(kind: str, tmp_path: Path) -> None:
    log = log_with(NESTED[kind])
    baseline = mw.Baseline.fit(log)
    assert [c.name for c in baseline.columns] == ["x"]
    assert list(baseline.skipped) == ["odd"]
    assert any("'odd'" in note and baseline.skipped["odd"] in note for note in baseline.notes)
    baseline.save(tmp_path / "b.mwb")
    loaded = mw.Baseline.load(tmp_path / "b.mwb")
    assert loaded.skipped == baseline.skipped
    assert loaded.fingerprint == baseline.fingerprint
    for current in (log, log_with(pa.array(range(ROWS))), log.select(["x"])):
        report = mw.compare(loaded, current)
        (finding,) = [f for f in report.findings if f.column == "odd"]
        assert (finding.check, finding.severity, finding.value) == ("type", "not_enough_data", None)
        kind_text = baseline.skipped["odd"]
        assert finding.reason == (
            f"Column 'odd' has type {kind_text}, which is not compared; "
            "store its parts as columns of plain types, or ignore it."
        )
        assert report.ok
        assert not any("In the log but not in the baseline" in note for note in report.notes)
        assert headline(report) == "The column did not change."
        report.to_json()
        report.to_html()
        assert report.to_arrow().findings.filter(pa.compute.field("check") == "type").num_rows == 1
    profile = mw.Profile.count(loaded, log)
    assert mw.compare(loaded, profile).to_json() == mw.compare(loaded, log).to_json()


@pytest.mark.parametrize("kind", NESTED)
@pytest.mark.parametrize("option", ["features", "numeric", "categorical", "label", "score"])
def test_a_column_that_was_asked_for_is_refused_by_name(kind: str, option: str) -> None:
    roles = mw.Roles(**{option: ["x", "odd"] if option == "features" else "odd"})
    with pytest.raises(mw.InputError, match=r"Column 'odd' has type .*, which cannot be counted; store its parts"):
        mw.Baseline.fit(log_with(NESTED[kind]), roles=roles)


@pytest.mark.parametrize("kind", NESTED)
def test_a_column_that_was_left_out_on_purpose_stays_quiet(kind: str) -> None:
    for roles in (mw.Roles(ignore="odd"), mw.Roles(features="x"), mw.Roles(text="odd"), mw.Roles(id="odd")):
        report = mw.compare(log_with(NESTED[kind]), log_with(NESTED[kind]), roles=roles)
        assert {f.column for f in report.findings} == {"x"}


@pytest.mark.parametrize("kind", NESTED)
@pytest.mark.parametrize("reference", [np.arange(ROWS) / 7, ["a", "b", None] * 20])
def test_a_column_that_turned_nested_is_incomparable_and_the_rest_goes_on(kind: str, reference: Any) -> None:
    baseline = mw.Baseline.fit(log_with(pa.array(reference)))
    report = mw.compare(baseline, log_with(NESTED[kind]))
    assert [r.present for r in report.results] == [1.0, 0.0]
    assert number(report.results[0].values["ks"]) == 0.0
    (finding,) = [f for f in report.findings if f.column == "odd"]
    assert (finding.check, finding.severity) == ("present", "alert")
    assert any("'odd'" in note and "cannot be compared" in note for note in report.notes)


def test_a_well_known_name_does_not_make_a_nested_column_count() -> None:
    log = log_with(NESTED["list"], "label")
    baseline = mw.Baseline.fit(log)
    assert baseline.roles["label"] == "ignore"
    assert list(baseline.skipped) == ["label"]


def test_a_list_of_floats_of_fixed_size_is_compared_as_one_vector_and_a_note_says_so(tmp_path: Path) -> None:
    vectors = pa.array([[0.5, 1.5], None, [2.5, np.nan]] * 20, pa.list_(pa.float32(), 2))
    log = log_with(vectors)
    pq.write_table(log, tmp_path / "log.parquet")
    for source in (log, tmp_path / "log.parquet"):
        baseline = mw.Baseline.fit(source)
        assert baseline.roles["odd"] == "embedding"
        assert baseline.skipped == {}
        assert any("Column 'odd' is taken as embedding" in note for note in baseline.notes)
        assert {f.column for f in mw.compare(baseline, source).findings} == {"x", "odd"}
    tensors = pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(pa.float32(), [2]), vectors)
    assert mw.Baseline.fit(log_with(tensors)).roles["odd"] == "embedding"


def test_a_reference_with_nothing_but_nested_columns_is_refused() -> None:
    with pytest.raises(mw.InputError, match="has no column to compare"):
        mw.Baseline.fit(pa.table({"odd": NESTED["struct"]}))


def test_a_baseline_without_skipped_columns_says_nothing_of_them_in_its_file() -> None:
    baseline = mw.Baseline.fit(pa.table({"x": [1.5, 2.5]}))
    assert b'"skipped"' not in baseline.to_bytes()
    assert b'"scale"' not in baseline.to_bytes()


def test_windows_and_segments_get_the_finding_once() -> None:
    when = pa.array([i * 86_400 // 20 for i in range(ROWS)], pa.timestamp("s"))
    log = log_with(NESTED["struct"]).append_column("ts", when).append_column("side", pa.array(["a", "b"] * 30))
    report = mw.compare(log, log, window="1d", segments=["side"])
    assert [f.check for f in report.findings if f.column == "odd"] == ["type"]
    (row,) = [f for f in report.to_dict()["findings"] if f["check"] == "type"]
    assert (row["window"], row["segment"], len(report.windows)) == (None, None, 3)
    report.to_html()
