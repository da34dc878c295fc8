"""The verdict on two samples of vectors: several statistics, each blind to something, with one corrected p-value.

No single statistic sees everything (PRACTICE 2.3). Six members are computed for the labels as they are and for every
permutation of them; each is put on the scale of its own permutations, and the harmonic mean of what this says of their
p-values decides (Wilson 2019), by its own permutations: one that is sure is enough, and several that are nearly sure
add up. So the level is exact for rows that are exchangeable, whatever the members' distributions are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from modelwatch_gpu.measures.embedding_rows import (
    Floats,
    Matrix,
    Neighbours,
    PairSums,
    auc_of,
    cross_fitted,
    gaussian,
    labels_dealt,
    median_bandwidth,
    mmd_squared,
    nearest,
    pair_sums,
)
from modelwatch_gpu.measures.embedding_sums import root_of
from modelwatch_gpu.profile.vectors import vector_hashes

#: Permutations of the labels.
PERMUTATIONS: Final = 299
#: Bandwidths of the kernel, as multiples of the median heuristic's of both samples.
SCALES: Final = (0.1, 0.25, 0.5, 1.0, 2.0)
#: Neighbours whose distance tells novelty, and principal directions of the pooled rows that Frechet distances are of.
NEIGHBOURS: Final = 5
AXES: Final = 32
#: Rows that the kernel's bandwidth is of.
_BANDWIDTH_ROWS: Final = 1_024
_BANDWIDTH_KEY: Final = 51
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
    """``pvalue``: of all members together. ``member``: the name of the largest. ``scores``: name -> how far beyond its
    permutations' median, 1 where 5% of them are. ``auc``: of the classifier, cross-fitted. ``novelty``: log of the mean
    distance to the NEIGHBOURS-th nearest reference row, current over reference. ``density``: as ``prdc`` has it.
    ``ranked``: current rows, those that moved most first. ``distance``: (current rows,) to the NEIGHBOURS-th nearest
    reference row.
    """

    pvalue: float
    member: str
    scores: dict[str, float]
    auc: float
    novelty: float
    density: float
    ranked: npt.NDArray[np.int64]
    distance: Floats


class Pairs(Protocol):
    """Distances of the rows of both samples, reference before current, wherever they are computed."""

    def nearest(self, k: int) -> Neighbours:
        """Of every row the ``k`` nearest others."""

    def to_reference(self, k: int) -> Floats:
        """(current rows,) distance to the ``k``-th nearest reference row."""

    def kernel_sums(
        self, bandwidths: Sequence[float], closest: float, labels: npt.NDArray[np.float32]
    ) -> list[PairSums]:
        """Sums of ``gaussian`` of each bandwidth."""


@dataclass(frozen=True, eq=False)
class _PairsHere:
    """``Pairs`` on the CPU. ``rows``: centred, float64; ``short``: the same in float32, for averages over many rows,
    which lose nothing that a test could see, and take half the time; ``first``: how many are reference rows."""

    rows: Floats
    short: Matrix
    first: int

    def nearest(self, k: int) -> Neighbours:
        return nearest(self.short, self.short, k, same=True, exact=False)

    def to_reference(self, k: int) -> Floats:
        found: Floats = nearest(self.rows[self.first :], self.rows[: self.first], k, same=False).distance[:, -1]
        return found

    def kernel_sums(
        self, bandwidths: Sequence[float], closest: float, labels: npt.NDArray[np.float32]
    ) -> list[PairSums]:
        return pair_sums(self.short, labels, [gaussian(width, closest) for width in bandwidths])


def ensemble(
    reference: Matrix, current: Matrix, *, permutations: int = PERMUTATIONS, pairs: Pairs | None = None
) -> Ensemble:
    """The verdict on two samples of at least eight rows each, of one dimension. ``pairs``: who computes the distances
    of these rows, by default the CPU.

    All that is drawn at random (permutations, folds, the rows a bandwidth is of) is drawn by the rows themselves, and
    all that is fitted (bandwidth, directions) is fitted on both samples together: nothing but the labels tells one
    sample from the other, which is what makes the permutations exact.
    """
    n, m = len(reference), len(current)
    given = np.concatenate([reference, current]).astype(np.float32)
    seed = int(vector_hashes(given).sum(dtype=np.uint64))
    rows = given.astype(np.float64)
    rows -= rows.mean(axis=0)
    labels = labels_dealt(n, n + m, permutations, seed=seed)
    short = rows.astype(np.float32)
    pairs = pairs or _PairsHere(rows, short, n)
    near = pairs.nearest(_candidates(n, m))
    scores = cross_fitted(short, labels, seed=seed)
    auc = auc_of(scores, labels, seed=seed)
    novelty, density = _neighbourhoods(near, labels)
    found = {
        "centroid": _centroid(rows, labels),
        "mmd": _mmd(short, labels, near, seed, pairs),
        "frechet": _frechet(rows, labels),
        "classifier": np.nan_to_num(auc, nan=0.5),
        "novelty": _two_sided(novelty),
        "density": _two_sided(density),
    }
    members = {name: scaled(values) for name, values in found.items()}
    joint = together(list(members.values()))
    at_first = {name: float(values[0]) for name, values in members.items()}
    distance = pairs.to_reference(min(NEIGHBOURS, n))
    return Ensemble(
        pvalue=float((joint >= joint[0] - 1e-9).mean()),
        member=max(at_first, key=lambda name: at_first[name]),
        scores=at_first,
        auc=float(auc[0]),
        novelty=float(novelty[0]),
        density=float(density[0]),
        ranked=_ranked(-scores[n:, 0], distance),
        distance=distance,
    )


def scaled(found: Floats) -> Floats:
    """A member on the scale of its permutations: 0 is their median, 1 their 95th percentile."""
    middle, high = np.quantile(found, [0.5, 0.95])
    width = high - middle
    on_scale: Floats = (found - middle) / width if width > 0 else np.where(found > middle, np.inf, 0.0)
    return on_scale


def together(members: list[Floats]) -> Floats:
    """(labels,) log10 of SUM 10^s: with tails that fall as powers of ten, 10^s is half of 1 / p of a member."""
    summed: Floats = np.log10((10.0 ** np.clip(members, -100, 100)).sum(axis=0))
    return summed


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


def _mmd(rows: Matrix, labels: npt.NDArray[np.float32], near: Neighbours, seed: int, pairs: Pairs) -> Floats:
    """(labels,) the largest of MMD^2 at ``SCALES``, each on its own scale.

    A kernel is 1 at the closest pair: of vectors of many elements all pairs may lie so many bandwidths apart that
    nothing is left.
    """
    drawn = np.random.Generator(np.random.Philox(key=_BANDWIDTH_KEY + (seed << 8))).permutation(len(rows))
    some = rows[drawn[:_BANDWIDTH_ROWS]].astype(np.float64)
    bandwidth = median_bandwidth(some) or float(np.sqrt((some**2).sum(axis=1).mean())) or 1.0
    closest = float(near.distance[:, 0].min()) ** 2
    n = int(labels[:, 0].sum())
    sums = pairs.kernel_sums([scale * bandwidth for scale in SCALES], closest, labels)
    largest: Floats = np.max([scaled(mmd_squared(one, n, len(rows) - n)) for one in sums], axis=0)
    return largest


def _frechet(rows: Floats, labels: npt.NDArray[np.float32]) -> Floats:
    """(labels,) squared Frechet distances along the principal directions of the pooled rows."""
    marks = labels.T.astype(np.float64)
    n = marks[0].sum()
    m = len(rows) - n
    k = int(max(1, min(AXES, rows.shape[1], (min(n, m) - 1) // 2)))
    own = rows @ _principal(rows, k)
    upper = np.triu_indices(k)
    products = own[:, upper[0]] * own[:, upper[1]]
    sums, seconds = marks @ own, marks @ products
    return frechet_by_labels(
        (sums, own.sum(axis=0) - sums), (seconds, products.sum(axis=0) - seconds), (np.full(len(marks), n), m)
    )


def frechet_by_labels(
    sums: tuple[Floats, Floats], seconds: tuple[Floats, Floats], counts: tuple[Floats, Any]
) -> Floats:
    """(labels,) squared Frechet distances of two sides, from (labels, k) sums, (labels, k (k + 1) / 2) sums of
    products, upper triangle by rows, and numbers of rows."""
    k = sums[0].shape[1]
    upper = np.triu_indices(k)
    sides = []
    for first, second, count in zip(sums, seconds, counts, strict=True):
        rows = np.broadcast_to(np.asarray(count, dtype=np.float64), len(first))[:, None]
        mean, products = first / rows, second / rows
        covariance = np.zeros((len(first), k, k))
        covariance[:, upper[0], upper[1]] = products - mean[:, upper[0]] * mean[:, upper[1]]
        covariance[:, upper[1], upper[0]] = covariance[:, upper[0], upper[1]]
        sides.append((mean, covariance))
    (mean_a, a), (mean_b, b) = sides
    moved = mean_a - mean_b
    found: Floats = (moved**2).sum(axis=1) + np.trace(a + b, axis1=1, axis2=2) - 2 * _trace_of_cross_root(a, b)
    return found


def _principal(rows: Floats, k: int) -> Floats:
    """(d, k) the principal directions of centred rows, from the smaller of the two products."""
    short = rows.astype(np.float32)
    if len(rows) >= rows.shape[1]:
        return np.linalg.eigh(short.T @ short)[1][:, ::-1][:, :k].astype(np.float64)
    values, axes = np.linalg.eigh(short @ short.T)
    found: Floats = rows.T @ (axes[:, ::-1][:, :k] / np.sqrt(np.maximum(values[::-1][:k].astype(np.float64), 1e-300)))
    return found


def _trace_of_cross_root(a: Floats, b: Floats) -> Floats:
    """(labels,) tr (A^1/2 B A^1/2)^1/2: the eigenvalues are those of L'BL with A = LL', and a factor costs less than a
    root; where rows span fewer directions there is only the root."""
    try:
        left = np.linalg.cholesky(a)
    except np.linalg.LinAlgError:
        left = root_of(a)
    crossed = np.swapaxes(left, 1, 2) @ b @ left
    found: Floats = np.sqrt(np.maximum(np.linalg.eigvalsh(crossed), 0)).sum(axis=1)
    return found


def _candidates(n: int, m: int) -> int:
    """Nearest rows to keep so that, of random labels, nearly always NEIGHBOURS are of the first sample."""
    return min(n + m - 1, int(2 * NEIGHBOURS * (n + m) / n) + 8)


def _neighbourhoods(near: Neighbours, labels: npt.NDArray[np.float32]) -> tuple[Floats, Floats]:
    """(labels,) log ratio of mean distances to the k-th nearest row of label 1, of label 0 over label 1; and density:
    how many rows of label 0 lie in the k-balls of those of label 1, over k and their number.

    Where the k-th is not among the candidates the last one stands for it, whatever the labels.
    """
    wide = near.index.shape[1]
    count = np.uint8 if wide < 255 else np.uint16
    marks = (labels > 0).astype(count)
    # Of every row and label: how many of its nearest rows are of label 1, and how many come before the k-th of them.
    seen, place = np.zeros(marks.shape, dtype=count), np.zeros(marks.shape, dtype=count)
    for column in near.index.T:
        seen += marks[column]
        place += seen < NEIGHBOURS
    last = np.minimum(place, wide - 1)
    strangers = last.astype(np.int32) + 1 - np.minimum(seen, NEIGHBOURS)
    distance = np.take_along_axis(near.distance, last.astype(np.int64), 1)
    own = labels.astype(np.float64)
    inside, whole = np.einsum("rp,rp->p", distance, own), distance.sum(axis=0)
    n = own[:, 0].sum()
    m = len(own) - n
    ratio = np.maximum((whole - inside) / m, 1e-300) / np.maximum(inside / n, 1e-300)
    return np.log(ratio), np.einsum("rp,rp->p", strangers, own) / (NEIGHBOURS * m)


def _ranked(score: Floats, distance: Floats) -> npt.NDArray[np.int64]:
    """Rows by the sum of their ranks in both, largest first: what the classifier tells apart, and what is far."""
    ranks = sum(np.argsort(np.argsort(v, kind="stable"), kind="stable") for v in (score, distance))
    return np.argsort(-np.asarray(ranks), kind="stable")
