"""mw.stats.cluster_js: rows by their nearest centre, against scikit-learn and SciPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from sklearn.cluster import KMeans

import modelwatch_gpu as mw

SHARES = [0.25] * 4


def topics(rows: int, shares: list[float], *, seed: int) -> Any:
    rng = np.random.default_rng(seed)
    centers = 6 * np.random.default_rng(1).normal(size=(len(shares), 8))
    return centers[rng.choice(len(shares), rows, p=shares)] + rng.normal(size=(rows, 8))


@pytest.mark.parametrize("k", [2, 7, 20])
def test_k_means_ends_where_that_of_scikit_learn_does_not_move(k: int) -> None:
    x, y = topics(600, SHARES, seed=2), topics(500, [0.4, 0.2, 0.2, 0.2], seed=3)
    found = mw.stats.cluster_js(x, y, clusters=k, full=True)
    other = KMeans(k, init=found.centers, n_init=1).fit(x)
    assert other.cluster_centers_ == pytest.approx(found.centers, abs=1e-9)
    counts = [np.bincount(other.predict(side), minlength=k) for side in (x, y)]
    assert found.reference_counts.tolist() == counts[0].tolist()
    assert found.current_counts.tolist() == counts[1].tolist()
    assert found.value == pytest.approx(jensenshannon(*counts, base=2) ** 2, abs=1e-12)
    assert mw.stats.cluster_js(x, y, clusters=found.centers) == found.value


def test_by_hand() -> None:
    x, y = [[0.0], [0.1], [9.9], [10.0]], [[0.0], [0.2]]
    found = mw.stats.cluster_js(x, y, clusters=2, full=True)
    assert sorted(found.centers[:, 0].tolist()) == pytest.approx([0.05, 9.95])
    # Shares 1/2, 1/2 and 1, 0: (1/2 log 2/3 + 1/2 log 2 + log 4/3) / 2 in bits.
    assert found.value == pytest.approx((0.5 * np.log2(2 / 3) + 0.5 + np.log2(4 / 3)) / 2)
    assert found.floor == pytest.approx((1 / 4 + 1 / 2) / (8 * np.log(2)))
    assert mw.stats.cluster_js(x, x, clusters=2) == 0


def test_what_chance_adds_is_its_floor() -> None:
    found = [
        mw.stats.cluster_js(topics(400, SHARES, seed=i), topics(300, SHARES, seed=99 + i), clusters=4, full=True)
        for i in range(60)
    ]
    values = np.array([f.value for f in found])
    assert abs(values.mean() - found[0].floor) < 3 * values.std() / np.sqrt(60)


def test_equal_rows_and_an_order_of_rows_have_an_answer() -> None:
    assert mw.stats.cluster_js([[1.0, 2.0]] * 5, [[1.0, 2.0]] * 3, clusters=3) == 0
    x, y = topics(200, [0.5, 0.5], seed=1), topics(100, [0.1, 0.9], seed=2)
    centers = mw.stats.cluster_js(x, y, clusters=2, full=True).centers
    assert mw.stats.cluster_js(x[::-1], y[::-1], clusters=centers) == mw.stats.cluster_js(x, y, clusters=centers)
    assert mw.stats.cluster_js(x, y, clusters=2, seed=1) > 0.1


@pytest.mark.parametrize("clusters", [1, 5, np.ones((2, 3)), np.array([[np.nan], [1.0]]), np.ones((1, 1)), 2.0])
def test_no_number_of_clusters_is_refused(clusters: Any) -> None:
    with pytest.raises(mw.InputError, match="clusters must be"):
        mw.stats.cluster_js([[1.0], [2.0], [3.0], [4.0]], [[1.0]], clusters=clusters)
