"""Anything that is a log -> a Log: paths, folders, patterns, tables, frames, readers, datasets."""

from __future__ import annotations

import functools
import glob
import os
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ..errors import InputError
from .files import READ_ERRORS, Log, LogFile, first_line, unreadable
from .ipc import FILE_MAGIC, IpcLogFile
from .memory import ReaderLogFile, ScannerLogFile, TableLogFile
from .parquet import ParquetLogFile
from .reading import read_ahead, spooled

if TYPE_CHECKING:
    import pyarrow.dataset as ds

__all__ = ["Log", "LogFile", "open_log", "read_ahead", "spooled"]

PARQUET_SUFFIXES = (".parquet", ".pq", ".parq")
IPC_SUFFIXES = (".arrow", ".arrows", ".feather", ".ipc")
_TEXT_SUFFIXES = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".txt")
_PACKED_SUFFIXES = (".gz", ".zst", ".bz2", ".xz", ".lz4", ".zip")
_PARQUET_MAGIC = b"PAR1"
_STREAM_MAGIC = b"\xff\xff\xff\xff"
_TAKEN = "a path, a pattern, a folder, a list of these, an Arrow table, batch, reader or dataset, or a data frame"


def open_log(source: Any, *, name: str = "log") -> Log:
    """Open a log for reading; of files, only the footers are read.

    source: a Parquet or Arrow IPC (Feather) file, a folder of these, a pattern (``**`` for any depth), a list or tuple
    of these, a ``pyarrow`` Table, RecordBatch, list of RecordBatch, RecordBatchReader or Dataset, a pandas or Polars
    DataFrame, or anything with ``__arrow_c_stream__`` or ``__arrow_c_array__``. Folders and patterns are read in the
    order of their paths; in folders, names that begin with ``.`` or ``_`` and files of other kinds are passed over.
    name: what messages call the log.

    Raises InputError in one sentence for anything that is missing, empty, unreadable or of another kind, for a file
    named twice, and for a file with two columns of one name.
    """
    return Log.of(_refuse_twice(list(_files_of(source, name))))


def _files_of(source: Any, name: str) -> Iterator[LogFile]:
    if isinstance(source, str | os.PathLike):
        yield from _files_of_path(source, name)
    elif isinstance(source, list | tuple):
        yield from _files_of_list(source, name)
    elif _is_dataset(source):
        yield from _files_of_dataset(source)
    elif isinstance(source, pa.RecordBatchReader):
        yield ReaderLogFile("<reader>", source)
    else:
        yield _in_memory(source, name)


def _in_memory(source: Any, name: str) -> LogFile:
    kind = type(source).__name__
    label = {"Table": "<table>", "RecordBatch": "<batch>"}.get(
        kind, f"<{type(source).__module__.split('.')[0]} {kind}>"
    )
    try:
        if isinstance(source, pa.Table):
            return TableLogFile(label, source)
        if isinstance(source, pa.RecordBatch):
            return TableLogFile(label, pa.Table.from_batches([source]))
        if _is_frame(source, "pandas"):
            for column in source.columns[source.columns.duplicated()]:
                raise InputError(f"{label} has two columns named {str(column)!r}; rename one of them.")
            named = all(level is not None for level in source.index.names)
            return TableLogFile(label, pa.Table.from_pandas(source, preserve_index=named))
        if _is_frame(source, "polars"):
            return TableLogFile(label, source.to_arrow())
        if hasattr(source, "__arrow_c_stream__"):
            return ReaderLogFile(label, pa.RecordBatchReader.from_stream(source))
        if hasattr(source, "__arrow_c_array__"):
            return TableLogFile(label, pa.Table.from_batches([pa.record_batch(source)]))
    except InputError:
        raise
    except (*READ_ERRORS, TypeError) as error:
        raise InputError(
            f"The {name} ({label}) is not a table of columns: {first_line(error)}; pass {_TAKEN}."
        ) from None
    raise InputError(f"The {name} cannot be read from {kind}; pass {_TAKEN}.")


def _is_frame(source: Any, module: str) -> bool:
    kind = type(source)
    return any(base.__name__ == "DataFrame" and base.__module__.split(".")[0] == module for base in kind.__mro__)


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
        real = os.path.realpath(file.name)
        if real in seen:
            also = "" if seen[real] == file.name else f" (as {seen[real]} too)"
            raise InputError(f"{file.name} is in the log twice{also}; name every file once, or its rows count twice.")
        seen[real] = file.name
    return files


def _files_of_path(source: str | os.PathLike[str], name: str) -> Iterator[LogFile]:
    path = os.fspath(source)
    if not isinstance(path, str):
        raise InputError(f"The {name} is a path of bytes, {path!r}; pass it as text.")
    if not path or "\0" in path:
        raise InputError(f"The {name} is not a path: {path!r}; pass {_TAKEN}.")
    if "://" in path:
        raise InputError(f"{path} is an address, not a local path; pass pyarrow.dataset.dataset({path!r}) instead.")
    if os.path.isdir(path):
        paths = _paths_in_folder(path)
    elif not os.path.lexists(path) and glob.has_magic(path):
        paths = sorted(match for match in glob.glob(path, recursive=True) if not os.path.isdir(match))
        if not paths:
            raise InputError(f"No file matches the pattern {path!r} of the {name}; check the folder and the pattern.")
    else:
        paths = [path]
    for one in paths:
        yield _file_of(one, name)


def _paths_in_folder(folder: str) -> list[str]:
    found: list[str] = []
    others: list[str] = []
    for here, below, names in os.walk(folder, onerror=functools.partial(_refuse_folder, folder)):
        below[:] = [one for one in below if not one.startswith((".", "_"))]
        partitioned = next((one for one in sorted(below) if "=" in one), None)
        if partitioned is not None:
            raise InputError(
                f"{folder} is partitioned by folders such as {partitioned!r}, whose values are not in the files; "
                f"pass pyarrow.dataset.dataset({folder!r}, partitioning='hive') instead."
            )
        for one in names:
            if one.startswith((".", "_")):
                continue
            known = one.lower().endswith(PARQUET_SUFFIXES + IPC_SUFFIXES)
            (found if known else others).append(os.path.join(here, one))
    if not found:
        only = f"only files such as {os.path.basename(min(others))!r}" if others else "no files"
        raise InputError(f"The folder {folder} has {only}; a log is made of .parquet, .arrow, .feather or .ipc files.")
    return sorted(found)


def _refuse_folder(folder: str, error: OSError) -> None:
    raise InputError(f"The folder {folder} cannot be listed: {error.strerror or error}; check its permissions.")


def _file_of(path: str, name: str) -> LogFile:
    try:
        about = os.stat(path)
        if not stat.S_ISREG(about.st_mode):
            raise InputError(f"{path} is neither a file nor a folder; pass {_TAKEN}.")
        with open(path, "rb") as file:
            head = file.read(8)
            file.seek(max(0, about.st_size - 8))
            tail = file.read(8)
    except FileNotFoundError:
        raise InputError(f"The {name} {path} does not exist; check the path.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be opened: {error.strerror or error}; check its permissions.") from None
    if not head:
        raise InputError(f"{path} is empty (0 bytes); write it again or leave it out.")
    opener = functools.partial(pa.OSFile, os.fsencode(path))
    try:
        if head.startswith(_PARQUET_MAGIC):
            if not tail.endswith(_PARQUET_MAGIC):
                raise InputError(f"{path} is a Parquet file cut short (it has no footer); write it again.")
            return ParquetLogFile(path, opener)
        if head.startswith(FILE_MAGIC):
            if not tail.endswith(FILE_MAGIC):
                raise InputError(f"{path} is an Arrow IPC file cut short (it has no footer); write it again.")
            return IpcLogFile(path, opener)
        if head.startswith(_STREAM_MAGIC):
            return IpcLogFile(path, opener)
    except READ_ERRORS as error:
        raise unreadable(path, error) from None
    raise _other_kind(path, head)


def _other_kind(path: str, head: bytes) -> InputError:
    stem, suffix = os.path.splitext(path.lower())
    if suffix in _PACKED_SUFFIXES:
        suffix = os.path.splitext(stem)[1] or suffix
    if suffix in _TEXT_SUFFIXES:
        kind = "JSON" if "json" in suffix or suffix == ".jsonl" else "CSV" if suffix != ".txt" else "Text"
        reader = "pyarrow.json.read_json" if kind == "JSON" else "pyarrow.csv.read_csv"
        return InputError(
            f"{path} is not read yet: {kind} files are to be converted, "
            f"such as by pyarrow.parquet.write_table({reader}({path!r}), 'log.parquet')."
        )
    if head.startswith(b"PARE"):
        return InputError(f"{path} is an encrypted Parquet file, which cannot be read; decrypt it first.")
    if head.startswith(b"FEA1"):
        return InputError(f"{path} is a Feather file of version 1, which is not read; write it as version 2.")
    named = "a Parquet" if suffix in PARQUET_SUFFIXES else "an Arrow IPC" if suffix in IPC_SUFFIXES else None
    if named is not None:
        return InputError(f"{path} is named as {named} file but is not one; write it again or leave it out.")
    return InputError(f"{path} is neither a Parquet nor an Arrow IPC file; convert it to one of them.")


def _is_dataset(source: Any) -> bool:
    # Importing pyarrow.dataset takes 40 MB, so it is left to those who have a dataset.
    module = sys.modules.get("pyarrow.dataset")
    return module is not None and isinstance(source, module.Dataset)


def _files_of_dataset(dataset: ds.Dataset) -> Iterator[LogFile]:
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
