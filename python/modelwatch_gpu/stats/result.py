"""What ``full=True`` returns, and how columns and pairs of columns are walked."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from modelwatch_gpu.arrays import as_columns, one_scale
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.measures.value import REASONS, Value
from modelwatch_gpu.stats.prepared import Prepared


@dataclass(frozen=True)
class StatResult:
    """A measure of one column pair. ``lower <= value <= upper``; ``n``, ``m``: rows with a value in the reference and
    the current sample; ``missing``: null and NaN rows of the current one; ``device``: what answered; ``pvalue``: of
    the measure's test, None where the measure has none."""

    value: float
    lower: float
    upper: float
    n: int
    m: int
    missing: int
    device: str
    pvalue: float | None = None


@dataclass(frozen=True)
class ColumnResult:
    """A number of one column, or of labels and what was predicted. ``n``: rows that took part; ``missing``: rows that
    did not, for a null or NaN; ``device``: what answered; ``lower <= value <= upper``: apart only where ties leave the
    number open."""

    value: float
    n: int
    missing: int
    device: str
    lower: float = math.nan
    upper: float = math.nan

    def __post_init__(self) -> None:
        for end in ("lower", "upper"):
            if math.isnan(getattr(self, end)):
                object.__setattr__(self, end, self.value)


def over_columns(values: Any, measure: Callable[[pa.Array], ColumnResult], *, full: bool) -> Any:
    """Applies ``measure`` to every column: one number, or an array of them; results where ``full``."""
    columns, batched = as_columns(values, "values")
    return gathered([measure(c) for c in columns], batched, full)


def reference_columns(reference: Any, name: str = "reference") -> tuple[Sequence[pa.Array], bool]:
    """``as_columns`` of a reference, which may have been prepared."""
    if isinstance(reference, Prepared):
        return reference.columns, reference.batched
    return as_columns(reference, name)


def over_pairs(
    reference: Any,
    current: Any,
    measure: Callable[[pa.Array, pa.Array], Any],
    *,
    full: bool,
    names: tuple[str, str] = ("reference", "current"),
    shared: bool = False,
) -> Any:
    """Applies ``measure`` to every pair of columns: one number, or an array of them; results where ``full``.

    ``shared``: one column of the first side may stand against several of the second.
    """
    left, left_batched = reference_columns(reference, names[0])
    right, right_batched = as_columns(current, names[1])
    if shared and not left_batched and len(left) == 1:
        left = [left[0]] * len(right)
    if len(left) != len(right):
        raise InputError(
            f"{names[0]} has {len(left)} columns and {names[1]} has {len(right)}; give both the same columns."
        )
    results = []
    for a, b in zip(left, right, strict=True):
        for column, name in ((a, names[0]), (b, names[1])):
            if pa.types.is_null(column.type):
                raise InputError(f"{name} has no values.")
        results.append(measure(*one_scale(a, b, names)))
    return gathered(results, left_batched or right_batched, full)


def gathered(results: Sequence[Any], batched: bool, full: bool) -> Any:
    """Results of columns as they are returned."""
    if full:
        return tuple(results) if batched else results[0]
    return np.array([r.value for r in results], dtype=np.float64) if batched else results[0].value


def checked(value: Value, name: str, reasons: Mapping[str, str] = REASONS) -> tuple[float, float, float]:
    """The numbers of a measure; raises InputError with the reason where there is none."""
    if value.value is None or value.lower is None or value.upper is None:
        reason = value.reason or "empty"
        raise InputError(f"{name} has no answer: {reasons.get(reason) or REASONS[reason]}")
    return value.value, value.lower, value.upper
