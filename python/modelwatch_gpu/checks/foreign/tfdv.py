"""TensorFlow Data Validation: its statistics file, read without TensorFlow and without a protobuf package.

The message is ``DatasetFeatureStatisticsList`` of tensorflow/metadata (``statistics.proto``), as a file of its own or
as the one record of a TFRecord file. The wire format: https://protobuf.dev/programming-guides/encoding
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from modelwatch_gpu.checks.expectations import Expectations
from modelwatch_gpu.checks.foreign.summaries import ColumnSummary, expectations_of
from modelwatch_gpu.errors import InputError

#: Numbers of fields of the messages.
_DATASETS, _EXAMPLES, _FEATURES = 1, 2, 3
_NAME, _TYPE, _NUMBERS, _TEXT, _PATH = 1, 2, 3, 4, 8
_INT: Final = 0
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

Fields = dict[int, list[Any]]


def read_tfdv(path: str | os.PathLike[str]) -> Expectations:
    """Expectations from a statistics file of TFDV (``write_stats_binary`` or a TFRecord).

    Rows, missing rows, range, mean, standard deviation and zeros of numbers and distinct values of text are used; of
    several data sets (slices) the first. Features of structures have no name of their own here: the steps of their path
    are joined by points. Raises InputError where the file cannot be read or is something else.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}).") from error
    try:
        datasets = [_fields(one) for one in _fields(_message(content)).get(_DATASETS, [])]
        columns = [column for column in map(_column, map(_fields, datasets[0].get(_FEATURES, []))) if column]
    except (ValueError, IndexError, TypeError, AttributeError, OverflowError, struct.error) as error:
        raise InputError(f"{path}: not a statistics file of TFDV ({error}).") from None
    if not columns:
        raise InputError(f"{path}: not a statistics file of TFDV (it has no features).")
    notes = [f"Of {len(datasets)} data sets the first is used."] if len(datasets) > 1 else []
    return expectations_of(columns, notes=notes)


def _column(feature: Fields) -> ColumnSummary | None:
    steps = [step.decode() for path in feature.get(_PATH, []) for step in _fields(path).get(1, [])]
    name = ".".join(steps) or b"".join(feature.get(_NAME, [])).decode()
    numbers = _fields(feature[_NUMBERS][-1]) if _NUMBERS in feature else {}
    text = _fields(feature[_TEXT][-1]) if _TEXT in feature else {}
    if not name or not (numbers or text):
        return None
    common = _fields((numbers or text).get(1, [b""])[-1])
    present, missing = common.get(1, [0])[-1], common.get(2, [0])[-1]

    def number(at: int) -> float:
        value = numbers.get(at, [0.0])[-1]  # proto3 leaves zeros out
        return float(value)

    if numbers:
        return ColumnSummary(
            name=name,
            rows=present + missing,
            missing=missing,
            minimum=number(5),
            maximum=number(7),
            mean=number(2),
            sd=number(3),
            zeros=int(number(4)),
            whole=feature.get(_TYPE, [_INT])[-1] == _INT,
        )
    return ColumnSummary(name=name, rows=present + missing, missing=missing, distinct=float(text.get(2, [0])[-1]))


def _message(content: bytes) -> bytes:
    """The first record of a TFRecord file, or the content itself."""
    if len(content) >= 16:
        (length,) = struct.unpack_from("<Q", content)
        if length <= len(content) - 16:
            return content[12 : 12 + length]
    return content


def _fields(message: bytes) -> Fields:
    """Field number -> its values in order: whole numbers, doubles, or bytes."""
    found: Fields = {}
    for number, value in _walk(message):
        found.setdefault(number, []).append(value)
    return found


def _walk(message: bytes) -> Iterator[tuple[int, Any]]:
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, kind = key >> 3, key & 7
        if number == 0:
            raise ValueError("a field has the number 0")
        if kind == _VARINT:
            value, at = _varint(message, at)
            yield number, value
        elif kind == _FIXED64:
            yield number, struct.unpack_from("<d", message, at)[0]
            at += 8
        elif kind == _FIXED32:
            yield number, struct.unpack_from("<f", message, at)[0]
            at += 4
        elif kind == _BYTES:
            size, at = _varint(message, at)
            if size > len(message) - at:
                raise ValueError("a field is longer than its message")
            yield number, message[at : at + size]
            at += size
        else:
            raise ValueError(f"a field has the wire type {kind}")


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
    raise ValueError("a number is too long")
