"""The exact two-sample Kolmogorov-Smirnov distance of columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from modelwatch_gpu import _core, keys
from modelwatch_gpu.arrays import common_domain, in_domain, present_values
from modelwatch_gpu.device import resolve
from modelwatch_gpu.measures import rank
from modelwatch_gpu.stats.result import StatResult, checked, over_pairs


def ks(reference: Any, current: Any, *, device: str = "auto", threads: int = 0, full: bool = False) -> Any:
    """Exact two-sample Kolmogorov-Smirnov distance D = sup |F - G|, 0 to 1, ties and infinities included.

    Null and NaN are left out. The smaller sample is sorted, the larger one is ranked against it in one pass, counts
    are integers and one division ends it: the same number for any order, thread count and instruction set.

    Args:
        reference, current: (n,) and (m,), or (n, columns) and (m, columns): NumPy, Arrow, pandas, Polars, lists.
        device: "auto" or "cpu".
        threads: 0 means MODELWATCH_THREADS or all CPUs of the process.
        full: Return a StatResult (or a tuple of them) instead of a float (or a (columns,) float64 array).

    Raises:
        InputError: A side has no values, or values that cannot be compared exactly.
    """
    chosen = resolve(device)

    def one(a: pa.Array, b: pa.Array) -> StatResult:
        domain = common_domain(a, b, ("reference", "current"))
        a, b = in_domain(a, domain, "reference"), in_domain(b, domain, "current")
        swapped = len(a) > len(b)
        small, large = (b, a) if swapped else (a, b)
        distinct, counts = np.unique(present_values(small), return_counts=True)
        knots = np.unique(np.concatenate([keys.infinities(domain), keys.keys_of(distinct, domain)]))
        grid = _core.Grid(keys.DOMAINS[domain], knots)
        of_small = np.zeros(grid.slots - 2, dtype=np.uint64)
        # -0.0 and 0.0 are one value to NumPy too, so distinct values have distinct keys.
        of_small[2 * np.searchsorted(knots, keys.keys_of(distinct, domain)) + 1] = counts
        of_large = _core.count_cells(large, grid, threads)
        value = rank.ks(of_large[:-2] if swapped else of_small, of_small if swapped else of_large[:-2])
        n, m = int(of_small.sum()), int(of_large[:-2].sum())
        if swapped:
            n, m = m, n
        return StatResult(*checked(value, "ks"), n=n, m=m, missing=len(b) - m, device=chosen)

    return over_pairs(reference, current, one, full=full)
