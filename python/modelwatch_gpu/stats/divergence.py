"""Divergences of columns, binned at the reference's deciles or by category."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from modelwatch_gpu import keys
from modelwatch_gpu.arrays import common_domain, in_domain, is_numeric, present_values
from modelwatch_gpu.device import Engine, engine
from modelwatch_gpu.device_arrays import resolve_for, resolve_host
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.measures import bins
from modelwatch_gpu.measures.pvalues import chi_square_pvalue, expected_freedom
from modelwatch_gpu.measures.value import Value
from modelwatch_gpu.stats import peers
from modelwatch_gpu.stats.categories import value_counts
from modelwatch_gpu.stats.result import StatResult, checked, over_pairs
from modelwatch_gpu.units import scale_of

Counts = npt.NDArray[np.uint64]


def psi(
    reference: Any,
    current: Any,
    *,
    edges: Any = None,
    compat: str | None = None,
    device: str = "auto",
    threads: int = 0,
    full: bool = False,
) -> Any:
    """Population stability index, SUM (q - p) ln(q / p), at least 0.

    Numbers are cut at the reference's interior deciles (linear interpolation, duplicates removed) into bins (a, b]
    with open ends, null and NaN left out; text and booleans by value, null a value of its own. Shares below 1e-4 are
    raised to 1e-4 and not renormalised.

    Args:
        reference, current: (n,) and (m,), or (n, columns) and (m, columns).
        edges: Interior edges to cut at instead of the deciles; numbers only.
        compat: A peer whose number to give instead; docs/stats.md says which there are and what each does.
        device: "auto" (where the arrays lie), "cpu", "cuda" or "cuda:N".
        threads: 0 means MODELWATCH_THREADS or all CPUs of the process.
        full: Return a StatResult (or a tuple of them) instead of a float (or a (columns,) float64 array).

    Raises:
        InputError: A side has no values, or the sides have types that cannot be compared.
    """
    return _divergence("psi", reference, current, edges, compat, device, threads, full)


def js_distance(
    reference: Any,
    current: Any,
    *,
    edges: Any = None,
    compat: str | None = None,
    device: str = "auto",
    threads: int = 0,
    full: bool = False,
) -> Any:
    """Jensen-Shannon distance, base 2, 0 to 1: the square root of the divergence. Bins and arguments as for ``psi``,
    but shares are not floored (0 log 0 = 0)."""
    return _divergence("js_distance", reference, current, edges, compat, device, threads, full)


def js_divergence(
    reference: Any,
    current: Any,
    *,
    edges: Any = None,
    compat: str | None = None,
    device: str = "auto",
    threads: int = 0,
    full: bool = False,
) -> Any:
    """Jensen-Shannon divergence in bits, 0 to 1, with 0 log 0 = 0 (Lin 1991). Bins and arguments as for ``psi``."""
    return _divergence("js_divergence", reference, current, edges, compat, device, threads, full)


def kl(
    reference: Any, current: Any, *, edges: Any = None, device: str = "auto", threads: int = 0, full: bool = False
) -> Any:
    """Kullback-Leibler divergence of the current distribution from the reference, SUM q ln(q / p) in nats. Bins and
    arguments as for ``psi``; shares are floored as there, so it can fall below 0 a little."""
    return _divergence("kl", reference, current, edges, None, device, threads, full)


def hellinger(
    reference: Any,
    current: Any,
    *,
    edges: Any = None,
    compat: str | None = None,
    device: str = "auto",
    threads: int = 0,
    full: bool = False,
) -> Any:
    """Hellinger distance sqrt(SUM (sqrt p - sqrt q)^2 / 2), 0 to 1. Bins and arguments as for ``psi``."""
    return _divergence("hellinger", reference, current, edges, compat, device, threads, full)


def tv(
    reference: Any, current: Any, *, edges: Any = None, device: str = "auto", threads: int = 0, full: bool = False
) -> Any:
    """Total variation distance SUM |p - q| / 2, 0 to 1. Bins and arguments as for ``psi``."""
    return _divergence("tv", reference, current, edges, None, device, threads, full)


def l_infinity(
    reference: Any, current: Any, *, edges: Any = None, device: str = "auto", threads: int = 0, full: bool = False
) -> Any:
    """Largest difference of a share, max |p - q|, 0 to 1. Bins and arguments as for ``psi``."""
    return _divergence("l_infinity", reference, current, edges, None, device, threads, full)


def chi_square(
    reference: Any,
    current: Any,
    *,
    edges: Any = None,
    compat: str | None = None,
    device: str = "auto",
    threads: int = 0,
    full: bool = False,
) -> Any:
    """Pearson's chi-square of the 2 x bins table, without continuity correction; bins empty on both sides left out.
    Bins and arguments as for ``psi``. With ``full=True`` the result has the p-value at (bins - 1) degrees of freedom
    (1 where there is one bin), as ``scipy.stats.chi2_contingency(correction=False)``."""
    return _divergence("chi_square", reference, current, edges, compat, device, threads, full)


def _divergence(
    name: str, reference: Any, current: Any, edges: Any, compat: str | None, device: str, threads: int, full: bool
) -> Any:
    if compat is not None:
        return peers.answer(name, compat, reference, current, edges, resolve_host(device, reference, current), full)
    chosen = resolve_for(device, reference, current)

    def one(a: pa.Array, b: pa.Array) -> StatResult:
        numeric = is_numeric(a) and is_numeric(b)
        p, q = _binned(a, b, edges, threads, engine(chosen)) if numeric else _by_value(a, b, edges)
        n, m = int(p.sum()), int(q.sum())
        if n == 0 or m == 0:
            checked(Value.absent("baseline_all_missing" if n == 0 else "all_missing"), name)
        value = checked(Value.exact(bins.BIN_MEASURES[name](p, q), m), name)
        pvalue = chi_square_pvalue(value[0], expected_freedom(p, q)) if full and name == "chi_square" else None
        return StatResult(
            *value, n=n, m=m, missing=len(b) - m if numeric else b.null_count, device=chosen, pvalue=pvalue
        )

    return over_pairs(reference, current, one, full=full)


def _binned(a: pa.Array, b: pa.Array, edges: Any, threads: int, counting: Engine) -> tuple[Counts, Counts]:
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
    found = keys.edge_keys(cut, domain, right_closed=True, scale=scale)
    cuts = np.unique(np.array([k for k in found if k is not None], dtype=np.uint64))
    # Bins are (a, b]: a value is beyond a cut where its key is at least the next one. Nothing is beyond the last key.
    top = keys.infinities(domain)[1] if keys.is_float(domain) else np.uint64((1 << 64) - 1)
    after = cuts[cuts < top] + np.uint64(1)
    beyond = np.zeros(len(cuts) - len(after), dtype=np.uint64)
    p, q = (
        np.concatenate([counting.count_bins(side, keys.DOMAINS[domain], after, threads)[:-2], beyond])
        for side in (a, b)
    )
    return p, q


def _by_value(a: pa.Array, b: pa.Array, edges: Any) -> tuple[Counts, Counts]:
    if edges is not None:
        raise InputError("edges can only cut numbers.")
    return value_counts(a, b)
