"""Windows of so many rows: numbered over the whole log, the same for any batches and files."""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from state_makers import chunked, exact_state, log

import modelwatch_gpu as mw
from modelwatch_gpu.log.windows import RowWindow, Window, parse_window

ROLES = mw.Roles(timestamp="when", numeric=["whole"])


@pytest.fixture(scope="module")
def baseline() -> mw.Baseline:
    return mw.Baseline.fit(log(1500, 0), roles=ROLES)


@pytest.mark.parametrize("text", ["1rows", "50000rows", " 20rows "])
def test_a_window_of_rows_can_be_written_and_read_back(text: str) -> None:
    window = parse_window(text)
    assert isinstance(window, RowWindow)
    assert str(window) == text.strip()
    assert parse_window(window) is window
    assert parse_window("1d") == Window(1, "d")


@pytest.mark.parametrize("text", ["0rows", "rows", "-5rows", "5 rows", "1.5rows", "5row", "1e3rows", "9" * 16 + "rows"])
def test_any_other_number_of_rows_is_refused_with_an_example(text: str, baseline: mw.Baseline) -> None:
    with pytest.raises(mw.InputError, match="such as '50000rows'"):
        mw.Profile.count(baseline, log(10, 1), window=text)


def test_five_rows_in_windows_of_two_by_hand() -> None:
    base = mw.Baseline.fit(pa.table({"x": np.arange(20.0)}))
    report = mw.compare(base, pa.table({"x": [1.0, 2, 3, None, 5]}), window="2rows")
    assert [(w.start, w.end, w.label, w.rows) for w in report.windows] == [
        ("0", "2", "rows 1 to 2", 2),
        ("2", "4", "rows 3 to 4", 2),
        ("4", "5", "rows 5 to 5", 1),
    ]
    assert [r.summary.mean for r in report.results] == [1.5, 3.0, 5.0]
    assert [r.summary.missing for r in report.results] == [0, 1, 0]
    found = json.loads(report.to_json())
    assert found["window"] == "2rows"
    assert {row["window"] for row in found["measures"]} == {"0", "2", "4"}
    assert set(report.to_arrow().drift["window"].to_pylist()) == {"0", "2", "4"}
    assert "rows 3 to 4" in report.to_html()


@given(size=st.integers(1, 9), first=st.integers(0, 40), rows=st.integers(0, 30))
def test_a_batch_is_cut_where_counting_its_rows_one_by_one_cuts_it(size: int, first: int, rows: int) -> None:
    starts, counts = RowWindow(size).cut(first, rows)
    by_row = [row // size * size for row in range(first, first + rows)]
    assert np.repeat(starts, counts).tolist() == by_row
    assert starts.tolist() == sorted(set(by_row))


def test_labels_of_large_windows_by_hand() -> None:
    big = RowWindow(50_000)
    assert big.label(0, 10**6) == "rows 1 to 50,000"
    assert big.label(950_000, 970_001) == "rows 950,001 to 970,001"


def test_they_need_no_timestamp_and_keep_no_blocks(baseline: mw.Baseline) -> None:
    timed = mw.Profile.count(baseline, log(100, 1), window="30rows")
    assert timed.block is None
    assert [s.name for s in timed.sets] == ["window"]
    merged = timed.merged()
    assert merged is not None
    assert merged.span is not None
    untimed = mw.Profile.count(baseline, log(100, 1).drop_columns(["when"]), window="30rows").merged()
    assert untimed is not None
    assert untimed.groups == merged.groups == {"window": [(0,), (30,), (60,), (90,)]}


@settings(max_examples=25)
@given(
    size=st.integers(1, 70),
    cuts=st.lists(st.integers(1, 199), max_size=6),
    seed=st.integers(0, 20),
    threads=st.sampled_from([1, 2, 7]),
)
def test_windows_are_those_rows_for_any_batches_files_and_threads(
    baseline: mw.Baseline, size: int, cuts: list[int], seed: int, threads: int
) -> None:
    table = log(200, seed)
    options: dict[str, Any] = {"window": f"{size}rows", "segments": ["text", ("text", "whole")]}
    one = mw.Profile.count(baseline, table, **options).merged()
    assert one is not None
    starts = [int(key[0]) for key in one.groups["window"]]
    assert starts == list(range(0, 200, size))
    assert one.group_rows["window"].tolist() == [min(size, 200 - s) for s in starts]
    wanted = exact_state(one)
    assert exact_state(mw.Profile.count(baseline, chunked(table, cuts), threads=threads, **options).merged()) == wanted
    files = [table.slice(a, b - a) for a, b in itertools.pairwise(sorted({0, 200, *cuts}))]
    for keep in (True, False):
        found = mw.Profile.count(baseline, files, keep_parts=keep, threads=threads, **options)
        assert exact_state(found.merged()) == wanted


def test_each_window_holds_what_its_rows_alone_would_give(baseline: mw.Baseline) -> None:
    table = log(250, 4)
    report = mw.compare(baseline, table, window="100rows")
    for start in (0, 100, 200):
        alone = mw.compare(baseline, table.slice(start, 100))
        for mine in (r for r in report.results if r.start == start):
            (theirs,) = (r for r in alone.results if r.column.name == mine.column.name)
            for name in ("ks", "js_distance", "missing", "out_of_range", "unseen", "row_count"):
                assert mine.values.get(name) == theirs.values.get(name)


def test_their_numbers_belong_to_one_log_so_profiles_are_not_patched_together(baseline: mw.Baseline) -> None:
    a = mw.Profile.count(baseline, [log(50, 1), log(60, 2)], window="20rows")
    b = mw.Profile.count(baseline, log(50, 3), window="20rows")
    with pytest.raises(mw.InputError, match="windows of 20rows cannot be added"):
        a + b
    for act in (lambda: a.drop(a.parts[0].fingerprint), lambda: a.replace(a.parts[0].fingerprint, b)):
        with pytest.raises(mw.InputError, match="windows of 20rows cannot be freed of a part"):
            act()


def test_a_profile_with_them_is_saved_loaded_and_compared(baseline: mw.Baseline, tmp_path: Any) -> None:
    profile = mw.Profile.count(baseline, [log(50, 1), log(60, 2)], window="20rows")
    profile.save(tmp_path / "p.mwp")
    again = mw.Profile.load(tmp_path / "p.mwp")
    assert again.to_bytes() == profile.to_bytes()
    assert mw.compare(baseline, again, window="20rows").to_json() == mw.compare(baseline, profile).to_json()


def test_too_many_of_them_are_refused_before_the_first_row(baseline: mw.Baseline) -> None:
    with pytest.raises(mw.InputError, match=r"100,000 windows .* raise memory= or use longer windows"):
        mw.Profile.count(baseline, log(100_000, 1), window="1rows", memory="20MiB")
