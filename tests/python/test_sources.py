"""Logs from files, folders, tables, frames, readers and datasets, and how they are cut."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
from log_makers import ROWS, StreamOnly, cuts, dense, log_folder, read, table

from modelwatch_gpu.errors import InputError
from modelwatch_gpu.log import parquet as parquet_module
from modelwatch_gpu.log.files import BATCH_ROWS, BLOCK_ROWS
from modelwatch_gpu.log.sources import open_log, spooled
from modelwatch_gpu.plain import plain_array


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return log_folder(tmp_path)


# What a log can be.


def test_a_folder_a_pattern_and_a_list_of_its_files_are_the_same_log(folder: Path) -> None:
    expected = dense(pa.concat_tables([table(1_000, seed) for seed in range(3)], promote_options="permissive"))
    paths = sorted(str(path) for path in folder.glob("part-*"))
    for source in (folder, str(folder), str(folder / "part-*"), paths, tuple(map(Path, paths)), [folder]):
        log = open_log(source)
        assert [file.name for file in log.files] == paths
        assert log.reusable
        assert read(log).equals(expected)
        assert read(log).equals(expected), "a log of files can be read again"
    assert [file.rows for file in open_log(folder).files] == [1_000, 1_000, None]


def test_a_pattern_with_two_stars_goes_to_any_depth_and_a_folder_too(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    pq.write_table(table(10), tmp_path / "x.parquet")
    pq.write_table(table(20), tmp_path / "a" / "b" / "y.pq")
    assert open_log(f"{tmp_path}/**/*.p*").rows == 30
    assert open_log(tmp_path).rows == 30


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path: Path) -> None:
    pq.write_table(table(10), tmp_path / "part[1].parquet")
    pq.write_table(table(20), tmp_path / "part1.parquet")
    assert open_log(tmp_path / "part[1].parquet").rows == 10


def test_the_kind_of_a_file_is_read_from_its_bytes_not_from_its_name(tmp_path: Path) -> None:
    pq.write_table(table(10), tmp_path / "log.2013")
    assert open_log(tmp_path / "log.2013").rows == 10


@pytest.mark.parametrize(
    "make",
    [
        lambda t: t,
        lambda t: t.combine_chunks().to_batches()[0],
        lambda t: t.to_batches(max_chunksize=77),
        lambda t: t.to_reader(max_chunksize=77),
        lambda t: ds.dataset(t),
        lambda t: t.to_pandas(),
        lambda t: pl.from_arrow(t),
        lambda t: StreamOnly(t),
        lambda t: ArrayOnly(t.combine_chunks().to_batches()[0]),
        lambda t: [t.slice(0, 500), t.slice(500)],
    ],
    ids=["table", "batch", "batches", "reader", "dataset", "pandas", "polars", "c_stream", "c_array", "tables"],
)
def test_anything_with_columns_in_memory_is_a_log(make: Any) -> None:
    expected = dense(table())
    found = read(open_log(make(table())))
    assert found.schema.names == expected.schema.names
    for name in expected.schema.names:
        assert found[name].cast(expected[name].type).equals(expected[name]), name


class ArrayOnly:
    def __init__(self, batch: pa.RecordBatch) -> None:
        self._batch = batch

    def __arrow_c_array__(self, requested_schema: object = None) -> object:
        return self._batch.__arrow_c_array__(requested_schema)


def test_frames_can_be_read_again_and_streams_say_that_they_cannot() -> None:
    for source in (table(), table().to_pandas(), pl.from_arrow(table()), table().to_batches()):
        log = open_log(source)
        assert log.reusable
        assert log.rows == 1_000
    for source in (table().to_reader(), StreamOnly(table())):
        log = open_log(source)
        assert not log.reusable
        assert log.rows is None
        assert log.files[0].time_range("ts") is None
        assert read(log).num_rows == 1_000
        with pytest.raises(InputError, match="cannot be read again"):
            read(log)


def test_an_unnamed_pandas_index_is_left_out_and_a_named_one_is_a_column() -> None:
    frame = pd.DataFrame({"a": [1, 2, 3]}, index=[5, 6, 7])
    assert open_log(frame).schema.names == ["a"]
    assert open_log(frame.rename_axis("day")).schema.names == ["a", "day"]


def test_string_views_become_strings() -> None:
    whole = pa.table({"s": pa.array(["a", None, "long enough for a buffer"], pa.string_view())})
    log = open_log(whole)
    assert log.schema.field("s").type == pa.large_string()
    assert next(log.files[0].batches(["s"])).schema.equals(log.schema)


def test_types_that_are_not_counted_pass_through_reading(tmp_path: Path) -> None:
    whole = pa.table(
        {
            "n": range(5),
            "list": pa.array([["a"], [], None, ["b", None], ["c"]]),
            "struct": pa.array([{"a": 1}, None, {"a": 2}, {"a": None}, {}], pa.struct([("a", pa.int8())])),
            "map": pa.array([[("k", 1)]] * 5, pa.map_(pa.string(), pa.int64())),
            "vector": pa.array([[0.5, 1.5]] * 5, pa.list_(pa.float32(), 2)),
            "uuid": pa.array([bytes(16)] * 5, pa.uuid()),
            "opaque": pa.ExtensionArray.from_storage(pa.opaque(pa.int64(), "kind", "vendor"), pa.array(range(5))),
            "decimal": pa.array([None, 1, 2, 3, 4]).cast(pa.decimal128(30, 2)),
            "nothing": pa.nulls(5),
        }
    )
    in_memory = whole.append_column(
        "runs", pa.RunEndEncodedArray.from_arrays(pa.array([2, 5], pa.int32()), pa.array(["x", None]))
    ).append_column("views", pa.array([["a view"]] * 5, pa.list_(pa.string_view())))
    pq.write_table(whole, tmp_path / "a.parquet")
    with pa.ipc.new_file(tmp_path / "a.arrow", in_memory.schema) as writer:
        writer.write_table(in_memory)
    for source in (in_memory, in_memory.to_reader(), tmp_path / "a.parquet", tmp_path / "a.arrow"):
        file = open_log(source).files[0]
        (batch,) = file.batches(file.schema.names)
        for name in file.schema.names:
            wanted = [plain_array(chunk).to_pylist() for chunk in in_memory[name].chunks]
            assert batch.column(name).to_pylist() == list(itertools.chain(*wanted)), name
    assert next(open_log(in_memory.slice(1, 3)).files[0].batches(["runs"])).column(0).to_pylist() == ["x", None, None]


def test_the_schema_of_files_that_differ_is_the_union_in_order(tmp_path: Path) -> None:
    pq.write_table(pa.table({"b": [1], "a": [1.0]}), tmp_path / "0.parquet")
    pq.write_table(pa.table({"a": [1], "c": [True]}), tmp_path / "1.parquet")
    log = open_log(tmp_path)
    assert log.schema == pa.schema([("b", pa.int64()), ("a", pa.float64()), ("c", pa.bool_())])
    assert log.files[1].schema.field("a").type == pa.int64()


def test_an_empty_log_is_a_log_of_no_rows(tmp_path: Path) -> None:
    pq.write_table(table(0), tmp_path / "none.parquet")
    feather.write_feather(table(0), tmp_path / "none.feather")
    for source in (tmp_path / "none.parquet", tmp_path / "none.feather", table(0)):
        log = open_log(source)
        assert log.rows == 0
        assert list(log.files[0].batches(["id", "region"])) == []
        assert log.files[0].time_range("ts") is None


# Datasets.


def test_the_files_of_a_dataset_are_the_files_of_the_log(folder: Path) -> None:
    dataset = ds.dataset([folder / "part-0.parquet"])
    log = open_log(dataset)
    assert type(log.files[0]) is type(open_log(folder / "part-0.parquet").files[0])
    assert read(log).equals(dense(table(1_000, 0)))
    assert open_log(ds.dataset(folder / "part-1.feather", format="feather")).rows == 1_000


def test_a_dataset_with_partition_columns_keeps_them(tmp_path: Path) -> None:
    ds.write_dataset(table(), tmp_path, format="parquet", partitioning=["region"], partitioning_flavor="hive")
    log = open_log(ds.dataset(tmp_path, partitioning="hive"))
    assert log.reusable
    found = read(log, ["id", "region"]).sort_by("id")
    assert found["region"].equals(dense(table())["region"])
    assert read(log).num_rows == 1_000
    plain = read(open_log(tmp_path), ["id", "region"]).sort_by("id")
    assert plain.equals(found), "the folder alone says the same"


def test_a_filtered_dataset_gives_only_its_rows_and_row_groups_stay_apart(tmp_path: Path) -> None:
    pq.write_table(table(), tmp_path / "a.parquet", row_group_size=300)
    dataset = ds.dataset(tmp_path / "a.parquet")
    log = open_log(dataset.filter(ds.field("id") < 10))
    assert read(log).num_rows == 10
    assert read(log, ["id"])["id"].to_pylist() == list(range(10))
    fragment = next(dataset.get_fragments()).subset(row_group_ids=[1, 3])
    part = open_log(ds.FileSystemDataset([fragment], dataset.schema, dataset.format, dataset.filesystem))
    assert [batch.num_rows for batch in part.files[0].batches(["id"])] == [300, 100]


# How batches are cut.


@pytest.mark.parametrize("limit", [1 << 20, 100_000], ids=["whole row groups", "row groups in pieces"])
def test_a_row_group_starts_a_batch_and_is_cut_at_multiples_of_1024(
    tmp_path: Path, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_module, "WHOLE_ROWS", limit)
    whole = table(ROWS + 5_000)
    pq.write_table(whole, tmp_path / "a.parquet", row_group_size=ROWS)
    file = open_log(tmp_path / "a.parquet").files[0]
    expected = [BATCH_ROWS, BATCH_ROWS, ROWS - 2 * BATCH_ROWS, 5_000]
    for columns in (["id"], ["carrier", "score"], whole.schema.names):
        assert cuts(file, columns) == expected
    assert BATCH_ROWS % BLOCK_ROWS == 0
    assert read(open_log(tmp_path / "a.parquet")).equals(dense(whole))


def test_every_record_batch_of_a_file_and_every_chunk_of_a_table_starts_a_batch(tmp_path: Path) -> None:
    chunked = pa.concat_tables([table(ROWS), table(7, 1), table(2_000, 2)]).unify_dictionaries()
    expected = [BATCH_ROWS, BATCH_ROWS, ROWS - 2 * BATCH_ROWS, 7, 2_000]
    feather.write_feather(chunked, tmp_path / "a.feather", chunksize=10_000_000)
    for source in (chunked, chunked.to_batches(), chunked.to_reader(), StreamOnly(chunked), tmp_path / "a.feather"):
        assert cuts(open_log(source).files[0], ["carrier", "id"]) == expected


def test_chunks_of_a_table_do_not_depend_on_the_columns_asked_for() -> None:
    ragged = pa.table({"a": pa.chunked_array([[1, 2, 3], [4]]), "b": pa.chunked_array([[1], [2, 3, 4]])})
    assert cuts(open_log(ragged).files[0], ["a"]) == cuts(open_log(ragged).files[0], ["b", "a"]) == [1, 2, 1]


def test_batches_have_the_columns_asked_for_in_that_order(folder: Path) -> None:
    for file in open_log(folder).files:
        for columns in (["ts", "id"], ["region"], ["score", "carrier", "id"]):
            assert all(batch.schema.names == columns for batch in file.batches(columns))


def test_columns_that_are_unknown_repeated_or_none_are_refused_before_reading(folder: Path) -> None:
    file = open_log(folder).files[0]
    with pytest.raises(InputError, match=r"has no column 'carier'; did you mean 'carrier'"):
        file.batches(["carier"])
    for columns in ([], ["id", "id"]):
        with pytest.raises(InputError, match="different columns"):
            file.batches(columns)


def test_a_dot_in_a_name_is_not_a_path_into_a_struct(tmp_path: Path) -> None:
    whole = pa.table(
        {
            "a": pa.array([{"b": i, "c": "x"} for i in range(3)]),
            "a.b": ["p", "q", "r"],
            "x.y": [1, 2, 3],
            "x": pa.array([{"y": {"z": 1.5}}] * 3),
            "x.y.z": pa.array([1, 2, 3], pa.date32()),
        }
    )
    pq.write_table(whole, tmp_path / "a.parquet")
    file = open_log(tmp_path / "a.parquet").files[0]
    for columns in itertools.permutations(whole.schema.names, 2):
        (batch,) = file.batches(list(columns))
        assert dense(pa.Table.from_batches([batch])).equals(dense(whole.select(list(columns))))
    assert file.time_range("x.y.z") == (86_400, 3 * 86_400)
    assert file.time_range("x.y") is None


def test_text_kept_as_a_dictionary_is_read_as_one_and_the_schema_says_so(tmp_path: Path) -> None:
    rows = 200_000
    many = pa.array([f"{i:040d}" for i in range(rows)])
    whole = table(rows).append_column("unique", many)
    pq.write_table(whole, tmp_path / "a.parquet")
    file = open_log(tmp_path / "a.parquet").files[0]
    assert pa.types.is_dictionary(file.schema.field("carrier").type)
    assert pa.types.is_dictionary(file.schema.field("region").type)
    assert file.schema.field("unique").type == pa.string(), "its writer gave the dictionary up"
    for batch in file.batches(file.schema.names):
        assert batch.schema.equals(file.schema)


def test_a_dictionary_that_its_writer_gave_up_midway_is_still_read_whole(tmp_path: Path) -> None:
    values = [f"{i % 97}" for i in range(150_000)] + [f"{i:09d}" for i in range(150_000)]
    whole = pa.table({"s": values, "n": range(300_000)})
    pq.write_table(whole, tmp_path / "a.parquet", dictionary_pagesize_limit=4_096, row_group_size=1 << 20)
    log = open_log(tmp_path / "a.parquet")
    assert cuts(log.files[0], ["s", "n"]) == [BATCH_ROWS, BATCH_ROWS, 300_000 - 2 * BATCH_ROWS]
    assert read(log)["s"].to_pylist() == values


def test_a_stream_may_bring_a_new_dictionary_with_every_batch(tmp_path: Path) -> None:
    parts = [pa.record_batch({"d": pa.array([f"{i}", "x"]).dictionary_encode()}) for i in range(4)]
    expected = [value for i in range(4) for value in (f"{i}", "x")]
    with pa.ipc.new_stream(tmp_path / "a.arrows", parts[0].schema) as writer:
        for part in parts:
            writer.write_batch(part)
    assert read(open_log(tmp_path / "a.arrows"))["d"].to_pylist() == expected
    with spooled(open_log(pa.RecordBatchReader.from_batches(parts[0].schema, iter(parts)))) as log:
        assert read(log)["d"].to_pylist() == expected


# Times.


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "America/New_York"])
def test_the_time_range_is_the_floor_in_seconds_of_every_unit(tmp_path: Path, unit: str, zone: str | None) -> None:
    ticks = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    values = [None, -1, 5 * ticks, 1_400_000_000 * ticks + ticks - 1]
    whole = pa.table({"ts": pa.array(values, pa.int64()).cast(pa.timestamp(unit, zone))})
    pq.write_table(whole, tmp_path / "a.parquet", row_group_size=2)
    pq.write_table(whole, tmp_path / "b.parquet", write_statistics=False)
    feather.write_feather(whole, tmp_path / "a.feather")
    for source in (tmp_path / "a.parquet", tmp_path / "b.parquet", tmp_path / "a.feather", whole):
        assert open_log(source).files[0].time_range("ts") == (-1, 1_400_000_000), source


def test_times_that_legacy_writers_stored_without_statistics_are_looked_at(tmp_path: Path) -> None:
    whole = pa.table({"ts": pa.array([1_400_000_000, 0], pa.timestamp("s"))})
    pq.write_table(whole, tmp_path / "a.parquet", use_deprecated_int96_timestamps=True)
    assert open_log(tmp_path / "a.parquet").files[0].time_range("ts") == (0, 1_400_000_000)


@pytest.mark.parametrize("kind", [pa.date32(), pa.date64()])
def test_dates_begin_at_their_midnight(tmp_path: Path, kind: pa.DataType) -> None:
    whole = pa.table({"day": pa.array([-1, 2, None], pa.int32()).cast(pa.date32()).cast(kind), "n": [1, 2, 3]})
    pq.write_table(whole, tmp_path / "a.parquet")
    for source in (tmp_path / "a.parquet", whole):
        file = open_log(source).files[0]
        assert file.time_range("day") == (-86_400, 2 * 86_400)
        assert file.time_range("n") is None
        assert file.time_range("nope") is None


def test_times_that_are_all_null_have_no_range(tmp_path: Path) -> None:
    whole = pa.table({"ts": pa.nulls(5, pa.timestamp("us"))})
    pq.write_table(whole, tmp_path / "a.parquet", row_group_size=2)
    for source in (tmp_path / "a.parquet", whole):
        assert open_log(source).files[0].time_range("ts") is None
