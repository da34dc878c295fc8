"""The verdict on two samples of vectors: members against loops, and that nothing but labels tells samples apart."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from embedding_makers import fixed
from scipy import linalg
from scipy.spatial.distance import cdist
from tolerances import EMBEDDING_MEMBERS

from modelwatch_gpu.measures import embedding_ensemble
from modelwatch_gpu.measures.embedding import MEMBER_NAMES, _remark
from modelwatch_gpu.measures.embedding_ensemble import MEMBERS, NEIGHBOURS, ensemble
from modelwatch_gpu.measures.embedding_rows import (
    fold_of_rows,
    gaussian,
    labels_dealt,
    mmd_squared,
    nearest,
    pair_sums,
)
from modelwatch_gpu.measures.embedding_sums import feature_mmd, flipped_signs, smallest_pvalue
from modelwatch_gpu.profile import embeddings
from modelwatch_gpu.profile.embedding_counter import EmbeddingCounter


def cloud(rows: int, dimension: int, seed: int) -> Any:
    return np.random.default_rng(seed).normal(size=(rows, dimension))


def tables(reference: Any, current: Any) -> tuple[Any, Any]:
    """What one pass keeps of both sides."""
    dimension = reference.shape[1]
    field = pa.field("v", pa.list_(pa.float32(), dimension))
    column = embeddings._fitted("v", field, reference.astype(np.float64), normalize=False)
    out = []
    for rows in (reference, current):
        counter = EmbeddingCounter(column, ["window"], ["id"], [])
        batch = pa.record_batch([fixed(rows.astype(np.float32)), pa.array(np.arange(len(rows)))], names=["v", "id"])
        counter.add(batch, counter.read(batch)[0], [None])
        out.append(counter.table(0, 1))
    return out[0], out[1]


# ---- members ---------------------------------------------------------------------------------------------------------


def test_neighbourhoods_of_every_permutation_are_those_of_a_loop() -> None:
    rows = cloud(60, 3, 1)
    labels = labels_dealt(25, 60, 9, seed=3)
    near = nearest(rows, rows, embedding_ensemble._candidates(25, 35), same=True)
    novelty, density = embedding_ensemble._neighbourhoods(near, labels)
    last = near.index.shape[1] - 1
    for at in range(labels.shape[1]):
        own = labels[:, at] > 0
        distance, strangers = np.empty(60), np.empty(60)
        for row in range(60):
            first = np.flatnonzero(own[near.index[row]])
            place = first[NEIGHBOURS - 1] if len(first) >= NEIGHBOURS else last
            distance[row] = near.distance[row, place]
            strangers[row] = (~own[near.index[row, : place + 1]]).sum()
        assert novelty[at] == pytest.approx(np.log(distance[~own].mean() / distance[own].mean()))
        assert density[at] == pytest.approx(strangers[own].sum() / (NEIGHBOURS * 35))


@pytest.mark.parametrize("dimension", [1, 5, 90])
def test_frechet_distances_of_every_permutation_are_those_of_scipy(dimension: int) -> None:
    rows = cloud(80, dimension, 2)
    rows -= rows.mean(axis=0)
    labels = labels_dealt(30, 80, 5, seed=1)
    found = embedding_ensemble._frechet(rows, labels)
    k = min(embedding_ensemble.AXES, dimension, 14)
    axes = np.linalg.svd(rows, full_matrices=False)[2][:k].T
    for at in range(labels.shape[1]):
        a, b = (rows[labels[:, at] == mark] @ axes for mark in (1, 0))
        one, other = (np.atleast_2d(np.cov(side.T, bias=True)) for side in (a, b))
        root = np.atleast_2d(np.real(linalg.sqrtm(one)))
        cross = np.trace(np.atleast_2d(np.real(linalg.sqrtm(root @ other @ root))))
        moved = a.mean(axis=0) - b.mean(axis=0)
        expected = moved @ moved + np.trace(one) + np.trace(other) - 2 * cross
        assert found[at] == pytest.approx(expected, rel=EMBEDDING_MEMBERS)


def test_rows_that_span_few_directions_have_a_frechet_distance() -> None:
    rows = np.repeat(cloud(4, 6, 3), 20, axis=0)
    rows -= rows.mean(axis=0)
    found = embedding_ensemble._frechet(rows, labels_dealt(40, 80, 9))
    assert np.isfinite(found).all()


def test_a_kernel_leaves_no_number_that_is_too_small_to_be_normal() -> None:
    rows = cloud(300, 384, 4).astype(np.float32)
    squared = cdist(rows, rows, "sqeuclidean").astype(np.float32)
    values = gaussian(1.0)(squared)  # exp(-384) is no float32
    assert values.min() >= np.finfo(np.float32).tiny
    # Of a kernel that is 1 at the closest pair the differences stay, and MMD^2 has another unit only.
    closest = float(squared[squared > 1].min())
    labels = labels_dealt(150, 300, 3)
    shifted, plain = (
        mmd_squared(pair_sums(rows.astype(kind), labels, [gaussian(2.0, shift)])[0], 150, 150)
        for kind, shift in ((np.float32, closest), (np.float64, 0.0))
    )
    assert shifted == pytest.approx(plain * np.exp(closest / 8), rel=EMBEDDING_MEMBERS)


# ---- the verdict -----------------------------------------------------------------------------------------------------


def test_what_is_drawn_at_random_goes_by_the_rows_and_repeats() -> None:
    x, y = cloud(50, 4, 5), cloud(40, 4, 6)
    first, again, other = ensemble(x, y), ensemble(x, y), ensemble(x, y + 1e-3)
    assert first.scores == again.scores
    assert (first.ranked == again.ranked).all()
    assert first.scores != other.scores
    assert (fold_of_rows(90, seed=1) != fold_of_rows(90, seed=2)).any()


def test_exchanged_samples_have_the_same_distances_of_centroids_and_kernels() -> None:
    x, y = cloud(40, 4, 7), cloud(40, 4, 8) + 0.2
    rows = np.concatenate([x, y])
    labels = labels_dealt(40, 80, 19)
    swapped = 1 - labels
    near = nearest(rows, rows, 10, same=True)
    pairs = embedding_ensemble._PairsHere(rows, rows.astype(np.float32), 40)
    for member in (
        embedding_ensemble._centroid,
        embedding_ensemble._frechet,
        lambda r, marks: embedding_ensemble._mmd(r, marks, near, 1, pairs),
    ):
        assert member(rows, labels) == pytest.approx(member(rows, swapped), rel=EMBEDDING_MEMBERS)


def test_members_together_are_the_harmonic_mean_of_what_their_scales_say() -> None:
    scaled = [np.array([1.0, 0.0, -1.0]), np.array([0.0, 2.0, np.inf])]
    found = embedding_ensemble.together(scaled)
    assert found == pytest.approx([np.log10(11), np.log10(101), 100])


def test_a_sentence_says_whether_a_member_fired_by_itself() -> None:
    found = ensemble(cloud(30, 3, 9), cloud(30, 3, 10) + 3)
    assert _remark(found, ()).startswith(f"{MEMBER_NAMES[found.member]} fired, which is sensitive to")
    near = replace(found, pvalue=0.04, scores=dict.fromkeys(MEMBERS, 0.9))
    said = f"no statistic by itself but all together fired, most of all {MEMBER_NAMES[found.member]}, which"
    assert _remark(near, ()).startswith(said)
    assert _remark(replace(found, pvalue=0.06), ()) == ""


def test_p_values_without_drift_are_even() -> None:
    # 300 pairs of samples; a share of 0.05 and of 0.5, each within three standard errors.
    found = [ensemble(cloud(30, 8, 1_000 + at), cloud(30, 8, 5_000 + at), permutations=99).pvalue for at in range(300)]
    assert np.mean(np.array(found) <= 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300)
    assert abs(np.mean(np.array(found) <= 0.5) - 0.5) <= 3 * np.sqrt(0.25 / 300)


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_constant_and_repeated_rows_have_a_verdict(shift: float) -> None:
    found = ensemble(np.ones((20, 3)), np.ones((20, 3)) + shift)
    assert set(found.scores) == set(MEMBERS)
    assert (found.pvalue <= 0.01) == (shift > 0)


# ---- random features -------------------------------------------------------------------------------------------------


def test_signs_are_all_one_first_and_equal_patterns_are_ties() -> None:
    signs = flipped_signs(3, 200)
    assert signs[0].tolist() == [1, 1, 1]
    assert set(np.unique(signs)) == {-1.0, 1.0}
    # Two groups that moved alike: of the four patterns of two signs two leave the sum as large as it is.
    moved = np.array([[1.0, 0.1], [1.0, -0.1]])
    gram = moved @ moved.T
    pairs = flipped_signs(2, 200)
    statistic = ((pairs @ gram) * pairs).sum(axis=1)
    assert smallest_pvalue(statistic[:, None]) == np.mean(pairs[:, 0] == pairs[:, 1])


def test_a_small_window_beside_a_large_baseline_does_not_alarm_by_its_size() -> None:
    rng = np.random.default_rng(11)
    found = []
    for _ in range(40):
        a, b = tables(rng.standard_t(2.5, size=(3_000, 8)), rng.standard_t(2.5, size=(200, 8)))
        found.append(feature_mmd(a, 0, b, 0).pvalue)
    assert np.mean(np.array(found) <= 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 40)
    moved = tables(rng.normal(size=(3_000, 8)), rng.normal(size=(200, 8)) + 0.5)
    assert feature_mmd(moved[0], 0, moved[1], 0).pvalue <= 0.01
