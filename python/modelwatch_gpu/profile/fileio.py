"""Baseline and profile files: one Arrow IPC file, a JSON header, a SHA-256 over everything (DESIGN 5).

The table has a row per array: ``name``, ``dtype`` (a NumPy type string, little endian), ``data`` (the bytes). The first
row is the header. The hash stands in the header and covers the whole file with its own 64 digits set to zero. No time,
host, path or thread count is written, so equal state is equal bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from modelwatch_gpu import _core
from modelwatch_gpu.errors import InputError, OutputError
from modelwatch_gpu.plain import array_of_bytes
from modelwatch_gpu.profile.sound import UNSOUND
from modelwatch_gpu.profile.sparse import narrow
from modelwatch_gpu.profile.tables import Arrays

#: The newest formats; all earlier ones are read. Profiles of format 1 had one segment column at most.
FORMAT_VERSIONS: Final = {"baseline": 6, "profile": 7}
#: What is written where rows have no weights, no column is derived and no answer is held against a label; what where
#: rows have weights; and what where columns are derived: versions that know no more can read it, and would misread the
#: newest.
_PLAIN: Final = {"baseline": 1, "profile": 2}
_WITH_WEIGHTS: Final = {"baseline": 2, "profile": 3}
_WITH_DERIVED: Final = {"baseline": 3, "profile": 4}
#: What is written where answers are held against a label, and there is no embedding.
_WITH_SCORING: Final = {"baseline": 4, "profile": 5}
_MAGIC: Final = b"ARROW1\0\0"
_HASH_KEY: Final = b'"sha256": "'
_ZEROS: Final = b"0" * 64
_SCHEMA: Final = pa.schema([("name", pa.string()), ("dtype", pa.string()), ("data", pa.large_binary())])
_DTYPES: Final = {"|u1", "<u2", "<u4", "<u8", "<i8", "<f8"}


def as_stored(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """An array as a file has it: unsigned integers in the narrowest type that holds them all."""
    if array.dtype.kind != "u":
        return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    found = narrow(array)
    return np.ascontiguousarray(found, dtype=found.dtype.newbyteorder("<"))


def content_hash(kind: str, header: dict[str, Any], arrays: Arrays) -> str:
    """SHA-256 of what a file says, whichever version of the library writes it."""
    return hashlib.sha256(content_of(kind, header, arrays, library="")).hexdigest()


def content_of(kind: str, header: dict[str, Any], arrays: Arrays, *, library: str | None = None) -> bytearray:
    """A complete file; ``header`` must hold JSON values only. ``library``: the version to name, by default this one.

    A profile of thousands of segments is large: beside the arrays there are never more than two copies of it.
    """
    if library is None:
        library = str(_core.build_info()["version"])
    told = (("scoring", _WITH_SCORING), ("derived", _WITH_DERIVED), ("weight", _WITH_WEIGHTS))
    needed = next((formats for what, formats in told if what in header), _PLAIN)
    if any(name.startswith(("embedding/", "part/embedding/")) or "/embedding/" in name for name in arrays):
        needed = FORMAT_VERSIONS
    version = needed[kind]
    full = {"sha256": _ZEROS.decode(), "format": version, "kind": kind, "library": library, **header}
    text = json.dumps(full, ensure_ascii=True, allow_nan=False).encode()
    rows: list[tuple[bytes, bytes, bytes | memoryview]] = [(b"header", b"json", text)]
    for name in sorted(arrays):
        stored = as_stored(arrays[name])
        rows.append((name.encode(), stored.dtype.str.encode(), stored.view(np.uint8).data))
    columns = [array_of_bytes([row[i] for row in rows], field.type) for i, field in enumerate(_SCHEMA)]
    del rows
    batch = pa.RecordBatch.from_arrays(columns, schema=_SCHEMA)
    measured = pa.MockOutputStream()
    _write(measured, batch)
    raw = bytearray(measured.size())
    _write(pa.FixedSizeBufferWriter(pa.py_buffer(raw)), batch)
    at = raw.index(_HASH_KEY) + len(_HASH_KEY)
    raw[at : at + 64] = hashlib.sha256(raw).hexdigest().encode()
    return raw


def to_bytes(kind: str, header: dict[str, Any], arrays: Arrays, *, library: str | None = None) -> bytes:
    """``content_of`` as bytes."""
    return bytes(content_of(kind, header, arrays, library=library))


def _write(sink: Any, batch: pa.RecordBatch) -> None:
    with pa.ipc.new_file(sink, _SCHEMA) as writer:
        writer.write_batch(batch)


def from_bytes(raw: bytes, kind: str, name: str) -> tuple[dict[str, Any], Arrays]:
    """Header and arrays of a file; ``name`` is used in errors. Nothing is trusted before the hash agrees."""
    at = raw.find(_HASH_KEY)
    if at < 0 or len(raw) < at + len(_HASH_KEY) + 64:
        raise InputError(
            f"{name}: not a modelwatch {kind} file, or cut short; make it again or restore it from a copy."
        )
    at += len(_HASH_KEY)
    stated = raw[at : at + 64]
    digest = hashlib.sha256(raw[:at])
    digest.update(_ZEROS)
    digest.update(memoryview(raw)[at + 64 :])
    if digest.hexdigest().encode() != stated:
        raise InputError(f"{name}: the file is damaged (its SHA-256 does not match); restore it from a copy.")
    try:
        names, dtypes, data = _rows(raw)
        header = json.loads(data[0], parse_constant=_refuse)
        version, found = header["format"], header["kind"]
    except (pa.ArrowException, OSError, *UNSOUND) as error:
        raise InputError(f"{name}: not a modelwatch {kind} file ({type(error).__name__}); make it again.") from error
    if found != kind:
        raise InputError(f"{name}: this is a {found} file, but a {kind} is needed here.")
    if type(version) is not int or not 1 <= version <= FORMAT_VERSIONS[kind]:
        raise InputError(
            f"{name}: written in format {version} by modelwatch {header.get('library')}; this version reads formats up "
            f"to {FORMAT_VERSIONS[kind]}, so upgrade modelwatch-gpu."
        )
    arrays: Arrays = {}
    for array_name, dtype, content in zip(names[1:], dtypes[1:], data[1:], strict=True):
        if array_name in arrays:
            raise InputError(f"{name}: array '{array_name}' is there twice; make the file again.")
        if dtype not in _DTYPES or len(content) % np.dtype(dtype).itemsize:
            raise InputError(f"{name}: array '{array_name}' has an unknown layout; make the file again.")
        arrays[array_name] = np.frombuffer(content, dtype=np.dtype(dtype))
    return header, arrays


def _rows(raw: bytes) -> tuple[list[Any], list[Any], list[Any]]:
    """Names, dtypes and contents of the rows. Batches are read one after the other, as they lie: no footer is asked
    where they are, and none may be compressed, so a small file cannot become large in memory."""
    messages = list(pa.ipc.MessageReader.open_stream(pa.py_buffer(raw)[len(_MAGIC) :]))
    if not messages or messages[0].type != "schema" or pa.ipc.read_schema(messages[0]) != _SCHEMA:
        raise ValueError("another schema")
    batches = []
    for message in messages[1:]:
        if message.type != "record batch" or _is_compressed(message.metadata.to_pybytes()):
            raise ValueError("a message that no file of ours has")
        batches.append(pa.ipc.read_record_batch(message, _SCHEMA))
    table = pa.Table.from_batches(batches, _SCHEMA)
    table.validate(full=True)
    if any(column.null_count for column in table.columns):
        raise ValueError("a row without a name, type or content")
    names, dtypes, data = (table.column(field.name).to_pylist() for field in _SCHEMA)
    return names, dtypes, data


def _is_compressed(metadata: bytes) -> bool:
    """Whether a record batch's metadata has a field ``compression``: the fourth of RecordBatch, which is the third of
    Message (Arrow's format/Message.fbs)."""

    def field(table: int, index: int) -> int:
        """Where a field of a FlatBuffers table lies; 0 where it is absent."""
        vtable = table - int.from_bytes(metadata[table : table + 4], "little", signed=True)
        at = vtable + 4 + 2 * index
        size = int.from_bytes(metadata[vtable : vtable + 2], "little")
        offset = int.from_bytes(metadata[at : at + 2], "little") if at + 2 <= vtable + size else 0
        return table + offset if offset else 0

    def target(at: int) -> int:
        return at + int.from_bytes(metadata[at : at + 4], "little")

    return field(target(field(target(0), 2)), 3) != 0


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def read_file(path: str | os.PathLike[str], kind: str) -> tuple[dict[str, Any], Arrays]:
    """Reads and checks a file written by ``write_file``."""
    try:
        raw = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}).") from error
    return from_bytes(raw, kind, str(path))


def write_file(path: str | os.PathLike[str], content: bytes | bytearray | Iterable[bytes]) -> None:
    """Writes beside the target and renames: the target is either the old file or the whole new one. Content in pieces
    is written as it comes."""
    target = Path(path)
    beside: str | None = None
    try:
        descriptor, beside = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
        with os.fdopen(descriptor, "wb") as file:
            file.writelines([content] if isinstance(content, bytes | bytearray) else content)
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        Path(beside).chmod(0o666 & ~umask)
        os.replace(beside, target)
    except BaseException as error:
        if beside is not None:
            Path(beside).unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise
        raise OutputError(f"{target}: cannot be written ({error.strerror or error}).") from error
