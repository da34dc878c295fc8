"""PSI and Jensen-Shannon distance of columns, binned at the reference's deciles or by category."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from modelwatch_gpu import _core, keys
from modelwatch_gpu.arrays import common_domain, in_domain, is_numeric, present_values
from modelwatch_gpu.device import resolve
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.measures import bins
from modelwatch_gpu.measures.numeric import between
from modelwatch_gpu.measures.value import Value
from modelwatch_gpu.stats.result import StatResult, checked, over_pairs
from modelwatch_gpu.units import scale_of

Counts = npt.NDArray[np.uint64]


def psi(
    reference: Any, current: Any, *, edges: Any = None, device: str = "auto", threads: int = 0, full: bool = False
) -> Any:
    """Population stability index, SUM (q - p) ln(q / p), at least 0.

    Numbers are cut at the reference's interior deciles (linear interpolation, duplicates removed) into bins (a, b]
    with open ends, null and NaN left out; text and booleans by value, null a value of its own. Shares below 1e-4 are
    raised to 1e-4 and not renormalised.

    Args:
        reference, current: (n,) and (m,), or (n, columns) and (m, columns).
        edges: Interior edges to cut at instead of the deciles; numbers only.
        device: "auto" or "cpu".
        threads: 0 means MODELWATCH_THREADS or all CPUs of the process.
        full: Return a StatResult (or a tuple of them) instead of a float (or a (columns,) float64 array).

    Raises:
        InputError: A side has no values, or the sides have types that cannot be compared.
    """
    return _divergence(reference, current, bins.psi, "psi", edges, resolve(device), threads, full)


def js_distance(
    reference: Any, current: Any, *, edges: Any = None, device: str = "auto", threads: int = 0, full: bool = False
) -> Any:
    """Jensen-Shannon distance, base 2, 0 to 1: the square root of the divergence. Bins and arguments as for ``psi``,
    but shares are not floored (0 log 0 = 0)."""
    return _divergence(reference, current, bins.js_distance, "js_distance", edges, resolve(device), threads, full)


def _divergence(
    reference: Any,
    current: Any,
    measure: Callable[[Counts, Counts], float],
    name: str,
    edges: Any,
    device: str,
    threads: int,
    full: bool,
) -> Any:
    def one(a: pa.Array, b: pa.Array) -> StatResult:
        numeric = is_numeric(a) and is_numeric(b)
        p, q = _binned(a, b, edges, threads) if numeric else _by_value(a, b, edges)
        n, m = int(p.sum()), int(q.sum())
        if n == 0 or m == 0:
            checked(Value.absent("baseline_all_missing" if n == 0 else "all_missing"), name)
        value = checked(Value.exact(measure(p, q), m), name)
        return StatResult(*value, n=n, m=m, missing=len(b) - m if numeric else b.null_count, device=device)

    return over_pairs(reference, current, one, full=full)


def _binned(a: pa.Array, b: pa.Array, edges: Any, threads: int) -> tuple[Counts, Counts]:
    domain = common_domain(a, b, ("reference", "current"))
    scale = scale_of(a.type)
    a, b = in_domain(a, domain, "reference"), in_domain(b, domain, "current")
    if edges is None:
        values = present_values(a)
        with np.errstate(invalid="ignore"):
            cut = np.quantile(values, np.linspace(0, 1, 11)[1:-1]) if len(values) else np.empty(0)
        cut = np.unique(cut[~np.isnan(cut)])
        scale = 0  # the deciles are in whole numbers of the unit already
    else:
        cut = np.asarray(edges)
        if cut.dtype.kind not in "iuf" or cut.ndim != 1 or np.isnan(cut.astype(np.float64)).any():
            raise InputError("edges must be a one-dimensional array of numbers.")
        cut = np.unique(cut)
    found = [keys.edge_key(e, domain, right_closed=True, scale=scale) for e in cut.tolist()]
    cuts = np.unique(np.array([k for k in found if k is not None], dtype=np.uint64))
    knots = np.unique(np.concatenate([keys.infinities(domain), cuts]))
    grid = _core.Grid(keys.DOMAINS[domain], knots)
    at = 2 * np.searchsorted(knots, cuts) + 1
    p, q = (_bins(_core.count_cells(side, grid, threads)[:-2], at) for side in (a, b))
    return p, q


def _bins(cells: Counts, at: npt.NDArray[np.int64]) -> Counts:
    upto = np.cumsum(cells)
    return between(upto[at], int(upto[-1]))


def _by_value(a: pa.Array, b: pa.Array, edges: Any) -> tuple[Counts, Counts]:
    if edges is not None:
        raise InputError("edges can only cut numbers.")
    if is_numeric(a) != is_numeric(b):
        raise InputError(f"reference is {a.type} and current is {b.type}; give both one type.")
    totals: list[dict[Any, int]] = []
    for side in (a, b):
        if pa.types.is_dictionary(side.type):
            side = side.cast(side.type.value_type)
        counted = pc.value_counts(side)
        totals.append({row["values"]: row["counts"] for row in counted.to_pylist()})
    every = sorted(set(totals[0]) | set(totals[1]), key=lambda v: (v is not None, str(v)))
    p, q = (np.array([t.get(v, 0) for v in every], dtype=np.uint64) for t in totals)
    return p, q
