"""Columns counted by value: text, booleans, whatever is not a number."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from modelwatch_gpu.arrays import is_numeric
from modelwatch_gpu.device_text import DeviceText
from modelwatch_gpu.errors import InputError

Counts = npt.NDArray[np.uint64]


def plain(array: pa.Array) -> pa.Array:
    """A dictionary column as the values it stands for."""
    return array.cast(array.type.value_type) if pa.types.is_dictionary(array.type) else array


def checked_type(array: pa.Array, name: str) -> pa.Array:
    """The plain column; raises InputError where its values are lists or records, which have no equality to count by."""
    if pa.types.is_nested(array.type):
        raise InputError(f"{name} has type {array.type}; numbers, text, booleans, dates or times are needed.")
    return plain(array)


def counts_of(array: pa.Array | DeviceText, name: str) -> dict[Any, int]:
    """How many rows have each value; of None, null."""
    if isinstance(array, DeviceText):
        return array.value_counts
    return {row["values"]: row["counts"] for row in pc.value_counts(checked_type(array, name)).to_pylist()}


def value_counts(a: Any, b: Any, *, nulls: bool = True) -> tuple[Counts, Counts]:
    """Counts of both sides over every value of either, in one order; null, a value like the others, comes first, unless
    it is left out."""
    if is_numeric(a) != is_numeric(b):
        raise InputError(f"reference is {a.type} and current is {b.type}; give both one type.")
    totals = [counts_of(a, "reference"), counts_of(b, "current")]
    every = sorted(
        (set(totals[0]) | set(totals[1])) - (set() if nulls else {None}), key=lambda v: (v is not None, str(v))
    )
    p, q = (np.array([t.get(v, 0) for v in every], dtype=np.uint64) for t in totals)
    return p, q
