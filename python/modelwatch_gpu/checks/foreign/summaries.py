"""What any package says of a column, and the expectations that follow from it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from modelwatch_gpu.checks.expectations import RULES, Expectation, Expectations
from modelwatch_gpu.checks.expected import TABLE, rounded_up


@dataclass(frozen=True)
class ColumnSummary:
    """One column. ``rows``: with and without a value; None: not known. ``zeros``: rows that are 0. ``distinct``:
    different values of a category. ``whole``: whether all values are whole numbers."""

    name: str
    rows: int | None = None
    missing: int | None = None
    minimum: float | None = None
    maximum: float | None = None
    mean: float | None = None
    sd: float | None = None
    zeros: int | None = None
    distinct: float | None = None
    whole: bool = False


def expectation(column: str, check: str, **limits: Any) -> Expectation:
    """An expectation with the usual severity."""
    return Expectation(column, check, limits, RULES[check].severity)


def expectations_of(
    columns: Sequence[ColumnSummary], more: Sequence[Expectation] = (), notes: Sequence[str] = ()
) -> Expectations:
    """What a log like the summarised one keeps to, with the room that ``Expectations.infer`` gives; ``more`` overrules
    it."""
    table = [expectation(TABLE, "columns", names=[c.name for c in columns], ordered=False, extra=False)]
    rows = max((c.rows for c in columns if c.rows is not None), default=0)
    if rows:
        table.append(expectation(TABLE, "row_count", min=max(1, rows // 100)))
    items = [*table, *(e for c in columns for e in _of(c))]
    return Expectations(tuple(items)) + Expectations(tuple(more), notes=tuple(notes))


def _of(c: ColumnSummary) -> Iterator[Expectation]:
    if c.rows and c.missing is not None:
        limit = rounded_up(c.missing / c.rows + 0.05)
        if limit < 1:
            yield expectation(c.name, "nulls", max=limit)
    present = (c.rows or 0) - (c.missing or 0)
    low, high = _finite(c.minimum), _finite(c.maximum)
    if low is not None and high is not None and low < high:
        yield expectation(c.name, "range", min=low, max=high, share=0.001)
        if low >= 0:
            yield expectation(c.name, "negative", max=0.001)
    mean, sd = _finite(c.mean), _finite(c.sd)
    if mean is not None and sd:
        yield expectation(c.name, "mean", min=mean - sd / 2, max=mean + sd / 2)
        yield expectation(c.name, "sd", min=sd / 2, max=2 * sd)
    if c.zeros is not None and present > 0:
        limit = rounded_up(1.5 * c.zeros / present + 0.05)
        if limit < 1:
            yield expectation(c.name, "zero", max=limit)
    if c.whole:
        yield expectation(c.name, "fraction", max=0.001)
    if c.distinct is not None and present and c.distinct <= 0.1 * present:
        yield expectation(c.name, "distinct_values", max=int(2 * c.distinct + 10))


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
