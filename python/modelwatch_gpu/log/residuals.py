"""Errors of a predicted number as columns of the log: computed row by row, and counted like any other column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..arrays import differences
from ..errors import InputError
from ..plain import plain_array, plain_type
from .files import LayeredLogFile, Log, LogFile

#: Errors are divided by at least this, as scikit-learn does.
LEAST_LABEL: Final = float(np.finfo(np.float64).eps)


def error_columns(prediction: str, label: str) -> tuple[str, str, str, str]:
    """Names of the columns: the residual, its size, that as a share of the label's, and the symmetric share, 0 to 2."""
    apart = f"{prediction} - {label}"
    return apart, f"|{apart}|", f"|{apart}| / |{label}|", f"2 |{apart}| / (|{prediction}| + |{label}|)"


def with_residuals(log: Log, prediction: str, label: str) -> Log:
    """The log with the columns ``error_columns`` after its own, float64. A row has them where it has a label and a
    prediction that are numbers; in a file without either column they are null."""
    return Log.of([ResidualLogFile(file, prediction, label) for file in log.files])


class ResidualLogFile(LayeredLogFile):
    """A file with the errors of its prediction after the columns that it has."""

    def __init__(self, file: LogFile, prediction: str, label: str) -> None:
        self._made = error_columns(prediction, label)
        have = file.schema.names
        for name in self._made:
            if name in have:
                raise InputError(f"{file.name} has a column '{name}', which is made of two others; rename it.")
        self._inputs = (
            (prediction, label)
            if {prediction, label} <= set(have)
            and all(is_number(file.schema.field(name).type) for name in (prediction, label))
            else ()
        )
        schema = file.schema
        for name in self._made:
            schema = schema.append(pa.field(name, pa.float64()))
        super().__init__(file, schema)

    def time_range(self, column: str) -> tuple[int, int] | None:
        """As ``LogFile.time_range``; an error has no time."""
        return None if column in self._made else self._file.time_range(column)

    def _of_file(self, columns: Sequence[str]) -> list[str]:
        """The columns of the file below that these are, or are made of."""
        found: dict[str, None] = {}
        for name in columns:
            found.update(dict.fromkeys(self._inputs if name in self._made else [name]))
        return list(found) or self._file.schema.names[:1]  # its rows count

    def _made_of(self, batch: pa.RecordBatch, columns: Sequence[str]) -> pa.RecordBatch:
        made: dict[str, pa.Array] = {}
        if set(columns) & set(self._made):
            if self._inputs:
                arrays = errors(*(batch.column(name) for name in self._inputs))
            else:
                arrays = (pa.nulls(len(batch), pa.float64()),) * len(self._made)
            made = dict(zip(self._made, arrays, strict=True))
        return pa.RecordBatch.from_arrays(
            [made[name] if name in made else batch.column(name) for name in columns], names=list(columns)
        )


def is_number(kind: pa.DataType) -> bool:
    """Whether values of this type can be subtracted as numbers; dates and times are none."""
    kind = plain_type(kind)
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    t = pa.types
    return bool(t.is_integer(kind) or t.is_floating(kind) or t.is_decimal(kind) or t.is_null(kind))


def errors(prediction: pa.Array, label: pa.Array) -> tuple[pa.Array, ...]:
    """The columns ``error_columns`` of every row, null where either side is null or NaN. Whole numbers of one
    type are subtracted before they are rounded."""
    sides = [_numbers(array) for array in (prediction, label)]
    kinds = {values.dtype for values, _ in sides}
    if len(kinds) > 1:
        sides = [(values.astype(np.float64), there) for values, there in sides]
    (z, z_there), (y, y_there) = sides
    apart = differences(z, y)
    missing = ~(z_there & y_there) | np.isnan(apart)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        size, other = np.abs(y.astype(np.float64)), np.abs(z.astype(np.float64))
        share = np.abs(apart) / np.maximum(size, LEAST_LABEL)
        # In units of the larger side, so that sums of large numbers stay finite. No error of 0 beside 0 is 0.
        unit = np.maximum(size, other)
        unit = np.where(unit > 0, unit, 1.0)
        half = (size / unit + other / unit) / 2
        symmetric = np.abs(apart) / unit / np.where(half > 0, half, 1.0)
    found = (apart, np.abs(apart), share, symmetric)
    return tuple(pa.array(v, pa.float64(), mask=missing | np.isnan(v)) for v in found)


def _numbers(array: pa.Array) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, np.dtype[np.bool_]]]:
    """Values in int64, uint64 or float64, and which of them are there."""
    array = plain_array(array)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    wide = pa.float64()
    if pa.types.is_integer(array.type):
        wide = pa.uint64() if array.type == pa.uint64() else pa.int64()
    there = pc.is_valid(array).to_numpy(zero_copy_only=False)
    cast = array.cast(wide, safe=False)
    values = (cast.fill_null(0) if cast.null_count else cast).to_numpy(zero_copy_only=False)
    return values, there & ~np.isnan(values) if values.dtype.kind == "f" else there
