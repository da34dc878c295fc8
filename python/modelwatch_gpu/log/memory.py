"""Logs that are in memory already or come as a stream: tables, frames, readers, datasets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import pyarrow as pa

from ..errors import InputError
from .files import LogFile, cut, guarded, plain_schema, regroup


class TableLogFile(LogFile):
    """A table in memory; every chunk (a stretch that no column breaks) is cut as a row group would be.

    one_group: chunks are an accident of how the table was made, so all of its rows are one row group.
    """

    def __init__(self, name: str, table: pa.Table, *, one_group: bool = False) -> None:
        super().__init__(name, plain_schema(table.schema), table.num_rows)
        self._table = table
        self._one_group = one_group

    def _batches(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        if self._one_group:
            yield from regroup(self._table.select(columns).to_batches(), self.name)
            return
        # All columns have a say in where chunks end, so that the cuts do not depend on the columns asked for.
        for number, batch in enumerate(self._table.to_batches()):
            yield from cut(pa.Table.from_batches([batch.select(columns)]), f"{self.name}, chunk {number}")


class ReaderLogFile(LogFile):
    """A stream of record batches that can be read once; ``one_group`` as for tables."""

    def __init__(self, name: str, reader: pa.RecordBatchReader, *, one_group: bool = False) -> None:
        super().__init__(name, plain_schema(reader.schema), None, reusable=False)
        self._one_group = one_group
        self._reader: pa.RecordBatchReader | None = reader

    def _batches(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        reader, self._reader = self._reader, None
        if reader is None:
            raise InputError(
                f"{self.name} is a stream that was read already and cannot be read again; "
                "pass it anew, or collect it in a table first."
            )
        with reader:
            if self._one_group:
                yield from regroup((batch.select(columns) for batch in guarded(reader, self.name)), self.name)
                return
            for number, batch in enumerate(guarded(reader, self.name)):
                where = f"{self.name}, record batch {number}"
                yield from cut(pa.Table.from_batches([batch.select(columns)]), where)


class ScannerLogFile(LogFile):
    """A part of a ``pyarrow.dataset`` that only the dataset can read, such as one with partition columns.

    scans: for the columns asked for, one stream of record batches per row group.
    """

    def __init__(
        self,
        name: str,
        schema: pa.Schema,
        scans: Callable[[Sequence[str]], Iterable[Iterable[pa.RecordBatch]]],
        *,
        reusable: bool = True,
    ) -> None:
        super().__init__(name, plain_schema(schema), None, reusable=reusable)
        self._scans = scans

    def _batches(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        for number, scan in enumerate(self._scans(columns)):
            where = f"{self.name}, row group {number}"
            yield from regroup(guarded(scan, where), where)
