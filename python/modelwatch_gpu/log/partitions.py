"""Hive partitions: what folders such as ``year=2013/month=04`` say about the files in them."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc

from ..errors import InputError
from .files import LogFile, Span

NULL = "__HIVE_DEFAULT_PARTITION__"

Values = dict[str, str | None]

_WHOLE = re.compile(r"-?[0-9]{1,19}")


def values_of(path: str, root: str) -> Values:
    """The column values that the folders of a file name, as text, in order; paths have forward slashes.

    root: the folder the log was given as. Folders above it count where they too are partitions, in one run up from it,
    so a file says the same whether it was named itself or found in a folder above. Raises InputError for two folders
    that name one column.
    """
    while "=" in posixpath.basename(root):
        root = posixpath.dirname(root)
    found: Values = {}
    for part in posixpath.relpath(posixpath.dirname(path) or ".", root or ".").split("/"):
        key, equals, value = part.partition("=")
        key = unquote(key)
        if not (key and equals):
            continue
        if key in found:
            raise InputError(f"{path} lies in two folders named {key}=...; a partition column can have one value only.")
        found[key] = None if value == NULL else unquote(value)
    return found


def partitioned(files: Sequence[LogFile], values: Sequence[Values]) -> Iterator[LogFile]:
    """The files with their partition columns: int64 where every value of the column is a whole number, else text."""
    types: dict[str, pa.DataType] = {}
    for own in values:
        for key, value in own.items():
            types.setdefault(key, pa.int64())
            if value is not None and not (_WHOLE.fullmatch(value) and -(2**63) <= int(value) < 2**63):
                types[key] = pa.dictionary(pa.int32(), pa.string())
    for key, kind in types.items():
        if all(own.get(key) is None for own in values) and pa.types.is_integer(kind):
            types[key] = pa.dictionary(pa.int32(), pa.string())
    for file, own in zip(files, values, strict=True):
        yield PartitionedLogFile(file, own, types) if own else file


class PartitionedLogFile(LogFile):
    """A file with columns that have one value in all of its rows. A column of its own with that name must agree."""

    def __init__(self, file: LogFile, values: Mapping[str, str | None], types: Mapping[str, pa.DataType]) -> None:
        self._file = file
        self._values = dict(values)
        self._constants = {
            key: _scalar(value, types[key]) for key, value in values.items() if key not in file.schema.names
        }
        added = [pa.field(key, types[key]) for key in self._constants]
        super().__init__(file.name, pa.schema([*file.schema, *added]), file.rows, reusable=file.reusable)

    def time_range(self, column: str) -> Span:
        """As ``LogFile.time_range``."""
        return self._file.time_range(column)

    def _batches(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        # With no column of its own asked for, the file is read for its number of rows.
        own = [name for name in columns if name not in self._constants] or [_narrowest(self._file.schema)]
        for batch in self._file.batches(own):
            arrays = []
            for name in columns:
                if name in self._constants:
                    arrays.append(_repeated(self._constants[name], batch.num_rows))
                    continue
                arrays.append(batch.column(name))
                if name in self._values:
                    self._check(name, arrays[-1])
            yield pa.RecordBatch.from_arrays(arrays, names=columns)

    def _check(self, name: str, values: pa.Array) -> None:
        said = self._values[name]
        kind = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
        try:
            plain = values.cast(kind)
            expected = pa.scalar(said, pa.string()).cast(kind)
            other = pc.is_valid(plain) if said is None else pc.fill_null(pc.not_equal(plain, expected), True)
        except pa.ArrowException:
            other = pa.array([True])
        if pc.any(other).as_py():
            folder = f"{name}={NULL if said is None else said}"
            raise InputError(
                f"{self.name} lies in the folder {folder} but has other values in its own column {name!r}; "
                "correct one of them, or move the file."
            )


def _scalar(value: str | None, kind: pa.DataType) -> pa.Scalar:
    if pa.types.is_integer(kind):
        return pa.scalar(None if value is None else int(value), kind)
    return pa.scalar(value, pa.string())


def _repeated(value: pa.Scalar, rows: int) -> pa.Array:
    if pa.types.is_integer(value.type):
        return pa.repeat(value, rows)
    dictionary = pa.array([value.as_py()] if value.is_valid else [], pa.string())
    return pa.DictionaryArray.from_arrays(
        pa.repeat(pa.scalar(0 if value.is_valid else None, pa.int32()), rows), dictionary
    )


def _narrowest(schema: pa.Schema) -> str:
    """A column that is cheap to read: numbers before text before lists."""

    def width(field: pa.Field) -> int:
        try:
            return int(field.type.bit_width)
        except ValueError:
            return 1_000_000 + int(pa.types.is_nested(field.type))

    return str(min(schema, key=width).name)
