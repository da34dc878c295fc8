"""What a database answers: the rows of a query, through DB-API 2.0 or ADBC."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from itertools import chain
from typing import Any

import pyarrow as pa

from ..errors import InputError, OutputError
from .files import READ_ERRORS, LogFile, Span, first_line, regroup, unreadable
from .frames import arrow_reader, is_a
from .inference import ColumnKind, converted, decimal_or_float, text_of

#: Rows fetched at a time.
FETCH_ROWS = 16_384


@dataclass(frozen=True)
class Query:
    """A log that a database has: ``Query(connection, "SELECT * FROM predictions ORDER BY ts")``.

    connection: an open DB-API 2.0 or ADBC connection, which stays open, or a function that opens one, which is closed
    after each run. sql: one statement that returns rows. parameters: as the driver takes them. The query runs once
    whenever the log is opened (once for a fit, once for a comparison) and its rows are kept in a temporary file until
    they are no longer needed, so all passes see the same rows. Give it an ORDER BY: floating sums depend on the order
    of rows in their last digits. PostgreSQL by psycopg is read through a cursor on the server, in bounded memory.
    """

    connection: Any
    sql: str
    parameters: Sequence[Any] | Mapping[str, Any] | None = field(default=None, repr=False)


class QueryLogFile(LogFile):
    """The rows of a query as it answered when this was made, all of them one row group."""

    def __init__(self, query: Query) -> None:
        self.name = "<query>"
        if not isinstance(query.sql, str) or not query.sql.strip():
            raise InputError(f"The query is {query.sql!r}; write one SELECT statement as text.")
        try:
            folder = tempfile.mkdtemp(prefix="modelwatch-")
        except OSError as error:
            raise OutputError(f"No temporary folder can be made: {first_line(error)}; set TMPDIR to one.") from None
        self._remove = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        try:
            with _answer(query) as (names, chunks):
                self._kept = _Spool(folder, names)
                self._kept.write(chunks)
            schema = pa.schema([(name, kind.finished()) for name, kind in self._kept.kinds.items()])
            super().__init__(self.name, schema, self._kept.rows)
        except BaseException:
            self._remove()
            raise

    def time_range(self, column: str) -> Span:
        """As ``LogFile.time_range``, known since the query ran."""
        return self._kept.kinds[column].span if column in self._kept.kinds else None

    def _batches(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        types = [self.schema.field(name).type for name in columns]

        def typed() -> Iterator[pa.RecordBatch]:
            for batch in self._kept.read(columns):
                arrays = [converted(values, kind) for values, kind in zip(batch.columns, types, strict=True)]
                yield pa.RecordBatch.from_arrays(arrays, names=columns)

        try:
            yield from regroup(typed(), self.name)
        except READ_ERRORS as error:
            raise unreadable(self.name, error) from None


class _Spool:
    """Chunks of rows on disk. Where a chunk needs a wider type than those before it, a new file begins."""

    def __init__(self, folder: str, names: Sequence[str]) -> None:
        for name in names:
            if names.count(name) > 1:
                raise InputError(f"<query> has two columns named {name!r}; rename one of them with AS.")
        self.kinds = {name: ColumnKind() for name in names}
        self.rows = 0
        self._folder = folder
        self._files: list[str] = []

    def write(self, chunks: Iterable[tuple[pa.RecordBatch, frozenset[str]]]) -> None:
        schema: pa.Schema | None = None
        with ExitStack() as files:
            for batch, mixed in chunks:
                for name, kind in self.kinds.items():
                    kind.see(batch.column(name), mixed=name in mixed)
                self.rows += batch.num_rows
                try:
                    fitting = None if schema is None else _fitted(batch, schema)
                    if fitting is None:
                        schema, fitting = batch.schema, batch
                        files.close()
                        path = os.path.join(self._folder, f"{len(self._files)}.arrows")
                        sink = files.enter_context(pa.OSFile(path, "wb"))
                        options = pa.ipc.IpcWriteOptions(compression="lz4")
                        writer = files.enter_context(pa.ipc.new_stream(sink, schema, options=options))
                        self._files.append(path)
                    writer.write_batch(fitting)
                except (OSError, pa.ArrowException) as error:
                    raise OutputError(
                        f"The rows of the query cannot be kept in {self._folder!r}: {first_line(error)}; "
                        "set TMPDIR to a folder with room."
                    ) from None

    def read(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        for path in self._files:
            with pa.OSFile(path) as source, pa.ipc.open_stream(source) as reader:
                for batch in reader:
                    yield batch.select(columns)


def _fitted(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch | None:
    """A chunk in the types of those before it; None where they do not hold its values as they are."""
    if batch.schema.equals(schema):
        return batch
    arrays = []
    for values, before in zip(batch.columns, schema, strict=True):
        if pa.types.is_null(values.type):
            values = pa.nulls(len(values), before.type)
        if values.type != before.type:
            return None
        arrays.append(values)
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


Answer = tuple[list[str], Iterator[tuple[pa.RecordBatch, frozenset[str]]]]


@contextmanager
def _answer(query: Query) -> Iterator[Answer]:
    """The column names of a query's answer, and its rows chunk by chunk."""
    with ExitStack() as open_now, _blamed_on(query):
        connection = query.connection
        if not hasattr(connection, "cursor"):
            if not callable(connection):
                raise InputError(
                    f"The connection of the query is a {type(connection).__name__}; pass a DB-API or ADBC connection, "
                    "or a function that opens one."
                )
            connection = open_now.enter_context(closing(connection()))
        if type(connection).__name__.startswith("Async"):
            raise InputError("The connection of the query is asynchronous; pass a synchronous one.")
        cursor = _cursor(connection, open_now)
        arguments = () if query.parameters is None else (query.parameters,)
        cursor.execute(query.sql, *arguments)
        reader = arrow_reader(cursor)
        if reader is not None:
            yield reader.schema.names, ((batch, frozenset()) for batch in _blamed(query, iter(reader)))
            return
        first = cursor.fetchmany(FETCH_ROWS) if cursor.description is not None else []
        if cursor.description is None:
            raise InputError(f"The query {_shown(query)} returns no rows; write a SELECT statement.")
        names = [str(column[0]) for column in cursor.description]
        rest = iter(lambda: cursor.fetchmany(FETCH_ROWS), [])
        yield names, (_chunk(names, rows) for rows in _blamed(query, chain([first] if first else [], rest)))


def _cursor(connection: Any, open_now: ExitStack) -> Any:
    """A cursor that does not hold the whole answer where the driver has one."""
    if is_a(connection, "duckdb", "DuckDBPyConnection"):
        return connection  # its cursors are other connections, which do not see its temporary tables
    if type(connection).__module__.split(".")[0] == "psycopg":
        open_now.enter_context(connection.transaction())
        return open_now.enter_context(closing(connection.cursor(name="modelwatch")))
    return open_now.enter_context(closing(connection.cursor()))


@contextmanager
def _blamed_on(query: Query) -> Iterator[None]:
    """Whatever a driver raises, in one sentence: the classes of its errors are its own."""
    try:
        yield
    except (InputError, OutputError):
        raise
    except Exception as error:
        raise InputError(
            f"The query {_shown(query)} failed: {first_line(error)}; check it and its connection."
        ) from None


def _blamed(query: Query, items: Iterator[Any]) -> Iterator[Any]:
    with _blamed_on(query):
        yield from items


def _shown(query: Query) -> str:
    text = " ".join(query.sql.split())
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


def _chunk(names: Sequence[str], rows: Sequence[Any]) -> tuple[pa.RecordBatch, frozenset[str]]:
    """Rows as a batch, and the columns in it that are text because their values are of different kinds."""
    cells = [row.values() if isinstance(row, Mapping) else row for row in rows]
    arrays, mixed = [], []
    for name, values in zip(names, zip(*cells, strict=True), strict=True):
        array = array_of(values)
        if array is None:
            mixed.append(name)
            array = pa.array([text_of(value) for value in values], pa.string())
        arrays.append(array)
    return pa.RecordBatch.from_arrays(arrays, names=list(names)), frozenset(mixed)


def array_of(values: Sequence[Any]) -> pa.Array | None:
    """Python values as an Arrow array; None where they are of different kinds.

    int is int64, else uint64, else float64; int with float or Decimal is float64; Decimal is decimal128 of up to 18
    digits, else float64; datetime is a timestamp in microseconds, with its zone where all have the same, else in UTC;
    date, time, timedelta, bool, str and bytes are what they are; lists are lists. Anything else is its text.
    """
    kinds = {type(value) for value in values} - {type(None)}
    if not kinds <= _FAMILIES.keys():
        values = [_plain(value) for value in values]
        kinds = {type(value) for value in values} - {type(None)}
    if not kinds:
        return pa.nulls(len(values))
    families = {_FAMILIES[kind] for kind in kinds}
    if len(families) > 1:
        return None
    try:
        return families.pop()(values, kinds)
    except (pa.ArrowException, OverflowError):
        return None


def _plain(value: Any) -> Any:
    """A value as one of the types we know."""
    if value is None or type(value) in _FAMILIES:
        return value
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, Mapping):
        return text_of(dict(value))
    if hasattr(value, "to_pydatetime"):
        return value.to_pydatetime()
    if hasattr(value, "dtype") and hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Enum):
        return _plain(value.value)
    if isinstance(value, bytes):
        return bytes(value)
    if isinstance(value, int | float):
        return int(value) if isinstance(value, int) else float(value)
    return str(value)


def _numbers(values: Sequence[Any], kinds: set[type]) -> pa.Array:
    if kinds == {int}:
        for kind in (pa.int64(), pa.uint64()):
            try:
                return pa.array(values, kind)
            except (OverflowError, pa.ArrowInvalid):
                pass
    if kinds == {Decimal}:
        digits = [value.as_tuple() for value in values if value is not None]
        powers = [one.exponent for one in digits]
        if all(isinstance(power, int) for power in powers):  # NaN and infinity have letters there
            scale = max(0, *(-power for power in powers))
            whole = max(0, *(len(one.digits) + one.exponent for one in digits))
            kind = decimal_or_float(whole, scale)
            if pa.types.is_decimal(kind):
                return pa.array(values, kind)
    return pa.array([None if value is None else float(value) for value in values], pa.float64())


def _times(values: Sequence[Any], kinds: set[type]) -> pa.Array | None:
    if kinds == {date}:
        return pa.array(values, pa.date32())
    known = [value for value in values if value is not None]
    aware = {isinstance(value, datetime) and value.utcoffset() is not None for value in known}
    if len(aware) > 1:
        return None
    if aware == {True}:
        zones = {getattr(value.tzinfo, "key", None) for value in known}
        zone = zones.pop() if len(zones) == 1 else None
        return pa.array(values, pa.timestamp("us", zone or "UTC"))
    whole = [datetime(v.year, v.month, v.day) if type(v) is date else v for v in values]
    return pa.array(whole, pa.timestamp("us"))


def _as(kind: pa.DataType | None) -> Callable[[Sequence[Any], set[type]], pa.Array]:
    return lambda values, kinds: pa.array(values, kind)


#: Types of values that stand beside each other in one column, and what makes an array of them.
_FAMILIES: dict[type, Callable[[Sequence[Any], set[type]], pa.Array | None]] = {
    **dict.fromkeys((int, float, Decimal), _numbers),
    **dict.fromkeys((date, datetime), _times),
    bool: _as(pa.bool_()),
    str: _as(pa.string()),
    bytes: _as(pa.binary()),
    time: _as(pa.time64("us")),
    timedelta: _as(pa.duration("us")),
    list: _as(None),
}
