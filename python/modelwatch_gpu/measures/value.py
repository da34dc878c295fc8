"""A measure's number, with bounds where the grid is coarser than the data."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Value:
    """``lower <= value <= upper``; a bound is None where none is known, and all three are None, with the ``reason``,
    where there is no number.

    ``n``: rows of the window that took part.
    """

    value: float | None
    lower: float | None
    upper: float | None
    n: int
    reason: str | None = None

    @classmethod
    def exact(cls, value: float, n: int) -> Value:
        """A number without uncertainty; one that is not finite becomes a reason."""
        if not math.isfinite(value):
            return cls.absent("not_finite", n)
        return cls(value, value, value, n)

    @classmethod
    def between(cls, lower: float, upper: float, n: int, *, value: float | None = None) -> Value:
        """A certified interval; ``value`` defaults to its middle."""
        if not (math.isfinite(lower) and math.isfinite(upper)):
            return cls.absent("not_finite", n)
        upper = max(lower, upper)
        middle = lower + (upper - lower) / 2 if value is None else min(max(value, lower), upper)
        return cls(middle, lower, upper, n)

    @classmethod
    def absent(cls, reason: str, n: int = 0) -> Value:
        """No number: ``reason`` is one of ``REASONS``."""
        return cls(None, None, None, n, reason)


#: Why a measure may have no number, as a sentence.
REASONS = {
    "empty": "The window has no rows.",
    "all_missing": "The column has no values in the window.",
    "baseline_all_missing": "The column has no values in the baseline.",
    "gone": "The column is not in the log.",
    "incomparable": "The column's type cannot be compared with the baseline's.",
    "constant_baseline": "The baseline is constant, so there is no standard deviation to divide by.",
    "infinite": "The column holds infinite values, for which this distance is not defined.",
    "not_finite": "The number is too large to be written.",
}
