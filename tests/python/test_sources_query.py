"""Queries: values of Python become columns of one type each, and an answer of any length stays on disk."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import gc
import sqlite3
import tempfile
import uuid
import zoneinfo
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from log_makers import cuts, read, refused

import modelwatch_gpu as mw
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.log import open_log, query
from modelwatch_gpu.log.files import BATCH_ROWS

NY, UTC = zoneinfo.ZoneInfo("America/New_York"), zoneinfo.ZoneInfo("UTC")
NOON = dt.datetime(2013, 1, 2, 12)
PLUS_1 = dt.timezone(dt.timedelta(hours=1))


class Cursor:
    """A cursor of a driver that can do no more than DB-API 2.0 asks for."""

    def __init__(self, names: list[str], rows: list[Any]) -> None:
        self._names, self._rows = names, rows
        self.description: list[tuple[Any, ...]] | None = None
        self.closed = False

    def execute(self, sql: str, parameters: Any = ()) -> None:
        self._left = iter(self._rows)
        self.description = [(name, None, None, None, None, None, None) for name in self._names]

    def fetchmany(self, size: int) -> list[Any]:
        return [row for _, row in zip(range(size), self._left, strict=False)]

    def close(self) -> None:
        self.closed = True


class Connection:
    def __init__(self, names: list[str], rows: list[Any]) -> None:
        self._what = names, rows
        self.cursors: list[Cursor] = []
        self.closed = False

    def cursor(self) -> Cursor:
        self.cursors.append(Cursor(*self._what))
        return self.cursors[-1]

    def close(self) -> None:
        self.closed = True


def answer(values: list[Any]) -> tuple[pa.DataType, list[Any]]:
    """The type and the values of a column that a driver gives these values of."""
    log = open_log(mw.Query(Connection(["x"], [(value,) for value in values]), "SELECT x"))
    return log.schema.field("x").type, read(log)["x"].to_pylist() if values else []


VALUES: list[tuple[list[Any], pa.DataType, list[Any] | None]] = [
    ([1, -(2**63)], pa.int64(), None),
    ([2**53 + 1, None], pa.int64(), None),
    ([1, 2**64 - 1], pa.uint64(), None),
    ([-1, 2**64 - 1], pa.float64(), [-1.0, 2.0**64]),
    ([1, 2**70], pa.float64(), [1.0, 2.0**70]),
    ([1, 2.5], pa.float64(), [1.0, 2.5]),
    ([float("nan"), float("inf"), -0.0, 5e-324], pa.float64(), None),
    ([D("1.50"), D("-20"), None], pa.decimal128(4, 2), [D("1.50"), D("-20.00"), None]),
    ([D("1E+3"), D("0.001")], pa.decimal128(7, 3), [D("1000.000"), D("0.001")]),
    ([D("123456789012345678"), D("0.1")], pa.float64(), [123456789012345678.0, 0.1]),
    ([D("1.5"), D("NaN")], pa.float64(), [1.5, float("nan")]),
    ([D("1.5"), 2], pa.float64(), [1.5, 2.0]),
    ([D("1.5"), 2.5], pa.float64(), [1.5, 2.5]),
    ([True, None, False], pa.bool_(), None),
    ([True, 2], pa.string(), ["true", "2"]),
    (["a", "", None, "Ü"], pa.string(), None),
    ([1, "a", 2.5, None, D("1.50")], pa.string(), ["1", "a", "2.5", None, "1.50"]),
    ([b"\x00\xff", None], pa.binary(), None),
    ([bytearray(b"a"), memoryview(b"b")], pa.binary(), [b"a", b"b"]),
    ([NOON.date(), None], pa.date32(), None),
    ([NOON, None], pa.timestamp("us"), None),
    ([NOON.date(), NOON], pa.timestamp("us"), [dt.datetime(2013, 1, 2), NOON]),
    ([NOON.replace(tzinfo=NY)], pa.timestamp("us", "America/New_York"), [NOON.replace(tzinfo=NY)]),
    ([NOON.replace(tzinfo=dt.UTC)], pa.timestamp("us", "UTC"), [NOON.replace(tzinfo=UTC)]),
    (
        [NOON.replace(tzinfo=PLUS_1), NOON.replace(tzinfo=dt.UTC)],
        pa.timestamp("us", "UTC"),
        [dt.datetime(2013, 1, 2, 11, tzinfo=UTC), NOON.replace(tzinfo=UTC)],
    ),
    ([NOON, NOON.replace(tzinfo=dt.UTC)], pa.string(), ["2013-01-02T12:00:00", "2013-01-02T12:00:00+00:00"]),
    ([NOON.time()], pa.time64("us"), None),
    ([dt.timedelta(seconds=90)], pa.duration("us"), None),
    (["2013-01-02", "2013-01-02 12:00:00"], pa.timestamp("us"), [dt.datetime(2013, 1, 2), NOON]),
    (["2013-01-02T12:00:00Z", None], pa.timestamp("us", "UTC"), [NOON.replace(tzinfo=UTC), None]),
    (["2013-01-02", "then"], pa.string(), None),
    (["1", "2"], pa.string(), None),
    ([uuid.UUID(int=1)], pa.string(), ["00000000-0000-0000-0000-000000000001"]),
    ([{"a": [1]}], pa.string(), ['{"a": [1]}']),
    ([[1.5, 2.5], [3.0]], pa.list_(pa.float64()), None),
    ([np.int64(5), np.float64(1.5)], pa.float64(), [5.0, 1.5]),
    ([enum.IntEnum("E", "A B")(2)], pa.int64(), [2]),
    ([None, None], pa.null(), None),
]


@pytest.mark.parametrize("size", [1, 2, 16_384])
@pytest.mark.parametrize(("values", "kind", "expected"), VALUES)
def test_the_type_of_a_column_holds_all_of_its_values_however_they_are_fetched(
    values: list[Any], kind: pa.DataType, expected: list[Any] | None, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(query, "FETCH_ROWS", size)
    expected = values if expected is None else expected
    for order in (1, -1):
        for padding in ([], [None] * 5):
            found, got = answer([*padding, *values[::order]])
            assert found == kind
            assert repr(got) == repr([*padding, *expected[::order]])


def test_a_column_that_is_null_for_thousands_of_rows_gets_its_type_from_the_rest() -> None:
    rows = 20_000
    names = ["i", "f", "s", "t"]
    values = [(None,) * 4] * rows + [(1, 1.5, "x", NOON)] * 3
    log = open_log(mw.Query(Connection(names, values), "SELECT"))
    assert log.schema.types == [pa.int64(), pa.float64(), pa.string(), pa.timestamp("us")]
    assert log.rows == rows + 3
    assert read(log)["f"].null_count == rows
    assert log.files[0].time_range("t") == (1_357_128_000, 1_357_128_000)
    assert log.files[0].time_range("i") is None


def test_an_answer_is_one_row_group_that_can_be_read_again_while_the_log_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    connection = Connection(["a", "b"], [(i, "x") for i in range(BATCH_ROWS + 5)])
    log = open_log(mw.Query(connection, "SELECT"))
    assert log.reusable
    assert len(list(tmp_path.iterdir())) == 1
    for _ in range(2):
        assert cuts(log.files[0], ["b", "a"]) == [BATCH_ROWS, 5]
    assert read(log, ["a"])["a"].to_pylist() == list(range(BATCH_ROWS + 5))
    assert [cursor.closed for cursor in connection.cursors] == [True], "it was asked once"
    assert not connection.closed, "it is the user's"
    del log
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_a_function_opens_a_connection_of_its_own_which_is_closed() -> None:
    made: list[Connection] = []

    def connect() -> Connection:
        made.append(Connection(["a"], [(1,)]))
        return made[-1]

    source = mw.Query(connect, "SELECT")
    for runs in (1, 2):
        assert read(open_log(source)).to_pydict() == {"a": [1]}
        assert [connection.closed for connection in made] == [True] * runs


def test_rows_may_be_mappings_or_rows_of_the_driver() -> None:
    rows = [{"a": 1, "b": "x"}, {"a": 2, "b": None}]
    assert read(open_log(mw.Query(Connection(["a", "b"], rows), "SELECT"))).to_pylist() == rows
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    assert read(open_log(mw.Query(connection, "SELECT 1 AS a, 'x' AS b"))).to_pylist() == rows[:1]


def test_parameters_are_the_drivers() -> None:
    connection = sqlite3.connect(":memory:")
    for parameters in ((5_555_555,), {"a": 5_555_555}):
        sql = "SELECT ? AS a" if isinstance(parameters, tuple) else "SELECT :a AS a"
        source = mw.Query(connection, sql, parameters)
        assert read(open_log(source)).to_pydict() == {"a": [5_555_555]}
        assert "5555555" not in repr(source), "parameters may be secrets"


def test_an_answer_without_rows_is_a_log_without_rows() -> None:
    log = open_log(mw.Query(sqlite3.connect(":memory:"), "SELECT 1 AS a WHERE 0"))
    assert (log.rows, log.schema.names) == (0, ["a"])
    assert list(log.files[0].batches(["a"])) == []


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT * FROM absent", "The query 'SELECT * FROM absent' failed: no such table: absent; check it"),
        ("CREATE TABLE t (a)", "returns no rows; write a SELECT statement"),
        ("SELECT 1 AS a, 2 AS a", "has two columns named 'a'; rename one of them with AS"),
        ("SELECT ? AS a", "failed: Incorrect number of bindings supplied"),
        ("  ", "write one SELECT statement"),
        (5, "write one SELECT statement"),
        (f"SELECT {', '.join(map(str, range(50)))} FROM absent", "..."),
    ],
)
def test_a_query_that_fails_is_refused_in_one_sentence(
    sql: Any, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert said in refused(mw.Query(sqlite3.connect(":memory:"), sql))
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_connection_is_refused() -> None:
    for connection in (5, "postgresql://host/db", None):
        assert "pass a DB-API or ADBC connection" in refused(mw.Query(connection, "SELECT 1"))
    closed = sqlite3.connect(":memory:")
    closed.close()
    assert "closed database" in refused(mw.Query(closed, "SELECT 1"))


def test_a_driver_that_fails_midway_is_an_input_error_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    class Breaking(list[Any]):
        def __iter__(self) -> Any:
            yield from [(1,)] * 20_000
            raise RuntimeError("the server went away\nin the middle")

    said = refused(mw.Query(Connection(["a"], Breaking()), "SELECT"))
    assert "failed: the server went away; check it and its connection." in said
    assert list(tmp_path.iterdir()) == []


def test_a_connection_of_one_thread_can_be_fitted_and_compared() -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE log (ts TEXT, x REAL, kind TEXT)")
    values = [(f"2013-{1 + i % 3:02}-01 00:00:00", i / 7, "ab"[i % 2]) for i in range(600)]
    connection.executemany("INSERT INTO log VALUES (?, ?, ?)", values)
    source = mw.Query(connection, "SELECT * FROM log ORDER BY ts, x")
    report = mw.compare(source, source, window="1mo", segments=["kind"])
    assert report.rows == 600
    assert [window.label for window in report.windows] == ["Jan 2013", "Feb 2013", "Mar 2013"]


# PostgreSQL.


def test_postgresql_types_become_arrow_types(postgres: str) -> None:
    import psycopg

    sql = """
        SELECT 1::int2 AS i2, 2::int8 AS i8, 1.5::float4 AS f4, 'NaN'::float8 AS f8, 12.50::numeric(6, 2) AS num,
               true AS b, 'x'::text AS t, 'c'::char(3) AS c, '\\x00ff'::bytea AS raw, DATE '2013-01-02' AS d,
               TIMESTAMP '2013-01-02 12:00' AS ts, TIMESTAMPTZ '2013-01-02 12:00Z' AS tz, TIME '12:00' AS clock,
               INTERVAL '90 seconds' AS span, '{"a": 1}'::jsonb AS js, ARRAY[1.5, 2.5]::float8[] AS list,
               '00000000-0000-0000-0000-000000000001'::uuid AS u, '10.0.0.1'::inet AS ip, NULL AS nothing
    """
    with psycopg.connect(postgres) as connection:
        log = open_log(mw.Query(connection, sql))
    expected = {
        "i2": (pa.int64(), 1),
        "i8": (pa.int64(), 2),
        "f4": (pa.float64(), 1.5),
        "num": (pa.decimal128(4, 2), decimal.Decimal("12.50")),
        "b": (pa.bool_(), True),
        "t": (pa.string(), "x"),
        "c": (pa.string(), "c  "),
        "raw": (pa.binary(), b"\x00\xff"),
        "d": (pa.date32(), NOON.date()),
        "ts": (pa.timestamp("us"), NOON),
        "tz": (pa.timestamp("us", "UTC"), NOON.replace(tzinfo=UTC)),
        "clock": (pa.time64("us"), NOON.time()),
        "span": (pa.duration("us"), dt.timedelta(seconds=90)),
        "js": (pa.string(), '{"a": 1}'),
        "list": (pa.list_(pa.float64()), [1.5, 2.5]),
        "u": (pa.string(), "00000000-0000-0000-0000-000000000001"),
        "ip": (pa.string(), "10.0.0.1"),
        "nothing": (pa.null(), None),
    }
    found = read(log)
    for name, (kind, value) in expected.items():
        assert (log.schema.field(name).type, found[name][0].as_py()) == (kind, value), name


@pytest.mark.parametrize("options", [{}, {"autocommit": True}], ids=["transactions", "autocommit"])
def test_postgresql_is_read_through_a_cursor_on_the_server(
    options: dict[str, Any], postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg
    from psycopg.rows import dict_row

    asked: list[int] = []
    fetchmany = psycopg.ServerCursor.fetchmany

    def counted(self: Any, size: int = 0) -> Any:
        rows = fetchmany(self, size)
        asked.append(len(rows))
        return rows

    monkeypatch.setattr(query, "FETCH_ROWS", 100)
    monkeypatch.setattr(psycopg.ServerCursor, "fetchmany", counted)
    with psycopg.connect(postgres, row_factory=dict_row, **options) as connection:
        log = open_log(mw.Query(connection, "SELECT g AS a FROM generate_series(1, %s) g ORDER BY g", (1_050,)))
        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    assert read(log)["a"].to_pylist() == list(range(1, 1_051))
    assert asked == [100] * 10 + [50, 0]


def test_a_query_that_postgresql_refuses_leaves_the_connection_usable(postgres: str) -> None:
    import psycopg

    with psycopg.connect(postgres) as connection:
        connection.execute("CREATE TEMP TABLE t (a int)")
        connection.execute("INSERT INTO t VALUES (1)")
        for sql, said in (
            ("SELECT * FROM absent", 'relation "absent" does not exist'),
            ("DELETE FROM t", "syntax error"),
            ("SELECT 1 / (3 - g) FROM generate_series(1, 5) g", "division by zero"),
        ):
            assert said in refused(mw.Query(connection, sql))
        assert read(open_log(mw.Query(connection, "SELECT a FROM t"))).to_pydict() == {"a": [1]}
    with pytest.raises(InputError, match="is closed"):
        open_log(mw.Query(connection, "SELECT 1"))
    assert "failed" in refused(mw.Query(lambda: psycopg.connect(f"{postgres}x"), "SELECT 1"))
