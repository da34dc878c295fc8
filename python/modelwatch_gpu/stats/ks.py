"""The exact two-sample Kolmogorov-Smirnov distance of columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from modelwatch_gpu import _core, keys
from modelwatch_gpu.arrays import present_values
from modelwatch_gpu.device import resolve
from modelwatch_gpu.measures import rank
from modelwatch_gpu.measures.pvalues import ks_pvalue
from modelwatch_gpu.stats import peers
from modelwatch_gpu.stats.cells import comparable, distinct_keys, knots_of
from modelwatch_gpu.stats.result import StatResult, checked, over_pairs


def ks(
    reference: Any,
    current: Any,
    *,
    compat: str | None = None,
    device: str = "auto",
    threads: int = 0,
    full: bool = False,
) -> Any:
    """Exact two-sample Kolmogorov-Smirnov distance D = sup |F - G|, 0 to 1, ties and infinities included.

    Null and NaN are left out. The smaller sample is sorted, the larger one is ranked against it in one pass, counts
    are integers and one division ends it: the same number for any order, thread count and instruction set.

    Args:
        reference, current: (n,) and (m,), or (n, columns) and (m, columns): NumPy, Arrow, pandas, Polars, lists.
        compat: A peer whose number to give instead; docs/stats.md says which there are and what each does.
        device: "auto" or "cpu".
        threads: 0 means MODELWATCH_THREADS or all CPUs of the process.
        full: Return a StatResult (or a tuple of them) instead of a float (or a (columns,) float64 array). Its
            ``pvalue`` is the two-sided one: exact up to 10,000 rows a side, beyond that the one-sample distribution at
            nm / (n + m) rows, as ``scipy.stats.ks_2samp(method="auto")`` gives it.

    Raises:
        InputError: A side has no values, or values that cannot be compared exactly.
    """
    chosen = resolve(device)
    if compat is not None:
        return peers.answer("ks", compat, reference, current, None, chosen, full)

    def one(a: pa.Array, b: pa.Array) -> StatResult:
        found = ks_of(a, b, threads, chosen)
        if not full:
            return found
        return StatResult(**{**vars(found), "pvalue": ks_pvalue(found.value, found.n, found.m)})

    return over_pairs(reference, current, one, full=full)


def ks_of(a: pa.Array, b: pa.Array, threads: int, device: str) -> StatResult:
    """D of one pair of columns, without its p-value."""
    a, b, domain = comparable(a, b)
    swapped = len(a) > len(b)
    small, large = (b, a) if swapped else (a, b)
    own, counts = distinct_keys(present_values(small), domain)
    knots = knots_of(domain, own)
    grid = _core.Grid(keys.DOMAINS[domain], knots)
    of_small = np.zeros(grid.slots - 2, dtype=np.uint64)
    of_small[2 * np.searchsorted(knots, own) + 1] = counts
    of_large = _core.count_cells(large, grid, threads)
    value = rank.ks(of_large[:-2] if swapped else of_small, of_small if swapped else of_large[:-2])
    n, m = int(of_small.sum()), int(of_large[:-2].sum())
    if swapped:
        n, m = m, n
    return StatResult(*checked(value, "ks"), n=n, m=m, missing=len(b) - m, device=device)
