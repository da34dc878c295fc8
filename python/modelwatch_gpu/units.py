"""Decimals as whole numbers of their unit: 12.50 of type decimal(4, 2) is 1250 times 10^-2.

Decimals are compared by these whole numbers and never rounded. The *scale* is the number of digits after the point;
a negative one counts zeros before it. Every other number has scale 0.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

#: Arrow decimals have no more digits, before or after the point.
MOST_DIGITS: Final = 76


def scale_of(kind: pa.DataType) -> int:
    """Digits after the point of a decimal type, 0 of any other."""
    return int(kind.scale) if pa.types.is_decimal(kind) else 0


def unit_of(scale: int) -> Fraction:
    """What one step of the whole numbers is worth: 10^-scale."""
    return Fraction(10) ** -scale


def in_units(whole: Any, scale: int) -> float:
    """A number of steps as a number of the column's own units; whole numbers are divided with one rounding."""
    if scale == 0:
        return float(whole)
    if isinstance(whole, int):
        return float(whole * unit_of(scale))
    return float(whole) / 10.0**scale if scale > 0 else float(whole) * 10.0**-scale


def in_steps(value: Any, scale: int) -> Any:
    """The inverse of ``in_units``, exactly. A float stands for the shortest decimal that reads as it: 0.3 is 3/10."""
    if scale == 0:
        return value
    return Fraction(repr(float(value)) if isinstance(value, float) else value) / unit_of(scale)


def unscaled(array: pa.Array, scale: int) -> pa.Array:
    """Decimals or integers as int64 numbers of steps of 10^-scale.

    Raises pa.ArrowInvalid where a value is no whole number of steps or takes more than 64 bits.
    """
    if not pa.types.is_decimal(array.type):
        whole = array.cast(pa.int64())
        if scale < 0:
            whole = whole.cast(pa.decimal128(38, 0))
        else:
            return pc.multiply_checked(whole, 10**scale) if scale else whole
        array = whole
    if array.type.scale != scale:
        wide = pa.types.is_decimal256(array.type)
        array = array.cast(pa.decimal256(76, scale) if wide else pa.decimal128(38, scale))
    return _steps(array)


def _steps(array: pa.Array) -> pa.Array:
    """The stored integers of a decimal array, where they fit into 64 bits."""
    validity, data = array.buffers()
    words = max(1, array.type.bit_width // 64)
    stored = np.dtype("<i4" if array.type.bit_width == 32 else "<i8")
    # From a whole byte of the bitmap on, so that a slice of a long array costs its own length only.
    shift = array.offset % 8
    first, rows = array.offset - shift, shift + len(array)
    if data is None or len(array) == 0:
        return pa.nulls(len(array), pa.int64())
    raw = np.frombuffer(data, dtype=stored, count=words * rows, offset=first * words * stored.itemsize)
    values = raw.reshape(rows, words)
    low = values[:, 0]
    too_wide = np.zeros(rows, dtype=bool)
    for upper in range(1, words):
        too_wide |= values[:, upper] != low >> 63
    steps = pa.Array.from_buffers(
        pa.int64(),
        len(array),
        [None if validity is None else validity.slice(first // 8), pa.py_buffer(low.astype(np.int64))],
        offset=shift,
    )
    if too_wide.any():
        outside = pc.and_(pa.array(too_wide[shift:]), steps.is_valid())
        if pc.any(outside).as_py():
            raise pa.ArrowInvalid(f"a value of type {array.type} has more digits than 64 bits hold")
    return steps
