"""What CSV and JSON lines have in common: text that is checked once, typed by all of its values, and read in blocks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import pyarrow as pa

from ..errors import InputError
from .files import READ_ERRORS, LogFile, Span, regroup, unreadable
from .inference import ColumnKind

BLOCK = 4 << 20  # bytes of text parsed at a time; a row is never longer
_BUFFER = 1 << 20

_CODECS = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bz2", b"\x04\x22\x4d\x18": "lz4"}
PACKED_SUFFIXES = (".gz", ".zst", ".bz2", ".lz4")


class TextLogFile(LogFile):
    """A text file, all of it one row group. Opening it reads it once, for the types of its columns."""

    def __init__(self, name: str, opener: Callable[[], pa.NativeFile]) -> None:
        self.name = name
        self._opener = opener
        try:
            kinds, rows = self._check()
        except READ_ERRORS as error:
            raise unreadable(name, error) from None
        schema = pa.schema([(column, kind.finished()) for column, kind in kinds])
        super().__init__(name, schema, rows)
        self._kinds: Mapping[str, ColumnKind] = dict(kinds)

    def time_range(self, column: str) -> Span:
        """As ``LogFile.time_range``, known since the file was checked."""
        return self._kinds[column].span if column in self._kinds else None

    def _batches(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        rows = 0
        try:
            for batch in regroup(self._typed(columns), self.name):
                rows += batch.num_rows
                yield batch
        except READ_ERRORS as error:
            raise unreadable(self.name, error) from None
        if rows != self.rows:
            raise InputError(f"{self.name} was replaced while it was being read; run again.")

    @contextmanager
    def _opened(self) -> Iterator[pa.NativeFile]:
        with self._opener() as source, unpacked(source) as text:
            yield text

    @abstractmethod
    def _check(self) -> tuple[list[tuple[str, ColumnKind]], int]:
        """Read the whole file: the columns in order, with what was learnt of them, and the number of rows."""

    @abstractmethod
    def _typed(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        """Read these columns in the file's types."""


def unpacked(source: pa.NativeFile) -> pa.NativeFile:
    """The file without its compression, which is known by its first bytes, not by its name."""
    head = source.read(4)
    source.seek(0)
    buffered = pa.BufferedInputStream(source, _BUFFER)
    for magic, codec in _CODECS.items():
        if head.startswith(magic):
            return pa.CompressedInputStream(buffered, codec)
    return buffered


def refuse_other_encodings(name: str, head: bytes) -> None:
    """Raises InputError for text that is plainly not UTF-8."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in head[:4]:
        raise InputError(f"{name} is UTF-16 or UTF-32 text, not UTF-8; convert it, such as by iconv -t utf-8.")
