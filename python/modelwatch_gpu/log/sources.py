"""Anything that is a log -> a Log: files wherever they are, tables, frames, streams, datasets, queries."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from ..errors import InputError
from .files import Log, LogFile
from .frames import files_of_dataset, in_memory, is_dataset
from .memory import TableLogFile
from .partitions import partitioned
from .places import Files, Place, open_place, places_in, places_of
from .query import Query, QueryLogFile
from .reading import read_ahead, spooled

__all__ = ["Files", "Log", "LogFile", "Query", "open_log", "read_ahead", "spooled"]

_TAKEN = (
    "a path, a pattern, a folder, an address, a list of these, an Arrow table, batch, reader or dataset, "
    "a data frame, or a Query"
)


def open_log(source: Any, *, name: str = "log") -> Log:
    """Open a log for reading.

    source: a Parquet, Arrow IPC (Feather), CSV, TSV or JSON lines file (text also compressed), a folder of these, also
    one that is partitioned as ``year=2013/month=04``, a pattern (``**`` for any depth), an address such as
    ``s3://bucket/log/*.parquet``, a list or tuple of these, ``Files`` on a filesystem of your own, a ``Query``, a
    ``pyarrow`` Table, RecordBatch, list of RecordBatch, RecordBatchReader or Dataset, a pandas or Polars frame, a
    DuckDB result, or anything with ``__arrow_c_stream__`` or ``__arrow_c_array__``; or a Log that is open already.
    name: what messages call the log.

    Folders and patterns are read in the order of their paths; in folders, names that begin with ``.`` or ``_`` and
    files of other kinds are passed over. Of Parquet and Arrow files only the footers are read here; text is read once,
    for its types, and a query runs once, its rows being kept in a temporary file.

    Raises InputError in one sentence for anything that is missing, empty, unreadable or of another kind, for a file
    named twice, and for a file with two columns of one name.
    """
    if isinstance(source, Log):
        return source
    return Log.of(_refuse_twice(list(_files_of(source, name))))


def _files_of(source: Any, name: str) -> Iterator[LogFile]:
    if isinstance(source, str | os.PathLike):
        yield from _opened(places_of(source, name, _TAKEN), name)
    elif isinstance(source, Files):
        yield from _opened(places_in(source, name), name)
    elif isinstance(source, Query):
        yield QueryLogFile(source)
    elif isinstance(source, list | tuple):
        yield from _files_of_list(source, name)
    elif is_dataset(source):
        yield from files_of_dataset(source)
    elif hasattr(source, "to_pyarrow_dataset") and not hasattr(source, "__arrow_c_stream__"):  # a table of Delta Lake
        yield from files_of_dataset(source.to_pyarrow_dataset())
    else:
        yield in_memory(source, name, _TAKEN)


def _opened(places: Sequence[Place], name: str) -> Iterator[LogFile]:
    """The files at these places, with the columns that their folders name."""
    return partitioned([open_place(place, name, _TAKEN) for place in places], [place.values for place in places])


def _files_of_list(sources: Sequence[Any], name: str) -> Iterator[LogFile]:
    if not sources:
        raise InputError(f"The {name} is an empty list; pass {_TAKEN}.")
    if all(isinstance(item, pa.RecordBatch) for item in sources):
        for number, batch in enumerate(sources):
            if not batch.schema.equals(sources[0].schema):
                raise InputError(
                    f"Batch {number} of the {name} has other columns or types than batch 0; cast it, or pass tables."
                )
        yield TableLogFile("<batches>", pa.Table.from_batches(sources))
        return
    if all(isinstance(item, str | os.PathLike) for item in sources):
        # Together, so that a partition column has one type in all of them.
        yield from _opened([place for item in sources for place in places_of(item, name, _TAKEN)], name)
        return
    for number, item in enumerate(sources):
        for file in _files_of(item, name):
            if file.name.startswith("<"):
                file.name = f"{file.name[:-1]} {number}>"
            yield file


def _refuse_twice(files: list[LogFile]) -> list[LogFile]:
    seen: dict[str, str] = {}
    for file in files:
        if file.name.startswith("<"):
            continue
        real = file.name if "://" in file.name else os.path.realpath(file.name)
        if real in seen:
            also = "" if seen[real] == file.name else f" (as {seen[real]} too)"
            raise InputError(f"{file.name} is in the log twice{also}; name every file once, or its rows count twice.")
        seen[real] = file.name
    return files
