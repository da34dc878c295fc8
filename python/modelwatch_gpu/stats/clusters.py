"""How rows of vectors spread over clusters of the reference. On request only: no report computes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from modelwatch_gpu.errors import InputError
from modelwatch_gpu.measures.bins import js_divergence
from modelwatch_gpu.measures.embedding_rows import centered, squared_distances, squared_lengths, tiles
from modelwatch_gpu.stats.vectors import matrices

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_CLUSTER_KEY: Final = 61
#: Turns of Lloyd's algorithm, at most.
_TURNS: Final = 100


@dataclass(frozen=True, eq=False)
class Clusters:
    """``value``: Jensen-Shannon divergence in bits. ``floor``: what chance adds on average. ``centers``: (k, d).
    ``reference_counts``, ``current_counts``: (k,) rows by their nearest centre. ``n``, ``m``: rows. ``device``."""

    value: float
    floor: float
    centers: Floats
    reference_counts: Ints
    current_counts: Ints
    n: int
    m: int
    device: str


def cluster_js(
    reference: Any, current: Any, *, clusters: Any = 20, seed: int = 0, device: str = "auto", full: bool = False
) -> Any:
    """Jensen-Shannon divergence, in bits, of how many rows lie nearest to each of some centres: 0 to 1 (Lin 1991). It
    sees rows move from cluster to cluster, and nothing that happens inside one.

    Centres are k-means of the reference (Lloyd 1982, begun as by Arthur and Vassilvitskii 2007 with Philox numbers), or
    given, so that windows are held against the same ones. Histograms of clusters are patented in places: look before
    you build a product on them.

    Args:
        reference, current: (n, d) and (m, d), or lists of vectors.
        clusters: How many, or (k, d) centres.
        seed: Of the numbers that k-means begins with.
        device: "auto" or "cpu".
        full: Return Clusters instead of a float.

    Raises:
        InputError: A side is no matrix of finite numbers, or there are fewer than 2 clusters or more than rows.
    """
    a, b, chosen = matrices(reference, current, "cluster_js", device)
    if type(clusters) is int:
        if not 2 <= clusters <= len(a):
            raise InputError(f"clusters must be from 2 to the {len(a)} rows of the reference, not {clusters}.")
        center = a.mean(axis=0, dtype=np.float64)
        centers = _k_means(centered(a, a)[0].astype(np.float64), clusters, seed) + center
    else:
        centers = np.asarray(clusters, dtype=np.float64)
        if centers.ndim != 2 or centers.shape[1] != a.shape[1] or len(centers) < 2 or not np.isfinite(centers).all():
            raise InputError(f"clusters must be a number or (2 or more, {a.shape[1]}) centres of finite numbers.")
    counts = [np.bincount(_nearest(rows.astype(np.float64), centers), minlength=len(centers)) for rows in (a, b)]
    value = js_divergence(counts[0], counts[1])
    used = int(((counts[0] + counts[1]) > 0).sum())
    floor = (used - 1) * (1 / len(a) + 1 / len(b)) / (8 * float(np.log(2)))
    return Clusters(value, floor, centers, counts[0], counts[1], len(a), len(b), chosen) if full else value


def _nearest(rows: Floats, centers: Floats) -> Ints:
    """(rows,) the nearest centre of each, the first of those equally near."""
    middle = centers.mean(axis=0)
    rows, centers = rows - middle, centers - middle
    squares, other = squared_lengths(rows), squared_lengths(centers)
    out = np.empty(len(rows), dtype=np.int64)
    for own in tiles(len(rows)):
        out[own] = squared_distances(rows[own], centers, squares[own], other).argmin(axis=1)
    return out


def _k_means(rows: Floats, count: int, seed: int) -> Floats:
    """(count, d) centres; one that loses all its rows stays where it was."""
    random = np.random.Generator(np.random.Philox(key=_CLUSTER_KEY + (seed << 8)))
    centers: Floats = rows[random.integers(len(rows))][None]
    squares = squared_lengths(rows)
    nearest = np.full(len(rows), np.inf)
    for _ in range(count - 1):
        last = centers[-1:]
        nearest = np.minimum(nearest, squared_distances(rows, last, squares, squared_lengths(last))[:, 0])
        summed = np.cumsum(nearest)
        at = int(np.searchsorted(summed, random.random() * summed[-1], side="right")) if summed[-1] > 0 else 0
        centers = np.concatenate([centers, rows[min(at, len(rows) - 1)][None]])
    own = _nearest(rows, centers)
    for _ in range(_TURNS):
        order = np.argsort(own, kind="stable")
        there, first = np.unique(own[order], return_index=True)
        centers = centers.copy()
        centers[there] = np.add.reduceat(rows[order], first, axis=0) / np.diff([*first, len(rows)])[:, None]
        before, own = own, _nearest(rows, centers)
        if (own == before).all():
            break
    return centers
