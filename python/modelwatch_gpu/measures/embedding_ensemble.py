"""The verdict on two samples of vectors: several statistics, each blind to something, with one corrected p-value.

No single statistic sees everything (PRACTICE 2.3). Six members are computed for the labels as they are and for every
permutation of them; each is put on the scale of its own permutations, and the largest decides. So the level is exact
for rows that are exchangeable, whatever the members' distributions are (Westfall and Young 1993, max-T).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from modelwatch_gpu.measures.embedding_rows import (
    Floats,
    Matrix,
    Neighbours,
    auc_of,
    centered,
    cross_fitted,
    gaussian,
    labels_dealt,
    mmd_squared,
    nearest,
    pair_sums,
)
from modelwatch_gpu.measures.embedding_sums import root_of

#: Permutations of the labels.
PERMUTATIONS: Final = 299
#: Bandwidths of the kernel, as multiples of the baseline's.
SCALES: Final = (0.1, 0.25, 0.5, 1.0, 2.0)
#: Neighbours whose distance tells novelty, and principal directions of the pooled rows that Frechet distances are of.
NEIGHBOURS: Final = 5
AXES: Final = 32
#: Members, and what each is sensitive to.
MEMBERS: Final = {
    "centroid": "a shift of the mean",
    "mmd": "changes of the mixture of topics, and new clusters",
    "frechet": "changes of mean and covariance",
    "classifier": "small shifts along a line, in any direction",
    "novelty": "rows unlike any of the baseline, and changes of spread",
    "density": "changes of spread and of local density",
}


@dataclass(frozen=True, eq=False)
class Ensemble:
    """``pvalue``: of the largest member. ``member``: its name. ``scores``: name -> how far beyond its permutations'
    median, 1 where 5% of them are. ``auc``: of the classifier, cross-fitted. ``novelty``: log of the mean distance to
    the NEIGHBOURS-th nearest reference row, current over reference. ``density``: as ``prdc`` has it. ``ranked``:
    current rows, those that moved most first. ``distance``: (current rows,) to the NEIGHBOURS-th nearest reference row.
    """

    pvalue: float
    member: str
    scores: dict[str, float]
    auc: float
    novelty: float
    density: float
    ranked: npt.NDArray[np.int64]
    distance: Floats


def ensemble(
    reference: Matrix, current: Matrix, bandwidth: float, *, permutations: int = PERMUTATIONS, seed: int = 0
) -> Ensemble:
    """The verdict on two samples of at least eight rows each. ``bandwidth``: the kernel's sigma, from the baseline."""
    n, m = len(reference), len(current)
    a, b = centered(reference.astype(np.float64), current.astype(np.float64))
    rows = np.concatenate([a, b])
    labels = labels_dealt(n, n + m, permutations, seed=seed)
    found: dict[str, Floats] = {}
    found["centroid"] = _centroid(rows, labels)
    # Kernels and their products in float32: an average of many pairs loses nothing that a test could see.
    kernels = pair_sums(rows.astype(np.float32), labels, [gaussian(s * bandwidth) for s in SCALES])
    found["mmd"] = np.max([_scaled(mmd_squared(sums, n, m)) for sums in kernels], axis=0)
    found["frechet"] = _frechet(rows, labels)
    scores = cross_fitted(rows, labels)
    auc = auc_of(scores, labels)
    found["classifier"] = np.nan_to_num(auc, nan=0.5)
    neighbours = nearest(rows, rows, _candidates(n, m), same=True)
    novelty, density = _neighbourhoods(neighbours, labels)
    found["novelty"], found["density"] = _two_sided(novelty), _two_sided(density)
    scaled = {name: _scaled(values) for name, values in found.items()}
    largest = np.max(list(scaled.values()), axis=0)
    at_first = {name: float(values[0]) for name, values in scaled.items()}
    distance = nearest(b, a, min(NEIGHBOURS, n), same=False).distance[:, -1]
    return Ensemble(
        pvalue=float((largest >= largest[0] - 1e-9).mean()),
        member=max(at_first, key=lambda name: at_first[name]),
        scores=at_first,
        auc=float(auc[0]),
        novelty=float(novelty[0]),
        density=float(density[0]),
        ranked=_ranked(-scores[n:, 0], distance),
        distance=distance,
    )


def _scaled(found: Floats) -> Floats:
    """A member on the scale of its permutations: 0 is their median, 1 their 95th percentile."""
    middle, high = np.quantile(found, [0.5, 0.95])
    width = high - middle
    scaled: Floats = (found - middle) / width if width > 0 else np.where(found > middle, np.inf, 0.0)
    return scaled


def _two_sided(found: Floats) -> Floats:
    moved: Floats = np.abs(found - np.median(found))
    return moved


def _centroid(rows: Floats, labels: npt.NDArray[np.float32]) -> Floats:
    """(labels,) ||mean of label 1 - mean of label 0||^2."""
    marks = labels.astype(np.float64)
    n = marks[:, 0].sum()
    sums = marks.T @ rows
    moved = sums / n - (rows.sum(axis=0) - sums) / (len(rows) - n)
    squared: Floats = np.einsum("ij,ij->i", moved, moved)
    return squared


def _frechet(rows: Floats, labels: npt.NDArray[np.float32]) -> Floats:
    """(labels,) squared Frechet distances along the principal directions of the pooled rows."""
    marks = labels.astype(np.float64)
    n, m = marks[:, 0].sum(), (1 - marks[:, 0]).sum()
    pooled = rows - rows.mean(axis=0)
    k = int(max(1, min(AXES, rows.shape[1], (min(n, m) - 1) // 2)))
    axes = np.linalg.eigh(pooled.T @ pooled)[1][:, ::-1][:, :k]
    own = pooled @ axes
    upper = np.triu_indices(k)
    products = own[:, upper[0]] * own[:, upper[1]]
    sums, seconds = marks.T @ own, marks.T @ products
    sides = []
    for first, second, count in (
        (sums, seconds, n),
        (own.sum(axis=0) - sums, products.sum(axis=0) - seconds, m),
    ):
        mean = first / count
        covariance = np.zeros((labels.shape[1], k, k))
        covariance[:, upper[0], upper[1]] = second / count - mean[:, upper[0]] * mean[:, upper[1]]
        covariance[:, upper[1], upper[0]] = covariance[:, upper[0], upper[1]]
        sides.append((mean, covariance))
    (mean_a, a), (mean_b, b) = sides
    root = root_of(a)
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ b @ root), 0)).sum(axis=1)
    moved = mean_a - mean_b
    found: Floats = (moved**2).sum(axis=1) + np.trace(a + b, axis1=1, axis2=2) - 2 * cross
    return found


def _candidates(n: int, m: int) -> int:
    """Nearest rows to keep so that, of random labels, nearly always NEIGHBOURS are of the first sample."""
    return min(n + m - 1, int(2 * NEIGHBOURS * (n + m) / n) + 8)


def _neighbourhoods(near: Neighbours, labels: npt.NDArray[np.float32]) -> tuple[Floats, Floats]:
    """(labels,) log ratio of mean distances to the k-th nearest row of label 1, of label 0 over label 1; and density:
    how many rows of label 0 lie in the k-balls of those of label 1, over k and their number.

    Where the k-th is not among the candidates the last one stands for it, whatever the labels.
    """
    first = labels > 0
    novelty, density = np.empty(labels.shape[1]), np.empty(labels.shape[1])
    last = near.index.shape[1] - 1
    every = np.arange(len(near.index))
    for at in range(labels.shape[1]):
        own = first[:, at]
        seen = np.cumsum(own[near.index], axis=1, dtype=np.int32)
        reached = seen >= NEIGHBOURS
        place = np.where(reached[:, -1], reached.argmax(axis=1), last)
        distance = near.distance[every, place]
        inside, outside = distance[own].mean(), distance[~own].mean()
        novelty[at] = np.log(max(outside, 1e-300) / max(inside, 1e-300))
        strangers = place + 1 - seen[every, place]
        density[at] = strangers[own].sum() / (NEIGHBOURS * (~own).sum())
    return novelty, density


def _ranked(score: Floats, distance: Floats) -> npt.NDArray[np.int64]:
    """Rows by the sum of their ranks in both, largest first: what the classifier tells apart, and what is far."""
    ranks = sum(np.argsort(np.argsort(v, kind="stable"), kind="stable") for v in (score, distance))
    return np.argsort(-np.asarray(ranks), kind="stable")
