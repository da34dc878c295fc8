"""The energy distance of two samples on one grid."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from modelwatch_gpu.measures.value import Value

Counts = npt.NDArray[np.uint64]

#: Below this product of sample sizes, differences of cumulative counts are exact in int64.
_INT64_SAFE = 1 << 62


def energy_distance(baseline: Counts, current: Counts, knots: npt.NDArray[Any]) -> Value:
    """Energy distance sqrt(2 times the integral of (F - G)^2), in the square root of the column's units.

    In one dimension it is sqrt(2 E|X - Y| - E|X - X'| - E|Y - Y'|) (Szekely and Rizzo 2004), as
    ``scipy.stats.energy_distance``. F - G comes from exact integers.

    Args:
        baseline, current: (2M+1,) cell counts of both samples; nothing may lie in a gap between knots.
        knots: (M,) values of the knots, in the column's dtype; a float grid begins with -inf and ends with +inf.
    """
    n, m = int(baseline.sum()), int(current.sum())
    if n == 0 or m == 0:
        return Value.absent("baseline_all_missing" if n == 0 else "all_missing", m)
    if knots.dtype.kind == "f" and any(int(s[:2].sum()) or int(s[-2:].sum()) for s in (baseline, current)):
        return Value.absent("infinite", m)
    kind: Any = np.int64 if n * m < _INT64_SAFE else object
    apart = np.cumsum(baseline[1::2]).astype(kind) * m - np.cumsum(current[1::2]).astype(kind) * n
    gap = (apart / (n * m)).astype(np.float64)
    finite = np.isfinite(knots)
    inner = knots[finite]
    with np.errstate(over="ignore"):
        # Differences of integers, also beyond 2^63, are exact in two's complement.
        width = np.diff(inner.astype(np.float64) if inner.dtype.kind == "f" else inner.view(np.uint64))
        return Value.exact(float(np.sqrt(2 * np.sum(gap[finite][:-1] ** 2 * width.astype(np.float64)))), m)
