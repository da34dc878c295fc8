"""Distances of two samples of vectors, one vector a row: by kernels, distances, covariances, projections, classifiers
and neighbours. Tiles of pairs are worked on one at a time, so memory grows with rows and not with pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from modelwatch_gpu.device_arrays import resolve_for
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.measures.embedding_ensemble import PERMUTATIONS, Ensemble, ensemble
from modelwatch_gpu.measures.embedding_rows import (
    auc_of,
    centered,
    cross_fitted,
    energy_of,
    gaussian,
    labels_dealt,
    median_bandwidth,
    mmd_squared,
    nearest,
    pair_sums,
    permutation_pvalue,
    prdc_of,
)
from modelwatch_gpu.measures.embedding_sums import cosine_distance, frechet_floor, frechet_squared
from modelwatch_gpu.stats.device_pairs import DevicePairs
from modelwatch_gpu.stats.device_vectors import (
    mean_of,
    moments_of,
    on_host,
    shape_of,
    sorted_projections,
)
from modelwatch_gpu.stats.result import StatResult
from modelwatch_gpu.stats.vectors import check_k, matrices, matrices_there

Floats = npt.NDArray[np.float64]

#: Rows a bandwidth is taken from, at most.
_BANDWIDTH_ROWS: Final = 2_000
_PROJECTION_KEY: Final = 51
#: Rows of a side that a verdict needs, and permutations that a p-value of 5% does.
_FEWEST_ROWS: Final = 8
_FEWEST_PERMUTATIONS: Final = 19


@dataclass(frozen=True)
class Frechet:
    """``value``: what was asked for, ``raw`` or ``raw - floor``; ``raw``: the squared distance; ``floor``: what two
    samples of one normal distribution show on average."""

    value: float
    raw: float
    floor: float
    n: int
    m: int
    device: str


@dataclass(frozen=True, eq=False)
class Domain:
    """``value``: AUC, cross-fitted. ``null_sd``: its standard deviation where samples are alike, sqrt((n + m + 1) /
    (12 n m)). ``scores``: (n + m,) of reference then current rows, larger for what looks current. ``ranked``: current
    rows, those that look least like the reference first. ``pvalue``: by permutations, None without."""

    value: float
    null_sd: float
    pvalue: float | None
    scores: Floats
    ranked: npt.NDArray[np.int64]
    n: int
    m: int
    device: str


@dataclass(frozen=True, eq=False)
class Novelty:
    """``value``: ln of the mean distance of current rows to their k-th nearest reference row over that of reference
    rows to their k-th nearest other one. ``distance``: (m,) of current rows. ``rate``: share of current rows beyond
    ``limit``, the 99th percentile of the reference's own distances."""

    value: float
    rate: float
    limit: float
    distance: Floats
    n: int
    m: int
    device: str


@dataclass(frozen=True)
class PrdcResult:
    """Precision, recall, density and coverage, as ``prdc`` has them."""

    precision: float
    recall: float
    density: float
    coverage: float
    n: int
    m: int
    device: str


@dataclass(frozen=True, eq=False)
class EmbeddingDrift(Ensemble):
    """What ``Ensemble`` says of both samples. ``value``: 1 - ``pvalue``, of all members together. ``auc``, ``novelty``,
    ``density``: as ``domain_classifier``, ``knn_novelty`` and ``prdc`` have them, of the verdict's own folds and balls.
    ``n``, ``m``: rows of either side; ``device``: what answered."""

    value: float
    n: int
    m: int
    device: str


def mmd(
    reference: Any,
    current: Any,
    *,
    bandwidth: float | Sequence[float] | None = None,
    permutations: int = 0,
    seed: int = 0,
    device: str = "auto",
    full: bool = False,
) -> Any:
    """Unbiased squared maximum mean discrepancy with the kernel exp(-||x - y||^2 / 2 sigma^2) (Gretton et al. 2012).

    Args:
        reference, current: (n, d) and (m, d), or lists of vectors; float32 is computed in float32.
        bandwidth: sigma, or several whose kernels are averaged. Default: sigma^2 is half the median squared distance of
            at most 1,000 x 1,000 reference rows.
        permutations: How often labels are dealt out anew for a p-value, in the same tiles; 0: none.
        seed: Of the Philox numbers that deal them.
        device: "auto" (where the arrays lie), "cpu", "cuda" or "cuda:N"; of arrays on a device, float32 or float64 in
            rows, at most 2,000 reference rows are copied to the host, for the default bandwidth.
        full: Return a StatResult, with ``pvalue``, instead of a float.

    Raises:
        InputError: A side is no matrix of finite numbers or has fewer than two rows, or the reference's rows are all
            equal and no bandwidth is given.
    """
    chosen = resolve_for(device, reference, current)
    if chosen != "cpu":
        there = DevicePairs(*matrices_there(reference, current, "mmd", fewest=2), chosen)
        widths = _bandwidths(there.reference_rows(_BANDWIDTH_ROWS), bandwidth)
        n, m = there.rows
        labels = labels_dealt(n, n + m, _times(permutations), seed=seed)
        sums = there.kernel_sums(widths, 0.0, labels)
    else:
        a, b, chosen = matrices(reference, current, "mmd", device, fewest=2)
        widths = _bandwidths(a, bandwidth)
        n, m = len(a), len(b)
        rows = np.concatenate(centered(a, b))
        labels = labels_dealt(n, n + m, _times(permutations), seed=seed)
        sums = pair_sums(rows, labels, [gaussian(width) for width in widths])
    found = np.mean([mmd_squared(s, n, m) for s in sums], axis=0)
    return _answer(found, n, m, chosen, permutations, full)


def energy_of_vectors(reference: Any, current: Any, *, permutations: int, seed: int, device: str, full: bool) -> Any:
    """The root of the energy distance of vectors, see ``energy_distance(multivariate=True)``."""
    chosen = resolve_for(device, reference, current)
    if chosen != "cpu":
        there = DevicePairs(*matrices_there(reference, current, "energy_distance", fewest=1), chosen)
        n, m = there.rows
        (sums,) = there.distance_sums(labels_dealt(n, n + m, _times(permutations), seed=seed))
    else:
        a, b, chosen = matrices(reference, current, "energy_distance", device)
        n, m = len(a), len(b)
        rows = np.concatenate(centered(a, b))
        labels = labels_dealt(n, n + m, _times(permutations), seed=seed)
        (sums,) = pair_sums(rows, labels, [np.sqrt])
    found = np.sqrt(np.maximum(energy_of(sums, n, m), 0))
    return _answer(found, n, m, chosen, permutations, full)


def frechet_distance(
    reference: Any, current: Any, *, debias: bool = True, device: str = "auto", full: bool = False
) -> Any:
    """Squared Frechet distance of two normal distributions with the samples' means and covariances (Dowson and Landau
    1982; with n - 1), less what chance adds on average.

    Args:
        reference, current: (n, d) and (m, d), or lists of vectors.
        debias: Take off what two samples of one normal distribution show on average: (1/n + 1/m) [tr S + 1/2 SUM_ij
            l_i l_j (1 + [i = j]) / (l_i + l_j)] with the eigenvalues l of the pooled covariance. It is of first order:
            with fewer rows than elements it takes off too little or too much.
        device: "auto" (where the arrays lie), "cpu", "cuda" or "cuda:N". A device adds up products; of fewer rows than
            elements, which are fewer numbers than these, the rows are copied to the host.
        full: Return a Frechet with ``raw`` and ``floor`` instead of a float.

    Raises:
        InputError: A side is no matrix of finite numbers or has fewer than two rows.
    """
    chosen = resolve_for(device, reference, current)
    there = matrices_there(reference, current, "frechet_distance", fewest=2) if chosen != "cpu" else None
    if there is not None and sum(shape_of(side)[0] for side in there) >= shape_of(there[0])[1]:
        n, m = (shape_of(side)[0] for side in there)
        means, covariances = moments_of(there, chosen)
    else:
        first, second = (reference, current) if there is None else (on_host(side) for side in there)
        a, b, _ = matrices(first, second, "frechet_distance", "cpu", fewest=2)
        n, m = len(a), len(b)
        a, b = (side.astype(np.float64) for side in centered(a, b))
        if n + m < a.shape[1]:
            # Few rows span few directions, and nothing is lost along these alone.
            axes = np.linalg.qr(np.concatenate([a, b]).T)[0]
            a, b = a @ axes, b @ axes
        means = [side.mean(axis=0) for side in (a, b)]
        covariances = [np.atleast_2d(np.cov(side.T)) for side in (a, b)]
    raw = frechet_squared(means[0], covariances[0], means[1], covariances[1])
    pooled = ((n - 1) * covariances[0] + (m - 1) * covariances[1]) / (n + m - 2)
    floor = frechet_floor(pooled, n, m)
    value = raw - floor if debias else raw
    return Frechet(value, raw, floor, n, m, chosen) if full else value


def sliced_wasserstein(
    reference: Any,
    current: Any,
    *,
    p: float = 2,
    projections: Any = 128,
    seed: int = 0,
    device: str = "auto",
    full: bool = False,
) -> Any:
    """(mean over directions of W_p^p of the projections)^(1/p), in the vectors' units (Rabin et al. 2011).

    Args:
        reference, current: (n, d) and (m, d), or lists of vectors.
        p: 1 or more.
        projections: How many random directions, or (d, directions) whose columns are taken as they are.
        seed: Of the Philox numbers that directions are drawn by.
        device: "auto" (where the arrays lie), "cpu", "cuda" or "cuda:N". A device projects and sorts; sorted
            projections are compared on the host.
        full: Return a StatResult instead of a float.

    Raises:
        InputError: A side is no matrix of finite numbers or has no rows, or p or the directions do not fit.
    """
    chosen = resolve_for(device, reference, current)
    if not p >= 1:
        raise InputError(f"p must be 1 or more, not {p!r}.")
    if chosen != "cpu":
        there = matrices_there(reference, current, "sliced_wasserstein", fewest=1)
        (n, d), (m, _) = (shape_of(side) for side in there)
        found = sorted_projections(there, _directions(projections, d, seed), chosen)
    else:
        a, b, chosen = matrices(reference, current, "sliced_wasserstein", device)
        n, m = len(a), len(b)
        axes = _directions(projections, a.shape[1], seed).T
        found = ((np.sort(a @ axis).astype(np.float64), np.sort(b @ axis).astype(np.float64)) for axis in axes)
    value = float(np.mean([_wasserstein_power(*both, p) for both in found]) ** (1 / p))
    return StatResult(value, value, value, n, m, 0, chosen) if full else value


def domain_classifier(
    reference: Any, current: Any, *, permutations: int = 0, seed: int = 0, device: str = "auto", full: bool = False
) -> Any:
    """AUC of a linear classifier that tells current rows from reference rows it has not seen: 0.5 where samples are
    alike, 1 where a plane separates them (Lopez-Paz and Oquab 2017).

    Ridge regression on the label in four folds, which are drawn without a look at labels; pairs of one fold are
    compared. The ridge is the mean squared length of the training rows along one of their directions.

    Args:
        reference, current: (n, d) and (m, d), or lists of vectors.
        permutations: How often labels are dealt out anew for a p-value; 0: none.
        seed: Of the Philox numbers that deal them.
        device: "auto" or "cpu".
        full: Return a Domain, with scores and the rows that moved most, instead of a float.

    Raises:
        InputError: A side is no matrix of finite numbers or has no rows, or no fold holds rows of both.
    """
    a, b, chosen = matrices(reference, current, "domain_classifier", device)
    n, m = len(a), len(b)
    rows = np.concatenate(centered(a, b))
    labels = 1 - labels_dealt(n, n + m, _times(permutations), seed=seed)
    scores = cross_fitted(rows, labels)
    auc = auc_of(scores, labels)
    value = float(auc[0])
    if np.isnan(value):
        raise InputError(f"domain_classifier has no answer: {n} and {m} rows are too few to learn from.")
    if not full:
        return value
    pvalue = permutation_pvalue(np.nan_to_num(auc, nan=0.5)) if permutations else None
    ranked = np.argsort(-scores[n:, 0], kind="stable")
    return Domain(value, float(np.sqrt((n + m + 1) / (12 * n * m))), pvalue, scores[:, 0], ranked, n, m, chosen)


def knn_novelty(reference: Any, current: Any, *, k: int = 5, device: str = "auto", full: bool = False) -> Any:
    """ln of (mean distance of current rows to their k-th nearest reference row / that of reference rows to their k-th
    nearest other reference row): 0 where samples are alike, above 0 where current rows are new or farther apart.

    Args:
        reference, current: (n, d) and (m, d), or lists of vectors.
        k: Which neighbour, from 1.
        device: "auto" (where the arrays lie), "cpu", "cuda" or "cuda:N".
        full: Return a Novelty, with the distance of every current row, instead of a float.

    Raises:
        InputError: A side is no matrix of finite numbers, the reference has no k + 1 rows, or all its distances are 0.
    """
    chosen = resolve_for(device, reference, current)
    if chosen != "cpu":
        there = DevicePairs(*matrices_there(reference, current, "knn_novelty", fewest=1), chosen)
        n, m = there.rows
        check_k(k, n, "reference")
        own, distance = there.within_reference(k), there.to_reference(k)
    else:
        a, b, chosen = matrices(reference, current, "knn_novelty", device)
        n, m = len(a), len(b)
        check_k(k, n, "reference")
        a, b = centered(a, b)
        own = nearest(a, a, k, same=True).distance[:, -1]
        distance = nearest(b, a, k, same=False).distance[:, -1]
    if not own.mean() > 0 or not distance.mean() > 0:
        raise InputError("knn_novelty has no answer: the rows of a side are copies of reference rows.")
    value = float(np.log(distance.mean() / own.mean()))
    limit = float(np.quantile(own, 0.99))
    rate = float((distance > limit).mean())
    return Novelty(value, rate, limit, distance, n, m, chosen) if full else value


def prdc(reference: Any, current: Any, *, k: int = 5, device: str = "auto", full: bool = False) -> PrdcResult:
    """Precision and recall (Kynkaanniemi et al. 2019), density and coverage (Naeem et al. 2020) of current rows, with
    balls out to the k-th nearest other row.

    Args:
        reference, current: (n, d) and (m, d), or lists of vectors.
        k: Which neighbour, from 1.
        device: "auto" (where the arrays lie), "cpu", "cuda" or "cuda:N".
        full: Of no effect: the answer is a PrdcResult.

    Raises:
        InputError: A side is no matrix of finite numbers or has no k + 1 rows.
    """
    chosen = resolve_for(device, reference, current)
    if chosen != "cpu":
        there = DevicePairs(*matrices_there(reference, current, "prdc", fewest=1), chosen)
        n, m = there.rows
    else:
        a, b, chosen = matrices(reference, current, "prdc", device)
        n, m = len(a), len(b)
    check_k(k, n, "reference")
    check_k(k, m, "current")
    found = prdc_of(*centered(a, b), k) if chosen == "cpu" else there.prdc(k)
    return PrdcResult(found.precision, found.recall, found.density, found.coverage, n, m, chosen)


def embedding_drift(
    reference: Any,
    current: Any,
    *,
    permutations: int = PERMUTATIONS,
    device: str = "auto",
    full: bool = False,
) -> Any:
    """1 - p of the verdict that reports give on embeddings, near 1 where current rows drifted: six statistics of the
    rows (centroid, MMD, Frechet distance, classifier, novelty, density) on the scale of their own permutations, with
    one p-value for all of them (``docs/embeddings.md``).

    Args:
        reference, current: (n, d) and (m, d), or lists of vectors; rows are rounded to float32.
        permutations: How often labels are dealt out anew, from 19.
        device: "auto" (where the arrays lie), "cpu", "cuda" or "cuda:N". On a device the distances of pairs are
            computed there, for MMD and for neighbours; axes, the classifier and its ranks are the host's, from one copy
            of the rows.
        full: Return an EmbeddingDrift, with the statistics and the rows that moved most, instead of a float.

    Raises:
        InputError: A side is no matrix of finite numbers or has fewer than eight rows.
    """
    if type(permutations) is not int or permutations < _FEWEST_PERMUTATIONS:
        raise InputError(f"permutations must be a whole number from {_FEWEST_PERMUTATIONS}, not {permutations!r}.")
    chosen = resolve_for(device, reference, current)
    if chosen != "cpu":
        there = DevicePairs(*matrices_there(reference, current, "embedding_drift", fewest=_FEWEST_ROWS), chosen)
        n, m = there.rows
        found = ensemble(*there.copied(), permutations=permutations, pairs=there)
    else:
        a, b, chosen = matrices(reference, current, "embedding_drift", device, fewest=_FEWEST_ROWS)
        n, m = len(a), len(b)
        found = ensemble(a, b, permutations=permutations)
    value = 1 - found.pvalue
    return EmbeddingDrift(**vars(found), value=value, n=n, m=m, device=chosen) if full else value


def cosine_centroid(reference: Any, current: Any, *, device: str = "auto", full: bool = False) -> Any:
    """1 - cosine of the angle between the means, 0 to 2. Arguments as for ``frechet_distance``; ``full`` gives a
    StatResult. Raises InputError also where a mean is 0."""
    chosen = resolve_for(device, reference, current)
    if chosen != "cpu":
        there = matrices_there(reference, current, "cosine_centroid", fewest=1)
        means = [mean_of(side, chosen) for side in there]
        n, m = (shape_of(side)[0] for side in there)
    else:
        a, b, chosen = matrices(reference, current, "cosine_centroid", device)
        means = [side.mean(axis=0, dtype=np.float64) for side in (a, b)]
        n, m = len(a), len(b)
    value = cosine_distance(*means)
    if np.isnan(value):
        raise InputError("cosine_centroid has no answer: the mean of a side is 0, which has no direction.")
    return StatResult(value, value, value, n, m, 0, chosen) if full else value


def _answer(found: Floats, n: int, m: int, device: str, permutations: int, full: bool) -> Any:
    value = float(found[0])
    if not full:
        return value
    pvalue = permutation_pvalue(found) if permutations else None
    return StatResult(value, value, value, n, m, 0, device, pvalue)


def _times(permutations: int) -> int:
    if type(permutations) is not int or permutations < 0:
        raise InputError(f"permutations must be a whole number, 0 or more, not {permutations!r}.")
    return permutations


def _bandwidths(reference: Any, bandwidth: float | Sequence[float] | None) -> list[float]:
    if bandwidth is None:
        found = [median_bandwidth(reference[:_BANDWIDTH_ROWS].astype(np.float64))]
        if not found[0] > 0:
            raise InputError("mmd has no bandwidth: most reference rows are equal; pass bandwidth=.")
        return found
    found = [float(b) for b in np.atleast_1d(np.asarray(bandwidth, dtype=np.float64))]
    if not found or not all(np.isfinite(b) and b > 0 for b in found):
        raise InputError(f"bandwidth must be above 0, not {bandwidth!r}.")
    return found


def _directions(projections: Any, dimension: int, seed: int) -> Any:
    if type(projections) is int:
        if projections < 1:
            raise InputError(f"projections must be 1 or more, not {projections}.")
        generator = np.random.Generator(np.random.Philox(key=_PROJECTION_KEY + (seed << 8)))
        found = generator.standard_normal((dimension, projections))
        return found / np.linalg.norm(found, axis=0)
    found = np.asarray(projections, dtype=np.float64)
    if found.ndim != 2 or found.shape[0] != dimension or not found.shape[1] or not np.isfinite(found).all():
        raise InputError(f"projections must be a number of directions or a ({dimension}, directions) array of numbers.")
    return found


def _wasserstein_power(a: Floats, b: Floats, p: float) -> float:
    """W_p^p of two sorted samples: the integral of |quantile - quantile|^p, whose steps are those of both (Villani
    2003)."""
    if len(a) == len(b):
        return float(np.mean(np.abs(a - b) ** p))
    ends = np.union1d(np.arange(1, len(a) + 1) * len(b), np.arange(1, len(b) + 1) * len(a))
    widths = np.diff(ends, prepend=0) / (len(a) * len(b))
    first, second = a[(ends - 1) // len(b)], b[(ends - 1) // len(a)]
    return float((widths * np.abs(first - second) ** p).sum())
