"""One bad column never takes the report down, and never changes a number of another."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import modelwatch_gpu as mw

ROWS = 200


def sound(seed: int, rows: int = ROWS) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {
        "x": pa.array(rng.normal(size=rows)),
        "i": pa.array(rng.integers(0, 5000, rows)),
        "text": pa.array(rng.choice(["a", "b", "ü"], rows)),
    }


def junk(rows: int = ROWS) -> dict[str, pa.Array]:
    """A column of every kind that breaks things."""
    rng = np.random.default_rng(8)
    random_bits = rng.integers(0, 2**64, rows, dtype=np.uint64)
    words = pa.array([f"w{i}" for i in range(rows)])
    return {
        "all null": pa.nulls(rows, pa.float64()),
        "null type": pa.nulls(rows),
        "all NaN": pa.array(np.full(rows, np.nan)),
        "all inf": pa.array(np.full(rows, np.inf)),
        "inf, -inf and NaN": pa.array(np.resize([np.inf, -np.inf, np.nan], rows)),
        "constant": pa.array(np.ones(rows)),
        "any bits": pa.array(random_bits.view(np.float64)),
        "any bits of float32": pa.array(random_bits.view(np.float32)[:rows]),
        "subnormals": pa.array(np.resize([5e-324, -5e-324, 0.0, -0.0], rows)),
        "huge": pa.array(np.resize([1.7e308, -1.7e308], rows)),
        "int64 ends": pa.array(np.resize(np.array([2**63 - 1, -(2**63), 2**53 + 1]), rows)),
        "uint64": pa.array(random_bits),
        "bool": pa.array(np.resize([True, False], rows)),
        "text": words,
        "empty text": pa.array([""] * rows),
        "bytes that are no UTF-8": pa.array([b"\xff\xfe\x00"] * rows),
        "dictionary with nulls": pa.DictionaryArray.from_arrays(
            pa.array(np.resize([0, 1], rows)), pa.array(["a", None])
        ),
        "dictionary of nothing": pa.DictionaryArray.from_arrays(pa.nulls(rows, pa.int8()), pa.array([], pa.string())),
        "lists": pa.array([[1, 2]] * rows),
        "structs": pa.array([{"a": 1}] * rows),
        "dates": pa.array(np.arange(rows), pa.int32()).cast(pa.date32()),
        "times": pa.array(random_bits.view(np.int64)).cast(pa.timestamp("ns")),
        "durations": pa.array(random_bits.view(np.int64)).cast(pa.duration("us")),
        "decimals": pa.array(np.arange(rows)).cast(pa.decimal128(38, 0)),
        "sliced": pa.concat_arrays([words, words]).slice(7, rows),
    }


def others(report: mw.Report) -> dict[tuple[str, str], Any]:
    """Every measure of the sound columns."""
    said = json.loads(report.to_json(), parse_constant=lambda c: pytest.fail(f"a bare {c} in a report"))
    report.to_html()
    return {
        (m["column"], m["measure"]): (m["value"], m["lower"], m["upper"])
        for m in said["measures"]
        if m["column"] != "bad"
    }


@pytest.mark.parametrize("kind", junk())
def test_a_log_with_junk_in_one_column_has_the_measures_of_the_others(kind: str) -> None:
    baseline = mw.Baseline.fit(pa.table({**sound(1), "bad": sound(5)["x"]}))
    wanted = others(mw.compare(baseline, pa.table({**sound(2), "bad": sound(6)["x"]})))
    assert wanted
    report = mw.compare(baseline, pa.table({**sound(2), "bad": junk()[kind]}))
    assert others(report) == wanted
    assert any(r.column.name == "bad" for r in report.results)


@pytest.mark.parametrize("kind", junk())
def test_a_reference_with_junk_in_one_column_has_the_measures_of_the_others(kind: str) -> None:
    wanted = others(mw.compare(mw.Baseline.fit(pa.table(sound(1))), pa.table(sound(2))))
    baseline = mw.Baseline.fit(pa.table({**sound(1), "bad": junk()[kind]}))
    for bad in (junk()[kind], sound(3)["x"], sound(3)["text"]):
        assert others(mw.compare(baseline, pa.table({**sound(2), "bad": bad}))) == wanted
    assert others(mw.compare(baseline, pa.table(sound(2)))) == wanted


@pytest.mark.parametrize("rows", [0, 1])
@pytest.mark.parametrize("kind", junk())
def test_a_log_of_no_rows_or_one_has_a_report_whatever_its_columns(kind: str, rows: int) -> None:
    whole = pa.table({**sound(1), "bad": junk()[kind]})
    report = mw.compare(mw.Baseline.fit(whole), whole.slice(3, rows))
    json.loads(report.to_json())
    assert report.rows == rows
    assert all(f.severity != "alert" for f in report.findings if rows == 0)
    if rows == 1:
        json.loads(mw.compare(mw.Baseline.fit(whole.slice(3, 1)), whole).to_json())


def test_timestamps_that_are_null_or_out_of_order_are_counted_where_they_belong() -> None:
    seconds = [2_000_000, None, 1_000_000, 3_000_000, None, 1_000_001]
    when = pa.array(seconds, pa.timestamp("s", "UTC"))
    table = pa.table({"x": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], "when": when})
    baseline = mw.Baseline.fit(table, roles=mw.Roles(timestamp="when"))
    for order in ([0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0], [2, 5, 0, 3, 1, 4]):
        report = mw.compare(baseline, table.take(order), window="1w")
        assert sum(w.rows for w in report.windows) == 4
        assert any("2 rows have no timestamp" in note for note in report.notes)
        assert [w.rows for w in report.windows if w.rows] == [2, 1, 1]
