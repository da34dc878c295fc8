"""A measure's number, with bounds where the grid is coarser than the data: of one group, or of many."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
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
        middle = None if value is None else np.array([value])
        return Values.between(np.array([lower]), np.array([upper]), np.array([n], dtype=np.int64), value=middle)[0]

    @classmethod
    def absent(cls, reason: str, n: int = 0) -> Value:
        """No number: ``reason`` is one of ``REASONS``."""
        return cls(None, None, None, n, reason)


#: Why a performance measure may have no number, as a sentence.
PERFORMANCE_REASONS: Final = {
    "no_rows": "No row has both a label and a prediction.",
    "one_class": "All labels are of one class, so there is nothing to tell apart.",
    "no_positives": "No label is positive.",
    "no_negatives": "No label is negative.",
    "no_predicted_positives": "No row is predicted positive.",
    "no_predicted_negatives": "No row is predicted negative.",
    "neither_positive": "No label is positive and no row is predicted positive.",
    "one_sided": "All labels, or all predictions, are of one class, so nothing can correlate.",
    "chance_agrees": "All labels and predictions are of one class, so chance alone agrees on every row.",
    "absent_class": "A class has no label, or every label, so there is nothing to tell it from.",
    "constant_labels": "The labels are constant, so there is no variance to explain.",
    "one_row": "One row has no variance.",
    "no_queries": "No query is left.",
    "one_group": "Fewer than two groups have the rate, so there is nothing to compare.",
    "no_rate": "The highest rate is 0, so there is no ratio.",
}

#: Why a measure may have no number, as a sentence.
REASONS = {
    "empty": "The window has no rows.",
    "all_missing": "The column has no values in the window.",
    "baseline_all_missing": "The column has no values in the baseline.",
    "earlier_all_missing": "The column has no values in the window before.",
    "gone": "The column is not in the log.",
    "incomparable": "The column's type cannot be compared with the baseline's.",
    "constant_baseline": "The baseline is constant, so there is no standard deviation to divide by.",
    "constant_earlier": "The window before is constant, so there is no standard deviation to divide by.",
    "constant_window": "All vectors of the window are equal.",
    "few_rows": "There are fewer vectors than this number needs.",
    "infinite": "The column holds infinite values, for which this distance is not defined.",
    "not_finite": "The number is too large to be written.",
    "weighted": "The rows have weights, and this statistic is of counts of independent rows.",
    "weightless": "All rows of the window have weight 0.",
    "zero_baseline": "The measure is 0 in the baseline, so there is nothing to be relative to.",
    "few_windows": "The baseline has too few windows of this length to learn thresholds from.",
    "no_probabilities": "A score lies outside 0 to 1, so it is no probability.",
    "baseline_without": "The baseline has no such number to compare with.",
    "earlier_without": "The window before has no such number to compare with.",
    "nothing_positive": "It is cheapest to predict no row positive, so there is no threshold.",
    "other_rows": "Rows with a label have no prediction, so the variance of the labels is not that of these rows.",
    **PERFORMANCE_REASONS,
}
#: Codes of ``Values.reason``: there is a number; the group does not have the measure at all; else a reason.
HAS_NUMBER: Final = 0
NOT_THERE: Final = 255
REASON_CODES: Final = {reason: code for code, reason in enumerate(REASONS, start=1)}
_REASON_NAMES: Final = {code: reason for reason, code in REASON_CODES.items()}


@dataclass(frozen=True, eq=False, slots=True)
class Values:
    """One measure of many groups: (groups,) arrays. An exact measure has one array for value, lower and upper.

    ``value``, ``lower``, ``upper``: float64, NaN where a ``Value`` has None. ``n``: int64. ``reason``: uint8 codes, see
    ``REASON_CODES``.
    """

    value: Floats
    lower: Floats
    upper: Floats
    n: Ints
    reason: Codes

    @classmethod
    def exact(cls, value: Floats, n: Ints) -> Values:
        """Numbers without uncertainty; one that is not finite becomes a reason."""
        reason = np.where(np.isfinite(value), HAS_NUMBER, REASON_CODES["not_finite"]).astype(np.uint8)
        number = value if not reason.any() else np.where(reason == HAS_NUMBER, value, np.nan)
        return cls(number, number, number, n, reason)

    @classmethod
    def between(cls, lower: Floats, upper: Floats, n: Ints, *, value: Floats | None = None) -> Values:
        """Certified intervals; ``value``: a number inside, NaN (or no array) for the middle."""
        finite = np.isfinite(lower) & np.isfinite(upper)
        reason = np.where(finite, HAS_NUMBER, REASON_CODES["not_finite"]).astype(np.uint8)
        lower, upper = np.where(finite, lower, np.nan), np.where(finite, np.maximum(lower, upper), np.nan)
        with np.errstate(over="ignore"):
            middle = lower + (upper - lower) / 2
            middle = np.where(np.isfinite(middle) | ~finite, middle, lower / 2 + upper / 2)
        if value is not None:
            inside = np.minimum(np.maximum(value, lower), upper)
            middle = np.where(np.isnan(inside), middle, inside)
        return cls(middle, lower, upper, n, reason)

    @classmethod
    def absent(cls, reason: str, n: Ints) -> Values:
        """No numbers, for one reason."""
        nothing = np.full(len(n), np.nan)
        return cls(nothing, nothing, nothing, n, np.full(len(n), REASON_CODES[reason], dtype=np.uint8))

    def __len__(self) -> int:
        return len(self.value)

    def there(self, at: int) -> bool:
        """Whether group ``at`` has the measure, with a number or a reason."""
        there: bool = self.reason.item(at) != NOT_THERE
        return there

    def __getitem__(self, at: int) -> Value:
        number = self.value.item(at)
        value = lower = upper = number if number == number else None
        if self.lower is not self.value:
            lower = number if (number := self.lower.item(at)) == number else None
        if self.upper is not self.value:
            upper = number if (number := self.upper.item(at)) == number else None
        return Value(value, lower, upper, self.n.item(at), _REASON_NAMES.get(self.reason.item(at)))

    def replaced(self, where: Bools, reason: str | int) -> Values:
        """The same, but no number for this reason (or code) in the groups of a (groups,) mask, whatever was there."""
        if not where.any():
            return self
        code = reason if isinstance(reason, int) else REASON_CODES[reason]
        value = np.where(where, np.nan, self.value)
        exact = self.lower is self.value and self.upper is self.value
        lower = value if exact else np.where(where, np.nan, self.lower)
        upper = value if exact else np.where(where, np.nan, self.upper)
        return Values(value, lower, upper, self.n, np.where(where, code, self.reason).astype(np.uint8))

    def renamed(self, reasons: Mapping[str, str]) -> Values:
        """The same with other reasons."""
        reason = self.reason.copy()
        for old, new in reasons.items():
            reason[self.reason == REASON_CODES[old]] = REASON_CODES[new]
        return Values(self.value, self.lower, self.upper, self.n, reason)

    def intersected(self, other: Values) -> Values:
        """What two grids say of the same groups together: the larger lower bound and the smaller upper one.

        The value is this one's, moved into the common bounds. A bound that one side does not know is the other's, and
        so is a number that one side does not have.
        """
        ours, theirs = self.reason == HAS_NUMBER, other.reason == HAS_NUMBER
        lower, upper = np.fmax(self.lower, other.lower), np.fmin(self.upper, other.upper)
        value = np.where(ours, self.value, other.value)
        value = np.where(value < lower, lower, value)
        value = np.where(value > upper, upper, value)
        reason = np.where(ours | theirs, HAS_NUMBER, self.reason).astype(np.uint8)
        return Values(value, lower, upper, np.where(ours, self.n, other.n), reason)


def concatenated(chunks: Sequence[Mapping[str, Values]]) -> dict[str, Values]:
    """Measures by id, chunk after chunk of groups; arrays that were one stay one."""
    if len(chunks) == 1:
        return dict(chunks[0])
    made: dict[tuple[int, ...], npt.NDArray[Any]] = {}

    def joined(arrays: list[npt.NDArray[Any]]) -> Any:
        key = tuple(id(a) for a in arrays)
        if key not in made:
            made[key] = np.concatenate(arrays)
        return made[key]

    fields = ("value", "lower", "upper", "n", "reason")
    return {name: Values(*(joined([getattr(c[name], f) for c in chunks]) for f in fields)) for name in chunks[0]}


def split(measures: Mapping[str, Values], begin: Ints) -> list[dict[str, Values]]:
    """The inverse of ``concatenated``: measures of runs of groups, which begin at (runs + 1,) ``begin``; arrays that
    are one stay one."""
    fields = ("value", "lower", "upper", "n", "reason")
    arrays = {id(array): array for v in measures.values() for array in (getattr(v, name) for name in fields)}
    places = {name: [id(getattr(v, field)) for field in fields] for name, v in measures.items()}
    out = []
    for first, last in pairwise(begin.tolist()):
        part: dict[int, Any] = {key: array[first:last] for key, array in arrays.items()}
        out.append({name: Values(*(part[key] for key in own)) for name, own in places.items()})
    return out
