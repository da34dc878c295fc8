"""Arrow IPC (Feather) files and streams on disk, one record batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import pyarrow as pa

from .files import READ_ERRORS, LogFile, cut, plain_schema, unreadable

FILE_MAGIC = b"ARROW1"


class IpcLogFile(LogFile):
    """An Arrow IPC file or stream behind an ``opener`` of a random-access file.

    It is read, not mapped: a file that shrinks meanwhile is an error, not a crash. One record batch of the selected
    columns lies in memory at a time, however large its writer made it. ``spans`` are time ranges already known.
    """

    def __init__(
        self,
        name: str,
        opener: Callable[[], pa.NativeFile],
        *,
        rows: int | None = None,
        spans: Mapping[str, tuple[int, int] | None] | None = None,
    ) -> None:
        self._opener = opener
        self._spans = dict(spans or {})
        with opener() as source:
            self._is_file = source.read(len(FILE_MAGIC)) == FILE_MAGIC
            source.seek(0)
            reader = pa.ipc.open_file(source) if self._is_file else pa.ipc.open_stream(source)
            self._written = reader.schema
            if self._is_file and rows is None:
                rows = _count_rows(source, reader.schema)
        super().__init__(name, plain_schema(self._written), rows)

    def time_range(self, column: str) -> tuple[int, int] | None:
        """As ``LogFile.time_range``."""
        return self._spans[column] if column in self._spans else super().time_range(column)

    def _batches(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        wanted = sorted(self.schema.get_field_index(name) for name in columns)
        options = pa.ipc.IpcReadOptions(included_fields=wanted)
        number = 0
        try:
            with self._opener() as source:
                if self._is_file:
                    reader = pa.ipc.open_file(source, options=options)
                    read = (reader.get_batch(index) for index in range(reader.num_record_batches))
                else:
                    read = iter(pa.ipc.open_stream(source, options=options))
                for batch in read:
                    where = f"{self.name}, record batch {number}"
                    yield from cut(pa.Table.from_batches([batch.select(columns)]), where)
                    number += 1
        except READ_ERRORS as error:
            raise unreadable(f"{self.name}, record batch {number}", error) from None


def _count_rows(source: pa.NativeFile, schema: pa.Schema) -> int:
    """The rows of an IPC file, by reading its narrowest column (a batch alone knows how many it has)."""
    widths = [_width(field.type) for field in schema]
    options = pa.ipc.IpcReadOptions(included_fields=[widths.index(min(widths))] if widths else None)
    source.seek(0)
    reader = pa.ipc.open_file(source, options=options)
    return sum(reader.get_batch(index).num_rows for index in range(reader.num_record_batches))


def _width(kind: pa.DataType) -> int:
    try:
        return int(kind.bit_width)
    except ValueError:
        return 1_000_000
