"""CSV and JSON lines: types come from every value, and what is wrong is named with its line."""

from __future__ import annotations

import bz2
import datetime as dt
import gzip
import json
import zoneinfo
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
from hypothesis import given
from hypothesis import strategies as st
from log_makers import cuts, read, refused

import modelwatch_gpu as mw
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.log import delimited, files, jsonlines, open_log
from modelwatch_gpu.log.files import BATCH_ROWS, LogFile

SMALL = 64  # bytes of a block: a few rows


@pytest.fixture(params=["one block", "many blocks"])
def blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "many blocks":
        monkeypatch.setattr(delimited, "BLOCK", SMALL)
        monkeypatch.setattr(jsonlines, "BLOCK", SMALL)


def csv(tmp_path: Path, text: str | bytes, name: str = "a.csv") -> LogFile:
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return open_log(tmp_path / name).files[0]


def column(file: LogFile, name: str = "x") -> tuple[str, list[Any]]:
    """The type and the values of a column."""
    assert [batch.schema.field(name).type for batch in file.batches([name])] or file.rows == 0
    return str(file.schema.field(name).type), [v for b in file.batches([name]) for v in b.column(0).to_pylist()]


UTC = zoneinfo.ZoneInfo("UTC")
DAY = dt.datetime(2013, 1, 2)

CELLS: list[tuple[list[str], str, list[Any]]] = [
    (["1", "-2", "9223372036854775807"], "int64", [1, -2, 2**63 - 1]),
    (["1", "18446744073709551615"], "uint64", [1, 2**64 - 1]),
    (["-1", "18446744073709551615"], "double", [-1.0, 2.0**64]),
    (["1", "1.5"], "double", [1.0, 1.5]),
    (["1", "nan", "inf", "-0.0", "5e-324"], "double", [1.0, float("nan"), float("inf"), -0.0, 5e-324]),
    (["9007199254740993", "2"], "int64", [2**53 + 1, 2]),
    (["1", "x"], "string", ["1", "x"]),
    (["1.50", "x"], "string", ["1.50", "x"]),
    (["", "", "7"], "int64", [None, None, 7]),
    (["NA", "NULL", "n/a", "2.5"], "double", [None, None, None, 2.5]),
    (["", ""], "null", [None, None]),
    (["true", "False"], "bool", [True, False]),
    (["true", "1"], "string", ["true", "1"]),
    (["0", "1"], "int64", [0, 1]),
    (["2013-01-02", ""], "date32[day]", [DAY.date(), None]),
    (["2013-01-02", "2013-01-02 00:00:01"], "timestamp[us]", [DAY, DAY + dt.timedelta(seconds=1)]),
    (["2013-01-02T00:00:00.5", "2013-01-02"], "timestamp[us]", [DAY + dt.timedelta(seconds=0.5), DAY]),
    (["2013-01-02T00:00:00Z", "2013-01-02T02:00:00+02:00"], "timestamp[us, tz=UTC]", [DAY.replace(tzinfo=UTC)] * 2),
    (["2013-01-02T00:00:00Z", "2013-01-02T00:00:00"], "string", ["2013-01-02T00:00:00Z", "2013-01-02T00:00:00"]),
    (["2013-01-02", "2013-01-02T00:00:00Z"], "string", ["2013-01-02", "2013-01-02T00:00:00Z"]),
    (["2013-01-02", "5"], "string", ["2013-01-02", "5"]),
    ([" 1", "2 "], "int64", [1, 2]),
    ([" 2013-01-02T00:00:00"], "timestamp[us]", [DAY]),
    (['"1"', '""'], "int64", [1, None]),
    (['"a"', '""', ""], "string", ["a", "", None]),
    (['""', '""'], "string", ["", ""]),
    (['"NA"', "NA"], "string", ["NA", None]),
    (['"a\nb"', '"say ""x"""'], "string", ["a\nb", 'say "x"']),
    (["Ünï"], "string", ["Ünï"]),
    (["1677-01-01 00:00:00", "2013-01-02 00:00:00.123456789"], "string", None),  # type: ignore[list-item]
]


@pytest.mark.parametrize(("cells", "kind", "expected"), CELLS)
@pytest.mark.usefixtures("blocks")
def test_the_type_of_a_csv_column_holds_all_of_its_values_in_any_order(
    cells: list[str], kind: str, expected: list[Any] | None, tmp_path: Path
) -> None:
    expected = cells if expected is None else expected
    for order in (slice(None), slice(None, None, -1)):
        for padding in ([], [""] * 200):
            some = [*padding, *cells[order]]
            lines = "".join(f"{i},{cell}\n" for i, cell in enumerate(some))
            found, values = column(csv(tmp_path, f"n,x\n{lines}"))
            assert found == kind
            wanted = [*([None] * len(padding)), *expected[order]]
            assert repr(values) == repr(wanted)


def test_nanoseconds_are_kept_where_a_value_has_them(tmp_path: Path) -> None:
    file = csv(tmp_path, "x\n2013-01-02 00:00:00.123456789\n2013-01-02\n")
    assert file.schema.field("x").type == pa.timestamp("ns")
    (batch,) = file.batches(["x"])
    assert batch.column(0).cast(pa.int64()).to_pylist() == [1_357_084_800_123_456_789, 1_357_084_800_000_000_000]
    assert file.time_range("x") == (1_357_084_800, 1_357_084_800)


@given(
    st.lists(
        st.one_of(
            st.none(),
            st.integers(-(2**65), 2**65).map(str),
            st.floats().map(repr),
            st.datetimes(dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31)).map(str),
            st.sampled_from(["true", "x", "NaN", "2013-01-02", "-0", "007", "1e5", " 3 "]),
        ),
        min_size=1,
        max_size=12,
    ),
    st.integers(1, 5),
)
def test_the_type_of_a_column_does_not_depend_on_how_its_values_are_cut(cells: list[str | None], size: int) -> None:
    from modelwatch_gpu.log.inference import NUMBERS_AND_TIMES, ColumnKind, converted

    whole, parts = ColumnKind(NUMBERS_AND_TIMES), ColumnKind(NUMBERS_AND_TIMES)
    values = pa.array(cells, pa.string())
    whole.see(values)
    for first in range(0, len(cells), size):
        parts.see(values.slice(first, size))
    assert parts.finished() == whole.finished()
    assert parts.span == whole.span
    assert converted(values, whole.type).null_count <= values.null_count + sum(c == "" for c in cells)


@pytest.mark.parametrize("rows", [1, BATCH_ROWS, BATCH_ROWS + 1_000])
def test_a_text_file_is_one_row_group_whatever_the_parser_does(rows: int, tmp_path: Path) -> None:
    expected = [BATCH_ROWS] * (rows // BATCH_ROWS) + ([rows % BATCH_ROWS] if rows % BATCH_ROWS else [])
    whole = pa.table({"a": range(rows), "b": ["x"] * rows})
    pyarrow.csv.write_csv(whole, tmp_path / "a.csv")
    (tmp_path / "a.jsonl").write_text("".join(f'{{"a": {i}, "b": "x"}}\n' for i in range(rows)))
    for name in ("a.csv", "a.jsonl"):
        log = open_log(tmp_path / name)
        assert log.rows == rows
        assert log.reusable
        for columns in (["a"], ["b", "a"]):
            assert cuts(log.files[0], columns) == expected
        assert read(log).equals(whole)


# CSV: what a file may look like.


@pytest.mark.parametrize(("header", "row"), [("a,b", "1,2"), ("a;b", "1;2"), ("a\tb", "1\t2"), ("a|b", "1|2")])
def test_the_delimiter_is_the_one_in_the_header(header: str, row: str, tmp_path: Path) -> None:
    assert read(open_log_of(csv(tmp_path, f"{header}\n{row}\n"))).to_pydict() == {"a": [1], "b": [2]}


def open_log_of(file: LogFile) -> Any:
    return open_log(file.name)


def test_a_delimiter_in_quotes_does_not_count(tmp_path: Path) -> None:
    assert csv(tmp_path, '"a,b";c\n1;2\n').schema.names == ["a,b", "c"]
    assert csv(tmp_path, "a,b\tc\n1,x\t2\n", "a.tsv").schema.names == ["a,b", "c"]


@pytest.mark.parametrize("text", ["a,b\n", "a,b", "a,b\r\n", "\ufeffa,b\n\n"])
def test_a_header_alone_is_a_log_of_no_rows(text: str, tmp_path: Path) -> None:
    file = csv(tmp_path, text)
    assert (file.schema.names, file.rows, list(file.batches(["b"]))) == (["a", "b"], 0, [])
    assert file.schema.types == [pa.null()] * 2


def test_line_ends_byte_order_marks_and_a_missing_last_line_end_do_not_matter(tmp_path: Path) -> None:
    for text in ("a,b\r\n1,x\r\n2,y\r\n", "\ufeffa,b\n1,x\n2,y", "a,b\n\n1,x\n\n2,y\n", "a,b\r1,x\r2,y\r"):
        assert read(open_log_of(csv(tmp_path, text))).to_pydict() == {"a": [1, 2], "b": ["x", "y"]}


def test_compression_is_known_by_the_bytes_not_by_the_name(tmp_path: Path) -> None:
    text = b"a,b\n1,x\n"
    packed = {
        "a.csv": text,
        "b.csv": gzip.compress(text),
        "c.csv.gz": text,
        "d.csv.gz": gzip.compress(text[:4]) + gzip.compress(text[4:]),
        "e.csv.zst": pa.compress(text, "zstd", asbytes=True),
        "f.csv.bz2": bz2.compress(text),
        "g.CSV.GZ": gzip.compress(text),
    }
    for name, content in packed.items():
        (tmp_path / name).write_bytes(content)
        assert read(open_log(tmp_path / name)).to_pydict() == {"a": [1], "b": ["x"]}, name
    assert open_log(tmp_path).rows == len(packed)


CSV_REFUSED: list[tuple[bytes, str]] = [
    (b"", "is empty (0 bytes)"),
    (b"\n\n", "is empty; write it with a header line"),
    (b"a,b\n1,2\n3\n", ", row 3, has 1 cells where the header has 2"),
    (b"a,b\n" + b"1,2\n" * 100 + b"3,4,5\n", ", row 102, has 3 cells where the header has 2"),
    (b'a,b\n1,2\n"3,4\n5,6\n', "row 3"),
    (b"a,b\n1,caf\xe9\n", ", row 2, column 'b', is not UTF-8; convert it, such as by iconv"),
    (b"a,b\n" + b"1,x\n" * 100 + b"caf\xe9,y\n", ", row 102, column 'a', is not UTF-8"),
    (b"caf\xe9,b\n1,2\n", "row 1 (the header), is not UTF-8"),
    (b"a,b,a\n1,2,3\n", "has two columns named 'a'"),
    (b"a,a", "has two columns named 'a'"),
    ("a,b\n1,2\n".encode("utf-16"), "is UTF-16 or UTF-32 text"),
    (gzip.compress(b"a,b\n" + b"1,2\n" * 10_000, mtime=0)[:-20], "cannot be read: Truncated compressed stream"),
    (gzip.compress(b"a,b\n" + b"1,2\n" * 10_000, mtime=0)[:-6] + b"\1" * 6, "cannot be read"),
]


@pytest.mark.parametrize(("content", "said"), CSV_REFUSED)
@pytest.mark.usefixtures("blocks")
def test_a_bad_csv_file_is_refused_in_one_sentence_that_names_the_row(
    content: bytes, said: str, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    found = refused(tmp_path / "a.csv")
    assert said in found
    assert found.startswith(str(tmp_path / "a.csv"))


def test_a_row_longer_than_a_block_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "BLOCK", SMALL)
    (tmp_path / "a.csv").write_text("a,b\n1,2\n1," + "x" * 500 + "\n")
    assert "a row longer than" in refused(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("a.csv", "a,b\n1,2\n", "a,b\n1,x\n"),
        ("a.jsonl", '{"a": 1, "b": 2}\n', '{"a": 1, "b": "x"}\n'),
    ],
)
def test_a_text_file_that_is_replaced_between_opening_and_reading_is_noticed(
    name: str, before: str, after: str, tmp_path: Path
) -> None:
    file = csv(tmp_path, before, name)
    (tmp_path / name).write_text(after)
    with pytest.raises(InputError, match=r"cannot be read|was replaced"):
        list(file.batches(["b"]))
    (tmp_path / name).write_text(before * 2 if name == "a.jsonl" else f"{before}3,4\n")
    with pytest.raises(InputError, match="was replaced while it was being read"):
        list(file.batches(["b"]))


# JSON lines.

OBJECTS: list[tuple[list[Any], str, list[Any]]] = [
    ([1, -2, 2**63 - 1], "int64", [1, -2, 2**63 - 1]),
    ([1, 2**64 - 1], "uint64", [1, 2**64 - 1]),
    ([-1, 2**64 - 1], "double", [-1.0, 2.0**64]),
    ([1, 1.5], "double", [1.0, 1.5]),
    ([1, float("nan"), float("-inf")], "double", [1.0, float("nan"), float("-inf")]),
    ([2**53 + 1, 2], "int64", [2**53 + 1, 2]),
    ([1, "x"], "string", ["1", "x"]),
    ([1.5, "x", True, None], "string", ["1.5", "x", "true", None]),
    ([True, 1], "string", ["true", "1"]),
    ([None, None, 7], "int64", [None, None, 7]),
    ([None], "null", [None]),
    ([True, False], "bool", [True, False]),
    (["1", "2"], "string", ["1", "2"]),
    (["2013-01-02", "2013-01-02 00:00:00"], "timestamp[us]", [DAY, DAY]),
    (["2013-01-02T00:00:00Z"], "timestamp[us, tz=UTC]", [DAY.replace(tzinfo=UTC)]),
    (["2013-01-02T00:00:00", "soon"], "string", ["2013-01-02T00:00:00", "soon"]),
    (["", "x"], "string", ["", "x"]),
    ([[1, 2], [1.5], []], "list<item: double>", [[1.0, 2.0], [1.5], []]),
    ([{"a": 1}, {"b": "x"}], "struct<a: int64, b: string>", [{"a": 1, "b": None}, {"a": None, "b": "x"}]),
    ([{"t": "2013-01-02"}], "struct<t: string>", [{"t": "2013-01-02"}]),
    ([{"a": 1}, {"a": "x"}], "string", ['{"a": 1}', '{"a": "x"}']),
    ([[1], 2], "string", ["[1]", "2"]),
]


@pytest.mark.parametrize(("values", "kind", "expected"), OBJECTS)
@pytest.mark.usefixtures("blocks")
def test_the_type_of_a_json_field_holds_all_of_its_values(
    values: list[Any], kind: str, expected: list[Any], tmp_path: Path
) -> None:
    for padding in ([], [None] * 50):
        lines = "".join(json.dumps({"n": i, "x": value}) + "\n" for i, value in enumerate([*padding, *values]))
        found, got = column(csv(tmp_path, lines, "a.jsonl"))
        assert found == kind
        assert repr(got) == repr([*padding, *expected])


@pytest.mark.usefixtures("blocks")
def test_fields_that_come_and_go_are_null_elsewhere_and_stand_in_order_of_appearance(tmp_path: Path) -> None:
    text = '{"b": 1}\n\n  \n{"a/b": "x", "b": 2}\n' + '{"b": 3}\n' * 20 + '{"c": true}'
    log = open_log_of(csv(tmp_path, text, "a.ndjson"))
    assert log.schema.names == ["b", "a/b", "c"]
    assert log.rows == 23
    assert read(log)["c"].to_pylist() == [None] * 22 + [True]
    assert read(log, ["c", "b"]).schema.names == ["c", "b"]


JSON_REFUSED: list[tuple[bytes, str]] = [
    (b"", "is empty (0 bytes)"),
    (b"\n \n", "is empty; write one JSON object a line"),
    (b"{}\n{}\n", "has no columns"),
    (b'{"a": 1}\n{"a": \n{"a": 2}\n', ", line 2, is not valid JSON: Expecting value at character 7"),
    (b'{"a": 1}\n' * 50 + b'{"a": 1', ", line 51, is not valid JSON"),
    (b'{"a":\n1}\n', ", line 1, is not valid JSON"),
    (b'{"a": 1} {"a": 2}\n', ", line 1, is not valid JSON: Extra data at character 10"),
    (b'[{"a": 1},\n{"a": 2}]\n', "is one JSON array; write one object a line instead, such as by jq -c"),
    (b'[{"a": 1}, {"a": 2}]\n', "is one JSON array"),
    (b'{"a": 1}\n5\n', ", line 2, is not an object"),
    (b'{"a": 1}\n\n{"a": "caf\xe9"}\n', ", line 3, is not UTF-8"),
    (b'{"a": 1}\n{"a": 1, "a": 2}\n', ", line 2, cannot be read: Column(/a) was specified twice"),
    (b'{"a": 1}\n{"a": 1e999}\n', ", line 2, cannot be read: Number too big"),
    (b'{"a": "\\ud800"}\n', ", line 1, cannot be read: The surrogate pair"),
    (b'{"a": 1}\n{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n", ", line 2, is nested more than 64 levels deep"),
    (b"[" * 100_000, "nested more than 64 levels deep"),
    ('{"a": 1}\n'.encode("utf-16"), "is UTF-16 or UTF-32 text"),
]


@pytest.mark.parametrize(("content", "said"), JSON_REFUSED)
@pytest.mark.usefixtures("blocks")
def test_bad_json_lines_are_refused_in_one_sentence_that_names_the_line(
    content: bytes, said: str, tmp_path: Path
) -> None:
    (tmp_path / "a.jsonl").write_bytes(content)
    found = refused(tmp_path / "a.jsonl")
    assert said in found
    assert found.startswith(str(tmp_path / "a.jsonl"))


def test_brackets_in_text_are_not_nesting(tmp_path: Path) -> None:
    text = json.dumps({"a": '[{"' * 500, "b": [[1]]}) + "\n"
    assert column(csv(tmp_path, text, "a.jsonl"), "a")[1] == ['[{"' * 500]


def test_nested_fields_are_passed_over_like_other_nested_columns(tmp_path: Path) -> None:
    lines = [json.dumps({"x": i / 7, "meta": {"id": i, "tags": ["a"]}, "v": [0.1, 0.2]}) for i in range(100)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    report = mw.compare(tmp_path / "a.jsonl", tmp_path / "a.jsonl")
    assert {finding.column for finding in report.findings if finding.check == "ks"} == {"x"}


@pytest.mark.parametrize("kind", ["csv", "jsonl", "csv.gz", "jsonl.zst"])
def test_any_changed_byte_gives_a_log_or_one_sentence(kind: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(11)
    rows = [{"n": i, "x": i / 7, "t": f"2013-01-{1 + i % 28:02}", "s": 'a "b"\n', "l": [i, None]} for i in range(40)]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    if kind.startswith("csv"):
        text = "n,x,t,s\n" + "".join(f'{r["n"]},{r["x"]},{r["t"]},"a ""b""\n"\n' for r in rows)
    whole = text.encode()
    whole = (
        gzip.compress(whole) if "gz" in kind else pa.compress(whole, "zstd", asbytes=True) if "zst" in kind else whole
    )
    path = tmp_path / f"a.{kind}"
    refusals = 0
    for _ in range(100):
        damaged = bytearray(whole)
        damaged[int(rng.integers(len(whole)))] = int(rng.choice(np.frombuffer(b'{}[]",:\n\0\xff1a-', np.uint8)))
        path.write_bytes(damaged)
        try:
            read(open_log(path))
        except InputError as error:
            refusals += 1
            assert "\n" not in str(error)  # noqa: PT017
            assert str(error).startswith(str(path))  # noqa: PT017
    assert refusals > 10


# Memory.


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_text_file_is_read_block_by_block(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At no time is more in memory than a few blocks of text and a batch, a small part of the file."""
    monkeypatch.setattr(delimited, "BLOCK", 1 << 17)
    monkeypatch.setattr(jsonlines, "BLOCK", 1 << 17)
    monkeypatch.setattr(files, "BATCH_ROWS", 4 * files.BLOCK_ROWS)
    part = pa.table({f"c{i}": np.random.default_rng(i).random(10_000) for i in range(8)})
    sink = pa.BufferOutputStream()
    if kind == "csv":
        pyarrow.csv.write_csv(part, sink, pyarrow.csv.WriteOptions(include_header=False))
        head, body = ",".join(part.schema.names).encode() + b"\n", sink.getvalue().to_pybytes()
    else:
        head, body = b"", "".join(json.dumps(row) + "\n" for row in part.to_pylist()).encode()
    content = head + 10 * body
    (tmp_path / f"a.{kind}.gz").write_bytes(gzip.compress(content, 1))
    before, most, rows = pa.total_allocated_bytes(), 0, 0
    log = open_log(tmp_path / f"a.{kind}.gz")
    for batch in log.files[0].batches(log.schema.names):
        rows += batch.num_rows
        most = max(most, pa.total_allocated_bytes() - before)
    assert rows == 100_000
    assert 0 < most < len(content) / 2
