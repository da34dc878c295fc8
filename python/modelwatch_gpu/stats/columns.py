"""Counts of columns: rows, missing and distinct values, values that the reference does not have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from modelwatch_gpu import _core, keys
from modelwatch_gpu.arrays import as_columns, in_domain, is_numeric, present_values
from modelwatch_gpu.device import Engine, engine
from modelwatch_gpu.device_arrays import DeviceColumn, resolve_for
from modelwatch_gpu.device_text import DeviceText
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.measures.value import Value
from modelwatch_gpu.stats.categories import checked_type, value_counts
from modelwatch_gpu.stats.cells import comparable, distinct_keys, distinct_of, knots_of
from modelwatch_gpu.stats.result import (
    ColumnResult,
    StatResult,
    checked,
    gathered,
    over_columns,
    over_pairs,
    reference_columns,
)


def _nan_rows(array: pa.Array | DeviceColumn | DeviceText) -> int:
    if isinstance(array, DeviceColumn):
        return int(engine(array.device).column_moments(array)["nan"])
    if isinstance(array, DeviceText) or not pa.types.is_floating(array.type):
        return 0
    return int(pc.sum(pc.is_nan(array)).as_py() or 0)


def _share(values: Any, count: Callable[[pa.Array], int], name: str, device: str, full: bool) -> Any:
    chosen = resolve_for(device, values)

    def one(array: pa.Array) -> ColumnResult:
        if len(array) == 0:
            raise InputError(f"{name} has no answer: values has no rows.")
        missing = array.null_count + _nan_rows(array)
        return ColumnResult(count(array) / len(array), len(array) - missing, missing, chosen)

    return over_columns(values, one, full=full)


def missing(values: Any, *, device: str = "auto", full: bool = False) -> Any:
    """Share of rows that are null or NaN, 0 to 1.

    Args:
        values: (n,) or (n, columns).
        device: "auto" (where the arrays lie), "cpu", "cuda" or "cuda:N".
        full: Return a ColumnResult (or a tuple of them) instead of a float (or a (columns,) float64 array).

    Raises:
        InputError: There are no rows.
    """
    return _share(values, lambda c: c.null_count + _nan_rows(c), "missing", device, full)


def nan(values: Any, *, device: str = "auto", full: bool = False) -> Any:
    """Share of rows that are NaN, 0 to 1; null is not. Arguments and errors as for ``missing``."""
    return _share(values, _nan_rows, "nan", device, full)


def missing_change(reference: Any, current: Any, *, device: str = "auto", full: bool = False) -> Any:
    """``missing`` of current - ``missing`` of reference, in points of a share, -1 to 1.

    Args:
        reference, current: (n,) and (m,), or (n, columns) and (m, columns).
        device: "auto" (where the arrays lie), "cpu", "cuda" or "cuda:N".
        full: Return a StatResult (or a tuple of them) instead of a float (or a (columns,) float64 array).

    Raises:
        InputError: A side has no rows.
    """
    chosen = resolve_for(device, reference, current)
    sides = [reference_columns(reference), as_columns(current, "current")]
    if len(sides[0][0]) != len(sides[1][0]):
        raise InputError(
            f"reference has {len(sides[0][0])} columns and current has {len(sides[1][0])}; give both the same columns."
        )
    results = []
    for a, b in zip(sides[0][0], sides[1][0], strict=True):
        before, after = (missing(c, full=True) for c in (a, b))
        moved = after.value - before.value
        results.append(StatResult(moved, moved, moved, before.n, after.n, after.missing, chosen))
    return gathered(results, sides[0][1] or sides[1][1], full)


def row_count(values: Any, *, device: str = "auto", full: bool = False) -> Any:
    """Rows, missing ones included: an int, or (columns,) int64. Arguments as for ``missing``."""
    return _count(values, lambda array, _: len(array), device, full)


def distinct(values: Any, *, device: str = "auto", full: bool = False) -> Any:
    """Different values, null and NaN left out, -0.0 and 0.0 one value: an int, or (columns,) int64. Arguments as for
    ``missing``."""
    return _count(values, _distinct, device, full)


def _distinct(array: pa.Array, device: str) -> int:
    if pa.types.is_null(array.type):
        return 0
    if is_numeric(array):
        domain = str(keys.domain_of(array.type))
        return len(distinct_of(in_domain(array, domain, "values"), domain, device)[0])
    if isinstance(array, DeviceText):
        return len(array.value_counts.keys() - {None})
    return int(pc.count_distinct(checked_type(array, "values"), mode="only_valid").as_py())


def _count(values: Any, count: Callable[[pa.Array, str], int], device: str, full: bool) -> Any:
    chosen = resolve_for(device, values)

    def one(array: pa.Array) -> ColumnResult:
        gone = array.null_count + _nan_rows(array)
        return ColumnResult(count(array, chosen), len(array) - gone, gone, chosen)

    found = over_columns(values, one, full=full)
    return found.astype(np.int64) if isinstance(found, np.ndarray) else found


def out_of_range(reference: Any, current: Any, *, device: str = "auto", threads: int = 0, full: bool = False) -> Any:
    """Share of current values below the reference's smallest or above its largest, 0 to 1.

    Args:
        reference, current: (n,) and (m,), or (n, columns) and (m, columns): numbers, dates or times.
        device: "auto" (where the arrays lie), "cpu", "cuda" or "cuda:N".
        threads: 0 means MODELWATCH_THREADS or all CPUs of the process.
        full: Return a StatResult (or a tuple of them) instead of a float (or a (columns,) float64 array).

    Raises:
        InputError: A side has no values, or values that cannot be compared exactly.
    """

    def outside(a: pa.Array, b: pa.Array, domain: str, counting: Engine) -> tuple[int, int]:
        values = present_values(a)
        ends = keys.keys_of(np.array([values.min(), values.max()]), domain)
        knots = knots_of(domain, ends)
        low, high = np.searchsorted(knots, ends)
        cells = counting.count_cells(b, _core.Grid(keys.DOMAINS[domain], knots), threads)[:-2]
        return int(cells[: 2 * low + 1].sum() + cells[2 * high + 2 :].sum()), int(cells.sum())

    return _beyond(reference, current, "out_of_range", outside, device, full)


def unseen(reference: Any, current: Any, *, device: str = "auto", threads: int = 0, full: bool = False) -> Any:
    """Share of current values that the reference does not have, 0 to 1; of numbers too, compared exactly. Arguments and
    errors as for ``out_of_range``; text and booleans are taken as well."""

    def new(a: pa.Array, b: pa.Array, domain: str, counting: Engine) -> tuple[int, int]:
        knots = distinct_keys(present_values(a), domain)[0]
        every = knots_of(domain, knots)
        cells = counting.count_cells(b, _core.Grid(keys.DOMAINS[domain], every), threads)[:-2]
        known = cells[2 * np.searchsorted(every, knots) + 1]
        return int(cells.sum() - known.sum()), int(cells.sum())

    return _beyond(reference, current, "unseen", new, device, full)


def _beyond(
    reference: Any,
    current: Any,
    name: str,
    count: Callable[[pa.Array, pa.Array, str, Engine], tuple[int, int]],
    device: str,
    full: bool,
) -> Any:
    chosen = resolve_for(device, reference, current)

    def one(a: pa.Array, b: pa.Array) -> StatResult:
        if name == "unseen" and not (is_numeric(a) and is_numeric(b)):
            p, q = value_counts(a, b, nulls=False)
            n, m, rows = int(p.sum()), int(q.sum()), int(q[p == 0].sum())
        else:
            a, b, domain = comparable(a, b)
            n = len(present_values(a))
            rows, m = count(a, b, domain, engine(chosen)) if n else (0, 0)
        if n == 0 or m == 0:
            checked(Value.absent("baseline_all_missing" if n == 0 else "all_missing"), name)
        return StatResult(*checked(Value.exact(rows / m, m), name), n=n, m=m, missing=len(b) - m, device=chosen)

    return over_pairs(reference, current, one, full=full)
