"""Rankings by query: scikit-learn's NDCG, loops over queries, and a case by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import ndcg_score
from tolerances import PERFORMANCE

import modelwatch_gpu as mw

NEAR: dict[str, Any] = {"rel": PERFORMANCE, "abs": PERFORMANCE}


Array = np.ndarray[Any, Any]


def queries(seed: int, count: int = 60) -> tuple[Array, Array, Array]:
    """Relevance, distinct scores and the query of rows in no order; queries of 1 to 12 rows, some without a hit."""
    random = np.random.default_rng(seed)
    sizes = random.integers(1, 13, count)
    query = np.repeat(np.arange(count), sizes)
    relevance = random.integers(0, 4, len(query)) * (random.random(len(query)) < 0.6)
    order = random.permutation(len(query))
    return relevance[order], random.permutation(len(query))[order].astype(float), query[order]


def ranked(relevance: Any, scores: Any, query: Any) -> list[np.ndarray[Any, Any]]:
    """The relevance of the rows of each query, the highest score first."""
    return [relevance[query == q][np.argsort(-scores[query == q])] for q in np.unique(query)]


def discounted(gains: np.ndarray[Any, Any], k: int) -> float:
    return sum(float(g) / math.log2(i + 2) for i, g in enumerate(gains[:k]))


def by_loops(name: str, lists: list[np.ndarray[Any, Any]], k: int, gain: Any) -> float:
    values = []
    for found in lists:
        hits = found[:k] > 0
        all_hits = int((found > 0).sum())
        if name == "ndcg":
            best = discounted(np.sort(gain(found))[::-1], k)
            values.append(discounted(gain(found), k) / best if best else 0.0)
        elif name == "mean_average_precision":
            precisions = [hits[: i + 1].mean() for i in range(len(hits)) if hits[i]]
            values.append(sum(precisions) / min(all_hits, k) if all_hits else 0.0)
        elif name == "mrr":
            values.append(1 / (1 + int(np.argmax(hits))) if hits.any() else 0.0)
        elif name == "hit_rate":
            values.append(float(hits.any()))
        elif name == "precision_at_k":
            values.append(hits.sum() / k)
        else:
            values.append(hits.sum() / all_hits if all_hits else 0.0)
    return float(np.mean(values))


NAMES = ("ndcg", "mean_average_precision", "mrr", "hit_rate", "precision_at_k", "recall_at_k")


@pytest.mark.parametrize("k", [1, 3, 10, 50])
@pytest.mark.parametrize("name", NAMES)
def test_every_measure_is_the_mean_over_queries(name: str, k: int) -> None:
    relevance, scores, query = queries(3)
    lists = ranked(relevance, scores, query)
    found = getattr(mw.stats, name)(relevance, scores, queries=query, k=k)
    assert found == pytest.approx(by_loops(name, lists, k, lambda r: r), **NEAR)
    named = np.array([f"query {q}" for q in query])
    assert getattr(mw.stats, name)(relevance, scores, queries=named, k=k) == pytest.approx(found, **NEAR)


def test_exponential_gains_are_powers_of_two() -> None:
    relevance, scores, query = queries(4)
    wanted = by_loops("ndcg", ranked(relevance, scores, query), 5, lambda r: 2.0**r - 1)
    assert mw.stats.ndcg(relevance, scores, queries=query, k=5, gains="exponential") == pytest.approx(wanted, **NEAR)


def test_ndcg_is_scikit_learns_where_scores_are_distinct() -> None:
    relevance, scores, query = queries(5)
    values = []
    for q in np.unique(query):
        own = query == q
        if own.sum() > 1:  # scikit-learn refuses a query of one row
            values.append((q, ndcg_score([relevance[own]], [scores[own]], k=10)))
    for q, wanted in values:
        own = query == q
        assert mw.stats.ndcg(relevance[own], scores[own], queries=query[own]) == pytest.approx(wanted, **NEAR)


def test_rankings_worked_out_by_hand() -> None:
    relevance, scores, query = [1, 0, 1, 0, 0], [0.9, 0.8, 0.7, 0.2, 0.1], ["a", "a", "a", "b", "b"]
    options: dict[str, Any] = {"queries": query, "k": 2}
    assert mw.stats.mrr(relevance, scores, **options) == 0.5
    assert mw.stats.hit_rate(relevance, scores, **options) == 0.5
    assert mw.stats.precision_at_k(relevance, scores, **options) == 0.25
    assert mw.stats.recall_at_k(relevance, scores, **options) == 0.25
    assert mw.stats.mean_average_precision(relevance, scores, **options) == 0.25
    best = 1 + 1 / math.log2(3)
    assert mw.stats.ndcg(relevance, scores, **options) == pytest.approx(1 / best / 2, **NEAR)
    skipped = {**options, "without_relevant": "skip"}
    assert mw.stats.hit_rate(relevance, scores, **skipped) == 1.0


def test_what_cannot_be_ranked_is_refused() -> None:
    with pytest.raises(mw.InputError, match=r"\.$"):
        mw.stats.ndcg([-1, 0], [0.1, 0.2], queries=[1, 1])
    with pytest.raises(mw.InputError, match=r"\.$"):
        mw.stats.ndcg([1, 0], [0.1, 0.2], queries=[1.5, 1.5])
    with pytest.raises(mw.InputError, match=r"\.$"):
        mw.stats.mrr([0, 0], [0.1, 0.2], queries=[1, 1], without_relevant="skip")
