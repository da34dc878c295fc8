"""Parquet files, one row group at a time."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import InputError
from .files import BATCH_ROWS, READ_ERRORS, LogFile, cut, guarded, plain_schema, regroup, unreadable, wider

# A row group is decoded in one piece up to these sizes, which is simplest; a larger one as a stream of batches.
WHOLE_ROWS = 1 << 20
WHOLE_BYTES = 64 << 20
# Row groups of a local file that are decoded at the same time: Arrow's threads share the columns of one, and would wait
# for its longest column before they began with the next.
TOGETHER = 2
READ_BUFFER = 1 << 16  # column chunks come through a buffer: a row group's compressed bytes never lie in memory at once

_TICKS = {"milliseconds": 1_000, "microseconds": 1_000_000, "nanoseconds": 1_000_000_000}


class ParquetLogFile(LogFile):
    """A Parquet file, local or behind any ``opener`` of a random-access file.

    Strings that the file keeps as dictionaries are read as dictionaries. Row groups are counted from 0 in messages.
    remote: every read is a request, so the columns of a row group are fetched in few large ones.
    """

    def __init__(self, name: str, opener: Callable[[], pa.NativeFile], *, remote: bool = False) -> None:
        self._opener = opener
        self._remote = remote
        self._dictionaries: list[str] = []
        with self._opened() as file:
            self._dictionaries = _kept_as_dictionaries(file)
        with self._opened() as file:
            super().__init__(name, plain_schema(file.schema_arrow), file.metadata.num_rows)
            self._written = file.schema_arrow

    def _batches(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        try:
            with ExitStack() as stack:
                file = stack.enter_context(self._opened())
                leaves = _leaves(file)
                together = self._together(file, columns, leaves)
                files = [file, *(stack.enter_context(self._opened()) for _ in range(1, together))]
                if any(f.metadata.num_rows != self.rows or not f.schema_arrow.equals(self._written) for f in files):
                    raise InputError(f"{self.name} was replaced while it was being read; run again.")
                if together > 1:
                    yield from self._overlapped(files, columns, leaves)
                    return
                for group in range(file.num_row_groups):
                    yield from self._row_group(file, group, columns, leaves)
        except READ_ERRORS as error:
            raise unreadable(self.name, error) from None

    def _together(self, file: pq.ParquetFile, columns: list[str], leaves: dict[str, range]) -> int:
        """How many row groups to decode at a time: one where they are large, or each is a request."""
        if self._remote or pa.cpu_count() < 2:
            return 1
        sizes = (_size(file.metadata.row_group(group), columns, leaves) for group in range(file.num_row_groups))
        return 1 if any(_is_large(*size) for size in sizes) else max(1, min(TOGETHER, file.num_row_groups))

    def _overlapped(
        self, files: list[pq.ParquetFile], columns: list[str], leaves: dict[str, range]
    ) -> Iterator[pa.RecordBatch]:
        """The batches of all row groups in their order, decoded as many at a time as there are opened ``files``."""

        def decoded(group: int) -> list[pa.RecordBatch]:
            # A row group begins when the one before it by as many as there are files was taken: no file is used twice.
            return list(self._row_group(files[group % len(files)], group, columns, leaves))

        groups = files[0].num_row_groups
        with ThreadPoolExecutor(len(files), thread_name_prefix="modelwatch-decode") as pool:
            pending = deque(pool.submit(decoded, group) for group in range(len(files)))
            for group in range(len(files), groups + len(files)):
                batches = pending.popleft().result()
                if group < groups:
                    pending.append(pool.submit(decoded, group))
                yield from batches

    def time_range(self, column: str) -> tuple[int, int] | None:
        """As ``LogFile.time_range``; from the statistics of the row groups where all of them have some."""
        if column not in self.schema.names:
            return None
        try:
            with self._opened() as file:
                known, span = _span_from_statistics(file, column)
        except READ_ERRORS as error:
            raise unreadable(self.name, error) from None
        return span if known else super().time_range(column)

    def _row_group(
        self, file: pq.ParquetFile, group: int, columns: list[str], leaves: dict[str, range]
    ) -> Iterator[pa.RecordBatch]:
        where = f"{self.name}, row group {group}"
        about = file.metadata.row_group(group)
        # A name with a dot may select leaves of a struct as well; top-level names are unique, so they decide.
        if _is_large(*_size(about, columns, leaves)):
            stream = file.iter_batches(BATCH_ROWS, row_groups=[group], columns=columns, use_threads=True)
            batches = (batch.select(columns) for batch in guarded(stream, where))
            yield from regroup(batches, where)
            return
        try:
            table = file.read_row_group(group, columns=columns, use_threads=True).select(columns)
        except READ_ERRORS as error:
            raise unreadable(_with_column(file, group, columns, where), error) from None
        yield from cut(table, where)

    @contextmanager
    def _opened(self) -> Iterator[pq.ParquetFile]:
        with self._opener() as source:
            yield pq.ParquetFile(
                source,
                read_dictionary=self._dictionaries,
                buffer_size=0 if self._remote else READ_BUFFER,
                pre_buffer=self._remote,
            )


def _with_column(file: pq.ParquetFile, group: int, columns: list[str], where: str) -> str:
    """The place with the name of the first column that cannot be read, if one alone is to blame."""
    for name in columns:
        try:
            file.read_row_group(group, columns=[name])
        except READ_ERRORS:
            return f"{where}, column {name!r}"
    return where


def _size(about: Any, columns: list[str], leaves: dict[str, range]) -> tuple[int, int]:
    """Rows of a row group, and bytes of these columns before compression."""
    leaf_sizes = (about.column(leaf).total_uncompressed_size for name in columns for leaf in leaves.get(name, ()))
    return about.num_rows, sum(leaf_sizes)


def _is_large(rows: int, size: int) -> bool:
    """Whether a row group is decoded as a stream."""
    return rows > WHOLE_ROWS or size > WHOLE_BYTES


def _leaves(file: pq.ParquetFile) -> dict[str, range]:
    """The Parquet columns that each top-level column is stored in; empty where the counts do not fit."""
    result: dict[str, range] = {}
    first = 0
    for field in file.schema_arrow:
        count = _leaf_count(field.type)
        result[field.name] = range(first, first + count)
        first += count
    return result if first == file.metadata.num_columns else {}


def _leaf_count(kind: Any) -> int:
    if isinstance(kind, pa.BaseExtensionType):
        return _leaf_count(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return _leaf_count(kind.value_type)
    if pa.types.is_nested(kind):
        return sum(_leaf_count(kind.field(index).type) for index in range(kind.num_fields))
    return 1


def _kept_as_dictionaries(file: pq.ParquetFile) -> list[str]:
    """The string columns that the first row group keeps as dictionaries and did not give up on."""
    if not file.num_row_groups:
        return []
    about, leaves = file.metadata.row_group(0), _leaves(file)
    result = []
    for field in file.schema_arrow:
        kind = field.type
        text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
        if not (text and "." not in field.name and len(leaves.get(field.name, ())) == 1):
            continue
        chunk = about.column(leaves[field.name][0])
        # Writers give up on a dictionary of about 1 MiB and go on with plain values, of at least 4 bytes each.
        if chunk.has_dictionary_page and chunk.total_uncompressed_size <= (2 << 20) + 3 * chunk.num_values:
            result.append(field.name)
    return result


def _span_from_statistics(file: pq.ParquetFile, column: str) -> tuple[bool, tuple[int, int] | None]:
    """Whether the statistics say it, and the first and last epoch second they give."""
    leaves = _leaves(file).get(column, range(0))
    if len(leaves) != 1:
        return False, None
    logical = json.loads(file.schema.column(leaves[0]).logical_type.to_json())
    ticks = _TICKS.get(logical.get("timeUnit", "")) if logical.get("Type") == "Timestamp" else None
    if logical.get("Type") != "Date" and ticks is None:
        return False, None
    span: tuple[int, int] | None = None
    for group in range(file.num_row_groups):
        about = file.metadata.row_group(group)
        found = about.column(leaves[0]).statistics
        if about.num_rows == 0 or (found is not None and found.has_null_count and found.null_count == about.num_rows):
            continue
        if found is None or not found.has_min_max or found.min_raw > found.max_raw:
            return False, None
        low, high = found.min_raw, found.max_raw
        span = wider(span, (low * 86_400, high * 86_400) if ticks is None else (low // ticks, high // ticks))
    return True, span
