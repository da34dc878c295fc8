"""What ``full=True`` returns, and how pairs of columns are walked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from modelwatch_gpu.arrays import as_columns, one_scale
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.measures.value import REASONS, Value


@dataclass(frozen=True)
class StatResult:
    """A measure of one column pair. ``lower <= value <= upper``; ``n``, ``m``: rows with a value in the reference and
    the current sample; ``missing``: null and NaN rows of the current one; ``device``: what answered."""

    value: float
    lower: float
    upper: float
    n: int
    m: int
    missing: int
    device: str


def over_pairs(reference: Any, current: Any, measure: Callable[[pa.Array, pa.Array], StatResult], *, full: bool) -> Any:
    """Applies ``measure`` to every pair of columns: one number, or an array of them; results where ``full``."""
    left, left_batched = as_columns(reference, "reference")
    right, right_batched = as_columns(current, "current")
    if len(left) != len(right):
        raise InputError(f"reference has {len(left)} columns and current has {len(right)}; give both the same columns.")
    for columns, name in ((left, "reference"), (right, "current")):
        if any(pa.types.is_null(c.type) for c in columns):
            raise InputError(f"{name} has no values.")
    names = ("reference", "current")
    results = [measure(*one_scale(a, b, names)) for a, b in zip(left, right, strict=True)]
    if left_batched or right_batched:
        return tuple(results) if full else np.array([r.value for r in results], dtype=np.float64)
    return results[0] if full else results[0].value


def checked(value: Value, name: str) -> tuple[float, float, float]:
    """The numbers of a measure; raises InputError with the reason where there is none."""
    if value.value is None or value.lower is None or value.upper is None:
        raise InputError(f"{name} has no answer: {REASONS[value.reason or 'empty']}")
    return value.value, value.lower, value.upper
