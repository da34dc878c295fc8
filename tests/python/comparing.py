"""From two columns to the measures of ``mw.compare``, for tests that look at numbers only."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

import modelwatch_gpu as mw
from modelwatch_gpu.measures.evaluate import Result
from modelwatch_gpu.measures.value import Value

#: Small integers stay numbers.
NUMBERS = mw.Roles(numeric=["x"])


def table(values: Any) -> pa.Table:
    """A log with one column x; a NumPy NaN stays NaN."""
    if isinstance(values, pa.Table):
        return values
    if isinstance(values, (pa.Array, pa.ChunkedArray)):
        return pa.table({"x": values})
    if isinstance(values, np.ndarray):
        return pa.table({"x": pa.array(np.ascontiguousarray(values))})
    return pa.table({"x": pa.array(values)})


def is_number(values: pa.Table) -> bool:
    """Whether x can be asked to be numeric."""
    kind = values.schema.field("x").type
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def fitted(reference: Any, **options: Any) -> mw.Baseline:
    """A baseline of one column; small integers are numbers."""
    log = table(reference)
    if "roles" not in options and is_number(log):
        options["roles"] = NUMBERS
    return mw.Baseline.fit(log, **options)


def result_of(baseline: mw.Baseline, current: Any, **options: Any) -> Result:
    """The only result of a comparison of the whole log."""
    (result,) = mw.compare(baseline, table(current), **options).results
    return result


def measures(reference: Any, current: Any, **options: Any) -> dict[str, Value]:
    """Every measure of column x by id."""
    return result_of(fitted(reference, **options), current).values


def number(value: Value) -> float:
    """A measure's number, which must be there, within its bounds."""
    assert value.value is not None, value.reason
    assert value.lower is not None
    assert value.upper is not None
    assert value.lower <= value.value <= value.upper
    return value.value
