"""whylogs: a profile, as a view in memory or as a file, by the package itself (``pip install whylogs``)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from modelwatch_gpu.checks.expectations import Expectations
from modelwatch_gpu.checks.foreign.summaries import ColumnSummary, expectations_of
from modelwatch_gpu.errors import InputError


def read_whylogs(profile: Any) -> Expectations:
    """Expectations from a whylogs profile.

    Rows, nulls (NaN among them), range, mean and standard deviation of numbers, and the estimated number of distinct
    values of text are used. The sketches themselves are random, so no distance is taken from them.

    Args:
        profile: A ``DatasetProfileView``, a mapping of column -> ``to_summary_dict()``, or the path of a ``.bin`` file,
            which needs the package whylogs.

    Raises:
        InputError: The file cannot be read, or whylogs is not installed.
    """
    return expectations_of([_column(str(name), own) for name, own in sorted(_summaries(profile).items())])


def _summaries(profile: Any) -> Mapping[str, Mapping[str, Any]]:
    if isinstance(profile, Mapping):
        return profile
    if isinstance(profile, str | os.PathLike):
        try:
            from whylogs.core import DatasetProfileView
        except ImportError:
            raise InputError(f"{profile} is a profile of whylogs, which reads it; install whylogs.") from None
        try:
            profile = DatasetProfileView.read(os.fspath(profile))
        except Exception as error:  # whatever whylogs raises for a file that is none of its own
            said = (str(error).splitlines() or [type(error).__name__])[0]
            raise InputError(f"{profile}: not a profile of whylogs ({said}).") from None
    if not hasattr(profile, "get_columns"):
        raise InputError(f"A profile of whylogs is a view, a mapping or a path, not {type(profile).__name__}.")
    return {name: column.to_summary_dict() for name, column in profile.get_columns().items()}


def _column(name: str, own: Mapping[str, Any]) -> ColumnSummary:
    def number(key: str) -> float | None:
        value = own.get(key)
        return float(value) if isinstance(value, int | float) else None

    def count(key: str) -> int:
        return int(number(key) or 0)

    rows, missing = count("counts/n"), count("counts/null")
    fractions, whole = count("types/fractional"), count("types/integral")
    if not fractions + whole:
        distinct = number("cardinality/est") if count("types/string") else None
        return ColumnSummary(name, rows, missing, distinct=distinct)
    return ColumnSummary(
        name=name,
        rows=rows,
        missing=missing,
        minimum=number("distribution/min"),
        maximum=number("distribution/max"),
        mean=number("distribution/mean"),
        sd=number("distribution/stddev"),
        whole=not fractions,
    )
