"""Statistics of two samples of vectors against independent packages, by hand, and on hard input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.spatial.distance import cdist, cosine
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors
from tolerances import VECTORS_FLOAT32, VECTORS_FLOAT64

import modelwatch_gpu as mw
from modelwatch_gpu.measures.embedding_rows import FOLDS, RIDGE, fold_of_rows

ot = pytest.importorskip("ot")
prdc = pytest.importorskip("prdc")

SHAPES = [(20, 30, 3), (50, 50, 8), (7, 5, 1), (9, 40, 60), (1_100, 1_050, 4)]


def pair(n: int, m: int, d: int, seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng([n, m, d, seed])
    return rng.normal(size=(n, d)) + 5, rng.normal(size=(m, d)) * 1.2 + 5.3


@pytest.mark.parametrize(
    ("n", "m", "d", "sigma", "seed", "recorded"),
    [
        (20, 30, 3, 1.0, 1, 0.035896521118441105),
        (50, 50, 8, 2.5, 2, 0.026495235932829764),
        (7, 5, 1, 0.5, 3, -0.05405519803070913),
    ],
)
def test_mmd_is_that_of_frouros(n: int, m: int, d: int, sigma: float, seed: int, recorded: float) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(n, d)), rng.normal(size=(m, d)) + 0.3
    assert mw.stats.mmd(x, y, bandwidth=sigma) == pytest.approx(recorded, abs=VECTORS_FLOAT64)


@pytest.mark.parametrize(("n", "m", "d"), SHAPES)
def test_mmd_and_energy_are_sums_over_all_pairs(n: int, m: int, d: int) -> None:
    x, y = pair(n, m, d)
    k = [np.exp(-(cdist(a, b, "sqeuclidean")) / (2 * 2.0**2)) for a, b in ((x, x), (y, y), (x, y))]
    squared = (k[0].sum() - n) / (n * (n - 1)) + (k[1].sum() - m) / (m * (m - 1)) - 2 * k[2].mean()
    assert mw.stats.mmd(x, y, bandwidth=2.0) == pytest.approx(squared, abs=VECTORS_FLOAT64)
    single = mw.stats.mmd(x.astype(np.float32), y.astype(np.float32), bandwidth=2.0)
    assert single == pytest.approx(squared, abs=VECTORS_FLOAT32)
    apart = 2 * cdist(x, y).mean() - cdist(x, x).mean() - cdist(y, y).mean()
    energy = mw.stats.energy_distance(x, y, multivariate=True)
    assert energy**2 == pytest.approx(apart, rel=1e3 * VECTORS_FLOAT64)


def test_energy_distance_is_that_of_dcor(monkeypatch: pytest.MonkeyPatch) -> None:
    # Importing it compiles for 30 s what distance correlations use, and energy distances do not.
    numba = pytest.importorskip("numba")
    monkeypatch.setattr(numba.config, "DISABLE_JIT", True)
    monkeypatch.setattr(numba, "guvectorize", lambda *signature, **options: lambda function: function)
    dcor = pytest.importorskip("dcor")
    for n, m, d in SHAPES:
        x, y = pair(n, m, d)
        energy = mw.stats.energy_distance(x, y, multivariate=True)
        assert energy**2 == pytest.approx(dcor.energy_distance(x, y), rel=1e3 * VECTORS_FLOAT64), (n, m, d)


def test_mmd_by_hand() -> None:
    # Pairs within: exp(-1/2) on one side, exp(-2) on the other; across: exp(0), exp(-2), exp(-1/2), exp(-1/2).
    one, two = np.exp(-0.5), np.exp(-2.0)
    assert mw.stats.mmd([[0.0], [1.0]], [[0.0], [2.0]], bandwidth=1.0) == pytest.approx(
        one + two - 2 * (1 + two + one + one) / 4, abs=VECTORS_FLOAT64
    )


def test_the_median_decides_the_bandwidth() -> None:
    x, y = pair(60, 40, 3)
    half = cdist(x[:30], x[30:], "sqeuclidean")
    sigma = np.sqrt(np.median(half) / 2)
    assert mw.stats.mmd(x, y) == pytest.approx(mw.stats.mmd(x, y, bandwidth=sigma), abs=VECTORS_FLOAT64)
    several = [mw.stats.mmd(x, y, bandwidth=b) for b in (0.5, 1.0)]
    assert mw.stats.mmd(x, y, bandwidth=[0.5, 1.0]) == pytest.approx(np.mean(several), abs=VECTORS_FLOAT64)


def test_permutations_are_those_of_the_whole_matrix_of_kernels() -> None:
    x, y = pair(25, 35, 2)
    z = np.concatenate([x, y])
    kernel = np.exp(-cdist(z, z, "sqeuclidean") / 2)
    np.fill_diagonal(kernel, 0)
    found = mw.stats.mmd(x, y, bandwidth=1.0, permutations=99, full=True)
    from modelwatch_gpu.measures.embedding_rows import labels_dealt

    every = []
    for label in labels_dealt(25, 60, 99).T > 0:
        a, b = np.flatnonzero(label), np.flatnonzero(~label)
        within = kernel[np.ix_(a, a)].sum() / (25 * 24) + kernel[np.ix_(b, b)].sum() / (35 * 34)
        every.append(within - 2 * kernel[np.ix_(a, b)].sum() / (25 * 35))
    assert found.pvalue == np.mean(np.array(every) >= every[0] - 1e-12)
    assert found == mw.stats.mmd(x, y, bandwidth=1.0, permutations=99, full=True)
    assert mw.stats.mmd(x, x, bandwidth=1.0, permutations=99, full=True).pvalue > 0.5


@pytest.mark.parametrize(("n", "m", "d"), [s for s in SHAPES if s[2] > 1])
def test_frechet_is_that_of_pot(n: int, m: int, d: int) -> None:
    x, y = pair(n, m, d)
    a, b = np.cov(x.T), np.cov(y.T)
    # POT's root of a covariance without full rank is a complex one.
    if min(n, m) > d:
        other = ot.gaussian.bures_wasserstein_distance(x.mean(axis=0), y.mean(axis=0), a, b) ** 2
    else:
        root = np.linalg.svd(np.linalg.multi_dot([(x - x.mean(axis=0)), (y - y.mean(axis=0)).T]), compute_uv=False)
        moved = x.mean(axis=0) - y.mean(axis=0)
        other = moved @ moved + np.trace(a) + np.trace(b) - 2 * root.sum() / np.sqrt((n - 1) * (m - 1))
    assert mw.stats.frechet_distance(x, y, debias=False) == pytest.approx(other, rel=1e-9)


def test_what_chance_adds_to_frechet_is_taken_off() -> None:
    rng = np.random.default_rng(4)
    found = [
        mw.stats.frechet_distance(rng.normal(size=(400, 8)), rng.normal(size=(300, 8)), full=True) for _ in range(60)
    ]
    error = np.std([f.value for f in found]) / np.sqrt(60)
    assert abs(np.mean([f.value for f in found])) < 3 * error + 0.02 * np.mean([f.floor for f in found])
    # All eigenvalues 1: (1/n + 1/m) (d + (d^2 + d) / 4), the number for d = 256 and 1,000 rows a side being 33.4.
    from modelwatch_gpu.measures.embedding_sums import frechet_floor

    assert frechet_floor(np.eye(256), 1_000, 1_000) == pytest.approx(0.002 * (256 + (256**2 + 256) / 4))


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize(("n", "m", "d"), SHAPES)
def test_sliced_wasserstein_is_that_of_pot_along_given_directions(n: int, m: int, d: int, p: int) -> None:
    x, y = pair(n, m, d)
    directions = np.random.default_rng(1).normal(size=(d, 16))
    other = ot.sliced_wasserstein_distance(x, y, projections=directions, p=p)
    assert mw.stats.sliced_wasserstein(x, y, p=p, projections=directions) == pytest.approx(other, rel=1e-9)


def test_random_directions_are_of_length_one_and_repeat() -> None:
    x, y = pair(40, 30, 5)
    assert mw.stats.sliced_wasserstein(x, y) == mw.stats.sliced_wasserstein(x, y)
    assert mw.stats.sliced_wasserstein(x, y, seed=1) != mw.stats.sliced_wasserstein(x, y)
    assert mw.stats.sliced_wasserstein([[0.0]], [[3.0]], projections=7) == pytest.approx(3.0)


def test_the_classifier_is_ridge_regression_and_its_auc_that_of_scikit_learn() -> None:
    for n, m, d in ((60, 80, 4), (20, 30, 90)):
        x, y = pair(n, m, d)
        found = mw.stats.domain_classifier(x, y, full=True)
        z, label = np.concatenate([x, y]), np.repeat([0, 1], [n, m])
        fold = fold_of_rows(n + m)
        wins = pairs = 0.0
        for at in range(FOLDS):
            train, test = fold != at, fold == at
            inner = z[train] - z[train].mean(axis=0)
            alpha = RIDGE * (inner**2).sum() / min(inner.shape)
            scores = Ridge(alpha=alpha).fit(z[train], label[train]).predict(z[test])
            both = label[test].sum() * (1 - label[test]).sum()
            wins += both * roc_auc_score(label[test], scores)
            pairs += both
        assert found.value == pytest.approx(wins / pairs, abs=1e-9)
        assert found.null_sd == pytest.approx(np.sqrt((n + m + 1) / (12 * n * m)))


def test_the_rows_that_moved_most_come_first() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(300, 5)), rng.normal(size=(300, 5))
    y[:30] += 4
    found = mw.stats.domain_classifier(x, y, permutations=99, full=True)
    assert found.pvalue == 0.01
    assert np.isin(found.ranked[:25], np.arange(30)).mean() > 0.9
    novelty = mw.stats.knn_novelty(x, y, full=True)
    assert set(np.argsort(-novelty.distance)[:20]) <= set(range(30))
    assert novelty.rate == pytest.approx(0.1, abs=0.03)


@pytest.mark.parametrize(("n", "m", "d"), [s for s in SHAPES if s[0] > 6])
@pytest.mark.parametrize("k", [1, 3])
def test_neighbours_are_those_of_scikit_learn_and_prdc(n: int, m: int, d: int, k: int) -> None:
    x, y = pair(n, m, d)
    own = NearestNeighbors(n_neighbors=k + 1).fit(x).kneighbors(x)[0][:, -1]
    distance = NearestNeighbors(n_neighbors=k).fit(x).kneighbors(y)[0][:, -1]
    found = mw.stats.knn_novelty(x, y, k=k, full=True)
    assert found.distance == pytest.approx(distance, rel=1e-12)
    assert found.value == pytest.approx(np.log(distance.mean() / own.mean()), abs=1e-12)
    ours, theirs = mw.stats.prdc(x, y, k=k), prdc.compute_prdc(x, y, nearest_k=k)
    for name in ("precision", "recall", "density", "coverage"):
        assert getattr(ours, name) == pytest.approx(theirs[name], abs=1e-12), name


def test_near_duplicates_keep_their_distances() -> None:
    rng = np.random.default_rng(3)
    x = (rng.normal(size=(200, 16)) + 100).astype(np.float32)
    y = x[:50] + np.float32(2.0**-10)
    found = mw.stats.knn_novelty(x, y, k=1, full=True).distance
    exact = np.linalg.norm(y.astype(np.float64) - x[:50], axis=1)
    assert found == pytest.approx(exact, rel=1e-2)  # centring rounds once more, in float32


def test_cosine_and_cka_are_those_of_their_definitions() -> None:
    x, y = pair(40, 30, 5)
    assert mw.stats.cosine_centroid(x, y) == pytest.approx(cosine(x.mean(axis=0), y.mean(axis=0)), abs=1e-12)
    for d, e in ((5, 7), (90, 100)):
        a, b = np.random.default_rng(1).normal(size=(40, d)), np.random.default_rng(2).normal(size=(40, e))
        center = np.eye(40) - 1 / 40
        k, o = center @ a @ a.T @ center, center @ b @ b.T @ center
        expected = np.trace(k @ o) / np.sqrt(np.trace(k @ k) * np.trace(o @ o))
        assert mw.stats.cka(a, b) == pytest.approx(expected, rel=1e-10)
        turned = np.linalg.qr(np.random.default_rng(3).normal(size=(d, d)))[0]
        assert mw.stats.cka(a, 3 * a @ turned + 1) == pytest.approx(1.0)
    assert mw.stats.neighbour_overlap(x, 2 * x + 1) == 1.0
    assert mw.stats.neighbour_overlap(pair(60, 1, 3)[0], pair(60, 1, 3, seed=9)[0], k=5) < 0.4


def test_lists_arrow_and_half_precision_are_read() -> None:
    x, y = (v.astype(np.float16) for v in pair(20, 30, 4))
    expected = mw.stats.mmd(x, y, bandwidth=1.0)
    assert mw.stats.mmd(x.tolist(), y.tolist(), bandwidth=1.0) == pytest.approx(expected, abs=VECTORS_FLOAT32)
    lists = pa.array(y.astype(np.float32).tolist(), pa.list_(pa.float32()))
    for form in (lists, lists.cast(pa.list_(pa.float32(), 4)), pa.chunked_array([lists[:9], lists[9:]])):
        assert mw.stats.mmd(x, form, bandwidth=1.0) == expected


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: mw.stats.mmd([[1.0]], [[1.0], [2.0]], bandwidth=1), "it needs 2"),
        (lambda: mw.stats.mmd([[1.0], [1.0]], [[1.0], [2.0]]), "has no bandwidth"),
        (lambda: mw.stats.mmd([[1.0], [2.0]], [[1.0], [2.0]], bandwidth=0), "must be above 0"),
        (lambda: mw.stats.mmd([[1.0], [2.0]], [[1.0], [2.0]], permutations=1.5), "whole number"),
        (lambda: mw.stats.mmd([[1.0, 2.0], [2.0, 1.0]], [[1.0], [2.0]]), "vectors of one length"),
        (lambda: mw.stats.mmd([[float("nan")], [2.0]], [[1.0], [2.0]]), "NaN or infinite"),
        (lambda: mw.stats.prdc([[1.0], [2.0]], [[1.0], [2.0]]), "needs 6"),
        (lambda: mw.stats.knn_novelty([[1.0], [1.0]], [[1.0]], k=1), "copies"),
        (lambda: mw.stats.domain_classifier([[1.0]], [[2.0]]), "too few"),
        (lambda: mw.stats.cka([[1.0], [2.0]], [[1.0]]), "the same rows"),
        (lambda: mw.stats.cka([[1.0], [1.0]], [[1.0], [2.0]]), "all rows of a side are equal"),
        (lambda: mw.stats.cosine_centroid([[1.0], [-1.0]], [[1.0]]), "no direction"),
        (lambda: mw.stats.sliced_wasserstein([[1.0]], [[1.0]], p=0.5), "1 or more"),
        (lambda: mw.stats.sliced_wasserstein([[1.0]], [[1.0]], projections=np.ones((2, 3))), "projections must be"),
        (lambda: mw.stats.frechet_distance([[1.0]], [[1.0], [2.0]]), "it needs 2"),
        (lambda: mw.stats.energy_distance([1.0], [2.0], permutations=9), "multivariate=True"),
        (lambda: mw.stats.mmd(pa.array([[1.0], [1.0, 2.0]]), [[1.0]]), "different lengths"),
    ],
)
def test_what_has_no_answer_is_refused_with_what_to_do(call: Any, match: str) -> None:
    with pytest.raises(mw.InputError, match=match):
        call()
