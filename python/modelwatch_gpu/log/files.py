"""A log as files of record batches, and how batches are cut so that every reading of a file cuts alike."""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import InputError
from ..plain import plain_array, plain_type

BLOCK_ROWS = 1024  # every batch but the last of a row group has a multiple of this many rows
BATCH_ROWS = 131_072  # and at most this many: large enough to keep threads busy, about 10 MB of 20 columns

READ_ERRORS = (pa.ArrowException, OSError, ValueError, MemoryError)

Span = tuple[int, int] | None  # first and last time in epoch seconds

_TICKS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


class LogFile(ABC):
    """One file, table or stream of a log.

    name: the path as given, or ``<table>`` and the like. schema: the fields that ``batches`` can give. rows: their
    number, or None where nobody knows before reading. reusable: whether ``batches`` may be called more than once.
    """

    def __init__(self, name: str, schema: pa.Schema, rows: int | None, *, reusable: bool = True) -> None:
        for column in schema.names:
            if schema.names.count(column) > 1:
                raise InputError(f"{name} has two columns named {column!r}; rename one of them.")
        if not schema.names:
            raise InputError(f"{name} has no columns; give a log with at least one.")
        self.name = name
        self.schema = schema
        self.rows = rows
        self.reusable = reusable

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, rows={self.rows})"

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Read these columns, in this order, one bounded batch after the other.

        Every row group (or record batch, or in-memory chunk) starts a new batch, and is cut at multiples of 131,072
        rows from its start. Every batch is validated: offsets, dictionary indices and UTF-8. Raises InputError for an
        unknown column at once, and while reading for data that cannot be read.
        """
        for column in columns:
            if column not in self.schema.names:
                close = " or ".join(map(repr, difflib.get_close_matches(column, self.schema.names, n=3)))
                ask = f"did you mean {close}?" if close else "check the columns that have a role."
                raise InputError(f"{self.name} has no column {column!r}; {ask}")
        if not columns or len(set(columns)) < len(columns):
            raise InputError(f"{self.name} is read by one or more different columns, not {list(columns)!r}.")
        return self._batches(list(columns))

    def time_range(self, column: str) -> Span:
        """The first and last time in a timestamp or date column, in epoch seconds (floor).

        From the statistics of a Parquet file, else by reading this one column. None where there is no time: no rows,
        all null, a column of another type, or a stream that can be read only once. A timestamp without a time zone is
        taken as UTC.
        """
        if column not in self.schema.names or not self.reusable or ticks_of(self.schema.field(column).type) is None:
            return None
        span: Span = None
        for batch in self.batches([column]):
            span = wider(span, span_of(batch.column(0)))
        return span

    @abstractmethod
    def _batches(self, columns: list[str]) -> Iterator[pa.RecordBatch]: ...


class ComputedLogFile(LogFile):
    """A file some of whose columns are made while it is read."""

    @abstractmethod
    def read_for(self, columns: Sequence[str]) -> list[str]:
        """The columns of the stored file that these are, or are made of, in the order of their first use."""

    @abstractmethod
    def select(self, batch: pa.RecordBatch, columns: Sequence[str]) -> pa.RecordBatch:
        """These columns, in this order, of a valid batch that has all of ``read_for(columns)``."""


class LayeredLogFile(ComputedLogFile):
    """A file with columns that are made of another file's, which may be made itself: ``file``."""

    def __init__(self, file: LogFile, schema: pa.Schema) -> None:
        super().__init__(file.name, schema, file.rows, reusable=file.reusable)
        self._file = file

    @abstractmethod
    def _of_file(self, columns: Sequence[str]) -> list[str]:
        """The columns of the file below that these are, or are made of: at least one, since its rows count."""

    @abstractmethod
    def _made_of(self, batch: pa.RecordBatch, columns: Sequence[str]) -> pa.RecordBatch:
        """These columns, in this order, of a batch of the file below."""

    def read_for(self, columns: Sequence[str]) -> list[str]:
        """As ``ComputedLogFile.read_for``."""
        own = self._of_file(columns)
        return self._file.read_for(own) if isinstance(self._file, ComputedLogFile) else own

    def select(self, batch: pa.RecordBatch, columns: Sequence[str]) -> pa.RecordBatch:
        """As ``ComputedLogFile.select``."""
        below = self._file.select(batch, self._of_file(columns)) if isinstance(self._file, ComputedLogFile) else batch
        return self._made_of(below, columns)

    def _batches(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        for batch in self._file.batches(self._of_file(columns)):
            yield self._made_of(batch, columns)


@dataclass(frozen=True)
class Log:
    """The table of production events, as one or more files.

    schema: the fields of the first file, then those that later files add; a column has the type that the first file
    with this column gives it, so files may differ from it.
    """

    files: tuple[LogFile, ...]
    schema: pa.Schema
    reusable: bool
    rows: int | None

    @classmethod
    def of(cls, files: Sequence[LogFile]) -> Log:
        """The log of these files, in this order."""
        fields: dict[str, pa.Field] = {}
        for file in files:
            for field in file.schema:
                fields.setdefault(field.name, field)
        rows = [file.rows for file in files]
        known = [count for count in rows if count is not None]
        return cls(
            files=tuple(files),
            schema=pa.schema(list(fields.values())),
            reusable=all(file.reusable for file in files),
            rows=sum(known) if len(known) == len(rows) else None,
        )


def first_line(error: BaseException) -> str:
    """The first line of an error's text, without its full stop."""
    lines = (str(error).strip() or type(error).__name__).splitlines()
    return lines[0].rstrip(".")[:300]


def unreadable(where: str, error: BaseException) -> InputError:
    """The InputError for data that cannot be read; ``where`` names the file and the row group."""
    if isinstance(error, InputError):
        return error
    return InputError(f"{where} cannot be read: {first_line(error)}; write it again or leave it out.")


def guarded(batches: Iterable[pa.RecordBatch], where: str) -> Iterator[pa.RecordBatch]:
    """The same batches; what goes wrong in reading them becomes an InputError."""
    iterator = iter(batches)
    while True:
        try:
            batch = next(iterator)
        except StopIteration:
            return
        except READ_ERRORS as error:
            raise unreadable(where, error) from None
        yield batch


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """The schema with every type as the plain one it stands for, see ``plain.plain_type``."""
    fields = [field.with_type(plain_type(field.type)) for field in schema]
    return pa.schema(fields, schema.metadata)


def cut(table: pa.Table, where: str) -> Iterator[pa.RecordBatch]:
    """One row group as validated batches of 131,072 rows, of which only the last may be shorter."""
    try:
        table = _one_dictionary(_plain(table))
    except READ_ERRORS as error:
        raise unreadable(where, error) from None
    for first in range(0, table.num_rows, BATCH_ROWS):
        yield from _contiguous(table.slice(first, BATCH_ROWS), where)


def regroup(batches: Iterable[pa.RecordBatch], where: str) -> Iterator[pa.RecordBatch]:
    """The batches of one row group, however they come, cut as ``cut`` would cut them together."""
    held: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        held.append(batch)
        rows += batch.num_rows
        if rows >= BATCH_ROWS:
            table = pa.Table.from_batches(held)
            whole = rows // BATCH_ROWS * BATCH_ROWS
            yield from cut(table.slice(0, whole), where)
            held, rows = table.slice(whole).to_batches(), rows - whole
    if rows:
        yield from cut(pa.Table.from_batches(held), where)


def ticks_of(kind: pa.DataType) -> int | None:
    """How many ticks of a timestamp type make a second; 1 for dates, None for any other type."""
    if pa.types.is_timestamp(kind):
        return _TICKS[kind.unit]
    return 1 if pa.types.is_date(kind) else None


def span_of(values: pa.Array) -> Span:
    """The first and last time of a timestamp or date array in epoch seconds (floor); None if all are null."""
    if pa.types.is_date(values.type):
        values = values.cast(pa.timestamp("s"))
    span = pc.min_max(values.cast(pa.int64()))
    low, high = span["min"].as_py(), span["max"].as_py()
    ticks = ticks_of(values.type)
    return None if low is None or ticks is None else (low // ticks, high // ticks)


def wider(span: Span, other: Span) -> Span:
    """The span that covers both."""
    if span is None or other is None:
        return span or other
    return min(span[0], other[0]), max(span[1], other[1])


def _plain(table: pa.Table) -> pa.Table:
    for index, field in enumerate(table.schema):
        kind = plain_type(field.type)
        if kind != field.type:
            chunks = table.column(index).chunks
            for chunk in chunks:
                chunk.validate(full=True)
            plain = pa.chunked_array([plain_array(chunk) for chunk in chunks], kind)
            table = table.set_column(index, field.with_type(kind), plain)
    return table


def _one_dictionary(table: pa.Table) -> pa.Table:
    """The table with one dictionary per dictionary column; one that cannot be unified is encoded anew."""
    for index, field in enumerate(table.schema):
        column = table.column(index)
        if not pa.types.is_dictionary(field.type) or column.num_chunks < 2:
            continue
        try:
            column = column.unify_dictionaries()
        except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
            # Values that Arrow cannot unify, or more of them than the type of the codes can number.
            column = column.cast(field.type.value_type).combine_chunks().dictionary_encode()
        table = table.set_column(index, field.with_type(column.type), column)
    return table


def _contiguous(table: pa.Table, where: str) -> Iterator[pa.RecordBatch]:
    """The table as one batch; in halves where it has more bytes than one batch can hold."""
    try:
        batches = table.combine_chunks().to_batches()
    except READ_ERRORS as error:
        raise unreadable(where, error) from None
    if len(batches) == 1:
        yield _validated(batches[0], where)
    elif table.num_rows > BLOCK_ROWS:
        half = -(-table.num_rows // (2 * BLOCK_ROWS)) * BLOCK_ROWS
        yield from _contiguous(table.slice(0, half), where)
        yield from _contiguous(table.slice(half), where)
    else:
        raise InputError(f"{where} has more than 2 GiB of text in {BLOCK_ROWS:,} rows; leave that column out.")


def valid_batch(batch: pa.RecordBatch, where: str) -> pa.RecordBatch:
    """The same small batch, if its offsets, dictionary codes and UTF-8 are valid; else raises InputError."""
    try:
        batch.validate(full=True)
    except READ_ERRORS:
        return _validated(batch, where)  # which finds the column
    return batch


def _validated(batch: pa.RecordBatch, where: str) -> pa.RecordBatch:
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            _validate(column)
        except READ_ERRORS as error:
            raise InputError(
                f"{where}, column {name!r}, is not valid: {first_line(error)}; write it again or leave it out."
            ) from None
    return batch


def _ends(codes: pa.Array) -> tuple[int | None, int]:
    ends = pc.min_max(codes)
    return ends["min"].as_py(), ends["max"].as_py()


def _validate(column: pa.Array) -> None:
    """As ``validate(full=True)``, but the codes of a dictionary are compared with its size all at once, and so are the
    bytes of text."""
    if not pa.types.is_dictionary(column.type):
        column.validate()
        if not _is_ascii(column):
            column.validate(full=True)
        return
    column.validate()
    column.dictionary.validate(full=True)
    codes = column.indices
    # Mostly the codes of null rows are codes too, and nothing needs to be looked up.
    every = pa.Array.from_buffers(codes.type, len(codes), [None, codes.buffers()[1]], 0, codes.offset)
    low, high = _ends(every)
    if low is not None and (low < 0 or high >= len(column.dictionary)) and codes.null_count:
        low, high = _ends(codes)
    if low is not None and (low < 0 or high >= len(column.dictionary)):
        raise pa.ArrowInvalid(f"code {low if low < 0 else high} is not in a dictionary of {len(column.dictionary):,}")


def _is_ascii(column: pa.Array) -> bool:
    """Whether a column without a bitmap of nulls is text whose offsets never fall and whose bytes are all ASCII, so
    that each of its values is UTF-8. ``validate`` has looked at the first and the last offset."""
    width = 4 if pa.types.is_string(column.type) else 8 if pa.types.is_large_string(column.type) else 0
    if not width or not len(column):
        return False
    bitmap, ends, text = column.buffers()
    if bitmap is not None or text is None:
        return False
    offsets = np.frombuffer(ends, f"i{width}", len(column) + 1, column.offset * width)
    if (offsets[1:] < offsets[:-1]).any():
        return False
    first, size = int(offsets[0]), int(offsets[-1] - offsets[0])
    # Bytes beyond ASCII are below 0.
    return size == 0 or bool(np.frombuffer(text, np.int8, size, first).min() >= 0)
