"""Where files are: partitioned folders, object stores, filesystems of one's own."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.dataset as ds
import pyarrow.feather as feather
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest
from local_servers import ObjectStore
from log_makers import dense, read, refused, table

import modelwatch_gpu as mw
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.log import open_log


def put(root: Path, folder: str, rows: Any = None, name: str = "a.parquet") -> Path:
    path = root / folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table(10) if rows is None else rows, path)
    return path


def told(source: Any, column: str) -> tuple[str, list[Any]]:
    """The type of a column, and its distinct values in the order of the files."""
    log = open_log(source)
    found = read(log, [column])[column].to_pylist()
    return str(log.schema.field(column).type), list(dict.fromkeys(found))


TEXT = "dictionary<values=string, indices=int32, ordered=0>"


# Partitioned folders.


def test_folders_become_columns_after_those_of_the_file(tmp_path: Path) -> None:
    for year in (2012, 2013):
        for region in ("eu", "us"):
            put(tmp_path, f"log/year={year}/region={region}", pa.table({"x": [year, 1], "y": [1.5, None]}))
    log = open_log(tmp_path / "log")
    assert log.schema.names == ["x", "y", "year", "region"]
    assert log.rows == 8
    assert log.reusable
    expected = ds.dataset(tmp_path / "log", partitioning="hive").to_table().sort_by([("year", "ascending")])
    for columns in (["x", "y", "year", "region"], ["region"], ["year", "x"], ["region", "year"]):
        found = read(log, columns)
        assert found.num_rows == 8
        for name in columns:
            assert sorted(map(str, found[name].to_pylist())) == sorted(map(str, expected[name].to_pylist()))
    assert read(log, ["x", "year"]).filter(pc.field("x") > 1).to_pydict() == {"x": [2012] * 2 + [2013] * 2} | {
        "year": [2012] * 2 + [2013] * 2
    }


@pytest.mark.parametrize(
    ("folders", "kind", "values"),
    [
        (["month=04", "month=10"], "int64", [4, 10]),
        (["month=4", "month=x"], TEXT, ["4", "x"]),
        (["month=-1", "month=__HIVE_DEFAULT_PARTITION__"], "int64", [-1, None]),
        (["month=__HIVE_DEFAULT_PARTITION__"], TEXT, [None]),
        (["month=9223372036854775808"], TEXT, ["9223372036854775808"]),
        (["month=a%2Fb%20c", "month=%C3%9C"], TEXT, ["Ü", "a/b c"]),
        (["month="], TEXT, [""]),
        (["month=a=b"], TEXT, ["a=b"]),
        (["month=1.5"], TEXT, ["1.5"]),
    ],
)
def test_partition_values_have_one_type_over_all_paths(
    folders: list[str], kind: str, values: list[Any], tmp_path: Path
) -> None:
    for folder in folders:
        put(tmp_path, f"log/{folder}")
    assert told(tmp_path / "log", "month") == (kind, values)


def test_a_file_says_the_same_however_it_is_named(tmp_path: Path) -> None:
    paths = [put(tmp_path, f"run=1/log/year=2013/month={month}") for month in (4, 5)]
    log = tmp_path / "run=1" / "log"
    for source in (
        log,
        log / "year=2013",
        f"{log}/",
        f"{log}/year=2013/",
        f"{log}/*/*/*.parquet",
        f"{log}/year=2013/month=*/a.parquet",
        f"{log}/**/*.parquet",
        paths,
        [log / "year=2013" / "month=4", log / "year=2013" / "month=5"],
        f"file://{log}",
        f"file://{log}/*/*/*.parquet",
    ):
        assert told(source, "month") == ("int64", [4, 5]), source
        assert told(source, "year") == ("int64", [2013]), source
        assert "run" not in open_log(source).schema.names, "a folder above the log says nothing about it"
    assert told(paths[0], "month") == ("int64", [4])


def test_files_of_every_kind_are_partitioned(tmp_path: Path) -> None:
    for kind in ("feather", "csv", "jsonl"):
        for part in ("a", "b"):
            folder = tmp_path / kind / f"part={part}"
            folder.mkdir(parents=True)
            whole = pa.table({"x": [1, 2]})
            if kind == "feather":
                feather.write_feather(whole, folder / "f.feather")
            elif kind == "csv":
                pyarrow.csv.write_csv(whole, folder / "f.csv")
            else:
                (folder / "f.jsonl").write_text("".join(json.dumps(row) + "\n" for row in whole.to_pylist()))
        assert read(open_log(tmp_path / kind)).to_pydict() == {"x": [1, 2, 1, 2], "part": ["a", "a", "b", "b"]}


@pytest.mark.parametrize("inside", [pa.array([4, 4], pa.int32()), pa.array(["4", "4"]), pa.array([4.0, 4.0])])
def test_a_partition_column_that_the_file_has_too_is_the_files_where_they_agree(inside: Any, tmp_path: Path) -> None:
    put(tmp_path, "month=4", pa.table({"month": inside, "x": [1, 2]}))
    log = open_log(tmp_path)
    assert log.schema.names == ["month", "x"]
    assert read(log)["month"].to_pylist() == inside.to_pylist()


@pytest.mark.parametrize("inside", [[4, 5], [4, None], [None, None], ["x", "4"]])
def test_a_partition_column_that_the_file_contradicts_is_refused(inside: list[Any], tmp_path: Path) -> None:
    put(tmp_path, "month=4", pa.table({"month": inside, "x": [1, 2]}))
    said = refused(tmp_path)
    assert f"{tmp_path}/month=4/a.parquet lies in the folder month=4 but has other values in its own column" in said
    assert read(open_log(tmp_path), ["x"]).num_rows == 2, "it does not matter where nobody asks for it"


def test_null_partitions_agree_with_nulls_inside(tmp_path: Path) -> None:
    null = "month=__HIVE_DEFAULT_PARTITION__"
    put(tmp_path, null, pa.table({"month": pa.array([None], pa.int64()), "x": [1]}))
    assert read(open_log(tmp_path))["month"].to_pylist() == [None]
    put(tmp_path, null, pa.table({"month": pa.array([3], pa.int64()), "x": [1]}))
    assert "has other values" in refused(tmp_path)


def test_folders_that_name_a_column_twice_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "a=1/a=2")
    assert "two folders named a=" in refused(tmp_path)


def test_a_partition_column_is_compared_and_cut_into_segments_like_any_other(tmp_path: Path) -> None:
    for carrier in ("AA", "B6"):
        put(tmp_path, f"carrier={carrier}", table(500).drop_columns("carrier"))
    report = mw.compare(tmp_path, tmp_path, window="1d", segments=["carrier"])
    found = json.loads(report.to_json())
    assert {row["column"] for row in found["measures"]} >= {"carrier", "score"}
    assert {row["segment"]["carrier"] for row in found["measures"] if row["segment"]} == {"AA", "B6"}


def test_partitions_keep_the_time_range_of_the_file(tmp_path: Path) -> None:
    put(tmp_path, "a=1", table(10))
    (file,) = open_log(tmp_path).files
    assert file.time_range("ts") == (1_400_000_000, 1_400_000_009)
    assert file.time_range("a") is None


# Folders with files of several kinds.


def test_a_folder_of_parquet_and_text_asks_which_but_json_beside_it_is_a_description(tmp_path: Path) -> None:
    put(tmp_path, "")
    (tmp_path / "schema.json").write_text('{"a": 1}')
    assert open_log(tmp_path).rows == 10
    (tmp_path / "b.csv").write_text("x\n1\n")
    said = refused(tmp_path)
    assert "'a.parquet'" in said
    assert "'b.csv'" in said
    assert "pass a pattern" in said
    (tmp_path / "a.parquet").unlink()
    assert open_log(tmp_path).schema.names == ["x"]
    (tmp_path / "b.csv").unlink()
    assert open_log(tmp_path).schema.names == ["a"]


# Addresses.


@pytest.fixture
def stored(object_store: ObjectStore, tmp_path: Path) -> ObjectStore:
    """log/year=2012..2013/part-0..1.parquet, with what writers leave behind."""
    for year in (2012, 2013):
        for part in range(2):
            put(tmp_path, f"log/year={year}", table(10, year + part), f"part-{part}.parquet")
    (tmp_path / "log" / "_SUCCESS").write_text("")
    (tmp_path / "log" / "_delta_log").mkdir()
    (tmp_path / "log" / "_delta_log" / "0.json").write_text("no")
    (tmp_path / "log" / "notes.md").write_text("about")
    put(tmp_path, "with space", name="a b.parquet")
    object_store.put(tmp_path)
    return object_store


def test_a_file_a_folder_a_pattern_and_a_list_of_addresses_are_logs(stored: ObjectStore) -> None:
    names = [f"s3://{stored.bucket}/log/year={y}/part-{p}.parquet" for y in (2012, 2013) for p in range(2)]
    for path in ("log", "log/", "log/*/*.parquet", "log/**/*.parquet", "log/year=201[23]/part-*", "l*g/*/part-*"):
        log = open_log(stored.address(path))
        assert [file.name for file in log.files] == names, path
        assert told(stored.address(path), "year") == ("int64", [2012, 2013])
    one = open_log(stored.address("log/year=2013/part-1.parquet"))
    assert [file.name for file in one.files] == names[-1:]
    assert read(one).drop_columns("year").equals(dense(table(10, 2014)))
    two = [stored.address(f"log/year={y}/part-0.parquet") for y in (2013, 2012)]
    assert [file.name for file in open_log(two).files] == [names[2], names[0]]
    assert open_log(stored.address("with space/a b.parquet")).rows == 10
    assert open_log(stored.address("with%20space/*.parquet")).rows == 10


def test_a_filesystem_of_ones_own_needs_no_address(stored: ObjectStore, tmp_path: Path) -> None:
    for source in (f"{stored.bucket}/log", f"{stored.bucket}/log/*/*.parquet", [f"{stored.bucket}/log"]):
        log = open_log(mw.Files(source, filesystem=stored.filesystem))
        assert log.rows == 40
        assert log.files[0].name == f"s3://{stored.bucket}/log/year=2012/part-0.parquet"
    below = pafs.SubTreeFileSystem(str(tmp_path), pafs.LocalFileSystem())
    assert open_log(mw.Files("log/year=2012", filesystem=below)).files[0].name == "log/year=2012/part-0.parquet"
    assert "does not exist" in refused(mw.Files("none", filesystem=below))
    assert "pass one of pyarrow.fs or fsspec" in refused(mw.Files("none", filesystem=5))
    assert "empty list" in refused(mw.Files([], filesystem=below))
    assert "not a path" in refused(mw.Files([5], filesystem=below))  # type: ignore[list-item]


def test_addresses_that_lead_nowhere_are_refused_in_one_sentence(stored: ObjectStore) -> None:
    bucket = stored.bucket
    assert (
        refused(stored.address("none.parquet"))
        == f"The log s3://{bucket}/none.parquet does not exist; check the address."
    )
    assert "does not exist" in refused(stored.address("none/x.parquet", bucket="no-such-bucket"))
    assert "No file matches the pattern" in refused(stored.address("log/*.feather"))
    assert "No file matches the pattern" in refused(stored.address("none/*.feather"))
    assert "is in the log twice" in refused([stored.address("log"), stored.address("log/year=2012/part-0.parquet")])


def test_an_address_without_permission_is_refused(stored: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object) -> None:
        raise OSError(
            "When getting information: AWS Error ACCESS_DENIED during HeadObject operation: No response body."
        )

    class Denied(pafs.FileSystemHandler):  # type: ignore[misc]
        get_file_info = get_file_info_selector = open_input_file = open_input_stream = denied
        open_output_stream = open_append_stream = create_dir = delete_dir = delete_dir_contents = denied
        delete_root_dir_contents = delete_file = move = copy_file = denied

        def get_type_name(self) -> str:
            return "denied"

        def normalize_path(self, path: str) -> str:
            return path

    said = refused(mw.Files("log", filesystem=pafs.PyFileSystem(Denied())))
    assert said == "log may not be read with the credentials given; check them and the permissions."


def test_an_endpoint_that_nobody_listens_at_is_refused(object_store_server: str) -> None:
    fast = pafs.S3FileSystem(
        endpoint_override="127.0.0.1:9",
        scheme="http",
        region="us-east-1",
        connect_timeout=1,
        retry_strategy=pafs.AwsStandardS3RetryStrategy(max_attempts=1),
    )
    said = refused(mw.Files("bucket/log", filesystem=fast))
    assert said == "s3://bucket/log cannot be reached; check the address, the endpoint and the network."


@pytest.mark.parametrize("address", ["foo://bucket/log", "https://host/log.parquet"])
def test_an_address_of_another_kind_is_refused(address: str) -> None:
    assert f"{address} is an address of a kind that is not known" in refused(address)


def test_messages_and_names_do_not_repeat_credentials(object_store_server: str) -> None:
    options = f"endpoint_override={object_store_server}&scheme=http&region=us-east-1"
    for address in (
        f"s3://key:TOPSECRET@bucket/none.parquet?{options}",
        "s3://key:TOPSECRET@bucket/a\\b|c.parquet?what=TOPSECRET",
        "s3://key:TOPSECRET@bucket/a.parquet?what=1&endpoint_override=TOPSECRET",
    ):
        assert "TOPSECRET" not in refused(address)


def test_a_file_that_goes_away_between_opening_and_reading_is_an_input_error(stored: ObjectStore) -> None:
    log = open_log(stored.address("log/year=2012/part-0.parquet"))
    stored.filesystem.delete_file(f"{stored.bucket}/log/year=2012/part-0.parquet")
    with pytest.raises(InputError, match=r"part-0\.parquet cannot be read"):
        read(log)


def test_a_local_file_may_be_named_like_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "foo:/bar")
    monkeypatch.chdir(tmp_path)
    assert open_log("foo://bar/a.parquet").rows == 10


def test_the_command_takes_addresses_folders_and_text(
    stored: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from modelwatch_gpu import cli

    baseline = tmp_path / "b.mwb"
    shutil.copytree(tmp_path / "log", tmp_path / "local")
    for arguments in (
        ["fit", stored.address("log"), "-o", str(baseline)],
        ["compare", str(baseline), str(tmp_path / "local"), "--json", str(tmp_path / "a.json")],
        ["compare", str(baseline), stored.address("log/*/*.parquet"), "--json", str(tmp_path / "b.json")],
    ):
        monkeypatch.setattr(sys, "argv", ["modelwatch", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == 0, capsys.readouterr()
    found = [json.loads((tmp_path / name).read_text()) for name in ("a.json", "b.json")]
    assert found[0]["measures"] == found[1]["measures"]
