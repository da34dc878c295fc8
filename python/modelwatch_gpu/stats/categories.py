"""Columns counted by value: text, booleans, whatever is not a number."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from modelwatch_gpu.arrays import is_numeric
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


def value_counts(a: pa.Array, b: pa.Array) -> tuple[Counts, Counts]:
    """Counts of both sides over every value of either, in one order; null, a value like the others, comes first."""
    if is_numeric(a) != is_numeric(b):
        raise InputError(f"reference is {a.type} and current is {b.type}; give both one type.")
    totals: list[dict[Any, int]] = []
    for side, name in ((a, "reference"), (b, "current")):
        counted = pc.value_counts(checked_type(side, name))
        totals.append({row["values"]: row["counts"] for row in counted.to_pylist()})
    every = sorted(set(totals[0]) | set(totals[1]), key=lambda v: (v is not None, str(v)))
    p, q = (np.array([t.get(v, 0) for v in every], dtype=np.uint64) for t in totals)
    return p, q
