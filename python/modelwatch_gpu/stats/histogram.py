"""Histograms that count as ``numpy.histogram`` does, with what it leaves out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from modelwatch_gpu import _core, keys
from modelwatch_gpu.arrays import as_columns, in_domain
from modelwatch_gpu.device import Engine, engine
from modelwatch_gpu.device_arrays import resolve_for
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.units import in_steps, in_units, scale_of

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Histogram:
    """``counts``: (bins,) int64; ``edges``: (bins + 1,); rows ``below`` the first edge, ``above`` the last, and
    ``missing`` (null or NaN); ``device``: what answered."""

    counts: Counts
    edges: npt.NDArray[Any]
    below: int
    above: int
    missing: int
    device: str


def edge_counts(
    array: pa.Array, edges: npt.NDArray[Any], threads: int, scale: int = 0, counting: Engine = _core
) -> tuple[list[int], int, int, int]:
    """(values < e for every edge but the last, values <= the last, values, missing), each decided by comparisons alone.
    ``scale``: of decimals, which come as whole numbers of their unit."""
    domain = keys.domain_of(array.type)
    assert domain is not None
    # A value is below an edge where it is below the smallest value of the domain that is not. One above the last edge
    # is at least the key after it.
    at = keys.edge_keys(edges[:-1], domain, right_closed=False, scale=scale)
    (last_key,) = keys.edge_keys(edges[-1:], domain, right_closed=True, scale=scale)
    at.append(0 if last_key is None else last_key + 1)
    cuts = np.array([k for k in at if k is not None and k < 1 << keys.key_bits(domain)], dtype=np.uint64)
    # Edges increase and so do cuts, but for those above every value, which come last.
    upto = np.cumsum(counting.count_bins(array, keys.DOMAINS[domain], cuts, threads).astype(np.int64))
    *counts, total, _, everything = upto.tolist()
    counts += [total] * (len(at) - len(counts))
    return counts[:-1], counts[-1], total, everything - total


def histogram(
    values: Any,
    edges: Any = 10,
    *,
    range: tuple[float, float] | None = None,
    device: str = "auto",
    threads: int = 0,
    full: bool = False,
) -> Any:
    """Counts of values between edges: bins [a, b), the last one [a, b], as ``numpy.histogram`` counts.

    Comparisons with the edges decide, in the values' own type; nothing is rounded. Null and NaN are in no bin.

    Args:
        values: (n,) or (n, columns).
        edges: (bins + 1,) increasing finite edges, or a number of bins of equal width.
        range: (low, high) of the bins where ``edges`` is a number; default: the smallest and largest finite value.
        device: "auto" (where the arrays lie), "cpu", "cuda" or "cuda:N".
        threads: 0 means MODELWATCH_THREADS or all CPUs of the process.
        full: Return a Histogram (or a tuple of them) instead of the counts, (bins,) or (bins, columns) int64.

    Raises:
        InputError: Edges are not increasing, or values are not numbers.
    """
    chosen = resolve_for(device, values)
    columns, batched = as_columns(values, "values")
    results = [_one(c, edges, range, chosen, threads) for c in columns]
    if full:
        return tuple(results) if batched else results[0]
    return np.stack([r.counts for r in results], axis=1) if batched else results[0].counts


def _one(array: pa.Array, edges: Any, limits: tuple[float, float] | None, device: str, threads: int) -> Histogram:
    domain = keys.domain_of(array.type)
    if domain is None:
        raise InputError(f"values have type {array.type}; numbers, dates or times are needed.")
    scale = scale_of(array.type)
    array = in_domain(array, domain, "values")
    cut = _edges(array, edges, limits, scale)
    below, last, total, missing = edge_counts(
        array, cut if cut.dtype.kind in "iu" else cut.astype(np.float64), threads, scale, engine(device)
    )
    ends = np.array([*below, last], dtype=np.int64)
    counts = ends[1:] - ends[:-1]
    return Histogram(counts, cut, below[0], total - last, missing, device)


def _edges(array: pa.Array, edges: Any, limits: tuple[float, float] | None, scale: int) -> npt.NDArray[Any]:
    if np.ndim(edges) == 0:
        bins = int(edges)
        if bins < 1:
            raise InputError(f"edges={edges}: a histogram needs at least one bin.")
        if limits is None:
            from modelwatch_gpu.arrays import present_values

            finite = present_values(array)
            finite = finite[np.isfinite(finite)]
            limits = (finite.min(), finite.max()) if len(finite) else (0.0, 1.0)
            if scale and len(finite):
                limits = (_outward(int(finite.min()), scale, -np.inf), _outward(int(finite.max()), scale, np.inf))
        if scale:
            return np.histogram_bin_edges(np.empty(0), bins, limits)
        # NumPy rounds the edges to the values' own float type.
        return np.histogram_bin_edges(np.empty(0, keys.dtype_of(str(keys.domain_of(array.type)))), bins, limits)
    cut = np.asarray(edges)
    if cut.ndim != 1 or len(cut) < 2 or cut.dtype.kind not in "iuf":
        raise InputError("edges must be a one-dimensional array of at least two numbers.")
    if cut.dtype.kind == "f" and not np.isfinite(cut).all():
        raise InputError("edges must be finite; values beyond them are counted as below and above.")
    if np.any(cut[1:] < cut[:-1]):
        raise InputError("edges must increase.")
    return cut


def _outward(steps: int, scale: int, toward: float) -> float:
    """The nearest float that, read as the decimal it is written as, leaves no value outside."""
    found = in_units(steps, scale)
    exact = in_steps(found, scale)
    inside = exact <= steps if toward < 0 else exact >= steps
    return found if inside else float(np.nextafter(found, toward))
