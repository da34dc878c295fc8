"""The exact two-sample Kolmogorov-Smirnov distance of columns."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa

from modelwatch_gpu import _core, keys
from modelwatch_gpu.arrays import present_values
from modelwatch_gpu.device import engine
from modelwatch_gpu.device_arrays import resolve_for, resolve_host
from modelwatch_gpu.measures import rank
from modelwatch_gpu.measures.pvalues import ks_pvalue
from modelwatch_gpu.measures.value import Value
from modelwatch_gpu.stats import peers
from modelwatch_gpu.stats.cells import comparable
from modelwatch_gpu.stats.prepared import Prepared, ranked
from modelwatch_gpu.stats.result import StatResult, checked, over_pairs

#: Beyond so many values to one of the smaller side, sorting them takes longer than ranking them.
SORTED_UP_TO: Final = 16


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

    Null and NaN are left out. Both samples are sorted, or a much larger one is ranked against the smaller in one pass;
    counts are integers and one division ends it: the same number for any order, thread count and instruction set.

    Args:
        reference, current: (n,) and (m,), or (n, columns) and (m, columns): NumPy, Arrow, pandas, Polars, lists. A
            reference that many samples are compared with is sorted once by ``Prepared(reference)``.
        compat: A peer whose number to give instead; docs/stats.md says which there are and what each does.
        device: "auto" (where the arrays lie), "cpu", "cuda" or "cuda:N".
        threads: 0 means MODELWATCH_THREADS or all CPUs of the process.
        full: Return a StatResult (or a tuple of them) instead of a float (or a (columns,) float64 array). Its
            ``pvalue`` is the two-sided one: exact up to 10,000 rows a side, beyond that the one-sample distribution at
            nm / (n + m) rows, as ``scipy.stats.ks_2samp(method="auto")`` gives it.

    Raises:
        InputError: A side has no values, or values that cannot be compared exactly.
    """
    if compat is not None:
        return peers.answer("ks", compat, reference, current, None, resolve_host(device, reference, current), full)
    chosen = resolve_for(device, reference, current)

    def one(a: pa.Array, b: pa.Array) -> StatResult:
        found = ks_of(a, b, threads, chosen, reference if isinstance(reference, Prepared) else None)
        if not full:
            return found
        return StatResult(**{**vars(found), "pvalue": ks_pvalue(found.value, found.n, found.m)})

    return over_pairs(reference, current, one, full=full)


def ks_of(a: pa.Array, b: pa.Array, threads: int, device: str, prepared: Prepared | None = None) -> StatResult:
    """D of one pair of columns, without its p-value."""
    own, (a, b, domain) = a, comparable(a, b)
    known = prepared.ranked(own, domain) if prepared is not None else None
    if known is None:
        found = _by_sorting(a, b, domain, device) if device == "cpu" else _by_sorting_there(a, b, domain, device)
        if found is not None:
            return found
    swapped = known is None and len(a) > len(b)
    small, large = (b, a) if swapped else (a, b)
    side = known or ranked(small, domain)
    cells = engine(device).count_cells(large, side.grid, threads)[:-2]
    upto = np.cumsum(cells.view(np.int64))
    n, m = side.rows, int(upto[-1])
    if 0 < n * m < 1 << 62:
        # One sample lies on the knots, so |F - G| is largest at the end of a cell; integers, and one division.
        value = Value.exact(int(np.abs(side.upto * m - upto * n).max()) / (n * m), n if swapped else m)
    else:
        value = rank.ks(np.diff(side.upto, prepend=0).astype(np.uint64), cells)
    if swapped:
        n, m = m, n
    return StatResult(*checked(value, "ks"), n=n, m=m, missing=len(b) - m, device=device)


def _by_sorting_there(a: pa.Array, b: pa.Array, domain: str, device: str) -> StatResult | None:
    """D from both sides sorted on a device; None where the counts are too large for it."""
    counting: Any = engine(device)
    if not len(a) * len(b) < 1 << 62:
        return None
    most, n, m = counting.sorted_distance(a, b, keys.DOMAINS[domain])
    if n == 0 or m == 0:
        checked(Value.absent("baseline_all_missing" if n == 0 else "all_missing"), "ks")
    value, lower, upper = checked(Value.exact(most / (n * m), m), "ks")
    return StatResult(value, lower, upper, n=n, m=m, missing=len(b) - m, device=device)


def _by_sorting(a: pa.Array, b: pa.Array, domain: str, device: str) -> StatResult | None:
    """D from both sides sorted; None where ranking the larger one is faster, or the counts are too large for it."""
    few, many = sorted((len(a), len(b)))
    narrow = any(pa.types.is_integer(side.type) and side.type.bit_width < 32 for side in (a, b))
    if narrow or many > SORTED_UP_TO * few:
        return None
    sides = [np.sort(present_values(side)) for side in (a, b)]
    n, m = (len(side) for side in sides)
    if not 0 < n * m < 1 << 62:
        return None
    most = _core.sup_distance(*(pa.array(side.astype(keys.dtype_of(domain), copy=False)) for side in sides))
    value, lower, upper = checked(Value.exact(most / (n * m), m), "ks")
    return StatResult(value, lower, upper, n=n, m=m, missing=len(b) - m, device=device)
