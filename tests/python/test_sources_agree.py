"""The same rows in the same order give the same numbers, wherever they come from."""

from __future__ import annotations

import bz2
import gzip
import json
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset as ds
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
from local_servers import ObjectStore
from log_makers import StreamOnly

import modelwatch_gpu as mw

ROWS = 1_500
ROLES = mw.Roles(timestamp="ts", label="late", score="score", numeric=["count"])


def rows(seed: int, shift: float) -> pa.Table:
    """Numbers, text and times with missing values, of types that every source here can hold."""
    rng = np.random.default_rng(seed)
    late = rng.random(ROWS) < 0.3
    count = rng.integers(-(2**62), 2**62, ROWS)
    hours = 1_356_998_400_000_000 + np.sort(rng.integers(0, 40 * 24, ROWS)) * 3_600_000_000
    return pa.table(
        {
            "ts": pa.array(hours).cast(pa.timestamp("us", "UTC")),
            "score": pa.array(rng.random(ROWS) + shift, mask=rng.random(ROWS) < 0.05),
            "count": pa.array(count, mask=rng.random(ROWS) < 0.01),
            "carrier": pa.array(
                np.array(["AA", "B6", 'quote"d, and\nbroken', "Ünï"])[rng.integers(0, 4, ROWS)],
                mask=rng.random(ROWS) < 0.02,
            ),
            "late": pa.array(late, mask=rng.random(ROWS) < 0.01),
            "origin": pa.array(np.array(["EWR", "JFK"])[rng.integers(0, 2, ROWS)]),
        }
    )


REFERENCE, CURRENT = rows(1, 0.0), rows(2, 0.1)


def duck() -> duckdb.DuckDBPyConnection:
    """A connection that shows times in UTC, not in the zone of this machine."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def as_json(whole: pa.Table) -> str:
    lines = []
    for row in whole.to_pylist():
        row["ts"] = row["ts"].isoformat()
        lines.append(json.dumps(row))
    return "\n".join(lines) + "\n"


def csv_bytes(whole: pa.Table, delimiter: str = ",") -> bytes:
    sink = pa.BufferOutputStream()
    pyarrow.csv.write_csv(whole, sink, pyarrow.csv.WriteOptions(delimiter=delimiter))
    return sink.getvalue().to_pybytes()


def numbers(report: mw.Report) -> dict[str, Any]:
    found = json.loads(report.to_json())
    return {name: found[name] for name in ("rows", "timezone", "windows", "profile", "measures", "findings")}


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("parquet")
    pq.write_table(REFERENCE, folder / "reference.parquet")
    pq.write_table(CURRENT, folder / "current.parquet")
    return judged(folder / "reference.parquet", folder / "current.parquet")


def judged(reference: Any, current: Any) -> dict[str, Any]:
    """Fitted and compared with windows and segments: every way in which rows are read."""
    baseline = mw.Baseline.fit(reference, roles=ROLES)
    return numbers(mw.compare(baseline, current, window="1mo", segments=["origin"]))


def file(name: str, write: Callable[[pa.Table, Path], Any]) -> Callable[[pa.Table, Path], Path]:
    def make(whole: pa.Table, folder: Path) -> Path:
        write(whole, folder / name)
        return folder / name

    return make


SOURCES: dict[str, Callable[[pa.Table, Path], Any]] = {
    "csv": file("a.csv", lambda t, p: p.write_bytes(csv_bytes(t))),
    "csv with semicolons": file("a.csv", lambda t, p: p.write_bytes(csv_bytes(t, ";"))),
    "tsv": file("a.tsv", lambda t, p: p.write_bytes(csv_bytes(t, "\t"))),
    "csv.gz": file("a.csv.gz", lambda t, p: p.write_bytes(gzip.compress(csv_bytes(t)))),
    "csv.bz2": file("a.csv.bz2", lambda t, p: p.write_bytes(bz2.compress(csv_bytes(t)))),
    "csv.zst": file("a.csv.zst", lambda t, p: p.write_bytes(pa.compress(csv_bytes(t), "zstd", asbytes=True))),
    "jsonl": file("a.jsonl", lambda t, p: p.write_text(as_json(t))),
    "json.gz": file("a.json.gz", lambda t, p: p.write_bytes(gzip.compress(as_json(t).encode()))),
    "feather": file("a.feather", lambda t, p: feather.write_feather(t, p)),
    "table": lambda t, _: t,
    "table of batches": lambda t, _: t.to_batches(),
    "dataset": lambda t, p: ds.dataset(file("a.parquet", lambda t, p: pq.write_table(t, p))(t, p)),
    "stream": lambda t, _: StreamOnly(t),
    "reader": lambda t, _: t.to_reader(),
    "polars": lambda t, _: pl.from_arrow(t),
    "polars in chunks": lambda t, _: pl.concat(
        [pl.from_arrow(t.slice(0, 77)), pl.from_arrow(t.slice(77))], rechunk=False
    ),
    "polars lazily": lambda t, _: pl.from_arrow(t).lazy().filter(pl.col("ts").is_not_null()),  # type: ignore[union-attr]
    "duckdb relation": lambda t, _: duck().from_arrow(t),
    "duckdb result": lambda t, _: duck().register("log", t).execute("SELECT * FROM log"),
    "duckdb query": lambda t, _: mw.Query(duck().register("log", t), "SELECT * FROM log"),
    "pandas": lambda t, _: t.to_pandas(types_mapper={pa.int64(): __import__("pandas").Int64Dtype()}.get),
}


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_gives_the_numbers_of_the_parquet_files(name: str, tmp_path: Path, expected: dict[str, Any]) -> None:
    for part in ("reference", "current"):
        (tmp_path / part).mkdir()
    make = SOURCES[name]
    assert judged(make(REFERENCE, tmp_path / "reference"), make(CURRENT, tmp_path / "current")) == expected


def without_origin(whole: pa.Table, origin: str) -> pa.Table:
    return whole.filter(pa.compute.equal(whole["origin"], origin)).drop_columns("origin")


@pytest.mark.parametrize("kind", ["parquet", "feather", "csv", "jsonl"])
def test_a_partitioned_folder_gives_the_numbers_of_the_files_with_the_column_inside(kind: str, tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    for part, whole in (("reference", REFERENCE), ("current", CURRENT)):
        for origin in ("EWR", "JFK"):
            own = without_origin(whole, origin)
            folder = tmp_path / part / f"origin={origin}"
            folder.mkdir(parents=True)
            path = folder / f"a.{kind}"
            if kind == "parquet":
                pq.write_table(own, path)
            elif kind == "feather":
                feather.write_feather(own, path)
            else:
                path.write_bytes(csv_bytes(own) if kind == "csv" else as_json(own).encode())
            (inside / part).mkdir(parents=True, exist_ok=True)
            pq.write_table(
                own.append_column("origin", pa.array([origin] * len(own))), inside / part / f"{origin}.parquet"
            )
    assert judged(tmp_path / "reference", tmp_path / "current") == judged(inside / "reference", inside / "current")


@pytest.mark.parametrize("kind", ["parquet", "feather", "csv", "jsonl"])
def test_an_object_store_gives_the_numbers_of_the_local_files(
    kind: str, tmp_path: Path, object_store: ObjectStore, expected: dict[str, Any]
) -> None:
    for part, whole in (("reference", REFERENCE), ("current", CURRENT)):
        (tmp_path / part).mkdir()
        path = tmp_path / part / f"a.{kind}"
        if kind == "parquet":
            pq.write_table(whole, path)
        elif kind == "feather":
            feather.write_feather(whole, path)
        else:
            path.write_bytes(csv_bytes(whole) if kind == "csv" else as_json(whole).encode())
    object_store.put(tmp_path)
    assert judged(object_store.address("reference"), object_store.address(f"current/*.{kind}")) == expected


def values(whole: pa.Table) -> Iterator[tuple[Any, ...]]:
    for row in whole.to_pylist():
        yield tuple(row.values())


@pytest.mark.parametrize("connect", ["connection", "factory"])
def test_sqlite_gives_the_numbers_of_the_parquet_files(connect: str, tmp_path: Path, expected: dict[str, Any]) -> None:
    connection = sqlite3.connect(tmp_path / "log.db")
    for part, whole in (("reference", REFERENCE), ("current", CURRENT)):
        connection.execute(f"CREATE TABLE {part} (ts, score, count, carrier, late, origin)")
        made = [
            (row[0].isoformat(), *row[1:4], None if row[4] is None else str(row[4]), row[5]) for row in values(whole)
        ]
        connection.executemany(f"INSERT INTO {part} VALUES (?, ?, ?, ?, ?, ?)", made)
    connection.commit()
    source: Any = connection if connect == "connection" else lambda: sqlite3.connect(tmp_path / "log.db")

    def query(part: str) -> mw.Query:
        # SQLite has no booleans: its 0 and 1 would be numbers, so the labels are text here.
        return mw.Query(source, f"SELECT ts, score, count, carrier, lower(late) AS late, origin FROM {part}")

    assert judged(query("reference"), query("current")) == expected


def test_adbc_gives_the_numbers_of_the_parquet_files(tmp_path: Path, expected: dict[str, Any]) -> None:
    dbapi = pytest.importorskip("adbc_driver_sqlite.dbapi", reason="the ADBC driver of SQLite is not installed")
    with dbapi.connect(str(tmp_path / "log.db")) as connection:
        for part, whole in (("reference", REFERENCE), ("current", CURRENT)):
            text = whole.set_column(4, "late", whole["late"].cast(pa.string()))
            with connection.cursor() as cursor:
                cursor.adbc_ingest(part, text.set_column(0, "ts", text["ts"].cast(pa.string())))
        found = judged(mw.Query(connection, "SELECT * FROM reference"), mw.Query(connection, "SELECT * FROM current"))
    assert found == expected


def test_postgresql_gives_the_numbers_of_the_parquet_files(postgres: str, expected: dict[str, Any]) -> None:
    import psycopg

    with psycopg.connect(postgres) as connection:
        for part, whole in (("reference", REFERENCE), ("current", CURRENT)):
            connection.execute(
                f"CREATE TEMP TABLE {part} (number serial, ts timestamptz, score float8, count int8, carrier text, "
                "late bool, origin text)"
            )
            with connection.cursor().copy(f"COPY {part} (ts, score, count, carrier, late, origin) FROM STDIN") as copy:
                for row in values(whole):
                    copy.write_row((row[0].astimezone(UTC), *row[1:]))

        def query(part: str) -> mw.Query:
            return mw.Query(connection, f"SELECT ts, score, count, carrier, late, origin FROM {part} ORDER BY number")

        assert judged(query("reference"), query("current")) == expected
