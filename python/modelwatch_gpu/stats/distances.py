"""Distances of columns by rank: Cramer-von Mises, Wasserstein-1, energy. Every distinct value is a knot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from modelwatch_gpu.device import engine
from modelwatch_gpu.device_arrays import resolve_for
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.measures import rank
from modelwatch_gpu.measures.energy import energy_distance as energy
from modelwatch_gpu.measures.value import REASONS, Value
from modelwatch_gpu.stats import peers
from modelwatch_gpu.stats.cells import JointCells, exact_wasserstein, joint_cells
from modelwatch_gpu.stats.embeddings import energy_of_vectors
from modelwatch_gpu.stats.moments import moments_of
from modelwatch_gpu.stats.result import StatResult, checked, over_pairs


def cvm(reference: Any, current: Any, *, device: str = "auto", threads: int = 0, full: bool = False) -> Any:
    """Two-sample Cramer-von Mises statistic T, ties by mid-ranks, as ``scipy.stats.cramervonmises_2samp``
    (Anderson 1962). Grows with n and m; infinities are ordinary values, null and NaN are left out.

    Args:
        reference, current: (n,) and (m,), or (n, columns) and (m, columns).
        device: "auto" (where the arrays lie), "cpu", "cuda" or "cuda:N".
        threads: Of no effect: both sides are sorted.
        full: Return a StatResult (or a tuple of them) instead of a float (or a (columns,) float64 array).

    Raises:
        InputError: A side has no values, or values that cannot be compared exactly.
    """
    return _by_rank(reference, current, "cvm", lambda c: rank.cvm(c.reference, c.current), device, full)


def wasserstein(
    reference: Any,
    current: Any,
    *,
    compat: str | None = None,
    device: str = "auto",
    threads: int = 0,
    full: bool = False,
) -> Any:
    """Wasserstein-1 distance, the integral of |F - G|, in the columns' units (Vallender 1974). Arguments as for
    ``cvm``; ``compat`` names a peer whose number to give instead. ``lower`` and ``upper`` bound what rounding can do.

    Raises:
        InputError: As for ``cvm``, or a side holds an infinite value.
    """
    if compat is not None:
        return peers.answer(
            "wasserstein", compat, reference, current, None, resolve_for(device, reference, current), full
        )
    return _by_rank(reference, current, "wasserstein", exact_wasserstein, device, full)


def wasserstein_sd(reference: Any, current: Any, *, device: str = "auto", threads: int = 0, full: bool = False) -> Any:
    """``wasserstein`` divided by the population standard deviation of the reference.

    Raises:
        InputError: As for ``wasserstein``, or the reference is constant.
    """
    chosen = resolve_for(device, reference, current)

    def one(a: pa.Array, b: pa.Array) -> StatResult:
        found = _result(joint_cells(a, b, chosen), "wasserstein_sd", exact_wasserstein, chosen)
        sd = moments_of(a, threads, engine(chosen)).sd
        if not sd:
            reason = "not_finite" if sd is None else "constant_baseline"
            raise InputError(f"wasserstein_sd has no answer: {REASONS[reason]}")
        scaled = Value.between(found.lower / sd, found.upper / sd, found.m, value=found.value / sd)
        value, lower, upper = checked(scaled, "wasserstein_sd")
        return StatResult(value, lower, upper, found.n, found.m, found.missing, chosen)

    return over_pairs(reference, current, one, full=full)


def energy_distance(
    reference: Any,
    current: Any,
    *,
    multivariate: bool = False,
    permutations: int = 0,
    seed: int = 0,
    device: str = "auto",
    threads: int = 0,
    full: bool = False,
) -> Any:
    """Energy distance sqrt(2 times the integral of (F - G)^2), in the square root of the columns' units, as
    ``scipy.stats.energy_distance``; dcor's is its square. Arguments and errors as for ``wasserstein``.

    Args:
        multivariate: Take rows as vectors: one number, sqrt(2 E||X - Y|| - E||X - X'|| - E||Y - Y'||) (Szekely and
            Rizzo 2013), in tiles.
        permutations: Of vectors: how often labels are dealt out anew for a p-value; 0: none.
        seed: Of the Philox numbers that deal them.
    """
    if multivariate:
        return energy_of_vectors(reference, current, permutations=permutations, seed=seed, device=device, full=full)
    if permutations:
        raise InputError("A p-value by permutations is of vectors; pass multivariate=True.")
    return _by_rank(
        reference, current, "energy_distance", lambda c: energy(c.reference, c.current, c.knots), device, full
    )


def _by_rank(
    reference: Any, current: Any, name: str, measure: Callable[[JointCells], Value], device: str, full: bool
) -> Any:
    chosen = resolve_for(device, reference, current)
    return over_pairs(
        reference, current, lambda a, b: _result(joint_cells(a, b, chosen), name, measure, chosen), full=full
    )


def _result(cells: JointCells, name: str, measure: Callable[[JointCells], Value], device: str) -> StatResult:
    return StatResult(*checked(measure(cells), name), n=cells.n, m=cells.m, missing=cells.missing, device=device)
