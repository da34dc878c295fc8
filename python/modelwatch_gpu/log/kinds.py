"""Which kind of file a place holds, by its first and last bytes; text, which has no such mark, by its name."""

from __future__ import annotations

import os
from collections.abc import Callable

import pyarrow as pa

from ..errors import InputError
from .files import READ_ERRORS, LogFile, unreadable
from .ipc import FILE_MAGIC, IpcLogFile
from .parquet import ParquetLogFile
from .text import PACKED_SUFFIXES

PARQUET_SUFFIXES = (".parquet", ".pq", ".parq")
IPC_SUFFIXES = (".arrow", ".arrows", ".feather", ".ipc")
CSV_SUFFIXES = (".csv",)
TSV_SUFFIXES = (".tsv", ".tab")
JSON_LINES_SUFFIXES = (".jsonl", ".ndjson")
JSON_SUFFIXES = (*JSON_LINES_SUFFIXES, ".json")

#: Baselines and profiles, which are Arrow IPC files too.
OWN_SUFFIXES = (".mwb", ".mwp")

#: For messages.
KNOWN_SUFFIXES = ".parquet, .arrow, .feather, .ipc, .csv, .tsv or .jsonl"

_OTHER_PACKED_SUFFIXES = (".xz", ".zip", ".br", ".7z")
_PARQUET_MAGIC = b"PAR1"
_STREAM_MAGIC = b"\xff\xff\xff\xff"


def is_columnar(name: str) -> bool:
    """Whether a file of this name is a Parquet or Arrow IPC file."""
    return name.lower().endswith(PARQUET_SUFFIXES + IPC_SUFFIXES)


def text_suffix(name: str) -> str | None:
    """The suffix that makes a file of this name text we read, compressed or not; else None."""
    lowered = name.lower()
    for packed in PACKED_SUFFIXES:
        lowered = lowered.removesuffix(packed)
    suffix = os.path.splitext(lowered)[1]
    return suffix if suffix in (*CSV_SUFFIXES, *TSV_SUFFIXES, *JSON_SUFFIXES) else None


def file_of(
    name: str, head: bytes, tail: bytes, opener: Callable[[], pa.NativeFile], *, remote: bool = False
) -> LogFile:
    """The file with this name and these first and last 8 bytes. Raises InputError for one that is no log."""
    if name.lower().endswith(OWN_SUFFIXES):
        raise InputError(f"{name} is by its name a baseline or a profile, and no log; pass the log itself.")
    if not head:
        raise InputError(f"{name} is empty (0 bytes); write it again or leave it out.")
    try:
        if head.startswith(_PARQUET_MAGIC):
            if not tail.endswith(_PARQUET_MAGIC):
                raise InputError(f"{name} is a Parquet file cut short (it has no footer); write it again.")
            return ParquetLogFile(name, opener, remote=remote)
        if head.startswith(FILE_MAGIC):
            if not tail.endswith(FILE_MAGIC):
                raise InputError(f"{name} is an Arrow IPC file cut short (it has no footer); write it again.")
            return IpcLogFile(name, opener)
        if head.startswith(_STREAM_MAGIC):
            return IpcLogFile(name, opener)
        suffix = text_suffix(name)
        if suffix in JSON_SUFFIXES:
            from .jsonlines import JsonLogFile

            return JsonLogFile(name, opener)
        if suffix is not None:
            from .delimited import CsvLogFile

            return CsvLogFile(name, opener, delimiter="\t" if suffix in TSV_SUFFIXES else None)
    except READ_ERRORS as error:
        raise unreadable(name, error) from None
    raise _other_kind(name, head)


def _other_kind(name: str, head: bytes) -> InputError:
    stem, suffix = os.path.splitext(name.lower())
    if head.startswith(b"ORC"):
        return InputError(
            f"{name} is an ORC file, which is not read from its path; in Python, pass pyarrow.dataset.dataset(path, "
            "format='orc')."
        )
    if head.startswith(b"PK") and text_suffix(stem) is None:
        return InputError(f"{name} is a zip archive or a spreadsheet; unpack it, or save it as CSV.")
    if suffix in _OTHER_PACKED_SUFFIXES and text_suffix(stem) is not None:
        return InputError(f"{name} is compressed in a way that is not read; use gzip, zstd or bzip2.")
    if head.startswith(b"PARE"):
        return InputError(f"{name} is an encrypted Parquet file, which cannot be read; decrypt it first.")
    if head.startswith(b"FEA1"):
        return InputError(f"{name} is a Feather file of version 1, which is not read; write it as version 2.")
    named = "a Parquet" if suffix in PARQUET_SUFFIXES else "an Arrow IPC" if suffix in IPC_SUFFIXES else None
    if named is not None:
        return InputError(f"{name} is named as {named} file but is not one; write it again or leave it out.")
    return InputError(
        f"{name} is neither a Parquet nor an Arrow IPC file, and is not named as text; "
        "convert it, or name it .csv, .tsv or .jsonl if it is that."
    )
