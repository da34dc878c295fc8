"""Bad logs are refused in one sentence."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
from log_makers import cuts, log_folder, read, refused, table

import modelwatch_gpu as mw
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.log import parquet as parquet_module
from modelwatch_gpu.log.sources import open_log


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return log_folder(tmp_path)


# Bad input.


def test_paths_that_lead_nowhere_are_named(tmp_path: Path) -> None:
    assert "does not exist" in refused(tmp_path / "none.parquet")
    assert "'*.parquet'" in refused("*.parquet") or "No file matches the pattern" in refused(f"{tmp_path}/*.parquet")
    assert f"{tmp_path}/*.parquet" in refused(f"{tmp_path}/*.parquet")
    assert "has no files" in refused(tmp_path)
    (tmp_path / "notes.txt").write_text("x")
    assert "only files such as 'notes.txt'" in refused(tmp_path)
    assert "an address of a kind that is not known" in refused("foo://bucket/log")
    assert "baseline" in refused(tmp_path / "none", name="baseline")
    os.mkfifo(tmp_path / "pipe")
    assert "neither a file nor a folder" in refused(tmp_path / "pipe")
    refused("")
    refused("a\0b")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.parquet", b"", "is empty (0 bytes)"),
        ("a.parquet", b"id,score\n1,0.5\n", "named as a Parquet file but is not one"),
        ("a.feather", b"id,score\n1,0.5\n", "named as an Arrow IPC file but is not one"),
        ("a.csv.gz", b"\x1f\x8b\x08", "cannot be read"),
        ("a.csv.xz", b"\xfd7zXZ\0\0\0", "use gzip, zstd or bzip2"),
        ("a.bin", b"12345678", "neither a Parquet nor an Arrow IPC file"),
        ("a.txt", b"id,score\n1,0.5\n", "name it .csv, .tsv or .jsonl"),
        ("a.orc", b"ORC" + b"x" * 20, "an ORC file"),
        ("a.xlsx", b"PK\3\4" + b"x" * 20, "a spreadsheet"),
        ("a.csv.zip", b"PK\3\4" + b"x" * 20, "use gzip, zstd or bzip2"),
        ("b.mwb", b"ARROW1\0\0", "a baseline or a profile"),
        ("a.parquet", b"PARE" + b"x" * 20, "encrypted"),
        ("a.feather", b"FEA1" + b"x" * 20, "version 1"),
        ("a.parquet", b"PAR1" + b"x" * 20, "cut short"),
        ("a.parquet", b"PAR1" + b"\xff" * 20 + b"PAR1", "cannot be read"),
        ("a.parquet", b"PAR1", "cannot be read"),
        ("a.arrow", b"ARROW1" + b"x" * 20, "cut short"),
        ("a.arrow", b"ARROW1\0\0" + b"\xff" * 20 + b"ARROW1", "cannot be read"),
        ("a.arrow", b"\xff\xff\xff\xff\xff\xff\xff\x7f", "cannot be read"),
        ("a.arrow", b"\xff\xff\xff\xff", "cannot be read"),
    ],
)
def test_a_file_that_is_not_a_log_is_refused_in_one_sentence(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)
    found = refused(tmp_path / name)
    assert said in found
    assert str(tmp_path / name) in found


@pytest.mark.parametrize("suffix", ["parquet", "feather", "arrows"])
def test_a_file_cut_short_anywhere_is_refused_in_one_sentence(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    if suffix == "parquet":
        pq.write_table(table(), path)
    elif suffix == "feather":
        feather.write_feather(table(), path)
    else:
        with pa.ipc.new_stream(path, table().schema) as writer:
            writer.write_table(table())
    whole = path.read_bytes()
    for kept in (5, 100, len(whole) // 2, len(whole) - 9):
        path.write_bytes(whole[:kept])
        if suffix == "arrows" and kept == len(whole) - 9:
            continue  # the end mark of a stream is optional
        assert str(path) in refused(path)


def test_a_damaged_row_group_is_named_and_the_ones_before_it_come_out(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(table(3_000), path, row_group_size=1_000, compression="zstd", use_dictionary=False)
    chunk = pq.read_metadata(path).row_group(1).column(2)
    content = bytearray(path.read_bytes())
    start = chunk.data_page_offset
    content[start : start + chunk.total_compressed_size] = b"\xa5" * chunk.total_compressed_size
    path.write_bytes(content)
    file = open_log(path).files[0]
    assert cuts(file, ["id", "ts"]) == [1_000] * 3
    batches = file.batches(["id", "score"])
    assert next(batches).num_rows == 1_000
    with pytest.raises(InputError, match=r"a\.parquet, row group 1, column 'score' cannot be read: .*; write it again"):
        next(batches)


def test_a_damaged_row_group_read_in_pieces_is_named_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_module, "WHOLE_ROWS", 10)
    path = tmp_path / "a.parquet"
    pq.write_table(table(3_000), path, row_group_size=1_000, use_dictionary=False)
    chunk = pq.read_metadata(path).row_group(2).column(2)
    content = bytearray(path.read_bytes())
    content[chunk.data_page_offset : chunk.data_page_offset + chunk.total_compressed_size] = bytes(
        chunk.total_compressed_size
    )
    path.write_bytes(content)
    assert "row group 2 cannot be read" in refused(path)


def test_any_flipped_byte_gives_a_log_or_one_sentence(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    pq.write_table(table(200), tmp_path / "a.parquet", row_group_size=100)
    feather.write_feather(table(200), tmp_path / "a.feather", compression="uncompressed")
    for path in (tmp_path / "a.parquet", tmp_path / "a.feather"):
        whole = path.read_bytes()
        for _ in range(150):
            damaged = bytearray(whole)
            damaged[int(rng.integers(len(whole)))] ^= 1 << int(rng.integers(8))
            path.write_bytes(damaged)
            try:
                log = open_log(path)
                for file in log.files:
                    file.time_range("ts")
                    for batch in file.batches(file.schema.names):
                        batch.validate(full=True)
            except InputError as error:
                assert "\n" not in str(error)  # noqa: PT017


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_refused(tmp_path: Path) -> None:
    pq.write_table(table(), tmp_path / "a.parquet")
    (tmp_path / "a.parquet").chmod(0)
    assert "check its permissions" in refused(tmp_path / "a.parquet")


def test_a_file_that_the_system_will_not_open_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    pq.write_table(table(), tmp_path / "a.parquet")
    monkeypatch.setattr("builtins.open", denied)
    assert refused(tmp_path / "a.parquet").endswith("cannot be opened: Permission denied; check its permissions.")


def test_a_file_named_twice_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "part-0.parquet"
    assert "is in the log twice" in refused([path, path])
    assert "is in the log twice" in refused([path, folder])
    monkeypatch.chdir(folder)
    assert f"as {path} too" in refused([path, "part-0.parquet"])


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    twice = pa.table([pa.array([1]), pa.array([2])], names=["a", "a"])
    pq.write_table(twice, tmp_path / "a.parquet")
    assert f"{tmp_path}/a.parquet has two columns named 'a'" in refused(tmp_path / "a.parquet")
    assert "<table> has two columns named 'a'" in refused(twice)
    assert "has two columns named 'a'" in refused(pd.DataFrame([[1, 2]], columns=["a", "a"]))


@pytest.mark.parametrize(
    "source", [None, 5, {"a": [1]}, [], b"a.parquet", pl.Series([1]), pa.array([1]), object, np.ones(3)]
)
def test_what_is_no_log_is_refused_with_what_would_be_one(source: Any) -> None:
    assert "pass " in refused(source)


def test_a_frame_that_arrow_cannot_hold_is_refused_in_one_sentence() -> None:
    assert "mixed" in refused(pd.DataFrame({"mixed": [1, "a", object()]}))
    assert "no columns" in refused(pd.DataFrame())


def test_batches_with_different_columns_are_refused() -> None:
    assert "Batch 1" in refused([pa.record_batch({"a": [1]}), pa.record_batch({"b": [1]})])


def test_hostile_buffers_are_refused_with_the_column() -> None:
    out_of_range = pa.DictionaryArray.from_arrays(pa.array([0, 5]), pa.array(["a"]), safe=False)
    said = refused(pa.table({"n": [1, 2], "d": out_of_range}))
    assert "chunk 0, column 'd', is not valid" in said
    latin = pa.array([b"caf\xe9"]).view(pa.string())
    assert "column 's', is not valid: Invalid UTF8" in refused(pa.table({"s": latin}))


def text_of(offsets: list[int], raw: bytes, kind: pa.DataType) -> pa.Array:
    """Text with these offsets, of which Arrow looks at the first and the last."""
    ends = np.array(offsets, "i8" if kind == pa.large_string() else "i4")
    return pa.Array.from_buffers(kind, len(offsets) - 1, [None, pa.py_buffer(ends), pa.py_buffer(raw)])


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
@pytest.mark.parametrize(
    ("offsets", "raw", "said"),
    [
        ([0, 3, 1, 4], b"abcd", "offset"),
        ([0, 9, 4], b"abcd", "offset"),
        ([0, 1], b"\xff", "Invalid UTF8"),
        ([0, 1, 2], "é".encode(), "Invalid UTF8"),
    ],
)
def test_text_whose_offsets_fall_or_cut_a_character_is_refused(
    kind: pa.DataType, offsets: list[int], raw: bytes, said: str
) -> None:
    assert said in refused(pa.table({"s": text_of(offsets, raw, kind)}))


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_what_lies_beside_the_rows_of_sliced_text_is_not_looked_at(kind: pa.DataType) -> None:
    sliced = text_of([0, 1, 2, 2, 4, 5], b"\xffabc\xff", kind).slice(1, 3)
    assert read(open_log(pa.table({"s": sliced})))["s"].to_pylist() == ["a", "", "bc"]


def test_a_file_that_is_replaced_between_opening_and_reading_is_noticed(tmp_path: Path) -> None:
    pq.write_table(table(), tmp_path / "a.parquet")
    log = open_log(tmp_path / "a.parquet")
    pq.write_table(table(10), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="was replaced while it was being read"):
        read(log)
    os.remove(tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"a\.parquet cannot be read"):
        read(log)


def test_a_stream_that_breaks_is_an_input_error() -> None:
    def breaking() -> Iterator[pa.RecordBatch]:
        yield pa.record_batch({"a": [1]})
        raise OSError("connection lost\nat line 5 of something")

    schema = pa.schema([("a", pa.int64())])
    said = refused(pa.RecordBatchReader.from_batches(schema, breaking()))
    assert "<reader>" in said
    assert "connection lost" in said


@pytest.mark.parametrize("suffix", ["mwb", "mwp"])
def test_a_baseline_or_a_profile_in_the_place_of_a_log_is_no_log_without_columns(suffix: str, tmp_path: Path) -> None:
    baseline = mw.Baseline.fit(table())
    kept = baseline if suffix == "mwb" else mw.Profile.count(baseline, table())
    kept.save(tmp_path / f"a.{suffix}")
    with pytest.raises(InputError, match=r"a\.mw[bp] is by its name a baseline or a profile, and no log"):
        mw.compare(baseline, tmp_path / f"a.{suffix}")


def test_a_reference_with_a_header_alone_has_no_rows(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\n")
    with pytest.raises(InputError, match="The reference has no rows"):
        mw.Baseline.fit(tmp_path / "a.csv")


def test_an_age_that_nobody_judges_is_refused() -> None:
    with pytest.raises(InputError, match="give expectations= too"):
        mw.compare(mw.Baseline.fit(table()), table(), as_of="2024-01-01")


def test_a_column_of_another_type_is_named_as_people_name_types() -> None:
    report = mw.compare(pa.table({"x": [1.0, 2.0]}), pa.table({"x": pa.array(["a", "b"]).dictionary_encode()}))
    assert "Column 'x' is string (dictionary) in the log and double in the baseline, which cannot be compared." in (
        report.notes
    )


@pytest.mark.parametrize(
    ("times", "how"), [(["2024-01-01"], r"pandas\.to_datetime, or"), ([1], r"to_datetime\(\.\.\., unit='s'\)")]
)
def test_a_time_of_another_type_says_its_plain_type_and_what_to_do(times: list[Any], how: str) -> None:
    base = mw.Baseline.fit(pa.table({"ts": pa.array([0], pa.timestamp("s")), "x": [1.0]}))
    log = pa.table({"ts": pa.array(times).dictionary_encode(), "x": [1.0]})
    with pytest.raises(InputError, match=rf"its type is (string|int64); cast it .*{how}"):
        mw.compare(base, log, window="1d")


def test_a_reference_is_called_the_reference_once() -> None:
    with pytest.raises(InputError, match=r"^The reference is an empty list; pass "):
        mw.Baseline.fit([])
