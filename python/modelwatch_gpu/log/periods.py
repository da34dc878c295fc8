"""A stretch of time of a log: only the rows whose timestamp lies in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from ..errors import InputError
from ..plain import plain_type
from .files import Log, LogFile, Span, ticks_of, wider


def span_of_log(log: Log, column: str) -> Span:
    """The first and last time of a log in epoch seconds (floor); None where there is none, or a stream hides it."""
    span: Span = None
    for file in log.files:
        span = wider(span, file.time_range(column)) if column in file.schema.names else span
    return span


def within(log: Log, column: str, span: tuple[int, int]) -> Log:
    """The rows from the first to the last of these epoch seconds, both included; rows without a time are left out."""
    return Log.of([PeriodLogFile(file, column, span) for file in log.files])


class PeriodLogFile(LogFile):
    """The rows of a file whose time lies in a span."""

    def __init__(self, file: LogFile, column: str, span: tuple[int, int]) -> None:
        if column not in file.schema.names or ticks_of(plain_type(file.schema.field(column).type)) is None:
            raise InputError(f"{file.name} has no timestamp column '{column}', so it cannot be cut by time.")
        self._file, self._column, self._span = file, column, span
        super().__init__(file.name, file.schema, None, reusable=file.reusable)

    def time_range(self, column: str) -> Span:
        """As ``LogFile.time_range``, of the rows that are left."""
        found = self._file.time_range(column)
        if column != self._column or found is None:
            return found
        low, high = max(found[0], self._span[0]), min(found[1], self._span[1])
        return (low, high) if low <= high else None

    def _batches(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        read = columns if self._column in columns else [*columns, self._column]
        for batch in self._file.batches(read):
            times = batch.column(self._column)
            if pa.types.is_date(times.type):
                times = times.cast(pa.timestamp("s"))
            per = ticks_of(times.type) or 1
            ticks = times.cast(pa.int64())
            inside = pc.and_(pc.greater_equal(ticks, self._span[0] * per), pc.less(ticks, (self._span[1] + 1) * per))
            kept = batch.filter(inside.fill_null(False)) if not _all(inside) else batch
            yield kept.select(columns)


def _all(mask: pa.Array) -> bool:
    return not mask.null_count and bool(pc.all(mask, min_count=0).as_py())


def common_span(spans: Sequence[Span]) -> Span:
    """The stretch that all have in common; None where there is none."""
    known = [s for s in spans if s is not None]
    if not known or len(known) < len(spans):
        return None
    low, high = max(s[0] for s in known), min(s[1] for s in known)
    return (low, high) if low <= high else None
