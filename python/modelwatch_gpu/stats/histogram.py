"""Histograms that count as ``numpy.histogram`` does, with what it leaves out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from modelwatch_gpu import keys
from modelwatch_gpu.arrays import as_columns, in_domain
from modelwatch_gpu.device import engine
from modelwatch_gpu.device_arrays import DeviceColumn, resolve_for
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.stats.grouped import Groups, groups_by
from modelwatch_gpu.units import in_steps, in_units, scale_of

Counts = npt.NDArray[np.int64]

#: Columns of the host that a device counts at once hold about so much together.
_TOGETHER_BYTES: Final = 1 << 28


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


@dataclass(frozen=True, eq=False)
class GroupedHistogram:
    """Histograms of the rows of each of (G,) ``groups``, values in order. ``counts``: (G, bins) int64; ``edges``:
    (bins + 1,); ``below``, ``above``, ``missing``: (G,) int64; ``device``: what answered."""

    groups: tuple[Any, ...]
    counts: Counts
    edges: npt.NDArray[Any]
    below: Counts
    above: Counts
    missing: Counts
    device: str


@dataclass(frozen=True, eq=False)
class _Plan:
    """``array``: a column of ``domain``; ``edges``: as they are returned; ``at``: keys at which the counts of values
    below them are wanted, None above every value of the domain."""

    array: Any
    domain: str
    edges: npt.NDArray[Any]
    at: list[int | None]

    @property
    def cuts(self) -> npt.NDArray[np.uint64]:
        """Those that the engine can count at. Edges increase and so do these, but for the others, which come last."""
        return np.array([k for k in self.at if k is not None and k < 1 << keys.key_bits(self.domain)], dtype=np.uint64)

    def result(self, counted: npt.NDArray[np.uint64], device: str) -> Histogram:
        """The histogram, from what ``count_bins`` says of the cuts."""
        counts, below, above, missing = self._of_groups(counted[None, :])
        return Histogram(counts[0], self.edges, int(below[0]), int(above[0]), int(missing[0]), device)

    def by_group(self, counted: npt.NDArray[np.uint64], groups: Groups, device: str) -> GroupedHistogram:
        """The histograms, from what ``count_bins_of`` says of the cuts: (groups named, bins)."""
        counts, below, above, missing = self._of_groups(counted[groups.places])
        return GroupedHistogram(groups.values, counts, self.edges, below, above, missing, device)

    def _of_groups(self, counted: npt.NDArray[np.uint64]) -> tuple[Counts, Counts, Counts, Counts]:
        """(groups, bins) counts, and (groups,) rows below, above and missing."""
        upto = np.cumsum(counted.astype(np.int64), axis=1)
        below, total, everything = upto[:, :-3], upto[:, -3], upto[:, -1]
        ends = np.concatenate([below, np.repeat(total[:, None], len(self.at) - below.shape[1], axis=1)], axis=1)
        return ends[:, 1:] - ends[:, :-1], ends[:, 0], total - ends[:, -1], everything - total


def histogram(
    values: Any,
    edges: Any = 10,
    *,
    range: tuple[float, float] | None = None,
    groups: Any = None,
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
        groups: (n,) numbers, text or booleans: the rows of each value are counted apart. A row without one, null or
            NaN, is in no group.
        device: "auto" (where the arrays lie), "cpu", "cuda" or "cuda:N".
        threads: 0 means MODELWATCH_THREADS or all CPUs of the process.
        full: Return a Histogram (or a tuple of them) instead of the counts, (bins,) or (bins, columns) int64. With
            ``groups`` a GroupedHistogram (or a tuple of them) instead of (groups, bins) or (groups, bins, columns),
            groups in the order of their values.

    Raises:
        InputError: Edges are not increasing, values are not numbers, or not every row has a place in ``groups``.
    """
    chosen = resolve_for(device, values, *([] if groups is None else [groups]))
    columns, batched = as_columns(values, "values")
    plans = (_planned(c, edges, range) for c in columns)
    if groups is not None:
        return _grouped(plans, groups_by(groups, chosen), chosen, threads, batched, full)
    results = list(_counted(plans, chosen, threads))
    if full:
        return tuple(results) if batched else results[0]
    return np.stack([r.counts for r in results], axis=1) if batched else results[0].counts


def _grouped(plans: Iterable[_Plan], groups: Groups, device: str, threads: int, batched: bool, full: bool) -> Any:
    results = []
    for plan in plans:
        rows = getattr(groups.of_row, "rows", None)
        if (len(groups.of_row) if rows is None else rows) != len(plan.array):
            raise InputError("values and groups have different numbers of rows; give both the same rows.")
        (counted,) = engine(device).count_bins_of(
            [plan.array], keys.DOMAINS[plan.domain], [plan.cuts], groups.of_row, groups.count, threads=threads
        )
        results.append(plan.by_group(counted, groups, device))
    if full:
        return tuple(results) if batched else results[0]
    return np.stack([r.counts for r in results], axis=2) if batched else results[0].counts


def _planned(array: Any, edges: Any, limits: tuple[float, float] | None) -> _Plan:
    domain = keys.domain_of(array.type)
    if domain is None:
        raise InputError(f"values have type {array.type}; numbers, dates or times are needed.")
    scale = scale_of(array.type)  # of decimals, which come as whole numbers of their unit
    array = in_domain(array, domain, "values")
    cut = _edges(array, edges, limits, scale)
    exact = cut if cut.dtype.kind in "iu" else cut.astype(np.float64)
    # A value is below an edge where it is below the smallest value of the domain that is not. One above the last edge
    # is at least the key after it.
    at = keys.edge_keys(exact[:-1], domain, right_closed=False, scale=scale)
    (last_key,) = keys.edge_keys(exact[-1:], domain, right_closed=True, scale=scale)
    return _Plan(array, domain, cut, [*at, 0 if last_key is None else last_key + 1])


def _counted(plans: Iterable[_Plan], device: str, threads: int) -> Iterator[Histogram]:
    """The histograms, in order. A device counts many columns of one domain at once; on the CPU that gains nothing, and
    of a strided matrix only one column is copied at a time."""
    most = 0 if device == "cpu" else _TOGETHER_BYTES
    waiting: list[_Plan] = []
    size = 0
    for plan in plans:
        if waiting and (size >= most or plan.domain != waiting[0].domain or len(plan.array) != len(waiting[0].array)):
            yield from _counted_together(waiting, device, threads)
            waiting, size = [], 0
        waiting.append(plan)
        size += 0 if isinstance(plan.array, DeviceColumn) else plan.array.nbytes
    yield from _counted_together(waiting, device, threads)


def _counted_together(plans: list[_Plan], device: str, threads: int) -> list[Histogram]:
    if not plans:
        return []
    domain, cuts = keys.DOMAINS[plans[0].domain], [plan.cuts for plan in plans]
    counts = engine(device).count_bins_of([plan.array for plan in plans], domain, cuts, threads=threads)
    return [plan.result(counted, device) for plan, counted in zip(plans, counts, strict=True)]


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
