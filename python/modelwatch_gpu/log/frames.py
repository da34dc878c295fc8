"""Logs that another library holds: data frames, streams, datasets, tables of a lake."""

from __future__ import annotations

import functools
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ..errors import InputError
from .files import BATCH_ROWS, READ_ERRORS, LogFile, first_line, unreadable
from .ipc import IpcLogFile
from .memory import ReaderLogFile, ScannerLogFile, TableLogFile
from .parquet import ParquetLogFile

if TYPE_CHECKING:
    import pyarrow.dataset as ds


def is_dataset(source: Any) -> bool:
    """Whether this is a ``pyarrow.dataset``."""
    # Importing pyarrow.dataset takes 40 MB, so it is left to those who have a dataset.
    module = sys.modules.get("pyarrow.dataset")
    return module is not None and isinstance(source, module.Dataset)


def in_memory(source: Any, name: str, taken: str) -> LogFile:
    """The log file of a table, frame or stream; raises InputError, which says what is ``taken``, for anything else."""
    kind = type(source).__name__
    module = type(source).__module__.split(".")[0].lstrip("_")
    label = {"Table": "<table>", "RecordBatch": "<batch>"}.get(kind, f"<{module} {kind}>")
    try:
        if isinstance(source, pa.Table):
            return TableLogFile(label, source)
        if isinstance(source, pa.RecordBatch):
            return TableLogFile(label, pa.Table.from_batches([source]))
        if isinstance(source, pa.RecordBatchReader):
            return ReaderLogFile("<reader>", source)
        if is_a(source, "pandas", "DataFrame"):
            for column in source.columns[source.columns.duplicated()]:
                raise InputError(f"{label} has two columns named {str(column)!r}; rename one of them.")
            named = all(level is not None for level in source.index.names)
            return TableLogFile(label, pa.Table.from_pandas(source, preserve_index=named))
        # How Polars and DuckDB cut their rows depends on the machine, so all of them are one row group.
        if is_a(source, "polars", "DataFrame"):
            return TableLogFile(label, source.to_arrow(), one_group=True)
        if is_a(source, "polars", "LazyFrame"):
            return _lazy(label, source)
        if is_a(source, "duckdb", "DuckDBPyConnection"):
            return _duckdb_result(label, source)
        if is_a(source, "duckdb", "DuckDBPyRelation"):
            return ReaderLogFile(label, pa.RecordBatchReader.from_stream(source), one_group=True)
        if hasattr(source, "__arrow_c_stream__"):
            return ReaderLogFile(label, pa.RecordBatchReader.from_stream(source))
        if hasattr(source, "to_arrow_batch_reader"):  # a scan of PyIceberg
            return ReaderLogFile(label, source.to_arrow_batch_reader())
        if hasattr(source, "__arrow_c_array__"):
            return TableLogFile(label, pa.Table.from_batches([pa.record_batch(source)]))
    except InputError:
        raise
    except (*READ_ERRORS, TypeError) as error:
        raise InputError(
            f"The {name} ({label}) is not a table of columns: {first_line(error)}; pass {taken}."
        ) from None
    raise InputError(f"The {name} cannot be read from {kind}; pass {taken}.")


def is_a(source: Any, module: str, name: str) -> bool:
    """Whether an object is of this class of a package that need not be installed."""
    return any(
        base.__name__ == name and base.__module__.split(".")[0].lstrip("_") == module for base in type(source).__mro__
    )


def _lazy(label: str, frame: Any) -> LogFile:
    """A Polars query: it runs while it is read where this version of Polars can, else at once."""
    if not hasattr(frame, "collect_batches"):
        return TableLogFile(label, frame.collect().to_arrow(), one_group=True)
    schema = frame.head(0).collect().to_arrow().schema

    def batches() -> Iterator[pa.RecordBatch]:
        for part in frame.collect_batches(maintain_order=True):
            yield from part.to_arrow().cast(schema).to_batches()

    return ReaderLogFile(label, pa.RecordBatchReader.from_batches(schema, batches()), one_group=True)


def _duckdb_result(label: str, connection: Any) -> LogFile:
    """What a DuckDB connection was asked last."""
    if connection.description is None:
        raise InputError(f"{label} has no result; pass what connection.sql(...) or connection.execute(...) returns.")
    return ReaderLogFile(label, arrow_reader(connection), one_group=True)


def arrow_reader(cursor: Any) -> pa.RecordBatchReader | None:
    """What a cursor of ADBC or DuckDB was asked last, as Arrow; None for a cursor that only has Python values."""
    if hasattr(cursor, "to_arrow_reader"):
        with warnings.catch_warnings():
            # It advises another way to ask, which the user may have reasons not to take.
            warnings.simplefilter("ignore")
            return cursor.to_arrow_reader(BATCH_ROWS)
    return cursor.fetch_record_batch() if hasattr(cursor, "fetch_record_batch") else None


def files_of_dataset(dataset: ds.Dataset) -> Iterator[LogFile]:
    """The files of a dataset, by our own readers where they give the same columns."""
    import pyarrow.dataset as ds

    try:
        fragments = list(dataset.get_fragments())
    except ValueError:  # filtered or projected: only the dataset knows its rows
        fragments = []
        yield ScannerLogFile("<dataset>", dataset.schema, lambda columns: [_scan(dataset, columns)])
        return
    except READ_ERRORS as error:
        raise unreadable("<dataset>", error) from None
    if isinstance(dataset, ds.InMemoryDataset):
        yield ScannerLogFile("<dataset>", dataset.schema, lambda columns: [_scan(dataset, columns)], reusable=False)
        return
    if not fragments:
        raise InputError("The dataset has no files; check the path it was made from.")
    for number, fragment in enumerate(fragments):
        name = getattr(fragment, "path", f"<dataset {number}>")
        try:
            yield _file_of_fragment(name, fragment, dataset.schema)
        except READ_ERRORS as error:
            raise unreadable(name, error) from None


def _file_of_fragment(name: str, fragment: ds.Fragment, schema: pa.Schema) -> LogFile:
    import pyarrow.dataset as ds

    if fragment.physical_schema.equals(schema):
        opener = (
            functools.partial(fragment.filesystem.open_input_file, name) if hasattr(fragment, "filesystem") else None
        )
        whole = not isinstance(fragment, ds.ParquetFileFragment) or (
            len(fragment.row_groups) == fragment.metadata.num_row_groups
        )
        if opener is not None and isinstance(fragment, ds.ParquetFileFragment) and whole:
            return ParquetLogFile(name, opener)
        if opener is not None and isinstance(getattr(fragment, "format", None), ds.IpcFileFormat):
            return IpcLogFile(name, opener)

    def scans(columns: Sequence[str]) -> Iterable[Iterable[pa.RecordBatch]]:
        parts = fragment.split_by_row_group() if isinstance(fragment, ds.ParquetFileFragment) else [fragment]
        return (_scan(part, columns, schema=schema) for part in parts)

    return ScannerLogFile(name, schema, scans)


def _scan(part: ds.Dataset | ds.Fragment, columns: Sequence[str], **options: Any) -> Iterator[pa.RecordBatch]:
    batches: Iterator[pa.RecordBatch] = part.to_batches(
        columns=list(columns), batch_readahead=1, fragment_readahead=1, use_threads=True, **options
    )
    return batches
